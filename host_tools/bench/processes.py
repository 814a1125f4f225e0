"""What Linux tells of a process, by proc(5)."""

from __future__ import annotations

import os
from pathlib import Path


def begun_by(pid: int) -> list[int]:
    """The processes that it has begun and that are there."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]


def processor_s(pid: int) -> float:
    """What it has taken of a processor, and those that it has begun and that are there."""
    _, _, told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")
    ticks = sum(map(int, told.split()[11:13]))  # utime and stime
    return ticks / os.sysconf("SC_CLK_TCK") + sum(map(processor_s, begun_by(pid)))
