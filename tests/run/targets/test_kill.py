"""The real VM is killed inside its flash operations, over and over: its books agree with the carrier's throughout."""

import itertools
from datetime import date

import pytest

from host_tools.build.image import Image
from host_tools.run.apps import bench_json
from host_tools.run.targets.process import DeviceProcess
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from host_tools.sim.board import PWRON, WDT, Finished, PowerLoss
from host_tools.sim.flash import Cut, PowerCut

TEXT = """
title = "a VM that is killed"
start = 2026-03-31T22:00:00+08:00
duration = "7h"
[plan]
allowance_octets = "30MB"
[upstream]
host = "collector"
interval_s = "1h"
[[host]]
name = "collector"
kind = "collector"
[[host]]
name = "api"
kind = "responder"
[[traffic]]
class = "telemetry"
kind = "request"
host = "api"
period = "2m"
tx = 900
rx = "6KB"
"""
KILLS = 16
EVERY = 3  # flash operations of a boot, and the one in which it is killed: 0, 3, 6 ... and round again
LATEST = 15
EFFECTS = ("nothing", "prefix", "all", "bits")


class Killed:
    """One world whose device is killed in every EVERY-th flash operation, with each effect; `lost`: RTC memory too."""

    def __init__(self, lost):
        self.world = World(scenario.loads(TEXT, "kill.toml"), 5, {})
        self.cause = PWRON if lost else WDT
        self.kills = self.statuses = 0
        self.boot_ids = []
        self.world.board.on_status = self.check

    def check(self, status):
        if not self.boot_ids or self.boot_ids[-1] != status["boot_id"]:
            self.boot_ids.append(status["boot_id"])
        figures = self.world.carrier.figures(IMSI, self.world.carrier.cycles(IMSI)[-1])
        cycle = (date.fromisoformat(figures["cycle"]) - date(2000, 1, 1)).days
        if cycle != status["cycle"] or not status["counted"]:
            return  # the minutes around the boundary; or before the first reading after a boot
        self.statuses += 1
        above = status["carried_octets"] - figures["ip_octets"]
        assert above >= -status["unseen_octets"], f"under-count by {-above} octets after {self.kills} kills"
        assert above <= status["error_bound_octets"], f"{above} above, bound {status['error_bound_octets']}"

    def killed(self, flash):
        """What becomes of the flash meanwhile: nothing."""

    def run(self):
        world, board = self.world, self.world.board
        places = itertools.cycle(range(0, LATEST, EVERY))
        cause = PWRON
        with Image(mpy=True) as image:
            image.write_json("config.json", world.scenario.device_config())
            target = DeviceProcess("micropython", image)
            while True:
                killing = self.kills < KILLS
                effect = EFFECTS[self.kills % len(EFFECTS)]
                world.flash.arm(Cut(next(places), effect, 1 + self.kills * 37 % 255) if killing else None)
                image.write_json("bench.json", bench_json(world, "workload"))
                board.boot(cause)
                try:
                    target.boot(board)
                except PowerCut:
                    self.kills += 1
                    self.killed(world.flash)
                    cause = self.cause
                    board.cut_power(0, modem_too=False)
                except PowerLoss as loss:
                    cause = loss.cause
                except Finished:
                    return


@pytest.mark.parametrize(
    "lost", [pytest.param(True, id="rtc-lost"), pytest.param(False, id="rtc-kept", marks=pytest.mark.proof)]
)
def test_the_books_agree_however_often_the_vm_is_killed(lost):
    killed = Killed(lost)
    killed.run()
    assert killed.kills == KILLS, "the scenario is too short for so many"
    assert killed.statuses >= 5, "nothing was checked"
    assert killed.boot_ids == sorted(set(killed.boot_ids)), "a boot id came twice"
    figures = killed.world.carrier.figures(IMSI, killed.world.carrier.cycles(IMSI)[-1])
    assert figures["ip_octets"] > 100_000, "the application never talked"
    assert figures["stopped_at"] is None
    assert killed.world.store.reports_received(killed.world.device_id) > 0


class RolledBack(Killed):
    """Control: the flash of a day before comes back, and the modem's counter does not show what has passed since."""

    def killed(self, flash):
        if self.kills == KILLS // 2:
            self.before = flash.save()
        elif self.kills == KILLS:
            flash.restore(self.before)
            self.world.modem.data.counter.octets = [0, 0]


def test_the_check_has_teeth():
    with pytest.raises(AssertionError, match="under-count"):
        RolledBack(lost=True).run()
