"""The `bench` fixture: starts a world, lets its time pass, and says how the run went."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any

import pytest

from host_tools.bench import RunResult, World
from host_tools.errors import UsageError
from host_tools.pytest_plugin import worlds
from host_tools.pytest_plugin.sides import CarrierSide, GuardSide, ModemSide
from host_tools.pytest_plugin.stage import Stage
from host_tools.pytest_plugin.target import Target
from host_tools.scenario import Scenario, settings
from host_tools.sim.board import CAUSE_NAMES
from host_tools.sim.clock import S
from host_tools.targets.board import WiredBoard
from host_tools.units import quote
from host_tools.words import Teller

TAIL_EVENTS = 25
ROUTINE = ("set-utc",)
"""Events that tell nothing about a failure."""
TAIL_LINES = 40
_ELSEWHERE = "run this test on cpython or micropython"
_CAUSES = {name: cause for cause, name in CAUSE_NAMES.items()}


class Run:
    """How a whole run went. `result` has all figures, as `usageguard sim --json` prints them."""

    def __init__(self, result: RunResult, output: str, may_crash: bool) -> None:
        self.result: dict[str, Any] = result.to_json()
        self.series = result.series
        self.output = output
        self.crashes = len(self.find("device", "app-crash"))
        self.failures: list[str] = list(self.result["failures"])
        if self.crashes and not may_crash:
            self.failures.append(f"the application crashed {self.crashes} times; may_crash=True allows it")

    @property
    def passed(self) -> bool:
        """The scenario's expectations held, and the application did not crash."""
        return not self.failures

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened: `t`, `who` ("device", "carrier", "modem", "bench", "desk"), `what`, and its figures."""
        return self.result["events"]

    def find(self, who: str, what: str) -> list[dict[str, Any]]:
        """The events of one kind."""
        return [event for event in self.events if (event["who"], event["what"]) == (who, what)]

    @property
    def carrier(self) -> dict[str, Any]:
        return self.result["carrier"]

    @property
    def device(self) -> dict[str, Any]:
        return self.result["device"]

    @property
    def upstream(self) -> dict[str, Any]:
        return self.result["upstream"]

    def __repr__(self) -> str:
        return f"<Run: {'; '.join(self.failures) or 'passed'}>"


class Bench:
    """One world at a time. Spans of time are as in "90s", "10m", "6h", "1d12h", or a timedelta."""

    def __init__(self, target: Target, folder: Path) -> None:
        self._target = target
        self._folder = folder
        self._stage: Stage | None = None
        self._scenario: Scenario
        self._events: list[dict[str, Any]] = []
        self._output: list[str] = []
        self._may_crash = False
        self.carrier = CarrierSide(self)
        self.modem = ModemSide(self)
        self.guard = GuardSide(self)

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the world, wherever it is."""
        if self._stage:
            self._stage.close()
            self._stage = None

    @property
    def target(self) -> str:
        """What runs the firmware, as given with --target."""
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
        """Makes a world with a device that runs `app`, and stops at its first instant.

        `scenario` is a file or one that ships; other arguments are its tables and keys, and go before what the file
        says: `plan`, `carrier`, `upstream`, `expect`, `classes`, `traffic`, `faults`, `platform`, `orders`, `start`,
        `modem`, … Without a file: 30 MB a month, from 2026-03-01 on for a day, a collector for the reports.
        `hosts` are the hosts that the application talks to: a kind ("responder", "sink"), "mqtt" for a real broker,
        or the "address:port" of a real server, by name. `files` lie on the device beside the application (paths, or
        contents by name), stock `libraries` among its modules ("umqtt.simple").
        Paths are looked for from the test's folder. UsageError for whatever is wrong.
        """
        __tracebackhide__ = True
        self.close()
        given = {"duration": duration, "plan": plan, "class": classes and list(classes), "host": hosts, **tables}
        self._scenario = made = worlds.compose(app, scenario, self._folder, given)
        on_device = worlds.contents(files, self._folder)
        output = self._output = []
        self._may_crash = may_crash
        self._stage = Stage(
            lambda on_start: self._target.play(
                made,
                seed,
                on_start=on_start,
                on_output=output.append,
                files=on_device,
                libraries=list(libraries),
            )
        )
        self._events = self._stage.world.log.events

    def advance(self, span: str | timedelta | None = None, *, until: str | date | datetime | None = None) -> None:
        """Lets so much virtual time pass, or all of it until a calendar instant.

        Raises what the program on the device ended with. UsageError for a time that is past, or after the end.
        """
        __tracebackhide__ = True
        if (span is None) == (until is None):
            raise UsageError(worlds.WHERE, "advance", "wants one time", 'write advance("6h") or advance(until="…")')
        clock = self._world.clock
        if span is not None:
            self._go(clock.now_us + worlds.seconds(span) * S, quote(str(span)))
        else:
            assert until is not None
            self._go(clock.us_of(worlds.instant(until, self._zone)), f"until {until}")

    def wait_until(
        self, condition: Callable[[], object], within: str | timedelta, *, step: str | timedelta = "1m"
    ) -> None:
        """Lets time pass until the condition holds, looked at once every `step`; the test fails where it does not."""
        __tracebackhide__ = True
        every = worlds.seconds(step) * S
        end = self._world.clock.now_us + worlds.seconds(within) * S
        while not condition():
            now = self._world.clock.now_us
            if now >= end:
                name = getattr(condition, "__name__", "it")
                name = "it" if name == "<lambda>" else name
                pytest.fail(f"{name} did not come true within {within}")
            self._go(min(now + every, end), f"{within} to wait")

    def finish(self) -> Run:
        """Lets time pass to the scenario's end."""
        __tracebackhide__ = True
        stage = self.stage
        if not stage.over:
            stage.go(None)
        return Run(stage.outcome, self.output, self._may_crash)

    def at(self, span: str | timedelta, act: Callable[..., object], *args: Any, **fields: Any) -> None:
        """Has `act(...)` called when so much time has passed from now on, as in `bench.at("6h", modem.reboot)`."""
        when = self._world.clock.now_us + worlds.seconds(span) * S

        def due() -> None:
            act(*args, **fields)

        self.stage.call(lambda: self._world.clock.at(when, due))

    @property
    def now(self) -> datetime:
        """The virtual time, in the scenario's zone."""
        return self._world.clock.utc().astimezone(self._zone)

    # What happens to the board

    def cut_power(self, span: str | timedelta = "10s", modem_too: bool = True) -> None:
        """Takes the power away without warning, for so long; it happens as soon as time passes."""
        off = worlds.seconds(span)

        def cut() -> None:
            board = self._world.board
            if isinstance(board, WiredBoard) and not board.relay:
                raise UsageError("--target", self.target, "nothing here can cut a board's power", _ELSEWHERE)
            self._world.log.add("bench", "power-cut", off_s=off)
            board.cut_power(off * S, modem_too)

        self._next(cut)

    def reset(self, cause: str = "watchdog") -> None:
        """Resets the board, not the modem: "watchdog", "hard" or "soft"; it happens as soon as time passes."""
        if cause not in _CAUSES:
            raise UsageError(worlds.WHERE, "reset", f"{quote(cause)} is no cause", f"use {', '.join(_CAUSES)}")
        if isinstance(self._world.board, WiredBoard):
            raise UsageError("--target", self.target, "is reset by faults of the scenario only", _ELSEWHERE)

        def reset() -> None:
            self._world.log.add("bench", "reset", cause=cause)
            self._world.board.reset(_CAUSES[cause])

        self._next(reset)

    def _next(self, act: Callable[[], None]) -> None:
        world = self._world
        self.stage.call(lambda: world.clock.at(world.clock.now_us, act))

    # What it was like

    @property
    def events(self) -> list[dict[str, Any]]:
        """What has happened so far."""
        return self._events

    @property
    def output(self) -> str:
        """What the device printed in its boots so far, the present one left out."""
        return "\n".join(text for text in self._output if text)

    def sections(self) -> list[tuple[str, str]]:
        """What a report of a failure shows."""
        made = []
        if self._events:
            told = [event for event in self._events if event["what"] not in ROUTINE]
            title = f"Usage Guard: the last {min(len(told), TAIL_EVENTS)} of {len(told)} events on {self.target}"
            made.append((title, self._tell(told[-TAIL_EVENTS:])))
        self.close()  # what the boot under way printed is known when it ends
        if self.output:
            made.append(("Usage Guard: what the device printed", "\n".join(self.output.splitlines()[-TAIL_LINES:])))
        return made

    def _tell(self, events: list[dict[str, Any]]) -> str:
        config = settings(self._scenario)
        teller = Teller(config.plan.warn_permille, [(c.name, c.shed_permille) for c in config.classes])
        lines = []
        for event in events:
            at = datetime.fromisoformat(event["t"]).astimezone(self._zone)
            lines.append(f"{at:%m-%d %H:%M:%S}  {event['who']:8}{teller.tell(event) or event['what']}")
        return "\n".join(lines)

    # Inside

    @property
    def stage(self) -> Stage:
        """The present world's."""
        if self._stage is None:
            raise UsageError(worlds.WHERE, "", "no world has been started", 'begin with bench.start("my_app.py")')
        return self._stage

    @property
    def _world(self) -> World:
        return self.stage.world

    @property
    def _zone(self) -> tzinfo | None:
        return self._scenario.start.tzinfo

    def _go(self, until_us: int, told: str) -> None:
        __tracebackhide__ = True
        world = self._world
        if self.stage.over or until_us >= world.end_us:
            length = timedelta(microseconds=world.end_us)
            raise UsageError(worlds.WHERE, "advance", f"{told} is not before the end", f"duration is {length}")
        if until_us < world.clock.now_us:
            raise UsageError(worlds.WHERE, "advance", f"{told} is past", f"it is {self.now:%Y-%m-%d %H:%M:%S}")
        self.stage.go(until_us)
