"""One end of a PPP link (RFC 1661): LCP, PAP or CHAP, IPCP, then IP packets, with or without compressed headers."""

from __future__ import annotations

import hashlib
import hmac
import random
from collections.abc import Callable
from dataclasses import dataclass
from socket import inet_aton, inet_ntoa
from typing import Final

from host_tools.sim.clock import Clock, S, Timer
from host_tools.sim.network.packet import Packet
from host_tools.sim.network.ppp import hdlc, vj
from host_tools.sim.network.ppp.control import REFUSED, TAKEN, Answer, Control, Options
from host_tools.sim.network.ppp.wire import Wire

LCP, IPCP, PAP, CHAP = 0xC021, 0x8021, 0xC023, 0xC223
_MRU, _ACCM, _AUTH, _MAGIC, _PFC, _ACFC = 1, 2, 3, 5, 7, 8  # LCP options, RFC 1661 6 and RFC 1662 7.1
_COMPRESSION, _ADDRESS, _DNS1, _DNS2 = 2, 3, 129, 131  # IPCP options, RFC 1332 3 and RFC 1877
_PROTOCOL_REJECT, _ECHO_REQUEST, _ECHO_REPLY, _DISCARD, _IDENTIFICATION, _REMAINING = 8, 9, 10, 11, 12, 13
_ASK, _REPLY, _SUCCESS, _FAILURE = 1, 2, 3, 4  # CHAP codes, RFC 1994 4; PAP's are 1 to 3 (RFC 1334 2.2)
_MD5 = 5
_NOBODY: Final = "0.0.0.0"
_AUTHENTICATION_US: Final = 30 * S

# Why a link ended, as given to `on_down`
CLOSED_HERE = "closed"
CLOSED_THERE = "peer"
REFUSED_LOGIN = "authentication"
SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Side:
    """How one end negotiates.

    `address` is its own, "0.0.0.0": the peer has to give one; `peer` is the address that the peer gets, "0.0.0.0": its
    own. A server has `dns`; a client that `asks_dns` gets it. `login` "pap" or "chap": the peer has to give `user` and
    `password`; a peer that asks for them gets them. `vj`: takes Van Jacobson compression. `accm` None: every control
    character stays escaped. `short`: takes frames without address, control and a leading zero. `echo_s`: asks so often
    whether the peer is there, and takes it for gone after three silences.
    """

    address: str = _NOBODY
    peer: str = _NOBODY
    dns: str = _NOBODY
    asks_dns: bool = False
    login: str = ""
    user: str = ""
    password: str = ""
    vj: bool = True
    accm: int | None = None
    short: bool = True
    echo_s: int = 0


