"""How a program reaches its simulated board: over a file descriptor, or by direct calls."""

from __future__ import annotations

import os
import socket
import struct
import time
from pathlib import Path
from typing import Any, Protocol

from host_tools.sim.board import Board
from host_tools.sim.clock import Clock

HEAD = struct.Struct("<BBHI")


class Crashed(Exception):
    """The device's program ended by itself; the text has the end of its output."""


class Stalled(Exception):
    """Virtual time has stood still for longer than allowed: the program computes, or blocks outside its HAL."""


class Patience:
    """Measures how long a program has kept virtual time from moving.

    It may use `COMPUTES_S` seconds of CPU time at one virtual instant, however busy this computer is: a host computes
    some hundred times as fast as an ESP32, so this is about what the watchdog's 5 minutes are there. It may be silent
    for `SILENT_S` wall seconds, as one that waits for something of the host. Where a process's CPU time cannot be read
    (outside Linux), SILENT_S is all there is.
    """

    COMPUTES_S = 2.5
    SILENT_S = 60.0
    LOOK_S = 0.5

    def __init__(self, pid: int, clock: Clock) -> None:
        self._stat = Path(f"/proc/{pid}/stat")
        self._clock = clock
        self._instant = -1
        self._cpu_s = 0.0
        self._looked = self._heard = time.monotonic()

    def heard(self) -> None:
        """The program has made a request. Stalled if it has made many at one instant."""
        self._heard = now = time.monotonic()
        if now - self._looked >= self.LOOK_S:
            self.look()

    def look(self) -> None:
        """Stalled when the program has been too long at this instant."""
        self._looked = now = time.monotonic()
        cpu_s = self._cpu()
        if self._clock.now_us != self._instant:
            self._instant, self._cpu_s = self._clock.now_us, cpu_s
        elif cpu_s - self._cpu_s >= self.COMPUTES_S or now - self._heard >= self.SILENT_S:
            raise Stalled

    def _cpu(self) -> float:
        try:
            fields = self._stat.read_text().rpartition(")")[2].split()  # the name before may hold spaces
        except OSError:
            return 0.0
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime, proc_pid_stat(5)


_LOOK = struct.pack("@ll", *divmod(int(Patience.LOOK_S * 1_000_000), 1_000_000))
"""As a `struct timeval`, for SO_RCVTIMEO: a system call less for each request than by `select`."""


class Process(Protocol):
    """What is used here of `subprocess.Popen`."""

    pid: int

    def wait(self) -> int: ...


def serve(board: Board, bench: socket.socket, process: Process) -> None:
    """Answers the program's requests until the board is reset or loses power (PowerLoss) or the program ends (Crashed).

    Stalled: see Patience.
    """
    patience = Patience(process.pid, board.clock)
    buffer = bytearray()
    bench.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _LOOK)
    while True:
        at = 0
        while len(buffer) - at >= HEAD.size:
            op, a, n, arg = HEAD.unpack_from(buffer, at)
            if len(buffer) - at < HEAD.size + n:
                break
            start = at + HEAD.size
            at = start + n
            answer = board.handle(op, a, arg, bytes(buffer[start:at]))
            if answer is not None:
                bench.sendall(board.reply(answer))
        del buffer[:at]
        try:
            got = bench.recv(65536)
        except BlockingIOError:
            patience.look()
            continue
        patience.heard()
        if not got:
            raise Crashed(f"the program ended with status {process.wait()}")
        buffer += got


class DirectLink:
    """The link by direct calls. After a power loss every call raises, so a `finally` cannot write to flash."""

    in_process = True

    def __init__(self, board: Board) -> None:
        self.ticks = self.rx_any = 0
        self._board = board
        self._answer: bytes | None = None

    def tell(self, op: int, a: int, arg: int, payload: Any, n: int) -> None:
        self._answer = self._board.handle(op, a, arg, bytes(payload)[:n] if n else b"")

    def answer(self, into: Any) -> int:
        board, answer = self._board, self._answer
        self.ticks, self.rx_any = board.ticks(), board.rx_any
        if not answer:
            return 0
        n = len(answer)
        into[:n] = answer
        return n
