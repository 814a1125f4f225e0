"""The collector without a socket: takes datagrams and short messages, returns the datagrams that answer them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta

import msgspec
from aiocoap import CON, NON, RST, Code, Message
from aiocoap.error import UnparsableMessage
from aiocoap.numbers.constants import TransportTuning

from host_tools.collector.database import StoreError, UnavailableError
from host_tools.collector.lives import KnownLives
from host_tools.collector.order import Order
from host_tools.collector.sms_payload import user_data
from host_tools.collector.store import FOLLOWED, Kept, Outcome, Received, Store
from host_tools.collector.verify import (
    BadMacError,
    MalformedError,
    Report,
    is_brief,
    open_brief,
    open_report,
    seal_acknowledgement,
)

RESOURCE = ("r",)
_REMEMBER = timedelta(seconds=TransportTuning().EXCHANGE_LIFETIME)
_MOST_REMEMBERED = 20_000  # answers; one that is asked for again later is made anew, by what is stored

_LONG_AGO = datetime.min.replace(tzinfo=UTC)
_LOOK_AGAIN, _MOST_LOOKED = timedelta(seconds=1), 1000

# CoAP (RFC 7252 3). What devices send is a CON POST with one option, the path, before the payload.
_CON_MASK, _CON_BITS = 0xF0, 0x40
_POST = int(Code.POST)
_TOKEN_MASK = 0x0F
_ID_AT, _HEAD_OCTETS, _LONGEST_HEAD = 2, 4, 12
_PATH_AND_MARKER = b"\xb1r\xff"
_ACK_BITS, _NON_BITS = 0x60, 0x50
_MARKER = b"\xff"

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


class Asked(msgspec.Struct, frozen=True, gc=False):
    """What an answer repeats of its request: the message's id and its token, as they are encoded."""

    confirmable: bool
    id_and_token: bytes


class Answer(msgspec.Struct, gc=False):
    """Of a request that arrived at a time; None while the report is being stored."""

    at: datetime
    reply: bytes | None = None


class Pending(msgspec.Struct, gc=False):
    """A report that is to be stored, and then acknowledged.

    `received` is None where the MAC is valid of no life that is known here: another collector may have stored it.
    `payload` is the whole message then.
    """

    device: str
    received: Received | None
    payload: bytes
    brief: bool
    path: str


class Exchange(Pending, gc=False):
    """A CoAP request with a report."""

    remote: Hashable
    asked: Asked
    answer: Answer


Result = tuple[Kept, bytes] | StoreError | MalformedError | BadMacError
"""Of an exchange: what became of the report and its acknowledgement, or why there is none."""


