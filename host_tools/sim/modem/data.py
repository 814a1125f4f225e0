"""PDP contexts and their bearers (3GPP TS 27.007 clause 10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from host_tools.sim.carrier import Bearer, Carrier
from host_tools.sim.clock import Clock
from host_tools.sim.modem.card import CardReader
from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.counter import Counter
from host_tools.sim.modem.errors import CmeError
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE
from host_tools.sim.modem.port import Port, Reply
from host_tools.sim.modem.profile import Profile
from host_tools.sim.modem.radio import Radio
from host_tools.sim.network.packet import Packet
from host_tools.sim.network.stack import IpStack

CONTEXTS = 7  # EC200U TCP/IP Application Note 2.4.3
DOWN, UP, BROKEN = range(3)  # BROKEN: the network ended it and the host has not deactivated it yet
TYPES = {"IP": 1, "IPV6": 2, "IPV4V6": 3}
_VERIFY_MS = 1000  # from the end of a bearer to the next signalling with the network
_UNKNOWN = 100  # TS 27.007 9.2.1
_ESM_TO_CME = {8: 177}  # any other +CME ERROR is the ESM cause + 100


@dataclass(frozen=True, slots=True)
class Definition:
    """What AT+CGDCONT, and a dialect's commands, define."""

    kind: str = "IP"
    apn: str = ""
    user: str = ""
    password: str = ""
    authentication: int = 0


class Context:
    """One PDP context with the IP stack that runs over it."""

    def __init__(self, cid: int, clock: Clock, profile: Profile, radio: Radio, counter: Counter) -> None:
        self.cid = cid
        self._clock, self._sockets, self._radio, self._counter = clock, profile.sockets, radio, counter
        self.state = DOWN
        self.bearer: Bearer | None = None
        self.stack: IpStack | None = None
        self.dns = ""
        self.bridge: Callable[[Packet], None] | None = None  # takes the packets of a context that a data call has
        self.lost_ports: set[int] = set()  # whose packets a middlebox swallows, for faults

    @property
    def ip(self) -> str:
        return self.bearer.ip if self.bearer is not None else "0.0.0.0"

    def open(self, bearer: Bearer) -> None:
        sockets = self._sockets
        self.bearer, self.state, self.dns = bearer, UP, bearer.dns
        self.stack = IpStack(
            self._clock,
            bearer.ip,
            self.send,
            receive_buffer=sockets.receive_octets,
            send_buffer=sockets.send_octets,
            mss=sockets.mtu - 40,
            timestamps=sockets.timestamps,
            syn_options=sockets.syn_options,
        )
        self.lost_ports.clear()
        self._counter.begin_session()

    def drop(self, state: int) -> None:
        """Forgets bearer and stack without a packet."""
        self.state = state
        if self.stack is not None:
            self.stack.drop()
        self.bearer = self.stack = None

    def send(self, packet: Packet) -> None:
        """A packet of the device; one without a bearer, or beyond the radio's reach, is gone."""
        bearer = self.bearer
        if bearer is None or not self._radio.reachable:
            return
        self._radio.used_us = self._clock.now_us
        self._counter.add(packet, 0)
        if packet.src[1] in self.lost_ports:
            packet.dst = ("0.0.0.0", packet.dst[1])
        bearer.send(packet)

    def deliver(self, packet: Packet) -> None:
        """A packet from the network, which calls a modem that rests; one that the radio does not reach is gone."""
        wait_us = self._radio.edrx_us and self._radio.paging_us()
        if wait_us:
            self._clock.after(wait_us, self._arrive, packet)
        else:
            self._arrive(packet)

    def _arrive(self, packet: Packet) -> None:
        if self.stack is None or packet.dst[0] != self.stack.ip or not self._radio.reachable:
            return
        self._radio.used_us = self._clock.now_us
        self._counter.add(packet, 1)
        if packet.dst[1] not in self.lost_ports:
            (self.bridge or self.stack.deliver)(packet)


