# ruff: noqa: F821 - MicroPython's manifestfile.py has the functions
"""Freezes the guard into a MicroPython image: see DEVICE.md. It takes flash then, and next to no heap.

The folder is taken whole: what only the simulator imports (hal/host, hal/virtual) costs a few KB of flash.
"""

include("$(PORT_DIR)/boards/manifest.py")  # what the port freezes itself: asyncio, mip, umqtt, …
package("usageguard", opt=3)
module("reserve.py", opt=3)
module("slots.py", opt=3)
module("start.py", opt=3)
