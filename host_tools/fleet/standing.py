"""How a device stands, from its newest report and what the carrier's platform says of its SIM. Pure; octets."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from host_tools.base import paths
from host_tools.collector.period import period_start
from host_tools.collector.store import Received
from host_tools.fleet.idle import costs
from host_tools.platforms.interface import Data, Life
from host_tools.platforms.ledger import Sim
from host_tools.platforms.reconcile import cycle_end, used_up_at

paths.use_firmware()

from usageguard.core import policy  # noqa: E402

NEVER = "9999"
"""Of a date that is not known; sorts behind all dates."""
UNKNOWN = -1
_OF_CARRIER = "CARRIER_STOP"
_MAY_END = (_OF_CARRIER, "ROAMING_EXHAUSTED")  # with the period, though not by itself
_LASTING = {
    str(code)
    for code, *_, survives, restriction in policy.REASONS
    if survives and int(restriction) >= policy.RESTRICT_ACCESS
}.difference(_MAY_END)


class State(enum.IntEnum):
    """The most urgent that holds of a device, the most urgent first."""

    CUT_OFF = 1  # by the carrier
    STOPPED = 2  # by itself: nothing but reports passes, or nothing
    SILENT = 3
    RUNS_OUT = 4  # before the period ends, at its usual rate
    LIMITED = 5  # slowed down, or some classes are held back
    FINE = 6

    @property
    def word(self) -> str:
        """As programs are told it."""
        return self.name.lower().replace("_", "-")


@dataclass(frozen=True, slots=True)
class Standing:
    """A row of the fleet's table. `allowance`, `permille`: UNKNOWN where the allowance is; `runs_out`: a day in UTC+8,
    or NEVER; `resumes`: the day on which the next period begins, or NEVER where that does not lift a stop; `in_use`:
    see `idle.costs`."""

    device: str
    state: State
    verdict: str
    reasons: tuple[str, ...]
    used: int
    bound: int
    allowance: int
    permille: int
    runs_out: str
    resumes: str
    seen: datetime
    cycle_id: int
    in_use: bool = True


def verdict_of(number: int) -> str:
    return policy.VERDICTS[number] if number < len(policy.VERDICTS) else str(number)


def reasons_of(bits: int) -> tuple[str, ...]:
    """The codes of the reasons in a report, the strongest first."""
    return tuple(str(code) for code, bit, *_ in policy.REASONS if bits & int(bit))


def stand(latest: Received, sim: Sim | None, allowance: int | None, now: datetime, silent: timedelta) -> Standing:
    """`allowance` is that of devices of which the platform tells none; `silent`: how long without a report is."""
    report = latest.report
    total = (sim.total_octets if sim else None) or allowance
    used = report.cycle_rated_octets
    reasons = reasons_of(report.reasons)
    runs_out = resumes = NEVER
    if start := period_start(report.cycle_id):
        resumes = _day(cycle_end(start))
        at = used_up_at(used, latest.received_at, total, start) if total else None
        runs_out = _day(at) if at else NEVER
    if (sim and is_stopped(sim)) or _OF_CARRIER in reasons:
        state = State.CUT_OFF
    elif report.verdict >= policy.RESTRICTED:
        state = State.STOPPED
    elif now - latest.received_at >= silent:
        state = State.SILENT
    elif runs_out != NEVER:
        state = State.RUNS_OUT
    elif report.verdict >= policy.SHED:
        state = State.LIMITED
    else:
        state = State.FINE
    if (sim and is_stopped(sim) and _outlasts(sim)) or not _LASTING.isdisjoint(reasons):
        resumes = NEVER
    return Standing(
        latest.device,
        state,
        verdict_of(report.verdict),
        reasons,
        used,
        report.error_bound_octets,
        total or UNKNOWN,
        used * 1000 // total if total else UNKNOWN,
        runs_out,
        resumes,
        latest.received_at,
        report.cycle_id,
        costs(sim),
    )


def is_stopped(sim: Sim) -> bool:
    """Whether the platform says that the SIM has no data; it may also not say."""
    return sim.life in (Life.STOPPED, Life.GONE) or sim.data == Data.OFF


def _outlasts(sim: Sim) -> bool:
    """Whether the stop is not, or not only, one of a used-up allowance."""
    return sim.life == Life.GONE or any(each != "exhausted" for each in sim.stop_reasons)


def _day(at: datetime) -> str:
    """The carrier's day."""
    return (at + timedelta(hours=8)).date().isoformat()


def diagnosis(sim: Sim | None, evidence: Sequence[str], permille: int) -> list[str]:
    """What both ends say, as short technical phrases: the device's evidence, then the platform's state."""
    said = []
    if evidence:
        said.append(f"device: {', '.join(evidence)}")
    if sim:
        causes = ", ".join(sim.stop_reasons)
        share = f", {permille / 10:.1f} % of the plan used" if permille >= 0 else ""
        said.append(f"platform: SIM {sim.life}, data {sim.data}{f' ({causes})' if causes else ''}{share}")
    return said
