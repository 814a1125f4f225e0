"""Runs an application for some days on a network, and counts what the carrier bills by cause."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec

from host_tools.base import files, toml
from host_tools.base.errors import UsageError
from host_tools.base.units import quote
from host_tools.build.application import DEFINE, NO_MAIN, Trace, has_main
from host_tools.build.libraries import LIBRARIES
from host_tools.cost.causes import GUARD, RATING, Explainer
from host_tools.cost.stand_in import StandIn
from host_tools.planning import source
from host_tools.run import services
from host_tools.run.apps import APPS
from host_tools.run.classes import DEVICES
from host_tools.run.run import run_scenario
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenarios
from host_tools.scenario.file import App, Network, Scenario
from host_tools.sim.clock import S
from host_tools.sim.network.packet import Packet

DAY_S = 86_400
RADIO_TAIL_S = 10
"""How long the radio stays connected after a packet: a usual RRC inactivity time-out of LTE."""
START = datetime(2026, 3, 2, tzinfo=timezone(timedelta(hours=8)))
ALLOWANCE_OCTETS = 30 * 1024**2
COLLECTOR = "collector"
_HANGS = 3
"""A run is given up with this one: each takes ten seconds, and a loop without a wait has 288 a day."""
_KEPT = ("rating", "utc_offset_min", "margin_octets", "reserve_octets")
_KINDS = ("responder", "sink", "mqtt")
_HOSTS = ("host", "ntp_host")


@dataclass(frozen=True)
class Quality:
    """A network: one way takes `latency_ms`, and `loss_permille` of the packets vanish."""

    name: str
    latency_ms: int
    loss_permille: int


QUALITIES = (Quality("good", 40, 0), Quality("usual", 80, 5), Quality("poor", 250, 20))


@dataclass(frozen=True)
class Hours:
    """Hours of each day in which up to `octets` a period (None: all) are counted apart, and `charged_permille` of them
    come out of the allowance."""

    start_s: int
    length_s: int
    octets: int | None
    charged_permille: int
    utc_offset_s: int

    def hold(self, now: datetime) -> bool:
        into = (now.hour * 3_600 + now.minute * 60 + now.second + self.utc_offset_s - self.start_s) % DAY_S
        return into < self.length_s


@dataclass(frozen=True)
class Sold:
    """What the plan has for a period."""

    allowance_octets: int = ALLOWANCE_OCTETS
    hours: Hours | None = None


@dataclass(frozen=True)
class Job:
    """One run: `days` days of the scenario, on a network, with this seed."""

    scenario: Scenario
    target: str
    days: int
    quality: Quality
    seed: int
    contents: dict[str, bytes] = field(default_factory=dict)
    libraries: tuple[str, ...] = ()
    hours: Hours | None = None


@dataclass
class Usage:
    """What was used until a moment: billed octets by class and cause, those of the plan's hours, and counts."""

    octets: dict[str, Counter[str]]
    sessions: int = 0
    packets: int = 0
    sms: int = 0
    radio_s: float = 0.0
    in_hours: int = 0

    @property
    def billed(self) -> int:
        return sum(sum(causes.values()) for causes in self.octets.values())


@dataclass
class Waits:
    """How long the guard keeps what an application sends: until it may go with more, and the modem is free."""

    sends: int = 0
    total_ms: int = 0
    most_ms: int = 0

    def add(self, ms: int) -> None:
        self.sends += 1
        self.total_ms += ms
        self.most_ms = max(self.most_ms, ms)


@dataclass
class Measured:
    """A run: usage until the end of its first day (none in a run of a day) and until its end, as explained; what the
    carrier billed; hosts that were not given and what they heard; how often the application crashed, with what at last,
    and how often it hung; how long its sends waited."""

    quality: str
    seed: int
    days: int
    first: Usage
    whole: Usage
    billed_octets: int
    learned: dict[str, list[str]]
    crashes: int
    error: str
    hangs: int
    waits: Waits


class _Radio:
    """Seconds for which the radio is connected."""

    def __init__(self) -> None:
        self._us = 0
        self._last_us = -(1 << 60)

    def packet(self, now_us: int) -> None:
        self._us += min(now_us - self._last_us, RADIO_TAIL_S * S)
        self._last_us = now_us

    @property
    def seconds(self) -> float:
        return self._us / S


