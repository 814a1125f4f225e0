"""The owner's desk: what a device is ordered, by the owner himself and from what the carrier's platform shows.

The platform tells a device nothing. What its owner sees there, of money, dates and the pool, gets to the device
with the acknowledgement of its next report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from host_tools.collector.order import Balance, CarrierUsed, Fen, Grant, Order, SetUsed
from host_tools.collector.store import Store
from host_tools.collector.verify import EPOCH, Report
from host_tools.units import Octets, Seconds

if TYPE_CHECKING:
    from host_tools.sim.carrier.carrier import News

USED_STEP_PERMILLE = 10
"""Of the cap or allowance: a carrier's figure that grew by less is no news."""

GRANT_EXPIRED = 0x0400
ASKS = 0
"""The reason to stop of a device that gave its share of a pool back, or outlived it; and the Reporting-Reason
(THRESHOLD) by which it wants another: one that tells of the end alone has no use for a share."""

LAST_DAY = (1 << 16) - 1
MAX_RATE = (1 << 30) - 1
"""The last day number, and the most octets per second, that an order can say."""

Push = Literal["carrier_used", "balance", "expiry", "grant", "stop", "billing"]
_NEEDED_BY: dict[str, Push] = {
    "account": "balance", "package": "expiry", "pool": "grant", "lifecycle": "billing",
}  # fmt: skip
"""What a device cannot know by itself under a plan with such a table."""


class DeskRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The platform is read when a report comes, every `news_s` at the most; what of it is passed on is `push`.

    Without `push`: what the plan's tables need. A grant holds for `valid_s`.
    """

    news_s: Seconds = Seconds(3_600)
    valid_s: Seconds = Seconds(86_400)
    push: list[Push] | None = None


class Instruction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the owner orders `at` this time after the beginning; the device has it with its next report.

    Figures of a cycle are of the one that the device reports. `cost_fen` goes with `balance_fen`: the cost that
    is taken off it already, by default what the device reports. `pool_octets` goes with `grant_octets`: what
    the whole pool has left, by default as much.
    """

    at: Seconds
    stop: bool | None = None
    limit_octets: Octets | None = None
    throttle_octets_s: Octets | None = None
    expiry: date | None = None
    balance_fen: Fen | None = None
    cost_fen: Annotated[int, msgspec.Meta(ge=0, lt=1 << 31)] | None = None
    carrier_used_octets: Octets | None = None
    grant_octets: Octets | None = None
    pool_octets: Octets | None = None
    set_used_octets: Octets | None = None
    accept: bool = False
    release: bool = False
    billing: date | None = None

    def keys(self, report: Report, now: datetime, valid_s: int) -> dict[str, Any]:
        """An order's keys, for a device that sent this report now."""
        cycle = report.cycle_id
        keys: dict[str, Any] = {
            "stop": None if self.stop is None else int(self.stop),
            "limit": self.limit_octets,
            "throttle": self.throttle_octets_s,
            "expiry": None if self.expiry is None else day_number(self.expiry),
            "accept": 1 if self.accept else None,
            "release": 1 if self.release else None,
            "billing": None if self.billing is None else day_number(self.billing),
        }
        if self.balance_fen is not None:
            cost = report.cost_fen if self.cost_fen is None else self.cost_fen
            keys["balance"] = Balance(cycle, self.balance_fen, cost)
        if self.carrier_used_octets is not None:
            keys["carrier_used"] = CarrierUsed(
                cycle, self.carrier_used_octets, *_instant(now), report.rated_octets
            )
        if self.grant_octets is not None:
            pool = self.grant_octets if self.pool_octets is None else self.pool_octets
            keys["grant"] = Grant(cycle, self.grant_octets, valid_s, pool)
        if self.set_used_octets is not None:
            keys["set_used"] = SetUsed(cycle, self.set_used_octets)
        return {key: value for key, value in keys.items() if value is not None}


