"""The path of an octet, in instructions of the MicroPython VM.

Instructions are counted by valgrind, so a figure does not depend on how busy this computer is.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from host_tools.base.errors import UsageError
from host_tools.build import bytecode, device_config
from host_tools.build.image import Image
from host_tools.build.libraries import library
from host_tools.build.micropython import micropython

DEVICE_SIDE = Path(__file__).parent / "device"
HEAP = "4M"
"""Room enough that no garbage is collected within a measurement of the path."""
ROUNDS = 50, 550
STREAM_ROUNDS = 5, 25
"""Where a round is the same each time: a stream that is taken apart."""
STREAMS = ("lines", "payload")
_COUNTED = re.compile(r"I\s+refs:\s+([\d,]+)")
_CONFIG = {
    "device": device_config.STAND_IN,
    "modem": {"family": "quectel", "apn": "cmiot"},
    "plan": {"allowance_octets": 1 << 34, "rating": {"per_packet_octets": 54, "margin_permille": 70}},
}


class Counter:
    """Counts the instructions of a round of a case of `device/octet_path.py`."""

    def __init__(self, root: Path, library: Path) -> None:
        self._root = root
        self._environment = {**os.environ, "MICROPYPATH": f"{library}:.frozen", "PYTHONHASHSEED": "0"}

    def instructions(self, case: str) -> float:
        """Those of one round: the difference between many rounds and few, so that what comes before does not count."""
        few, many = STREAM_ROUNDS if case.endswith(STREAMS) else ROUNDS
        return (self._total(case, many) - self._total(case, few)) / (many - few)

    def _total(self, case: str, rounds: int) -> int:
        valgrind = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
        program = f"import octet_path; octet_path.main({case!r}, {rounds})"
        command = [*valgrind, micropython(), "-X", f"heapsize={HEAP}", "-c", program]
        done = subprocess.run(
            command, cwd=self._root, env=self._environment, capture_output=True, text=True, check=False
        )
        found = _COUNTED.search(done.stderr)
        if done.returncode or not found:
            raise RuntimeError(f"{case}: {done.stdout}{done.stderr}")
        return int(found[1].replace(",", ""))


class Release(Image):
    """An image with the firmware's numbers written where their names stood and without line numbers, as on a device."""

    def __init__(self) -> None:
        super().__init__(mpy=True)
        self.add_tree(DEVICE_SIDE, "")
        self.add_libraries([library("umqtt.simple")])
        self.write_json("config.json", _CONFIG)

    def add(self, source: Path, name: str) -> None:
        text = source.read_bytes()

        def made() -> bytes:
            return bytecode.assembled(bytecode.folded(text, name, str(source)).decode(), name)

        target = (self.lib / name).with_suffix(".mpy")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(bytecode.cached((b"folded", name.encode(), text), made))


@contextlib.contextmanager
def counter() -> Iterator[Counter]:
    """UsageError where there is no valgrind."""
    if not shutil.which("valgrind"):
        raise UsageError("valgrind", "", "is not installed", "install it to count instructions")
    with Release() as image:
        yield Counter(image.root, image.lib)
