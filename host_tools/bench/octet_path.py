"""The path of an octet, in instructions of the MicroPython VM: what metering adds, what an idle step costs, what
digesting costs beside two other ways.

Instructions are counted by valgrind, so a figure does not depend on how busy this computer is.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from host_tools.base.errors import UsageError
from host_tools.build import device_config
from host_tools.build.image import Image
from host_tools.build.micropython import micropython

DEVICE_SIDE = Path(__file__).parent / "device"
HEAP = "4M"
"""Room enough that no garbage is collected within a measurement of the path."""
ROUNDS = 50, 550
_COUNTED = re.compile(r"I\s+refs:\s+([\d,]+)")
_CONFIG = {
    "device": device_config.STAND_IN,
    "modem": {"family": "quectel", "apn": "cmiot"},
    "plan": {"allowance_octets": 1 << 34, "rating": {"per_packet_octets": 54, "margin_permille": 70}},
}


@dataclass(frozen=True)
class Figure:
    """`goal` is the most that `value` may be, or with `least` the least."""

    name: str
    value: float
    unit: str
    goal: float
    least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.goal if self.least else self.value <= self.goal


class Counter:
    """Counts the instructions of a round of a case of `device/octet_path.py`."""

    def __init__(self, root: Path, library: Path) -> None:
        self._root = root
        self._environment = {**os.environ, "MICROPYPATH": f"{library}:.frozen", "PYTHONHASHSEED": "0"}

    def instructions(self, case: str) -> float:
        """Those of one round: the difference between many rounds and few, so that what comes before does not count."""
        few, many = ROUNDS
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


@contextlib.contextmanager
def counter() -> Iterator[Counter]:
    """UsageError where there is no valgrind."""
    if not shutil.which("valgrind"):
        raise UsageError("valgrind", "", "is not installed", "install it to count instructions")
    with Image(mpy=True) as image:
        image.add_tree(DEVICE_SIDE, "")
        image.write_json("config.json", _CONFIG)
        yield Counter(image.root, image.lib)


def figures(count: Counter) -> Iterator[Figure]:
    """All figures, each as soon as it is there."""
    for driver, goal in (("null", 5.0), ("quectel", 3.0)):
        for direction in ("send", "receive"):
            metered = count.instructions(f"{direction} {driver} metered")
            bare = count.instructions(f"{direction} {driver} bare")
            yield Figure(f"metering, {direction}, {driver}", 100 * (metered - bare) / metered, "%", goal)
            if (direction, driver) == ("send", "null"):
                idle = count.instructions("idle null metered")
                yield Figure("idle step of a send", 100 * idle / metered, "%", 10.0)
    lines = count.instructions("readline lines") / count.instructions("digest lines")
    yield Figure("digesting lines, beside readline", lines, "times as fast", 1.0, least=True)
    payload = count.instructions("octet payload") / count.instructions("digest payload")
    yield Figure("digesting payload, beside octet by octet", payload, "times as fast", 10.0, least=True)


def main() -> None:
    with counter() as count:
        for figure in figures(count):
            print(json.dumps({**figure.__dict__, "met": figure.met}))


if __name__ == "__main__":
    main()
