"""The carrier's counting, rating and stopping, against sums made anew from the packets that passed."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.sim.carrier import Bearer, Enforcement, Rating, SimPlan, Tier
from host_tools.sim.clock import MS, S
from host_tools.sim.network import dns
from host_tools.sim.network.internet import DNS_SERVER
from host_tools.sim.network.packet import udp
from tests.sim.carrier.world import CHINA, HOST, IMSI, World


def test_both_directions_are_counted_headers_included():
    world = World()
    world.activate()
    world.up(100)
    world.down(300)
    assert [p.length for p in world.got] == [300]
    figures = world.figures()
    assert (figures["ip_octets"], figures["packets"], figures["billed_octets"]) == (400, 2, 400)
    assert figures["closed"] is False
    assert figures["cycle"] == "2025-03-01"


def test_nothing_passes_or_counts_when_the_bearer_is_closed():
    world = World()
    world.activate()
    bearer = world.bearer
    world.internet.send(udp(HOST, (bearer.ip, 9), bytes(10)))
    bearer.close()
    world.run(1)
    bearer.send(udp((bearer.ip, 9), HOST, bytes(10)))
    world.down(100)
    world.activate()
    world.down(100, bearer.ip)
    assert world.got == []
    assert world.figures()["packets"] == 0
    assert world.deactivations == 0, "the device closed it itself"
    assert world.bearer.ip != bearer.ip


def test_each_activation_replaces_the_bearer_silently():
    world = World()
    world.activate()
    first = world.bearer
    world.activate()
    assert not first.active
    assert world.deactivations == 0


def test_name_server_of_the_bearer_answers_through_it():
    world = World()
    world.activate()
    assert world.bearer.dns == DNS_SERVER
    world.internet.names["iot.example"] = "203.0.113.5"
    world.bearer.send(udp((world.bearer.ip, 5), (DNS_SERVER, 53), dns.encode_query(3, "iot.example")))
    world.run(1)
    assert dns.decode_response(world.got[0].payload).addresses == ("203.0.113.5",)
    assert world.figures()["packets"] == 2


@pytest.mark.parametrize("cause", [33, 8])
def test_cutoff_stops_at_the_allowance_and_the_first_of_the_month_restores(cause):
    world = World(stop_cause=cause)
    world.activate()
    for _ in range(9):
        world.up(1000)
    world.up(999)
    world.run(3600)
    assert world.deactivations == 0, "one octet is left"
    world.up(100)
    assert world.deactivations == 0, "never from inside the device's own call"
    world.run(0)
    assert world.deactivations == 1
    assert world.activate() == cause
    assert world.carrier.register(IMSI) == 0, "registration goes on"
    world.run_to("2025-03-31T23:59:59.999999+08:00")
    assert world.activate() == cause
    world.run_to("2025-04-01T00:00:00+08:00")
    assert isinstance(world.activate(), Bearer)
    assert world.events() == [
        ("stopped", "exhausted", "2025-03-09T17:00:00+00:00"),
        ("restored", "exhausted", "2025-03-31T16:00:00+00:00"),
    ]
    march = world.figures()
    assert march["closed"] is True
    assert (march["billed_octets"], march["stop_reason"]) == (10_099, "exhausted")
    assert march["stopped_at"] == "2025-03-09T17:00:00+00:00"
    april = world.figures("2025-04-01")
    assert (april["billed_octets"], april["stopped_at"], april["stop_reason"]) == (0, None, None)
    assert world.carrier.cycles(IMSI) == ["2025-03-01", "2025-04-01"]


def test_enforcement_lags_and_usage_goes_on_meanwhile():
    world = World(rating=Rating(lag_s=600))
    world.activate()
    world.up(1400)
    for _ in range(8):
        world.up(1400)
    world.run(599)
    world.up(1000)
    assert world.deactivations == 0
    world.run(1)
    assert world.deactivations == 1
    assert world.figures()["billed_octets"] == 13_600


def test_what_is_seen_only_in_the_next_cycle_stops_nothing():
    world = World(start="2025-03-31T23:55:00+08:00", rating=Rating(lag_s=600))
    world.activate()
    for _ in range(20):
        world.up(1000)
    world.run(3600)
    assert world.deactivations == 0
    assert world.events() == []
    assert world.figures()["billed_octets"] == 20_000


def test_seen_usage_is_late():
    world = World(allowance=1 << 30, rating=Rating(lag_s=3600))
    world.activate()
    world.up(1000)
    world.run(3599)
    assert world.carrier.seen(IMSI) == 0
    world.run(1)
    assert world.carrier.seen(IMSI) == 1000


def test_overage_is_billed_by_started_units_and_does_not_stop():
    world = World(kind="overage", tiers=(Tier(0, 1000, 29),))
    world.activate()
    for _ in range(10):
        world.up(1000)
    assert world.figures()["overage_cost"] == 0
    world.up(1001)
    world.run(10_000)
    assert world.deactivations == 0
    assert world.figures()["overage_cost"] == 58
    assert World(kind="none").figures()["overage_cost"] is None


def test_stops_are_a_set():
    world = World(allowance=1000)
    world.activate()
    world.up(1000)
    world.run(1)
    world.carrier.stop(IMSI)
    world.carrier.stop(IMSI)
    assert world.carrier.stops(IMSI) == ["exhausted", "manual"]
    world.carrier.resume(IMSI)
    assert world.activate() == 33, "the exhaustion still holds"
    world.carrier.stop(IMSI)
    world.run_to("2025-04-01T00:00:00+08:00")
    assert world.carrier.stops(IMSI) == ["manual"], "a new cycle lifts only the exhaustion"
    assert world.activate() == 33
    assert world.figures("2025-04-01")["stop_reason"] == "manual"
    world.carrier.resume(IMSI)
    assert isinstance(world.activate(), Bearer)
    assert [event[:2] for event in world.events()] == [
        ("stopped", "exhausted"),
        ("stopped", "manual"),
        ("restored", "manual"),
        ("stopped", "manual"),
        ("restored", "exhausted"),
        ("restored", "manual"),
    ]


def test_manual_stop_ends_the_bearer_at_once():
    world = World()
    world.activate()
    world.carrier.stop(IMSI)
    assert world.deactivations == 1
    with pytest.raises(ValueError, match="use one of exhausted, day_capped"):
        world.carrier.stop(IMSI, "whim")


def test_refusal_and_deactivation():
    world = World()
    assert world.carrier.register("460040000000002") == 2
    world.activate()
    world.carrier.deactivate(IMSI)
    assert world.deactivations == 1
    world.activate()
    world.carrier.refuse(IMSI, 7)
    assert world.deactivations == 2
    assert world.carrier.register(IMSI) == 7
    assert world.activate() == 31
    world.carrier.refuse(IMSI, 0)
    assert world.carrier.register(IMSI) == 0
    assert isinstance(world.activate(), Bearer)


def test_sms_is_taken_while_data_is_stopped():
    world = World()
    heard = []
    world.carrier.on_sms = lambda imsi, tpdu: heard.append((imsi, tpdu))
    world.carrier.stop(IMSI)
    world.carrier.sms_submit(IMSI, b"\x01\x00")
    assert heard == [(IMSI, b"\x01\x00")]
    assert world.carrier.sms == [(0, IMSI, b"\x01\x00")]


def test_days_are_the_carriers():
    world = World(start="2025-03-10T15:30:00+00:00")  # half an hour before midnight there
    world.activate()
    world.run(1799)
    world.up(100)
    world.run(1)
    world.up(200)
    world.run(86_400)
    world.up(300)
    assert world.carrier.daily(IMSI) == [("2025-03-10", 100), ("2025-03-11", 200), ("2025-03-12", 300)]


def test_series_is_coarse_rises_and_begins_anew_with_the_cycle():
    world = World(allowance=10_000_000, start="2025-03-31T22:00:00+08:00")
    world.activate()
    for _ in range(4000):
        world.up(1000)
        world.run(3)
    series = world.carrier.series(IMSI)
    assert len(series) < 200
    assert max(octets for _, octets in series) == 2_400_000, "the closing sample is exact"
    midnight = [octets for t, octets in series if t == 7200 * S]
    assert midnight[-2:] == [2_400_000, 0] or midnight[-3:-1] == [2_400_000, 0]


@pytest.mark.parametrize(
    ("instant", "day", "label"),
    [
        ("2025-03-01T00:00:00+08:00", 1, "2025-03-01"),
        ("2025-02-28T23:59:59+08:00", 1, "2025-02-01"),
        ("2025-02-28T16:00:00+00:00", 1, "2025-03-01"),
        ("2025-01-01T00:00:00+00:00", 27, "2024-12-27"),
        ("2025-01-27T00:00:00+08:00", 27, "2025-01-27"),
        ("2025-02-28T00:00:00+08:00", 31, "2025-02-28"),
        ("2025-02-27T00:00:00+08:00", 31, "2025-01-31"),
        ("2024-02-29T12:00:00+08:00", 30, "2024-02-29"),
    ],
)
def test_cycles_of_any_start_day(instant, day, label):
    world = World(start=instant, start_day=day)
    assert world.figures()["cycle"] == label


def test_cycles_follow_on_one_another_for_years():
    for day in (1, 27, 29, 31):
        world = World(start="2023-01-15T00:00:00+08:00", start_day=day)
        world.run(4 * 366 * 86_400)
        labels = world.carrier.cycles(IMSI)
        assert labels == sorted(set(labels))
        months = [int(label[:4]) * 12 + int(label[5:7]) for label in labels]
        assert months == list(range(months[0], months[0] + len(months))), "one in each month"


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 9 * 86_400),
            st.sampled_from(["up", "up", "up", "down", "close", "replace"]),
            st.integers(28, 1500),
        ),
        max_size=60,
    ),
    overhead=st.integers(0, 60),
    unit=st.sampled_from([0, 1024, 25_600]),
    permille=st.integers(0, 300),
)
def test_bill_is_the_sum_over_cycles_and_sessions(steps, overhead, unit, permille):
    world = World(kind="none", rating=Rating(overhead, unit, permille))
    cycles = defaultdict(lambda: defaultdict(list))  # month -> session -> packet lengths
    session = 0
    world.activate()
    for wait, what, length in steps:
        world.run(wait)
        if what == "close":
            world.bearer.close()
            world.activate()
            session += 1
        elif what == "replace":
            world.activate()
            session += 1
        else:
            if what == "up":
                world.up(length)
            else:
                world.down(length)
            month = world.clock.utc().astimezone(CHINA).strftime("%Y-%m-01")
            cycles[month][session].append(length)
    for label in world.carrier.cycles(IMSI):
        total = 0
        for lengths in cycles[label].values():
            octets = sum(lengths) + overhead * len(lengths)
            total += octets if not unit else (octets + unit - 1) // unit * unit
        billed = (total * (1000 + permille) + 999) // 1000
        figures = world.figures(label)
        lengths = [n for packets in cycles[label].values() for n in packets]
        assert figures["billed_octets"] == billed
        assert (figures["ip_octets"], figures["packets"]) == (sum(lengths), len(lengths))
    assert sum(octets for _, octets in world.carrier.daily(IMSI)) == sum(
        n for cycle in cycles.values() for packets in cycle.values() for n in packets
    )


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    sizes=st.lists(st.integers(28, 1500), min_size=1, max_size=80),
    allowance=st.integers(1, 40_000),
    lag_s=st.integers(0, 30),
    overhead=st.integers(0, 60),
    permille=st.integers(0, 100),
)
def test_stop_comes_a_lag_after_the_packet_that_exhausts(sizes, allowance, lag_s, overhead, permille):
    world = World(allowance=allowance, rating=Rating(overhead, 0, permille, lag_s))
    world.activate()
    total, reached = 0, None
    for n, size in enumerate(sizes):
        world.up(size)
        total += size + overhead
        if reached is None and total * (1000 + permille) > (allowance - 1) * 1000:
            reached = n
        world.run(1)
        if not world.bearer.active:
            break
    world.run(60)
    stopped = world.figures()["stopped_at"]
    if reached is None:
        assert stopped is None
    else:
        assert datetime.fromisoformat(stopped) == world.clock.start + timedelta(seconds=reached + lag_s)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Rating(permille=-1), "permille -1 is negative"),
        (lambda: Enforcement("hope"), "use one of cutoff, overage, throttle, none"),
        (lambda: Enforcement(stop_cause=29), "neither 0, 8 nor 33"),
        (lambda: SimPlan(0), "allowance_octets 0"),
        (lambda: SimPlan(1, 32), "1..31"),
        (lambda: World().carrier.add_sim(IMSI, SimPlan(1)), "exists already"),
        (lambda: World().carrier.figures("1"), "SIM 1 is unknown; there are 460040000000001"),
        (lambda: World().figures("2025-01"), "no cycle '2025-01'; there are 2025-03-01"),
    ],
)
def test_mistakes_are_named(make, match):
    with pytest.raises(ValueError, match=match):
        make()


def test_latency_is_the_only_time_a_packet_takes():
    world = World()
    world.activate()
    world.internet.send(udp(HOST, (world.bearer.ip, 9), b""))
    world.clock.run_until(10 * MS - 1)
    assert world.got == []
    world.clock.run_until(10 * MS)
    assert len(world.got) == 1
    assert world.clock.utc() == datetime(2025, 3, 9, 16, tzinfo=UTC) + timedelta(milliseconds=10)


def test_in_a_soft_stop_a_session_is_given_and_only_the_carriers_name_server_answers():
    world = World(stop_cause=0)
    world.activate()
    world.up(1000)
    world.carrier.stop(IMSI)
    assert world.deactivations == 0
    for _ in range(2):  # also in a session that was given afterwards
        world.up(1000)
        world.down(1000)
        assert world.got == []
        assert world.figures()["ip_octets"] == 1000
        assert isinstance(world.activate(), Bearer)
    world.bearer.send(udp((world.bearer.ip, 5), (DNS_SERVER, 53), dns.encode_query(3, "iot.example")))
    world.run(1)
    assert len(world.got) == 1
    world.carrier.resume(IMSI)
    world.down(500)
    assert len(world.got) == 2


def test_only_the_apn_that_it_serves():
    world = World()
    world.carrier.apn = "cmnet"
    assert world.activate() == 27
    assert isinstance(world.carrier.activate(IMSI, world.got.append, world.deactivated, "CMNET"), Bearer)


def test_sessions_are_refused_and_registration_is_not():
    world = World()
    world.activate()
    world.carrier.refuse_sessions(IMSI, 26)
    assert world.deactivations == 1
    assert (world.activate(), world.carrier.register(IMSI)) == (26, 0)
    world.carrier.refuse_sessions(IMSI, 0)
    assert isinstance(world.activate(), Bearer)
