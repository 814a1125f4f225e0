"""One world, one device, one run: puts a scenario's parts together, lets it happen, and says how it went."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from host_tools import modules, thirdparty
from host_tools.collector.intake import Collector
from host_tools.collector.order import Order
from host_tools.collector.store import Store
from host_tools.collector.verify import BadMacError, MalformedError, Report
from host_tools.errors import UsageError
from host_tools.rules import schedule
from host_tools.scenario import Fault, Host, PowerCut, Reset, Scenario, settings
from host_tools.sim.board import CAUSE_NAMES, PWRON, Board, Finished, PowerLoss
from host_tools.sim.clock import Clock, S
from host_tools.sim.desk import Desk
from host_tools.sim.events import EventLog
from host_tools.sim.flash import Flash
from host_tools.sim.modem.device import SimModem
from host_tools.sim.modem.profile import load as load_profile
from host_tools.sim.modem.sim import SimCard
from host_tools.sim.network.bridge import BridgeHost
from host_tools.sim.network.hosts import Responder, Sink, UdpHandlerHost
from host_tools.sim.network.internet import Internet
from host_tools.sim.serial import SerialLine
from host_tools.targets.image import Image
from host_tools.targets.process import TARGETS, ProcessTarget

IMSI = "460001234567890"
ICCID = "89860012345678901234"
MSISDN = "+861440000000001"
LEDGER_SECTORS = 3
UNBILLED_IDS = {"test": 1, "silent": 2}
"""The device's numbers of the periods before the first bill."""
CARRIER_FIGURES = ("ip_octets", "billed_octets", "allowance_octets", "stopped_at", "stop_reason", "overage_cost")
ON_BOARD = "board:"
"""A target that begins so is a board at the port that follows (`host_tools.targets.board`)."""
APPS = {"workload": (), "umqtt-tracker": ("umqtt.simple",)}
"""The applications that ship, and the stock libraries that they import."""

_CAUSES = {name: cause for cause, name in CAUSE_NAMES.items()}

OnEvent = Callable[[dict[str, Any]], None]
OnProgress = Callable[["World"], None]
OnOutput = Callable[[str], None]


@dataclass(slots=True)
class RunResult:
    """What a run showed; `to_json` is what `usageguard sim --json` prints."""

    summary: dict[str, Any]
    series: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return self.summary

    @property
    def passed(self) -> bool:
        return self.summary["passed"]


