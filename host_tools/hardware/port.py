"""A board's REPL on a serial port, through mpremote's transport (internal to mpremote, whose version is pinned).

Every failure of the connection, such as a port that is missing or disappears, is a UsageError.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import serial
from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport
from serial.tools import list_ports

from host_tools.base.errors import UsageError

AGENT = Path(__file__).resolve().parent / "device" / "agent.py"
BAUD = 115_200
_ANSWER_S = 60  # from one octet of an answer to the next; what takes long says a line for each file
_OCTET_S = 15  # for each byte of an answer that mpremote waits for
_BACK_S = 10.0  # how long a port may be gone after a reset: a chip with built-in USB comes back as a new device
_AGAIN_S = 0.1  # between two attempts to open it again
_GREET_S = 0.5  # between two requests for the REPL's banner
MAINTENANCE, BANNER = "ug maintenance", "MicroPython "
_GREETINGS = (MAINTENANCE, BANNER, "raw REPL")
"""Beginnings of the lines that tell that a board is at its REPL: of `firmware/slots.py`, and MicroPython's own."""
_CTRL_B = b"\x02"
_END = b"\x04"  # of a program's output
_TURN_S = 0.01
_ONCE = 4096  # bytes read at once
# The answer to the command has to leave the chip before the reset.
_RESTART = "import machine, time\ntime.sleep_ms(100)\nmachine.reset()"
_LOST = (OSError, serial.SerialException, TransportError, termios.error, struct.error, ValueError, SyntaxError)


def _nobody(line: str) -> None:
    """Hears a line and does nothing."""


def resolve(port: str) -> str:
    """The path or URL of `port`: a path, a `socket://` or `rfc2217://` URL, or `serial:` and a USB serial number.

    Raises UsageError, with the list of ports found, when `port` is empty or not there.
    """
    if "://" in port:
        if not port.startswith(("socket://", "rfc2217://")):
            raise UsageError("--port", port, "is not a port's address", "use socket://HOST:PORT or rfc2217://HOST:PORT")
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
    """The USB serial number of the device at `path`; None if it has none."""
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
    """Code on the board raised an exception; the text is the last line of its traceback."""


class Port:
    """An open port; a context manager. Call `repl` before `run` and `ask`.

    After `restart` the port may disappear, as that of a chip with built-in USB does. It is opened again by its USB
    serial number if it has one, else by its path or URL. Raises UsageError when it is not back within 10 s.
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
            hint = "close other programs that have it open, and check your permission to open it"
            if "://" in path:
                hint = "check that the server is running and that no other client is connected"
            raise UsageError("--port", self.name, "cannot be opened", hint) from None
        self._usb = self._usb or _usb_number(path)
        return link

    def _path(self) -> str:
        """As `resolve`, but finds a USB device seen before by its serial number, as its path may have changed."""
        if not self._usb:
            return resolve(self.name)
        found = [each.device for each in list_ports.comports() if each.serial_number == self._usb]
        if os.path.realpath(self.name) in found:  # a board may have two ports with one number
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
        if isinstance(error, TransportError) and self._is_there():
            hint = "reset it, and check that its REPL is on this port"
            return UsageError("--port", self.name, "the board does not answer as MicroPython does", hint)
        return UsageError("--port", self.name, "the board is gone", "check the cable and try again")

    def _is_there(self) -> bool:
        """Whether the port can still be read; mpremote reports a lost port as an unexpected answer too."""
        try:
            self._link_read()
        except _LOST:
            return False
        return True

    def repl(self) -> None:
        """Interrupts the running program and enters the raw REPL.

        Only for short code: the previous program still fills the heap.
        """
        with contextlib.redirect_stdout(io.StringIO()):  # mpremote prints unexpected output
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
        except TransportError:  # Ctrl-C arrived during the start, or during an exchange
            self._link.serial.reset_input_buffer()  # pyright: ignore - as in `fileno`
            self._link.enter_raw_repl(soft_reset=False)

    def equip(self) -> None:
        """Loads the functions of `device/agent.py` into the board's REPL. Needs free heap."""
        self.run(AGENT.read_text(encoding="ascii"))

    def run(self, code: str, on_line: Callable[[str], object] = _nobody) -> str:
        """Runs `code` on the board and returns what it printed; `on_line` gets each line as it comes.

        Raises Refused when the code raised an exception, UsageError when nothing came for a minute.
        """
        said = bytearray()

        def hear(octet: bytes) -> None:
            said.extend(octet)
            if octet == b"\n":
                on_line(said.splitlines()[-1].decode(errors="replace"))

        with self._talking():
            _, error = self._link.exec_raw(code, timeout=_ANSWER_S, data_consumer=hear)
            text = said.removesuffix(_END).decode(errors="replace")
            if error:
                raise TransportExecError(text, error.decode(errors="replace"))
            return text

    def ask(self, expression: str) -> Any:
        """The value of an expression evaluated on the board; it must consist of literals.

        What the evaluation itself prints comes before it.
        """
        said = self.run(f"print(repr(({expression})))").strip()
        with self._talking():
            return ast.literal_eval(said.splitlines()[-1])

    def restart(self) -> None:
        """Resets the board. Read its output with `lines`. The port may disappear until the next `repl`."""
        self.start(_RESTART)
        self._restarting = True

    def start(self, code: str) -> None:
        """Starts `code` on the board without waiting for its end. Read its output with `take` or `lines`."""
        with self._talking():
            self._link.exec_raw_no_follow(code)
        self._link.in_raw_repl = False
        self._left = b""

    def fileno(self) -> int | None:
        """The file descriptor for `select`; None for a port without one."""
        try:
            return self._link.serial.fileno()  # pyright: ignore - mpremote wraps it only to mount folders
        except (OSError, AttributeError):
            return None

    def take(self) -> list[str]:
        """The complete lines received so far; does not wait. Raises UsageError when the port is gone."""
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
        """The bytes received so far, a few KB at most."""
        line: Any = self._link.serial
        data = b""
        while len(data) < _ONCE and (waiting := line.inWaiting()):  # for socket://, pyserial reports at most 1
            data += line.read(waiting)
        reader = getattr(line, "_thread", None)  # rfc2217://: pyserial's reader thread ends without an error
        if not data and isinstance(reader, threading.Thread) and not reader.is_alive():
            raise serial.SerialException("connection lost")
        return data

    def lines(self, seconds: float, resets: bool = False) -> Iterator[str]:
        """Yields the lines that the board prints for `seconds`. With `resets`, the port may disappear."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            whole = self._take(resets or self._restarting)
            if not whole:
                time.sleep(_TURN_S)
            yield from whole

    def reach_repl(self, seconds: float) -> bool:
        """After `restart`, waits for the REPL of a board that starts no application; False on a timeout.

        Output is lost while the port is away; the board is then asked (Ctrl-B) to print its banner again.
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
                with contextlib.suppress(*_LOST):  # the next read finds that it is gone
                    self._link.serial.write(_CTRL_B)
            if not whole:
                time.sleep(_TURN_S)
        return False

    def _again(self) -> None:
        """Opens a port that disappeared in a reset once it is back. UsageError when it does not come back."""
        with contextlib.suppress(*_LOST):
            self._link.serial.close()  # at once: a device that is held open gets another name when it comes back
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
                    raise UsageError("--port", self.name, problem, "check the cable and try again") from None
                time.sleep(_AGAIN_S)