class Intake(ABC):
    """Verifies reports, and answers those that were stored.

    `keys` maps a device id to its key of 32 bytes. `now` returns the time for stamps and acknowledgements. Each of
    `listeners` is called with every stored report and the outcome. `refusals` counts refused datagrams and messages by
    kind.
    """

    def __init__(self, keys: Mapping[str, bytes], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.refusals: Counter[str] = Counter()
        self.listeners: list[Callable[[Received, Kept], None]] = []
        self.now = now
        self._keys = keys
        # By remote and datagram. Those of before are forgotten when there are as many since.
        self._answered: dict[tuple[Hashable, bytes], Answer] = {}
        self._answered_before: dict[tuple[Hashable, bytes], Answer] = {}
        self._message_id = 0
        self._looked: set[str] = set()
        self._looking_since = _LONG_AGO

    @property
    @abstractmethod
    def lives(self) -> KnownLives: ...

    @property
    @abstractmethod
    def is_sure(self) -> bool:
        """Whether no other lives are in the database than those that are known here."""

    @property
    def rejected(self) -> int:
        """The number of datagrams and short messages that were not reports of a known device."""
        return self.refusals[NOT_REPORTS] + self.refusals[BAD_MAC]

    def receive(self, datagram: bytes, remote: Hashable, now: datetime | None = None) -> bytes | Exchange | None:
        """The answer to the datagram, None for no answer, or an Exchange if a report has to be stored first.

        `now`: when it arrived, for several that arrived together.
        """
        request = _usual(datagram) or self._unusual(datagram)
        if not isinstance(request, tuple):
            return request
        asked, blob = request
        now = now or self.now()
        key = (remote, datagram)
        known = self._answered.get(key) or self._answered_before.get(key)
        if known and now - known.at < _REMEMBER:
            return known.reply
        if len(self._answered) >= _MOST_REMEMBERED // 2:
            self._answered, self._answered_before = {}, self._answered
        self._answered[key] = answer = Answer(now)
        if isinstance(blob, Code):
            answer.reply = self._reply(asked, blob)
            return answer.reply
        brief = is_brief(blob)
        try:
            device, report, payload = self._verified(blob, brief)
        except MalformedError:
            self.refusals[NOT_REPORTS] += 1
            answer.reply = self._reply(asked, Code.BAD_REQUEST)
            return answer.reply
        except BadMacError as error:
            if self._may_look_again(error.device, now):
                return Exchange(error.device, None, blob, brief, "coap", remote, asked, answer)
            self.refusals[BAD_MAC] += 1
            answer.reply = self._reply(asked, Code.UNAUTHORIZED)
            return answer.reply
        received = Received(device, now, "coap", report)
        return Exchange(device, received, payload, brief, "coap", remote, asked, answer)

    def take(self, blob: bytes, path: str) -> Pending | None:
        """A report that came by another path than CoAP, "mqtt" or "sms"; None where it is none, which is counted."""
        now = self.now()
        try:
            device, report, payload = self._open(blob)
        except MalformedError:
            return None
        except BadMacError as error:
            if self._may_look_again(error.device, now):
                return Pending(error.device, None, blob, is_brief(blob), path)
            self.refusals[BAD_MAC] += 1
            return None
        return Pending(device, Received(device, now, path, report), payload, is_brief(blob), path)

    def settle(self, report: Pending, result: Result) -> bytes:
        """The acknowledgement of a report that was taken, for MQTT; empty where there is none."""
        if isinstance(result, StoreError):
            return b""
        if isinstance(result, ValueError) or report.received is None:
            self.refusals[BAD_MAC] += 1
            return b""
        kept, acknowledgement = result
        for listener in self.listeners:
            listener(report.received, kept)
        return acknowledgement

    def _may_look_again(self, device: str, now: datetime) -> bool:
        """Whether the database is to be asked for lives of a device, known or not. For each one once in a second: who
        has no key makes no work with it."""
        if not device or self.is_sure:
            return False
        if not timedelta() <= now - self._looking_since < _LOOK_AGAIN:  # also after the clock was set back
            self._looking_since = now
            self._looked.clear()
        if device in self._looked or len(self._looked) >= _MOST_LOOKED:
            return False
        self._looked.add(device)
        return True

    def _unusual(self, datagram: bytes) -> bytes | tuple[Asked, bytes | Code] | None:
        """What a datagram asks for that is not as devices make it; else its answer, or None."""
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
        assert request.mid is not None
        asked = Asked(request.mtype is CON, request.mid.to_bytes(2, "big") + request.token)
        if request.opt.uri_path != RESOURCE or request.code is not Code.POST:
            self.refusals[NOT_FOUND] += 1
            return asked, Code.NOT_FOUND if request.opt.uri_path != RESOURCE else Code.METHOD_NOT_ALLOWED
        return asked, request.payload

    def followed(self, exchange: Pending) -> Result:
        """What `keep` returns, of a report that `continues` what is known. It keeps nobody from writing meanwhile."""
        received = exchange.received
        assert received
        if received.path == "sms":
            return FOLLOWED, b""
        device = received.device
        return FOLLOWED, seal_acknowledgement(
            self._keys[device], device, received.report, received.received_at, brief=exchange.brief
        )

    def answer(self, exchange: Exchange, result: Result) -> bytes:
        """The answer to the exchange's request. After a StoreError it is 5.03: the device may repeat the request."""
        if isinstance(result, StoreError):
            exchange.answer.at = _LONG_AGO
            return self._reply(exchange.asked, Code.SERVICE_UNAVAILABLE)
        acknowledgement = self.settle(exchange, result)
        code = Code.CHANGED if acknowledgement else Code.UNAUTHORIZED
        exchange.answer.reply = reply = self._reply(exchange.asked, code, acknowledgement)
        return reply

    def _open(self, blob: bytes) -> tuple[str, Report, bytes]:
        try:
            return self._verified(blob, is_brief(blob))
        except MalformedError:
            self.refusals[NOT_REPORTS] += 1
            raise

    def _verified(self, blob: bytes, brief: bool) -> tuple[str, Report, bytes]:
        if brief:
            return open_brief(blob, self._keys, self.lives.latest)
        return open_report(blob, self._keys, self.lives.of)

    def _reply(self, asked: Asked, code: Code, payload: bytes = b"") -> bytes:
        bits, repeated = _ACK_BITS, asked.id_and_token
        if not asked.confirmable:
            self._message_id = (self._message_id + 1) & 0xFFFF
            bits, repeated = _NON_BITS, self._message_id.to_bytes(2, "big") + repeated[2:]
        head = bytes((bits | len(repeated) - 2, code)) + repeated
        return head + _MARKER + payload if payload else head


class Collector(Intake):
    """Verifies, stores and acknowledges reports.

    `orders` is called when a report is acknowledged and no earlier order is pending; the order that it returns is sent
    with every acknowledgement until a report shows that the device applied or refused it. `stops` is called while one
    is pending; the order that it returns is sent first. Other collectors may use the database too where it is on a
    server.

    `coap` and the methods for short messages do everything in one step. A server that must not wait for the database
    calls `receive`, `keep_all` or `keep_most`, and `answer` instead. Of these only those for keeping use the store and
    `orders`; they may run in another thread.
    """

    def __init__(
        self,
        store: Store,
        keys: Mapping[str, bytes],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        orders: Orders = no_orders,
        stops: Orders = no_orders,
    ) -> None:
        super().__init__(keys, now)
        self.store = store
        self.orders = orders
        self.stops = stops

    @property
    def lives(self) -> KnownLives:
        return self.store.known_lives

    @property
    def is_sure(self) -> bool:
        return not self.store.database.postgresql

    def coap(self, datagram: bytes, remote: Hashable = None) -> bytes | None:
        """The answer to `datagram`, or None. `remote` is any hashable name of its source."""
        taken = self.receive(datagram, remote)
        if not isinstance(taken, Exchange):
            return taken
        try:
            self._look_again([taken])
            result = self._kept(taken)
        except StoreError as error:
            result = error
        return self.answer(taken, result)

    def _look_again(self, exchanges: Sequence[Pending]) -> None:
        """Opens the reports whose lives were not known, where they are now."""
        doubtful = [each for each in exchanges if each.received is None]
        if not doubtful:
            return
        self.store.read_life_ids([each.device for each in doubtful if not each.brief])
        self.store.read_latest([each.device for each in doubtful if each.brief])
        for each in doubtful:
            with suppress(BadMacError, MalformedError):
                device, report, payload = self._verified(each.payload, each.brief)
                each.received, each.payload = Received(device, self.now(), each.path, report), payload

    def _kept(self, exchange: Pending) -> Result:
        if exchange.received is None:
            return BadMacError(exchange.device)
        return self.keep(exchange.received, exchange.payload, exchange.brief)

    def keep(self, received: Received, payload: bytes, brief: bool = False) -> tuple[Kept, bytes]:
        """Stores a verified report; returns the outcome and the acknowledgement, which is empty where the report was
        `brief` and there is no order. StoreError: it was not stored."""
        device, report, at = received.device, received.report, received.received_at
        kept = self.store.add(device, report, payload, at, received.path)
        if received.path == "sms":
            return kept, b""
        order = None
        try:
            if kept.may_have_orders:
                with self.store.database.transaction():
                    order = self._order(received, kept)
        except StoreError:  # the report is stored, so it is acknowledged; the order goes with another answer
            pass
        return kept, seal_acknowledgement(self._keys[device], device, report, at, order, brief)

    def at_once(self, exchanges: Sequence[Pending]) -> AbstractContextManager[None]:
        """See Store.at_once."""
        has_owner = self.orders is not no_orders  # who is asked with every report, and sees what is stored
        return self.store.at_once([] if has_owner else [each.device for each in exchanges])

    def continues(self, exchange: Pending) -> bool:
        """Whether a report only continues what is known of its device. Then it is stored at the end of `at_once`, in
        which this is asked, and after that `followed` gives its result."""
        received = exchange.received
        return received is not None and self.store.follows(
            received.device, received.report, exchange.payload, received.received_at, received.path
        )

    def keep_all(self, exchanges: Sequence[Pending]) -> list[Result]:
        """`keep` for several at once, which the disk has to write only once: what it returns, or raises, for each."""
        results: list[Result] = []
        try:
            self._look_again(exchanges)
            with self.at_once(exchanges):
                for each in exchanges:
                    try:
                        results.append(self._kept(each))
                    except StoreError as error:
                        results.append(error)
        except UnavailableError as error:
            return [error] * len(exchanges)
        except StoreError as error:  # one that was written with others; it is to take none of them with it
            if len(exchanges) == 1:
                return [error]
            return [self.keep_all([each])[0] for each in exchanges]
        return results

    def keep_most(self, exchanges: Sequence[Pending]) -> list[Result | None]:
        """`keep_all`, but without what `followed` gives: None stands for it."""
        try:
            with self.at_once(exchanges):
                continue_it = [self.continues(each) for each in exchanges]
        except UnavailableError as error:
            return [error] * len(exchanges)
        except StoreError:  # one is to take no other with it
            continue_it = [False] * len(exchanges)
        left = [each for each, continues in zip(exchanges, continue_it, strict=True) if not continues]
        others = iter(self.keep_all(left) if left else ())
        return [None if continues else next(others) for continues in continue_it]

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
        try:
            device, report, payload = self._open(octets)
        except BadMacError as error:
            self.store.read_life_ids([error.device])
            try:
                device, report, payload = self._open(octets)
            except BadMacError:
                self.refusals[BAD_MAC] += 1
                raise
        received = Received(device, self.now(), "sms", report)
        kept, _ = self.keep(received, payload)
        for listener in self.listeners:
            listener(received, kept)


def _usual(datagram: bytes) -> tuple[Asked, bytes] | None:
    """The report in a datagram of the kind that devices send; None for another one, which a CoAP library is to read."""
    if len(datagram) < _HEAD_OCTETS or datagram[0] & _CON_MASK != _CON_BITS or datagram[1] != _POST:
        return None
    token_end = _HEAD_OCTETS + (datagram[0] & _TOKEN_MASK)
    start = token_end + len(_PATH_AND_MARKER)
    if token_end > _LONGEST_HEAD or datagram[token_end:start] != _PATH_AND_MARKER or len(datagram) == start:
        return None
    return Asked(True, datagram[_ID_AT:token_end]), datagram[start:]
