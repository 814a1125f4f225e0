"""The option negotiation automaton (RFC 1661 section 4), which LCP and IPCP have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from host_tools.sim.clock import MS, Clock, S, Timer

CONF_REQ, CONF_ACK, CONF_NAK, CONF_REJ = 1, 2, 3, 4
TERM_REQ, TERM_ACK, CODE_REJ = 5, 6, 7

RESTART_US: Final = 3 * S  # RFC 1661 4.6, as the three below
LINGER_US: Final = 500 * MS  # RFC 1661 4.4, zrc: "an appropriate value"
MAX_TERMINATE: Final = 2
MAX_CONFIGURE: Final = 10
MAX_FAILURE: Final = 5

CLOSED, STOPPED, CLOSING, STOPPING, REQ_SENT, ACK_RCVD, ACK_SENT, OPENED = range(8)

Options = dict[int, bytes]


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of one option of the peer's: taken as it is, refused, or `better` wanted instead."""

    refused: bool = False
    better: bytes | None = None


TAKEN: Final = Answer()
REFUSED: Final = Answer(refused=True)


class Control:
    """One control protocol over a lower layer that is up while it runs. `send(octets)` gives it a packet.

    A subclass says which options it asks for, and what it thinks of the peer's.
    """

    def __init__(self, clock: Clock, send: Callable[[bytes], None]) -> None:
        self.state = CLOSED
        self.on_up: Callable[[], None] = _nothing
        self.on_down: Callable[[], None] = _nothing
        self.on_finished: Callable[[], None] = _nothing
        self._clock, self._send = clock, send
        self._ours: Options = {}
        self._theirs: Options = {}
        self._ident = 0
        self._restarts = 0
        self._failures = 0
        self._timer: Timer | None = None

    @property
    def opened(self) -> bool:
        return self.state == OPENED

    # --- what a subclass says ---

    def wanted(self) -> Options:
        """The options to ask for, first."""
        return {}

    def judge(self, kind: int, value: bytes) -> Answer:
        """What is thought of an option of the peer's."""
        return REFUSED

    def missing(self, given: Options) -> Options:
        """Options that the peer has to ask for and has not (RFC 1661 5.3)."""
        return {}

    def naked(self, kind: int, value: bytes) -> bytes | None:
        """What to ask for instead of an option that the peer wants otherwise; None: leave it out."""
        return value

    def insists(self, kind: int) -> bool:
        """Whether the link ends if the peer rejects this option."""
        return False

    def take(self, ours: Options, theirs: Options) -> None:
        """Both sides have agreed."""

    def extra(self, code: int, ident: int, data: bytes) -> bool:
        """Handles a code beyond 1 to 7; False: not known."""
        return False

    # --- events from above and below ---

    def open(self) -> None:
        """Starts to negotiate."""
        if self.state in (CLOSED, STOPPED):
            self._begin()

    def close(self) -> None:
        """Ends an agreement, or the negotiation of one; `on_finished` follows."""
        if self.state in (CLOSED, STOPPED):
            self._cancel()
            self.state = CLOSED
            self.on_finished()
        elif self.state not in (CLOSING, STOPPING):
            was = self.state
            self.state = CLOSING
            self._restarts = MAX_TERMINATE
            self._terminate()
            if was == OPENED:
                self.on_down()

    def down(self) -> None:
        """The lower layer is gone: nothing is sent, nobody is told but for `on_down`."""
        was, self.state = self.state, CLOSED
        self._cancel()
        if was == OPENED:
            self.on_down()

    def deliver(self, packet: bytes) -> None:
        """A packet of this protocol; one whose length is wrong is dropped (RFC 1661 5)."""
        if len(packet) < 4:
            return
        code, ident, length = packet[0], packet[1], int.from_bytes(packet[2:4], "big")
        if not 4 <= length <= len(packet):
            return
        data = packet[4:length]
        if code == CONF_REQ:
            self._request(ident, data)
        elif code == CONF_ACK:
            self._ack(ident, data)
        elif code in (CONF_NAK, CONF_REJ):
            self._nak(code, ident, data)
        elif code == TERM_REQ:
            self._term_request(ident)
        elif code == TERM_ACK:
            self._term_ack()
        elif code == CODE_REJ:
            if data[:1] and data[0] <= CODE_REJ:  # RXJ-: the peer does not know what every peer has to
                self._give_up()
        elif not self.extra(code, ident, data):
            self.emit(CODE_REJ, self._next_ident(), packet[:length])

    # --- sending ---

    def emit(self, code: int, ident: int, data: bytes = b"") -> None:
        self._send(bytes((code, ident)) + (len(data) + 4).to_bytes(2, "big") + data)

    def _next_ident(self) -> int:
        self._ident = (self._ident + 1) & 0xFF
        return self._ident

    def _begin(self) -> None:
        self._ours = self.wanted()
        self._restarts, self._failures = MAX_CONFIGURE, 0
        self.state = REQ_SENT
        self._configure()

    def _configure(self) -> None:
        self._restarts -= 1
        self._arm()
        self.emit(CONF_REQ, self._next_ident(), encode(self._ours))

    def _terminate(self) -> None:
        self._restarts -= 1
        self._arm()
        self.emit(TERM_REQ, self._next_ident())

    def _arm(self, us: int = RESTART_US) -> None:
        self._cancel()
        self._timer = self._clock.after(us, self._expire)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        self._timer = None
        if self._restarts <= 0:
            self._give_up()
        elif self.state in (CLOSING, STOPPING):
            self._terminate()
        else:
            if self.state == ACK_RCVD:
                self.state = REQ_SENT
            self._configure()

    def _give_up(self) -> None:
        was = self.state
        self._cancel()
        self.state = CLOSED if was == CLOSING else STOPPED
        if was == OPENED:
            self.on_down()
        self.on_finished()

    # --- the peer's packets ---

    def _request(self, ident: int, data: bytes) -> None:
        if self.state in (CLOSING, STOPPING):
            return
        if self.state == CLOSED:
            self.emit(TERM_ACK, ident)
            return
        options = list(decode(data))
        given = dict(options)
        refused = {kind: value for kind, value in options if self.judge(kind, value).refused}
        if refused:
            code, answer = CONF_REJ, refused
        else:
            wishes = self.missing(given)
            for kind, value in options:
                better = self.judge(kind, value).better
                if better is not None:
                    wishes[kind] = better
            code, answer = (CONF_NAK, wishes) if wishes else (CONF_ACK, given)
            if code == CONF_NAK:
                self._failures += 1
                if self._failures > MAX_FAILURE:  # it will not converge: RFC 1661 4.6
                    code, answer = CONF_REJ, {kind: given[kind] for kind in wishes if kind in given}
        if self.state == OPENED:
            self.on_down()
            self.state = REQ_SENT
            self._restarts, self._ours = MAX_CONFIGURE, self.wanted()
            self._configure()
        elif self.state == STOPPED:
            self._begin()
        self.emit(code, ident, encode(answer) if code != CONF_ACK else data)
        if code != CONF_ACK:
            if self.state == ACK_SENT:
                self.state = REQ_SENT
            return
        self._theirs = given
        if self.state == ACK_RCVD:
            self._agree()
        else:
            self.state = ACK_SENT

    def _ack(self, ident: int, data: bytes) -> None:
        if self.state in (CLOSED, STOPPED):
            self.emit(TERM_ACK, ident)
        elif ident != self._ident or self.state in (CLOSING, STOPPING) or data != encode(self._ours):
            return
        elif self.state == REQ_SENT:
            self._restarts = MAX_CONFIGURE
            self.state = ACK_RCVD
        elif self.state == ACK_SENT:
            self._agree()
        else:  # crossed: RFC 1661 4.3, RCA in Ack-Rcvd and Opened
            self._again()

    def _nak(self, code: int, ident: int, data: bytes) -> None:
        if self.state in (CLOSED, STOPPED):
            self.emit(TERM_ACK, ident)
            return
        if ident != self._ident or self.state in (CLOSING, STOPPING):
            return
        if self.state in (ACK_RCVD, OPENED):
            self._again()
            return
        for kind, value in decode(data):
            if code == CONF_REJ:
                if self.insists(kind):
                    self.close()
                    return
                self._ours.pop(kind, None)
            elif (wish := self.naked(kind, value)) is not None:
                self._ours[kind] = wish
            else:
                self._ours.pop(kind, None)
        self._restarts = MAX_CONFIGURE
        self._configure()

    def _again(self) -> None:
        was, self.state = self.state, REQ_SENT
        if was == OPENED:
            self.on_down()
            self._ours = self.wanted()
        self._configure()

    def _agree(self) -> None:
        self._cancel()
        self.state = OPENED
        self.take(self._ours, self._theirs)
        self.on_up()

    def _term_request(self, ident: int) -> None:
        was = self.state
        if was == OPENED:
            self.state = STOPPING
            self._restarts = 0
            self._arm(LINGER_US)  # so that our answer gets there before the line goes
            self.on_down()
        elif was in (ACK_RCVD, ACK_SENT):
            self.state = REQ_SENT
        self.emit(TERM_ACK, ident)

    def _term_ack(self) -> None:
        if self.state in (CLOSING, STOPPING):
            self._give_up()
        elif self.state == ACK_RCVD:
            self.state = REQ_SENT
        elif self.state == OPENED:
            self._again()


def encode(options: Options) -> bytes:
    """Options as they stand in a packet (RFC 1661 6)."""
    return b"".join(bytes((kind, len(value) + 2)) + value for kind, value in options.items())


def decode(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The options of a packet, up to one that is cut."""
    at = 0
    while at + 2 <= len(data):
        length = data[at + 1]
        if length < 2 or at + length > len(data):
            return
        yield data[at], data[at + 2 : at + length]
        at += length


def _nothing() -> None:
    pass
