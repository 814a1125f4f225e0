"""A null-modem cable: two serial ports on this machine, each of which is the other one's far end."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import tty

_BACKLOG = 65_536  # octets kept for an end that does not read; a wire would keep none


class Cable:
    """A context; `ends` are the paths of the two ports. Octets cross at once: a pseudo-terminal has no baud rate."""

    def __init__(self) -> None:
        pairs = [os.openpty() for _ in range(2)]
        self._masters = [master for master, _ in pairs]
        self._slaves = [slave for _, slave in pairs]  # ours stay open, or reading fails whenever nobody has a port open
        for master, slave in pairs:
            tty.setraw(slave)
            os.set_blocking(master, False)
        self.ends = tuple(os.ttyname(slave) for slave in self._slaves)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, name="cable", daemon=True)

    def __enter__(self) -> Cable:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._waker, b"\0")
        self._thread.join()
        for fd in (*self._masters, *self._slaves, self._wake, self._waker):
            os.close(fd)

    def _run(self) -> None:
        one, other = self._masters
        under_way = {one: bytearray(), other: bytearray()}
        while True:
            writers = [end for end, octets in under_way.items() if octets]
            readable, writable, _ = select.select([one, other, self._wake], writers, [])
            if self._wake in readable:
                return
            for end in readable:
                with contextlib.suppress(BlockingIOError):
                    towards = under_way[other if end == one else one]
                    towards += os.read(end, 4096)
                    del towards[:-_BACKLOG]
            for end in writable:
                with contextlib.suppress(BlockingIOError):
                    del under_way[end][: os.write(end, under_way[end])]
