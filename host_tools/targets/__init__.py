"""What runs the firmware: CPython or the MicroPython VM as a subprocess, or this process itself by direct calls."""
