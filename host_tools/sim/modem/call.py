"""Data calls: PPP between the host and a context (3GPP TS 27.007 10.2, TS 29.061 11.2.1.2)."""

from __future__ import annotations

import random
import re
from collections import deque
from typing import Final

from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.data import CONTEXTS, UP, Context, Data
from host_tools.sim.modem.errors import CmeError
from host_tools.sim.modem.escape import Escape
from host_tools.sim.modem.parser import EXEC, WRITE
from host_tools.sim.modem.port import CONNECT, NO_CARRIER, PENDING, Port, Reply
from host_tools.sim.network.packet import Packet
from host_tools.sim.network.ppp.link import PppLink, Side

GATEWAY: Final = "10.64.64.64"  # the modem's own address, which no packet uses
QUEUED: Final = 32  # packets that wait for the host to be back in data mode; more are dropped
_TEAR_DOWN_MS: Final = 100  # from the last LCP packet to NO CARRIER
# TS 27.007 10.2.1.1: D*<GPRS_SC>[*[<called_address>][*[<L2P>][*[<cid>]]]]#
_SERVICE: Final = re.compile(r"[TP]?\*9[89](?:\*[^*#]*(?:\*(?:PPP|IP|1)?(?:\*([0-9]{0,2}))?)?)?#", re.IGNORECASE)
_DTR_IGNORED, _DTR_ESCAPES = 0, 1


class Call(Part):
    """The data call on the serial line, one at a time, and the commands that make and end it.

    A call is over when either side ends LCP, the network ends the context, or the host hangs up; the context ends with
    it.
    """

    def __init__(self, port: Port, data: Data, rng: random.Random) -> None:
        super().__init__(port)
        self._data, self._rng = data, rng
        self._context: Context | None = None
        self._link: PppLink | None = None
        self._waiting: deque[Packet] = deque(maxlen=QUEUED)

    @property
    def active(self) -> bool:
        return self._link is not None

    @property
    def up(self) -> bool:
        """Whether IP passes."""
        return self._link is not None and self._link.up

    @property
    def peer(self) -> str:
        """The host's address, once IP passes."""
        return self._link.peer if self._link is not None else ""

    @property
    def _online(self) -> bool:
        """Whether the line is in the call's data mode."""
        return self._link is not None and self.port.streaming

    def stop(self) -> None:
        if self._link is not None:
            self._link.drop()
        self._forget()

    def _forget(self) -> None:
        if self._context is not None:
            self._context.bridge = None
        self._context = self._link = None
        self._waiting.clear()

    # --- commands ---

    @command("D", EXEC, manual="V.250 6.3.1, TS 27.007 10.2.1.1", sim=True)
    def _dial(self, args: tuple[str, ...]) -> Reply:
        match = _SERVICE.fullmatch(args[0].rstrip(";"))
        cid = int(match[1] or 1) if match is not None else 0
        if cid not in self._data.definitions or self.active or self._data.activate(cid):
            self.port.finish(None, NO_CARRIER)  # a voice call, which a data SIM does not get, or no session
            return PENDING
        return self._connect(cid)

    @command("+CGDATA", WRITE, test='("PPP")', manual="TS 27.007 10.1.12", sim=True)
    def _enter(self, args: tuple[str, ...]) -> Reply:
        cid = self.port.integer(args, 1, 1, CONTEXTS, 1)
        if args[0].upper() not in ("PPP", "") or cid not in self._data.definitions:
            raise self.port.bad_parameter()
        if self.active:
            raise CmeError(3)
        code = self._data.activate(cid)
        if code:
            raise CmeError(code)
        return self._connect(cid)

    @command("O", EXEC, manual="V.250 6.3.7")
    def resume(self, args: tuple[str, ...]) -> Reply:
        """Goes back to the data mode."""
        if self._context is not None and self._context.state != UP:  # it ended in silence
            self._end("")
        if self._link is None:
            self.port.finish(None, NO_CARRIER)
            return PENDING
        self._begin_stream()
        while self._waiting:
            self._link.send(self._waiting.popleft())
        return PENDING

    @command("H", EXEC, manual="V.250 6.3.6")
    @command("+CHUP", EXEC, test="", manual="TS 27.007 6.5")
    def _hang_up(self, args: tuple[str, ...]) -> Reply:
        self._end("")
        return None

    def dtr(self, on: bool) -> None:
        """The host gives DTR, or takes it away: what that does is AT&D's value."""
        if on:
            return
        does = self.port.nvm.number("&D")
        if does == _DTR_IGNORED or not self._online:
            return
        if does == _DTR_ESCAPES:
            self.port.leave_stream()
            self.port.write(self.port.frame("OK"))
        else:
            self._end("OK")

    # --- the call ---

    def _connect(self, cid: int) -> Reply:
        self._context = context = self._data.contexts[cid]
        side = Side(address=GATEWAY, peer=context.ip, dns=context.dns, vj=self.profile.ppp.vj)
        self._link = link = PppLink(self.clock, side, self._rng, self._write)
        link.on_packet = context.send
        link.on_down = self._ended
        context.bridge = self._deliver
        self.port.log.add("modem", "call", cid=cid)
        self._begin_stream()
        link.open()
        return PENDING

    def _begin_stream(self) -> None:
        link = self._link
        assert link is not None
        self.port.enter_stream(Escape(self.port, link.feed).take)
        self.port.finish(None, CONNECT)

    def _write(self, octets: bytes) -> None:
        if self._online:
            self.port.write(octets)

    def _deliver(self, packet: Packet) -> None:
        if self._online and self._link is not None:
            self._link.send(packet)
        else:
            self._waiting.append(packet)

    def _ended(self, reason: str) -> None:
        """LCP is over: the call follows."""
        self.port.log.add("modem", "call-ended", reason=reason)
        self.port.after(_TEAR_DOWN_MS, self._end, NO_CARRIER)

    def _end(self, final: str) -> None:
        """Ends call and context; a host in the data mode gets `final` after the last frame."""
        context = self._context
        self._drop(final)
        if context is not None and context.state == UP:
            self._data.deactivate(context.cid)

    def _drop(self, final: str) -> None:
        online = self._online
        self.stop()
        if online:
            if final:
                self.port.write(self.port.frame(final))
            self.port.leave_stream()

    def context_down(self, cid: int) -> None:
        """The context of this number is about to end, otherwise than by the call's own end."""
        if self._context is None or self._context.cid != cid or self._link is None:
            return
        link = self._link
        self._context.bridge = None
        ending = self.profile.ppp.ending
        if ending == "terminate" and self._online:
            link.close()  # `_ended` follows with the peer's answer, or without one after two silences
        elif ending != "silence" or not self._online:
            self._drop(NO_CARRIER)
