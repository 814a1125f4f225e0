"""Asks a modem the questions and makes a profile of the answers."""

from __future__ import annotations

import difflib
import re
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

import tomli_w

from host_tools.base import toml
from host_tools.base.errors import UsageError
from host_tools.hardware.recorder.mask import Mask, imei
from host_tools.hardware.recorder.questions import DIALECTS, IDENTITY, MAKERS, STANDARD, UNKNOWN, WRONG
from host_tools.sim.modem import models
from host_tools.sim.modem.command import parse_ranges
from host_tools.sim.modem.dialect import STANDARD_PARTS
from host_tools.sim.modem.dialects import DIALECTS as SIMULATED
from host_tools.sim.modem.served.transcript import CLIENT, MODEM, Entry

ANSWER_S = 5.0
SILENT_S = 1.0
BOOT_S = 60.0
_ATTEMPTS = 5
_FINAL = re.compile(rb"(?:^|\r\n)(OK|ERROR|\+CM[ES] ERROR: [^\r\n]*)\r\n$")
_ERROR_NUMBER = re.compile(r"\+CME ERROR: (\d+)")
_SIM_LINE = "+CPIN:"
_SMS_LINES = ("+QIND: SMS DONE", "SMS DONE", "SMS READY", "+QIND: SMS READY")
_NEVER_FROZEN = ("+CGSN", "+CMGD=?", "+CGPADDR=?")  # the profile's IMEI; what is stored, and what is defined


class Line(Protocol):
    """A serial line to the modem."""

    def write(self, data: bytes) -> None: ...

    def read(self, seconds: float) -> bytes:
        """What has come, waiting up to `seconds` for the first octet; b"" if none came."""
        ...

    def now(self) -> float:
        """Seconds."""
        ...


