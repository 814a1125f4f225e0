"""`usageguard order`: gives devices orders by way of their collector's database."""

from __future__ import annotations

import getpass
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer
from rich.markup import escape

from host_tools.base import files
from host_tools.base.commands import default_group
from host_tools.base.errors import UsageError
from host_tools.base.terminal import Column, Listing, out
from host_tools.collector.database_file import DB, DbOption, members, opened

if TYPE_CHECKING:
    from host_tools.collector.order import Order
    from host_tools.collector.order_book import Given
    from host_tools.collector.ordering import Wish
    from host_tools.collector.sms_gateway import Outgoing
    from host_tools.collector.store import Received, Store

_DEFAULT = "give"  # `order WHAT DEVICE` is `order give WHAT DEVICE`
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_TIME = "%Y-%m-%d %H:%M"

app = typer.Typer(
    cls=default_group(_DEFAULT),
    no_args_is_help=True,
    help="Give devices orders, which go with the answer to their next report; list or cancel them.",
    epilog="`order WHAT DEVICE` is short for `order give WHAT DEVICE`; `order kinds` lists what may be ordered.",
)


@app.command(_DEFAULT)
def give(
    what: Annotated[str, typer.Argument(metavar="WHAT[=VALUE]", help="The order: see `order kinds`.")],
    devices: Annotated[
        list[str] | None, typer.Argument(metavar="DEVICE|@TAG…", help="Device ids; @TAG for all that have it.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--devices", metavar="FILE", help="More devices, an id in each line or first column.")
    ] = None,
    db: DbOption = DB,
    why: Annotated[str, typer.Option(metavar="TEXT", help="The reason, which is kept with the order.")] = "",
    by: Annotated[str, typer.Option(metavar="NAME", help="Who gives it.", show_default="you")] = "",
    until: Annotated[
        str, typer.Option(metavar="TIME", help="Expires if not sent by then: 2026-12-31T08:00+08:00, or 6h from now.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be ordered, and order nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, also for several devices.")] = False,
    sms: Annotated[
        str,
        typer.Option(metavar="FILE|-", help="Send it by SMS as well, as this TOML file says; - prints the message."),
    ] = "",
    keys: Annotated[Path | None, typer.Option(metavar="FILE", help="For --sms: the collector's key file.")] = None,
) -> None:
    """Give an order, once or to many devices.

    It goes with the answer to the device's next report; a stop before all that waits. Values are absolute: the last one
    counts, and one that was not sent yet gives way to it.
    """
    from host_tools.collector import instructions, ordering

    instructions.split(what)
    texts = Texts.load(sms, keys) if sms else None
    if not devices and not file:
        raise UsageError("order", what, "no device is named", "name one, or a file with --devices")
    for option, text in (("--why", why), ("--by", by)):
        if _CONTROL.search(text):
            raise UsageError(option, ascii(text), "has control characters", "write one line of text")
    who = by or _user()
    with opened(db) as store:
        named = members(store, [*(devices or ()), *(_listed(file) if file else ())])
        now = datetime.now(UTC)
        last = _last(until, now) if until else None
        wish = ordering.wish(store, what, named, now)
        if texts:
            wish = texts.checked(store, wish)
        if dry_run:
            for device, before in wish.before.items():
                out.print(f"would order {escape(wish.what)} for {escape(device)}, now {before}")
            return
        if len(named) > 1 and not yes:
            _confirm(f"{wish.what} for {len(named):,} devices ({ordering.some(named)})")
        ids = wish.give(store, by=who, why=why, until=last, first=texts is not None)
        if texts:
            texts.take(store, wish)
    limit = f" if that comes before {last:{_TIME}} UTC" if last else ""
    for device, given in ids.items():
        out.print(f"{given}: {escape(wish.what)} for {escape(device)}, with the answer to its next report{limit}")
    if texts:
        texts.send()


