"""Where a client reaches the modem: a pseudo-terminal, or a TCP port that carries the raw octets of the line."""

from __future__ import annotations

import contextlib
import os
import socket
import tty
from collections.abc import Collection
from typing import Protocol

BACKLOG = 65_536  # octets kept for a client that does not read; a wire would keep none


class FarEnd(Protocol):
    """`where` is what a client opens."""

    where: str

    def readers(self) -> list[int]:
        """Descriptors to wait for."""
        ...

    def writers(self) -> list[int]:
        """Descriptors to wait for as long as octets are left to be written."""
        ...

    def read(self, ready: Collection[int]) -> bytes:
        """What the client wrote, if one of `ready` is this end's."""
        ...

    def write(self, data: bytes) -> None:
        """Takes octets for the client; the oldest are lost if it does not read. `b""` writes what is left."""
        ...

    def close(self) -> None: ...


class Pty:
    """A pseudo-terminal; `where` is its path."""

    def __init__(self) -> None:
        # The client's side stays open here as well, or reading fails whenever no client is there.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.where = os.ttyname(self._slave)
        self._backlog = bytearray()

    def readers(self) -> list[int]:
        return [self._master]

    def writers(self) -> list[int]:
        return [self._master] if self._backlog else []

    def read(self, ready: Collection[int]) -> bytes:
        if self._master in ready:
            with contextlib.suppress(BlockingIOError):
                return os.read(self._master, 4096)
        return b""

    def write(self, data: bytes) -> None:
        self._backlog += data
        with contextlib.suppress(BlockingIOError):
            del self._backlog[: os.write(self._master, self._backlog)]
        del self._backlog[:-BACKLOG]

    def close(self) -> None:
        os.close(self._master)
        os.close(self._slave)


class TcpPort:
    """A TCP port for one client at a time, as a serial device server has it; `where` is a URL of pySerial's.

    OSError if it cannot be listened on.
    """

    def __init__(self, host: str, port: int) -> None:
        self._listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._listener.setblocking(False)
        shown = f"[{host}]" if ":" in host else host
        self.address = (host, self._listener.getsockname()[1])
        self.where = f"socket://{shown}:{self.address[1]}"
        self._client: socket.socket | None = None
        self._backlog = bytearray()

    def readers(self) -> list[int]:
        return [self._listener.fileno(), *([self._client.fileno()] if self._client else [])]

    def writers(self) -> list[int]:
        return [self._client.fileno()] if self._client and self._backlog else []

    def read(self, ready: Collection[int]) -> bytes:
        if self._listener.fileno() in ready:
            self._accept()
        client = self._client
        if client is None or client.fileno() not in ready:
            return b""
        try:
            data = client.recv(4096)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            self._hang_up()
        return data

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            client, _ = self._listener.accept()
            if self._client is not None:
                client.close()  # the line is taken
                return
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client = client

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
            self._backlog.clear()

    def write(self, data: bytes) -> None:
        if self._client is None:
            return  # nobody is there: lost, as on a wire
        self._backlog += data
        try:
            del self._backlog[: self._client.send(self._backlog)]
        except BlockingIOError:
            pass
        except OSError:
            self._hang_up()
        del self._backlog[:-BACKLOG]

    def close(self) -> None:
        self._hang_up()
        self._listener.close()
