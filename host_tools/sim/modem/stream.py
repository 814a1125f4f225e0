"""Transparent access mode: the line and one socket joined (TCP/IP Application Note 1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from host_tools.sim.clock import MS, S

if TYPE_CHECKING:
    from host_tools.sim.modem.device import SimModem
    from host_tools.sim.modem.sockets import Socket

GUARD_US = 1 * S  # silence around "+++"


class Stream:
    """Octets from the line to the socket; what it has no room for is lost, without flow control."""

    def __init__(self, modem: SimModem, socket: Socket) -> None:
        self.socket = socket
        self._modem = modem
        self._held = b""  # plus signs that may become the escape sequence
        self._last_us = -GUARD_US

    def take(self, data: bytes) -> None:
        """What the host wrote: payload, or "+++" with silence before and after it."""
        now = self._modem.clock.now_us
        quiet = now - self._last_us >= GUARD_US
        self._last_us = now
        data = self._held + data
        if (quiet or self._held) and len(data) <= 3 and data == b"+++"[: len(data)]:
            self._held = data
            self._modem.after(GUARD_US // MS, self._decide, now)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        self._held = b""
        if self.socket.connection is not None:
            self.socket.connection.send(data)

    def _decide(self, since_us: int) -> None:
        if self._last_us != since_us or not self._modem.streaming:
            return
        if self._held == b"+++":
            self._held = b""
            self._modem.leave_stream()
            self._modem.write(self._modem.frame("OK"))
        else:
            self._send(self._held)
