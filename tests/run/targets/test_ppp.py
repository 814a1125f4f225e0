"""PPP as the bearer, through modem, network and carrier: it counts, stops, and outlives the end of its session."""

import itertools
import random
import struct

import msgspec
import pytest
from usageguard.core import policy as rules

from host_tools.base.errors import UsageError
from host_tools.run.run import run_scenario
from host_tools.run.targets.direct import DirectTarget, sockets
from host_tools.run.targets.names import SIMULATED
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from host_tools.sim.clock import S
from host_tools.sim.modem import call
from host_tools.sim.modem.data import UP

HOURS = """
title = "one bearer, one application"
start = 2026-03-01T00:00:00+08:00
duration = "{duration}"
modem = "{modem}"
bearer = "ppp"
baud = {baud}
[plan]
allowance_octets = "30MB"
on_exhaustion = "cutoff"
[upstream]
host = "collector"
interval_s = "1h"
[network]
latency_ms = {latency_ms}
[[host]]
name = "collector"
kind = "collector"
[[host]]
name = "api"
kind = "responder"
[[host]]
name = "sink"
kind = "sink"
"""


class Device:
    """A world whose device runs `app(guard)`; what the carrier and the device have counted."""

    def __init__(self, app, *, modem="quectel-ec200u", duration="1h", ending="terminate", baud=115_200, latency_ms=60):
        text = HOURS.format(modem=modem, duration=duration, baud=baud, latency_ms=latency_ms)
        self.world = World(scenario.loads(text, "ppp"), 1, {})
        profile = self.world.modem.profile
        ppp = msgspec.structs.replace(profile.ppp, ending=ending)
        self.world.modem.call.profile = msgspec.structs.replace(profile, ppp=ppp)
        self.target = DirectTarget(self.world.device_config(), app)

    def run(self):
        self.world.run(self.target.boot)

    @property
    def admission(self):
        guard = self.target.guard
        assert guard is not None
        return guard.admission

    @property
    def carried(self):
        return self.admission.carried_octets()

    @property
    def bound(self):
        return self.admission.error_bound_octets()

    @property
    def crossed(self):
        return self.world.carrier.figures(IMSI)["ip_octets"]


def fetch(octets, sent=100):
    """Asks the responder for so many octets; how many came."""
    request = struct.pack(">2sHI", b"UG", sent, octets).ljust(sent, b"x")
    connection = sockets.socket()
    try:
        connection.settimeout(120)
        connection.connect(("api", 7000))
        connection.write(request)
        return len(connection.read(octets) or b"")
    finally:
        connection.close()


def asking(done, octets=20_000, pause_ms=60_000):
    """An application that asks again and again; what came of each goes to `done`."""

    def app(guard):
        while True:
            try:
                done.append(fetch(octets))
            except OSError as error:
                done.append(error.errno)
            guard.sleep(pause_ms)

    return app


def test_a_scenario_holds_alike_on_both_targets():
    loaded = scenario.load("smoke", bearer="ppp")
    runs = {target: run_scenario(loaded, target).to_json() for target in SIMULATED}
    for target, result in runs.items():
        assert result["failures"] == [], target
        assert result["carrier"]["ip_octets"] <= result["device"]["carried_octets"]
    cpython, micropython = (runs[target]["events"] for target in SIMULATED)
    assert cpython == micropython
    assert any(event["what"] == "call" for event in cpython)


@pytest.mark.parametrize("name", ["rt-ppp", "rt-month", "rt-resets", "rt-sms"])
def test_a_scenario_for_the_bench_holds_over_ppp(name):
    assert run_scenario(scenario.load(name, bearer="ppp"), "cpython").summary["failures"] == []


@pytest.mark.parametrize("name", ["rt-bring-up", "rt-stop", "rt-power-cut", "rt-modem-reboot"])
def test_one_that_wants_more_than_ppp_does_in_the_time_is_refused(name):
    with pytest.raises(UsageError, match=r'^rt-[a-z-]+.toml: bearer: "ppp" is not what its expectations are for'):
        scenario.load(name, bearer="ppp")


@pytest.mark.proof
def test_the_short_month_with_a_cutoff_is_counted_and_stopped():
    result = run_scenario(scenario.load("cutoff-short", bearer="ppp"), "micropython").to_json()
    carrier, device = result["carrier"], result["device"]
    assert result["failures"] == []
    assert carrier["ip_octets"] <= device["carried_octets"] <= carrier["ip_octets"] * 1.01
    assert device["stopped_at"]


