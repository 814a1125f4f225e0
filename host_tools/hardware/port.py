"""A board's REPL at the end of a port, over mpremote's transport (internal to mpremote: its version is pinned).

Whatever goes wrong on the way, a missing port or one that vanishes in the middle, is a UsageError: one line.
"""

from __future__ import annotations

import contextlib
import io
import os
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport
from serial.tools import list_ports

from host_tools.errors import UsageError

AGENT = Path(__file__).resolve().parent / "device" / "agent.py"
BAUD = 115_200
_ANSWER_S = 15  # the longest that a board may take over one answer: hashing or unpacking a set
_BACK_S = 5.0  # how long a port may be gone after a reset: a chip with USB of its own comes back as a new device
_TURN_S = 0.01
# The answer to the command is to leave the chip first.
_RESTART = "import machine, time\ntime.sleep_ms(100)\nmachine.reset()"
_LOST = (OSError, serial.SerialException, TransportError, termios.error, struct.error, ValueError, SyntaxError)


def resolve(port: str) -> str:
    """The path or URL of `port`: a path, `socket://`, `rfc2217://`, or `serial:` and a USB serial number.

    Nothing is guessed: without a port, or with one that is not there, the UsageError lists those that are.
    """
    if "://" in port:
        if not port.startswith(("socket://", "rfc2217://")):
            raise UsageError("--port", port, "is no address of a port", "use socket://HOST:PORT or rfc2217://HOST:PORT")
        return port
    if port.startswith("serial:"):
        found = [each.device for each in list_ports.comports() if each.serial_number == port[7:]]
        if len(found) == 1:
            return found[0]
        raise UsageError("--port", port, f"{len(found) or 'no'} ports have this serial number", _there())
    if not port or not os.path.exists(port):
        raise UsageError("--port", port or "", "is not there" if port else "is missing", _there())
    return port


def _there() -> str:
    ports = sorted(list_ports.comports())
    shown = (
        f"{each.device} (serial:{each.serial_number})" if each.serial_number else each.device
        for each in ports
        if each.serial_number or each.hwid != "n/a"
    )
    return f"ports found: {', '.join(shown) or 'none'}"


class Refused(Exception):
    """The board raised an exception; the text is its last line."""


class Port:
    """One open port. A context; `run` and `ask` need `repl` first."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._left = b""
        self._link = self._open()

    def __enter__(self) -> Port:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(*_LOST):
            if self._link.in_raw_repl:
                self._link.exit_raw_repl()
        with contextlib.suppress(*_LOST):
            self._link.close()
        with contextlib.suppress(*_LOST):
            self._link.serial.close()

    def _open(self) -> SerialTransport:
        path = resolve(self.name)
        try:
            return SerialTransport(path, baudrate=BAUD, timeout=_ANSWER_S)
        except (TransportError, OSError, ValueError):
            hint = "see that no other program has it open, and that you may open it"
            raise UsageError("--port", self.name, "cannot be opened", hint) from None

    @contextlib.contextmanager
    def _talking(self) -> Iterator[None]:
        try:
            yield
        except TransportExecError as error:
            raise Refused(error.error_output.strip().splitlines()[-1]) from None
        except _LOST as error:
            raise self._gone(error) from None

    def _gone(self, error: Exception) -> UsageError:
        if isinstance(error, TransportError):
            hint = "reset it, and see that its REPL is on this port"
            return UsageError("--port", self.name, "the board does not answer as MicroPython does", hint)
        return UsageError("--port", self.name, "the board is gone", "see to the cable, then start again")

    def repl(self) -> None:
        """Interrupts whatever runs, and has the board ready for `run`: for little, as what ran fills its heap."""
        with self._talking(), contextlib.redirect_stdout(io.StringIO()):  # mpremote prints what it did not understand
            try:
                self._link.enter_raw_repl(soft_reset=False, timeout_overall=2)
            except TransportError:  # the Ctrl-C came while the board was starting
                self._link.enter_raw_repl(soft_reset=False)

    def equip(self) -> None:
        """Gives the board's REPL the functions of `agent`; wants a heap that is not full."""
        self.run(AGENT.read_text(encoding="ascii"))

    def run(self, code: str) -> str:
        """Has the board run `code`; returns what it printed. Refused when it raised."""
        with self._talking():
            return self._link.exec(code).decode(errors="replace")

    def ask(self, expression: str) -> Any:
        """The value of an expression on the board, of literals only."""
        with self._talking():
            return self._link.eval(f"({expression})")

    def restart(self) -> None:
        """Resets the board; what it says from then on comes out of `lines`."""
        self.start(_RESTART)

    def start(self, code: str) -> None:
        """Has the board run `code` and does not wait for its end; what it says comes out of `take` and `lines`."""
        with self._talking():
            self._link.exec_raw_no_follow(code)
        self._link.in_raw_repl = False
        self._left = b""

    def fileno(self) -> int | None:
        """What to select for reading; None for a port that has nothing of the kind."""
        try:
            return self._link.serial.fileno()  # pyright: ignore - mpremote wraps it only to mount folders
        except (OSError, AttributeError):
            return None

    def take(self) -> list[str]:
        """The lines that have come whole by now; waits for nothing. UsageError when the port is gone."""
        try:
            return self._take()
        except _LOST as error:
            raise self._gone(error) from None

    def _take(self) -> list[str]:
        waiting = self._link.serial.inWaiting()  # pyright: ignore - pyserial's name for it since ever
        *whole, self._left = (self._left + (self._link.serial.read(waiting) if waiting else b"")).split(b"\n")
        return [line.decode(errors="replace").strip("\r\x04>") for line in whole]

    def lines(self, seconds: float, resets: bool = False) -> Iterator[str]:
        """What the board prints, line by line, for that long; with `resets`, the port may be gone for a moment."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                whole = self._take()
            except _LOST as error:
                if not resets:
                    raise self._gone(error) from None
                self._again(error)
                continue
            if not whole:
                time.sleep(_TURN_S)
            yield from whole

    def _again(self, error: Exception) -> None:
        """Opens a port that vanished with the reset, once it is back."""
        with contextlib.suppress(*_LOST):
            self._link.serial.close()
        until = time.monotonic() + _BACK_S
        while True:
            try:
                self._link = self._open()
                return
            except UsageError:
                if time.monotonic() >= until:
                    raise self._gone(error) from None
                time.sleep(0.1)


