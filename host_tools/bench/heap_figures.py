"""What the guard keeps of a stock ESP32's heap, on a 32-bit VM, of the very set that a board gets."""

from __future__ import annotations

import tempfile
import tomllib
from pathlib import Path

from host_tools.bench.figures import figure
from host_tools.bench.heap import board

FAMILY = "quectel"
BUDGET = tomllib.loads((board.HERE / "budget.toml").read_text("utf-8"))
UNIT = "octets, 32-bit VM"


@figure("heap.booted", UNIT, most=85 * 1024)
def _booted() -> int:
    with tempfile.TemporaryDirectory() as folder:
        return board.live(Path(folder), FAMILY)[0]


@figure("heap.serving", UNIT, most=105 * 1024)
def _serving() -> int:
    with tempfile.TemporaryDirectory() as folder:
        return board.serving(Path(folder), FAMILY)[0]
