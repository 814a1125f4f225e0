"""What a part of the modem sees of the serial interface: prompts, delayed results, unsolicited lines, settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from host_tools.sim.clock import Clock, Timer
from host_tools.sim.events import EventLog
from host_tools.sim.modem.errors import AtError, CmeError
from host_tools.sim.modem.nvm import Nvm
from host_tools.sim.modem.profile import Profile

OK = "OK"
CONNECT = "CONNECT"
NO_CARRIER = "NO CARRIER"

Reply = str | list[str] | bytes | None
"""What a command's handler returns: nothing, one line, several lines, or octets."""
PENDING: Any = object()
"""What a handler returns if `finish` or `fail` ends the command later."""


class Port(Protocol):
    """The serial interface as a part uses it; `SerialPort` is the implementation."""

    clock: Clock
    profile: Profile
    log: EventLog
    nvm: Nvm
    """The settings."""
    cme_texts: Mapping[int, str]
    hung: bool
    """Whether the modem writes and does nothing any more."""
    last_error: int
    """The +CME ERROR that AT+CEER tells of."""
    asleep: bool
    """Whether the interface is off: what arrives is lost."""
    on_rest: Callable[[], None]
    """Called when a command line is over."""
    on_word: Callable[[], None]
    """Called before something is written while `asleep`."""

    def after(self, ms: int, fn: Callable[..., None], *args: Any) -> Timer:
        """Calls `fn(*args)` in `ms`, unless the modem is off or has rebooted by then."""
        ...

    def finish(self, reply: Reply = None, final: str | None = OK) -> None:
        """Ends the running command with its information and `final`; None: the handler wrote its own ending."""
        ...

    def fail(self, error: AtError) -> None:
        """Ends the running command, and the rest of its line, with the error."""
        ...

    def bad_parameter(self) -> CmeError:
        """The error of a wrong parameter."""
        ...

    def integer(self, args: tuple[str, ...], at: int, low: int, high: int, default: int | None = None) -> int:
        """Parameter `at` as an integer in `low`..`high`; `default` if omitted, else raises `bad_parameter()`."""
        ...

    def prompt(
        self,
        done: Callable[[bytes | None], None],
        *,
        length: int = 0,
        echo: bool = False,
        timeout_ms: int = 0,
        text: bytes = b"\r\n> ",
        partial: bool = False,
        digits: bool = False,
    ) -> Any:
        """Asks for payload: `length` octets, or up to Ctrl-Z when 0. Returns PENDING.

        Calls `done(None)` on ESC, and after `timeout_ms` without input; with `partial` that passes on what has come.
        `digits`: the host writes two hexadecimal digits for each of the `length` octets; what is none is passed over.
        """
        ...

    def enter_stream(self, take: Callable[[bytes], None]) -> None:
        """Starts a data mode: every octet of the host goes to `take`."""
        ...

    def leave_stream(self) -> None:
        """Ends the data mode: the host's octets are commands again."""
        ...

    @property
    def more_follows(self) -> bool:
        """Whether another command of the line follows the running one."""
        ...

    @property
    def prompting(self) -> bool:
        """Whether a prompt waits for payload."""
        ...

    @property
    def streaming(self) -> bool:
        """Whether a data mode is on."""
        ...

    @property
    def resting(self) -> bool:
        """Whether no command, prompt or data mode is on, and the modem has booted."""
        ...

    @property
    def held_back(self) -> bool:
        """Whether the host lets nothing more through at present."""
        ...

    def urc(self, line: str) -> None:
        """Writes an unsolicited line, after the prompt or data mode that is on."""
        ...

    def push(self, header: str, data: bytes, gap: bytes | None = None) -> None:
        """Writes an unsolicited line that carries payload, behind `gap` or else a line end."""
        ...

    def write(self, data: bytes) -> None:
        """Writes raw octets."""
        ...

    def frame(self, reply: str | list[str] | bytes) -> bytes:
        """Information text as it goes over the line (V.250 5.7.1)."""
        ...

    def set_rate(self, baud: int) -> None:
        """Changes the modem's own rate; what arrives at another one is lost as framing errors."""
        ...


class Power(Protocol):
    """What a command may do to the modem as a whole."""

    def reboot(self) -> None:
        """Restarts in order: leaves the network first."""
        ...

    def power_down(self) -> None:
        """Leaves the network and switches off."""
        ...
