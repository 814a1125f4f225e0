"""The account's part of a whole device, in this process and in virtual time: what an application makes of it."""

import contextlib

import pytest
from usageguard.core.meter import DNS_FIXED
from usageguard.modem.quectel import Quectel

from host_tools.base.days import day_number
from host_tools.run.targets.direct import DirectTarget, sockets
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from host_tools.sim.network.hosts import VirtualHost
from tests.core.test_burst_portable import usual_of

TEXT = """
title = "an account"
start = 2026-03-10T12:00:00+08:00
duration = "{duration}"
[plan]
allowance_octets = "{allowance}"
{plan}
[upstream]
host = "collector"
interval_s = "{interval}"
{more}
[[host]]
name = "collector"
kind = "collector"
"""
POOL = """
[carrier.pool]
allowance_octets = "1GB"
members = [{ octets_per_hour = "4KB", count = 9 }]
"""


class Sink(VirtualHost):
    def on_datagram(self, payload, source, port):
        pass


class Life:
    """`app(guard)` on a device, to the end of the scenario."""

    def __init__(self, app, plan, more="", duration="1d", interval="1h", allowance="30MB"):
        text = TEXT.format(plan=plan, more=more, duration=duration, interval=interval, allowance=allowance)
        self.world = World(scenario.loads(text, "test.toml"), 1, {})
        self.world.internet.add_host("sink", Sink())
        self.target = DirectTarget(self.world.scenario.device_config(), app)
        self.world.run(self.target.boot)
        assert self.target.guard
        self.guard = self.target.guard

    def events(self, *names):
        return [event["what"] for event in self.world.log.events if event["what"] in names]


def idle(guard):
    while True:
        guard.sleep(600_000)


def send(octets):
    """One datagram, over a socket of its own."""
    with sockets.socket(sockets.AF_INET, sockets.SOCK_DGRAM) as sock:
        sock.sendto(bytes(octets), ("sink", 7))


def denied_each_second(denied):
    def app(guard):
        guard.sleep(2_000_000)
        while True:
            guard.sleep(1000)
            try:
                send(10)
            except OSError:
                denied.append(guard.policy.reasons)

    return app


HOLDING = '[plan.pool]\nholding_s = 600\non_silence = "terminate"'


@pytest.mark.proof
def test_a_share_that_was_given_back_is_there_again_soon_after_somebody_wants_it():
    denied = []
    life = Life(denied_each_second(denied), HOLDING, POOL, "2h")
    assert life.events("verdict-restricted"), "given back"
    assert 0 < len(denied) < 60, "seconds"


@pytest.mark.proof
def test_upstream_that_gives_nothing_is_asked_less_and_less_often():
    denied = []
    life = Life(denied_each_second(denied), HOLDING, POOL + "[owner]\npush = []")
    assert len(denied) > 50_000
    assert life.guard.outbox.reports_sent <= 24 + 12, "the hourly ones, and those that double"


def test_the_time_in_which_nobody_knew_the_time_is_no_holding_time():
    life = Life(idle, '[plan.pool]\nholding_s = "2h"\non_silence = "terminate"', POOL + "[owner]\npush = []", "1h")
    assert life.events("time-trusted")
    assert not life.events("verdict-restricted")


def test_a_key_for_a_part_that_the_plan_does_not_have_is_told_and_the_others_obeyed():
    order = '[[order]]\nat = "10m"\nbalance_fen = -5\ngrant_octets = 0\nbilling = 2026-03-10\nstop = true\n'
    life = Life(idle, "", order, "2h")
    told = [event["a"] for event in life.world.log.events if event["what"] == "order-without-part"]
    assert told == [5, 7, 11], "once each"
    assert life.guard.policy.names() == ["STOPPED_BY_HAND"]
    assert (life.guard.account.standing.counter, life.guard.account.refused) == (2, 1), "after the stop"


@pytest.mark.parametrize("after_ms", [0, 60_000])
def test_activated_before_the_time_is_known_it_counts_from_the_day_that_is_told(after_ms):
    def app(guard):
        guard.sleep(after_ms)
        assert guard.periods.clock.now(guard.hal.ticks_ms()) is None
        guard.activate()
        idle(guard)

    text = TEXT.format(plan="", more="", duration="1d", interval="1h", allowance="30MB")
    today = day_number(scenario.loads(text, "t").start.date())
    guard = Life(app, 'cycle_days = 30\n[plan.lifecycle]\nbilling_from = "2026-10-01"', duration="2h").guard
    assert (guard.ledger.cycle_id, guard.policy.names()) == (today, [])
    assert guard.config.plan.cycle.bounds(today + 30)[0] == guard.config.plan.cycle.midnight(today + 30)


def test_sockets_that_are_closed_at_once_are_slowed_down_too():
    """By the balance of octets: the burst, the rate times the time, and the debt of one datagram and its connection."""
    spent = []

    def app(guard):
        guard.sleep(600_000)
        assert guard.policy.names() == ["THROTTLED_BY_HAND"]
        before, began = guard.admission.carried_octets(), guard.hal.ticks_ms()
        while guard.hal.ticks_ms() - began < 600_000:
            send(1000)
        spent.append((guard.admission.carried_octets() - before, guard.hal.ticks_ms() - began))
        idle(guard)

    Life(app, "", '[[order]]\nat = "1m"\nthrottle_octets_s = 100', "1h", "5m")
    octets, ms = spent[0]
    assert octets <= 4096 + ms // 10 + 3000, "of reports too"


