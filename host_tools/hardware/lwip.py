"""lwIP's part of a virtual board, in real time: what `device/network.py` asks for, over a socket."""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import struct
import threading
from datetime import UTC, datetime

from host_tools.sim.clock import Clock
from host_tools.sim.lwip import Lwip
from host_tools.sim.realtime import Pace

_HEAD = struct.Struct("<BHI")
_LENGTH = struct.Struct("<H")
_IDLE_S = 1.0


class LwipOfABoard:
    """Serves one boot of a board whose UART is the tty `uart`, in a thread, until `close`. `fd` is the board's end."""

    def __init__(self, uart: str) -> None:
        self._ours, theirs = socket.socketpair()
        self.fd = theirs.detach()
        self._uart = os.open(uart, os.O_WRONLY | os.O_NOCTTY)
        self._clock = Clock(datetime.now(UTC))
        self._received = b""
        self._lwip = Lwip(self._clock, random.Random(), self._transmit, self._take)
        self._thread = threading.Thread(target=self._run, name="lwIP", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends it: the board was reset."""
        with contextlib.suppress(OSError):
            self._ours.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._ours.close()
        os.close(self._uart)

    def _transmit(self, octets: bytes) -> None:
        with contextlib.suppress(OSError):  # the other end was closed
            os.write(self._uart, octets)

    def _take(self) -> bytes:
        return self._received

    def _run(self) -> None:
        pace = Pace(self._clock)
        buffer = bytearray()
        while True:
            pace.catch_up()
            if not select.select([self._ours], [], [], pace.left_s(_IDLE_S))[0]:
                continue
            try:
                data = self._ours.recv(65_536)
            except OSError:
                return
            if not data:
                return
            pace.catch_up()
            buffer += data
            while len(buffer) >= _HEAD.size:
                what, n, arg = _HEAD.unpack_from(buffer)
                if len(buffer) < _HEAD.size + n:
                    break
                payload = bytes(buffer[_HEAD.size : _HEAD.size + n])
                del buffer[: _HEAD.size + n]
                self._received = payload  # of a poll: what the UART had
                answer = self._lwip.handle(what, arg, payload)
                with contextlib.suppress(OSError):
                    self._ours.sendall(_LENGTH.pack(len(answer)) + answer)