class SerialLine:
    """A `Line` on a pySerial port."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def write(self, data: bytes) -> None:
        self._port.write(data)

    def read(self, seconds: float) -> bytes:
        self._port.timeout = seconds
        data = self._port.read(1)
        return data + self._port.read(self._port.in_waiting) if data else b""

    def now(self) -> float:
        return time.monotonic()


class Answer(NamedTuple):
    """The lines of information, the final result ("" for none in time), and how long it took."""

    lines: tuple[str, ...]
    final: str
    ms: int


class Recorder:
    """The dialogue with one modem. `dialogue` is what was said, with identities in it: `masked` is without."""

    def __init__(self, line: Line, progress: Callable[[int, int], None] = lambda done, all: None) -> None:
        self._line, self._progress = line, progress
        self._begin = line.now()
        self.dialogue: list[Entry] = []
        self.answers: dict[str, Answer] = {}
        self.boot: list[tuple[int, str]] = []
        self.uart_ready_ms = 0
        self.mask = Mask()

    # --- asking ---

    def ask(self, command: str, seconds: float = ANSWER_S) -> Answer:
        """Sends a command and takes its answer, without an echo and without lines that nobody asked for."""
        line = self._line
        self._before()
        self._send(f"AT{command}\r".encode())
        begin = line.now()
        heard = bytearray()
        while not (match := _FINAL.search(heard)) and (left := begin + seconds - line.now()) > 0:
            heard += self._hear(left)
        ms = round(1000 * (line.now() - begin))
        text = bytes(heard[: match.start(1)] if match else heard).decode("latin-1")
        lines = [each for each in text.replace("\r", "\n").split("\n") if each and each != f"AT{command}"]
        name = re.match(r"[+^$#*%]\w+", command)
        own = [each for each in lines if name and each.startswith(f"{name[0]}:")]
        answer = Answer(tuple(own or lines), match[1].decode("latin-1") if match else "", ms)
        self.mask.learn(command, answer.lines)
        return answer

    def _before(self) -> None:
        """Passes over what was said before a command."""
        while self._line.read(0.02):
            pass

    def _send(self, data: bytes) -> None:
        self.dialogue.append(Entry(self._us(), CLIENT, data))
        self._line.write(data)

    def _hear(self, seconds: float) -> bytes:
        data = self._line.read(seconds)
        if data:
            last = self.dialogue[-1] if self.dialogue else None
            if last is not None and last.who == MODEM and last.t_us is not None and self._us() - last.t_us < 20_000:
                self.dialogue[-1] = last._replace(data=last.data + data)
            else:
                self.dialogue.append(Entry(self._us(), MODEM, data))
        return data

    def _us(self) -> int:
        return round(1_000_000 * (self._line.now() - self._begin))

    def greet(self) -> None:
        """Until the modem answers. UsageError if it does not."""
        for _ in range(_ATTEMPTS):
            if self.ask("", SILENT_S).final == "OK":
                return
        hint = "name the modem's AT port; check --baud, the wiring and the power"
        raise UsageError("record", "", "nothing answers to AT", hint)

    def run(self, *, reboot: bool = False) -> None:
        """Asks everything; a reboot (AT+CFUN=1,1) comes first if wanted. The modem's settings are left as they were."""
        self.greet()
        if reboot:
            self._watch_boot()
        level = self.ask("+CMEE?").lines
        numeric = level[-1:] == ("+CMEE: 1",)
        if not numeric:
            self.ask("+CMEE=1")
        try:
            for command in IDENTITY:
                self.answers[command] = self.ask(command)
            questions = (*STANDARD, *DIALECTS.get(self.dialect, ()), UNKNOWN, WRONG)
            for done, command in enumerate(questions):
                self._progress(done, len(questions))
                self.answers[command] = self.ask(command)
            self._progress(len(questions), len(questions))
        finally:
            if not numeric and level:
                self.ask(f"+CMEE={level[-1].rpartition(' ')[2]}")

    def _watch_boot(self) -> None:
        """Reboots and takes what the modem writes by itself, and when it answers first."""
        line = self._line
        self._send(b"AT+CFUN=1,1\r")
        begin, deadline = line.now(), line.now() + BOOT_S
        heard, rest, quiet_since = bytearray(), b"", line.now()
        while line.now() < deadline and (line.now() - quiet_since < 10 or not self.boot):
            data = self._hear(0.25)
            if data:
                quiet_since = line.now()
                heard += data
                *whole, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
                ms = round(1000 * (line.now() - begin))
                texts = [each.decode("latin-1") for each in whole if each]
                self.boot += [(ms, text) for text in texts if text not in ("OK", "AT+CFUN=1,1")]
        before = 0
        for at, (ms, _) in enumerate(self.boot):  # what came before a second of silence, it wrote while it went down
            if ms - before >= 1000:
                del self.boot[:at]
                break
            before = ms
        while not self.uart_ready_ms and line.now() < deadline + BOOT_S:
            if self.ask("", SILENT_S).final == "OK":
                self.uart_ready_ms = min((ms for ms, _ in self.boot), default=1000)

    # --- what it is ---

    def _identity(self, command: str) -> str:
        answer = self.answers.get(command)
        lines = answer.lines if answer is not None else ()
        return lines[-1].partition(": ")[2] or lines[-1] if lines else ""

    @property
    def manufacturer(self) -> str:
        return self._identity("+CGMI")

    @property
    def model(self) -> str:
        return self._identity("+CGMM")

    @property
    def revision(self) -> str:
        return self._identity("+CGMR").removeprefix("Revision: ")

    @property
    def dialect(self) -> str:
        """The dialect of such a modem; "" for one that is not known."""
        name = f"{self.manufacturer} {self.model}".lower()
        return next((dialect for dialect, words in MAKERS.items() if any(word in name for word in words)), "")

    def masked(self) -> list[Entry]:
        """The dialogue without what identifies anybody. A line that came in pieces is one entry."""
        whole: list[Entry] = []
        for entry in self.dialogue:
            if whole and entry.who == MODEM == whole[-1].who and not whole[-1].data.endswith(b"\n"):
                whole[-1] = whole[-1]._replace(data=whole[-1].data + entry.data)
            else:
                whole.append(entry)
        return [
            entry._replace(data=self.mask.text(entry.data.decode("latin-1")).encode("latin-1")) for entry in whole
        ]

    # --- the profile ---

    def profile(self, name: str) -> dict[str, Any]:
        """A profile's table: that of the most similar shipped model, with what was recorded in place of it."""
        simulated = self.dialect if self.dialect in SIMULATED else "generic" if "generic" in SIMULATED else "quectel"
        shipped = {each: models.load(each) for each in models.names()}
        alike = [each for each, profile in shipped.items() if profile.dialect == simulated]
        like = max(alike, key=lambda each: difflib.SequenceMatcher(None, shipped[each].model, self.model).ratio())
        table = models.table(like)
        serial = next(iter(re.findall(r"\d{15}", " ".join(self.answers["+CGSN"].lines))), table["imei"])
        table |= {
            "name": name,
            "manufacturer": self.manufacturer or table["manufacturer"],
            "model": self.model or table["model"],
            "revision": self.revision or table["revision"],
            "imei": imei(serial),
            "source": f"recorded from a {self.manufacturer} {self.model}, {self.revision}, "
            f"on {datetime.now(UTC):%Y-%m-%d}; the rest is of {like}",
        }
        table["errors"] = table["errors"] | self._errors()
        table["delay_ms"] = table["delay_ms"] | self._delays()
        table["answers"] = self._frozen()
        ranges = self._ranges(simulated)
        if ranges:
            table["ranges"] = table.get("ranges", {}) | ranges
        if self.boot:
            table["boot"] = self._boot_table(table["boot"])
        return table

    def _errors(self) -> dict[str, int]:
        found = {"unknown_command": UNKNOWN, "parameter": WRONG}
        numbers = {name: _ERROR_NUMBER.fullmatch(self.answers[command].final) for name, command in found.items()}
        return {name: int(match[1]) for name, match in numbers.items() if match}

    def _delays(self) -> dict[str, int]:
        """By command and form, where it is not the usual delay; "*" is the median."""
        taken = {command: answer.ms for command, answer in self.answers.items() if answer.final}
        usual = max(1, round(statistics.median(taken.values())))
        known = {command: ms for command, ms in taken.items() if ms > 2 * usual + 5 and command[0] == "+"}
        return {"*": usual, **known}

    def _frozen(self) -> dict[str, list[str]]:
        """The answers that do not depend on the network or the card: those of test commands, and identities."""
        asked = {command for command in self.answers if command.endswith("=?")} | set(IDENTITY) | {UNKNOWN}
        return {
            command: [*(self.mask.text(line) for line in answer.lines), answer.final]
            for command, answer in self.answers.items()
            if command in asked and command not in _NEVER_FROZEN and answer.final
        }

    def _ranges(self, dialect: str) -> dict[str, str]:
        """Of the settings that both know with as many parameters."""
        parts = (*STANDARD_PARTS, *SIMULATED[dialect].part_types)
        settings = {setting.name: setting for part in parts for setting in part.settings}
        found = {}
        for name, setting in settings.items():
            answer = self.answers.get(f"{name}=?")
            if answer is None or answer.final != "OK" or len(answer.lines) != 1:
                continue
            text = answer.lines[0].removeprefix(f"{name}: ")
            try:
                allowed = parse_ranges(text)
                default = setting.default.strip('"')
            except ValueError:
                continue
            whole = text.startswith("(") and text.endswith(")") and len(allowed) == len(parse_ranges(setting.ranges))
            if whole and text != setting.ranges and "," not in default and _holds(allowed[0], default):
                found[name] = text
        return found

    def _boot_table(self, before: dict[str, Any]) -> dict[str, Any]:
        lines, sim_ms = [], before["sim_ready_ms"]
        sms_ms = max(ms for ms, _ in self.boot)
        for ms, text in self.boot:
            if text.startswith(_SIM_LINE):
                sim_ms = ms
                lines.append({"ms": ms, "line": "sim"})
            else:
                lines.append({"ms": ms, "line": self.mask.text(text)})
            if text in _SMS_LINES:
                sms_ms = ms
        return {"uart_ready_ms": self.uart_ready_ms, "lines": lines, "sim_ready_ms": sim_ms, "sms_ready_ms": sms_ms}


def _holds(allowed: Any, value: str) -> bool:
    return allowed is None or value in allowed or (value.isdigit() and int(value) in allowed)


def document(table: dict[str, Any], questions: Sequence[str]) -> str:
    """The profile's file. UsageError if it would not be one, which is a fault of ours or a modem's odd answer."""
    toml.convert(table, models.Profile, "the recorded profile", {})
    head = (
        f"# {table['source'][:1].upper()}{table['source'][1:]}.\n"
        f"# {len(questions)} questions, none of which costs anything; IMEI, SIM, addresses and cells are masked.\n"
        "# `answers` are given as they were recorded, whatever the simulated modem would say.\n"
    )
    return head + tomli_w.dumps(table)
