"""Finds the MicroPython VM (unix port) that runs the firmware on this computer."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from host_tools.base.errors import UsageError


def micropython() -> str:
    """The path of the VM: $MICROPYTHON, else the one installed beside this Python, else the one on the PATH.

    Raises UsageError when there is none: its wheel exists for x86-64 Linux and Apple silicon only.
    """
    named = os.environ.get("MICROPYTHON")
    if named:
        found = shutil.which(named)
        if not found:
            hint = "name a MicroPython unix-port executable"
            raise UsageError("MICROPYTHON", "", f'"{named}" is not a program', hint)
        return found
    beside = Path(sys.executable).parent / "micropython"
    found = str(beside) if beside.exists() else shutil.which("micropython")
    if not found:
        hint = "build MicroPython's unix port and set MICROPYTHON to the program, or use --target cpython"
        raise UsageError("MICROPYTHON", "", "is not set, and no MicroPython VM is installed", hint)
    return found
