"""What is known of one device: its figures and the carrier's, verdicts, events, orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from host_tools.base.days import date_of
from host_tools.collector.order_book import Given
from host_tools.collector.store import Alarm, Store
from host_tools.collector.verify import Report, decode_report
from host_tools.fleet.standing import reasons_of, verdict_of
from host_tools.platforms.ledger import CarrierLedger, Figure, Sim
from host_tools.platforms.reconcile import Rating, Reconciled, reconcile
from host_tools.platforms.sync import facts_of

SPAN = timedelta(days=92)
_MOST_POINTS = 400  # in a picture


@dataclass(frozen=True)
class Told:
    """A report as it arrived."""

    at: datetime
    path: str
    life: int
    report: Report


@dataclass(frozen=True)
class Period:
    """The last report of a billing period, and the carrier's newest figure for it."""

    start: date | None
    rated: int
    carried: int
    bound: int
    carrier: Figure | None


@dataclass(frozen=True)
class Stretch:
    """A verdict from one report to the one that changed it."""

    begin: datetime
    end: datetime
    verdict: str
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class DayUse:
    """What a device used in a day, by the times when its reports arrived, UTC."""

    day: date
    rated: int
    carried: int


@dataclass(frozen=True)
class Details:
    told: list[Told]
    days: list[DayUse]
    periods: list[Period]
    figures: list[Figure]
    stretches: list[Stretch]
    alarms: list[Alarm]
    orders: list[Given]
    sim: Sim | None
    compared: Reconciled | None

    @property
    def newest(self) -> Told:
        return self.told[-1]

    def in_period(self) -> list[Told]:
        """Reports of the present period, so many as a picture can show."""
        newest = self.newest
        of_it = [
            each for each in self.told
            if (each.life, each.report.cycle_id) == (newest.life, newest.report.cycle_id)
        ]  # fmt: skip
        step = -(-len(of_it) // _MOST_POINTS)
        return of_it[:: -max(step, 1)][::-1]


def details(store: Store, device: str, now: datetime, rating: Rating) -> Details | None:
    """None for a device that has never reported."""
    since = now - SPAN
    told = list(_told(store, device, since))
    if not told:
        return None
    ledger = CarrierLedger(store.database)
    figures = ledger.figures(device)
    facts = facts_of(store, figures[-1]) if figures else None
    return Details(
        told,
        list(_days(store, device, since.date())),
        list(_periods(told, figures)),
        [each for each in figures if each.as_of >= since],
        list(_stretches(told, now)),
        [each for each in store.alarms(device) if each.received_at >= since],
        store.book.given([device], now=now)[::-1],
        ledger.sim(device),
        reconcile(facts, rating) if facts else None,
    )


def _told(store: Store, device: str, since: datetime) -> Iterator[Told]:
    """The reports since then, and the newest one in any case, in the order in which the device made them."""
    for at, path, life, payload in store.database.execute(
        "SELECT r.received_at, r.path, r.life, r.payload FROM report AS r JOIN newest AS n ON n.device = r.device"
        " WHERE r.device = ? AND (r.received_at >= ? OR (r.life = n.life AND r.boot_id = n.boot_id AND r.seq = n.seq))"
        " ORDER BY r.life, r.boot_id, r.seq",
        (device, since.astimezone(UTC).isoformat()),
    ):
        yield Told(datetime.fromisoformat(at), path, life, decode_report(payload))


def _days(store: Store, device: str, since: date) -> Iterator[DayUse]:
    """What each day has more than the day before it in the same life; a life begins from nothing."""
    before: dict[int, tuple[int, int]] = {}
    used: dict[date, tuple[int, int]] = {}
    for each in store.days(device):
        rated, carried = before.get(each.life, (0, 0))
        more = max(each.rated_octets - rated, 0), max(each.carried_octets - carried, 0)
        before[each.life] = max(each.rated_octets, rated), max(each.carried_octets, carried)
        others = used.get(each.day, (0, 0))
        used[each.day] = others[0] + more[0], others[1] + more[1]
    for day, (rated, carried) in used.items():
        if day >= since:
            yield DayUse(day, rated, carried)


def _periods(told: Sequence[Told], figures: Sequence[Figure]) -> Iterator[Period]:
    """The newest first."""
    last: dict[tuple[int, int], Report] = {}
    for each in told:
        last[each.life, each.report.cycle_id] = each.report
    of_carrier = {each.cycle_start: each for each in figures}
    for (_, cycle_id), report in reversed(last.items()):
        start = date_of(cycle_id) if cycle_id > 2 else None
        yield Period(
            start,
            report.cycle_rated_octets,
            report.cycle_carried_octets,
            report.error_bound_octets,
            of_carrier.get(start) if start else None,
        )


def _stretches(told: Sequence[Told], now: datetime) -> Iterator[Stretch]:
    """In the order in which the device made the reports; a late one changes nothing that is newer."""
    begin, standing = told[0].at, (told[0].report.verdict, told[0].report.reasons)
    for each in told[1:]:
        found = each.report.verdict, each.report.reasons
        if found != standing and each.at > begin:
            yield Stretch(begin, each.at, verdict_of(standing[0]), reasons_of(standing[1]))
            begin = each.at
        standing = found
    yield Stretch(begin, max(now, begin), verdict_of(standing[0]), reasons_of(standing[1]))
