# ruff: noqa: F821 - MicroPython's manifestfile.py has the functions
"""What the image freezes: what the port does itself, and the `boot.py` that mounts the sets."""

include("$(PORT_DIR)/boards/manifest.py")
module("boot.py", opt=3)
