"""The modem's serial interface: command lines, execution, prompts, data modes, results (ITU-T V.250 clauses 5, 6)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Protocol

from host_tools.sim.clock import MS, Clock, Timer
from host_tools.sim.events import EventLog
from host_tools.sim.modem.command import Entry, Part
from host_tools.sim.modem.errors import AtError, CmeError
from host_tools.sim.modem.nvm import Nvm
from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE, Command, parse
from host_tools.sim.modem.port import OK, PENDING, Reply
from host_tools.sim.modem.profile import Profile
from host_tools.sim.serial import SerialLine

MAX_LINE = 2_048  # octets of a command line; a longer one ends in ERROR
_CME = "+CME ERROR: "
CTRL_Z, ESCAPE = 0x1A, 0x1B
_NUMERIC = {
    "OK": "0",
    "CONNECT": "1",
    "RING": "2",
    "NO CARRIER": "3",
    "ERROR": "4",
}  # V.250 table 1, for ATV0


class Interceptor(Protocol):
    """What may replace the execution of commands, their responses and unsolicited lines: faults."""

    armed: bool
    """Whether any of the calls below can have an effect."""

    def before(self, command: Command) -> tuple[bool, int]:
        """Whether the command is not to be executed, and its extra delay in ms."""
        ...

    def response(self, out: bytes) -> bytes:
        """The response of the running command as the line carries it."""
        ...

    def takes_urc(self, line: str) -> bool:
        """Whether the unsolicited line is not to be written."""
        ...

    def forget_running(self) -> None:
        """The running command ended without a response."""
        ...


class SerialPort:
    """The `Port` of the parts, on a serial line.

    `open` says whether the modem takes and writes lines. Everything that happens later is scheduled with `after`, and
    `stop` cancels it.
    """

    def __init__(
        self, clock: Clock, line: SerialLine, profile: Profile, log: EventLog, interceptor: Interceptor
    ) -> None:
        self.clock, self.line, self.profile, self.log = clock, line, profile, log
        self.open = False
        self.hung = False  # writes and does nothing until the next `stop`
        self.dead = False  # and from then on again
        self.baud = line.to_modem.baud
        self.last_error = 0
        self.asleep = False
        self.on_rest: Callable[[], None] = _nothing
        self.on_word: Callable[[], None] = _nothing
        self.nvm = Nvm((), {})
        self.table: dict[str, Entry] = {}
        self.cme_texts: Mapping[int, str] = {}
        self._interceptor = interceptor
        self._recorded = profile.answers
        self._require_card: Callable[[], None] = _nothing
        self._generation = 0  # of `after`: what an older one scheduled is void
        self._default_delay_us = profile.delay_ms["*"] * MS
        self._delay_us = dict(_delays(profile))
        self._in = bytearray()
        self._line = bytearray()
        self._last = b""
        self._running: tuple[Command, ...] = ()
        self._index = 0
        self._prompt: _Prompt | None = None
        self._stream: Callable[[bytes], None] | None = None
        self._deferred: deque[str] = deque()
        self._held: bytearray | None = None
        line.to_modem.deliver = self._receive
        line.to_host.obeys = self._obeys_rts

    def declare(
        self, parts: Iterable[Part], cme_texts: Mapping[int, str], require_card: Callable[[], None]
    ) -> None:
        """Takes the parts' commands and settings. `require_card` raises the error of a SIM that is not ready."""
        parts = tuple(parts)
        self.nvm = Nvm((setting for part in parts for setting in part.settings), self.profile.settings)
        self.table = {name: entry for part in parts for name, entry in part.entries()}
        self.cme_texts, self._require_card = cme_texts, require_card
        self.nvm.store("+IPR", str(self.baud))  # the modem's rate was set to the line's when it was wired up

    def start(self) -> None:
        """Begins a boot: settings as they were stored, no error; `open` stays False until the boot is over. Nothing
        that was off hangs."""
        self.hung = self.dead
        self.last_error = 0
        self.nvm.power_up()
        self.set_rate(self.nvm.number("+IPR") or self.line.to_modem.baud)

    def stop(self) -> None:
        """Ends everything under way."""
        self.open, self.hung = False, self.dead
        self._generation += 1
        self._running = ()
        self._interceptor.forget_running()
        self._prompt = self._stream = self._held = None
        self._in.clear()
        self._line.clear()
        self._deferred.clear()
        self.line.to_host.drop()

    def set_rate(self, baud: int) -> None:
        """The serial interface runs at `baud` from now on; what arrives at another rate is framing errors."""
        self.baud = self.line.to_host.baud = baud

    def after(self, ms: int, fn: Callable[..., None], *args: Any) -> Timer:
        """Calls `fn(*args)` in `ms`, unless the modem is off or rebooted by then."""
        return self.clock.after(ms * MS, self._still, self._generation, fn, args)

    def _still(self, generation: int, fn: Callable[..., None], args: tuple[Any, ...]) -> None:
        if generation == self._generation:
            fn(*args)

    # --- from the host ---

    def _receive(self, data: bytes) -> None:
        if not self.open or self.hung:
            return
        if self.asleep:
            self.log.add("modem", "not-heard", octets=len(data))
            return
        if self.line.to_modem.baud != self.baud:
            if self.nvm.number("+IPR"):
                return  # framing errors
            self.set_rate(self.line.to_modem.baud)
        self._in += data
        if not self._busy():
            self._consume()

    def _consume(self) -> None:
        while self._in and not self._busy():
            if self._stream is not None:
                data = bytes(self._in)
                self._in.clear()
                self._stream(data)
            elif self._prompt is not None:
                self._take_payload(self._prompt)
            else:
                self._take_line()

    def _busy(self) -> bool:
        return bool(self._running) and self._prompt is None

    def _take_line(self) -> None:
        end_char = self.nvm.number("S3")
        buffer, line = self._in, self._line
        end = buffer.find(end_char)
        chunk = bytes(buffer[: end + 1] if end >= 0 else buffer)
        del buffer[: len(chunk)]
        if not line:
            chunk = chunk.lstrip(b"\n\x00")  # the LF of a CR LF, and line noise
        if not chunk:
            return
        if self.nvm.values["E"] == "1":
            self._write(chunk)
        line += chunk[:-1] if end >= 0 else chunk
        if end < 0 and line.upper() != b"A/":  # V.250 5.2.4: "A/" needs no terminator
            if len(line) > MAX_LINE:
                del line[MAX_LINE:]  # what is left is enough to be refused
            return
        typed = _edited(bytes(line), self.nvm.number("S5"))
        line.clear()
        if typed.upper().endswith(b"A/"):
            typed = self._last
        at = typed.upper().find(b"AT")
        if at >= 0:
            self._last = typed
            self._execute(typed[at + 2 :].decode("latin-1"))

    # --- execution ---

    def _execute(self, body: str) -> None:
        commands = parse(body) if len(body) < MAX_LINE - 2 else (Command("", WRITE, (), body[:64]),)
        self._index = 0
        if not commands:
            commands = _NOTHING
        self._running = commands
        self._next()

    def _next(self) -> None:
        command = self._running[self._index]
        delay = self._delay_us.get(command[:2], self._default_delay_us)
        if self._interceptor.armed:
            taken, extra_ms = self._interceptor.before(command)
            if taken:
                return
            delay += extra_ms * MS
        self.clock.after(delay, self._still, self._generation, self._perform, (command,))

    def _perform(self, command: Command) -> None:
        if self.hung:
            return
        if command is _NOTHING[0]:
            self.finish()
            return
        recorded = self._recorded.get(command.text.upper()) if self._recorded else None
        if recorded is not None:
            self._answer(recorded)
            return
        entry = self.table.get(command.name)
        handler = entry.forms[command.form] if entry is not None else None
        try:
            if entry is None or handler is None:
                raise CmeError(self.profile.errors.unknown_command)
            if entry.needs_sim and command.form != TEST:
                self._require_card()
            reply = handler(command.args)
        except AtError as error:
            self.fail(error)
            return
        if reply is not PENDING:
            self.finish(reply)

    def _answer(self, recorded: tuple[str, ...]) -> None:
        """Ends the command with an answer of the profile's."""
        *lines, final = recorded
        if final.startswith(_CME) and final[len(_CME) :].isdigit():
            self.fail(CmeError(int(final[len(_CME) :])))
        else:
            self.finish(lines or None, final)

    def finish(self, reply: Reply = None, final: str | None = OK) -> None:
        """Ends the command that runs: its information, then `final`, or the line's next command after an OK.

        `final` None: the handler has written its own ending (a data mode).
        """
        if not self._running:
            return
        out = self.frame(reply) if reply is not None else b""
        more = final == OK and self.more_follows
        if not more and final is not None and self.nvm.values["Q"] == "0":
            out += self._result(final)
        if self._interceptor.armed:
            out = self._interceptor.response(out)
        if out:
            self._write(out)
        if more:
            self._index += 1
            self._next()
            return
        self._running, self._prompt = (), None
        self._flush_urcs()
        self._consume()
        self.on_rest()

    @property
    def more_follows(self) -> bool:
        return self._index + 1 < len(self._running)

    def fail(self, error: AtError) -> None:
        """Ends the command, and with it the line, with the error."""
        if isinstance(error, CmeError):
            self.last_error = error.code
        self.finish(None, error.final(self.nvm.number("+CMEE"), self.cme_texts))

    def bad_parameter(self) -> CmeError:
        return CmeError(self.profile.errors.parameter)

    def integer(self, args: tuple[str, ...], at: int, low: int, high: int, default: int | None = None) -> int:
        """Parameter `at` as an integer in `low`..`high`; the parameter error where it is none or missing."""
        text = args[at] if at < len(args) else ""
        if not text and default is not None:
            return default
        if text.isascii() and text.isdigit() and len(text) < 12 and low <= int(text) <= high:
            return int(text)
        raise self.bad_parameter()

    # --- payload prompts and data modes ---

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
        """As Port has it."""
        self._prompt = _Prompt(done, length, echo, timeout_ms, partial, digits)
        self._write(self._interceptor.response(text) if self._interceptor.armed else text)
        self._watch(self._prompt)
        if self._in[:1] == b"\n":
            del self._in[0]  # it belongs to the CR that ended the command
        if self._in:
            self.after(0, self._consume)
        return PENDING

    def _watch(self, prompt: _Prompt) -> None:
        if prompt.timeout_ms:
            if prompt.timer is not None:
                prompt.timer.cancel()
            prompt.timer = self.after(prompt.timeout_ms, self._time_out, prompt)

    def _time_out(self, prompt: _Prompt) -> None:
        self._end_prompt(prompt, bytes(prompt.data) if prompt.partial else None)

    def _take_payload(self, prompt: _Prompt) -> None:
        buffer, data = self._in, prompt.data
        ended: bytes | None = b""
        chunk = b""
        if prompt.digits:
            complete = self._take_digits(prompt)
        elif prompt.length:
            chunk = bytes(buffer[: prompt.length - len(data)])
            del buffer[: len(chunk)]
            data += chunk
            complete = len(data) == prompt.length
        else:
            stops = [at for at in (buffer.find(CTRL_Z), buffer.find(ESCAPE)) if at >= 0]
            complete = bool(stops)
            chunk = bytes(buffer[: min(stops)]) if complete else bytes(buffer)
            if complete and buffer[len(chunk)] == ESCAPE:
                ended = None
            del buffer[: len(chunk) + complete]
            data += chunk
            if len(data) > MAX_LINE:
                del data[MAX_LINE:]
        if prompt.echo and chunk:
            self._write(chunk)
        if complete:
            self._end_prompt(prompt, bytes(data) if ended is not None else None)
        else:
            self._watch(prompt)

    def _take_digits(self, prompt: _Prompt) -> bool:
        """Whether all of the payload has come."""
        digits = prompt.half
        while self._in and len(prompt.data) < prompt.length:
            character = self._in.pop(0)
            if character in _DIGITS:
                digits.append(character)
                if len(digits) == 2:
                    prompt.data += bytes.fromhex(digits.decode())
                    digits.clear()
        return len(prompt.data) == prompt.length

    def _end_prompt(self, prompt: _Prompt, data: bytes | None) -> None:
        if prompt is not self._prompt:
            return
        if prompt.timer is not None:
            prompt.timer.cancel()
        self._prompt = None
        try:
            prompt.done(data)
        except AtError as error:
            self.fail(error)

    def enter_stream(self, take: Callable[[bytes], None]) -> None:
        """Transparent mode from now on: every octet of the host goes to `take`."""
        self._stream = take

    def leave_stream(self) -> None:
        self._stream = None
        self._flush_urcs()
        self.on_rest()

    @property
    def prompting(self) -> bool:
        return self._prompt is not None

    @property
    def streaming(self) -> bool:
        return self._stream is not None

    @property
    def resting(self) -> bool:
        return self.open and not (self._running or self._prompt or self._stream)

    # --- to the host ---

    def urc(self, line: str) -> None:
        """An unsolicited line; waits while a prompt or a data mode holds the line."""
        if not self.open or self.hung or (self._interceptor.armed and self._interceptor.takes_urc(line)):
            return
        if self._prompt is not None or self._stream is not None:
            self._deferred.append(line)
        else:
            self._write(self.frame(line))

    def _obeys_rts(self) -> bool:
        return self.nvm.values["+IFC"].startswith("2")

    @property
    def held_back(self) -> bool:
        return self.line.to_host.waits

    def push(self, header: str, data: bytes, gap: bytes | None = None) -> None:
        """A URC that carries payload, behind `gap` or else a line end."""
        if self.open and not self.hung:
            self._write(self.frame(header.encode("latin-1") + (self._end if gap is None else gap) + data))

    def _flush_urcs(self) -> None:
        while self._deferred and self._prompt is None and self._stream is None:
            self._write(self.frame(self._deferred.popleft()))

    @property
    def _end(self) -> bytes:
        return _line_end(self.nvm.values["S3"], self.nvm.values["S4"])

    def frame(self, reply: str | list[str] | bytes) -> bytes:
        """Information text as V.250 5.7.1 frames it: header unless ATV0, lines of one reply together."""
        end = self._end
        if isinstance(reply, list):
            reply = end.decode("latin-1").join(reply)
        if isinstance(reply, str):
            reply = reply.encode("latin-1", "replace")
        return (b"" if self.nvm.values["V"] == "0" else end) + reply + end

    def _result(self, final: str) -> bytes:
        if self.nvm.values["V"] == "0":
            return _NUMERIC.get(final, final).encode("latin-1") + self._end[:1]
        return self._end + final.encode("latin-1", "replace") + self._end

    def write(self, data: bytes) -> None:
        """Raw octets to the host, in order with everything else."""
        self._write(data)

    def _write(self, data: bytes) -> None:
        if self.hung:
            return
        if self.asleep:
            self.on_word()
        if self._held is not None:
            self._held += data
        else:
            self.line.to_host.write(data)

    def hold(self, ms: int) -> None:
        """Stalls the modem's output for `ms`; what is written meanwhile follows in one piece."""
        if self._held is None:
            self._held = bytearray()
            self.after(ms, self._release)

    def _release(self) -> None:
        held, self._held = self._held, None
        if held:
            self._write(bytes(held))

    def abandon(self) -> None:
        """Ends the command, and its line, without a response."""
        self._interceptor.forget_running()
        self._running, self._prompt = (), None
        self._flush_urcs()
        self._consume()
        self.on_rest()


