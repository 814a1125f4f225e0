"""The month with a cutoff, with every simulated modem that has sockets, on both targets:

    python -m tests.run.targets.months [--processes N]

writes the table of firmware/MODEMS.md, between its markers. A month takes one or two minutes. Results are kept in a
file as they come: a run that was ended goes on where it was, as long as the sources are the same. Exit status 1: a
figure misses its limit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from host_tools.base import paths
from host_tools.run.run import run_scenario
from host_tools.run.targets.names import SIMULATED
from host_tools.scenario import file as scenario
from host_tools.sim.modem import models
from tests.modem.matrix import DOCUMENT, put

SCENARIO = "cutoff-month"
COUNTED_PERMILLE, UNCOUNTED_PERMILLE = 5, 30
"""By how much the carried octets may exceed the carrier's, with a counter in the modem and without one."""
RESULTS = Path(__file__).resolve().parents[3] / ".months.jsonl"
BEGIN, END = "<!-- months: made by python -m tests.run.targets.months -->\n", "<!-- end of months -->\n"
FIGURES = ("carried_octets", "rated_octets", "error_bound_octets")


def month(modem: str, target: str) -> dict[str, Any]:
    """The figures of one month, and a digest of all that happened in it."""
    result = run_scenario(scenario.load(SCENARIO, modem), target).to_json()
    carrier, device = result["carrier"], result["device"]
    figures = {name: device[name] for name in FIGURES}
    figures |= {name: carrier[name] for name in ("ip_octets", "billed_octets", "allowance_octets", "stopped_at")}
    lived = json.dumps([result["events"], figures], sort_keys=True)
    life = hashlib.sha256(lived.encode()).hexdigest()
    return {"modem": modem, "target": target, "failures": result["failures"], "life": life} | figures


def failures(figures: dict[str, Any]) -> list[str]:
    """Why the figures of a month are not good enough."""
    found = list(figures["failures"])
    over, ip = figures["carried_octets"] - figures["ip_octets"], figures["ip_octets"]
    limit = COUNTED_PERMILLE if models.load(figures["modem"]).counter else UNCOUNTED_PERMILLE
    if over < 0 or over * 1000 > ip * limit:
        found.append(f"{over:,} octets over the carrier's {ip:,}, and {limit} permille are allowed")
    if over > figures["error_bound_octets"]:
        found.append(f"{over:,} octets over, and the stated bound is {figures['error_bound_octets']:,}")
    if figures["rated_octets"] < figures["billed_octets"]:
        found.append(f"{figures['billed_octets'] - figures['rated_octets']:,} rated octets too few")
    if figures["stopped_at"]:
        found.append("the carrier had to stop the SIM")
    return found


def table(months: dict[tuple[str, str], dict[str, Any]]) -> str:
    """One row for each modem; where the targets differ, a figure of each."""
    lines = ["| Modem | Counter | Carried over, ‰ | Rated over, ‰ | Used, ‰ | Both targets |", "|---" * 6 + "|"]
    for modem in models.with_sockets():
        lives = [months[modem, target] for target in SIMULATED]
        over = ["{:.1f}".format(_over(each, "carried_octets", "ip_octets")) for each in lives]
        rated = ["{:.1f}".format(_over(each, "rated_octets", "billed_octets")) for each in lives]
        used = ["{:.0f}".format(each["billed_octets"] * 1000 / each["allowance_octets"]) for each in lives]
        same = "the same life" if lives[0]["life"] == lives[1]["life"] else "differ"
        counter = "yes" if models.load(modem).counter else "no"
        shown = (" / ".join(dict.fromkeys(each)) for each in (over, rated, used))
        lines.append(f"| {modem} | {counter} | {' | '.join(shown)} | {same} |")
    return "\n".join(lines) + "\n"


def _over(figures: dict[str, Any], device: str, carrier: str) -> float:
    return (figures[device] - figures[carrier]) * 1000 / figures[carrier]


def sources(scenario: str = SCENARIO) -> str:
    """A digest of what a run of the scenario depends on."""
    digest = hashlib.sha256((paths.scenarios() / f"{scenario}.toml").read_bytes())
    here = Path(paths.__file__).parents[1]
    for folder in (paths.firmware(), *(here / name for name in ("sim", "run", "build", "collector", "scenario"))):
        for file in sorted(folder.rglob("*")):
            if file.suffix in (".py", ".toml") and file.parent != paths.scenarios():
                digest.update(file.read_bytes())
    return digest.hexdigest()


def kept(results: Path, digest: str) -> Iterator[dict[str, Any]]:
    """The results of earlier runs that still hold."""
    if results.exists():
        for line in results.read_text("utf-8").splitlines():
            entry = json.loads(line)
            if entry.pop("sources") == digest:
                yield entry


def live(
    one: Callable[..., dict[str, Any]],
    todo: Iterable[tuple[Any, ...]],
    processes: int | None,
    results: Path,
    digest: str,
) -> Iterator[dict[str, Any]]:
    """The results of `one` of each of these, which are kept as they come."""
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool, results.open("a") as out:
        for run in as_completed([pool.submit(one, *each) for each in todo]):
            out.write(json.dumps(run.result() | {"sources": digest}) + "\n")
            out.flush()
            yield run.result()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.run.targets.months", description=__doc__)
    parser.add_argument("--processes", type=int, default=None, help="default: one per core")
    processes = parser.parse_args(arguments).processes
    digest = sources()
    months = {(each["modem"], each["target"]): each for each in kept(RESULTS, digest)}
    wanted = [(modem, target) for modem in models.with_sockets() for target in SIMULATED]
    failed = 0
    for each in live(month, [each for each in wanted if each not in months], processes, RESULTS, digest):
        months[each["modem"], each["target"]] = each
        print(f"{len(months)} of {len(wanted)}: {each['modem']} on {each['target']}", file=sys.stderr, flush=True)
    for modem, target in wanted:
        found = failures(months[modem, target])
        failed += bool(found)
        print(*(f"{modem} on {target}: {each}" for each in found), sep="\n", end="\n" if found else "")
    DOCUMENT.write_text(put(DOCUMENT.read_text("utf-8"), table(months), BEGIN, END), "utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
