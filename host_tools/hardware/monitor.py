"""Shows a board's status, verdict and log, parsed from the lines that `usageguard.hal.esp32` prints."""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from host_tools.base.terminal import err
from host_tools.hardware import status_view
from host_tools.hardware.port import Port
from host_tools.report.labels import Describer, modem_state

LINES = 10
FOREVER = math.inf
STATUS_S = 3600
"""The longest time between two status lines (`usageguard.guard.guard`)."""
WAITING = "waiting for the guard's status, which comes after a change or within an hour; --restart gets it at once"
WAITING_RESTARTED = "restarted; waiting for the guard to start and print its status"
_FIRST = ("verdict", "reasons", "rated_octets", "modem")
_SETS = {"up": "Set {} is in force", "back": "The new set does not start; reverted to set {}"}
"""By the word in the line that `firmware/slots.py` prints."""


@dataclass(frozen=True)
class Line:
    """One line from a board. `kind` is status (the guard's figures), event (a code and two integers) or text."""

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
        """The status in a fixed order, which a board's JSON does not have, and with the modem's state by name."""
        names = [*filter(self.status.__contains__, _FIRST), *sorted(self.status.keys() - set(_FIRST))]
        return {name: modem_state(self.status[name]) if name == "modem" else self.status[name] for name in names}

    def describe(self, config: Any = None) -> str:
        """The line as text for people; `config` is the firmware's Config of the device, if it is known."""
        if self.kind == "event":
            return Describer().describe({"who": "device", "what": self.code, "a": self.a, "b": self.b})
        if self.kind == "status":
            return status_view.line(self.status, config, datetime.now().astimezone())
        words = self.text.split()
        if len(words) == 3 and words[0] == "ug" and words[1] in _SETS:
            return _SETS[words[1]].format(words[2])
        return self.text


def parse(text: str) -> Line:
    """Parses a line from a board. A line that is not the guard's, or is truncated, is of the kind text."""
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
    config: Any = None,
    notes: Console = err,
) -> None:
    """Shows the board for `seconds`, or until Ctrl-C, without interrupting it. UsageError: the port is not there.

    On a terminal it shows a live view, in a pipe a short line for each status and event, with `as_json` one object per
    line; messages then go to `notes`. `restart` resets the board first, so that the guard prints its status at once.
    With the firmware's Config of the device, `config`, it shows limits and the period's end.
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
                shown = json.dumps(line.to_json(), ensure_ascii=False) if as_json else line.describe(config)
                if shown:
                    console.print(shown, markup=False, highlight=False, soft_wrap=True)
        else:
            _live(port, console, lines, waiting, config)


def _live(port: str, console: Console, lines: Iterator[Line], waiting: str, config: Any) -> None:
    status: dict[str, Any] = {}
    last: deque[str] = deque(maxlen=LINES)
    at = datetime.now().astimezone()
    with Live(picture(port, status, last, waiting, config, at), console=console, refresh_per_second=8) as live:
        for line in lines:
            if line.kind == "status":
                status = line.figures()
                at = datetime.now().astimezone()
                waiting = f"{at:%H:%M:%S}; the next after a change, or by {at + timedelta(seconds=STATUS_S):%H:%M}"
            elif line.describe():
                last.append(line.describe())
            live.update(picture(port, status, last, waiting, config, at))


def picture(
    port: str, status: dict[str, Any], last: Iterable[str], waiting: str, config: Any, at: datetime
) -> Group:
    """The live view. `waiting` says when the status came, which is `at`, and when the next one is due, or why there is
    none yet."""
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", min_width=8)
    table.add_column()
    if status:
        for name, text in status_view.rows(status, config, at):
            table.add_row(name, text)
        table.add_row("status at", waiting)
    else:
        table.add_row("", waiting)
    heard = (Text(text, style="dim", no_wrap=True, overflow="ellipsis") for text in last)
    return Group(Text(port, style="bold"), table, *heard)
