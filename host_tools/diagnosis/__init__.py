"""Says why a device is offline, from what a collector or a board's console knows of it."""