@app.command()
def kinds() -> None:
    """List what may be ordered. A value `plan` goes back to what the plan has."""
    from host_tools.collector.instructions import INSTRUCTIONS

    listing = Listing([Column("order"), Column("effect", least=20)])
    for name, kind in INSTRUCTIONS.items():
        listing.add(escape(f"{name}={kind.value}" if kind.value else name), escape(kind.help))
    out.print(listing)


@app.command("list")
def show(
    devices: Annotated[list[str] | None, typer.Argument(metavar="DEVICE…", help="Of these alone.")] = None,
    db: DbOption = DB,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="Write the list as JSON; - is standard output.")
    ] = None,
) -> None:
    """List the orders that were given, who gave each and why, and what became of it. Times are in UTC."""
    with opened(db) as store:
        given = store.book.given(devices or (), now=datetime.now(UTC))
    if json_file:
        files.write_json(json_file, [_as_json(each) for each in given])
    if json_file == "-":
        return
    if not given:
        out.print("no orders")
        return
    listing = Listing(
        [
            Column("id", right=True),
            Column("device"),
            Column("order"),
            Column("state"),
            Column("given", least=16),
            Column("why", least=12),
            Column("before", least=12),
        ]
    )
    for each in given:
        by = f"{each.given_at:{_TIME}} by {each.given_by}"
        cells = (str(each.id), each.device, each.what, _state(each), by, each.why, each.before)
        listing.add(*map(escape, cells))
    out.print(listing)


@app.command()
def cancel(
    ids: Annotated[
        list[int], typer.Argument(metavar="ID…", help="As `usageguard order list` has them.", min=1, max=2**63 - 1)
    ],
    db: DbOption = DB,
) -> None:
    """Cancel those of these orders that were not sent yet."""
    from host_tools.collector.order_book import State
    from host_tools.collector.ordering import some

    orders: list[Given] = []
    with opened(db) as store, store.at_once():
        for each in ids:
            order = store.book.cancel(each)
            if order is None:
                raise UsageError("order cancel", str(each), "there is no such order", "nothing was cancelled")
            orders.append(order)
    late = [order for order in orders if order.state is not State.CANCELLED]
    for order in orders:
        if order.state is State.CANCELLED:
            out.print(f"{order.id}: {escape(order.what)} for {escape(order.device)} is cancelled")
    if late:
        what = (
            f"{late[0].what} is {late[0].state.value}" if len(late) == 1 else f"{len(late):,} orders are sent or ended"
        )
        acts = any(order.state in (State.SENT, State.APPLIED) for order in late)
        hint = "give the opposite order, or the value that was in force before" if acts else ""
        raise UsageError("order cancel", some([str(order.id) for order in late]), f"{what} already", hint)


