"""A board's REPL at the end of a port, over mpremote's transport (internal to mpremote: its version is pinned).

Whatever goes wrong on the way, a missing port or one that vanishes in the middle, is a UsageError: one line.
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import struct
import termios
import threading
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
_ANSWER_S = 60  # the longest that a board may be silent over one answer: hashing or unpacking a set
_OCTET_S = 15  # of those that mpremote waits for one by one
_BACK_S = 10.0  # how long a port may be gone after a reset: a chip with USB of its own comes back as a new device
_AGAIN_S = 0.1  # how often it is looked for meanwhile
_GREET_S = 0.5  # how often a REPL is asked to greet
_GREETINGS = ("ug maintenance", "MicroPython ", "raw REPL")  # how lines begin by which a board is at its REPL
_CTRL_B = b"\x02"
_TURN_S = 0.01
_ONCE = 4096  # octets that are taken at once
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


def _usb_number(path: str) -> str | None:
    """The USB serial number of the device that a path leads to; None for what has none."""
    real = os.path.realpath(path)
    return next((each.serial_number for each in list_ports.comports() if each.device == real), None)


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
    """One open port. A context; `run` and `ask` need `repl` first.

    After `restart` it may vanish, as that of a chip with USB of its own does, and is found again: under its USB serial
    number where it has one, else under its path or URL. UsageError when it is not back in 10 s.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._left = b""
        self._usb: str | None = None
        self._restarting = False
        self._was_away = False
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
        path = self._path()
        try:
            link = SerialTransport(path, baudrate=BAUD, timeout=_OCTET_S)
        except (TransportError, OSError, ValueError):
            hint = "see that no other program has it open, and that you may open it"
            if "://" in path:
                hint = "see that the server runs there, and that nobody else is connected"
            raise UsageError("--port", self.name, "cannot be opened", hint) from None
        self._usb = self._usb or _usb_number(path)
        return link

    def _path(self) -> str:
        """As `resolve`; of a device that was seen before, where it is now: its old path may lead to another one."""
        if not self._usb:
            return resolve(self.name)
        found = [each.device for each in list_ports.comports() if each.serial_number == self._usb]
        if os.path.realpath(self.name) in found:  # a board may have two ports under one number
            return self.name
        if len(found) == 1:
            return found[0]
        raise UsageError("--port", self.name, "is not there", _there())

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
        with contextlib.redirect_stdout(io.StringIO()):  # mpremote prints what it did not understand
            while True:
                try:
                    with self._talking():
                        self._interrupt()
                    self._restarting = False
                    return
                except UsageError as error:
                    if not self._restarting or isinstance(error.__context__, TransportError):
                        raise
                    self._again()

    def _interrupt(self) -> None:
        try:
            self._link.enter_raw_repl(soft_reset=False, timeout_overall=2)
        except TransportError:  # the Ctrl-C came while the board was starting, or in the middle of an exchange
            self._link.serial.reset_input_buffer()  # pyright: ignore - as in `fileno`
            self._link.enter_raw_repl(soft_reset=False)

    def equip(self) -> None:
        """Gives the board's REPL the functions of `agent`; wants a heap that is not full."""
        self.run(AGENT.read_text(encoding="ascii"))

    def run(self, code: str) -> str:
        """Has the board run `code`; returns what it printed. Refused when it raised."""
        with self._talking():
            said, error = self._link.exec_raw(code, timeout=_ANSWER_S)
            if error:
                raise TransportExecError(said, error.decode(errors="replace"))
            return said.decode(errors="replace")

    def ask(self, expression: str) -> Any:
        """The value of an expression on the board, of literals only."""
        said = self.run(f"print(repr(({expression})))")
        with self._talking():
            return ast.literal_eval(said.strip())

    def restart(self) -> None:
        """Resets the board; what it says from then on comes out of `lines`. Until the next `repl` it may vanish."""
        self.start(_RESTART)
        self._restarting = True

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
        return self._take(self._restarting)

    def _take(self, may_vanish: bool) -> list[str]:
        try:
            data = self._link_read()
        except _LOST as error:
            if not may_vanish:
                raise self._gone(error) from None
            self._again()
            return []
        *whole, self._left = (self._left + data).split(b"\n")
        return [line.decode(errors="replace").strip("\r\x04>") for line in whole]

    def _link_read(self) -> bytes:
        """What has come by now, some KB at most."""
        line: Any = self._link.serial
        data = b""
        while len(data) < _ONCE and (waiting := line.inWaiting()):  # for socket://, pyserial knows no number but 1
            data += line.read(waiting)
        reader = getattr(line, "_thread", None)  # rfc2217://: pyserial's reader ends in silence with the connection
        if not data and isinstance(reader, threading.Thread) and not reader.is_alive():
            raise serial.SerialException("connection lost")
        return data

    def lines(self, seconds: float, resets: bool = False) -> Iterator[str]:
        """What the board prints, line by line, for that long; with `resets`, the port may be gone for a moment."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            whole = self._take(resets or self._restarting)
            if not whole:
                time.sleep(_TURN_S)
            yield from whole

    def reach_repl(self, seconds: float) -> bool:
        """After `restart`, waits for the REPL of a board that starts no application; False if it does not come.

        What a board says while its port is away is lost, so it is then asked (Ctrl-B) to greet once more.
        """
        self._was_away = False
        until = time.monotonic() + seconds
        asked = 0.0
        while time.monotonic() < until:
            whole = self._take(may_vanish=True)
            if any(line.startswith(_GREETINGS) for line in whole):
                return True
            if self._was_away and time.monotonic() - asked >= _GREET_S:
                asked = time.monotonic()
                with contextlib.suppress(*_LOST):  # the next look finds it away
                    self._link.serial.write(_CTRL_B)
            if not whole:
                time.sleep(_TURN_S)
        return False

    def _again(self) -> None:
        """Opens a port that vanished with a reset, once it is back. UsageError: it does not come back."""
        with contextlib.suppress(*_LOST):
            self._link.serial.close()  # at once: a device that is held gets another name when it comes back
        self._left = b""
        self._was_away = True
        until = time.monotonic() + _BACK_S
        while True:
            try:
                self._link = self._open()
                return
            except UsageError as error:
                if time.monotonic() >= until:
                    problem = f"the board is gone: {_BACK_S:.0f} s after a reset its port {error.problem}"
                    raise UsageError("--port", self.name, problem, "see to the cable, then start again") from None
                time.sleep(_AGAIN_S)


