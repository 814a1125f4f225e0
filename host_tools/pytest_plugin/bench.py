"""The `bench` fixture: starts a world, advances its time, and returns the outcome of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from host_tools.base.errors import UsageError
from host_tools.base.units import quote
from host_tools.pytest_plugin import compose
from host_tools.pytest_plugin.handles import CarrierHandle, GuardHandle, ModemHandle
from host_tools.pytest_plugin.paused import PausedWorld
from host_tools.pytest_plugin.target import Target
from host_tools.report.labels import Describer
from host_tools.run.recorder import RunResult
from host_tools.run.world import World
from host_tools.scenario.file import Scenario
from host_tools.sim.board import CAUSE_NAMES
from host_tools.sim.clock import S

TAIL_EVENTS = 25
ROUTINE = ("set-utc",)
"""Events that do not help to understand a failure."""
TAIL_LINES = 40
_HINT = "run this test on cpython or micropython"
_CAUSES = {name: cause for cause, name in CAUSE_NAMES.items()}


class Run:
    """The outcome of a run. `result` has all figures, as `usageguard sim --json` prints them."""

    def __init__(self, result: RunResult, output: str, may_crash: bool) -> None:
        self.result: dict[str, Any] = result.to_json()
        self.series = result.series
        self.output = output
        self.crashes = len(self.find("device", "app-crash"))
        self.failures: list[str] = list(self.result["failures"])
        if self.crashes and not may_crash:
            self.failures.append(f"the application crashed {self.crashes} times; may_crash=True allows it")
        hangs = self.find("bench", "program-hangs")
        if hangs and not may_crash:
            where = ", ".join(sorted({event["place"] for event in hangs}))
            self.failures.append(f"the application computed without a wait, at {where}; may_crash=True allows it")

    @property
    def passed(self) -> bool:
        """Whether the scenario's expectations held and the application did not crash."""
        return not self.failures

    @property
    def events(self) -> list[dict[str, Any]]:
        """The event log: `t`, `who` (device, carrier, modem, bench or owner), `what`, and the event's fields."""
        return self.result["events"]

    def find(self, who: str, what: str) -> list[dict[str, Any]]:
        """The events with this `who` and `what`."""
        return [event for event in self.events if (event["who"], event["what"]) == (who, what)]

    @property
    def carrier(self) -> dict[str, Any]:
        return self.result["carrier"]

    @property
    def device(self) -> dict[str, Any]:
        return self.result["device"]

    @property
    def classes(self) -> dict[str, dict[str, Any]]:
        """By traffic class: octets, and the built-in applications' transfers, done, failed, refused and unfinished."""
        return self.result["classes"]

    @property
    def upstream(self) -> dict[str, Any]:
        return self.result["upstream"]

    def __repr__(self) -> str:
        return f"<Run: {'; '.join(self.failures) or 'passed'}>"


