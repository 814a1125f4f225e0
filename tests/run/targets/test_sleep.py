"""Deep sleep: a wake goes on in the same books. In this process, with random failures; the scenario is in `both`."""

import contextlib
import random
from collections import Counter
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.run.run import run_scenario
from host_tools.run.targets.direct import DirectTarget, sockets
from host_tools.run.targets.names import SIMULATED
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from host_tools.sim.board import DEEPSLEEP, SOFT, WDT
from host_tools.sim.clock import S
from host_tools.sim.modem import models

# isort: split
from usageguard.core.meter import Meter

BASE = """
title = "sleeps between requests"
start = 2026-03-10T00:00:00+08:00
duration = "{duration}"
modem = "{modem}"
[plan]
allowance_octets = "50MB"
[upstream]
host = "collector"
interval_s = "1h"
[[host]]
name = "collector"
kind = "collector"
[[host]]
name = "api"
kind = "responder"
"""
PSM = '[psm]\nactive_s = "10s"\nperiodic_s = "12h"\n'
BOOT, VALIDITY_TIME = 16, 4
PERIOD_MS = 600_000


def world(duration="1d", modem="quectel-ec200u", seed=1, more=""):
    return World(scenario.loads(BASE.format(duration=duration, modem=modem) + more, "nap.toml"), seed, {})


def ask(tx=64, rx=400):
    """One request; an OSError is the network's."""
    sock = sockets.socket()
    try:
        sock.settimeout(60)
        sock.connect(("api", 7000))
        sock.write(b"UG" + tx.to_bytes(2, "big") + rx.to_bytes(4, "big") + bytes(tx - 8))
        while rx > 0:
            got = sock.read(min(rx, 512))
            if not got:
                break
            rx -= len(got)
    finally:
        sock.close()


