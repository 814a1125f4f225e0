"""A month of wakes every ten minutes, through random power cuts, with the modem on or off in the sleep.

    python -m tests.run.targets.month_of_sleep [DAYS [SEED [MODEM [off]]]]

`off`: always off. Exit status 1: it was counted too low, or more than 2 % too high. 30 days, 4,320 wakes, take some
minutes; 31 are the most, as what is compared is one period of the plan.
"""

import contextlib
import random
import sys

from host_tools.run.world import World
from host_tools.scenario import file as scenario
from host_tools.sim.clock import S
from tests.run.targets.test_sleep import BASE, Sleeper, ask, nap

DAY_S = 86_400
OVER_PERMILLE = 20
CUTS_PERMILLE = 250  # of the days


class Month(Sleeper):
    """`under` are the octets by which a status was below what the carrier had counted, beyond what it says to have
    hidden; `cuts` the power cuts."""

    def __init__(self, days, seed, modem="quectel-ec200u", always_off=False, cuts_permille=CUTS_PERMILLE):
        text = BASE.format(duration=f"{days}d", modem=modem).replace("2026-03-10", "2026-03-01")
        super().__init__(World(scenario.loads(text, "month.toml"), seed, {}))  # all in one period of the plan
        self._rng = random.Random(seed)
        self._always_off = always_off
        self.under = self.cuts = self.switched_off = 0
        self.world.board.on_status = self._check
        for day in range(days):
            if self._rng.randrange(1000) < cuts_permille:
                self.cuts += 1
                at = day * DAY_S + self._rng.randrange(600, DAY_S)
                self.world.clock.at(at * S, self.world.board.cut_power, self._rng.randrange(1, 600) * S)

    def _live(self, guard):
        with contextlib.suppress(OSError):
            ask()
        stays = not self._always_off and self._rng.random() < 0.5
        self.switched_off += not stays
        nap(self.world, guard, modem=stays)

    def _check(self, status):
        if status["counted"]:  # until the first reading after a boot, what came while it was off is unknown
            below = self.ip_octets - status["carried_octets"] - status["unseen_octets"]
            self.under = max(self.under, below)

    @property
    def over_permille(self):
        return 1000 * (self.carried - self.ip_octets) / self.ip_octets


def main(arguments):
    days = int(arguments[0]) if arguments else 30
    seed = int(arguments[1]) if len(arguments) > 1 else 1
    month = Month(days, seed, *arguments[2:3], always_off="off" in arguments[3:]).run()
    print(
        f"{month.world.board.boots:,} wakes, {month.cuts} power cuts, the modem off {month.switched_off:,} times: "
        f"{month.carried:,} octets for the carrier's {month.ip_octets:,}, {month.over_permille:+.1f} permille"
    )
    return int(not (month.under <= 0 <= month.over_permille <= OVER_PERMILLE))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
