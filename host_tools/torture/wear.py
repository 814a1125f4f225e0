"""Measures flash wear: the ledger, and littlefs under its files, over a month of traffic."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from host_tools.torture.device import Hal, fast
from host_tools.torture.nor import Nor
from host_tools.torture.stores import FileStore, Ledger, RawStore, Store

PLANS = {"30 MB": 30_000_000, "500 MB": 500_000_000, "5 GB": 5_000_000_000}
ENDURANCE = 100_000
"""Erase cycles per sector that flash vendors specify."""
BLOCKS = {"log": 3, "file": 512}
"""Sectors: three in the ledger's partition; in the 2 MiB file system of an ESP32 module with 4 MB."""
LEASE_MAX = {"30 MB": 65_536, "500 MB": 65_536, "5 GB": 262_144}  # by allowance, as `core/plan.py` has it
MONTH_DAYS = 31
COMMITS = 40  # verdicts, warnings, orders of a month
SAMPLE_RECORDS = 1500  # of the files backend: measured on so many records and extrapolated


@dataclass(frozen=True, slots=True)
class Wear:
    """A month of one plan on one backend. `worst_erases`: of the most worn sector, which lasts `years`."""

    backend: str
    plan: str
    records: int
    erases: int
    worst_erases: float
    years: float

    def to_json(self) -> dict[str, object]:
        return {
            "backend": self.backend,
            "plan": self.plan,
            "records_per_month": self.records,
            "erases_per_month": self.erases,
            "worst_sector_erases_per_month": round(self.worst_erases, 2),
            "years_at_100000_erases": round(self.years),
        }


def month(store: Store, nor: Nor, octets: int, lease_max: int, most_records: int = 1 << 30) -> int:
    """Spends `octets` in packets of all sizes over a month; returns the number of records written."""
    rng = random.Random(octets)
    ledger = Ledger(Hal(), store.attach(nor), lease_max)
    ledger.open()
    ledger.new_cycle(300)
    ledger.commit()
    day = octets // MONTH_DAYS
    used = commits = 0
    log = ledger._ring
    while used < octets and log.writes < most_records:
        n = min(rng.randrange(60, 1500), octets - used)
        ledger.set_remaining(min(octets - used, 1 << 29))
        ledger.ensure(n, n)
        ledger.spend(n, n)
        used += n
        if used // day * COMMITS // MONTH_DAYS > commits:
            commits += 1
            ledger.commit()
        ledger.tidy()
    ledger.close()
    return log.writes


def log_of(plan: str) -> Wear:
    """The wear of the ledger's partition under one plan."""
    with fast():
        raw, nor = RawStore(), Nor(BLOCKS["log"])
        raw.prepare(nor)
        records = month(raw, nor, PLANS[plan], LEASE_MAX[plan])
        return _row("log", plan, records, nor.erases, max(nor.sector_erases))


def measure(plan: str) -> list[Wear]:
    """The wear of both backends under one plan."""
    log = log_of(plan)
    with fast():
        files, nor = FileStore(), Nor(BLOCKS["file"])
        files.prepare(nor)
        before = nor.erases
        # Each record is written to two files.
        done = month(files, nor, PLANS[plan], LEASE_MAX[plan], SAMPLE_RECORDS * 2) / 2
        erases = round((nor.erases - before) * log.records / done)
        # littlefs allocates data blocks in turn, but metadata pairs stay in place until block_cycles.
        share = max(nor.sector_erases) * log.records / done
        return [log, _row("file", plan, log.records, erases, max(share, erases / BLOCKS["file"]))]


def _row(backend: str, plan: str, records: int, erases: int, worst: float) -> Wear:
    return Wear(backend, plan, records, erases, worst, ENDURANCE / max(worst, 1e-9) / 12)


def run(each: Callable[[list[Wear]], None] = lambda rows: None) -> list[Wear]:
    """Measures all plans; calls `each(rows)` with the rows so far after every plan."""
    rows: list[Wear] = []
    for plan in PLANS:
        rows += measure(plan)
        each(rows)
    return rows


def markdown(rows: list[Wear]) -> list[str]:
    """The rows as a Markdown table."""
    lines = ["| Plan | Backend | Records a month | Erases a month | Of the most worn sector | Years |"]
    lines.append("|---|---|---|---|---|---|")
    for row in rows:
        lines.append(
            f"| {row.plan} | {row.backend} | {row.records:,} | {row.erases:,} "
            f"| {row.worst_erases:,.1f} | {row.years:,.0f} |"
        )
    return lines