def nap(world, guard, **given):
    """Sleeps until the next multiple of ten minutes."""
    guard.deep_sleep(PERIOD_MS - world.clock.now_us // 1000 % PERIOD_MS, **given)


class Sleeper:
    """A device in `world` that asks once and sleeps again, in each boot."""

    def __init__(self, world, **given):
        self.world = world
        self._given = given
        self.target = DirectTarget(world.scenario.device_config(), self._live)
        self.guards = []

    def _live(self, guard):
        self.guards.append(guard)
        with contextlib.suppress(OSError):
            ask()
        nap(self.world, guard, **self._given)

    def run(self):
        self.world.run(self.target.boot)
        return self

    @property
    def carried(self):
        return self.target.guard.admission.carried_octets()

    @property
    def ip_octets(self):
        return self.world.carrier.figures(IMSI)["ip_octets"]

    def reports(self):
        history = self.world.store.history(self.world.device_id)
        return Counter(each.report.reporting_reason for each in history)


def counted(modem):
    return models.load(modem).counter is not None


@pytest.mark.parametrize(
    "modem",
    [
        pytest.param(name, marks=() if name == "quectel-ec200u" else pytest.mark.proof)
        for name in models.with_sockets()
        if counted(name)
    ],
)
def test_a_day_of_wakes_every_ten_minutes_costs_one_report_an_hour_and_two_percent(modem):
    sleeper = Sleeper(world(modem=modem)).run()
    assert sleeper.world.board.boots == 144
    assert sleeper.ip_octets <= sleeper.carried <= sleeper.ip_octets * 1.02
    assert sleeper.carried - sleeper.ip_octets <= sleeper.target.guard.admission.error_bound_octets()
    reports = sleeper.reports()
    assert reports[BOOT] == 1
    assert reports[VALIDITY_TIME] in (22, 23)
    assert sleeper.world.store.reports_lost(sleeper.world.device_id) == 0
    happened = Counter(event["what"] for event in sleeper.world.log.events)
    assert happened["pdp-up"] == 1, "the data session went on"


@pytest.mark.parametrize(("modem", "more"), [(scenario.USUAL_MODEM, ""), ("bg95-m3", PSM)])
def test_both_targets_sleep_alike(modem, more):
    """The scenario's first hour: what one takes over a sleep the other does too."""
    text = scenario.find("deep-sleep").read_text("utf-8").replace('"1d"', '"1h"').partition("[expect]")[0] + more
    played = scenario.loads(text, "hour.toml", modem)
    cpython, micropython = (run_scenario(played, name).to_json() for name in SIMULATED)
    assert ("psm" in {event["what"] for event in cpython["events"]}) == (more == PSM)
    assert cpython["events"] == micropython["events"]
    device, carrier = micropython["device"], micropython["carrier"]
    assert device["carried_octets"] == cpython["device"]["carried_octets"]
    assert 0 <= device["carried_octets"] - carrier["ip_octets"] <= device["error_bound_octets"]


def test_a_wake_is_on_time_however_long_it_took_to_fall_asleep():
    """Over PPP reading the counter takes seconds."""
    text = BASE.format(duration="50m", modem="quectel-ec200u")
    sleeper = Sleeper(World(scenario.loads(text, "nap.toml", bearer="ppp"), 1, {})).run()
    boots = [event["t"] for event in sleeper.world.log.events if event["what"] == "boot" and event["who"] == "device"]
    begun = sleeper.world.clock.start
    late = [datetime.fromisoformat(at) - begun - i * timedelta(minutes=10) for i, at in enumerate(boots)]
    assert len(late) == 5
    assert max(map(abs, late)) < timedelta(milliseconds=10)
    assert sleeper.ip_octets >= 5 * 700, "each had its answer"
    assert 0 <= sleeper.carried - sleeper.ip_octets <= sleeper.target.guard.admission.error_bound_octets()


def test_a_modem_without_a_counter_counts_asleep_what_it_counts_awake():
    asleep = Sleeper(world("6h", "ml307r")).run()

    def stay(guard):
        while True:
            ask()
            guard.modem.names.forget()  # as a wake has no names
            guard.sleep(PERIOD_MS - awake.clock.now_us // 1000 % PERIOD_MS)

    awake = world("6h", "ml307r")
    target = DirectTarget(awake.scenario.device_config(), stay)
    awake.run(target.boot)
    over = asleep.carried - asleep.ip_octets
    over_awake = target.guard.admission.carried_octets() - awake.carrier.figures(IMSI)["ip_octets"]
    assert 0 <= over <= over_awake * 1.05


@pytest.mark.parametrize("modem", ["quectel-ec200u", "sim7600e"])
def test_a_modem_that_is_switched_off_is_never_counted_too_low(modem):
    sleeper = Sleeper(world("6h", modem), modem=False).run()
    happened = Counter(event["what"] for event in sleeper.world.log.events)
    assert happened["supply-off"] == happened["deep-sleep"] >= 36
    assert sleeper.ip_octets <= sleeper.carried
    assert sleeper.carried - sleeper.ip_octets <= sleeper.target.guard.admission.error_bound_octets()
    assert sleeper.reports()[BOOT] == 1


def seconds_of(sleeper, what, after):
    """How long after each event `after` the event `what` came."""
    begun, found = None, []
    for event in sleeper.world.log.events:
        at = datetime.fromisoformat(event["t"])
        if (event["who"], event["what"]) == after:
            begun = at
        elif event["what"] == what and begun is not None:
            found.append((at - begun).total_seconds())
    return found


def test_a_modem_that_is_off_is_on_for_no_longer_than_its_traffic_takes():
    sleeper = Sleeper(world("2h"), modem=False).run()
    assert max(seconds_of(sleeper, "supply-on", ("device", "boot"))[1:]) < 0.1, "it is not asked whether it is on"
    assert max(seconds_of(sleeper, "supply-off", ("modem", "pdp-up"))[1:]) < 22, "20 s after the last traffic"


@pytest.mark.parametrize(
    ("given", "more", "modem"),
    [({}, "", "quectel-ec200u"), ({"modem": False}, "", "quectel-ec200u"), ({}, PSM, "bg95-m3")],
    ids=["stays", "off", "psm"],
)
def test_the_status_tells_for_how_long_the_modem_was_on(given, more, modem):
    """Against a look at the modem ten times a second."""
    sleeper = Sleeper(world("2h", modem, more=more), **given)
    clock, looked_on, told = sleeper.world.clock, [0], []

    def look():
        looked_on[0] += sleeper.world.modem.working
        clock.after(S // 10, look)

    look()
    sleeper.world.board.on_status = lambda status: told.append((looked_on[0] / 10, status["radio_on_s"]))
    sleeper.run()
    wakes = sleeper.world.board.boots
    on_s, said_s = told[-1]
    # A wake counts from its beginning, some seconds before the modem answers. On its way into PSM that is on for 20 s.
    assert -7 * wakes <= on_s - said_s <= (20 if more else 1) * wakes
    assert said_s >= (6_500 if not given and not more else 20 * (wakes - 1))


def psm(profile, duration="6h", **given):
    return Sleeper(world(duration, profile, more=PSM), **given)


def test_a_modem_in_psm_is_back_at_once_and_counted_as_closely():
    sleeper = psm("bg95-m3").run()
    happened = Counter(event["what"] for event in sleeper.world.log.events)
    assert happened["psm"] == sleeper.world.board.boots == 36
    assert happened["supply-on"] == 1
    assert "psm-not-entered" not in happened
    assert max(seconds_of(sleeper, "pdp-up", ("device", "boot"))[1:]) < 8, "16 s for a modem that was off"
    assert 0 <= sleeper.carried - sleeper.ip_octets <= sleeper.ip_octets * 0.02
    assert sleeper.carried - sleeper.ip_octets <= sleeper.target.guard.admission.error_bound_octets()
    assert sleeper.reports()[BOOT] == 1


@pytest.mark.parametrize("modem", ["sim7080g", "sara-r5", "sim7000g"])
def test_whatever_a_modem_in_psm_forgets_it_is_not_counted_too_low(modem):
    sleeper = psm(modem, "2h").run()
    assert Counter(event["what"] for event in sleeper.world.log.events)["psm"] == 12
    over = sleeper.carried - sleeper.ip_octets
    assert 0 <= over <= sleeper.target.guard.admission.error_bound_octets()


def test_without_the_networks_consent_the_modem_stays_on_and_the_device_says_so():
    sleeper = psm("bg95-m3", "1h")
    sleeper.world.modem.power_saving._granted = False
    sleeper.run()
    happened = Counter(event["what"] for event in sleeper.world.log.events)
    assert happened["psm-not-entered"] == sleeper.world.board.boots - 1 == 5
    assert happened["psm"] == 0
    assert 0 <= sleeper.carried - sleeper.ip_octets <= sleeper.target.guard.admission.error_bound_octets()


def test_switched_off_by_order_a_modem_with_psm_is_off():
    sleeper = psm("bg95-m3", "1h", modem=False).run()
    happened = Counter(event["what"] for event in sleeper.world.log.events)
    assert (happened["psm"], happened["supply-off"]) == (0, 6)


def test_psm_over_ppp():
    text = BASE.format(duration="1h", modem="sim7080g") + PSM
    sleeper = Sleeper(World(scenario.loads(text, "nap.toml", bearer="ppp"), 1, {})).run()
    assert Counter(event["what"] for event in sleeper.world.log.events)["psm"] == 6
    assert 0 <= sleeper.carried - sleeper.ip_octets <= sleeper.target.guard.admission.error_bound_octets()


def test_a_report_that_no_path_took_goes_after_the_sleep():
    """The device sleeps before it is online: its report of the boot is sent in the second life, as the first one's."""
    early = world("1h")
    boots = []

    def live(guard):
        boots.append(guard.ledger.boot_id)
        if len(boots) == 1:
            guard.outbox._hold.start(guard.hal.ticks_ms(), 30_000)  # as after a failure
            nap(early, guard)
        guard.sleep(1 << 28)

    early.run(DirectTarget(early.scenario.device_config(), live).boot)
    assert boots == [1, 1]
    first = early.store.history(early.device_id)[0].report
    assert (first.reporting_reason, first.boot_id, first.seq) == (BOOT, 1, 0)


@pytest.mark.parametrize("cause", [SOFT, WDT, DEEPSLEEP])
def test_a_record_of_a_sleep_holds_for_one_boot(cause):
    """After the wake comes a reset that nobody prepared: it reports a boot, and charges what may have arrived."""
    once = world("1h")
    boots = []

    def live(guard):
        boots.append((guard.ledger.boot_id, bool(guard.admission._unseen)))
        guard.sleep(60_000)
        if len(boots) == 1:
            nap(once, guard)
        if len(boots) == 2:
            once.clock.after(5 * S, once.board.reset, cause)
        guard.sleep(1 << 28)

    once.run(DirectTarget(once.scenario.device_config(), live).boot)
    third = boots[2][0]
    assert boots == [(1, False), (1, False), (third, True)]
    assert third > 1
    history = once.store.history(once.device_id)
    assert [each.report.boot_id for each in history if each.report.reporting_reason == BOOT] == [1, third]


@pytest.mark.parametrize("at", [0, 17, 21, 30, 200])
def test_a_torn_record_is_a_boot(at):
    torn = world("1h")
    boots = []

    def tear():
        torn.board.retained[at] ^= 1

    def live(guard):
        boots.append(guard.ledger.boot_id)
        guard.sleep(60_000)
        if len(boots) == 1:
            torn.clock.after(100 * S, tear)
            nap(torn, guard)
        guard.sleep(1 << 28)

    torn.run(DirectTarget(torn.scenario.device_config(), live).boot)
    assert boots == [1, 2]


def test_another_program_makes_no_use_of_the_record(monkeypatch):
    changed = world("1h")
    boots = []
    init = Meter.__init__

    def newer(self, rating):
        init(self, rating)
        self._new = 0

    def live(guard):
        boots.append(guard.ledger.boot_id)
        guard.sleep(60_000)
        if len(boots) == 1:
            monkeypatch.setattr(Meter, "__init__", newer)
            nap(changed, guard)
        guard.sleep(1 << 28)

    changed.run(DirectTarget(changed.scenario.device_config(), live).boot)
    happened = [event["what"] for event in changed.log.events if event["who"] == "device"]
    assert happened.count("sleep-forgotten") == 1
    assert happened.count("boot") == 3
    assert boots[0] == 1
    assert boots[1] > 1


LIVES = st.fixed_dictionaries(
    {
        "modem": st.sampled_from(models.with_sockets()),
        "seed": st.integers(0, 1 << 16),
        "stays": st.booleans(),
        "faults": st.lists(
            st.tuples(
                st.sampled_from(["cut", "cut-mcu", "modem", "counter", "pin", "session"]),
                st.integers(60, 6 * 3600),
            ),
            max_size=8,
        ),
    }
)


class Life(Sleeper):
    """Requests of any size and sleeps of any length, while power, modem and network fail."""

    def __init__(self, life):
        super().__init__(world("6h", life["modem"], life["seed"]))
        self.rng = random.Random(life["seed"])
        self._stays = life["stays"]
        self.counts = counted(life["modem"])
        self.statuses = 0
        self.world.board.on_status = self.check
        for kind, at in life["faults"]:
            self.world.clock.at(at * S, self.strike, kind)

    def strike(self, kind):
        board, modem = self.world.board, self.world.modem
        if kind == "cut":
            board.cut_power(self.rng.randrange(1, 600) * S)
        elif kind == "cut-mcu":
            board.cut_power(self.rng.randrange(1, 60) * S, modem_too=False)
        elif kind == "modem":
            modem.reset()
        elif kind == "counter":
            modem.data.counter.octets = [0, 0]
        elif kind == "pin":
            board.reset(DEEPSLEEP)  # ends a sleep early; awake, it is one that the guard has not prepared
        else:
            self.world.carrier.deactivate(IMSI)

    def _live(self, guard):
        while self.rng.random() < 0.7:
            with contextlib.suppress(OSError):
                ask(self.rng.randrange(8, 3000), self.rng.randrange(0, 9000))
        guard.deep_sleep(self.rng.randrange(1, 1800) * 1000, modem=self._stays or self.rng.random() < 0.5)

    def check(self, status):
        self.statuses += 1
        if self.counts and not status["counted"]:
            return  # until the first reading after a boot, what came while the device was off is unknown
        above = status["carried_octets"] - self.ip_octets
        assert above >= -status["unseen_octets"], f"under-count by {-above} octets"
        assert above <= status["error_bound_octets"], f"{above} above, bound {status['error_bound_octets']}"


@given(LIVES)
@settings(derandomize=True, max_examples=3, deadline=None)
def test_what_happens_in_a_few_lives(life):
    assert Life(life).run().statuses


@pytest.mark.proof
@given(LIVES)
@settings(derandomize=True, max_examples=20, deadline=None)
def test_whatever_happens_a_sleeper_counts_enough(life):
    assert Life(life).run().statuses


@pytest.mark.proof
def test_two_days_of_wakes_through_a_power_cut_with_the_modem_on_or_off():
    """A sample of `python -m tests.run.targets.month_of_sleep`."""
    from tests.run.targets.month_of_sleep import OVER_PERMILLE, Month

    days = Month(2, 1).run()
    assert days.cuts == 1
    assert days.under <= 0 <= days.over_permille <= OVER_PERMILLE
    assert days.world.board.boots >= 280
    assert 0 < days.switched_off < 288


@pytest.mark.proof
@pytest.mark.parametrize("modem", ["ec801e", "sim7080g", "sara-r5"])
def test_three_days_of_wakes_with_a_counter_that_begins_at_zero(modem):
    """It is switched off in each sleep. A day would be too short: a few surpluses are not given back."""
    from tests.run.targets.month_of_sleep import OVER_PERMILLE, Month

    days = Month(3, 1, modem, always_off=True, cuts_permille=0).run()
    assert days.under <= 0 <= days.over_permille <= OVER_PERMILLE
    assert days.switched_off == days.world.board.boots == 432
