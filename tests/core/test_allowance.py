"""An allowance that an order changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from usageguard.config.limits import make_plan
from usageguard.core.account.allowance import set_allowance
from usageguard.core.cycle import CalendarCycle
from usageguard.core.plan import Rating
from usageguard.core.tariff import Tariff

from tests.core.sim_account import MB, Sim

KINDS = ["cutoff", "overage", "throttle", "none", "test"]
CYCLE, RATING = CalendarCycle(1, 480), Rating()


def plan(kind, allowance, cap_octets=None):
    tariff = Tariff([(0, MB, 29)], cost_cap_fen=290) if kind == "overage" else None
    more = {"tariff": tariff, "warn_cost_fen": (29, 58), "cap_octets": cap_octets} if tariff else {}
    return make_plan(allowance, CYCLE, RATING, kind, margin_octets=50_000, reserve_octets=40_000, **more)


def shape(made):
    names = ("allowance", "ceiling", "report_limit", "local_limit", "slow_limit", "warn_marks")
    return [getattr(made, name) for name in names]


@given(st.sampled_from(KINDS), st.integers(MB, 1 << 40), st.integers(MB, 1 << 40))
def test_a_plan_with_another_allowance_is_as_if_it_were_deployed(kind, before, after):
    made = plan(kind, before)
    set_allowance(made, after)
    assert shape(made) == shape(plan(kind, after))
    set_allowance(made, before)
    assert shape(made) == shape(plan(kind, before))


def test_a_cap_of_octets_stays():
    made = plan("overage", 10 * MB, cap_octets=12 * MB)
    set_allowance(made, 11 * MB)
    assert made.ceiling == 12 * MB


def used_up():
    sim = Sim()
    sim.spend(sim.plan.local_limit)
    assert sim.names() == ["QUOTA_EXHAUSTED"]
    return sim


def next_month(sim):
    sim.pass_time(hours=31 * 24)


def test_a_top_up_is_of_this_period_alone_and_outlives_a_reset():
    sim = used_up()
    bought = sim.plan.allowance
    assert sim.order({13: [sim.cycle_id, 2 * bought, 0]})
    assert sim.names() == []
    sim.boot()
    assert sim.names() == []
    assert sim.policy.limit(0) > bought
    next_month(sim)
    assert sim.account.plan.allowance == bought
    sim.spend(sim.plan.local_limit)
    assert sim.names() == ["QUOTA_EXHAUSTED"]


@pytest.mark.parametrize("late", [False, True])
def test_from_the_next_period_on(late):
    """Also where the order arrives when that has begun."""
    sim = used_up()
    bought, told_in = sim.plan.allowance, sim.cycle_id
    if not late:
        assert sim.order({13: [told_in, 2 * bought, 1]})
        assert sim.names() == ["QUOTA_EXHAUSTED"]
    next_month(sim)
    if late:
        assert sim.order({13: [told_in, 2 * bought, 1]})
    for _ in range(2):
        assert sim.account.plan.allowance == 2 * bought
        sim.boot()
        next_month(sim)
    assert sim.order({13: [sim.cycle_id, 0, 1]})
    assert sim.account.plan.allowance == 2 * bought
    next_month(sim)
    assert sim.account.plan.allowance == bought


def test_a_top_up_of_another_period_changes_nothing():
    sim = used_up()
    sim.order({13: [sim.cycle_id - 1, 1 << 40, 0]})
    sim.order({13: [sim.cycle_id + 31, 1 << 40, 0]})
    assert sim.names() == ["QUOTA_EXHAUSTED"]
    assert sim.account.standing.counter == 2


def test_a_smaller_allowance_stops():
    sim = Sim()
    sim.spend(sim.plan.local_limit // 2)
    sim.order({13: [sim.cycle_id, sim.plan.allowance // 4, 0]})
    assert "QUOTA_EXHAUSTED" in sim.names()
