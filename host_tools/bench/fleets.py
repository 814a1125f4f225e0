"""A fleet in a collector's database, by a seed: a month of one report a day, and what the carrier says.

For measurements and tests of what shows it.
"""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import msgspec

from host_tools.base import days, paths
from host_tools.collector.database import Row
from host_tools.collector.store import Store, newest_row, report_row
from host_tools.collector.verify import Report
from host_tools.platforms.interface import Data, Life, State
from host_tools.platforms.ledger import CarrierLedger, Pool
from host_tools.platforms.reconcile import Rating

paths.use_firmware()

from usageguard.core import policy  # noqa: E402

MB = 1 << 20
ALLOWANCE = 30 * MB
RATING = Rating(per_packet_octets=50, session_round_octets=25 << 10, margin_permille=10)
"""The contract of the SIMs."""
DAYS = 31
_INTO_PERIOD = 17  # days; the present one began so long ago, whatever the date is
_CHINA = timedelta(hours=8)
_LIFE, _SIM = b"\0\0\0\1", b"\x12\x34\x56\x78"
_TAGS = ("chengdu", "harbin", "shenzhen")
_REASON = {str(code): int(bit) for code, bit, *_ in policy.REASONS}
POOL = "pool-1"
HOURLY = "hourly-00001"
_IDLE, _DEAD = 17, 29  # of 40 devices
_BATCH = 1000  # devices; what is written at once


def name(number: int) -> str:
    return f"tracker-{number:05}"


