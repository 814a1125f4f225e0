"""What can be done to a modem while it runs, as lines of text: for `usageguard modem ctl`, scripts and fixtures."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from host_tools.base import files, toml
from host_tools.base.errors import UsageError
from host_tools.base.units import Seconds
from host_tools.sim.carrier import Carrier
from host_tools.sim.carrier.stops import MANUAL
from host_tools.sim.clock import Clock, S
from host_tools.sim.modem import tpdu
from host_tools.sim.modem.device import SimModem
from host_tools.sim.modem.faults import AnyFault

SMS_RETRY_US = 60 * S
_ON = {"on": True, "off": False}


class Actions:
    """Does what a line says. `skip(seconds)` lets time jump ahead, `quit()` ends."""

    def __init__(
        self,
        modem: SimModem,
        carrier: Carrier,
        clock: Clock,
        skip: Callable[[float], None],
        quit: Callable[[], None],
    ) -> None:
        self._modem, self._carrier, self._clock, self._skip, self._quit = modem, carrier, clock, skip, quit
        self._imsi = modem.card_reader.card.imsi

    def do(self, line: str) -> str:
        """Does it; returns what it says about it, or "". ValueError with one clear line for what is no action."""
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise ValueError(f"{line}: {str(error).lower()}") from None
        action = _ACTIONS.get(words[0]) if words else None
        if action is None:
            raise ValueError(f"{words[0] if words else line!r} is no action; there are {', '.join(_ACTIONS)}")
        try:
            return action.do(self, *words[1:]) or ""
        except _Usage as error:
            raise ValueError(f"{line}: {str(error) or 'is no such action'}; write {action.form}") from None
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                raise  # not of the call itself
            raise ValueError(f"{line}: write {action.form}") from None
        except ValueError as error:
            raise ValueError(f"{line}: {error}") from None

    # --- the card ---

    def sim(self, what: str, *more: str) -> None:
        reader = self._modem.card_reader
        card = reader.card
        if what in ("in", "out") and not more:
            reader.insert(what == "in")
        elif what == "faulty":
            self.fault("sim_faulty", f"on={str(_switch(more)).lower()}")
            reader.announce()
        elif what == "pin" and len(more) == 1:
            card.pin = "" if more[0] == "off" else more[0]
            card.pin_tries = 3
            self._put_back()
        elif what == "puk" and not more:
            card.pin, card.pin_tries = card.pin or "0000", 0
            self._put_back()
        else:
            raise _Usage

    def _put_back(self) -> None:
        self._modem.card_reader.insert(False)
        self._modem.card_reader.insert(True)

    # --- the network ---

    def coverage(self, what: str, for_s: str = "") -> None:
        radio = self._modem.radio
        if what in _ON:
            radio.cover(_ON[what])
            if for_s:
                self._clock.after(Seconds.parse(for_s) * S, radio.cover, not _ON[what])
        else:
            self.fault("signal", f"rsrp_dbm={what}")

    def network(self, what: str, value: str = "") -> None:
        if what == "refuse":
            self._carrier.refuse(self._imsi, _integer(value, 1, 255))
            self._modem.radio.verify()
        elif what == "accept":
            self._carrier.refuse(self._imsi, 0)
        elif what == "drop":
            self._carrier.deactivate(self._imsi)
        elif what == "silent":
            self.fault("dead_session")
        elif what == "time":
            self.fault("network_time", f"error_s={value}")
        else:
            raise _Usage

    def carrier(self, what: str, value: str = "") -> None:
        if what == "stop":
            self._carrier.stop(self._imsi, value or MANUAL.code)
        elif what == "resume":
            self._carrier.resume(self._imsi, value or None)
        elif what == "rate":
            self._carrier.throttle(self._imsi, None if value == "off" else _integer(value, 1, 1 << 30))
        else:
            raise _Usage

    def sms(self, sender: str, text: str, *more: str) -> None:
        words = " ".join((text, *more))
        try:
            coding, data = tpdu.GSM7, tpdu.to_septets(words)
        except ValueError:
            coding, data = tpdu.UCS2, words.encode("utf-16-be")
        local = self._clock.utc() + timedelta(minutes=15 * self._modem.radio.zone)
        self.deliver(tpdu.deliver(sender, coding, data, local))

    def deliver(self, unit: bytes) -> None:
        """The network delivers an SMS, again as long as the modem cannot take it."""
        if not self._modem.short_messages.deliver(unit):
            self._clock.after(SMS_RETRY_US, self.deliver, unit)

    # --- the modem ---

    def fault(self, kind: str, *fields: str) -> None:
        raw = {"kind": kind, **dict(_field(text) for text in fields)}
        try:
            fault = toml.convert({"fault": raw}, _Struck, "", {}).fault
        except UsageError as error:
            raise _Usage(str(error).removeprefix(": ")) from None
        self._modem.faults.inject(fault)

    def clear(self) -> None:
        self._modem.faults.clear()

    def urc(self, *words: str) -> None:
        if not words:
            raise _Usage
        self._modem.port.urc(" ".join(words))

    def power(self, what: str) -> None:
        if what in _ON:
            self._modem.power(_ON[what])
        elif what == "key":
            self._modem.power_key()
        elif what == "reset":
            self._modem.reset()
        else:
            raise _Usage

    def skip(self, time: str) -> None:
        self._skip(Seconds.parse(time))

    def state(self) -> str:
        modem, carrier, imsi = self._modem, self._carrier, self._imsi
        reader, radio = modem.card_reader, modem.radio
        up = [f"{c.cid} {c.ip}" for c in modem.data.contexts.values() if c.bearer is not None]
        card = "out" if not reader.card.inserted else "faulty" if reader.card.faulty else reader.lock.lower()
        rows = {
            "modem": "on" if modem.working else ("hangs" if modem.port.hung else "off"),
            "sim": card,
            "coverage": f"{radio.rsrp_dbm} dBm" if radio.covered else "none",
            "registration": str(radio.stat) + (f", refused with cause {radio.cause}" if radio.cause else ""),
            "contexts": ", ".join(up) or "none",
            "stops": ", ".join(carrier.stops(imsi)) or "none",
            "carried": f"{carrier.figures(imsi)['ip_octets']} octets",
            "faults": "armed" if modem.faults.armed else "none",
        }
        return "\n".join(f"{name}: {value}" for name, value in rows.items())

    def help(self) -> str:
        return "\n".join(action.form for action in _ACTIONS.values())

    def quit(self) -> None:
        self._quit()


class _Struck(toml.Table, frozen=True):
    fault: AnyFault


class _Usage(ValueError):
    """Not as the action's form says."""


