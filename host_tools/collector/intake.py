"""The collector without a socket: takes datagrams and short messages, returns the datagrams that answer them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from aiocoap import ACK, CON, NON, RST, Code, Message
from aiocoap.error import UnparsableMessage
from aiocoap.numbers.constants import TransportTuning

from host_tools.collector.database import StoreError, UnavailableError
from host_tools.collector.order import Order
from host_tools.collector.sms_payload import user_data
from host_tools.collector.store import Kept, Outcome, Received, Store
from host_tools.collector.verify import BadMacError, MalformedError, Report, open_report, seal_acknowledgement

RESOURCE = ("r",)
_REMEMBER = timedelta(seconds=TransportTuning().EXCHANGE_LIFETIME)

# Kinds of refusal that `Collector.refusals` counts.
NOT_COAP = "not CoAP requests"
NOT_FOUND = "for other resources"
NOT_REPORTS = "not reports"
BAD_MAC = "without a valid MAC"

Orders = Callable[[str, Report, datetime], Order | None]
"""Called with a device, its report and the time; returns the order to send with the acknowledgement, or None."""


def no_orders(device: str, report: Report, now: datetime) -> Order | None:
    """Orders of an owner who gives none."""
    return None


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with a verified report; it is answered after the report was stored."""

    key: tuple[Hashable, bytes]
    request: Message
    received: Received
    payload: bytes