class PppLink:
    """`transmit(octets)` gets what goes over the line, `feed` takes what comes.

    Callbacks, all optional: `on_up()` when IP packets may pass: `address`, `peer` and `dns` are known then;
    `on_packet(packet)`; `on_down(reason)` once, when the link is over. `vj_sent`, `vj_received`: whether TCP headers
    are compressed, by direction.
    """

    def __init__(self, clock: Clock, side: Side, rng: random.Random, transmit: Callable[[bytes], None]) -> None:
        self.side = side
        self.address, self.peer, self.dns = side.address, side.peer, side.dns
        self.up = False
        self.vj_sent = self.vj_received = False
        self.on_up: Callable[[], None] = _nothing
        self.on_packet: Callable[[Packet], None] = _ignore
        self.on_down: Callable[[str], None] = _ignore
        self._clock, self._rng, self._transmit = clock, rng, transmit
        self._deframer = hdlc.Deframer()
        self._bad = 0
        self._wire = Wire(clock)
        self._accm = hdlc.ALL
        self._short = False
        self._compressor = vj.Compressor()
        self._decompressor = vj.Decompressor()
        self._reason = CLOSED_THERE
        self._over = False
        self._login = _Login(self)
        self.lcp = _Lcp(self)
        self.ipcp = _Ipcp(self)
        self.lcp.on_up, self.lcp.on_down = self._established, self._lcp_down
        self.lcp.on_finished = self._finished
        self.ipcp.on_up, self.ipcp.on_down = self._network_up, self._network_down
        self.ipcp.on_finished = self.close
        self._echo_timer: Timer | None = None
        self._silences = 0

    # --- the owner's side ---

    def open(self) -> None:
        """Begins to negotiate."""
        self.lcp.open()

    def close(self, reason: str = CLOSED_HERE) -> None:
        """Ends the link in order; `on_down` follows."""
        if not self._over:
            self._reason = reason
            self.lcp.close()

    def drop(self) -> None:
        """Forgets the link: nothing is sent, `on_down` is not called."""
        self._over = True
        self._login.stop()
        self._stop_echo()
        self.ipcp.down()
        self.lcp.down()

    def feed(self, data: bytes) -> None:
        """Takes octets from the line."""
        for protocol, payload in self._deframer.feed(data):
            if self._over:
                return
            if self._deframer.bad != self._bad:
                self._bad = self._deframer.bad
                self._decompressor.lost()
            self._take(protocol, payload)

    def send(self, packet: Packet) -> None:
        """Sends a packet; one before the link is up, or after it, is dropped."""
        if self.up:
            octets = self._wire.encode(packet)
            self.emit(*(self._compressor.compress(octets) if self.vj_sent else (vj.IP, octets)))

    # --- for the protocols ---

    @property
    def clock(self) -> Clock:
        return self._clock

    def magic(self) -> bytes:
        """Four random octets, not zero."""
        return self._rng.randrange(1, 1 << 32).to_bytes(4, "big")

    def emit(self, protocol: int, payload: bytes) -> None:
        """Frames and sends. LCP's are always in the form that every peer takes (RFC 1661 6.5 and 6.6)."""
        if protocol == LCP:
            self._transmit(hdlc.frame(protocol, payload))
        else:
            self._transmit(hdlc.frame(protocol, payload, self._accm, short=self._short))

    def agreed(self, ours: Options, theirs: Options) -> None:
        """LCP's options are in force from the next frame on."""
        accm = theirs.get(_ACCM)
        self._accm = int.from_bytes(accm, "big") if accm is not None else hdlc.ALL
        self._short = _PFC in theirs and _ACFC in theirs
        accm = ours.get(_ACCM)
        self._deframer.accm = int.from_bytes(accm, "big") if accm is not None else hdlc.ALL
        self._login.demanded = theirs.get(_AUTH, b"")
        self._login.demands = ours.get(_AUTH, b"")

    def echoed(self) -> None:
        """The peer is there."""
        self._silences = 0

    def authenticated(self) -> None:
        self.ipcp.open()

    def _take(self, protocol: int, payload: bytes) -> None:
        if protocol == LCP:
            self.lcp.deliver(payload)
        elif not self.lcp.opened:
            return  # RFC 1661 3.4: silently
        elif protocol in (PAP, CHAP):
            self._login.deliver(protocol, payload)
        elif not self._login.done:
            return  # RFC 1661 3.5
        elif protocol == IPCP:
            self.ipcp.deliver(payload)
        elif protocol in (vj.IP, vj.COMPRESSED, vj.UNCOMPRESSED):
            self._take_ip(protocol, payload)
        else:
            self.lcp.reject(protocol, payload)

    def _take_ip(self, protocol: int, payload: bytes) -> None:
        if not self.up:
            return
        octets: bytes | None = payload
        if protocol != vj.IP:
            expand = self._decompressor.expand if protocol == vj.COMPRESSED else self._decompressor.whole
            octets = expand(payload) if self.vj_received else None
        packet = self._wire.decode(octets) if octets is not None else None
        if packet is not None:
            self.on_packet(packet)

    def _established(self) -> None:
        self._arm_echo()
        self._login.start()

    def compress(self, ours: bytes | None, theirs: bytes | None) -> None:
        """IPCP's values of header compression, by who takes it, are in force; None: not agreed."""
        self.vj_received, self.vj_sent = ours is not None, theirs is not None
        self._decompressor = vj.Decompressor()
        if theirs is not None:  # RFC 1332 4: the highest slot, and whether its number may be left out
            self._compressor = vj.Compressor(theirs[2] + 1, slot_ids=bool(theirs[3]))

    def _network_up(self) -> None:
        self.up = True
        self.on_up()

    def _network_down(self) -> None:
        self.up = False

    def _lcp_down(self) -> None:
        self._login.stop()
        self._stop_echo()
        self.ipcp.down()
        self._accm, self._short, self._deframer.accm = hdlc.ALL, False, hdlc.ALL

    def _finished(self) -> None:
        if not self._over:
            self.drop()
            self.on_down(self._reason)

    def _arm_echo(self) -> None:
        self._silences = 0
        if self.side.echo_s:
            self._echo_timer = self._clock.after(self.side.echo_s * S, self._echo)

    def _stop_echo(self) -> None:
        if self._echo_timer is not None:
            self._echo_timer.cancel()
            self._echo_timer = None

    def _echo(self) -> None:
        if self._silences >= 3:
            self.drop()
            self.on_down(SILENT)
            return
        self._silences += 1
        self.lcp.ask_echo()
        self._echo_timer = self._clock.after(self.side.echo_s * S, self._echo)


