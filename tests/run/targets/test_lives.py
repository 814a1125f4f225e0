"""Random lives of the whole device, in this process, against the simulated carrier: the promises hold throughout."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.run.targets.direct import DirectTarget, sockets
from host_tools.run.targets.link import DirectLink
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from host_tools.sim.board import PWRON, SOFT, WDT, PowerLoss
from host_tools.sim.modem import models
from host_tools.soak.invariants import UNCOUNTED

BASE = """
title = "a random life"
start = 2026-03-31T19:00:00+08:00
duration = "9h"
modem = "{modem}"
[plan]
allowance_octets = "{allowance}KB"
reserve_octets = 16384
margin_octets = {margin}
rating.per_packet_octets = {per_packet}
[upstream]
host = "collector"
interval_s = "3h"
sms_number = "+8613800138000"
[carrier]
per_packet_octets = {per_packet}
lag_s = {lag}
[network]
loss_permille = {loss}
[[host]]
name = "collector"
kind = "collector"
[[host]]
name = "api"
kind = "responder"
"""

LIVES = st.fixed_dictionaries(
    {
        "modem": st.sampled_from(models.with_sockets()),
        "allowance": st.integers(300, 1200),
        "per_packet": st.sampled_from([0, 14, 50]),
        "lag": st.sampled_from([0, 60, 7200]),
        "loss": st.sampled_from([0, 0, 20, 80]),
        "seed": st.integers(0, 1 << 16),
        "faults": st.lists(
            st.tuples(
                st.sampled_from(["cut", "cut-mcu", "watchdog", "soft", "modem"]),
                st.integers(60, 9 * 3600),
            ),
            max_size=6,
        ),
    }
)

QUIET = {
    "modem": "quectel-ec200u", "allowance": 300, "per_packet": 0, "lag": 0, "loss": 0, "seed": 1, "faults": [],
}  # fmt: skip


class Life:
    """One world, with a device that talks at random, and what has to hold in it."""

    def __init__(self, life):
        # The margin: what may be in flight in each socket when a limit is reached, and what a reading may be late by.
        text = BASE.format(margin=65536, **{k: v for k, v in life.items() if k not in ("seed", "faults")})
        self.world = World(scenario.loads(text, "life.toml"), life["seed"], {})
        self.rng = random.Random(life["seed"])
        self.world.board.on_status = self.check
        self.lossy = life["loss"] > 0
        self.counts = self.world.scenario.counts
        self.target = DirectTarget(self.world.scenario.device_config(), self.talk)
        for kind, at in life["faults"]:
            self.world.clock.at(at * 1_000_000, self.strike, kind)
        self.statuses = 0

    def strike(self, kind):
        board = self.world.board
        if kind == "cut":
            board.cut_power(self.rng.randrange(1, 600) * 1_000_000)
        elif kind == "cut-mcu":
            board.cut_power(self.rng.randrange(1, 60) * 1_000_000, modem_too=False)
        elif kind == "modem":
            self.world.modem.reset()
        else:
            board.reset(WDT if kind == "watchdog" else SOFT)

    def talk(self, guard):
        buffer = bytearray(1400)
        while True:
            guard.sleep(self.rng.randrange(1, 1200) * 1000)
            name = self.rng.choice(["telemetry", "telemetry", "ota"])
            request, reply = self.rng.randrange(8, 4000), self.rng.randrange(0, 20_000)
            with guard.traffic(name):
                sock = sockets.socket()
            try:
                sock.settimeout(60)
                sock.connect(("api", 7000))
                sock.write(b"UG" + request.to_bytes(2, "big") + reply.to_bytes(4, "big") + bytes(request - 8))
                while reply > 0:
                    got = sock.readinto(buffer)
                    if not got:
                        break
                    reply -= got
            except OSError:
                pass
            finally:
                sock.close()

    def check(self, status):
        """At every status: never below the carrier, never above by more than the bound says."""
        self.statuses += 1
        figures = self.world.carrier.figures(IMSI, self.world.carrier.cycles(IMSI)[-1])
        year, month, _ = figures["cycle"].split("-")
        if (int(year) - 2000) * 12 + int(month) - 1 != status["cycle"]:
            return  # the minutes around a boundary, or the time is not known yet
        if self.counts and not status["counted"]:
            return  # until the first reading after a boot, what came while the device was off is unknown
        above = status["carried_octets"] - figures["ip_octets"]
        if not self.lossy:
            again = 0 if self.counts else figures["ip_octets"] * UNCOUNTED // 1000
            assert above >= -status["unseen_octets"] - again, f"under-count by {-above} octets"
        assert above <= status["error_bound_octets"], f"{above} above, bound {status['error_bound_octets']}"

    def run(self):
        self.world.run(self.target.boot)
        for label in self.world.carrier.cycles(IMSI):
            figures = self.world.carrier.figures(IMSI, label)
            assert figures["stopped_at"] is None, "the carrier had to stop the SIM"
        assert self.statuses


@given(LIVES)
@settings(derandomize=True, max_examples=3, deadline=None)
def test_what_happens_in_a_few_lives(life):
    Life(life).run()


@pytest.mark.proof
@given(LIVES)
@settings(derandomize=True, max_examples=20, deadline=None)
def test_whatever_happens_the_device_counts_enough_and_stops_first(life):
    Life(life).run()


def test_a_board_without_power_takes_no_call():
    life = Life(QUIET | {"faults": [("cut", 60)]})
    board = life.world.board
    board.boot(PWRON)
    with pytest.raises(PowerLoss):
        life.target.boot(board)
    hal = life.target.guard.hal
    before = bytes(life.world.flash.data)
    for call in (lambda: hal.wait(5), lambda: hal.uart_write(b"AT", 2), lambda: hal.retained_write(bytes(16))):
        with pytest.raises(PowerLoss):
            call()
    with pytest.raises(PowerLoss):
        life.target.guard.ledger.commit()
    assert bytes(life.world.flash.data) == before


def test_install_in_the_simulators_process_is_refused():
    life = Life(QUIET | {"faults": [("cut", 60)]})
    life.world.board.boot(PWRON)
    with pytest.raises(PowerLoss):
        life.target.boot(life.world.board)
    with pytest.raises(RuntimeError, match="sockets"):
        life.target.guard.install()
    assert DirectLink.in_process


def test_resets_do_not_make_it_forget_how_many_short_messages_went():
    """The carrier has stopped the SIM and the device boots over and over: as many messages as allowed, and no more."""
    life = Life(QUIET | {"allowance": 1200})
    world = life.world
    world.scenario.upstream["max_sms_per_cycle"] = 2
    life.target = DirectTarget(world.scenario.device_config(), lambda guard: guard.sleep(1))
    world.board.on_status = None
    world.clock.at(60_000_000, world.carrier.stop, IMSI)
    for n in range(1, 8):
        world.clock.at(n * 3_700_000_000, world.board.reset, SOFT)
    world.run(life.target.boot)
    march = [at for at, _, _ in world.carrier.sms if at < 18_000_000_000]
    assert 1 <= len(march) <= 2


def test_a_device_that_lost_the_time_with_its_reserve_gone_asks_on_the_margin_and_resumes():
    life = Life(QUIET)
    world = life.world
    world.board.on_status = None  # what the test has spent, the carrier never saw

    def use_it_up(guard):
        guard.sleep(120_000)
        while guard.policy.data_wanted():
            guard.admission._spend(1000, 1000)
            guard.sleep(1000)

    life.target = DirectTarget(world.scenario.device_config(), use_it_up)
    world.clock.at(7_200_000_000, life.strike, "cut")
    world.run(life.target.boot)
    guard = life.target.guard
    told = [event["what"] for event in world.log.events if event["who"] == "device"]
    assert told.index("verdict-terminated") < told.index("way-in"), told
    assert guard.ledger.cycle_id == 9587, "April never began"
    assert guard.policy.names() == []
