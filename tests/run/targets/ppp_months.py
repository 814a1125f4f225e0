"""A month with a cutoff over PPP, with every simulated modem, on both targets, with TCP headers compressed and not:

    python -m tests.run.targets.ppp_months [--scenario cutoff-short] [--processes N]

writes the table of firmware/MODEMS.md, between its markers. A month takes one or two minutes; a run of `cutoff-short`
takes seconds. Results are kept as those of `tests.run.targets.months` are. Exit status 1: a figure misses its limit.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from host_tools.base import files
from host_tools.run.run import run_scenario
from host_tools.run.targets.names import SIMULATED
from host_tools.scenario import file as scenario
from host_tools.sim.modem import models
from tests.modem.matrix import DOCUMENT, put
from tests.run.targets import months

RESULTS = months.RESULTS.with_name(".ppp-months.jsonl")
COUNTED_PERMILLE, UNCOUNTED_PERMILLE = 10, 30
BEGIN, END = "<!-- ppp: made by python -m tests.run.targets.ppp_months -->\n", "<!-- end of ppp -->\n"

Cell = tuple[str, bool, str]
"""Modem, whether headers are compressed, target."""


def cells() -> list[Cell]:
    return [(modem, vj, target) for modem in models.names() for vj in (True, False) for target in SIMULATED]


def live(name: str, modem: str, vj: bool, target: str) -> dict[str, Any]:
    """What was run, and the figures of that."""
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder, f"{modem}.toml")
        own = files.text(Path(models.__file__).parent / "profiles" / f"{modem}.toml", "")
        profile.write_text(f"{own}\n[ppp]\nvj = {str(vj).lower()}\n", "utf-8")
        result = run_scenario(scenario.load(name, str(profile), "ppp"), target).to_json()
    carrier, device = result["carrier"], result["device"]
    figures = {name: device[name] for name in months.FIGURES}
    figures |= {name: carrier[name] for name in ("ip_octets", "billed_octets", "allowance_octets", "stopped_at")}
    cell = {"modem": modem, "vj": vj, "target": target}
    return cell | {"counted": models.load(modem).counter is not None, "failures": result["failures"]} | figures


def cell_of(run: dict[str, Any]) -> Cell:
    return run["modem"], run["vj"], run["target"]


def failures(figures: dict[str, Any]) -> list[str]:
    """Why the figures of a run are not good enough."""
    found = list(figures["failures"])
    over, ip = figures["carried_octets"] - figures["ip_octets"], figures["ip_octets"]
    limit = COUNTED_PERMILLE if figures["counted"] else UNCOUNTED_PERMILLE
    if over < 0 or over * 1000 > ip * limit:
        found.append(f"{over:,} octets over the carrier's {ip:,}, and {limit} permille are allowed")
    if over > figures["error_bound_octets"]:
        found.append(f"{over:,} octets over, and the stated bound is {figures['error_bound_octets']:,}")
    if figures["stopped_at"]:
        found.append("the carrier had to stop the SIM")
    return found


def table(name: str, lived: dict[Cell, dict[str, Any]]) -> str:
    """One row for each modem; where the targets differ, a figure of each."""
    lines = [f"`{name}`, carried over the carrier's octets, ‰:\n"]
    lines += ["| Modem | Counter | Compressed headers | Whole headers | Used, ‰ |", "|---" * 5 + "|"]
    for modem in models.names():
        shown = []
        for vj in (True, False):
            runs = [lived[modem, vj, target] for target in SIMULATED]
            over = [f"{(run['carried_octets'] - run['ip_octets']) * 1000 / run['ip_octets']:.1f}" for run in runs]
            shown.append(" / ".join(dict.fromkeys(over)))
        runs = [lived[modem, True, target] for target in SIMULATED]
        used = [f"{run['billed_octets'] * 1000 / run['allowance_octets']:.0f}" for run in runs]
        counter = "yes" if models.load(modem).counter else "no"
        lines.append(f"| {modem} | {counter} | {shown[0]} | {shown[1]} | {' / '.join(dict.fromkeys(used))} |")
    return "\n".join(lines) + "\n"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.run.targets.ppp_months", description=__doc__)
    parser.add_argument("--scenario", default=months.SCENARIO)
    parser.add_argument("--processes", type=int, default=None, help="default: one per core")
    given = parser.parse_args(arguments)
    digest = months.sources(given.scenario)
    lived = {cell_of(run): run for run in months.kept(RESULTS, digest)}
    wanted = cells()
    todo = [(given.scenario, *cell) for cell in wanted if cell not in lived]
    for run in months.live(live, todo, given.processes, RESULTS, digest):
        lived[cell_of(run)] = run
        print(f"{len(lived)} of {len(wanted)}: {run['modem']} on {run['target']}", file=sys.stderr, flush=True)
    failed = 0
    for modem, vj, target in wanted:
        found = failures(lived[modem, vj, target])
        failed += bool(found)
        print(*(f"{modem} on {target}, vj = {vj}: {each}" for each in found), sep="\n", end="\n" if found else "")
    DOCUMENT.write_text(put(DOCUMENT.read_text("utf-8"), table(given.scenario, lived), BEGIN, END), "utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
