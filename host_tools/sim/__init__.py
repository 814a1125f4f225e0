"""Board, modem, carrier and network, simulated under one virtual clock. Shares no code with the firmware's core."""
