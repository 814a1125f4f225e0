"""A month of a device's life, with the guard and without it, and the page that tells it."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from rich.console import Console

from host_tools import report, scenario
from host_tools.play import Outcome, play
from host_tools.scenario import Scenario


def run(page: Path, target: str, console: Console) -> Outcome:
    """Runs the demo's two lives side by side, writes the page, returns the guarded one. Raises UsageError."""
    guarded = scenario.load("demo")
    unguarded = guarded.observing()
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as beside:
        other = beside.submit(_quietly, unguarded, target)
        mine = play(guarded, target, None, console)
        if console.is_terminal and not other.done():
            console.print("The same month without the guard is still under way …")
        theirs = other.result()
    fact = ("Publications taken by the MQTT broker", f"{mine.publications:,}", f"{theirs.publications:,}")
    report.write(page, [report.Part(guarded, mine.run, theirs.run, [fact])])
    return mine


def _quietly(unguarded: Scenario, target: str) -> Outcome:
    return play(unguarded, target, None, Console(quiet=True))
