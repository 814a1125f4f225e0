"""What people are told of, once for each cause and period. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise

from host_tools.base.units import size
from host_tools.collector.period import period_start
from host_tools.fleet.index import Row
from host_tools.fleet.standing import NEVER, State

_CHINA = timedelta(hours=8)

STATES = ("runs-out", "stopped", "carrier-stopped", "silent", "drift", "package-ends", "pool-low")
"""Rules of what lasts: such an alert is over when its cause is."""
ALARMS = {
    "carrier_stops_first": "carrier-first",
    "order_refused": "order-refused",
    "new_life": "ledger-lost",
    "sequence_reused": "two-of-one",
    "usage_went_back": "two-of-one",
    "sim_changed": "sim-moved",
    "sim_elsewhere": "sim-moved",
}
"""The rule of each kind of alarm that has one. `carrier_stopped` is a state here, for as long as it lasts."""
RULES = (*STATES, *dict.fromkeys(ALARMS.values()))


@dataclass(frozen=True, slots=True)
class Cause:
    """What a rule has found. `subject`: a device, or a pool; `cause`: tells causes of one rule in one period apart;
    `period`: the day on which it began."""

    rule: str
    subject: str
    period: str
    detail: str
    cause: str = ""


@dataclass(frozen=True)
class Rules:
    """`silent_intervals`: of a device's usual time between two reports; `fallback`: silence of a device of which that
    is not known yet. `drift_octets`, `drift_percent` of what is used: more than both beyond what the bound and the
    contract explain. `package_days`: how long before its end. `pool_permille`: what is left."""

    silent_intervals: int = 3
    least_silence: timedelta = timedelta(hours=2)
    fallback: timedelta = timedelta(hours=26)
    drift_octets: int = 0
    drift_percent: int = 10
    package_days: int = 7
    pool_permille: int = 100
    off: tuple[str, ...] = ()

    def silence(self, seen: list[datetime]) -> timedelta:
        """How long a device is silent when people are told, by when its last reports arrived, newest first."""
        gaps = sorted(later - earlier for later, earlier in pairwise(seen))
        if len(gaps) < 2:
            return self.fallback
        return max(gaps[len(gaps) // 2] * self.silent_intervals, self.least_silence)


def causes(row: Row, rules: Rules, now: datetime) -> Iterator[Cause]:
    """What holds of a device by its row alone."""
    period = period_of(row.cycle_id, now)
    if row.state == State.RUNS_OUT and row.runs_out != NEVER:
        yield Cause("runs-out", row.device, period, f"on {row.runs_out}, {_used(row)}")
    elif row.state == State.STOPPED:
        yield Cause("stopped", row.device, period, f"{row.reasons or row.verdict}, {_used(row)}")
    elif row.state == State.CUT_OFF:
        yield Cause("carrier-stopped", row.device, period, row.said or f"{row.reasons or row.verdict}, {_used(row)}")
    if row.compared and row.beyond > max(rules.drift_octets, row.used * rules.drift_percent // 100):
        yield Cause("drift", row.device, period, f"{size(row.beyond)} unexplained of {size(abs(row.drift))}")


def ends(device: str, last: str, rules: Rules, now: datetime) -> Iterator[Cause]:
    """Whether a package whose last day is `last` is about to end, or has."""
    left = (date.fromisoformat(last) - (now + _CHINA).date()).days
    if left <= rules.package_days:
        yield Cause("package-ends", device, last, f"its package {'ended' if left < 0 else 'ends'} on {last}")


def low(pool: str, start: str, total: int, used: int, rules: Rules) -> Iterator[Cause]:
    """Whether little is left of a pool, in the cycle that began on `start`."""
    left = max(total - used, 0)
    if total > 0 and left * 1000 <= total * rules.pool_permille:  # of one that has nothing, nothing is known
        yield Cause("pool-low", pool, start, f"{size(left)} of {size(total)} left")


def of_alarm(kind: str, device: str, detail: str, cycle_id: int, at: datetime) -> Cause | None:
    """The cause in an alarm of the collector's; None where it has no rule."""
    rule = ALARMS.get(kind)
    if rule is None:
        return None
    told_apart = detail if rule in ("order-refused", "ledger-lost") else ""  # each is a loss of its own
    return Cause(rule, device, period_of(cycle_id, at), detail, told_apart)


def period_of(cycle_id: int, now: datetime) -> str:
    """The first day of the billing period, or of the month where the device knows none."""
    day = period_start(cycle_id) or (now + _CHINA).date().replace(day=1)
    return day.isoformat()


def _used(row: Row) -> str:
    return f"{size(row.used)} of {size(row.allowance)} used" if row.allowance > 0 else f"{size(row.used)} used"