class Desk:
    """Gives a collector the orders of one device (`order`). `sent` counts them.

    `plan` is the device's, `start` is the instant from which `instructions` count. `news` reads the platform,
    `cycle_id` gives the device's number for the cycle that the platform calls by a label.
    """

    def __init__(
        self,
        store: Store,
        start: datetime,
        plan: Mapping[str, Any],
        instructions: Sequence[Instruction],
        rules: DeskRules,
        news: Callable[[], News],
        cycle_id: Callable[[str], int],
    ) -> None:
        self.store = store
        self.sent = 0
        self._start = start
        self._plan = plan
        self._open = sorted(instructions, key=lambda instruction: instruction.at)
        self._rules = rules
        self._news = news
        self._cycle_id = cycle_id
        needed = [push for table, push in _NEEDED_BY.items() if table in plan]
        self._push = frozenset(needed if rules.push is None else rules.push)
        self._read_at: datetime | None = None
        self._expiry: int | None = None
        self._stopped = False
        self._billed = False
        self._balance: Balance | None = None
        self._used: CarrierUsed | None = None
        self._grant: Grant | None = None
        self._granted_at = start

    def order(self, device: str, report: Report, now: datetime) -> Order | None:
        """What to tell the device now, if anything; the owner's own word counts before the platform's."""
        keys: dict[str, Any] = {}
        due = self._read_at is None or now - self._read_at >= timedelta(seconds=self._rules.news_s)
        if self._push and (due or _asks(report)):
            self._read_at = now
            news = self._news()
            cycle = self._cycle_id(news.cycle_label)
            keys.update(self._shown(news, cycle))
            if "carrier_used" in self._push and (used := self._used_news(news, cycle, device)):
                keys["carrier_used"] = used
            if "grant" in self._push and (grant := self._grant_news(news, cycle, report, now)):
                keys["grant"] = grant
        while self._open and now - self._start >= timedelta(seconds=self._open[0].at):
            keys.update(self._open.pop(0).keys(report, now, self._rules.valid_s))
        if not keys:
            return None
        self.sent += 1
        return Order(counter=self.store.next_counter(device), **keys).checked()

    def _shown(self, news: News, cycle: int) -> Iterator[tuple[str, Any]]:
        """What is passed on as the platform shows it, where it is not what was passed on last."""
        if "expiry" in self._push and news.expires is not None:
            expiry = day_number(news.expires)
            if expiry != self._expiry:
                self._expiry = expiry
                yield "expiry", expiry
        if "stop" in self._push:
            stopped = "manual" in news.stops
            if stopped != self._stopped:
                self._stopped = stopped
                yield "stop", int(stopped)
        if "billing" in self._push and news.billing_since is not None and not self._billed:
            self._billed = True
            yield "billing", day_number(news.billing_since)
        if "balance" in self._push and news.balance_fen is not None:
            balance = Balance(cycle, news.balance_fen, news.cost_fen)
            # The device takes its own cost off: only money that came, or went otherwise, is news.
            if self._balance is None or _before_cost(balance) != _before_cost(self._balance):
                self._balance = balance
                yield "balance", balance

    def _used_news(self, news: News, cycle: int, device: str) -> CarrierUsed | None:
        # The device adds what it has used since. A report that had arrived by then knows at the most what the
        # platform knows, so that nothing is left out; one of another cycle would add that cycle's usage.
        then = self.store.as_of(device, news.used_as_of)
        if then is None or then.report.cycle_id != cycle:
            return None
        used = CarrierUsed(cycle, news.used_octets, *_instant(news.used_as_of), then.report.rated_octets)
        last, step = self._used, (news.sim_cap or self._plan["allowance_octets"]) * USED_STEP_PERMILLE // 1000
        if last is not None and last.cycle_id == cycle and 0 <= used.octets - last.octets < step:
            return None
        self._used = used
        return used

    def _grant_news(self, news: News, cycle: int, report: Report, now: datetime) -> Grant | None:
        if news.pool_remaining is None or news.phase != "billing":
            return None
        # Half of an even share: however many members are granted theirs at once, the pool holds it.
        share = news.pool_remaining // (2 * news.pool_members)
        used = max(news.used_octets, report.cycle_rated_octets if report.cycle_id == cycle else 0)
        granted = used + share if news.sim_cap is None else min(used + share, news.sim_cap)
        grant = Grant(cycle, granted, self._rules.valid_s, news.pool_remaining)
        last, asked = self._grant, _asks(report)
        if (
            last is not None
            and last.cycle_id == cycle
            and not asked
            and bool(last.pool_octets) == bool(grant.pool_octets)
            and 4 * abs(granted - last.granted_octets) <= share
            and now - self._granted_at < timedelta(seconds=self._rules.valid_s) / 2
        ):
            return None
        self._grant, self._granted_at = grant, now
        return grant


def _asks(report: Report) -> bool:
    return bool(report.reasons & GRANT_EXPIRED) and report.reporting_reason == ASKS


def day_number(day: date) -> int:
    """Days since 2000-01-01, in whatever zone the date is of."""
    return (day - EPOCH.date()).days


def _instant(at: datetime) -> tuple[int, int]:
    since = at.astimezone(UTC) - EPOCH
    return since.days, since.seconds


def _before_cost(balance: Balance) -> tuple[int, int]:
    return balance.cycle_id, balance.balance_fen + balance.cost_fen
