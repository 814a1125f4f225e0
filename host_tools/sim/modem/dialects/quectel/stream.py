"""Transparent access mode: the line and one socket joined (TCP/IP Application Note 1.1)."""

from __future__ import annotations

from host_tools.sim.modem.dialects.quectel.socket import QuectelSocket
from host_tools.sim.modem.escape import Escape
from host_tools.sim.modem.port import Port


class Stream(Escape):
    """Octets from the line to the socket; without flow control, what the socket has no room for is lost."""

    def __init__(self, port: Port, socket: QuectelSocket) -> None:
        super().__init__(port, self._send)
        self.socket = socket

    def _send(self, data: bytes) -> None:
        if self.socket.connection is not None:
            self.socket.connection.send(data)