class Texts:
    """The short messages of one command."""

    def __init__(self, outgoing: Outgoing | None, numbers: Mapping[str, str], keys: Mapping[str, bytes]) -> None:
        self._outgoing, self._numbers, self._keys = outgoing, numbers, keys
        self._messages: dict[str, tuple[str, bytes]] = {}

    @classmethod
    def load(cls, file: str, keys: Path | None) -> Texts:
        """UsageError where the options, or the files that they name, are of no use."""
        from host_tools.base import extras
        from host_tools.collector.keys import load_keys

        extras.need("--sms", "sms")
        from host_tools.collector import sms_gateway

        if keys is None:
            raise UsageError("--keys", "", "is missing", "name the key file that the collector has")
        outgoing, numbers = sms_gateway.load(Path(file)) if file != "-" else (None, {})
        return cls(outgoing, numbers, load_keys(keys))

    def checked(self, store: Store, wish: Wish) -> Wish:
        """The wish, as the audit trail has one by SMS. UsageError where an order cannot go to its device so."""
        from host_tools.collector.sms_gateway import BY_SMS

        for device, order in wish.orders.items():
            self._check(store, device, order, wish.at)
        return replace(wish, what=wish.what + BY_SMS)

    def take(self, store: Store, wish: Wish) -> None:
        """Makes the messages of a wish that was given."""
        for device in wish.orders:
            order = store.book.send(device, wish.at)
            if order:  # else its answer was faster
                message = self._sealed(device, _latest(store, device), order)
                self._messages[device] = self._numbers.get(device, ""), message

    def send(self) -> None:
        """Sends them, or prints them. UsageError where the gateway takes one not: the order waits all the same."""
        from host_tools.collector import ordering, sms_gateway

        if self._outgoing is None:
            for device, (_, octets) in self._messages.items():
                out.print(f"SMS for {escape(device)}, {len(octets)} octets of 8-bit data: {octets.hex().upper()}")
            return
        if wrong := sms_gateway.send(self._outgoing, self._messages):
            problem = f"the SMS gateway has not taken it: {', '.join(sorted({*wrong.values()}))}"
            raise UsageError("--sms", ordering.some([*wrong]), problem, "the order waits for the next report")
        out.print(f"{len(self._messages):,} sent by SMS")

    def _check(self, store: Store, device: str, order: Order, now: datetime) -> None:
        from host_tools.collector import sms_gateway
        from host_tools.collector.order import MAX_COUNTER

        latest = _latest(store, device)
        sms_gateway.check_timeless(device, order)
        if device not in self._keys:
            raise UsageError("--keys", device, "has no key there", "name the key file that the collector has")
        if not latest.report.life_id:
            raise UsageError("--sms", device, "its firmware takes no orders by SMS", "deploy a newer one")
        if self._outgoing:
            if device not in self._numbers:
                raise UsageError("--sms", device, "has no number", "add it to the table numbers of the file")
            longest = self._sealed(device, latest, msgspec.structs.replace(order, counter=MAX_COUNTER))
            self._outgoing.check(device, longest, store.book.given([device]), now)

    def _sealed(self, device: str, latest: Received, order: Order) -> bytes:
        from host_tools.collector.verify import seal_sms_order

        return seal_sms_order(self._keys[device], device, latest.report.life_id, order)


def _latest(store: Store, device: str) -> Received:
    latest = store.latest(device)
    assert latest is not None, "as it was asked for its standing"
    return latest


def _listed(file: Path) -> list[str]:
    """The first column of each line that is neither empty nor a comment. UsageError where there is none."""
    lines = files.text(file, "name a file with one device id in each line", "--devices").splitlines()
    columns = (re.split(r"[,;\t]", line)[0].strip().strip('"') for line in lines)  # no id has any of these
    ids = [each for each in columns if each and not each.startswith("#")]
    if not ids:
        raise UsageError("--devices", str(file), "names no device", "write an id in each line")
    return ids


def _last(until: str, now: datetime) -> datetime:
    """The time of --until: as such, or by how long it is from now."""
    from host_tools.collector import ordering

    try:
        return ordering.last_moment(until, now)
    except ValueError as error:
        raise UsageError("--until", "", str(error)) from None


def _state(order: Given) -> str:
    from host_tools.collector.order_book import State

    if order.state is State.WAITING and order.until:
        return f"waiting until {order.until:{_TIME}}"
    return order.state.value + (f" {order.since:{_TIME}}" if order.since else "")


def _user() -> str:
    try:
        return getpass.getuser()
    except (ImportError, KeyError, OSError):  # by the version of Python
        raise UsageError("--by", "", "this user has no name here", "say who gives the order") from None


def _confirm(wish: str) -> None:
    if not sys.stdin.isatty():
        raise UsageError("order", wish, "nobody can be asked whether that is meant", "give --yes")
    if not typer.confirm(f"Order {wish}?"):
        raise UsageError("order", wish, "was not confirmed", "nothing was ordered")


def _as_json(each: Given) -> dict[str, Any]:
    return {
        "id": each.id,
        "device": each.device,
        "order": each.what,
        "state": each.state.value,
        "since": each.since.isoformat() if each.since else None,
        "given_at": each.given_at.isoformat(),
        "given_by": each.given_by,
        "why": each.why,
        "until": each.until.isoformat() if each.until else None,
        "before": each.before,
    }
