"""What is known of one device: its figures and the carrier's, verdicts, events, orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from host_tools.collector.order_book import Given
from host_tools.collector.period import period_start
from host_tools.collector.store import Alarm, Store
from host_tools.collector.verify import Figures, figures_of
from host_tools.fleet.standing import reasons_of, verdict_of
from host_tools.platforms.ledger import CarrierLedger, Figure

SPAN = timedelta(days=92)
_MOST_POINTS = 400  # in a picture
_Row = tuple[int, str, str, Figures]  # life, time, path; a device may have thousands, most of them only looked through


class Told(msgspec.Struct, frozen=True, gc=False):
    """A report as it arrived."""

    at: datetime
    path: str
    report: Figures


class Period(msgspec.Struct, frozen=True, gc=False):
    """The last report of a billing period, and the carrier's newest figure for it."""

    start: date | None
    rated: int
    carried: int
    bound: int
    carrier: Figure | None


class Stretch(msgspec.Struct, frozen=True, gc=False):
    """A verdict from one report to the one that changed it."""

    begin: datetime
    end: datetime
    verdict: str
    reasons: tuple[str, ...]


class DayUse(msgspec.Struct, frozen=True, gc=False):
    """What a device used in a day, by the times when its reports arrived, UTC."""

    day: date
    rated: int
    carried: int


class Details(msgspec.Struct, frozen=True, gc=False):
    """`drawn`: of reports of the present period, as many as a picture can show, the seconds since 1970, the rated
    octets of the period, and the error bound."""

    newest: Told
    drawn: list[tuple[int, int, int]]
    days: list[DayUse]
    periods: list[Period]
    figures: list[Figure]
    stretches: list[Stretch]
    alarms: list[Alarm]
    orders: list[Given]


def details(store: Store, device: str, now: datetime) -> Details | None:
    """None for a device that has never reported."""
    since = now - SPAN
    told = _told(store, device, since)
    if not told:
        return None
    figures = CarrierLedger(store.database).figures(device)
    *_, at, path, report = told[-1]
    return Details(
        Told(datetime.fromisoformat(at), path, report),
        list(_drawn(told)),
        list(_days(store, device, since.date())),
        list(_periods(told, figures)),
        [each for each in figures if each.as_of >= since],
        list(_stretches(told, now)),
        [each for each in store.alarms(device) if each.received_at >= since],
        store.book.given([device], now=now)[::-1],
    )


def _told(store: Store, device: str, since: datetime) -> list[_Row]:
    """The reports since then, and the newest one in any case, in the order in which the device made them."""
    rows = store.database.execute(
        "SELECT r.life, r.received_at, r.path, r.payload FROM report AS r JOIN newest AS n ON n.device = r.device"
        " WHERE r.device = ? AND (r.received_at >= ? OR (r.life = n.life AND r.boot_id = n.boot_id AND r.seq = n.seq))"
        " ORDER BY r.life, r.boot_id, r.seq",
        (device, since.astimezone(UTC).isoformat()),
    )
    figures = figures_of([payload for *_, payload in rows])
    return [(life, at, path, each) for (life, at, path, _), each in zip(rows, figures, strict=True)]


def _drawn(told: Sequence[_Row]) -> Iterator[tuple[int, int, int]]:
    life, *_, newest = told[-1]
    of_it = [each for each in told if each[0] == life and each[3].cycle_id == newest.cycle_id]
    step = -(-len(of_it) // _MOST_POINTS)
    for _, at, _, report in of_it[::-step][::-1]:
        yield int(datetime.fromisoformat(at).timestamp()), report.cycle_rated_octets, report.error_bound_octets


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


def _periods(told: Sequence[_Row], figures: Sequence[Figure]) -> Iterator[Period]:
    """The newest first."""
    last = {(life, report.cycle_id): report for life, _, _, report in told}
    of_carrier = {each.cycle_start: each for each in figures}
    for (_, cycle_id), report in reversed(last.items()):
        start = period_start(cycle_id)
        yield Period(
            start,
            report.cycle_rated_octets,
            report.cycle_carried_octets,
            report.error_bound_octets,
            of_carrier.get(start) if start else None,
        )


def _stretches(told: Sequence[_Row], now: datetime) -> Iterator[Stretch]:
    """In the order in which the device made the reports; a late one changes nothing that is newer."""
    _, first, _, report = told[0]
    begin, standing = datetime.fromisoformat(first), (report.verdict, report.reasons)
    for _, text, _, report in told:
        found = report.verdict, report.reasons
        if found != standing and (at := datetime.fromisoformat(text)) > begin:
            yield Stretch(begin, at, verdict_of(standing[0]), reasons_of(standing[1]))
            begin = at
        standing = found
    yield Stretch(begin, max(now, begin), verdict_of(standing[0]), reasons_of(standing[1]))