class _Action(NamedTuple):
    form: str
    do: Callable[..., str | None]


_ACTIONS = {
    "state": _Action("state", Actions.state),
    "sim": _Action("sim in|out|puk, sim pin DIGITS|off, sim faulty on|off", Actions.sim),
    "coverage": _Action("coverage on|off [TIME], coverage DBM (-140 to -44)", Actions.coverage),
    "network": _Action("network refuse CAUSE|accept|drop|silent|time SECONDS", Actions.network),
    "carrier": _Action("carrier stop [REASON]|resume [REASON]|rate OCTETS_PER_S|rate off", Actions.carrier),
    "sms": _Action("sms NUMBER TEXT", Actions.sms),
    "fault": _Action("fault KIND [FIELD=VALUE]…", Actions.fault),
    "clear": _Action("clear", Actions.clear),
    "urc": _Action("urc LINE", Actions.urc),
    "power": _Action("power on|off|key|reset", Actions.power),
    "skip": _Action("skip TIME", Actions.skip),
    "help": _Action("help", Actions.help),
    "quit": _Action("quit", Actions.quit),
}


class Timed(NamedTuple):
    at_s: int
    line: str


def script(path: Path) -> list[Timed]:
    """Reads a script: a time since the start and an action on each line, as "1m30s coverage off"; # begins a comment.

    UsageError names the line that is none.
    """
    timed = []
    for number, line in enumerate(files.text(path, "name a script").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        time, _, action = text.partition(" ")
        action = action.strip()
        try:
            at_s = Seconds.parse(time)
        except ValueError as error:
            raise UsageError(str(path), f"line {number}", str(error)) from None
        if action.split(" ")[0] not in _ACTIONS:
            hint = f"there are {', '.join(_ACTIONS)}"
            raise UsageError(str(path), f"line {number}", f'"{action}" is no action', hint)
        timed.append(Timed(at_s, action))
    return timed


def _switch(words: tuple[str, ...]) -> bool:
    if len(words) != 1 or words[0] not in _ON:
        raise _Usage
    return _ON[words[0]]


def _integer(text: str, low: int, high: int) -> int:
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        raise _Usage(f"{text!r} is no number from {low} to {high}")
    return int(text)


def _field(text: str) -> tuple[str, Any]:
    """ "ms=200" as name and value; a value that is no TOML is text."""
    name, separator, value = text.partition("=")
    if not separator:
        raise _Usage(f"{text!r} has no =")
    try:
        return name, tomllib.loads(f"v = {value}")["v"]
    except tomllib.TOMLDecodeError:
        return name, value
