"""Simulates a device for a month, with the guard and without it, and writes a page that compares both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from host_tools.base import workers
from host_tools.report import page as report
from host_tools.run.play import Outcome, play
from host_tools.scenario import file as scenario
from host_tools.scenario.file import Scenario


def run(page: Path, target: str, console: Console, meanwhile: Callable[[], None] | None = None) -> Outcome:
    """Runs the month with and without the guard in parallel, writes `page`, and returns the guarded run. UsageError.

    `meanwhile` is called when a processor is free, before the other run has ended."""
    guarded = scenario.load("demo")
    unguarded = guarded.observing()
    with workers.beside(_play_silently, (unguarded, target)) as other:
        with_guard = play(guarded, target, None, console)
        if meanwhile:
            meanwhile()
        if console.is_terminal and not other.ready():
            console.print("Waiting for the same month without the guard …")
        without_guard = other.get()
    publications = (f"{with_guard.publications:,}", f"{without_guard.publications:,}")
    fact = ("Publications received by the MQTT broker", *publications)
    command = f"usageguard demo --target {target}"
    report.write(page, [report.Part(guarded, with_guard.run, without_guard.run, [fact], command)])
    return with_guard


def _play_silently(what: tuple[Scenario, str]) -> Outcome:
    return play(*what, None, Console(quiet=True))
