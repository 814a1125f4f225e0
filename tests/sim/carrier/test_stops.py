"""The table of stops under any sequence of events: each is lifted by its own, and by nothing else."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.sim.carrier import Bearer, Funds, Package, Rating, SimPlan
from host_tools.sim.carrier.stops import STOP_REASONS, card_status, stop_reason
from host_tools.sim.network.packet import udp
from tests.sim.carrier.world import HOST, IMSI, OTHER, World

CAP, POOL = 3_000, 5_000
STEPS = st.one_of(
    st.tuples(st.just("wait"), st.sampled_from([1, 3_600, 86_400, 9 * 86_400, 40 * 86_400])),
    st.tuples(st.just("use"), st.sampled_from([100, 1_000, 2_900])),
    st.tuples(st.just("use_other"), st.sampled_from([1_400])),
    st.tuples(st.sampled_from(["stop", "resume", "resume_manual", "resume_arrears", "top_up"]), st.just(0)),
    st.tuples(st.just("recharge"), st.sampled_from([1, 100])),
    st.tuples(st.just("renew"), st.sampled_from([1, 6])),
    st.tuples(st.just("cap"), st.sampled_from([0, 500, 4_000])),
)

# Which steps may lift a stop. "wait" may lift what ends with a cycle, when a cycle ends in it.
LIFTERS = {
    "exhausted": set(),
    "day_capped": {"cycle"},  # and a day, where the plan counts by it
    "roamed": set(),
    "capped": {"cap", "cycle"},
    "pool_exhausted": {"top_up", "cycle"},
    "test_exhausted": set(),
    "manual": {"resume", "resume_manual"},
    "arrears": {"resume", "resume_arrears"},
    "expired": {"renew"},
    "cancelled": set(),
}


class Busy(World):
    """A SIM with everything that can stop it: a capped pool, an account, and a package of one month."""

    def __init__(self, lag_s):
        plan = {"activated": date(2025, 3, 5), "package": Package(1), "funds": Funds(100, 60)}
        super().__init__(allowance=CAP, pool=(POOL,), rating=Rating(lag_s=lag_s), plan=plan)
        self.carrier.add_sim(OTHER, SimPlan(0, pool="p"))

    def do(self, step, value):
        if step == "wait":
            self.run(value)
        elif step == "use":
            if isinstance(self.activate(), Bearer):
                World.use(self, value)
        elif step == "use_other":
            other = self.carrier.activate(OTHER, print, lambda: None)
            if isinstance(other, Bearer):
                other.send(udp((other.ip, 9), HOST, bytes(value - 28)))
        elif step == "stop":
            self.carrier.stop(IMSI)
        elif step.startswith("resume"):
            self.carrier.resume(IMSI, step[7:] or None)
        elif step == "top_up":
            self.carrier.top_up_pool("p", 1_000)
        elif step == "cap":
            self.carrier.set_cap(IMSI, value)
        else:
            getattr(self.carrier, step)(IMSI, value)


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(STEPS, max_size=40), st.sampled_from([0, 600]))
def test_no_event_lifts_another_ones_stop(steps, lag_s):
    world = Busy(lag_s)
    world.run(0)
    for step, value in steps:
        before, cycle = set(world.carrier.stops(IMSI)), world.news().cycle_label
        paid = world.news().balance_fen >= 0
        world.do(step, value)
        after = set(world.carrier.stops(IMSI))
        by = {step} | ({"cycle"} if world.news().cycle_label != cycle else set())
        for lifted in before - after:
            assert by & LIFTERS[lifted], f"{lifted} was lifted by {step}"
            assert lifted != "arrears" or paid
        # What always lifts, did.
        if step in ("resume", "resume_manual"):
            assert "manual" not in after
        if step in ("resume", "resume_arrears") and paid:
            assert "arrears" not in after
        if step == "renew" and "cancelled" not in after and world.news().expires > world.today:
            assert "expired" not in after
        assert set(world.denies()) >= after, "what is in force is denied"
        assert (world.bearer is not None and world.bearer.active) <= (not after), "a stopped SIM has no bearer"
        if after:
            assert not isinstance(world.activate(), Bearer)
        if lag_s == 0:
            world.run(0)
            assert set(world.denies()) == set(world.carrier.stops(IMSI)), "without a lag the platform knows"


def test_the_table_is_the_tests_table():
    assert list(STOP_REASONS) == list(LIFTERS)
    for code in LIFTERS:
        assert STOP_REASONS[code].ends_with_cycle == (code in ("exhausted", "day_capped", "capped", "pool_exhausted"))


@pytest.mark.parametrize(
    ("stops", "billing", "status", "reason"),
    [
        ((), True, "00", "000000000000"),
        ((), False, "07", "000000000000"),
        (("exhausted", "pool_exhausted"), True, "00", "000000000000"),
        (("exhausted", "manual"), True, "02", "000000002000"),
        (("arrears", "manual"), False, "02", "000020002000"),
        (("expired",), True, "02", "000000000000"),
        (("manual", "expired", "cancelled"), True, "04", "000000002000"),
    ],
)
def test_what_onelink_shows(stops, billing, status, reason):
    assert (card_status(stops, billing), stop_reason(stops)) == (status, reason)


@pytest.mark.parametrize(
    ("step", "value", "lifts"),
    [
        ("resume", 0, {"manual", "arrears"}),
        ("resume_manual", 0, {"manual"}),
        ("resume_arrears", 0, {"arrears"}),
        ("recharge", 100, set()),
        ("renew", 6, {"expired"}),
        ("cap", 4_000, {"capped"}),
        ("top_up", 0, {"pool_exhausted"}),
        ("wait", 22 * 86_400, {"exhausted", "day_capped", "capped", "pool_exhausted"}),  # to the 1st of April
    ],
)
def test_with_all_stops_in_force_each_event_lifts_its_own(step, value, lifts):
    world = Busy(0)
    in_force = set(STOP_REASONS) - {"cancelled"}
    for code in in_force:
        world.carrier.stop(IMSI, code)
    world.do(step, value)
    assert set(world.carrier.stops(IMSI)) == in_force - lifts
    world = Busy(0)
    world.carrier.stop(IMSI, "cancelled")
    world.do(step, value)
    assert world.carrier.stops(IMSI) == ["cancelled"]
