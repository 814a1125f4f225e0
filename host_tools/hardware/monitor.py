"""Follows a board: its status, its verdict and what it says, out of the lines that `usageguard.hal.esp32` prints."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from host_tools.hardware.port import Port
from host_tools.terminal import err
from host_tools.units import size
from host_tools.words import Teller, modem_state

LINES = 10
FOREVER = math.inf
STATUS_S = 3600
"""The longest that the guard tells no status (`usageguard.guard`)."""
WAITING = "waiting for the guard's status: it tells it at a change, else once an hour; with --restart, at once"
WAITING_RESTARTED = "restarted; waiting for the guard to start and tell its status"
_FIRST = ("verdict", "reasons", "rated_octets", "modem")
_SETS = {"up": "Set {} is in force", "back": "The new set does not start; back to set {}"}
"""What the board says of its sets of files (`firmware/slots.py`)."""
_STYLES = {"open": "green", "warned": "yellow", "shed": "dark_orange", "restricted": "red", "terminated": "bold red"}


@dataclass(frozen=True)
class Line:
    """One line of a board. `kind`: status (the guard's figures), event (a code and two integers), or text."""

    kind: str
    text: str
    status: dict[str, Any] = field(default_factory=dict)
    code: str = ""
    a: int = 0
    b: int = 0

    def to_json(self) -> dict[str, Any]:
        if self.kind == "status":
            return {"kind": "status", **self.figures()}
        if self.kind == "event":
            return {"kind": "event", "code": self.code, "a": self.a, "b": self.b}
        return {"kind": "text", "text": self.text}

    def figures(self) -> dict[str, Any]:
        """A status for people: in an order of its own, which a board has none of, and the modem's state as a word."""
        names = [*filter(self.status.__contains__, _FIRST), *sorted(self.status.keys() - set(_FIRST))]
        return {name: modem_state(self.status[name]) if name == "modem" else self.status[name] for name in names}

    def tell(self) -> str:
        """As a person reads it."""
        if self.kind == "event":
            return Teller().tell({"who": "device", "what": self.code, "a": self.a, "b": self.b})
        if self.kind == "status":
            told = ((name, value) for name, value in self.figures().items() if value not in (None, "", [], {}))
            return " ".join(f"{name}={_shown(value)}" for name, value in told)
        words = self.text.split()
        if len(words) == 3 and words[0] == "ug" and words[1] in _SETS:
            return _SETS[words[1]].format(words[2])
        return self.text


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value, separators=(",", ":"))
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def parse(text: str) -> Line:
    """A line as the board printed it; what is not the guard's, or was cut short, is text."""
    head, _, rest = text.partition(" ")
    if head == "ug":
        if rest.startswith("{"):
            try:
                return Line("status", text, status=json.loads(rest))
            except ValueError:
                return Line("text", text)
        words = rest.split()
        if len(words) == 3:
            try:
                return Line("event", text, code=words[0], a=int(words[1]), b=int(words[2]))
            except ValueError:
                pass
    return Line("text", text)


def monitor(
    port: str,
    console: Console,
    as_json: bool = False,
    seconds: float = FOREVER,
    *,
    restart: bool = False,
    notes: Console = err,
) -> None:
    """Shows the board until Ctrl-C, or for that long; does not interrupt it. UsageError: the port is or gets lost.

    On a terminal a live picture, in a pipe plain lines, with `as_json` one object a line; what is waited for is then
    said on `notes`. `restart`: resets the board first, so that the guard tells its status as it starts.
    """
    with Port(port) as device:
        if restart:
            device.repl()
            device.restart()
        lines = map(parse, device.lines(seconds, resets=True))
        waiting = WAITING_RESTARTED if restart else WAITING
        if as_json or not console.is_terminal:
            notes.print(f"{port}: {waiting}", markup=False)
            for line in lines:
                shown = json.dumps(line.to_json(), ensure_ascii=False) if as_json else line.tell()
                if shown:
                    console.print(shown, markup=False, highlight=False, soft_wrap=True)
        else:
            _live(port, console, lines, waiting)


def _live(port: str, console: Console, lines: Iterator[Line], waiting: str) -> None:
    status: dict[str, Any] = {}
    last: deque[str] = deque(maxlen=LINES)
    with Live(_picture(port, status, last, waiting), console=console, refresh_per_second=8) as live:
        for line in lines:
            if line.kind == "status":
                status = line.figures()
                at = datetime.now()
                waiting = f"{at:%H:%M:%S}; the next at a change, else by {at + timedelta(seconds=STATUS_S):%H:%M}"
            elif line.tell():
                last.append(line.tell())
            live.update(_picture(port, status, last, waiting))


def _picture(port: str, status: dict[str, Any], last: deque[str], waiting: str) -> Group:
    """`waiting`: when the status was told and when the next one comes, or for what there is none yet."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", min_width=10)
    table.add_column()
    if status:
        verdict = str(status.get("verdict"))
        reasons = ", ".join(status.get("reasons") or ())
        table.add_row("verdict", Text(f"{verdict}  {reasons}".rstrip(), style=_STYLES.get(verdict, "default")))
        for name, key in (("used", "rated_octets"), ("carried", "carried_octets"), ("unsure", "error_bound_octets")):
            if isinstance(status.get(key), int):
                table.add_row(name, size(status[key]))
        table.add_row("modem", str(status.get("modem")))
        table.add_row("reports", f"{status.get('reports_acked')} of {status.get('reports_sent')} acknowledged")
        if status.get("heap_octets"):
            table.add_row("heap", f"{status['heap_octets']:,} octets in use")
        table.add_row("told at", waiting)
    else:
        table.add_row("", waiting)
    return Group(Text(port, style="bold"), table, *(Text(text, style="dim") for text in last))

