"""PDP contexts, their bearers and the data-volume counter (3GPP TS 27.007 clause 10, EC2x AT manual)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from host_tools.sim.clock import S
from host_tools.sim.modem.command import CmeError, Part, Reply, Setting, command
from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE
from host_tools.sim.network.packet import Packet
from host_tools.sim.network.stack import IpStack

if TYPE_CHECKING:
    from host_tools.sim.carrier import Bearer
    from host_tools.sim.modem.device import SimModem

CONTEXTS = 7  # EC200U TCP/IP Application Note 2.4.3
DOWN, UP, BROKEN = range(3)  # BROKEN: the network ended it and the host has not deactivated it yet
_TYPES = {"IP": 1, "IPV6": 2, "IPV4V6": 3}
_TYPE_NAMES = {number: name for name, number in _TYPES.items()}
_VERIFY_MS = 1000  # from the end of a bearer to the next signalling with the network
_ESM_TO_CME = {8: 177}  # modems.md: CME is the ESM cause + 100 otherwise


@dataclass(slots=True)
class Definition:
    """What AT+CGDCONT and AT+QICSGP define."""

    kind: str = "IP"
    apn: str = ""
    user: str = ""
    password: str = ""
    authentication: int = 0


class Context:
    """One PDP context with the IP stack that runs over it."""

    def __init__(self, data: Data, cid: int) -> None:
        self._data = data
        self.cid = cid
        self.state = DOWN
        self.bearer: Bearer | None = None
        self.stack: IpStack | None = None
        self.dns = ""
        self.lost_ports: set[int] = set()  # whose packets a middlebox swallows, for faults

    @property
    def ip(self) -> str:
        return self.bearer.ip if self.bearer is not None else "0.0.0.0"

    def open(self, bearer: Bearer) -> None:
        sockets = self._data.profile.sockets
        self.bearer, self.state, self.dns = bearer, UP, bearer.dns
        self.stack = IpStack(
            self._data.clock,
            bearer.ip,
            self._emit,
            receive_buffer=sockets.receive_octets,
            send_buffer=sockets.send_octets,
            mss=sockets.mtu - 40,
        )
        self.lost_ports.clear()

    def drop(self, state: int) -> None:
        """Forgets bearer and stack without a packet."""
        self.state = state
        if self.stack is not None:
            self.stack.drop()
        self.bearer = self.stack = None

    def _emit(self, packet: Packet) -> None:
        bearer = self.bearer
        if bearer is None or not self._data.modem.radio.reachable:
            return
        self._data.count(packet, 0)
        if packet.src[1] in self.lost_ports:
            packet.dst = ("0.0.0.0", packet.dst[1])
        bearer.send(packet)

    def deliver(self, packet: Packet) -> None:
        """A packet from the network; one that the radio does not reach is gone."""
        if self.stack is None or packet.dst[0] != self.stack.ip or not self._data.modem.radio.reachable:
            return
        self._data.count(packet, 1)
        if packet.dst[1] not in self.lost_ports:
            self.stack.deliver(packet)


class Data(Part):
    """Contexts and counter. The SIM has one bearer at a time, so a second context is refused."""

    settings = (Setting("+CGEREP", "(0-2),(0,1)", "0,0", "TS 27.007 10.1.19", "profile"),)

    def __init__(self, modem: SimModem) -> None:
        super().__init__(modem)
        self.definitions: dict[int, Definition] = {1: Definition()}  # in NVM
        self.contexts = {cid: Context(self, cid) for cid in range(1, CONTEXTS + 1)}
        self.octets = [0, 0]  # sent, received
        self._saved = [0, 0]  # in NVM
        self._autosave_s = 0
        self._autosave_due_us = 0
        self._payload_only = self.profile.counter.counts == "payload"

    def start(self) -> None:
        self._autosave_s = 0
        self.octets = self._saved.copy() if self.profile.counter.persist == "nvm" else [0, 0]

    def stop(self) -> None:
        self._autosave()
        for context in self.contexts.values():
            context.drop(DOWN)

    # --- contexts ---

    def activate(self, cid: int) -> int:
        """Asks the network for a bearer; 0, or the +CME ERROR of the refusal."""
        context = self.contexts[cid]
        if context.state == UP:
            return 0
        if not self.modem.radio.reachable:
            return 30
        if any(other.state == UP for other in self.contexts.values()):
            return 134
        answer = self.modem.carrier.activate(
            self.modem.card.imsi, context.deliver, lambda: self._lost(context)
        )
        if isinstance(answer, int):
            code = _ESM_TO_CME.get(answer, 100 + answer)
            self.modem.general.note_error(code)
            self.modem.log.add("modem", "pdp-refused", cid=cid, cause=answer)
            return code
        context.open(answer)
        self.modem.log.add("modem", "pdp-up", cid=cid, ip=answer.ip)
        self.report(f"ME PDN ACT {cid}")
        return 0

    def deactivate(self, cid: int) -> None:
        """Ends the context from the device's side, and every socket over it."""
        context = self.contexts[cid]
        bearer, was_up = context.bearer, context.state == UP
        self.modem.sockets.context_down(cid, forget=True)
        context.drop(DOWN)
        if was_up and bearer is not None:
            bearer.close()
            self.modem.log.add("modem", "pdp-down", cid=cid)
            self.report(f"ME PDN DEACT {cid}")

    def release_all(self) -> None:
        """Leaves the network: every context goes down, in order."""
        for context in self.contexts.values():
            if context.state == UP:
                bearer = context.bearer
                self.modem.sockets.context_down(context.cid, forget=False)
                context.drop(BROKEN)
                if bearer is not None:
                    bearer.close()
                self.modem.urc(f'+QIURC: "pdpdeact",{context.cid}')

    def _lost(self, context: Context) -> None:
        """The network ended the bearer; a device without coverage learns it when it is back."""
        if context.state != UP or not self.modem.radio.reachable:
            return
        self.modem.sockets.context_down(context.cid, forget=False)
        context.drop(BROKEN)
        self.modem.log.add("modem", "pdp-lost", cid=context.cid)
        self.report(f"NW PDN DEACT {context.cid}")
        self.modem.urc(f'+QIURC: "pdpdeact",{context.cid}')
        self.modem.after(_VERIFY_MS, self.modem.radio.verify)

    def resume(self) -> None:
        """The device is registered again: finds out which bearers the network ended meanwhile."""
        for context in self.contexts.values():
            if context.bearer is not None and not context.bearer.active:
                self._lost(context)

    def report(self, event: str) -> None:
        """+CGEV, where AT+CGEREP asks for it."""
        if self.modem.nvm.number("+CGEREP"):
            self.modem.urc(f"+CGEV: {event}")

    def _cid(self, args: tuple[str, ...], at: int = 0) -> int:
        return self.modem.integer(args, at, 1, CONTEXTS)

    @command("+CGDCONT", TEST, manual="TS 27.007 10.1.1")
    def _kinds(self, args: tuple[str, ...]) -> Reply:
        return [f'+CGDCONT: (1-{CONTEXTS}),"{kind}",,,(0-2),(0-4),(0,1)' for kind in _TYPES]

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
            self.definitions.pop(cid, None)
            return None
        kind = args[1].upper()
        if kind not in _TYPES:
            raise self.modem.bad_parameter()
        definition = self.definitions.setdefault(cid, Definition())
        definition.kind = kind
        if len(args) > 2:
            definition.apn = args[2]
        return None

    @command(
        "+QICSGP",
        WRITE,
        test=f"(1-{CONTEXTS}),(1-3),<APN>,<username>,<password>,(0-2)",
        manual="TCP/IP 2.4.2",
    )
    def _configure(self, args: tuple[str, ...]) -> Reply:
        cid = self._cid(args)
        d = self.definitions.get(cid, Definition())
        if len(args) == 1:
            return f'+QICSGP: {_TYPES[d.kind]},"{d.apn}","{d.user}","{d.password}",{d.authentication}'
        d.kind = _TYPE_NAMES[self.modem.integer(args, 1, 1, 3)]
        d.apn, d.user, d.password = (*args[2:5], "", "", "")[:3]
        d.authentication = self.modem.integer(args, 5, 0, 2, 0)
        self.definitions[cid] = d
        return None

    @command("+CGACT", READ, test="(0,1)", manual="TS 27.007 10.1.10", sim=True)
    def _states(self, args: tuple[str, ...]) -> Reply:
        return [
            f"+CGACT: {cid},{int(self.contexts[cid].state == UP)}" for cid in sorted(self.definitions)
        ] or None

    @command("+CGACT", WRITE, sim=True)
    def _act(self, args: tuple[str, ...]) -> Reply:
        on = self.modem.integer(args, 0, 0, 1)
        for cid in [self._cid(args, 1)] if len(args) > 1 else sorted(self.definitions):
            if cid not in self.definitions:
                raise self.modem.bad_parameter()
            code = self.activate(cid) if on else self.deactivate(cid)
            if code:
                raise CmeError(code)
        return None

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

    # --- the counter ---

    def count(self, packet: Packet, way: int) -> None:
        """Adds a packet that crosses the bearer; `way` 0 is sent, 1 received."""
        if self._autosave_s and self.clock.now_us >= self._autosave_due_us:
            self._autosave()
        self.octets[way] += len(packet.payload) if self._payload_only else packet.length

    def _autosave(self) -> None:
        """Catches up with the periodic save: nothing was counted since it was due, so that was saved."""
        period = self._autosave_s * S
        if period and self.clock.now_us >= self._autosave_due_us:
            self._saved = self.octets.copy()
            self._autosave_due_us += ((self.clock.now_us - self._autosave_due_us) // period + 1) * period

    def orderly_save(self) -> None:
        """What an orderly power-down does for the counter, if the family does anything."""
        if self.profile.counter.save_on_power_down:
            self._saved = self.octets.copy()

    @command("+QGDCNT", READ, test="(0,1)", manual="EC2x AT: AT+QGDCNT")
    def _counter(self, args: tuple[str, ...]) -> Reply:
        return f"+QGDCNT: {self.octets[0]},{self.octets[1]}"

    @command("+QGDCNT", WRITE)
    def _set_counter(self, args: tuple[str, ...]) -> Reply:
        if self.modem.integer(args, 0, 0, 1):
            self._saved = self.octets.copy()
        else:
            self.octets = [0, 0]
        return None

    @command("+QAUGDCNT", READ, test="(0,30-65535)", manual="EC2x AT: AT+QAUGDCNT")
    def _autosave_period(self, args: tuple[str, ...]) -> Reply:
        return f"+QAUGDCNT: {self._autosave_s}"

    @command("+QAUGDCNT", WRITE)
    def _set_autosave(self, args: tuple[str, ...]) -> Reply:
        seconds = self.modem.integer(args, 0, 0, 65_535)
        if 0 < seconds < 30:
            raise self.modem.bad_parameter()
        self._autosave()
        self._autosave_s = seconds
        self._autosave_due_us = self.clock.now_us + seconds * S
        return None