class Collector:
    """Verifies, stores and acknowledges reports.

    `keys` maps a device id to its key of 32 bytes. `now` returns the time for stamps and acknowledgements. Each of
    `listeners` is called with every stored report and the outcome. `orders` is called when a report is acknowledged
    and no earlier order is pending; the order that it returns is sent with every acknowledgement until a report shows
    that the device applied or refused it. `stops` is called while one is pending; the order that it returns is sent
    first. `refusals` counts refused datagrams and messages by kind.

    `coap` and the methods for short messages do everything in one step. A server that must not wait for the database
    calls `receive`, `keep_all` and `answer` instead. Only `keep_all` uses the store and `orders`; it may run in another
    thread.
    """

    def __init__(
        self,
        store: Store,
        keys: Mapping[str, bytes],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        orders: Orders = no_orders,
        stops: Orders = no_orders,
    ) -> None:
        self.store = store
        self.orders = orders
        self.stops = stops
        self.refusals: Counter[str] = Counter()
        self.listeners: list[Callable[[Received, Kept], None]] = []
        self._keys = keys
        self._now = now
        # Oldest first; None while the report is being stored.
        self._answered: dict[tuple[Hashable, bytes], tuple[datetime, bytes | None]] = {}
        self._message_id = 0

    @property
    def rejected(self) -> int:
        """The number of datagrams and short messages that were not reports of a known device."""
        return self.refusals[NOT_REPORTS] + self.refusals[BAD_MAC]

    def coap(self, datagram: bytes, remote: Hashable = None) -> bytes | None:
        """The answer to `datagram`, or None. `remote` is any hashable name of its source."""
        taken = self.receive(datagram, remote)
        if not isinstance(taken, Exchange):
            return taken
        try:
            kept, acknowledgement = self.keep(taken.received, taken.payload)
        except StoreError:
            return self.answer(taken)
        return self.answer(taken, kept, acknowledgement)

    def receive(self, datagram: bytes, remote: Hashable) -> bytes | Exchange | None:
        """The answer to the datagram, None for no answer, or an Exchange if a report has to be stored first."""
        try:
            request = Message.decode(datagram)
        except (UnparsableMessage, ValueError):  # ValueError: an unknown code or option
            self.refusals[NOT_COAP] += 1
            return None
        is_request = Code(request.code).is_request()
        if request.mtype is CON and not is_request:
            return Message(_mtype=RST, _mid=request.mid, code=Code.EMPTY).encode()
        if request.mtype not in (CON, NON) or not is_request:
            self.refusals[NOT_COAP] += 1
            return None
        now = self._now()
        while self._answered and now - next(iter(self._answered.values()))[0] >= _REMEMBER:
            del self._answered[next(iter(self._answered))]
        key = (remote, datagram)
        if key in self._answered:
            return self._answered[key][1]
        found = self._report(request)
        if isinstance(found, Code):
            return self._remember(key, request, Message(code=found))
        self._answered[key] = now, None
        device, report, payload = found
        return Exchange(key, request, Received(device, now, "coap", report), payload)

    def keep(self, received: Received, payload: bytes) -> tuple[Kept, bytes]:
        """Stores a verified report; returns the outcome and the acknowledgement. StoreError: it was not stored."""
        device, report, at = received.device, received.report, received.received_at
        kept = self.store.add(device, report, payload, at, received.path)
        if received.path != "coap":
            return kept, b""
        order = None
        try:
            if kept.may_have_orders:
                with self.store.database.transaction():
                    order = self._order(received, kept)
        except StoreError:  # the report is stored, so it is acknowledged; the order goes with another answer
            pass
        return kept, seal_acknowledgement(self._keys[device], device, report, at, order)

    def keep_all(self, exchanges: Sequence[Exchange]) -> list[tuple[Kept, bytes] | StoreError]:
        """`keep` for several at once, which the disk has to write only once: what it returns, or raises, for each."""
        results: list[tuple[Kept, bytes] | StoreError] = []
        has_owner = self.orders is not no_orders  # who is asked with every report, and sees what is stored
        try:
            with self.store.at_once([] if has_owner else [each.received.device for each in exchanges]):
                for each in exchanges:
                    try:
                        results.append(self.keep(each.received, each.payload))
                    except StoreError as error:
                        results.append(error)
        except UnavailableError as error:
            return [error] * len(exchanges)
        except StoreError as error:  # one that was written with others; it is to take none of them with it
            if len(exchanges) == 1:
                return [error]
            return [self.keep_all([each])[0] for each in exchanges]
        return results

    def _order(self, received: Received, kept: Kept) -> Order | None:
        """The order to send with the acknowledgement of a report that was stored."""
        device, report, at = received.device, received.report, received.received_at
        book = self.store.book
        book.expire(device, at)
        order = None
        if book.pending(device) is None:
            order = self.orders(device, report, at)
        elif kept.outcome is Outcome.NEW and self.store.latest(device) == received:
            # The device made this report after the exchanges before it, so it has not applied what is pending.
            order = self.stops(device, report, at)
            if order is None:
                book.hurry(device)
        if order is None:
            return book.send(device, at)
        book.add(device, order, at)  # stored before it is sent, so that it is repeated unchanged
        return order

    def answer(self, exchange: Exchange, kept: Kept | None = None, acknowledgement: bytes = b"") -> bytes:
        """The answer to the exchange's request. Without `kept` it is 5.03, and the device may repeat the request."""
        if kept is None:
            self._answered.pop(exchange.key, None)
            return self._reply(exchange.request, Message(code=Code.SERVICE_UNAVAILABLE))
        for listener in self.listeners:
            listener(exchange.received, kept)
        return self._remember(exchange.key, exchange.request, Message(code=Code.CHANGED, payload=acknowledgement))

    def sms(self, tpdu: bytes) -> None:
        """Takes the TPDU of a short message, SMS-SUBMIT or SMS-DELIVER.

        Raises MalformedError, BadMacError or StoreError when nothing was stored.
        """
        try:
            blob = user_data(tpdu)
        except ValueError as error:
            self.refusals[NOT_REPORTS] += 1
            raise MalformedError(str(error)) from None
        self.sms_user_data(blob)

    def sms_user_data(self, octets: bytes) -> None:
        """Takes the user data of a short message, for gateways that deliver no TPDU. Raises as `sms` does."""
        device, report, payload = self._open(octets)
        received = Received(device, self._now(), "sms", report)
        kept, _ = self.keep(received, payload)
        for listener in self.listeners:
            listener(received, kept)

    def _report(self, request: Message) -> Code | tuple[str, Report, bytes]:
        """The report in a request, or the response code that refuses the request."""
        if request.opt.uri_path != RESOURCE:
            self.refusals[NOT_FOUND] += 1
            return Code.NOT_FOUND
        if request.code is not Code.POST:
            self.refusals[NOT_FOUND] += 1
            return Code.METHOD_NOT_ALLOWED
        try:
            return self._open(request.payload)
        except MalformedError:
            return Code.BAD_REQUEST
        except BadMacError:
            return Code.UNAUTHORIZED

    def _open(self, blob: bytes) -> tuple[str, Report, bytes]:
        try:
            return open_report(blob, self._keys, self.store.life_ids)
        except MalformedError:
            self.refusals[NOT_REPORTS] += 1
            raise
        except BadMacError:
            self.refusals[BAD_MAC] += 1
            raise

    def _remember(self, key: tuple[Hashable, bytes], request: Message, response: Message) -> bytes:
        """Encodes the response and stores it as the answer to repetitions of the request."""
        reply = self._reply(request, response)
        at = self._answered[key][0] if key in self._answered else self._now()
        self._answered[key] = at, reply
        return reply

    def _reply(self, request: Message, response: Message) -> bytes:
        response.token = request.token
        if request.mtype is CON:
            response.mtype, response.mid = ACK, request.mid
        else:
            self._message_id = (self._message_id + 1) & 0xFFFF
            response.mtype, response.mid = NON, self._message_id
        return response.encode()