def test_a_slowed_socket_that_may_not_wait_so_long_says_so():
    errors = []

    def app(guard):
        guard.sleep(600_000)
        for timeout in (5, 0):
            guard.admission._bucket.take(20_000, guard.hal.ticks_ms())
            sock, began = sockets.socket(), guard.hal.ticks_ms()
            sock.settimeout(timeout)
            with pytest.raises(OSError) as caught:
                sock.connect(("sink", 7))
            errors.append((caught.value.errno, (guard.hal.ticks_ms() - began) // 1000))
        idle(guard)

    Life(app, "", '[[order]]\nat = "1m"\nthrottle_octets_s = 100', "1h", "5m")
    assert errors == [(sockets.ETIMEDOUT, 5), (sockets.ENETDOWN, 60)]


def test_another_billing_day_grants_nothing_of_what_was_granted():
    """Over the flash, by an application that takes what it gets; the carrier's period is that of the first plan."""

    def app(guard):
        while True:
            guard.sleep(60_000)
            with contextlib.suppress(OSError):
                send(1000)

    text = TEXT.format(plan="", more='[carrier]\nlag_s = 60\n', duration="6d", interval="6h", allowance="200KB")
    world = World(scenario.loads(text + '[[fault]]\nkind = "power_cut"\nat = "3d"\n', "test.toml"), 1, {})
    world.internet.add_host("sink", Sink())
    config = world.scenario.device_config()
    boots = []

    def boot(board):
        day = (1, 10)[len(boots)]
        boots.append(DirectTarget(config | {"plan": config["plan"] | {"cycle_start_day": day}}, app))
        boots[-1].boot(board)

    world.run(boot)
    events = [event["what"] for event in world.log.events if event["who"] in ("device", "carrier")]
    assert "plan-changed" in events
    guard = boots[1].guard
    assert guard.ledger.cycle_id == day_number(world.scenario.start.date())
    assert guard.policy.names() == ["QUOTA_EXHAUSTED"]
    assert not world.carrier.denies(IMSI)
    billed = world.carrier.figures(IMSI, "2026-03-01")["billed_octets"]
    assert 150_000 < billed <= guard.admission.used.value()


BURST = '[plan.burst]\nfactor = 2\nfloor_octets = "16KB"\nwindow_s = 3600\nhold_s = 120'


def test_the_usual_is_learned_from_whole_windows_and_a_hold_ends_in_time():
    seen = []

    def app(guard):
        burst = guard.admission.burst
        for _ in range(8 * 60):
            before = burst._sums[0]
            send(200)
            seen[:] = [burst._sums[0] - before]
            guard.sleep(60_000)
        guard.sleep(120_000)
        seen.append(usual_of(burst, 0))
        with contextlib.suppress(OSError):
            while True:
                send(1000)
                guard.sleep(100)
        began = guard.hal.ticks_ms()
        assert guard.policy.names() == ["BURST"]
        while guard.policy.held:
            guard.sleep(1000)
        seen.append(guard.hal.ticks_ms() - began)
        idle(guard)

    Life(app, BURST, duration="10h")
    each, usual, held_ms = seen
    lookups = 12 * (DNS_FIXED + 2 * len("sink"))
    assert 57 * each <= usual <= 60 * each + lookups, "60 an hour, less what is waited for"
    assert held_ms <= 121_000


def test_what_is_owed_beyond_all_bounds_is_stored_in_a_few_records():
    def app(guard):
        guard.sleep(60_000)
        ledger, used = guard.ledger, guard.admission.used
        writes, expected = ledger._ring.writes, used.value() + (1 << 50)
        guard.admission.owe(1 << 50)
        assert used.value() == expected == ledger.rated.value() - ledger.rated_base.value()
        assert ledger._ring.writes - writes <= 4
        assert not ledger._rated.ceil.less(ledger.rated)
        idle(guard)

    assert Life(app, "", duration="10m").events("verdict-terminated")


def test_a_stop_gives_back_what_was_leased_for_a_connection():
    leased = []

    def left(guard):
        return guard.ledger._carried.ceil.diff(guard.ledger.carried)

    def app(guard):
        sock = sockets.socket()
        guard.sleep(60_000)
        sock.connect(("orbits", 7))  # and never closed: an application that loses it forgets it
        guard.sleep(600_000)
        leased.append(left(guard))
        idle(guard)

    more = '[[host]]\nname = "orbits"\nkind = "responder"\n[[order]]\nat = "20m"\nstop = true'
    guard = Life(app, "margin_octets = 2000\nreserve_octets = 16000", more, "8h", "6h", "100KB").guard
    assert guard.policy.names() == ["STOPPED_BY_HAND"]
    assert leased[0] > Quectel.WINDOW
    assert guard.ledger.held_carried <= left(guard) <= guard.ledger.held_carried + 2 * 1024