class World:
    """A scenario's board, modem, carrier, network and collector under one clock."""

    def __init__(
        self, scenario: Scenario, seed: int, services: Mapping[str, tuple[str, int]], board: type[Board] = Board
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.clock = Clock(scenario.start)
        self.end_us = int(scenario.duration) * S
        self.log = EventLog(self.clock)
        config = scenario.device_config()
        self.device_id: str = config["device"]["id"]
        self.store = Store()
        self.collector = Collector(self.store, {self.device_id: bytes.fromhex(config["device"]["key"])}, self.clock.utc)
        self.internet = Internet(
            self.clock, self._rng("network"), scenario.network.latency_ms, scenario.network.loss_permille
        )
        self.carrier = scenario.rules.build(self.clock, self.internet, self.log, IMSI)
        schedule(scenario.actions, self.clock, self.carrier, IMSI)
        self.carrier.on_sms = self._sms
        line = SerialLine(self.clock, scenario.baud)
        card = SimCard(ICCID, IMSI, MSISDN)
        profile = load_profile(scenario.modem)
        self.modem = SimModem(self.clock, line, profile, self.carrier, card, self._rng("modem"), self.log)
        self.flash = Flash(LEDGER_SECTORS)
        bridged = False
        for host in scenario.hosts:
            bridged |= self._add_host(host, services)
        settle = self.internet.settle if bridged else None
        self.board = board(self.clock, line, self.flash, self.modem, self._rng("board"), self.log, settle)
        self.desk = Desk(
            self.store,
            self.clock.start,
            scenario.plan,
            scenario.orders,
            scenario.desk,
            lambda: self.carrier.news(IMSI),
            cycle_id,
        )
        self.collector.orders = self.order
        for fault in scenario.faults:
            self.clock.at(int(fault.at) * S, self._strike, fault)
        self.clock.at(self.end_us, self.board.finish)

    def _rng(self, part: str) -> random.Random:
        """A stream of its own for each part, so that one part's draws do not shift another's."""
        return random.Random(f"{self.seed}/{part}")

    def _add_host(self, host: Host, services: Mapping[str, tuple[str, int]]) -> bool:
        """Connects one of the scenario's hosts; True for a bridge."""
        if host.kind == "bridge":
            if host.to:
                target = host.to
            elif host.service and host.service in services:
                target = "{}:{}".format(*services[host.service])
            else:
                raise UsageError(
                    self.scenario.title,
                    f'host "{host.name}"',
                    f'nobody started its service "{host.service}"',
                    "run it with `usageguard sim` or `usageguard demo`",
                )
            self.internet.add_host(host.name, BridgeHost(target))
            return True
        if host.kind == "collector":
            self.internet.add_host(host.name, UdpHandlerHost(self.collector.coap))
        else:
            self.internet.add_host(host.name, Responder() if host.kind == "responder" else Sink())
        return False

    def order(self, device: str, report: Report, now: datetime) -> Order | None:
        """What the desk answers a report with; for a collector's `orders`."""
        order = self.desk.order(device, report, now)
        if order is not None:
            names = [name for name in order.__struct_fields__ if getattr(order, name) is not None]
            self.log.add("desk", "order", counter=order.counter, keys=" ".join(names[1:]))
        return order

    def _sms(self, imsi: str, tpdu: bytes) -> None:
        try:
            self.collector.sms(tpdu)
        except (BadMacError, MalformedError) as error:
            self.log.add("bench", "sms-refused", reason=str(error))

    def _strike(self, fault: Fault) -> None:
        if isinstance(fault, PowerCut):
            self.log.add("bench", "power-cut", off_s=int(fault.off))
            self.board.cut_power(int(fault.off) * S)
        elif isinstance(fault, Reset):
            self.log.add("bench", "reset", cause=fault.cause)
            self.board.reset(_CAUSES[fault.cause])
        else:
            self.modem.faults.inject(fault)

    @property
    def done(self) -> float:
        """The part of the run that is over, 0 to 1."""
        return min(1.0, self.clock.now_us / self.end_us)


class Recorder:
    """Follows a run: the device's status over time beside the carrier's figures at the same instants."""

    def __init__(self, world: World, on_progress: OnProgress | None) -> None:
        self._world = world
        self._on_progress = on_progress
        self.device: list[tuple[str, int, int]] = []
        self.verdicts: list[tuple[str, str]] = []
        self.last: dict[str, Any] = {}
        self.carrier_then: dict[str, Any] = {}
        self.closed: dict[int, dict[str, Any]] = {}
        self.peak_heap: int | None = None
        self.stopped_at: dict[int, str] = {}
        self.reasons_seen: dict[str, None] = {}  # in the order in which they came
        self.warned: dict[str, None] = {}
        self.carrier_stops: list[str] = []
        self._refused: dict[int, int] = {}  # boot -> orders refused in it
        self.sent: set[tuple[int, int]] = set()
        world.board.on_status = self._status
        world.log.listeners.append(self._event)

    def _status(self, status: dict[str, Any]) -> None:
        world = self._world
        now = world.clock.utc().isoformat()
        self.last = status
        self.carrier_then = world.carrier.figures(IMSI, world.carrier.cycles(IMSI)[-1])
        self.device.append((now, status["rated_octets"], status["carried_octets"]))
        if not self.verdicts or self.verdicts[-1][1] != status["verdict"]:
            self.verdicts.append((now, status["verdict"]))
        if status["stopped"]:
            self.stopped_at.setdefault(status["cycle"], now)
        if status["closed"]:
            self.closed[status["closed"]["cycle"]] = status["closed"]
        if status["heap_octets"] is not None:
            self.peak_heap = max(self.peak_heap or 0, status["heap_octets"])
        self.reasons_seen.update(dict.fromkeys(status["reasons"]))
        self.warned.update(dict.fromkeys(status.get("warned", ())))
        self._refused[status["boot_id"]] = status.get("orders_refused", 0)
        self.sent.update((status["boot_id"], seq) for seq in range(status["reports_sent"]))
        if self._on_progress:
            self._on_progress(world)

    def _event(self, event: dict[str, Any]) -> None:
        if event["who"] == "carrier" and event["what"] == "stopped" and event["reason"] not in self.carrier_stops:
            self.carrier_stops.append(event["reason"])

    @property
    def orders_refused(self) -> int:
        """By all boots together, as far as each told."""
        return sum(self._refused.values())

    def summary(self, target: str, wall_s: float) -> dict[str, Any]:
        world, last = self._world, self.last
        carrier = world.carrier.figures(IMSI)
        if carrier["closed"]:
            figures = self.closed.get(cycle_id(carrier["cycle"]), {})
        else:  # the present cycle: the carrier's figures at the instant of the device's
            carrier, figures = self.carrier_then, last
        received = world.store.reports_received(world.device_id)
        simulated = type(world.board) is Board
        sent = max(len(self.sent), received)  # the last status may be older than the last report
        return {
            "scenario": world.scenario.name,
            "title": world.scenario.title,
            "target": target,
            "seed": world.seed,
            "passed": False,
            "failures": [],
            "simulated_s": world.clock.now_us // S,
            "wall_s": round(wall_s, 2),
            "carrier": {key: carrier.get(key) for key in CARRIER_FIGURES}
            | {"stops": self.carrier_stops, "denied_octets": world.carrier.denied_octets(IMSI)},
            "device": {
                "carried_octets": figures.get("carried_octets"),
                "rated_octets": figures.get("rated_octets"),
                "error_bound_octets": figures.get("error_bound_octets"),
                "verdict": last.get("verdict"),
                "verdicts_seen": list(dict.fromkeys(verdict for _, verdict in self.verdicts)),
                "reasons": last.get("reasons"),
                "reasons_seen": list(self.reasons_seen),
                "warned": list(self.warned),
                "cost_fen": figures.get("cost_fen"),
                "orders_applied": last.get("counter", 0),
                "stopped_at": self.stopped_at.get(figures.get("cycle", -1)),
                "cycle": figures.get("cycle"),
                "boots": world.board.boots,
                "flash_writes": world.flash.programs if simulated else None,
                "flash_erases": world.flash.erases if simulated else None,
                "peak_heap_octets": self.peak_heap,
            },
            "upstream": {
                "reports_sent": sent,
                "reports_received": received,
                "reports_lost": sent - received,
                "octets_per_report": last.get("octets_per_report"),
                "orders_sent": world.desk.sent,
                "orders_refused": self.orders_refused,
            },
            "events": world.log.events,
        }

    def series(self) -> dict[str, list[tuple[Any, ...]]]:
        start = self._world.clock.start
        billed = self._world.carrier.series(IMSI)
        return {
            "carrier": [((start + timedelta(microseconds=t)).isoformat(), octets) for t, octets in billed],
            "device": self.device,
            "verdict": self.verdicts,
        }


def cycle_id(label: str) -> int:
    """The device's number of the cycle that the carrier calls by `label`: its first day, from 2000-01-01."""
    if label in UNBILLED_IDS:
        return UNBILLED_IDS[label]
    return (date.fromisoformat(label) - date(2000, 1, 1)).days


def _bench_json(world: World) -> dict[str, Any]:
    """What the built-in applications read: the traffic, and how far the scenario is."""
    scenario = world.scenario
    ports = {host.name: host.listens_on for host in scenario.hosts}
    return {
        "app": _app_module(scenario)[0],
        "elapsed_ms": world.clock.now_us // 1000,
        "traffic": [
            {
                "class": habit.class_name,
                "kind": habit.kind,
                "host": habit.host,
                "port": ports[habit.host],
                "tx": int(habit.tx),
                "rx": int(habit.rx),
                "period_s": int(habit.period),
                "from_s": int(habit.start),
                "until_s": int(habit.until),
            }
            for habit in scenario.traffic
        ],
    }


def _app_module(scenario: Scenario) -> tuple[str, Path | None]:
    """The application's module name, and its file where it does not ship."""
    name = scenario.app.name
    if name in APPS:
        return name.replace("-", "_"), None
    path = Path(name)
    if not path.is_file():
        raise UsageError(scenario.name, "app.name", f'"{name}" is no application', f"use {', '.join(APPS)} or a file")
    return path.stem, path


def _wired_board() -> type[Board]:
    """Imported late: only those who have a board need what drives a serial port."""
    from host_tools.targets.board import WiredBoard

    return WiredBoard


def run(
    scenario: Scenario,
    target: str = "micropython",
    seed: int | None = None,
    on_event: OnEvent | None = None,
    on_progress: OnProgress | None = None,
    services: Mapping[str, tuple[str, int]] | None = None,
    files: Mapping[str, bytes] | None = None,
    libraries: Sequence[str] = (),
    on_start: OnProgress | None = None,
    on_output: OnOutput | None = None,
    modem_port: str | None = None,
    pins: str | None = None,
) -> RunResult:
    """Runs `scenario` on `target` and holds the outcome against its expectations.

    `files` lie on the device beside its program, stock `libraries` (host_tools.thirdparty) among its modules.
    `services` names the addresses of what was started for the scenario's bridges. `on_start` gets the world before its
    device starts, `on_output` what the program of each boot printed, when that boot is over.
    `modem_port` and `pins` are for a target that is a board: `host_tools.targets.board.Rig`.
    Raises UsageError for bad input, `Crashed` when the device's program ended by itself.
    """
    wired = target.startswith(ON_BOARD)
    if target not in TARGETS and not wired:
        hint = f"use one of {', '.join(TARGETS)}, {ON_BOARD}PORT, {ON_BOARD}virtual"
        raise UsageError("--target", "", f'"{target}" is not a target', hint)
    started = time.monotonic()
    seed = scenario.seed if seed is None else seed
    world = World(scenario, seed, services or {}, _wired_board() if wired else Board)
    if on_event:
        world.log.listeners.append(on_event)
    recorder = Recorder(world, on_progress)
    module, file = _app_module(scenario)
    folders = [thirdparty.library(name) for name in (*APPS.get(scenario.app.name, ()), *libraries)]
    with contextlib.ExitStack() as stack:
        stack.callback(world.internet.close)
        if wired:
            from host_tools.targets import board as onboard

            rig = stack.enter_context(onboard.rig(target, modem_port, pins))
            bench = stack.enter_context(onboard.Bench(rig, scenario))
            brought = onboard.device_files(scenario, {module: file} if file else {}, folders)
            bench.bring(brought | dict(files or {}), _bench_json(world))
            if on_start:
                on_start(world)
            bench.live(world)
        else:
            image = stack.enter_context(Image(mpy=target == "micropython"))
            image.write_json("config.json", scenario.device_config())
            image.leave_out(modules.unneeded(settings(scenario)))
            image.add_libraries(folders)
            if file:
                image.add(file, f"{module}.py")
            for name, content in (files or {}).items():
                (image.root / name).write_bytes(content)
            process = ProcessTarget(target, image, on_output)

            def boot(board: Board) -> None:
                image.write_json("bench.json", _bench_json(world))
                process.boot(board)

            if on_start:
                on_start(world)
            live(world, boot)
    summary = recorder.summary(target, time.monotonic() - started)
    summary["failures"] = scenario.expect.failures(summary)
    summary["passed"] = not summary["failures"]
    return RunResult(summary, recorder.series())


def live(world: World, boot: Callable[[Board], None]) -> None:
    """The device's boots, one after the other, until the scenario is over; `boot` runs one to its PowerLoss."""
    board, clock = world.board, world.clock
    cause = PWRON
    while True:
        board.boot(cause)
        try:
            boot(board)
        except Finished:
            return
        except PowerLoss as loss:
            cause = loss.cause
            if clock.run_until(min(world.end_us, clock.now_us + loss.off_us)) or clock.now_us >= world.end_us:
                return
