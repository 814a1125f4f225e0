"""The simulated owner of a device, who sends it orders: those of the scenario, and what the carrier's platform shows.

The platform sends nothing to the device. The owner reads balance, dates and the pool there, and puts them into
an order, which the device receives with the acknowledgement of its next report.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from host_tools.base.days import date_of, day_number, instant
from host_tools.base.toml import Table
from host_tools.base.units import Octets, Seconds
from host_tools.collector.order import Allowance, Balance, CarrierUsed, Grant, Order, SetUsed, limits, o
from host_tools.collector.store import Store
from host_tools.collector.verify import Report

if TYPE_CHECKING:
    from host_tools.sim.carrier.carrier import News

USED_STEP_PERMILLE = 10
"""Of the cap or allowance: a carrier's figure that grew by less is not sent to the device, unless the error bound that
the device reports did."""

GRANT_EXPIRED = 0x0400
ASKS = 0
"""The reason to stop of a device whose share of a pool has ended, and the Reporting-Reason (THRESHOLD) of a report that
asks for another share; a report that only says that the share has ended needs none."""

Push = Literal["carrier_used", "balance", "expiry", "grant", "stop", "billing"]
_NEEDED_BY: dict[str, Push] = {
    "account": "balance", "package": "expiry", "pool": "grant", "lifecycle": "billing",
}  # fmt: skip
"""What a device cannot know by itself under a plan with such a table."""

_PARTS = {
    "limit_octets": (o.LIMIT, 0),
    "throttle_octets_s": (o.THROTTLE, 0),
    "expiry": (o.EXPIRY, 0),
    "balance_fen": (o.BALANCE, 1),
    "cost_fen": (o.BALANCE, 2),
    "carrier_used_octets": (o.CARRIER_USED, 1),
    "grant_octets": (o.GRANT, 1),
    "pool_octets": (o.GRANT, 3),
    "set_used_octets": (o.SET_USED, 1),
    "billing": (o.BILLING, 0),
    "new_sim_octets": (o.NEW_SIM, 0),
    "allowance_octets": (o.ALLOWANCE, 1),
    "operator": (o.OPERATOR, 0),
}
"""The key of an order, and the part of its value, that a field of an instruction becomes."""


def part_limits(field: str) -> tuple[int, int] | None:
    """The range of values that a device takes for a field of an instruction; None for a field without one."""
    return limits(*_PARTS[field]) if field in _PARTS else None


class OwnerConfig(Table, frozen=True):
    """The owner reads the platform when a report arrives, once in `news_s` at most, and passes on what `push` lists.

    Without `push` that is what the plan's tables need. A grant is valid for `valid_s`.
    """

    news_s: Seconds = Seconds(3_600)
    valid_s: Seconds = Seconds(86_400)
    push: list[Push] | None = None


class Instruction(Table, frozen=True, kw_only=True):
    """What the owner orders `at` this time after the start; the device receives it with its next report.

    Figures are of the cycle that the device reports. `cost_fen` goes with `balance_fen`: the cost that the balance
    already includes, by default what the device reports. `pool_octets` goes with `grant_octets`: what the whole pool
    has left, by default as much. `hold` has the classes to hold, and no others: [] for none.
    """

    at: Seconds
    stop: bool | None = None
    limit_octets: Octets | None = None
    throttle_octets_s: Octets | None = None
    expiry: date | None = None
    balance_fen: int | None = None
    cost_fen: int | None = None
    carrier_used_octets: Octets | None = None
    grant_octets: Octets | None = None
    pool_octets: Octets | None = None
    set_used_octets: Octets | None = None
    accept: bool = False
    release: bool = False
    billing: date | None = None
    new_sim_octets: Octets | None = None
    allowance_octets: Octets | None = None
    following: bool | None = None
    hold: list[str] | None = None
    diagnose: bool = False
    report_now: bool = False
    operator: int | None = None

    def fault(self) -> tuple[str, str, str] | None:
        """(field, problem, hint) of the first value that a device would refuse; None where it takes all of them."""
        for field, (key, part) in _PARTS.items():
            value = getattr(self, field)
            low, high = limits(key, part)
            if isinstance(value, date):
                if not low <= day_number(value) <= high:
                    return field, f"{value} is out of range", f"give a date from {date_of(low)} to {date_of(high)}"
            elif value is not None and not low <= value <= high:
                return field, f"{value} is out of range", f"give {low} to {high}"
        return None

    def is_due(self, start: datetime, now: datetime) -> bool:
        return now - start >= timedelta(seconds=self.at)

    def keys(self, report: Report, now: datetime, valid_s: int, classes: Sequence[str]) -> dict[str, Any]:
        """The keys of an order to a device with these classes that sent this report now."""
        cycle = report.cycle_id
        keys: dict[str, Any] = {
            "stop": None if self.stop is None else int(self.stop),
            "limit": self.limit_octets,
            "throttle": self.throttle_octets_s,
            "expiry": None if self.expiry is None else day_number(self.expiry),
            "accept": 1 if self.accept else None,
            "release": 1 if self.release else None,
            "billing": None if self.billing is None else day_number(self.billing),
            "new_sim": self.new_sim_octets,
            "hold": None if self.hold is None else sum(1 << classes.index(each) for each in set(self.hold)),
            "diagnose": 1 if self.diagnose else None,
            "report_now": 1 if self.report_now else None,
            "operator": self.operator,
        }
        if self.balance_fen is not None:
            cost = report.cost_fen if self.cost_fen is None else self.cost_fen
            keys["balance"] = Balance(cycle, self.balance_fen, cost)
        if self.carrier_used_octets is not None:
            keys["carrier_used"] = CarrierUsed(cycle, self.carrier_used_octets, *instant(now), report.rated_octets)
        if self.grant_octets is not None:
            pool = self.grant_octets if self.pool_octets is None else self.pool_octets
            keys["grant"] = Grant(cycle, self.grant_octets, valid_s, pool)
        if self.set_used_octets is not None:
            keys["set_used"] = SetUsed(cycle, self.set_used_octets)
        if self.allowance_octets is not None:
            keys["allowance"] = Allowance(cycle, self.allowance_octets, int(bool(self.following)))
        return {key: value for key, value in keys.items() if value is not None}


class Owner:
    """Gives a collector the orders for one device (`order`). `sent` counts them.

    `plan` and `classes` are the device's, `start` is the instant from which `instructions` count. `news` reads the
    platform, `cycle_id` gives the device's number of the cycle that the platform knows by a label.
    """

    def __init__(
        self,
        store: Store,
        start: datetime,
        plan: Mapping[str, Any],
        instructions: Sequence[Instruction],
        config: OwnerConfig,
        news: Callable[[], News],
        cycle_id: Callable[[str], int],
        classes: Sequence[str] = (),
    ) -> None:
        self.store = store
        self.sent = 0
        self._start = start
        self._plan = plan
        self._open = sorted(instructions, key=lambda instruction: instruction.at)
        self._config = config
        self._news = news
        self._cycle_id = cycle_id
        self._classes = classes
        needed = [push for table, push in _NEEDED_BY.items() if table in plan]
        self._push = frozenset(needed if config.push is None else config.push)
        self._read_at: datetime | None = None
        self._expiry: int | None = None
        self._stopped = False
        self._billed = False
        self._balance: Balance | None = None
        self._used: CarrierUsed | None = None
        self._used_doubt = 0  # error bound that the device reported then
        self._grant: Grant | None = None
        self._granted_at = start
        self._behind: dict[str, Any] = {}  # keys that go after a stop

    def stop(self, device: str, report: Report, now: datetime) -> Order | None:
        """The order to stop that is due while an earlier order waits for the device, or None."""
        due = [each for each in self._open if each.is_due(self._start, now)]
        said = [each.stop for each in due if each.stop is not None]
        pushed = "stop" in self._push and self._is_due(now) and not self._stopped and "manual" in self._news().stops
        if not pushed and (not said or not said[-1]):
            return None
        self._stopped = self._stopped or pushed
        left = [msgspec.structs.replace(each, stop=None) for each in due]
        self._open = [each for each in left if each != Instruction(at=each.at)] + self._open[len(due) :]
        return self._next(device, {"stop": 1})

    def order(self, device: str, report: Report, now: datetime) -> Order | None:
        """The order for the device now, or None; instructions of the scenario override what the platform shows.

        A stop goes alone, so that it does not depend on what the device makes of other keys.
        """
        keys, self._behind = self._behind, {}
        if self._push and (self._is_due(now) or _asks(report)):
            self._read_at = now
            news = self._news()
            cycle = self._cycle_id(news.cycle_label)
            keys.update(self._shown(news, cycle))
            if "carrier_used" in self._push and (used := self._used_news(news, cycle, device)):
                keys["carrier_used"] = used
            if "grant" in self._push and (grant := self._grant_news(news, cycle, report, now)):
                keys["grant"] = grant
        while self._open and self._open[0].is_due(self._start, now):
            keys.update(self._open.pop(0).keys(report, now, self._config.valid_s, self._classes))
        if not keys:
            return None
        if keys.get("stop"):
            self._behind = {key: value for key, value in keys.items() if key != "stop"}
            keys = {"stop": 1}
        return self._next(device, keys)

    def _is_due(self, now: datetime) -> bool:
        """Whether the owner reads the platform with this report."""
        return self._read_at is None or now - self._read_at >= timedelta(seconds=self._config.news_s)

    def _next(self, device: str, keys: dict[str, Any]) -> Order:
        self.sent += 1
        return Order(counter=self.store.book.next_counter(device), **keys).checked()

    def _shown(self, news: News, cycle: int) -> Iterator[tuple[str, Any]]:
        """(key, value) of what the platform shows and was not sent to the device yet."""
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
        used = CarrierUsed(cycle, news.used_octets, *instant(news.used_as_of), then.report.rated_octets)
        last, step = self._used, (news.sim_cap or self._plan["allowance_octets"]) * USED_STEP_PERMILLE // 1000
        doubt = then.report.error_bound_octets
        known = last is not None and last.cycle_id == cycle and 0 <= used.octets - last.octets < step
        if known and doubt < self._used_doubt + step:
            return None
        self._used, self._used_doubt = used, doubt
        return used

    def _grant_news(self, news: News, cycle: int, report: Report, now: datetime) -> Grant | None:
        if news.pool_remaining is None or news.phase != "billing":
            return None
        # Half of an even share: however many members are granted theirs at once, the pool holds it.
        share = news.pool_remaining // (2 * news.pool_members)
        used = max(news.used_octets, report.cycle_rated_octets if report.cycle_id == cycle else 0)
        granted = used + share if news.sim_cap is None else min(used + share, news.sim_cap)
        grant = Grant(cycle, granted, self._config.valid_s, news.pool_remaining)
        last, asked = self._grant, _asks(report)
        if (
            last is not None
            and last.cycle_id == cycle
            and not asked
            and bool(last.pool_octets) == bool(grant.pool_octets)
            and 4 * abs(granted - last.granted_octets) <= share
            and now - self._granted_at < timedelta(seconds=self._config.valid_s) / 2
        ):
            return None
        self._grant, self._granted_at = grant, now
        return grant


def _asks(report: Report) -> bool:
    return bool(report.reasons & GRANT_EXPIRED) and report.reporting_reason == ASKS


def _before_cost(balance: Balance) -> tuple[int, int]:
    return balance.cycle_id, balance.balance_fen + balance.cost_fen
