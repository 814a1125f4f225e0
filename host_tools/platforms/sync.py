"""Brings what a platform says into the collector's database, and the carrier's figures to the devices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from host_tools.base.days import day_number
from host_tools.base.errors import UsageError
from host_tools.collector import instructions
from host_tools.collector.period import period_start
from host_tools.collector.store import Received, Store
from host_tools.collector.verify import decode_report
from host_tools.platforms.interface import Answers, BudgetSpent, Platform, PlatformError, Refused, Usage
from host_tools.platforms.ledger import CarrierLedger, Figure, Sim, pool_of
from host_tools.platforms.reconcile import Facts, cycle_begin, month_of, stops_first

BY = "platform sync"
_CARRIER_STOP = 0x000004  # a reason of a report (SPEC.md)
_FIRST_EVENTS = timedelta(days=2)  # how far back the first call looks
_ENDS_SOON = timedelta(days=31)
_ASKS_AGAIN = timedelta(days=1)
_LEAST_OCTETS = 4096
_LEAST_SHARE = 256  # of a figure: less of a difference is not worth an order's octets


@dataclass
class Synced:
    """What a call of `sync` has done. `problem`: why it is not complete, "" where it is."""

    figures: int = 0
    states: int = 0
    orders: list[str] = field(default_factory=list)
    alarms: list[tuple[str, str, str]] = field(default_factory=list)  # device, kind, detail
    problems: dict[str, str] = field(default_factory=dict)  # by device
    problem: str = ""


class Sync:
    """One account: the SIM of each device, the platform's client, the collector's store, and the pool that the SIMs are
    in, "" for none."""

    def __init__(self, name: str, sims: Mapping[str, str], platform: Platform, store: Store, pool: str = "") -> None:
        self._pool = pool
        self._name = name
        self._sims = dict(sims)
        self._devices = {sim: device for device, sim in sims.items()}
        self._platform = platform
        self._store = store
        self.ledger = CarrierLedger(store.database)

    async def run(self, now: datetime) -> Synced:
        """Asks for figures of all SIMs, then for the states of those that may have changed, as long as calls are left.
        What was answered before a platform fails is kept and acted on."""
        done = Synced()
        try:
            sims, many = list(self._sims.values()), self._platform.capabilities.batch_max
            for begin in range(0, len(sims), many):
                self._keep(await self._platform.usage(sims[begin : begin + many]), done)
            await self._states(now, done)
            await self._ask_for_pool(now, done)
        except BudgetSpent:
            done.problem = "the budget of calls is used up; the rest follows with the next call"
        except PlatformError as error:
            done.problem = str(error)
        for device in self._sims:
            self._act(device, now, done)
        self.ledger.note_sync(self._name, now, done.problem)
        return done

    def _keep(self, usage: Answers[Usage], done: Synced) -> None:
        with self._store.database.transaction():  # which the disk writes once
            for sim, found in usage.found.items():
                self.ledger.add(self._devices[sim], found)
        done.figures += len(usage.found)
        done.problems |= {self._devices[sim]: problem.message for sim, problem in usage.problems.items()}

    async def _states(self, now: datetime, done: Synced) -> None:
        """Asks for SIMs that the platform lists as changed, that were never asked for, or too long ago; for all where
        it has no such list. And for those whose devices are refused: used-up data changes no SIM's state."""
        last = self.ledger.last_sync(self._name) or now - _FIRST_EVENTS
        changed = set(self._devices)
        if self._platform.capabilities.can.events:
            changed = {event.sim for event in await self._platform.events((last - timedelta(hours=16)).date())}
        known = {device: self.ledger.sim(device) for device in self._sims}
        wanted = []
        for device, sim in self._sims.items():
            before = known[device]
            if sim in changed or before is None or before.sim != sim or self._is_old(before, now):
                wanted.append((before is not None and sim not in changed, device, sim))
        for _, device, sim in sorted(wanted):
            answers = await self._platform.state([sim])
            if sim in answers.problems:
                done.problems[device] = answers.problems[sim].message
                continue
            state = answers.found[sim]
            self.ledger.put(device, state, now)
            done.states += 1
            was, is_now = known[device], self.ledger.sim(device)
            if is_now and not is_now.runs and (was is None or was.told != is_now.told):
                reasons = ", ".join(state.stop_reasons) or "no reason given"
                detail = f"SIM {state.life}, data {state.data}: {reasons}"
                self._alarm(device, "carrier_stopped", detail, now, None, done)
            packages = await self._platform.plan(sim)
            ends = min((each.expires for each in packages if each.expires), default=None)
            self.ledger.put_plan(device, sum(each.total for each in packages if each.total), ends)

    async def _ask_for_pool(self, now: datetime, done: Synced) -> None:
        if not self._pool:
            return
        try:
            packages = await self._platform.pool(self._pool)
        except Refused as error:  # some platforms have none to tell of
            done.problems[self._pool] = str(error)
            return
        self.ledger.put_pool(pool_of(self._pool, month_of(now), now, packages, dict.fromkeys(self._sims)))

    def _is_old(self, sim: Sim, now: datetime) -> bool:
        """Whether a SIM is to be asked for again: until it runs, once in each cycle for its allowance, and once a day
        while its package ends soon, as it may be renewed."""
        newest = self.ledger.newest(sim.device)
        latest = self._store.latest(sim.device)
        return (
            not sim.runs
            or (latest is not None and latest.report.reasons & _CARRIER_STOP and latest.received_at > sim.asked_at)
            or sim.total_octets is None
            or (sim.ends is not None and sim.ends <= (now + _ENDS_SOON).date() and now - sim.asked_at >= _ASKS_AGAIN)
            or (newest is not None and sim.asked_at < cycle_begin(newest.cycle_start))
        )

    # --- what follows from it ---

    def _act(self, device: str, now: datetime, done: Synced) -> None:
        latest = self._store.latest(device)
        figure, sim = self.ledger.newest(device), self.ledger.sim(device)
        if latest is None:
            return
        facts = facts_of(self._store, figure) if figure else None
        if figure and facts and not figure.given and is_worth_an_order(facts):
            self._order(figure, latest, now, done)
        if sim and sim.runs and facts and sim.total_octets:
            at = stops_first(facts, latest.report.cycle_rated_octets, latest.received_at, sim.total_octets)
            if at is not None:
                detail = f"the carrier's figure reaches the plan on {at:%Y-%m-%d}, before the device's does"
                self._alarm(device, "carrier_stops_first", detail, now, cycle_begin(facts.cycle_start), done)

    def _order(self, figure: Figure, latest: Received, now: datetime, done: Synced) -> None:
        from host_tools.collector.ordering import describe

        what = f"carrier-used={figure.octets}@{figure.as_of.isoformat()}"
        about = instructions.About(latest, partial(self._store.as_of, figure.device), now)
        try:
            order = instructions.order(what, about)
        except UsageError as error:
            done.problems[figure.device] = str(error)
            return
        given = self._store.book.give(
            figure.device, order, now, by=BY, what=what, why=f"{figure.source} of {self._name}", before=describe(latest)
        )
        self.ledger.note_order(figure, given)
        done.orders.append(f"{figure.device}: {what}")

    def _alarm(self, device: str, kind: str, detail: str, now: datetime, since: datetime | None, done: Synced) -> None:
        if self.ledger.alarm(device, kind, detail, now, since):
            done.alarms.append((device, kind, detail))


