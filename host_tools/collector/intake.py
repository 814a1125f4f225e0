"""Octets in, octets out: what the collector does with a datagram or a short message, without a socket."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from datetime import UTC, datetime, timedelta

from aiocoap import ACK, CON, NON, RST, Code, Message
from aiocoap.error import UnparsableMessage
from aiocoap.numbers.constants import TransportTuning

from host_tools.collector.order import Order
from host_tools.collector.sms import user_data
from host_tools.collector.store import Outcome, Received, Store
from host_tools.collector.verify import BadMacError, MalformedError, Report, open_report, seal_acknowledgement

RESOURCE = ("r",)
_REMEMBER = timedelta(seconds=TransportTuning().EXCHANGE_LIFETIME)

Orders = Callable[[str, Report, datetime], Order | None]
"""Asked with a device, its report and the time: the order that the acknowledgement is to carry, if any."""


class Collector:
    """Verifies, keeps and acknowledges reports.

    `keys` maps a device's id to its 32 octets; `now` is the time to stamp and to acknowledge with. Each of
    `listeners` is called with every report that arrived and with what became of it. `orders` is asked when a
    report is acknowledged and nothing ordered before is open; what it gives is sent with every acknowledgement
    until a report shows that the device took it.
    """

    def __init__(
        self,
        store: Store,
        keys: Mapping[str, bytes],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        orders: Orders = lambda device, report, now: None,
    ) -> None:
        self.store = store
        self.orders = orders
        self.rejected = 0
        self.listeners: list[Callable[[Received, Outcome], None]] = []
        self._keys = keys
        self._now = now
        self._answered: dict[tuple[Hashable, bytes], tuple[datetime, bytes]] = {}
        self._message_id = 0

    def coap(self, datagram: bytes, remote: Hashable = None) -> bytes | None:
        """The datagram that answers `datagram` of `remote` (any hashable name of its source), if one does."""
        try:
            request = Message.decode(datagram)
        except (UnparsableMessage, ValueError):  # ValueError: a code or an option that CoAP does not have
            return None
        is_request = Code(request.code).is_request()
        if request.mtype is CON and not is_request:
            return Message(_mtype=RST, _mid=request.mid, code=Code.EMPTY).encode()
        if request.mtype not in (CON, NON) or not is_request:
            return None
        now = self._now()
        self._answered = {k: v for k, v in self._answered.items() if now - v[0] < _REMEMBER}
        key = (remote, datagram)
        if key not in self._answered:
            response = self.respond(request)
            response.token = request.token
            if request.mtype is CON:
                response.mtype, response.mid = ACK, request.mid
            else:
                self._message_id = (self._message_id + 1) & 0xFFFF
                response.mtype, response.mid = NON, self._message_id
            self._answered[key] = (now, response.encode())
        return self._answered[key][1]

    def respond(self, request: Message) -> Message:
        """The response to a CoAP request, whichever message layer carried it."""
        if request.opt.uri_path != RESOURCE:
            return Message(code=Code.NOT_FOUND)
        if request.code is not Code.POST:
            return Message(code=Code.METHOD_NOT_ALLOWED)
        try:
            received = self._take(request.payload, "coap")
        except MalformedError:
            return Message(code=Code.BAD_REQUEST)
        except BadMacError:
            return Message(code=Code.UNAUTHORIZED)
        return Message(code=Code.CHANGED, payload=self._acknowledge(received))

    def sms(self, tpdu: bytes) -> None:
        """Takes the TPDU of a short message, SMS-SUBMIT or SMS-DELIVER.

        MalformedError or BadMacError: nothing was kept.
        """
        try:
            blob = user_data(tpdu)
        except ValueError as error:
            self.rejected += 1
            raise MalformedError(str(error)) from None
        self._take(blob, "sms")

    def sms_user_data(self, octets: bytes) -> None:
        """The same for a gateway that hands over the user data alone."""
        self._take(octets, "sms")

    def _take(self, blob: bytes, path: str) -> Received:
        """Keeps one sealed report."""
        try:
            device, report, payload = open_report(blob, self._keys)
        except ValueError:
            self.rejected += 1
            raise
        received = Received(device, self._now(), path, report)
        outcome = self.store.add(device, report, payload, received.received_at, path)
        for listener in self.listeners:
            listener(received, outcome)
        return received

    def _acknowledge(self, received: Received) -> bytes:
        device, report, now = received.device, received.report, received.received_at
        order = self.store.pending_order(device)
        if order is None and (order := self.orders(device, report, now)) is not None:
            self.store.add_order(device, order, now)  # before it leaves: what was sent is sent again unchanged
        return seal_acknowledgement(self._keys[device], device, report, now, order)
