"""Records a run: the device's statuses beside the carrier's figures at the same instants, and the summary of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from host_tools.run.classes import ClassCounter
from host_tools.run.world import IMSI, World, cycle_id
from host_tools.sim.clock import S

CARRIER_FIGURES = (
    "ip_octets", "billed_octets", "allowance_octets", "stopped_at", "stop_reason", "overage_cost", "hours_octets",
    "roaming_octets",
)  # fmt: skip


@dataclass(slots=True)
class RunResult:
    """The outcome of a run. `summary` is what `usageguard sim --json` prints, `series` has the figures over time."""

    summary: dict[str, Any]
    series: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return self.summary

    @property
    def passed(self) -> bool:
        return self.summary["passed"]


class Recorder:
    """Follows a world from its start. `on_progress` is called with the world after each status of the device."""

    def __init__(self, world: World, on_progress: Callable[[World], None] | None) -> None:
        self._world = world
        self._on_progress = on_progress
        self._device: list[tuple[str, int, int]] = []  # (time, rated octets, carried octets)
        self._verdicts: list[tuple[str, str]] = []  # (time, verdict) at each change
        self._last: dict[str, Any] = {}  # the last status
        self._carrier_then: dict[str, Any] = {}  # the carrier's figures when it came
        self._closed: dict[int, dict[str, Any]] = {}  # cycle -> the device's figures of it, once it is closed
        self._peak_heap: int | None = None
        self._stopped: dict[int, tuple[str, list[str]]] = {}  # cycle -> when the device first stopped in it, and why
        self._reasons_seen: dict[str, None] = {}  # in the order of their first occurrence, as are the next two
        self._warned: dict[str, None] = {}
        self._carrier_stops: list[str] = []
        self._refused: dict[int, int] = {}  # boot -> orders refused in it
        self._sent: dict[int, int] = {}  # boot -> reports sent in it
        self._classes = ClassCounter(world)
        world.board.on_status = self._status
        world.log.listeners.append(self._event)

    def _status(self, status: dict[str, Any]) -> None:
        world = self._world
        now = world.clock.utc().isoformat()
        self._last = status
        self._carrier_then = world.carrier.figures(IMSI, world.carrier.cycles(IMSI)[-1])
        self._device.append((now, status["rated_octets"], status["carried_octets"]))
        if not self._verdicts or self._verdicts[-1][1] != status["verdict"]:
            self._verdicts.append((now, status["verdict"]))
        if status["stopped"]:
            self._stopped.setdefault(status["cycle"], (now, status["reasons"]))
        if status["closed"]:
            self._closed[status["closed"]["cycle"]] = status["closed"]
        if status["heap_octets"] is not None:
            self._peak_heap = max(self._peak_heap or 0, status["heap_octets"])
        self._reasons_seen.update(dict.fromkeys(status["reasons"]))
        self._warned.update(dict.fromkeys(status.get("warned", ())))
        self._refused[status["boot_id"]] = status.get("orders_refused", 0)
        self._sent[status["boot_id"]] = max(self._sent.get(status["boot_id"], 0), status["reports_sent"])
        if self._on_progress:
            self._on_progress(world)

    def _event(self, event: dict[str, Any]) -> None:
        if event["who"] == "carrier" and event["what"] == "stopped" and event["reason"] not in self._carrier_stops:
            self._carrier_stops.append(event["reason"])

    def summary(self, target: str, wall_s: float) -> dict[str, Any]:
        """The run's figures so far; `passed` and `failures` are set by whoever evaluates the expectations."""
        world, last = self._world, self._last
        carrier = world.carrier.figures(IMSI)
        if carrier["closed"] and not self._ends_with(carrier["cycle"]):
            figures = self._closed.get(cycle_id(carrier["cycle"]), {})
        else:  # the present cycle: the carrier's figures as of the device's last status
            carrier, figures = self._carrier_then, last
        # A real board's figures are those of a moment in the traffic: what was under way then it knew to be possible.
        unseen = last.get("unseen_octets", 0) if figures is last and world.scenario.real_time else 0
        received = world.store.reports_received(world.device_id)
        stopped_at, stop_reasons = self._stopped.get(figures.get("cycle", -1), (None, []))
        simulated = world.board.simulated
        sent = max(sum(self._sent.values()), received)  # the last status may be older than the last report
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
            | {"stops": self._carrier_stops, "denied_octets": world.carrier.denied_octets(IMSI)},
            "device": {
                "carried_octets": figures.get("carried_octets"),
                "rated_octets": figures.get("rated_octets"),
                "error_bound_octets": figures.get("error_bound_octets"),
                "unseen_octets": unseen,
                "verdict": last.get("verdict"),
                "verdicts_seen": list(dict.fromkeys(verdict for _, verdict in self._verdicts)),
                "reasons": last.get("reasons"),
                "reasons_seen": list(self._reasons_seen),
                "warned": list(self._warned),
                "cost_fen": figures.get("cost_fen"),
                "orders_applied": last.get("counter", 0),
                "stopped_at": stopped_at,
                "stop_reasons": stop_reasons,
                "cycle": figures.get("cycle"),
                "boots": world.board.boots,
                "flash_writes": world.flash.programs if simulated else None,
                "flash_erases": world.flash.erases if simulated else None,
                "peak_heap_octets": self._peak_heap,
            },
            "upstream": {
                "reports_sent": sent,
                "reports_received": received,
                "reports_lost": sent - received,
                "octets_per_report": last.get("octets_per_report"),
                "orders_sent": world.owner.sent,
                "orders_refused": sum(self._refused.values()),
            },
            "classes": self._classes.to_json(),
            "events": world.log.events,
        }

    def _ends_with(self, cycle: str) -> bool:
        """Whether the run ends with this cycle, so that the device had no time to close it."""
        return self._carrier_then.get("cycle") == cycle and self._last.get("cycle") == cycle_id(cycle)

    def series(self) -> dict[str, list[tuple[Any, ...]]]:
        """Figures over time: "carrier" (time, billed), "device" (time, rated, carried), "verdict" (time, verdict)."""
        start = self._world.clock.start
        billed = self._world.carrier.series(IMSI)
        return {
            "carrier": [((start + timedelta(microseconds=t)).isoformat(), octets) for t, octets in billed],
            "device": self._device,
            "verdict": self._verdicts,
        }