def fill(db: str | Path, devices: int, now: datetime, seed: int = 1) -> None:
    """Adds devices `name(1)` to `name(devices)` to a database. One in 67 was cut off by the carrier, one in 67 stopped
    by hand, one in 33 fell silent; some have used up their allowance, and some will. One in 40 is dead, and one idle;
    for 60 there is a SIM that was never heard of. Every fourth is in a pool."""
    with closing(Store(db)) as store:
        for begin in range(0, devices, _BATCH):
            rows = _Rows()
            for number in range(begin + 1, min(begin + _BATCH, devices) + 1):
                _device(rows, number, now, random.Random(seed * 1_000_003 + number))
            with store.database.transaction():
                store.write(rows.reports, rows.newest)
                for statement, values in rows.statements():
                    store.database.execute_many(statement, values)
        ledger = CarrierLedger(store.database)
        ledger.put_pool(_pool(devices, now))
        for number in range(1, devices // 60 + 1):
            ledger.put(f"spare-{number:05}", State(f"14500{number:08}", Life.ACTIVE, Data.ON, (), {}), now)
        with store.database.transaction():
            store.database.execute("INSERT INTO carrier_sync VALUES ('made-up', ?, '')", (now.isoformat(),))


def fill_hourly(db: str | Path, now: datetime, seed: int = 1) -> None:
    """Adds HOURLY, a device that reports 24 times a day, and of which the carrier gives a figure for each day."""
    draw, cycle, first = random.Random(seed), *_period(now)
    began, base, rated, last = _began(cycle), 0, 0, None
    reports, figures = [], []
    with closing(Store(db)) as store, store.database.transaction():
        for seq in range(24 * DAYS):
            at = now - timedelta(hours=24 * DAYS - 1 - seq, minutes=draw.randint(1, 50))
            mine = cycle if at >= began else cycle - DAYS
            if last is not None and last.cycle_id != mine:
                base, rated = base + rated, 0
            rated += draw.randint(1_000, 40_000)
            last, payload = made(seq=seq, cycle_id=mine, base=base, rated=rated)
            reports.append(report_row(HOURLY, 1, last, payload, at.isoformat(), "coap"))
            if mine == cycle and seq % 24 == 0:
                figures.append((HOURLY, first.isoformat(), at.isoformat(), _billed(last, draw), "made-up"))
        assert last is not None
        store.write(reports, [newest_row(HOURLY, 1, _LIFE, last, 0)])
        rows = _Rows()
        rows.lives, rows.figures = [(HOURLY, 1, _LIFE, (now - timedelta(days=DAYS)).isoformat())], figures
        rows.sims = [(HOURLY, "1440000000000", "active", "on", "", now.isoformat(), ALLOWANCE)]
        for statement, values in rows.statements():
            store.database.execute_many(statement, values)


def _period(now: datetime) -> tuple[int, date]:
    """The number and the day with which the present period began."""
    first = (now + _CHINA).date() - timedelta(days=_INTO_PERIOD)
    return days.day_number(first), first


def _began(cycle: int) -> datetime:
    return days.EPOCH - _CHINA + timedelta(days=cycle)


@dataclass
class _Rows:
    lives: list[Row]
    reports: list[Row]
    newest: list[Row]
    sims: list[Row]
    figures: list[Row]
    tags: list[Row]

    def __init__(self) -> None:
        self.lives, self.reports, self.newest, self.sims, self.figures, self.tags = [], [], [], [], [], []

    def statements(self) -> list[tuple[str, list[Row]]]:
        return [
            ("INSERT INTO life VALUES (?, ?, ?, ?)", self.lives),
            ("INSERT INTO carrier_sim VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", self.sims),
            (
                "INSERT INTO carrier_figure (device, cycle_start, as_of, octets, source) VALUES (?, ?, ?, ?, ?)",
                self.figures,
            ),
            ("INSERT INTO tag VALUES (?, ?)", self.tags),
        ]


def _pool(devices: int, now: datetime) -> Pool:
    """Half of it is granted to its members."""
    members: dict[str, int | None] = {name(number): ALLOWANCE // 2 for number in range(4, devices + 1, 4)}
    total = ALLOWANCE * len(members)
    _, start = _period(now)
    return Pool(POOL, start, now, total, total * 2 // 5, members)


def _device(rows: _Rows, number: int, now: datetime, draw: random.Random) -> None:
    device, fate = name(number), draw.random()
    a_day = draw.lognormvariate(0, 0.5) * ALLOWANCE / 45
    quiet = draw.randint(2, 9) if 0.9 < fate < 0.93 else 0
    if number % 40 == _IDLE:
        a_day /= 1000
    elif number % 40 == _DEAD:
        quiet = DAYS - 1
    cycle, first = _period(now)
    began = _began(cycle)
    rated, base, last, before = 0, 0, None, None
    rows.lives.append((device, 1, _LIFE, (now - timedelta(days=DAYS)).isoformat()))
    for seq in range(DAYS - quiet):
        at = now - timedelta(days=DAYS - 1 - seq, minutes=draw.randint(1, 600))
        mine = cycle if at >= began else cycle - DAYS
        if last is not None and last.cycle_id != mine:
            base, rated, before = base + rated, 0, last
        rated = min(rated + int(a_day * draw.uniform(0.4, 1.6)), ALLOWANCE * 998 // 1000)
        state: dict[str, Any] = {}
        if rated * 1000 >= ALLOWANCE * 995:
            state = {"verdict": policy.RESTRICTED, "reasons": _REASON["QUOTA_EXHAUSTED"]}
        elif rated * 10 >= ALLOWANCE * 8:
            state = {"verdict": policy.WARNED}
        if seq == DAYS - 1 and fate > 0.985:
            state = {"verdict": policy.TERMINATED, "reasons": _REASON["CARRIER_STOP"], "cme": 33, "registration": 3}
        elif seq == DAYS - 1 and fate > 0.97:
            state = {"verdict": policy.RESTRICTED, "reasons": _REASON["STOPPED_BY_HAND"]}
        last, payload = made(seq=seq, cycle_id=mine, base=base, rated=rated, **state)
        rows.reports.append(report_row(device, 1, last, payload, at.isoformat(), "coap"))
    assert last is not None
    rows.newest.append(newest_row(device, 1, _LIFE, last, 0))
    cut_off = fate > 0.985
    causes = "exhausted" if cut_off else ""
    sim = f"14400{number:08}"
    rows.sims.append((device, sim, "active", "off" if cut_off else "on", causes, now.isoformat(), ALLOWANCE))
    if last.cycle_id == cycle:
        missed = draw.randint(0, 9_000) + (3 * MB if draw.random() > 0.95 else 0)
        rows.figures.append((device, first.isoformat(), now.isoformat(), _billed(last, draw) + missed, "made-up"))
    if before is not None:
        start = days.date_of(before.cycle_id).isoformat()
        rows.figures.append((device, start, began.isoformat(), _billed(before, draw), "made-up"))
    rows.tags.append((_TAGS[number % len(_TAGS)], device))


def _billed(report: Report, draw: random.Random) -> int:
    """What the carrier counts of a period by RATING."""
    headers = report.packets * RATING.per_packet_octets
    sessions = draw.randint(0, report.sessions * RATING.session_round_octets)
    return (report.cycle_carried_octets + headers + sessions) * (1000 + RATING.margin_permille) // 1000


def made(*, seq: int, cycle_id: int, base: int, rated: int, boot_id: int = 3, **told: Any) -> tuple[Report, bytes]:
    """A full report, whose period began at `base` and has `rated` octets, and its encoding."""
    carried = rated - rated // 200
    report = Report(
        version=3, boot_id=boot_id, seq=seq, cycle_id=cycle_id, carried_octets=base + carried,
        rated_octets=base + rated, carried_base=base, rated_base=base, error_bound_octets=40_960, verdict=0, reasons=0,
        warned=0, app_restarts=0, crash_code=0, reporting_reason=4, life_id=_LIFE, sim=_SIM, cause=0,
        packets=rated // 700, sessions=3, registration=1, reject_cause=0, cme=0, rsrp=45, rsrq=21, modem_restarts=0,
    )  # fmt: skip
    report = msgspec.structs.replace(report, **told)
    return report, cbor2.dumps(list(msgspec.structs.astuple(report)))
