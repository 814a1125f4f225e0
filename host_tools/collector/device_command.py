"""`usageguard device`: what a collector knows of its devices, and their tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text

from host_tools.base import files, paths
from host_tools.base.errors import UsageError
from host_tools.base.terminal import Column, Listing, Pairs, out
from host_tools.base.units import Seconds, size
from host_tools.collector.database_file import DB, DbOption, members, opened
from host_tools.collector.period import period_name

if TYPE_CHECKING:
    from host_tools.collector.store import Received, Store
    from host_tools.collector.verify import Report

_ALARM_DAYS = 31
_TAG = re.compile(r"[A-Za-z0-9][\w.-]{0,63}", re.ASCII)

app = typer.Typer(no_args_is_help=True, help="List devices by their reports, show one, or tag them.")
JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="FILE|-", help="Write it as JSON; - is standard output.")
]
DevicesArgument = Annotated[list[str], typer.Argument(metavar="DEVICE|@TAG…", help="The devices' ids.")]


@app.command("list")
def show_all(
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="DEVICE|@TAG…", help="These alone, or those that have the tag.")
    ] = None,
    silent: Annotated[
        str, typer.Option(metavar="TIME", help="Only those that have not reported for so long, as in 6h.")
    ] = "",
    stopped: Annotated[
        bool, typer.Option("--stopped", help="Only those that send nothing but reports, or nothing.")
    ] = False,
    db: DbOption = DB,
    json_file: JsonOption = None,
) -> None:
    """List devices with their newest report: the longest silent first. Alarms are those of the last 31 days."""
    now = datetime.now(UTC)
    with opened(db) as store:
        latest = [_latest(store, device) for device in members(store, devices or store.devices())]
        if silent:
            latest = [each for each in latest if now - each.received_at >= _duration(silent)]
        if stopped:
            latest = [each for each in latest if _is_stopped(each.report)]
        latest.sort(key=lambda each: each.received_at)
        rows = [_summary(store, each, now) for each in latest]
    if json_file:
        files.write_json(json_file, rows)
    if json_file == "-":
        return
    if not rows:
        out.print("no devices")
        return
    listing = Listing(
        [
            Column("device"),
            Column("tags", least=6),
            Column("last report", right=True),
            Column("verdict", least=10),
            Column("used", right=True),
            Column("uncertain", right=True),
            Column("lost", right=True),
            Column("alarms", right=True),
            Column("order", least=8),
        ]
    )
    for each, row in zip(latest, rows, strict=True):
        cells = (
            row["device"],
            " ".join(row["tags"]),
            f"{age_of(now - each.received_at)} ago",
            row["standing"],
            size(row["rated_octets"]),
            f"±{size(row['error_bound_octets'])}",
            f"{row['reports_lost']:,}",
            f"{row['alarm_count']:,}",
            " ".join(row["orders_waiting"]),
        )
        listing.add(*map(escape, cells))
    out.print(listing)


@app.command()
def show(
    device: Annotated[str, typer.Argument(metavar="DEVICE")],
    db: DbOption = DB,
    json_file: JsonOption = None,
) -> None:
    """Show what is known of a device: its newest report, periods, alarms and orders."""
    from host_tools.collector.server import evidence

    now = datetime.now(UTC)
    with opened(db) as store:
        latest = _latest(store, device)
        history = store.history(device)
        found = _summary(store, latest, now)
        alarms = store.alarms(device)
        orders = store.book.given([device], now=now)
    full = next((each for each in reversed(history) if each.report.packets >= 0), None)
    periods = list(_periods(history))
    found |= {
        "evidence": list(evidence(full.report)) if full else [],
        "evidence_at": full.received_at.isoformat() if full else None,
        "periods": periods,
        "alarms": [{"at": each.received_at.isoformat(), "kind": each.kind, "detail": each.detail} for each in alarms],
        "orders": [{"id": each.id, "order": each.what, "state": each.state.value} for each in orders],
    }
    if json_file:
        files.write_json(json_file, found)
    if json_file == "-":
        return
    report = latest.report
    age = age_of(now - latest.received_at)
    modem = f"{', '.join(found['evidence'])} at {full.received_at:%Y-%m-%d %H:%M} UTC" if full else "not told"
    rows = [
        ("tags", " ".join(found["tags"]) or "none"),
        ("last report", f"{latest.received_at:%Y-%m-%d %H:%M} UTC by {latest.path}, {age} ago"),
        ("verdict", found["standing"]),
        ("modem", modem),
        ("boot", f"{report.boot_id}, {report.app_restarts:,} crashes of the application in it"),
        ("reports", f"{found['reports_received']:,} received, {found['reports_lost']:,} lost"),
    ]
    out.print(Pairs([(name, Text(text)) for name, text in rows]))
    table = Listing(
        [Column("period"), Column("used", right=True), Column("carried", right=True), Column("uncertain", right=True)]
    )
    for each in periods:
        figures = (each["rated_octets"], each["carried_octets"], each["error_bound_octets"])
        table.add(each["period"], *map(size, figures))
    out.print(table)
    for alarm in alarms:
        out.print(f"[red]{alarm.kind}[/] {alarm.received_at:%Y-%m-%d %H:%M} {escape(alarm.detail)}")
    for order in orders:
        out.print(f"order {order.id} {escape(order.what)}: {order.state.value}")


@app.command()
def tag(
    name: Annotated[str, typer.Argument(metavar="TAG")],
    devices: DevicesArgument,
    db: DbOption = DB,
) -> None:
    """Give devices a tag, by which `order` and `device list` name them: @TAG."""
    if not _TAG.fullmatch(name):
        raise UsageError("tag", name, "is not a tag", "use letters, digits, and . _ - behind the first one")
    with opened(db) as store:
        found = [_latest(store, each).device for each in members(store, devices)]
        store.tags.add(name, found)
        _say_how_many(store, name)


@app.command()
def untag(
    name: Annotated[str, typer.Argument(metavar="TAG")],
    devices: DevicesArgument,
    db: DbOption = DB,
) -> None:
    """Take a tag from devices."""
    with opened(db) as store:
        members(store, [f"@{name}"])  # or one that nothing has
        store.tags.remove(name, members(store, devices))
        _say_how_many(store, name)


def _say_how_many(store: Store, tag: str) -> None:
    count = len(store.tags.devices(tag))
    out.print(f"@{tag}: {count:,} device{'' if count == 1 else 's'}")


def _is_stopped(report: Report) -> bool:
    """Whether its verdict is restricted or terminated."""
    paths.use_firmware()
    from usageguard.core.policy import RESTRICTED

    return report.verdict >= RESTRICTED


def _latest(store: Store, device: str) -> Received:
    found = store.latest(device)
    if found is None:
        raise UsageError("device", device, "has never reported", "see `usageguard device list`")
    return found


def _summary(store: Store, latest: Received, now: datetime) -> dict[str, Any]:
    from host_tools.collector.order_book import State
    from host_tools.collector.server import standing

    device, report = latest.device, latest.report
    since = now - timedelta(days=_ALARM_DAYS)
    given = store.book.given([device], now=now)
    return {
        "device": device,
        "tags": store.tags.of(device),
        "received_at": latest.received_at.isoformat(),
        "standing": standing(report),
        "period": period_name(report.cycle_id),
        "rated_octets": report.cycle_rated_octets,
        "carried_octets": report.cycle_carried_octets,
        "error_bound_octets": report.error_bound_octets,
        "reports_received": store.reports_received(device),
        "reports_lost": store.reports_lost(device),
        "alarm_count": sum(alarm.received_at >= since for alarm in store.alarms(device)),
        "orders_waiting": [each.what for each in given if each.state in (State.WAITING, State.SENT)],
    }


def _periods(history: list[Received]) -> Iterator[dict[str, Any]]:
    """The last report of each period in each life, the oldest first."""
    last: dict[tuple[bytes, int], Received] = {}
    for received in history:
        last[received.report.life_id, received.report.cycle_id] = received
    for received in last.values():
        report = received.report
        yield {
            "period": period_name(report.cycle_id),
            "rated_octets": report.cycle_rated_octets,
            "carried_octets": report.cycle_carried_octets,
            "error_bound_octets": report.error_bound_octets,
        }


def _duration(text: str) -> timedelta:
    try:
        return timedelta(seconds=Seconds.parse(text))
    except ValueError as error:
        raise UsageError("--silent", "", str(error)) from None


def age_of(age: timedelta) -> str:
    seconds = max(0, int(age.total_seconds()))
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= unit:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