class _Lcp(Control):
    """RFC 1661 5 and 6."""

    def __init__(self, link: PppLink) -> None:
        super().__init__(link.clock, lambda packet: link.emit(LCP, packet))
        self._link, self._magic = link, link.magic()

    def wanted(self) -> Options:
        side = self._link.side
        options: Options = {}
        if side.accm is not None:
            options[_ACCM] = side.accm.to_bytes(4, "big")
        if side.login:
            options[_AUTH] = _LOGINS[side.login]
        options[_MAGIC] = self._magic
        if side.short:
            options[_PFC] = options[_ACFC] = b""
        return options

    def judge(self, kind: int, value: bytes) -> Answer:
        if kind == _MRU and len(value) == 2:
            # We send 1500 octets at the most; a peer that takes fewer gets packets that are too long for it.
            return TAKEN if int.from_bytes(value, "big") >= hdlc.MRU else Answer(better=hdlc.MRU.to_bytes(2, "big"))
        if kind == _ACCM and len(value) == 4:
            return TAKEN
        if kind == _AUTH:
            if not self._link.side.user or len(value) < 2:
                return REFUSED
            return TAKEN if value in _LOGINS.values() else Answer(better=_LOGINS["chap"])
        if kind == _MAGIC and len(value) == 4:
            # One's own: the line is looped back (RFC 1661 6.4).
            return TAKEN if value not in (self._magic, bytes(4)) else Answer(better=self._link.magic())
        if kind in (_PFC, _ACFC) and not value:
            return TAKEN
        return REFUSED

    def naked(self, kind: int, value: bytes) -> bytes | None:
        if kind == _MAGIC:
            self._magic = self._link.magic()
            return self._magic
        if kind == _AUTH:  # only what was wanted
            return _LOGINS[self._link.side.login] if self._link.side.login else None
        return value if kind in self._ours else None

    def insists(self, kind: int) -> bool:
        return kind == _AUTH

    def take(self, ours: Options, theirs: Options) -> None:
        self._link.agreed(ours, theirs)

    def extra(self, code: int, ident: int, data: bytes) -> bool:
        if code == _ECHO_REQUEST:
            if self.opened:
                self.emit(_ECHO_REPLY, ident, self._number() + data[4:])
        elif code == _ECHO_REPLY:
            self._link.echoed()
        elif code == _PROTOCOL_REJECT:
            if int.from_bytes(data[:2], "big") == IPCP:
                self._link.close(CLOSED_THERE)
        elif code not in (_DISCARD, _IDENTIFICATION, _REMAINING):
            return False
        return True

    def reject(self, protocol: int, payload: bytes) -> None:
        """RFC 1661 5.7: we do not speak that."""
        head = protocol.to_bytes(2, "big")
        self.emit(_PROTOCOL_REJECT, self._next_ident(), head + payload[: hdlc.MRU - 6])

    def ask_echo(self) -> None:
        self.emit(_ECHO_REQUEST, self._next_ident(), self._number())

    def _number(self) -> bytes:
        return self._ours.get(_MAGIC, bytes(4))


class _Ipcp(Control):
    """RFC 1332, with RFC 1877's name servers."""

    def __init__(self, link: PppLink) -> None:
        super().__init__(link.clock, lambda packet: link.emit(IPCP, packet))
        self._link = link

    def wanted(self) -> Options:
        side = self._link.side
        options: Options = {_ADDRESS: inet_aton(self._link.address)}
        if side.vj:
            options[_COMPRESSION] = _VJ
        if side.asks_dns:
            options[_DNS1] = inet_aton(_NOBODY)
        return options

    def judge(self, kind: int, value: bytes) -> Answer:
        side = self._link.side
        if kind == _COMPRESSION:
            if not side.vj or value[:2] != _VJ[:2]:
                return REFUSED
            return TAKEN if len(value) == 4 and value[2] < vj.SLOTS else Answer(better=_VJ)
        if kind == _ADDRESS and len(value) == 4:
            if side.peer != _NOBODY:
                return TAKEN if value == inet_aton(side.peer) else Answer(better=inet_aton(side.peer))
            return TAKEN if any(value) else REFUSED
        if kind in (_DNS1, _DNS2) and len(value) == 4 and side.dns != _NOBODY:
            return TAKEN if value == inet_aton(side.dns) else Answer(better=inet_aton(side.dns))
        return REFUSED

    def naked(self, kind: int, value: bytes) -> bytes | None:
        side = self._link.side
        if kind == _ADDRESS and len(value) == 4 and side.address == _NOBODY:
            return value
        if kind == _DNS1 and len(value) == 4 and side.asks_dns:
            return value
        return self._ours.get(kind) if kind == _ADDRESS else None

    def take(self, ours: Options, theirs: Options) -> None:
        link = self._link
        link.address = inet_ntoa(ours.get(_ADDRESS, bytes(4)))
        if _ADDRESS in theirs:
            link.peer = inet_ntoa(theirs[_ADDRESS])
        if _DNS1 in ours:
            link.dns = inet_ntoa(ours[_DNS1])
        link.compress(ours.get(_COMPRESSION), theirs.get(_COMPRESSION))


