"""The two ways in which a program reaches its simulated board: over a descriptor, or by a direct call."""

from __future__ import annotations

import select
import socket
import struct
import subprocess

from host_tools.sim.board import Board, PowerLoss

HEAD = struct.Struct("<BBHI")


class Crashed(Exception):
    """The program ended by itself; the text says how, with the end of what it printed."""


class Stalled(Exception):
    """The program used more wall time between two requests than it may: it does not wait in hal.wait."""


def serve(board: Board, bench: socket.socket, process: subprocess.Popen[bytes], stall_s: float) -> None:
    """Answers the program's requests until the board loses power (PowerLoss), or the program ends (Crashed)."""
    buffer = bytearray()
    readable = select.poll()
    readable.register(bench, select.POLLIN)
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
        if not readable.poll(stall_s * 1000):
            raise Stalled(f"no request for {stall_s:.0f} s of wall time")
        got = bench.recv(65536)
        if not got:
            raise Crashed(f"the program ended with status {process.wait()}")
        buffer += got


class DirectLink:
    """The link by direct calls, for property tests: after a power loss every call raises, so no `finally` can write."""

    in_process = True

    def __init__(self, board: Board) -> None:
        self._board = board
        self._request = bytearray()
        self._reply = bytearray()

    def send(self, buf: bytes | bytearray, n: int) -> None:
        self._request += memoryview(buf)[:n]
        op, a, length, arg = HEAD.unpack_from(self._request)
        if len(self._request) < HEAD.size + length:
            return
        payload = bytes(self._request[HEAD.size :])
        self._request.clear()
        answer = self._board.handle(op, a, arg, payload)
        if answer is not None:
            self._reply += self._board.reply(answer)

    def receive(self, buf: bytearray, n: int) -> None:
        buf[:n] = self._reply[:n]
        del self._reply[:n]


__all__ = ["Crashed", "DirectLink", "PowerLoss", "Stalled", "serve"]
