"""A hand-made month of the demo's shape, for the report and what shows progress."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

START = datetime.fromisoformat("2026-03-01T00:00:00+08:00")
ALLOWANCE = 30 * 1024 * 1024
LIMIT = ALLOWANCE - 2 * 157_286


@dataclass
class SampleRun:
    summary: dict[str, Any]
    series: dict[str, list[tuple[Any, ...]]]

    def to_json(self) -> dict[str, Any]:
        return self.summary


def month(guarded: bool = True) -> SampleRun:
    """33 days in steps of 30 min: telemetry all month, a runaway download from the 19th, 09:00."""
    step = timedelta(minutes=30)
    device: list[tuple[str, int, int]] = []
    carrier: list[tuple[str, int]] = []
    errors: list[tuple[str, int, int, int]] = []
    verdicts: list[tuple[str, str]] = []
    events: list[dict[str, Any]] = [event(START, "device", "boot", cause="power-on")]
    billed, over, verdict, stopped, carrier_stop = 0, 0, "open", None, None
    closed: dict[str, Any] = {}
    warned = 0
    for i in range(33 * 48):
        at = START + i * step
        if at.day == 1 and at.month == 4 and not closed:
            closed = {"billed": billed, "carried": billed + over}
            billed, over, warned, new = 0, 0, 0, "open"
            if carrier_stop:
                events.append(event(at, "carrier", "restored", imsi="460", reason="exhausted"))
        if at == START + timedelta(days=7, hours=13):
            events.append(event(at, "bench", "power-cut", off_s=40))
            events.append(event(at + timedelta(seconds=40), "device", "boot", cause="power-on"))
            events.append(event(at + timedelta(seconds=41), "device", "ledger-ceiling", a=1, b=2))
            over += 9_000
        limit = LIMIT if guarded else ALLOWANCE
        if billed < limit and not (carrier_stop and not closed):
            billed += 8_100
            over += 7
        ceiling = ALLOWANCE * 9 // 10 if guarded else ALLOWANCE
        if timedelta(days=18, hours=9) < at - START and billed < ceiling and not closed and not carrier_stop:
            billed = min(billed + 1_430_000, ALLOWANCE + 40_000)
        new = verdict_at(billed, limit) if guarded else "open"
        if new != verdict or (guarded and levels(billed) > warned):
            warned = levels(billed)
            events.append(event(at, "device", f"verdict-{new}", a=0, b=warned))
            verdict = new
        if not verdicts or verdicts[-1][1] != verdict:
            verdicts.append((at.isoformat(), verdict))
        if verdict == "restricted" and stopped is None:
            stopped = at.isoformat()
            events.append(event(at, "device", "sms-sent", a=1))
        if not guarded and billed >= ALLOWANCE and carrier_stop is None:
            carrier_stop = at.isoformat()
            events.append(event(at, "carrier", "stopped", imsi="460", reason="exhausted", billed_octets=billed))
        device.append((at.isoformat(), billed + over, billed + over))
        carrier.append((at.isoformat(), billed))
        errors.append((at.isoformat(), over, over, 4_096 if over < 9_000 else 65_536))
    summary = {
        "scenario": "demo",
        "title": "A month of a tracker's life on 30 MB",
        "target": "micropython",
        "seed": 19,
        "passed": True,
        "failures": [],
        "simulated_s": 33 * 86_400,
        "wall_s": 31.4,
        "carrier": {
            "ip_octets": closed["billed"],
            "billed_octets": closed["billed"],
            "allowance_octets": ALLOWANCE,
            "stopped_at": carrier_stop,
            "stop_reason": "exhausted" if carrier_stop else None,
            "overage_cost": None,
        },
        "device": {
            "carried_octets": closed["carried"],
            "rated_octets": closed["carried"],
            "error_bound_octets": 65_536,
            "verdict": verdict,
            "reasons": [],
            "stopped_at": stopped,
            "stop_reasons": ["QUOTA_EXHAUSTED"] if stopped else [],
            "cycle": 314,
            "boots": 3,
            "flash_writes": 1_204,
            "flash_erases": 19,
            "peak_heap_octets": 143_000,
        },
        "upstream": {
            "reports_sent": 262,
            "reports_received": 262,
            "reports_lost": 0,
            "octets_per_report": 131,
        },
        "events": events,
    }
    return SampleRun(summary, {"device": device, "carrier": carrier, "verdict": verdicts, "error": errors})


def event(at: datetime, who: str, what: str, **fields: Any) -> dict[str, Any]:
    return {"t": at.isoformat(), "who": who, "what": what, **fields}


def levels(billed: int) -> int:
    """The bitmap of warnings passed."""
    return sum(1 << i for i, permille in enumerate((500, 800, 900)) if billed >= ALLOWANCE * permille // 1000)


def verdict_at(billed: int, limit: int) -> str:
    if billed >= limit:
        return "restricted"
    return ("open", "warned", "warned", "shed")[bin(levels(billed)).count("1")]
