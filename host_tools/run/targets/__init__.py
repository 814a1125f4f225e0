"""The targets: CPython or the MicroPython VM as a subprocess, this process by direct calls, or a board."""
