"""Progress shows on a terminal, and a pipe stays silent."""

import io
from types import SimpleNamespace

from rich.console import Console

from host_tools import scenario
from host_tools.progress import Progress
from host_tools.sim.clock import Clock, S
from tests.host.sample import month


def watch(console):
    demo = scenario.load("demo")
    world = SimpleNamespace(
        clock=Clock(demo.start),
        done=0.5,
        board=SimpleNamespace(status={"rated_octets": 15_728_640, "verdict": "warned"}),
    )
    with Progress(demo, console) as progress:
        for event in month().summary["events"]:
            progress.event(event)
        world.clock.run_until(19 * 86_400 * S)
        progress.step(world)


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