def facts_of(store: Store, figure: Figure, *, ended: bool = False) -> Facts | None:
    """The device's side of a figure; None where no report of that cycle had arrived by then, and where the device was
    in a later cycle already, unless with `ended`."""
    then = store.as_of(figure.device, figure.as_of, day_number(figure.cycle_start) if ended else None)
    if then is None or period_start(then.report.cycle_id) != figure.cycle_start:
        return None
    report = then.report
    present = "device = ? AND life = (SELECT MAX(life) FROM life WHERE device = ?)"
    later = store.database.first(
        f"SELECT carried_octets FROM report WHERE {present}"
        " AND cycle_id = ? AND received_at > ? ORDER BY received_at, boot_id, seq LIMIT 1",
        (figure.device, figure.device, report.cycle_id, figure.as_of.astimezone(UTC).isoformat()),
    )
    grown = later[0] - report.carried_octets if later else 0
    if ended and not later:
        following = store.database.first(
            f"SELECT payload FROM report WHERE {present} AND cycle_id > ? ORDER BY boot_id, seq LIMIT 1",
            (figure.device, figure.device, report.cycle_id),
        )
        grown = decode_report(following[0]).carried_base - report.carried_octets if following else 0
    packets, sessions = store.traffic(figure.device, report.cycle_id) or (None, None)
    return Facts(
        figure.device,
        figure.cycle_start,
        figure.as_of,
        figure.octets,
        report.cycle_carried_octets,
        report.cycle_rated_octets,
        report.error_bound_octets,
        then.received_at,
        max(grown, 0),
        packets,
        sessions,
        store.reports_lost(figure.device),
    )


def is_worth_an_order(facts: Facts) -> bool:
    """Whether the carrier has so much more than the device's own figure that the device should know."""
    return facts.carrier - facts.rated > max(_LEAST_OCTETS, facts.carrier // _LEAST_SHARE)