def measure(job: Job) -> Measured:
    """Runs a job. UsageError for bad input or an application that hangs, `Crashed` when the device's program ended by
    itself."""
    network = Network(job.quality.latency_ms, job.quality.loss_permille)
    scenario = msgspec.structs.replace(
        job.scenario, network=network, duration=type(job.scenario.duration)(job.days * DAY_S)
    )
    config = scenario.config
    reserve = next(i for i, each in enumerate(config.classes) if each.uses_reserve)
    explainer = Explainer([each.name for each in config.classes], reserve)
    radio = _Radio()
    waits = Waits()
    stand_ins: dict[str, StandIn] = {}
    worlds: list[World] = []
    first: list[Usage] = []
    rating = job.scenario.carrier_config.rating
    in_hours = hangs = 0
    trace = Trace(Path(scenario.app.name).name)

    def usage(world: World) -> Usage:
        return _usage(world, explainer, radio, rating.billed(in_hours))

    def packet(taken: Packet) -> None:
        nonlocal in_hours
        world = worlds[0]
        if job.hours and job.hours.hold(world.clock.utc()):
            in_hours += taken.length + rating.per_packet_octets
        explainer.take(taken, world.clock.now_us)
        radio.packet(world.clock.now_us)

    def event(happened: dict[str, Any]) -> None:
        nonlocal hangs
        if happened["what"] == "program-hangs":
            hangs += 1
            if hangs == _HANGS:
                problem = "computes on without a wait, and the watchdog resets the board"
                hint = "let it sleep, or call guard.step_now() in the loop"
                raise UsageError(scenario.app.name, happened["place"], problem, hint)
        if happened["who"] == "owner" and happened["what"] == "order":
            explainer.orders += 1

    def printed(text: str) -> None:
        for line in text.splitlines():
            trace.hear(line)

    def tally(what: str, a: int, b: int) -> None:
        if what == "opens":
            explainer.opens(a, b, worlds[0].clock.now_us)
        elif what == "waited":
            waits.add(b)

    def unknown(name: str, ip: str | None) -> None:
        if ip is None or not ip.startswith(DEVICES):
            stand_ins[name or str(ip)] = host = StandIn()
            worlds[0].internet.add_host(name, host, ip)

    def start(world: World) -> None:
        worlds.append(world)
        world.tells_openings = world.tells_waits = True
        world.board.on_tally.append(tally)
        world.carrier.on_packet = packet
        world.internet.on_unknown = unknown
        if job.days > 1:
            world.clock.at(DAY_S * S, lambda: first.append(usage(world)))

    with services.for_scenario(scenario) as started:
        result = run_scenario(
            scenario,
            job.target,
            job.seed,
            on_event=event,
            services=started.addresses,
            files=job.contents,
            libraries=job.libraries,
            on_start=start,
            on_output=printed,
        )
    explainer.settle()
    whole = usage(worlds[0])
    crashes = sum(each["what"] == "app-crash" for each in result.summary["events"])
    return Measured(
        job.quality.name,
        job.seed,
        job.days,
        first[0] if first else Usage({}),
        whole,
        sum(each["billed_octets"] for each in _cycles(worlds[0])),
        {name: sorted(host.spoke) for name, host in stand_ins.items()},
        crashes,
        f"{trace.error}{trace.place}" if crashes else "",
        hangs,
        waits,
    )


def _cycles(world: World) -> list[dict[str, Any]]:
    carrier = world.carrier
    return [carrier.figures(IMSI, label) for label in carrier.cycles(IMSI)]


def _usage(world: World, explainer: Explainer, radio: _Radio, in_hours: int) -> Usage:
    carrier = world.carrier
    cycles = _cycles(world)
    octets = {name: Counter(causes) for name, causes in explainer.by_class.items()}
    added = sum(each["billed_octets"] - each["ip_octets"] for each in cycles)
    if added:
        octets.setdefault(GUARD, Counter())[RATING] += added
    packets = sum(each["packets"] for each in cycles)
    return Usage(octets, carrier.activations, packets, len(carrier.sms), radio.seconds, in_hours)


# What is to be run


