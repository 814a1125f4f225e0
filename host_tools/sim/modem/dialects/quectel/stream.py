"""Transparent access mode: the line and one socket joined (TCP/IP Application Note 1.1)."""

from __future__ import annotations

from host_tools.sim.clock import MS, S
from host_tools.sim.modem.dialects.quectel.socket import QuectelSocket
from host_tools.sim.modem.port import Port

GUARD_US = 1 * S  # silence around "+++"


class Stream:
    """Octets from the line to the socket; without flow control, what the socket has no room for is lost."""

    def __init__(self, port: Port, socket: QuectelSocket) -> None:
        self.socket = socket
        self._port = port
        self._held = b""  # plus signs that may become the escape sequence
        self._last_us = -GUARD_US

    def take(self, data: bytes) -> None:
        """Takes what the host wrote: payload, or "+++" with silence before and after it."""
        now = self._port.clock.now_us
        quiet = now - self._last_us >= GUARD_US
        self._last_us = now
        data = self._held + data
        if (quiet or self._held) and len(data) <= 3 and data == b"+++"[: len(data)]:
            self._held = data
            self._port.after(GUARD_US // MS, self._decide, now)
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        self._held = b""
        if self.socket.connection is not None:
            self.socket.connection.send(data)

    def _decide(self, since_us: int) -> None:
        if self._last_us != since_us or not self._port.streaming:
            return
        if self._held == b"+++":
            self._held = b""
            self._port.leave_stream()
            self._port.write(self._port.frame("OK"))
        else:
            self._send(self._held)