class _Prompt:
    __slots__ = ("data", "digits", "done", "echo", "half", "length", "partial", "timeout_ms", "timer")

    def __init__(
        self,
        done: Callable[[bytes | None], None],
        length: int,
        echo: bool,
        timeout_ms: int,
        partial: bool,
        digits: bool,
    ) -> None:
        self.done, self.length, self.echo, self.timeout_ms, self.partial = done, length, echo, timeout_ms, partial
        self.digits = digits
        self.data, self.half = bytearray(), bytearray()  # the first digit of an octet
        self.timer: Timer | None = None


@cache
def _line_end(s3: str, s4: str) -> bytes:
    return bytes((int(s3), int(s4)))


_DIGITS = b"0123456789ABCDEFabcdef"
_NOTHING = (Command("AT", TEST, (), ""),)


def _delays(profile: Profile) -> Iterator[tuple[tuple[str, int], int]]:
    """The profile's delays by command and form: "+X=?" and "+X?" name one, "+X" is setting and executing."""
    for name, ms in profile.delay_ms.items():
        if name.endswith("=?"):
            yield (name[:-2], TEST), ms * MS
        elif name.endswith("?"):
            yield (name[:-1], READ), ms * MS
        else:
            yield (name, WRITE), ms * MS
            yield (name, EXEC), ms * MS


def _edited(line: bytes, backspace: int) -> bytes:
    """Applies the line editing character (V.250 6.2.3)."""
    if backspace not in line:
        return line
    out = bytearray()
    for octet in line:
        if octet != backspace:
            out.append(octet)
        elif out:
            out.pop()
    return bytes(out)


def _nothing() -> None:
    pass