@pytest.mark.parametrize("takes_ms", [1, 100, 1_000])
def test_a_modem_that_takes_its_time_to_hang_up_gets_no_command_meanwhile(monkeypatch, takes_ms):
    monkeypatch.setattr(call, "_TEAR_DOWN_MS", takes_ms)
    said = []

    def app(guard):
        while not guard.modem.flowing:
            guard.sleep(10)
        for way in (device.world.board.line.to_host, device.world.board.line.to_modem):
            way.deliver = lambda data, deliver=way.deliver: (said.append(bytes(data)), deliver(data))
        device.world.carrier.stop(IMSI)
        while not guard.modem.cme:
            guard.sleep(10)

    device = Device(app, duration="2m")
    device.run()
    assert said.index(b"\r\nNO CARRIER\r\n") < said.index(b"ATH\r")


@pytest.mark.parametrize("stopped", [False, True])
def test_what_comes_with_connect_is_for_ppp(stopped):
    """A busy board reads the modem's first frame together with CONNECT; one that it missed would come again after 3 s.
    A call that ends in that moment has 10 s of silence, some for hanging up, and 30 until the next attempt."""
    waited = []

    def app(guard):
        world = device.world
        way, connect = world.board.line.to_host, world.modem.call._connect
        deliver, held = way.deliver, bytearray()

        def hold(data):
            if not held:
                world.clock.after(S // 10, release)
            held.extend(data)

        def release():
            octets = bytes(held)
            held.clear()
            deliver(octets)

        def dialled(cid):
            waited.append(world.clock.now_us)
            if stopped:
                world.clock.after(S // 50, world.carrier.stop, IMSI)
            return connect(cid)

        way.deliver, world.modem.call._connect = hold, dialled
        while not guard.modem.flowing and not guard.modem.cme:
            guard.sleep(10)
        waited.append(world.clock.now_us)

    device = Device(app, duration="3m")
    device.run()
    assert waited[-1] - waited[0] < (50 if stopped else 1) * S


@pytest.mark.parametrize(
    ("piece", "pause_ms", "baud", "above"),
    [(4_096, 0, 115_200, 1.01), (20_000, 0, 921_600, 1.03), (500, 300, 115_200, 1.06)],
)
def test_without_a_counter_lwips_own_packets_are_counted_however_an_application_reads(piece, pause_ms, baud, above):
    """At once, of several segments that have come, and with segments that wait for more than a delayed
    acknowledgement."""
    whole = []

    def app(guard):
        request = struct.pack(">2sHI", b"UG", 100, 100_000).ljust(100, b"x")
        connection = sockets.socket()
        connection.connect(("api", 7000))
        connection.write(request)
        got = 0
        while got < 100_000:
            got += len(connection.recv(piece))
            guard.sleep(pause_ms)
        whole.append(got)
        connection.close()

    device = Device(app, modem="generic", duration="5m", baud=baud, latency_ms=5)
    device.run()
    assert whole == [100_000]
    assert device.crossed <= device.carried <= device.crossed * above


def test_on_a_stop_the_link_is_down_within_two_seconds():
    times = []

    def app(guard):
        assert fetch(3_000) == 3_000
        guard.obey(guard.policy.apply(rules.LEDGER_FAILED))
        began = device.world.clock.now_us
        while device.world.modem.data.contexts[1].state == UP:
            guard.pump(guard.hal.ticks_ms() + 50)
        times.append(device.world.clock.now_us - began)
        with pytest.raises(OSError, match="stopped"):
            fetch(100)
        guard.obey(guard.accept_loss())
        times.append(fetch(3_000))

    device = Device(app, duration="10m")
    device.run()
    assert times[0] <= 2 * S
    assert times[1] == 3_000, "it comes back when data is admitted again"
    assert device.carried >= device.crossed


def test_a_refused_session_has_its_cause():
    causes = []

    def app(guard):
        while not guard.modem.cme:
            guard.sleep(1_000)
        causes.append((guard.modem.cme, guard.policy.verdict()))
        device.world.carrier.resume(IMSI)
        guard.sleep(3_600_000)
        causes.append(fetch(3_000))

    device = Device(app, modem="generic", duration="90m")
    device.world.carrier.stop(IMSI)
    device.run()
    assert causes[0][0] == 133
    assert causes[1] == 3_000
    calls = [event for event in device.world.log.events if event["what"] == "call"]
    assert len(calls) == 1, "looking at the modem's state ends no call"


def test_wifi_that_takes_the_default_route_takes_no_traffic_from_ppp():
    done = []
    device = Device(asking(done), modem="generic", duration="10m")
    device.world.clock.at(150 * S, device.world.board.wifi_connects)
    device.run()
    assert done == [20_000] * len(done)
    assert len(done) >= 8
    assert device.crossed <= device.carried


def test_dtr_leaves_the_call_without_the_silences_of_plus_plus_plus():
    ticks = []

    def app(guard):
        fetch(3_000)
        while guard.modem.flowing:
            guard.sleep(10)
        ticks.append(guard.hal.ticks_ms())
        while not guard.modem.flowing:
            guard.sleep(10)
        ticks.append(guard.hal.ticks_ms())
        assert fetch(3_000) == 3_000

    for wired in ("no", "yes", "broken"):
        device = Device(app, duration="5m")
        device.world.board.dtr = {"no": None, "yes": device.world.modem.call.dtr, "broken": bool}[wired]
        device.run()
        assert device.crossed <= device.carried
    plus, dtr, broken = (end - begin for begin, end in zip(ticks[::2], ticks[1::2], strict=True))
    assert dtr <= plus - 1_900
    assert plus < broken, "then +++ is tried"


@pytest.mark.parametrize("ending", ["terminate", "no-carrier", "silence"])
def test_a_session_that_the_network_ends_comes_back(ending):
    done = []
    device = Device(asking(done), ending=ending)
    clock = device.world.clock

    def kill():
        bearer = device.world.modem.data.contexts[1].bearer
        if bearer is not None:
            bearer.deactivate()

    clock.at(100 * S, kill)
    clock.at(1_500 * S, kill)
    device.run()
    assert done.count(20_000) >= 15
    assert done[-1] == 20_000
    assert device.crossed <= device.carried <= device.crossed + device.bound


@pytest.mark.proof
def test_a_session_killed_at_any_instant_loses_no_octet_and_comes_back():
    """A hundred instants, with a counter in the modem and without: LCP, lookups, transfers, escapes from the call,
    silence."""
    rng = random.Random(14)
    for ending, modem in itertools.product(("terminate", "no-carrier", "silence"), ("quectel-ec200u", "generic")):
        done = []
        device = Device(asking(done, pause_ms=20_000), modem=modem, ending=ending, duration="2h")
        killed = []

        def kill(device=device, killed=killed):
            bearer = device.world.modem.data.contexts[1].bearer
            if bearer is not None:
                killed.append(device.world.clock.now_us)
                bearer.deactivate()
            else:  # there is no session to be killed now
                device.world.clock.after(rng.randrange(20 * S), kill)

        for _ in range(17):
            device.world.clock.at(rng.randrange(12 * S, 6_000 * S), kill)
        device.run()
        assert len(killed) == 17
        assert done[-3:] == [20_000] * 3
        assert device.crossed <= device.carried <= device.crossed + device.bound


def send(octets):
    connection = sockets.socket()
    connection.connect(("sink", 9))
    connection.write(random.Random(1).randbytes(octets))
    connection.close()


@pytest.mark.parametrize(("way", "payload", "transfer"), [("to_host", 0.88, fetch), ("to_modem", 0.75, send)])
def test_a_transfer_keeps_the_line_busy(way, payload, transfer):
    """A megabyte at 921,600 baud: the line is busy nearly all the time, and carries payload for the most."""
    octets = 1 << 20
    carried = []
    took_us = []

    def app(guard):
        fetch(100)
        direction = getattr(device.world.board.line, way)
        deliver = direction.deliver
        direction.deliver = lambda data: (carried.append(len(data)), deliver(data))
        began = device.world.clock.now_us
        transfer(octets)
        took_us.append(device.world.clock.now_us - began)
        direction.deliver = deliver

    device = Device(app, baud=921_600, latency_ms=2, duration="5m")
    device.run()
    assert sum(carried) * 10 / 921_600 / (took_us[0] / S) >= 0.9
    assert octets / sum(carried) >= payload