class Bench:
    """Runs one world at a time. A span of time is a string such as "90s", "10m", "6h", "1d12h", or a timedelta."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._paused: PausedWorld | None = None
        self._scenario: Scenario
        self._events: list[dict[str, Any]] = []
        self._output: list[str] = []
        self._may_crash = False
        self.carrier = CarrierHandle(self._present)
        self.modem = ModemHandle(self._present)
        self.guard = GuardHandle(self._present)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the world."""
        if self._paused:
            self._paused.close()
            self._paused = None

    @property
    def target(self) -> str:
        """The name of the target, as given with --target."""
        return self._target.name

    # Start, and let time pass

    def run(self, app: str | Path | None = None, **options: Any) -> Run:
        """`start` and `finish`."""
        __tracebackhide__ = True
        self.start(app, **options)
        return self.finish()

    def start(
        self,
        app: str | Path | None = None,
        *,
        scenario: str | Path | None = None,
        duration: str | timedelta | None = None,
        plan: Mapping[str, Any] | None = None,
        classes: Iterable[Mapping[str, Any]] | None = None,
        hosts: Mapping[str, Any] | None = None,
        files: Iterable[str | Path] | Mapping[str, bytes | str | Path] = (),
        libraries: Iterable[str] = (),
        seed: int | None = None,
        may_crash: bool = False,
        **tables: Any,
    ) -> None:
        """Creates a world with a device that runs `app`, paused at its start.

        `scenario` is a file or the name of one that ships. Other arguments are the tables and keys of a scenario and
        replace those of the file: `plan`, `carrier`, `upstream`, `expect`, `classes`, `traffic`, `faults`,
        `platform`, `orders`, `start`, `modem`, … The defaults without a file are 30 MB a month, one day from
        2026-03-01 on, and a collector for the reports.
        `hosts` maps the names of the hosts that the application talks to: to a kind ("responder", "sink"), to "mqtt"
        for a real broker, or to the "address:port" of a real server. `files` lie beside the application on the device
        (paths, or contents by name), stock `libraries` among its modules ("umqtt.simple").
        Relative paths start at the test's folder. UsageError for anything that is wrong.
        """
        __tracebackhide__ = True
        self.close()
        given = {"duration": duration, "plan": plan, "classes": classes and list(classes), "host": hosts, **tables}
        self._scenario = made = compose.compose(app, scenario, self._folder, given)
        on_device = compose.contents(files, self._folder)
        output = self._output = []
        self._may_crash = may_crash
        self._paused = PausedWorld(
            lambda on_start: self._target.play(
                made,
                seed,
                on_start=on_start,
                on_output=output.append,
                files=on_device,
                libraries=list(libraries),
            )
        )
        self._events = self._paused.world.log.events

    def advance(self, span: str | timedelta | None = None, *, until: str | date | datetime | None = None) -> None:
        """Advances the virtual time by `span`, or to the calendar instant `until`.

        Raises `Crashed` when the device's program ends by itself. UsageError for a time in the past or after the end.
        """
        __tracebackhide__ = True
        if (span is None) == (until is None):
            hint = 'write advance("6h") or advance(until="…")'
            raise UsageError(compose.WHERE, "advance", "needs exactly one time", hint)
        clock = self._world.clock
        if span is not None:
            self._go(clock.now_us + compose.seconds(span) * S, quote(str(span)))
        else:
            assert until is not None
            self._go(clock.us_of(compose.instant(until, self._zone)), f"until {until}")

    def wait_until(
        self, condition: Callable[[], object], within: str | timedelta, *, step: str | timedelta = "1m"
    ) -> None:
        """Advances the time until `condition()` is true, checked once per `step`; fails the test after `within`."""
        __tracebackhide__ = True
        every = compose.seconds(step) * S
        end = self._world.clock.now_us + compose.seconds(within) * S
        while not condition():
            now = self._world.clock.now_us
            if now >= end:
                name = getattr(condition, "__name__", "it")
                name = "it" if name == "<lambda>" else name
                pytest.fail(f"{name} did not come true within {within}")
            self._go(min(now + every, end), f"{within} to wait")

    def finish(self) -> Run:
        """Advances the time to the scenario's end."""
        __tracebackhide__ = True
        paused = self._present()
        if not paused.over:
            paused.go(None)
        return Run(paused.outcome, self.output, self._may_crash)

    def at(self, span: str | timedelta, act: Callable[..., object], *args: Any, **fields: Any) -> None:
        """Schedules `act(*args, **fields)` in `span` from now, as in `bench.at("6h", modem.reboot)`."""
        when = self._world.clock.now_us + compose.seconds(span) * S

        def due() -> None:
            act(*args, **fields)

        self._present().call(lambda: self._world.clock.at(when, due))

    @property
    def now(self) -> datetime:
        """The virtual time, in the scenario's zone."""
        return self._world.clock.utc().astimezone(self._zone)

    # Faults of the board

    def cut_power(self, span: str | timedelta = "10s", modem_too: bool = True) -> None:
        """Cuts the board's power for `span`, without warning, as soon as time passes; the modem's too by default."""
        off = compose.seconds(span)

        def cut() -> None:
            board = self._world.board
            if not board.can_cut_power:
                raise UsageError("--target", self.target, "nothing here can cut a board's power", _HINT)
            self._world.log.add("bench", "power-cut", off_s=off)
            board.cut_power(off * S, modem_too)

        self._next(cut)

    def reset(self, cause: str = "watchdog") -> None:
        """Resets the board, not the modem, as soon as time passes: "watchdog", "hard" or "soft"."""
        if cause not in _CAUSES:
            raise UsageError(compose.WHERE, "reset", f"{quote(cause)} is not a cause", f"use {', '.join(_CAUSES)}")
        if not self._world.board.simulated:
            raise UsageError("--target", self.target, "is reset by faults of the scenario only", _HINT)

        def reset() -> None:
            self._world.log.add("bench", "reset", cause=cause)
            self._world.board.reset(_CAUSES[cause])

        self._next(reset)

    def _next(self, act: Callable[[], None]) -> None:
        world = self._world
        self._present().call(lambda: world.clock.at(world.clock.now_us, act))

    # The outcome so far

    @property
    def events(self) -> list[dict[str, Any]]:
        """The event log so far."""
        return self._events

    @property
    def output(self) -> str:
        """What the device printed in its finished boots."""
        return "\n".join(text for text in self._output if text)

    def sections(self) -> list[tuple[str, str]]:
        """(title, text) of each section that the report of a failed test gets. Ends the world."""
        sections = []
        if self._events:
            shown = [event for event in self._events if event["what"] not in ROUTINE]
            title = f"Usage Guard: the last {min(len(shown), TAIL_EVENTS)} of {len(shown)} events on {self.target}"
            sections.append((title, self._describe(shown[-TAIL_EVENTS:])))
        self.close()  # the output of the present boot is known when it ends
        if self.output:
            text = "\n".join(self.output.splitlines()[-TAIL_LINES:])
            sections.append(("Usage Guard: what the device printed", text))
        return sections

    def _describe(self, events: list[dict[str, Any]]) -> str:
        config = self._scenario.config
        describer = Describer(config.plan.warn_permille, [(c.name, c.shed_permille) for c in config.classes])
        lines = []
        for event in events:
            at = datetime.fromisoformat(event["t"]).astimezone(self._zone)
            lines.append(f"{at:%m-%d %H:%M:%S}  {event['who']:8}{describer.describe(event) or event['what']}")
        return "\n".join(lines)

    # Private

    def _present(self) -> PausedWorld:
        """The present world. UsageError without one."""
        if self._paused is None:
            raise UsageError(compose.WHERE, "", "no world has been started", 'begin with bench.start("my_app.py")')
        return self._paused

    @property
    def _world(self) -> World:
        return self._present().world

    @property
    def _zone(self) -> tzinfo | None:
        return self._scenario.start.tzinfo

    def _go(self, until_us: int, given: str) -> None:
        """Advances to `until_us`; `given` is the time as the test wrote it, for messages."""
        __tracebackhide__ = True
        world = self._world
        if self._present().over or until_us >= world.end_us:
            length = timedelta(microseconds=world.end_us)
            raise UsageError(compose.WHERE, "advance", f"{given} is not before the end", f"duration is {length}")
        if until_us < world.clock.now_us:
            raise UsageError(compose.WHERE, "advance", f"{given} is past", f"it is {self.now:%Y-%m-%d %H:%M:%S}")
        self._present().go(until_us)
