"""Grants to the members of a pool, from what its platform says is left and what the members report.

The members' plans have `pool.on_silence = "terminate"` or "retry_and_terminate": one that goes on when its grant has
ended is limited by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from host_tools.base.days import date_of, day_number
from host_tools.collector.order import Grant, Order
from host_tools.collector.order_book import State
from host_tools.collector.store import Received, Store
from host_tools.platforms.interface import Package
from host_tools.platforms.ledger import CarrierLedger, Figure
from host_tools.platforms.reconcile import cycle_begin, cycle_end
from host_tools.platforms.shares import SKEW, Member, Offer, divide

BY = "platform share"
_GRANT = "grant="
_WHOLE_CYCLE = timedelta(days=40)  # longer than any: the first grant of a cycle has no end of its own


@dataclass(frozen=True)
class Terms:
    """`first_grant_octets`: as the members' plans have it, used in each cycle without being asked for. A grant is valid
    for `valid`, and a member `silent` for so long gets no new one. `margin_permille` of the pool stay ungranted, for
    what the carrier counts more than the members; and for each member the octets of its `reports_a_day`, until the
    cycle's end: one whose share is used up goes on reporting."""

    first_grant_octets: int
    valid: timedelta
    silent: timedelta
    margin_permille: int
    reports_a_day: int = 0


@dataclass(frozen=True)
class Shared:
    """What was granted. `total`: what members may have together; `committed`: what they may believe to have now;
    `shares`: what each may use from now on, also where that is no new grant."""

    total: int
    committed: int
    granted: dict[str, int]
    silent: tuple[str, ...]
    shares: dict[str, int]


def share(store: Store, devices: list[str], pool: list[Package], terms: Terms, start: date, now: datetime) -> Shared:
    """Divides the pool of the cycle that began on `start`, and queues a grant for each member whose grant changes or
    has less than half of its time left. Nothing is sent meanwhile. ValueError where the platform does not say what the
    pool has."""
    with store.database.transaction():
        return _share(store, devices, pool, terms, start, now)