class Data(Part):
    """The contexts. The SIM has one bearer at a time, so a second context is refused.

    Calls `on_down(cid, forget)` before a context ends, with `forget` if the host has ended it, and `on_broken(cid)`
    after the network has.
    """

    settings = (Setting("+CGEREP", "(0-2),(0,1)", "0,0", "TS 27.007 10.1.19", "profile"),)

    keeps_active = False
    """Whether a context must be down to be defined anew."""
    last_pdn = False
    """Whether AT+CGACT cannot take the only context down: an LTE device has at least one."""

    def __init__(self, port: Port, card_reader: CardReader, radio: Radio, carrier: Carrier) -> None:
        super().__init__(port)
        self._card, self._radio, self._carrier = card_reader.card, radio, carrier
        self.on_down: Callable[[int, bool], None] = _ignore_end
        self.on_broken: Callable[[int], None] = _ignore
        self.stuck = False  # no context comes up until a restart, for faults
        self.definitions: dict[int, Definition] = {1: Definition()}  # in NVM
        self.counter = Counter(self.clock, self.profile.counter)
        self.contexts = {
            cid: Context(cid, self.clock, self.profile, radio, self.counter) for cid in range(1, CONTEXTS + 1)
        }

    def start(self) -> None:
        self.stuck = False
        self.counter.start()

    def stop(self) -> None:
        self.counter.stop()
        for context in self.contexts.values():
            context.drop(DOWN)

    # --- contexts ---

    def activate(self, cid: int) -> int:
        """Asks the network for a bearer; 0, or the +CME ERROR of the refusal."""
        context = self.contexts[cid]
        if context.state == UP:
            return 0
        if self.stuck:
            self.port.last_error = _UNKNOWN
            return _UNKNOWN
        if not self._radio.reachable:
            return 30
        if any(other.state == UP for other in self.contexts.values()):
            return 134
        apn = self.definitions.get(cid, Definition()).apn
        answer = self._carrier.activate(self._card.imsi, context.deliver, lambda: self._lost(context), apn)
        if isinstance(answer, int):
            code = _ESM_TO_CME.get(answer, 100 + answer)
            self.port.last_error = code
            self.port.log.add("modem", "pdp-refused", cid=cid, cause=answer)
            return code
        context.open(answer)
        self.port.log.add("modem", "pdp-up", cid=cid, ip=answer.ip)
        self.report(f"ME PDN ACT {cid}")
        return 0

    def deactivate(self, cid: int) -> None:
        """Ends the context from the device's side, and every socket over it."""
        context = self.contexts[cid]
        bearer, was_up = context.bearer, context.state == UP
        self.on_down(cid, True)
        context.drop(DOWN)
        if was_up and bearer is not None:
            bearer.close()
            self.port.log.add("modem", "pdp-down", cid=cid)
            self.report(f"ME PDN DEACT {cid}")

    def release_all(self) -> None:
        """Leaves the network: every context goes down, in order."""
        for context in self.contexts.values():
            if context.state == UP:
                bearer = context.bearer
                self.on_down(context.cid, False)
                context.drop(BROKEN)
                if bearer is not None:
                    bearer.close()
                self.on_broken(context.cid)

    def _lost(self, context: Context) -> None:
        """The network ended the bearer; a device without coverage learns it when it is back."""
        if context.state != UP or not self._radio.reachable:
            return
        self.on_down(context.cid, False)
        context.drop(BROKEN)
        self.port.log.add("modem", "pdp-lost", cid=context.cid)
        self.report(f"NW PDN DEACT {context.cid}")
        self.on_broken(context.cid)
        self.port.after(_VERIFY_MS, self._radio.verify)

    def resume(self) -> None:
        """The device is registered again: finds out which bearers the network ended meanwhile."""
        for context in self.contexts.values():
            if context.bearer is not None and not context.bearer.active:
                self._lost(context)

    def report(self, event: str) -> None:
        """+CGEV, where AT+CGEREP asks for it."""
        if self.port.nvm.number("+CGEREP"):
            self.port.urc(f"+CGEV: {event}")

    def _cid(self, args: tuple[str, ...], at: int = 0) -> int:
        return self.port.integer(args, at, 1, CONTEXTS)

    @command("+CGATT", READ, test="(0,1)", manual="TS 27.007 10.1.9", sim=True)
    def _is_attached(self, args: tuple[str, ...]) -> Reply:
        return f"+CGATT: {int(self._radio.registered)}"

    @command("+CGATT", WRITE, sim=True)
    def _attach(self, args: tuple[str, ...]) -> Reply:
        if self.port.integer(args, 0, 0, 1):
            if not self._radio.registered:
                self._radio.search()
                return self._radio.wait_registered()
        elif self._radio.registered:
            self.report("ME DETACH")
            self._radio.detach()
        return None

    @command("+CGDCONT", TEST, manual="TS 27.007 10.1.1")
    def _kinds(self, args: tuple[str, ...]) -> Reply:
        return [f'+CGDCONT: (1-{CONTEXTS}),"{kind}",,,(0-2),(0-4),(0,1)' for kind in TYPES]

    @command("+CGDCONT", READ)
    def _definitions(self, args: tuple[str, ...]) -> Reply:
        return [
            f'+CGDCONT: {cid},"{d.kind}","{d.apn}","{self.contexts[cid].ip}",0,0'
            for cid, d in sorted(self.definitions.items())
        ] or None

    @command("+CGDCONT", WRITE)
    def _define(self, args: tuple[str, ...]) -> Reply:
        cid = self._cid(args)
        if len(args) == 1:
            self.define(cid, None)
            return None
        kind = args[1].upper()
        if kind not in TYPES:
            raise self.port.bad_parameter()
        old = self.definitions.get(cid, Definition())
        self.define(cid, replace(old, kind=kind, apn=args[2] if len(args) > 2 else old.apn))
        return None

    def define(self, cid: int, definition: Definition | None) -> None:
        """Stores a definition, or removes it.

        Raises the CmeError of a context that is up, if the modem does not let that change (`keeps_active`).
        """
        old = self.definitions.get(cid)
        if self.keeps_active and self.contexts[cid].state == UP and definition != old:
            raise CmeError(3)
        if definition is not None:
            self.definitions[cid] = definition
        elif old is not None:
            del self.definitions[cid]

    @command("+CGACT", READ, test="(0,1)", manual="TS 27.007 10.1.10", sim=True)
    def _states(self, args: tuple[str, ...]) -> Reply:
        return [f"+CGACT: {cid},{int(self.contexts[cid].state == UP)}" for cid in sorted(self.definitions)] or None

    @command("+CGACT", WRITE, sim=True)
    def _act(self, args: tuple[str, ...]) -> Reply:
        on = self.port.integer(args, 0, 0, 1)
        cids = [self._cid(args, 1)] if len(args) > 1 else sorted(self.definitions)
        if not self.definitions.keys() >= set(cids):
            raise self.port.bad_parameter()
        if on and self._radio.detached:  # it attaches first (TS 27.007 10.1.10)
            self._radio.search()
            return self._radio.wait_registered(lambda: self._activate_all(cids))
        code = self._activate_all(cids) if on else self._deactivate_all(cids)
        if code:
            raise CmeError(code)
        return None

    def _activate_all(self, cids: Iterable[int]) -> int:
        """0, or the first +CME ERROR."""
        return next(filter(None, map(self.activate, cids)), 0)

    def _deactivate_all(self, cids: Iterable[int]) -> int:
        for cid in cids:
            if self.last_pdn and self.contexts[cid].state == UP:
                return 171
            self.deactivate(cid)
        return 0

    @command("+CGPADDR", EXEC, test=f"(1-{CONTEXTS})", manual="TS 27.007 10.1.14", sim=True)
    @command("+CGPADDR", WRITE, sim=True)
    def _addresses(self, args: tuple[str, ...]) -> Reply:
        cids = [self._cid(args)] if args else sorted(self.definitions)
        return [f'+CGPADDR: {cid},"{self.contexts[cid].ip}"' for cid in cids] or None

    @command("+CGCONTRDP", EXEC, test="", manual="TS 27.007 10.1.23", sim=True)
    @command("+CGCONTRDP", WRITE, sim=True)
    def _dynamic(self, args: tuple[str, ...]) -> Reply:
        cids = [self._cid(args)] if args else range(1, CONTEXTS + 1)
        return [
            f'+CGCONTRDP: {c.cid},5,"{self.definitions[c.cid].apn}","{c.ip}",,"{c.dns}",'
            for c in (self.contexts[cid] for cid in cids)
            if c.state == UP
        ] or None


def _ignore_end(cid: int, forget: bool) -> None:
    pass


def _ignore(cid: int) -> None:
    pass
