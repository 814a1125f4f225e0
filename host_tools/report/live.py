"""The live view of a run: the virtual date, the plan, the verdict and the last events."""

from __future__ import annotations

from collections import deque
from datetime import datetime
from types import TracebackType
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from host_tools.base.units import size
from host_tools.report.labels import VERDICTS, Describer, notable
from host_tools.scenario.file import Scenario

LINES = 6


class Progress:
    """A live view on a terminal, and nothing elsewhere. Call `event` and `step` during the run."""

    def __init__(self, scenario: Scenario, console: Console, heading: str = "") -> None:
        self._scenario = scenario
        self._zone = scenario.start.tzinfo
        config = scenario.config
        self._describer = Describer(config.plan.warn_permille, [(c.name, c.shed_permille) for c in config.classes])
        self._heading = heading or scenario.title
        self._lines: deque[Text] = deque(maxlen=LINES)
        self._date = scenario.start
        self._done = 0.0
        self._used = 0
        self._verdict = "open"
        self._shown = console.is_terminal
        self._live = Live(console=console, refresh_per_second=12, transient=True, get_renderable=self._picture)

    def __enter__(self) -> Progress:
        if self._shown:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._live.stop()

    def event(self, event: dict[str, Any]) -> None:
        """Shows an event of the run's log."""
        if self._shown and notable(event):
            at = self._scenario.start.fromisoformat(event["t"]).astimezone(self._zone)
            self._lines.append(
                Text.assemble(
                    (f"{at:%d %b %H:%M}  ", "dim"), (f"{event['who']:8}", "cyan"), self._describer.describe(event)
                )
            )

    def step(self, now: datetime, done: float, status: dict[str, Any]) -> None:
        """Takes the virtual time, the share of the run that is done (0 to 1) and the device's last status."""
        self._date = now.astimezone(self._zone)
        self._done = done
        self._used = status["rated_octets"]
        self._verdict = status["verdict"]

    def _picture(self) -> Group:
        allowance = self._scenario.allowance_octets
        style = VERDICTS[self._verdict].style
        table = Table.grid(padding=(0, 2))
        table.add_column(justify="right", style="dim", min_width=8)
        table.add_column(min_width=12)
        table.add_column()
        table.add_row("date", f"{self._date:%d %b %Y %H:%M}", _bar(self._done, "cyan"))
        share = self._used / allowance
        table.add_row("plan", f"{size(self._used)} of {size(allowance)}", _bar(share, style))
        table.add_row("verdict", Text(self._verdict, style=style), f"{share:.1%} used")
        return Group(Text(self._heading, style="bold"), table, *self._lines)


def _bar(share: float, style: str) -> ProgressBar:
    return ProgressBar(total=1, completed=min(share, 1), width=40, complete_style=style, finished_style=style)
