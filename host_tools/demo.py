"""A month of a device's life, with the guard and without it, and the page that tells it."""

from __future__ import annotations

from pathlib import Path

import msgspec
from rich.console import Console

from host_tools import report, scenario
from host_tools.expect import Expect
from host_tools.play import Outcome, play


def run(page: Path, target: str, console: Console) -> Outcome:
    """Runs the demo's two lives, writes the page and returns the guarded one. Raises UsageError."""
    guarded = scenario.load("demo")
    with_guard = play(guarded, target, None, console, "1 of 2 · with Usage Guard")
    without = play(
        msgspec.structs.replace(guarded.observing(), expect=Expect()),
        target,
        None,
        console,
        "2 of 2 · without it",
    )
    facts = [
        (
            "Publications taken by the MQTT broker",
            f"{with_guard.publications:,}",
            f"{without.publications:,}",
        )
    ]
    report.write(page, [report.Part(guarded, with_guard.run, without.run, facts)])
    return with_guard
