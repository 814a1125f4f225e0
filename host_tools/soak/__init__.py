"""Runs random scenarios by the thousand and checks each against the carrier's figures; `usageguard soak`."""
