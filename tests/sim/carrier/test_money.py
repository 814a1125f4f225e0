"""Out-of-plan cost, the balance, arrears: by hand, and against each octet's price looked up one by one."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.sim.carrier import Bearer, Enforcement, Funds, Rating, Tier
from host_tools.sim.carrier.account import History
from host_tools.sim.carrier.plan import cost
from tests.sim.carrier.world import IMSI, World

TIERS = (Tier(0, 100, 7), Tier(250, 50, 3), Tier(300, 1000, 40))


@pytest.mark.parametrize(
    ("beyond", "fen"),
    [
        (-5, 0),
        (0, 0),
        (1, 7),  # each started block
        (100, 7),
        (101, 14),
        (201, 21),
        (250, 21),  # the third block is cut short by the next tier, at the full price
        (251, 24),
        (300, 24),
        (301, 64),
        (1300, 64),
        (1301, 104),
    ],
)
def test_cost_by_hand(beyond, fen):
    assert cost(TIERS, beyond) == fen


@st.composite
def tariffs(draw):
    starts = sorted({0, *draw(st.lists(st.integers(1, 400), max_size=3))})
    return tuple(Tier(start, draw(st.integers(1, 150)), draw(st.integers(0, 9))) for start in starts)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(tariffs(), st.integers(0, 600))
def test_cost_is_that_of_the_blocks_which_its_octets_touch(tiers, beyond):
    touched = {}
    for octet in range(beyond):
        tier = max((t for t in tiers if t.from_octets <= octet), key=lambda t: t.from_octets)
        touched[tier.from_octets, (octet - tier.from_octets) // tier.block_octets] = tier.fen
    assert cost(tiers, beyond) == sum(touched.values())


@pytest.mark.parametrize(
    "tiers", [(Tier(1, 1, 1),), (Tier(0, 1, 1), Tier(0, 1, 1)), (Tier(0, 1, 1), Tier(5, 1, 1), Tier(4, 1, 1))]
)
def test_tiers_that_leave_a_gap_or_overlap_are_refused(tiers):
    with pytest.raises(ValueError, match="tiers begin at from_octets 0"):
        Enforcement("overage", tiers=tiers)


def overage(balance, fee=0, lag_s=0, **more):
    return World(
        kind="overage",
        tiers=(Tier(0, 1000, 30),),
        rating=Rating(lag_s=lag_s, **more),
        plan={"funds": Funds(balance, fee)},
    )


def test_cost_is_taken_off_the_balance_when_the_platform_sees_it():
    world = overage(100, lag_s=600)
    world.use(10_500)
    world.run(599)
    assert (world.news().balance_fen, world.news().cost_fen) == (100, 0)
    assert world.figures()["overage_cost"] == 30, "it will be on the bill"
    world.run(1)
    assert (world.news().balance_fen, world.news().cost_fen) == (70, 30)
    world.use(600)
    world.run(600)
    assert (world.news().balance_fen, world.news().cost_fen) == (40, 60)
    assert world.carrier.stops(IMSI) == []


def test_fee_of_each_later_cycle_and_the_cost_starts_anew():
    world = overage(1000, fee=200)
    world.use(12_000)
    world.run_to("2025-03-31T23:59:59+08:00")
    assert (world.news().balance_fen, world.news().cost_fen) == (940, 60)
    world.run(1)
    assert (world.news().balance_fen, world.news().cost_fen) == (740, 0)
    world.run_to("2025-05-01T00:00:00+08:00")
    assert world.news().balance_fen == 540
    assert world.told() == [
        ("charged", "fee", "2025-04-01 00:00:00"),
        ("charged", "fee", "2025-05-01 00:00:00"),
    ]


def test_cost_seen_after_its_cycle_is_that_cycles():
    world = overage(100, lag_s=600)
    world.run_to("2025-03-31T23:55:00+08:00")
    world.use(10_001)
    world.run(600)
    assert (world.news().cycle_label, world.news().balance_fen, world.news().cost_fen) == ("2025-04-01", 70, 0)
    assert world.figures("2025-03-01")["overage_cost"] == 30


def test_a_balance_of_0_is_no_arrears_below_it_the_sim_is_stopped():
    world = overage(30, lag_s=60)
    world.use(11_000)
    world.run(60)
    assert world.news().balance_fen == 0
    assert world.news().stops == ()
    world.use(28)
    assert world.denies() == ("arrears",), "the policy's answer, before the platform knows"
    assert world.carrier.stops(IMSI) == []
    world.run(60)
    assert world.news().balance_fen == -30
    assert world.news().stops == world.denies() == ("arrears",)
    assert (world.news().card_status, world.news().stop_reason) == ("02", "000020000000")
    assert world.activate() == 33


def test_arrears_are_paid_and_then_resumed_by_hand():
    world = overage(-1)
    world.run(0)
    assert world.carrier.stops(IMSI) == ["arrears"]
    world.carrier.resume(IMSI)
    assert world.carrier.stops(IMSI) == ["arrears"], "not paid"
    world.carrier.recharge(IMSI, 1)
    world.run_to("2025-04-01T00:00:00+08:00")
    assert world.carrier.stops(IMSI) == ["arrears"], "neither the money nor a new cycle resumes it"
    assert world.denies() == ("arrears",)
    world.carrier.resume(IMSI)
    assert world.denies() == ()
    assert isinstance(world.activate(), Bearer)
    assert [event[:2] for event in world.told()] == [
        ("stopped", "arrears"),
        ("refused", "arrears"),
        ("recharged", "by_hand"),
        ("restored", "arrears"),
    ]


def test_a_fee_that_the_balance_does_not_hold_stops_at_the_cycles_start():
    world = World(plan={"funds": Funds(100, 101)})
    world.use(28)
    world.run_to("2025-03-31T23:59:59.999999+08:00")
    assert world.deactivations == 0
    world.run_to("2025-04-01T00:00:00+08:00")
    assert world.deactivations == 1
    assert world.told("stopped") == [("stopped", "arrears", "2025-04-01 00:00:00")]
    assert world.figures("2025-04-01")["stop_reason"] == "arrears"


def test_resume_of_one_stop_leaves_the_other():
    for first, second in (("manual", "arrears"), ("arrears", "manual")):
        world = World(plan={"funds": Funds(0)})
        world.carrier.stop(IMSI, "manual")
        world.carrier.stop(IMSI, "arrears")
        world.carrier.resume(IMSI, first)
        assert world.carrier.stops(IMSI) == [second]
    with pytest.raises(ValueError, match="'exhausted' is not lifted by hand"):
        world.carrier.resume(IMSI, "exhausted")


def test_manual_stop_under_overage_outlives_the_cycle():
    world = overage(1000)
    world.use(28)
    world.carrier.stop(IMSI)
    assert world.deactivations == 1
    world.run_to("2025-06-01T00:00:00+08:00")
    assert world.denies() == ("manual",)
    world.carrier.resume(IMSI)
    assert world.denies() == ()


def test_late_records_count_in_their_closed_cycle():
    # Every other packet's record is late: 12 of 1,000 octets are used, 6 are seen in March.
    world = overage(1000, late_permille=500, late_s=86_400)
    world.use(12_000)
    world.run(1)
    assert (world.news().used_octets, world.news().cost_fen) == (6_000, 0)
    assert world.figures()["overage_cost"] == 60, "what the bill will say"
    world.run_to("2025-04-01T23:59:59+08:00")
    assert world.news().balance_fen == 1000
    world.run(1)
    assert (world.news().used_octets, world.news().cost_fen, world.news().balance_fen) == (0, 0, 940)
    (event,) = [e for e in world.log.events if e["what"] == "late-records"]
    assert (event["cycle"], event["octets"]) == ("2025-03-01", 6_000)
    assert event["t"] == "2025-04-01T16:00:00+00:00"


def test_late_records_put_off_a_cutoff_and_never_stop_the_next_cycle():
    world = World(rating=Rating(late_permille=1000, late_s=60))
    world.use(20_000)
    world.run(86_400)
    assert world.carrier.stops(IMSI) == []
    assert world.denies() == ("exhausted",)
    world.run_to("2025-04-01T00:02:00+08:00")
    assert world.denies() == ()
    assert world.told("stopped") == []
    assert world.figures()["billed_octets"] == 20_000


def test_daily_figures_are_of_the_last_midnight_but_the_cutoff_is_not():
    world = World(rating=Rating(daily_figures=True), start="2025-03-10T12:00:00+08:00")
    world.use(4_000)
    world.run_to("2025-03-10T23:59:59+08:00")
    assert world.news().used_octets == 0
    assert world.news().used_as_of.isoformat() == "2025-03-10T04:00:00+00:00", "the world's beginning"
    world.run(1)
    world.use(1_000)
    assert world.news().used_octets == 4_000
    assert world.news().used_as_of.isoformat() == "2025-03-10T15:59:59.999999+00:00"
    world.use(5_000)
    world.run(0)
    assert world.carrier.stops(IMSI) == ["exhausted"]


@settings(derandomize=True, deadline=None, max_examples=60)
@given(
    steps=st.lists(st.tuples(st.integers(0, 100_000), st.integers(28, 1500)), max_size=60),
    lag_s=st.sampled_from([0, 60, 3600]),
    balance=st.integers(0, 400),
    fee=st.integers(0, 100),
)
def test_balance_is_what_came_less_what_was_due_by_then(steps, lag_s, balance, fee):
    world = overage(balance, fee, lag_s)
    used, seen, months = {}, [], 0  # month -> octets; (when seen, month, octets by then)
    for wait, octets in steps:
        world.run(wait)
        if world.denies():
            break
        world.use(octets)
        month = world.today.replace(day=1)
        used[month] = used.get(month, 0) + octets
        seen.append((world.clock.now_us + lag_s * 1_000_000, month, used[month]))
    world.run(0)
    known = {month: octets for at, month, octets in seen if at <= world.clock.now_us}
    months = (world.today.year - 2025) * 12 + world.today.month - 3
    due = sum(-(-max(octets - 10_000, 0) // 1000) * 30 for octets in known.values())
    assert world.news().balance_fen == balance - months * fee - due
    assert world.news().cost_fen == -(-max(known.get(world.today.replace(day=1), 0) - 10_000, 0) // 1000) * 30
    assert ("arrears" in world.news().stops) == (world.news().balance_fen < 0)


def test_sessions_of_records_in_time_are_rounded_too():
    # Three sessions, of which every other packet is late: 100 octets in time in each, rounded up to 1,000.
    world = World(rating=Rating(session_round_octets=1_000, late_permille=500, late_s=60))
    for _ in range(3):
        world.activate()
        world.up(100)
        world.up(100)
    assert world.news().used_octets == 3_000
    assert world.figures()["billed_octets"] == 3_000


@pytest.mark.parametrize("horizon", [0, 1, 50, 500, 50_000])
def test_a_history_forgets_only_what_nobody_asks_for(horizon):
    history, rng, now, course = History(horizon), random.Random(horizon), 0, []
    for value in range(1, 4_000):
        now += rng.randint(0, 9)
        history.put(now, value)
        course.append((now, value))
        if value % 97 == 0:
            for then in (now - horizon, now - horizon // 2, now):
                assert history.at(then) == max((value for t, value in course if t <= then), default=0)
