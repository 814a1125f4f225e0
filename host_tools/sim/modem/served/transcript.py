"""Dialogues between a client and a modem as text: written as they happen, read, and played.

One entry a line: the time in seconds, who, and the octets with the escapes of a Python string. `>` is the client, `<`
the modem, `!` an action upon the modem (`actions.py`). `#` begins a comment; "# name: value" in front is about the
whole.

    # profile: quectel-ec200u
    0.000000 > AT+CSQ\\r
    0.004260 < \\r\\n+CSQ: 24,99\\r\\n\\r\\nOK\\r\\n
    5.000000 ! sim out

A dialogue that a person writes may leave out the times: then a line is a whole one, `> AT` with its CR, `< OK` framed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, TextIO

from host_tools.base import files
from host_tools.base.errors import UsageError
from host_tools.sim.clock import MS, S

CLIENT, MODEM, ACTION = ">", "<", "!"
_PAUSE_US = 20 * MS  # octets of one side that follow each other sooner are one entry
_ENTRY = re.compile(r"(?:([0-9]+(?:\.[0-9]{1,6})?)\s+)?([<>!])(?: (.*))?")
_ABOUT = re.compile(r"# ([a-z]+): (.*)")


class Entry(NamedTuple):
    """`t_us` is the time since the dialogue began, None where it has none."""

    t_us: int | None
    who: str
    data: bytes


class Transcript(NamedTuple):
    about: dict[str, str]
    entries: list[Entry]


def escape(data: bytes) -> str:
    r"""Octets as a line of printable ASCII.

    >>> print(escape(b"\r\nOK\r\n"))
    \r\nOK\r\n
    """
    return data.decode("latin-1").encode("unicode_escape").decode("ascii")


def unescape(text: str) -> bytes:
    """The octets of `escape`'s text. ValueError for a wrong escape or another alphabet."""
    return text.encode("ascii").decode("unicode_escape").encode("latin-1")


def is_one(path: Path) -> bool:
    """Whether the first entry of a file is one of a client or a modem. UsageError for a file that cannot be read."""
    lines = files.text(path, "name a script, or a log of `usageguard modem --log`").splitlines()
    first = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    match = _ENTRY.fullmatch(first)
    return match is not None and match[2] != ACTION


def read(path: Path) -> Transcript:
    """Reads a transcript. UsageError names the line that is none."""
    about: dict[str, str] = {}
    entries: list[Entry] = []
    for number, line in enumerate(files.text(path, "name a log of `usageguard modem --log`").splitlines(), 1):
        if line.startswith("#"):
            if match := _ABOUT.fullmatch(line):
                about.setdefault(match[1], match[2])
            continue
        if not line.strip():
            continue
        match = _ENTRY.fullmatch(line)
        try:
            if match is None:
                raise ValueError
            entries.append(_entry(*match.groups()))
        except ValueError:
            hint = r'write it as in "> AT+CSQ" or "1.500000 < \r\nOK\r\n"'
            raise UsageError(str(path), f"line {number}", "is no entry of a transcript", hint) from None
    return Transcript(about, entries)


def _entry(time: str | None, who: str, text: str | None) -> Entry:
    if who == ACTION:
        return Entry(_us(time), who, (text or "").encode())
    data = unescape(text or "")
    if time is None:
        data = data + b"\r" if who == CLIENT else b"\r\n" + data + b"\r\n"
    return Entry(_us(time), who, data)


def _us(time: str | None) -> int | None:
    if time is None:
        return None
    whole, _, part = time.partition(".")
    return int(whole) * S + int(part.ljust(6, "0"))


class Writer:
    """Writes a dialogue to a file as it goes on."""

    def __init__(self, out: TextIO, about: dict[str, str]) -> None:
        self._out = out
        self._who, self._begin_us, self._last_us = "", 0, 0
        self._data = bytearray()
        for name, value in about.items():
            out.write(f"# {name}: {value}\n")
        out.flush()

    def add(self, t_us: int, who: str, data: bytes) -> None:
        if who != self._who or t_us - self._last_us > _PAUSE_US or who == ACTION:
            self.flush()
            self._who, self._begin_us = who, t_us
        self._last_us = t_us
        self._data += data

    def settle(self, now_us: int) -> None:
        """Writes the last entry if it is whole."""
        if now_us - self._last_us > _PAUSE_US:
            self.flush()

    def flush(self) -> None:
        """Writes the last entry."""
        if self._data:
            text = self._data.decode() if self._who == ACTION else escape(bytes(self._data))
            seconds, micro = divmod(self._begin_us, S)
            self._out.write(f"{seconds}.{micro:06} {self._who} {text}\n")
            self._out.flush()
            self._data.clear()


class Player:
    """Answers as a transcript says.

    Each command gets what the modem wrote after it there; of one that stands there several times, one answer after the
    other. A command that the transcript lacks gets ERROR.
    """

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.greeting: list[tuple[int, bytes]] = []
        """What the modem wrote before the first command: milliseconds since the one before, and octets."""
        self._answers: dict[bytes, list[list[tuple[int, bytes]]]] = {}
        self._line = bytearray()
        told, typed, last_us = self.greeting, bytearray(), 0
        for entry in entries:
            t_us = last_us if entry.t_us is None else entry.t_us
            if entry.who == MODEM:
                told.append((max(0, t_us - last_us) // MS, entry.data))
            elif entry.who == CLIENT:
                typed += entry.data
                while (end := typed.find(b"\r")) >= 0:
                    told = []
                    self._answers.setdefault(_command(typed[:end]), []).append(told)
                    del typed[: end + 1]
            last_us = t_us

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """What the modem writes to these octets of a client: milliseconds to wait, and octets, in turn."""
        out: list[tuple[int, bytes]] = []
        self._line += data
        while (end := self._line.find(b"\r")) >= 0:
            command = _command(self._line[:end])
            del self._line[: end + 1]
            if command:
                answers = self._answers.get(command)
                out += answers[0] if answers else [(0, b"\r\nERROR\r\n")]
                if answers and len(answers) > 1:
                    answers.append(answers.pop(0))
        return out


def _command(line: bytes | bytearray) -> bytes:
    return bytes(line).strip(b"\r\n \0").upper()
