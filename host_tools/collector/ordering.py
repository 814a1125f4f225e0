"""Orders that a person gives to devices: what they would be, and then the giving. For the command and the page."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from host_tools.base.errors import UsageError
from host_tools.base.units import Seconds
from host_tools.collector import instructions
from host_tools.collector.order import Order
from host_tools.collector.server import standing
from host_tools.collector.store import Received, Store

_NAMED = 5  # devices that a message names


@dataclass(frozen=True)
class Wish:
    """An order for devices, as it would be given now. `before`: what each device's newest report says."""

    what: str
    orders: dict[str, Order]
    before: dict[str, str]
    at: datetime

    def give(
        self, store: Store, *, by: str, why: str, until: datetime | None = None, first: bool = False
    ) -> dict[str, int]:
        """Queues all of it or nothing; the orders' ids by device. `first`: see OrderBook.give. StoreError: nothing was
        queued."""
        said = {"by": by, "what": self.what, "why": why}
        with store.at_once():
            return {
                device: store.book.give(
                    device, order, self.at, **said, before=self.before[device], until=until, first=first
                )
                for device, order in self.orders.items()
            }


def wish(store: Store, what: str, devices: Iterable[str], now: datetime) -> Wish:
    """What `what`, such as `limit=5MB`, would be for these devices. UsageError where it is no order, or where a device
    has never reported: it is spelled differently, or is another's."""
    found = {device: store.latest(device) for device in devices}
    if unknown := [device for device, latest in found.items() if latest is None]:
        problem = "has never reported" if len(unknown) == 1 else f"{len(unknown):,} devices have never reported"
        raise UsageError("order", some(unknown), problem, "check the spelling; nothing was ordered")
    latest = {device: each for device, each in found.items() if each is not None}
    orders = {
        device: instructions.order(what, instructions.About(each, partial(store.as_of, device), now))
        for device, each in latest.items()
    }
    return Wish(what, orders, {device: describe(each) for device, each in latest.items()}, now)


def describe(latest: Received) -> str:
    """What a device's newest report says, as it is kept with an order."""
    return f"{standing(latest.report)}, rated {latest.report.cycle_rated_octets:,}"


def last_moment(text: str, now: datetime) -> datetime:
    """When an order expires: a time, or how long it is from now. ValueError with a sentence for people."""
    try:
        last = now + timedelta(seconds=Seconds.parse(text))
    except ValueError:
        last = instructions.moment(text)
    if last <= now:
        raise ValueError(f'"{text}" is not in the future')
    return last


def some(names: list[str]) -> str:
    """The first of many names."""
    return ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