_LOGINS: Final = {"pap": PAP.to_bytes(2, "big"), "chap": CHAP.to_bytes(2, "big") + bytes((_MD5,))}
_VJ: Final = vj.COMPRESSED.to_bytes(2, "big") + bytes((vj.SLOTS - 1, 1))


class _Login:
    """Authentication, in both roles: PAP (RFC 1334 2) and CHAP with MD5 (RFC 1994)."""

    def __init__(self, link: PppLink) -> None:
        self._link = link
        self.demands = self.demanded = b""
        self.done = False
        self._proved = self._satisfied = False
        self._challenge = b""
        self._ident = 0
        self._timer: Timer | None = None
        self._until_us = 0

    def start(self) -> None:
        self.done = False
        self._proved, self._satisfied = not self.demanded, not self.demands
        self._until_us = self._link.clock.now_us + _AUTHENTICATION_US
        self._ident = (self._ident + 1) & 0xFF
        self._challenge = hashlib.md5(self._link.magic()).digest()
        self._again()

    def stop(self) -> None:
        self.done = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _again(self) -> None:
        """Sends what the peer has not answered; RFC 1334 2.2.1 and RFC 1994 4.1 leave the interval open."""
        self._timer = None
        if self._proved and self._satisfied:
            if not self.done:
                self.done = True
                self._link.authenticated()
            return
        if self._link.clock.now_us >= self._until_us:
            self._link.close(REFUSED_LOGIN)
            return
        side = self._link.side
        if not self._proved and self.demanded == _LOGINS["pap"]:
            self._emit(PAP, _ASK, self._ident, _counted(side.user) + _counted(side.password))
        if not self._satisfied and self.demands == _LOGINS["chap"]:
            self._emit(CHAP, _ASK, self._ident, bytes((16,)) + self._challenge + b"usageguard")
        self._timer = self._link.clock.after(3 * S, self._again)

    def deliver(self, protocol: int, packet: bytes) -> None:
        if len(packet) < 4 or not 4 <= int.from_bytes(packet[2:4], "big") <= len(packet):
            return
        code, ident, data = packet[0], packet[1], packet[4 : int.from_bytes(packet[2:4], "big")]
        (self._pap if protocol == PAP else self._chap)(code, ident, data)

    def _pap(self, code: int, ident: int, data: bytes) -> None:
        side = self._link.side
        if code == _ASK and self.demands == _LOGINS["pap"]:
            right = data == _counted(side.user) + _counted(side.password)
            self._emit(PAP, 2 if right else 3, ident, b"\0")
            self._judged(right)
        elif code in (2, 3) and ident == self._ident and self.demanded == _LOGINS["pap"]:
            self._told(code == 2)

    def _chap(self, code: int, ident: int, data: bytes) -> None:
        side = self._link.side
        size = data[0] if data else 0
        value = data[1 : 1 + size]
        if code == _ASK and self.demanded == _LOGINS["chap"]:
            proof = hashlib.md5(bytes((ident,)) + side.password.encode() + value).digest()
            self._emit(CHAP, _REPLY, ident, bytes((16,)) + proof + side.user.encode())
        elif code == _REPLY and ident == self._ident and self.demands == _LOGINS["chap"]:
            proof = hashlib.md5(bytes((ident,)) + side.password.encode() + self._challenge).digest()
            right = hmac.compare_digest(value, proof) and data[1 + size :] == side.user.encode()
            self._emit(CHAP, _SUCCESS if right else _FAILURE, ident)
            self._judged(right)
        elif code in (_SUCCESS, _FAILURE) and self.demanded == _LOGINS["chap"]:
            self._told(code == _SUCCESS)

    def _judged(self, right: bool) -> None:
        if right:
            self._satisfied = True
            self._go_on()
        else:
            self._link.close(REFUSED_LOGIN)

    def _told(self, right: bool) -> None:
        if right:
            self._proved = True
            self._go_on()
        else:
            self._link.close(REFUSED_LOGIN)

    def _go_on(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._again()

    def _emit(self, protocol: int, code: int, ident: int, data: bytes = b"") -> None:
        self._link.emit(protocol, bytes((code, ident)) + (len(data) + 4).to_bytes(2, "big") + data)


def _counted(text: str) -> bytes:
    data = text.encode()
    return bytes((len(data),)) + data


def _nothing() -> None:
    pass


def _ignore(_: object) -> None:
    pass