def compose(app: str, plan: str | None, hosts: Sequence[str]) -> tuple[Scenario, Sold]:
    """The scenario of an application, and what the plan has for it. UsageError for what is wrong.

    `hosts` are NAME=WHAT. The device only counts and the carrier never stops it: what is measured is what the
    application would use.
    """
    raw: dict[str, Any] = {"title": Path(app).stem, "start": START, "duration": "1d", "enforcement": "observe"}
    sold: dict[str, Any] = {"allowance_octets": ALLOWANCE_OCTETS}
    given: list[dict[str, Any]] = []
    upstream: dict[str, Any] = {"host": COLLECTOR}
    carrier: dict[str, Any] = {}
    hours = None
    if plan is not None:
        read = source.load(plan)
        sold = read.raw["plan"]
        hours = _hours(read.plan)
        upstream = dict(read.raw.get("upstream", {}))
        if "classes" in read.raw:
            raw["classes"] = read.raw["classes"]
        if "device" in read.raw:
            raw["device"] = read.raw["device"]
        if read.carrier_config is not None:
            carrier, given = _of_scenario(plan)
    if "per_packet_octets" not in carrier and "permille" not in carrier:
        rating = sold.get("rating", {})
        carrier["per_packet_octets"] = rating.get("per_packet_octets", 0)
        carrier["session_round_octets"] = rating.get("session_round_octets", 0)
        carrier["permille"] = rating.get("margin_permille", 0)
    allowance = sold.get("allowance_octets", ALLOWANCE_OCTETS)
    raw["plan"] = {"allowance_octets": allowance, **{key: sold[key] for key in _KEPT if key in sold}}
    raw["carrier"] = {**carrier, "enforcement": "none"}
    raw["upstream"] = upstream
    made = {host["name"]: host for host in (*given, *map(_host, hosts))}
    for key in _HOSTS:
        if key in upstream:
            kind, port = ("collector", upstream.get("port", 0)) if key == "host" else ("ntp", 0)
            made[upstream[key]] = {"name": upstream[key], "kind": kind, "port": port}
    raw["host"] = list(made.values())
    scenario = scenarios.read(raw, plan or "cost")
    allowance_octets = scenario.carrier_config.sim_plan.allowance_octets
    return msgspec.structs.replace(scenario, app=App(_application(app))), Sold(allowance_octets, hours)


def _hours(plan: Any) -> Hours | None:
    hours = plan.hours
    if hours is None:
        return None
    offset_s = plan.cycle.utc_offset_min * 60
    return Hours(hours.start_s, hours.length_s, hours.octets or None, hours.share, offset_s)


def _of_scenario(plan: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The rating of a scenario's carrier, and its hosts."""
    path = scenarios.find(plan)
    raw = toml.parse(files.text(path, "name a plan's file", path.name), path.name)
    rating = ("per_packet_octets", "session_round_octets", "permille")
    carrier = raw.get("carrier", {})
    return {key: carrier[key] for key in rating if key in carrier}, raw.get("host", [])


def _host(text: str) -> dict[str, Any]:
    """A `[[host]]` table from NAME=WHAT."""
    name, given, what = text.partition("=")
    if not given or not name:
        hint = "write it as in api.example=responder"
        raise UsageError("--host", text, "does not say what the host is", hint)
    if what == "mqtt":
        return {"name": name, "kind": "bridge", "service": what}
    if ":" in what:
        return {"name": name, "kind": "bridge", "to": what}
    if what not in _KINDS:
        hint = f"use {', '.join(_KINDS)}, or a server here, as in 127.0.0.1:8080"
        raise UsageError("--host", name, f"{quote(what)} is nothing that a host can be", hint)
    return {"name": name, "kind": what}


def _application(app: str) -> str:
    if app in APPS:
        return app
    if not Path(app).is_file():
        hint = f"name a Python file with main(guard), or {', '.join(APPS)}"
        raise UsageError("cost", app, "is no application", hint)
    if not has_main(Path(app).read_bytes()):
        raise UsageError("cost", app, NO_MAIN, DEFINE)
    return app


def imports(app: Path) -> tuple[list[Path], list[str]]:
    """The files beside an application that it imports, and stock libraries, both by what its sources say."""
    found: dict[str, Path] = {}
    libraries: dict[str, None] = {}
    todo = [app]
    while todo:
        path = todo.pop()
        try:
            tree = ast.parse(files.text(path, "name the application's file"))
        except SyntaxError as error:
            line = f"line {error.lineno}" if error.lineno else ""
            raise UsageError(path.name, line, f"is not Python: {error.msg}", "correct it") from None
        for name in _imported(tree):
            beside = app.parent / f"{name}.py"
            if name in LIBRARIES:
                libraries[name] = None
            elif beside.is_file() and beside != app and name not in found:
                found[name] = beside
                todo.append(beside)
    return list(found.values()), list(libraries)


def _imported(tree: ast.AST) -> list[str]:
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return names
