"""Bring-up, stop and short message in real time on a virtual board, with every simulated modem that has sockets:

    python -m tests.run.targets.boards [--at-once N] [MODEM ...]

Each takes some 40 s, in which it computes for a tenth. Exit status 1: an expectation did not hold.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed

from host_tools.sim.modem import models
from tests.run.targets.wired import live

SCENARIOS = ("rt-bring-up", "rt-stop", "rt-sms")


def failures(name: str, modem: str) -> list[str]:
    """What did not hold in that scenario with that modem."""
    result = live(name, modem)
    found = list(result["failures"])
    short = result["carrier"]["ip_octets"] - result["device"]["carried_octets"]
    if short > 0:
        found.append(f"the device counted {short:,} octets too few")
    return found + [
        f"{event['who']}: {event['what']}"
        for event in result["events"]
        if (event["who"], event["what"]) in (("device", "app-crash"), ("bench", "uart-overflow"))
    ]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.run.targets.boards", description=__doc__)
    parser.add_argument("--at-once", type=int, default=4, metavar="N", help="boards at a time (default: 4)")
    parser.add_argument("modems", nargs="*", metavar="MODEM", help="profiles (default: all)")
    options = parser.parse_args(arguments)
    failed = 0
    with ProcessPoolExecutor(options.at_once, multiprocessing.get_context("spawn")) as pool:
        modems = options.modems or models.with_sockets()
        runs = {pool.submit(failures, name, modem): (name, modem) for modem in modems for name in SCENARIOS}
        for run in as_completed(runs):
            found = run.result()
            failed += bool(found)
            print(*runs[run], "; ".join(found) or "holds", flush=True)
    print(f"{len(runs) - failed} of {len(runs)} hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
