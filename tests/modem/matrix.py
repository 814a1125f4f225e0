"""Every fault on every simulated modem: how soon data flows again, and that all payload that arrived is counted.

    python -m tests.modem.matrix [--processes N]

writes the table of firmware/MODEMS.md, between its markers: for each fault and modem the longest time of three seeds,
in simulated seconds. Exit status 1: a modem did not serve again, or payload is missing.
"""

from __future__ import annotations

import argparse
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from host_tools.base import paths

paths.use_firmware()

from usageguard.modem.connection import FREE, OPEN  # noqa: E402

from host_tools.sim.clock import S  # noqa: E402
from host_tools.sim.modem.sockets import Failure, Socket  # noqa: E402
from tests.modem.families import FAMILIES  # noqa: E402
from tests.modem.rig import DriverRig, Listener  # noqa: E402
from tests.modem.test_driver_with_sim import FAULTS, answer, request, spelled  # noqa: E402

SEEDS = (1, 2, 3)
MOST_S = 600
"""The longest until data flows again."""
DOCUMENT = Path(__file__).resolve().parents[2] / "firmware" / "MODEMS.md"
BEGIN, END = "<!-- faults: made by python -m tests.modem.matrix -->\n", "<!-- end of faults -->\n"


@dataclass(frozen=True, slots=True)
class Outcome:
    """`seconds` from the fault until a new connection had an answer, None where it never had; `missing` octets of
    payload were not counted."""

    seconds: float | None
    missing: int

    @property
    def passed(self) -> bool:
        return self.seconds is not None and self.missing <= 0


class Counts(Listener):
    """With what a modem that lost a connection may have held for it."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self._window = window

    def abandoned(self, connection, octets) -> None:
        self.received_octets += octets or self._window


def trial(name: str, fault: str, seed: int) -> Outcome:
    """Uses a modem for a while, lets the fault happen at some time in it, and waits until it serves again."""
    family = FAMILIES[name]
    rng = random.Random(f"{name} {fault} {seed}")
    rig = DriverRig(family, seed=seed)
    rig.listener = Counts(family.driver.WINDOW)
    rig.restart()
    rig.online()
    seen: list[Socket] = []
    sockets = rig.sim.dialect.sockets
    assert sockets
    opened = sockets.opened

    def remember(socket: Socket, failure: Failure | None) -> None:
        seen.append(socket)
        opened(socket, failure)

    sockets.opened = remember
    connection = rig.connect()
    rig.run(rng.uniform(0, 3))
    begun_us = rig.clock.now_us
    rig.sim.faults.inject(spelled(FAULTS[fault][0], family))
    rig.run(rng.choice((0, 0, 0.1, 1)))
    if connection.state == OPEN:
        rig.send(connection, request(3000))
        rig.read(connection, rng.choice((1, 3000)), rng.choice((1, 80)))
    connection.close()
    until_us = begun_us + MOST_S * S
    while rig.clock.now_us < until_us:
        left = (until_us - rig.clock.now_us) / S
        if not rig.run(left, lambda: rig.modem.online and all(each.state == FREE for each in rig.modem.connections)):
            break
        connection = rig.connect()
        served = connection.state == OPEN and rig.send(connection, request(300))
        served = served and rig.read(connection, 300) == answer(300)
        seconds = (rig.clock.now_us - begun_us) / S
        connection.close()
        if served:
            rig.run(30)
            arrived = sum(socket.read_octets + socket.unread for socket in seen)
            return Outcome(seconds, arrived - rig.listener.received_octets)
    return Outcome(None, 0)


def cells() -> list[tuple[str, str]]:
    return [(name, fault) for fault in FAULTS for name in FAMILIES]


def cell(which: tuple[str, str]) -> list[Outcome]:
    return [trial(*which, seed) for seed in SEEDS]


def table(outcomes: dict[tuple[str, str], list[Outcome]]) -> str:
    profiles = [FAMILIES[name].profile for name in FAMILIES]
    lines = [f"| Fault | {' | '.join(profiles)} |", "|---" * (len(profiles) + 1) + "|"]
    for fault in FAULTS:
        row = [outcomes[name, fault] for name in FAMILIES]
        shown = [f"{max(each.seconds or 0 for each in some):.0f}" if _passed(some) else "fails" for some in row]
        lines.append(f"| {fault} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def _passed(outcomes: list[Outcome]) -> bool:
    return all(each.passed for each in outcomes)


def put(text: str, made: str, begin: str = BEGIN, end: str = END) -> str:
    """The document with the table between the markers replaced."""
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{made}{end}{after}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.modem.matrix", description=__doc__)
    parser.add_argument("--processes", type=int, default=None, help="default: one per core")
    processes = parser.parse_args(arguments).processes
    outcomes, all_cells = {}, cells()
    with ProcessPoolExecutor(processes) as pool:
        for which, some in zip(all_cells, pool.map(cell, all_cells), strict=True):
            outcomes[which] = some
            if not _passed(some):
                print(f"{which[0]}, {which[1]}: {some}")
            if sys.stderr.isatty():
                print(f"\r{len(outcomes)} of {len(all_cells)}", end="", file=sys.stderr, flush=True)
    DOCUMENT.write_text(put(DOCUMENT.read_text("utf-8"), table(outcomes)), "utf-8")
    return 0 if all(map(_passed, outcomes.values())) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
