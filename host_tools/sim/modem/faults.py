"""What goes wrong: one-shot overrides of commands and URCs, and events; each has been seen in the field.

A fault is declared once, as a class: its fields are what a scenario file may write, `strike` is what it does.
"""

from __future__ import annotations

import random
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Annotated, Any, Protocol

import msgspec

from host_tools.base.toml import Table
from host_tools.sim.clock import MS, Clock
from host_tools.sim.events import EventLog
from host_tools.sim.modem.card import CardReader
from host_tools.sim.modem.data import Data
from host_tools.sim.modem.dialect import Dialect
from host_tools.sim.modem.parser import Command
from host_tools.sim.modem.radio import Radio
from host_tools.sim.modem.serial_port import SerialPort

Ms = Annotated[int, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
_PROMPTS = (b">", b"@")


class Target(Protocol):
    """The modem as its faults see it."""

    clock: Clock
    log: EventLog
    rng: random.Random
    port: SerialPort
    card_reader: CardReader
    radio: Radio
    data: Data
    dialect: Dialect
    faults: Faults

    def power(self, on: bool) -> None: ...
    def reset(self) -> None: ...


class Fault(Table, frozen=True, tag_field="kind", kw_only=True):
    """One fault, named by `kind`."""

    def strike(self, modem: Target) -> None:
        """Does it now, or arms it for later."""
        raise NotImplementedError


# --- the next commands that match ---


class CommandFault(Fault, frozen=True, kw_only=True):
    """Of the next `count` commands whose text after AT matches the pattern `command`, as "+QISEND=*"."""

    command: str = "*"
    count: Count = 1

    def strike(self, modem: Target) -> None:
        modem.faults.arm(self)

    def before(self, modem: Target) -> tuple[bool, int]:
        """Whether the command is taken over, and its extra delay in ms."""
        return False, 0

    def response(self, modem: Target, out: bytes) -> bytes:
        """The response as the line carries it."""
        return out


class Slow(CommandFault, frozen=True, kw_only=True, tag="slow"):
    """Takes `ms` longer."""

    ms: Ms

    def before(self, modem: Target) -> tuple[bool, int]:
        return False, self.ms


class Unanswered(CommandFault, frozen=True, kw_only=True, tag="unanswered"):
    """Is swallowed: not executed, not answered."""

    def before(self, modem: Target) -> tuple[bool, int]:
        modem.port.after(0, modem.port.abandon)
        return True, 0


class ResponseLost(CommandFault, frozen=True, kw_only=True, tag="response_lost"):
    """Is executed, and not a word of its response arrives."""

    def response(self, modem: Target, out: bytes) -> bytes:
        return b""


class ResultLate(CommandFault, frozen=True, kw_only=True, tag="result_late"):
    """Is executed; what follows its prompt, if it has one, comes `ms` later, whatever the modem does then."""

    ms: Ms

    def response(self, modem: Target, out: bytes) -> bytes:
        if out.strip() in _PROMPTS:
            modem.faults.go_on(self)
            return out
        modem.port.after(self.ms, modem.port.write, out)
        return b""


class ResultFirst(CommandFault, frozen=True, kw_only=True, tag="result_first"):
    """The final result comes before the information."""

    def response(self, modem: Target, out: bytes) -> bytes:
        at = out.rfind(b"\r\n", 0, -2)  # a result has a line end in front and one behind
        return out[at:] + out[:at] if at > 0 else out


class Answer(CommandFault, frozen=True, kw_only=True, tag="answer"):
    """Is not executed; `lines` (if any) and `final` are the answer."""

    lines: tuple[str, ...] = ()
    final: str = "ERROR"

    def before(self, modem: Target) -> tuple[bool, int]:
        modem.port.after(0, modem.port.finish, list(self.lines) or None, self.final)
        return True, 0


class HangOn(CommandFault, frozen=True, kw_only=True, tag="hang_on"):
    """Hangs the modem until it is power-cycled."""

    def before(self, modem: Target) -> tuple[bool, int]:
        modem.port.hung = True
        return True, 0


class RebootOn(CommandFault, frozen=True, kw_only=True, tag="reboot_on"):
    """Crashes the modem, which reboots."""

    def before(self, modem: Target) -> tuple[bool, int]:
        modem.port.after(0, modem.reset)
        return True, 0


class UrcBefore(CommandFault, frozen=True, kw_only=True, tag="urc_before"):
    """A URC comes between the command and its response."""

    line: str

    def response(self, modem: Target, out: bytes) -> bytes:
        return modem.port.frame(self.line) + out


class UrcInside(CommandFault, frozen=True, kw_only=True, tag="urc_inside"):
    """A URC comes inside the response, after its first line."""

    line: str

    def response(self, modem: Target, out: bytes) -> bytes:
        at = (out.find(b"\r\n", 2) + 2) % max(len(out), 1)  # before a response of one line, or none
        return out[:at] + modem.port.frame(self.line) + out[at:]


class StallInside(CommandFault, frozen=True, kw_only=True, tag="stall_inside"):
    """The response stops for `ms` after `after_octets`."""

    after_octets: Count = 1
    ms: Ms = 200

    def response(self, modem: Target, out: bytes) -> bytes:
        modem.port.write(out[: self.after_octets])
        modem.port.hold(self.ms)
        return out[self.after_octets :]


class SendFail(Fault, frozen=True, kw_only=True, tag="send_fail"):
    """The next `count` sends find the socket's buffer full."""

    count: Count = 1

    def strike(self, modem: Target) -> None:
        modem.dialect.refuse_sends(self.count)


# --- the next URCs that match ---


class UrcFault(Fault, frozen=True, kw_only=True):
    """Of the next `count` URCs that begin with `prefix`."""

    prefix: str = ""
    count: Count = 1

    def strike(self, modem: Target) -> None:
        modem.faults.arm(self)

    def instead(self, modem: Target, line: str) -> None:
        """What the line carries instead of the URC."""


class UrcLost(UrcFault, frozen=True, kw_only=True, tag="urc_lost"):
    """Is never written."""


class UrcSplit(UrcFault, frozen=True, kw_only=True, tag="urc_split"):
    """Stops for `ms` after `after_octets`."""

    after_octets: Count = 5
    ms: Ms = 200

    def instead(self, modem: Target, line: str) -> None:
        framed = modem.port.frame(line)
        modem.port.write(framed[: self.after_octets])
        modem.port.hold(self.ms)
        modem.port.write(framed[self.after_octets :])


# --- now ---


class Urc(Fault, frozen=True, kw_only=True, tag="urc"):
    """Writes a line nobody asked for."""

    line: str

    def strike(self, modem: Target) -> None:
        modem.port.urc(self.line)


class Garbage(Fault, frozen=True, kw_only=True, tag="garbage"):
    """Writes random octets, as after a crash."""

    octets: Count = 16

    def strike(self, modem: Target) -> None:
        modem.port.write(modem.rng.randbytes(self.octets))


class OctetsLost(Fault, frozen=True, kw_only=True, tag="octets_lost"):
    """The line to the host loses octets, behind the next `after_octets`."""

    after_octets: Count = 1
    octets: Count = 1

    def strike(self, modem: Target) -> None:
        modem.port.line.to_host.lose(self.after_octets, self.octets)


class Reboot(Fault, frozen=True, kw_only=True, tag="reboot"):
    """Crashes; whatever was not stored has its default again, echo among it."""

    def strike(self, modem: Target) -> None:
        modem.reset()


class Hang(Fault, frozen=True, kw_only=True, tag="hang"):
    """Says and does nothing until power-cycled; `for_good`: afterwards too."""

    for_good: bool = False

    def strike(self, modem: Target) -> None:
        modem.port.hung = True
        modem.port.dead = self.for_good


class BrownOut(Fault, frozen=True, kw_only=True, tag="brown_out"):
    """The modem's supply fails for `ms`."""

    ms: Ms = 1000

    def strike(self, modem: Target) -> None:
        modem.power(False)
        modem.clock.after(self.ms * MS, modem.power, True)


class EchoOn(Fault, frozen=True, kw_only=True, tag="echo_on"):
    """Command echo comes back by itself."""

    def strike(self, modem: Target) -> None:
        modem.port.nvm.store("E", "1")


class HalfOpen(Fault, frozen=True, kw_only=True, tag="half_open"):
    """Something on the path forgets socket `id`: nothing gets through, and nobody says so."""

    id: Ms

    def strike(self, modem: Target) -> None:
        modem.dialect.lose_path(self.id)


class DeadSession(Fault, frozen=True, kw_only=True, tag="dead_session"):
    """The network forgets the data session: nothing gets through until there is another one, and nobody says so."""

    def strike(self, modem: Target) -> None:
        for context in modem.data.contexts.values():
            if context.bearer is not None:
                context.bearer.cut()


class CounterJump(Fault, frozen=True, kw_only=True, tag="counter_jump"):
    """The data counter jumps ahead."""

    tx: Ms = 0
    rx: Ms = 0

    def strike(self, modem: Target) -> None:
        modem.data.counter.octets[0] += self.tx
        modem.data.counter.octets[1] += self.rx


class CounterReset(Fault, frozen=True, kw_only=True, tag="counter_reset"):
    """The data counter is zero again."""

    def strike(self, modem: Target) -> None:
        modem.data.counter.octets = [0, 0]


class NoCoverage(Fault, frozen=True, kw_only=True, tag="no_coverage"):
    """The network's signal is gone for `ms`, or for good when 0."""

    ms: Ms = 0

    def strike(self, modem: Target) -> None:
        modem.radio.cover(False)
        if self.ms:
            modem.clock.after(self.ms * MS, modem.radio.cover, True)


class OperatorGone(Fault, frozen=True, kw_only=True, tag="operator_gone"):
    """Only other operators are on the air, for `ms`, or for good when 0. The SIM may use those of `roaming`, by their
    numbers, where the device selects one; with `handover` the networks hand it over, and its data session goes on."""

    roaming: tuple[str, ...] = ()
    ms: Ms = 0
    handover: bool = False

    def strike(self, modem: Target) -> None:
        modem.radio.leave_home(self.roaming, self.handover)
        if self.ms:
            modem.clock.after(self.ms * MS, modem.radio.come_home, self.handover)


class StuckRegistration(Fault, frozen=True, kw_only=True, tag="stuck_registration"):
    """No registration comes to an end any more, until struck again with `on` false, or with `restart` until the modem
    restarts."""

    on: bool = True
    restart: bool = False

    def strike(self, modem: Target) -> None:
        modem.radio.stuck = self.on
        modem.radio.restart_helps = self.restart


class NoLte(Fault, frozen=True, kw_only=True, tag="no_lte"):
    """Only GSM is on the air, until struck again with `on` false: +CEREG tells of no registration."""

    on: bool = True

    def strike(self, modem: Target) -> None:
        modem.radio.fall_back(self.on)


class StuckSession(Fault, frozen=True, kw_only=True, tag="stuck_session"):
    """The modem ends its data session, and opens none until it restarts, although the network gives one."""

    def strike(self, modem: Target) -> None:
        modem.data.release_all()
        modem.data.stuck = True


class Signal(Fault, frozen=True, kw_only=True, tag="signal"):
    """The signal's strength changes."""

    rsrp_dbm: Annotated[int, msgspec.Meta(ge=-140, le=-44)]

    def strike(self, modem: Target) -> None:
        modem.radio.rsrp_dbm = self.rsrp_dbm


class NetworkTime(Fault, frozen=True, kw_only=True, tag="network_time"):
    """The network tells a time that is wrong by `error_s`, now and at every registration."""

    error_s: int

    def strike(self, modem: Target) -> None:
        modem.radio.time_error = timedelta(seconds=self.error_s)
        if modem.radio.registered:
            modem.radio.tell_time()


class SimOut(Fault, frozen=True, kw_only=True, tag="sim_out"):
    """The card loses contact for `ms`, or for good when 0; without `noticed` the modem sees it again only when it
    switches the card on, after AT+CFUN=0 or a restart."""

    ms: Ms = 0
    noticed: bool = True

    def strike(self, modem: Target) -> None:
        modem.card_reader.insert(False)
        if self.ms:
            modem.clock.after(self.ms * MS, modem.card_reader.insert, True, self.noticed)


class SimFaulty(Fault, frozen=True, kw_only=True, tag="sim_faulty"):
    """The card is in and does not answer."""

    on: bool = True

    def strike(self, modem: Target) -> None:
        modem.card_reader.card.faulty = self.on
        if self.on:
            modem.radio.detach()


class SimLocked(Fault, frozen=True, kw_only=True, tag="sim_locked"):
    """The card wants a PIN, as one that was moved from a phone."""

    pin: str = "1234"

    def strike(self, modem: Target) -> None:
        modem.card_reader.lock_with(self.pin)
        modem.radio.detach()


AnyFault = (
    Slow | Unanswered | ResponseLost | ResultLate | ResultFirst | Answer | HangOn | RebootOn | UrcBefore | UrcInside
    | StallInside | SendFail | UrcLost | UrcSplit | Urc | Garbage | OctetsLost | Reboot | Hang | BrownOut | EchoOn
    | HalfOpen | DeadSession | CounterJump | CounterReset | NoCoverage | OperatorGone | StuckRegistration | StuckSession
    | NoLte
    | Signal | NetworkTime | SimOut | SimFaulty | SimLocked
)  # fmt: skip
"""What a scenario's `[[fault]]` may hold, for `msgspec.convert`."""


class Faults:
    """The armed faults of one modem. `armed` is False as long as nothing is to be looked for; `strikes` counts those
    that have struck."""

    def __init__(self, modem: Target) -> None:
        self._modem = modem
        self._commands: list[list[Any]] = []  # [fault, how often yet]
        self._urcs: list[list[Any]] = []
        self._running: CommandFault | None = None  # applies to the response of the command that runs
        self.armed = False
        self.strikes = 0

    def inject(self, fault: Fault | dict[str, Any]) -> None:
        """Strikes now. A dict is read as a scenario writes it; a ValueError names the field that is wrong."""
        known: Fault = msgspec.convert(fault, AnyFault) if isinstance(fault, dict) else fault
        self._modem.log.add("bench", "fault", kind=known.__struct_config__.tag)
        known.strike(self._modem)

    def clear(self) -> None:
        """Disarms all: none of those that wait for a command or a URC happens."""
        self._commands.clear()
        self._urcs.clear()
        self.forget_running()
        self._modem.dialect.refuse_sends(0)

    def arm(self, fault: CommandFault | UrcFault) -> None:
        (self._commands if isinstance(fault, CommandFault) else self._urcs).append([fault, fault.count])
        self.armed = True

    def before(self, command: Command) -> tuple[bool, int]:
        """Whether the command is taken over, and its extra delay in ms."""
        for armed in self._commands:
            if fnmatchcase(command.text.upper(), armed[0].command.upper()):
                self._running = armed[0]
                self._use(self._commands, armed)
                return armed[0].before(self._modem)
        return False, 0

    def response(self, out: bytes) -> bytes:
        """The response of the running command as the line carries it."""
        fault = self._running
        if fault is None:
            return out
        self._running = None
        self.armed = bool(self._commands or self._urcs)
        return fault.response(self._modem, out)

    def go_on(self, fault: CommandFault) -> None:
        """The running command has more to say, which is the fault's too."""
        self._running = fault
        self.armed = True

    def takes_urc(self, line: str) -> bool:
        """Whether a fault takes the URC's place."""
        for armed in self._urcs:
            if line.startswith(armed[0].prefix):
                self._use(self._urcs, armed)
                armed[0].instead(self._modem, line)
                return True
        return False

    def forget_running(self) -> None:
        """The command ended without a response."""
        self._running = None
        self.armed = bool(self._commands or self._urcs)

    def _use(self, faults: list[list[Any]], armed: list[Any]) -> None:
        self.strikes += 1
        armed[1] -= 1
        if armed[1] == 0:
            faults.remove(armed)
        self.armed = bool(self._commands or self._urcs or self._running)