def _share(store: Store, devices: list[str], pool: list[Package], terms: Terms, start: date, now: datetime) -> Shared:
    if not pool or any(each.total is None for each in pool):
        raise ValueError("the platform does not say what the pool has")
    total = sum(each.total or 0 for each in pool)
    left = max(total - sum(each.used or 0 for each in pool), 0)
    latest = {device: store.latest(device) for device in devices}
    figures = _figures(store, devices, start)
    members = [_member(store, device, latest[device], figures.get(device), terms, start, now) for device in devices]
    days = max(cycle_end(start) - now, timedelta(0)) / timedelta(days=1)
    reports = round(len(devices) * terms.reports_a_day * days)
    total = max(total * (1000 - terms.margin_permille) // 1000 - reports, 0)
    others = _others(total - left, figures, start, now)
    members = [_with_need(each, max(total - others, 0) // len(members), terms, start, now) for each in members]
    for member in members:
        if member.silent:
            _withdraw(store, member.name)
    granted = {}
    shares = divide(total, others, members)
    for device, octets in shares.items():
        report = latest[device]
        if (
            report is not None
            and report.report.cycle_id == day_number(start)
            and _is_due(store, report, octets, terms, now)
        ):
            _give(store, report, octets, left, terms, now)
            granted[device] = octets
    committed = sum(member.committed for member in members)
    silent = tuple(member.name for member in members if member.silent)
    return Shared(total, committed, granted, silent, {member.name: member.committed for member in members} | shares)


def _figures(store: Store, devices: list[str], start: date) -> dict[str, Figure]:
    """The carrier's newest figure of each device's SIM in the cycle."""
    ledger = CarrierLedger(store.database)
    found = {device: ledger.figures(device, start) for device in devices}
    return {device: figures[-1] for device, figures in found.items() if figures}


def _others(used: int, figures: Mapping[str, Figure], start: date, now: datetime) -> int:
    """What SIMs that are no members will have used by the cycle's end, by what they have so far."""
    so_far = max(used - sum(figure.octets for figure in figures.values()), 0) if figures else 0
    passed, whole = now - cycle_begin(start), cycle_end(start) - cycle_begin(start)
    return round(so_far * (whole / passed)) if passed > timedelta(0) else so_far


def _member(
    store: Store,
    device: str,
    latest: Received | None,
    figure: Figure | None,
    terms: Terms,
    start: date,
    now: datetime,
) -> Member:
    cycle_id, begin = day_number(start), cycle_begin(start)
    first = Offer(terms.first_grant_octets, _WHOLE_CYCLE, begin, confirmed=True)
    used, used_at = (figure.octets, figure.as_of) if figure else (0, begin)
    if latest is None or latest.report.cycle_id != cycle_id:
        return Member(device, used, used_at, 0, (first,), silent=True)
    report = latest.report
    sent = [(at, order) for at, order in store.book.sent(device) if order.grant and order.grant.cycle_id == cycle_id]
    confirmed = [each for each in sent if each[1].counter <= report.counter][-1:]
    later = [each for each in sent if each[1].counter > report.counter]
    offers = [] if confirmed else [first]
    for at, order in confirmed + later:
        assert order.grant is not None
        octets = order.grant.granted_octets if order.grant.pool_octets else 0
        valid = timedelta(seconds=order.grant.valid_s)
        offers.append(Offer(octets, valid, max(at, latest.received_at), confirmed=order.counter <= report.counter))
    if latest.path == "coap":  # a short message may be of any time before
        used_at = max(used_at, latest.received_at - SKEW)
    used = max(used, report.cycle_rated_octets)
    return Member(device, used, used_at, 0, tuple(offers), silent=now - latest.received_at > terms.silent)


def _with_need(member: Member, even: int, terms: Terms, start: date, now: datetime) -> Member:
    """By what it has used so far, for as long as a grant is valid; at least its even share of that time."""
    begin, end = cycle_begin(start), cycle_end(start)
    passed = max(now - begin, timedelta(hours=1))
    ahead = min(terms.valid + terms.silent, max(end - now, timedelta(0)))
    need = max(round(member.used * (ahead / passed)), round(even * (ahead / (end - begin))))
    return Member(member.name, member.used, member.used_at, need, member.offers, member.silent)


def _is_due(store: Store, latest: Received, octets: int, terms: Terms, now: datetime) -> bool:
    """Whether the member does not have, or will not have for long, just this grant."""
    waiting = store.book.pending(latest.device)
    if waiting is not None and waiting.grant is not None:
        return waiting.grant.granted_octets != octets
    cycle_id = latest.report.cycle_id
    given = [(at, each.grant) for at, each in store.book.sent(latest.device) if each.grant]
    if not given or given[-1][1].cycle_id != cycle_id or given[-1][1].granted_octets != octets:
        return True
    return now - given[-1][0] > terms.valid / 2


def _withdraw(store: Store, device: str) -> None:
    """Cancels the grant that waits for a member's next report: it is no part of this division."""
    for given in store.book.given([device]):
        if given.state is State.WAITING and given.what.startswith(_GRANT):
            store.book.cancel(given.id)


def _give(store: Store, latest: Received, octets: int, left: int, terms: Terms, now: datetime) -> None:
    cycle_id = latest.report.cycle_id
    valid_s = int(terms.valid.total_seconds())
    order = Order(counter=1, grant=Grant(cycle_id, octets, valid_s, left)).checked()
    before = f"rated {latest.report.cycle_rated_octets:,} since {date_of(cycle_id)}"
    what = f"{_GRANT}{octets}"
    why = f"{left:,} octets are left of the pool"
    store.book.give(latest.device, order, now, by=BY, what=what, why=why, before=before)
