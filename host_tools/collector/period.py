"""The billing period that a report is of (SPEC.md, "Report")."""

from __future__ import annotations

from datetime import date

from host_tools.base import paths
from host_tools.base.days import date_of

paths.use_firmware()

from usageguard.clock import RELEASED_DAY  # noqa: E402

_OTHERS = {1: "test period", 2: "silent period"}


def period_start(cycle_id: int) -> date | None:
    """The local day on which the period began. None for one that is not billed, and where the device did not know it: a
    device that has no time yet counts in the period in which its firmware was released."""
    return date_of(cycle_id) if cycle_id > RELEASED_DAY else None


def period_name(cycle_id: int) -> str:
    """Its first day, or in words why it has none."""
    start = period_start(cycle_id)
    return start.isoformat() if start else _OTHERS.get(cycle_id, "not known yet")
