"""Progress shows on a terminal, and a pipe stays silent."""

import io
from datetime import timedelta

from rich.console import Console

from host_tools.report.live import Progress
from host_tools.scenario import file as scenario
from tests.report.sample import month


def watch(console):
    demo = scenario.load("demo")
    with Progress(demo, console) as progress:
        for event in month().summary["events"]:
            progress.event(event)
        progress.step(demo.start + timedelta(days=19), 0.5, {"rated_octets": 15_728_640, "verdict": "warned"})


def test_a_terminal_shows_date_plan_verdict_and_story():
    out = io.StringIO()
    watch(Console(file=out, force_terminal=True, width=100))
    shown = out.getvalue()
    for words in ("20 Mar 2026", "15.00 MB of 30.00 MB", "50.0% used", "warned", "ota is held back"):
        assert words in shown


def test_a_pipe_stays_silent():
    out = io.StringIO()
    watch(Console(file=out, force_terminal=False))
    assert out.getvalue() == ""
