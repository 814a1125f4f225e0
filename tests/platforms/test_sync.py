"""What a platform says, beside what devices report: kept, compared, and sent to the devices."""

import asyncio
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.base.days import day_number
from host_tools.collector.store import Store
from host_tools.collector.verify import Report
from host_tools.platforms.ledger import CarrierLedger, Figure
from host_tools.platforms.reconcile import Facts, Rating, ordered, reconcile, stops_first, used_up_at
from host_tools.platforms.sync import Sync, facts_of, is_worth_an_order
from host_tools.sim.carrier import Package
from tests.collector.sealed import full
from tests.platforms.carrier_world import CHINA, MB, SIMS, CarrierWorld

ONE, TWO, THREE = SIMS
DEVICES = {"tracker-001": ONE, "tracker-002": TWO, "tracker-003": THREE}
MARCH = day_number(date(2026, 3, 1))


@pytest.fixture
def store():
    with closing(Store()) as made:
        yield made


def report(store, device, at, octets, seq=0, rated=None, **changed):
    """A full report of March that arrives at a time."""
    figures = {"carried_octets": octets, "rated_octets": octets if rated is None else rated}
    values = full(cycle_id=MARCH, seq=seq, error_bound_octets=100, **figures, **changed)
    store.add(device, Report(*values), cbor2.dumps(values), at.astimezone(UTC), "coap")


def synced(world, store, sims=None, client=None):
    client = client or world.client()
    return asyncio.run(Sync("onelink", sims or DEVICES, client, store).run(world.clock.utc()))


def test_a_higher_figure_goes_to_the_device_once(store):
    world = CarrierWorld()
    world.use(ONE, 2 * MB)
    world.use(TWO, 1 * MB)
    report(store, "tracker-001", world.clock.utc(), 1_900_000)
    report(store, "tracker-002", world.clock.utc(), 1 * MB)
    world.run(days=1)
    done = synced(world, store)
    as_of = datetime(2026, 3, 11, tzinfo=CHINA).astimezone(UTC)
    assert done.orders == [f"tracker-001: carrier-used={2 * MB}@{as_of.isoformat()}"]
    order = store.book.pending("tracker-001")
    assert (order.carrier_used.octets, order.carrier_used.cycle_id, order.carrier_used.rated_octets) == (
        2 * MB, MARCH, 1_900_000,
    )  # fmt: skip
    (given,) = store.book.given(["tracker-001"])
    assert (given.given_by, given.why) == ("platform sync", "25U03 of onelink")
    assert store.book.pending("tracker-002") is None
    world.run(hours=1)
    assert synced(world, store).orders == []  # the same figure
    world.use(ONE, 1 * MB)
    world.run(days=1)
    assert len(synced(world, store).orders) == 1  # that of the next day


def test_what_the_next_report_has_more_may_have_been_used_before_the_figure(store):
    world = CarrierWorld()
    begin = world.clock.utc()
    for hours, octets in ((0, 1_000), (14, 5_000), (20, 9_000)):
        report(store, "tracker-001", begin + timedelta(hours=hours), octets, seq=hours)
    as_of = datetime(2026, 3, 10, 22, tzinfo=CHINA)  # 13 hours after the beginning
    found = facts_of(store, Figure("tracker-001", date(2026, 3, 1), as_of, 2_000, "25U03"))
    assert (found.carried, found.grown, found.reported_at) == (1_000, 4_000, begin)
    late = facts_of(store, Figure("tracker-001", date(2026, 3, 1), as_of + timedelta(days=1), 2_000, "25U03"))
    assert (late.carried, late.grown) == (9_000, 0)


def test_a_figure_of_another_period_or_before_any_report_goes_nowhere(store):
    world = CarrierWorld()
    for sim in SIMS:
        world.use(sim, MB)
    values = full(cycle_id=MARCH - 28, carried_octets=9, rated_octets=9)
    store.add("tracker-001", Report(*values), cbor2.dumps(values), world.clock.utc(), "coap")
    world.run(days=1)
    report(store, "tracker-002", world.clock.utc(), 7)  # after the figure's midnight
    done = synced(world, store)
    assert (done.orders, done.figures) == ([], 3)


@pytest.mark.parametrize(
    ("cause", "reasons"), [("manual", "customer"), ("arrears", "credit-control"), ("expired", "no reason given")]
)
def test_each_stop_arrives_with_its_cause(store, cause, reasons):
    """An expired SIM of OneLink has no digit, unless it is a narrow-band product."""
    world = CarrierWorld()
    report(store, "tracker-001", world.clock.utc(), 5)
    synced(world, store)
    world.carrier.stop(world.imsi[ONE], cause)
    world.run(minutes=1)
    done = synced(world, store)
    assert done.alarms == [("tracker-001", "carrier_stopped", f"SIM stopped, data off: {reasons}")]
    (alarm,) = store.alarms("tracker-001")
    assert (alarm.kind, alarm.received_at) == ("carrier_stopped", world.clock.utc())
    kept = CarrierLedger(store.database).sim("tracker-001")
    assert (kept.life, kept.data, kept.total_octets) == ("stopped", "off", 30 * MB)
    assert synced(world, store).alarms == []


def test_data_that_is_used_up_arrives_as_a_cause(store):
    world = CarrierWorld(allowance=MB)
    report(store, "tracker-001", world.clock.utc(), 5)
    world.use(ONE, 2 * MB)
    world.run(days=1)
    assert synced(world, store).alarms == [
        ("tracker-001", "carrier_stopped", "SIM active, data off: data-used-up"),
    ]  # fmt: skip


def test_a_sim_that_is_resumed_may_alarm_again(store):
    world = CarrierWorld()
    report(store, "tracker-001", world.clock.utc(), 5)
    kinds = []
    for change in (world.carrier.stop, world.carrier.resume, world.carrier.stop):
        change(world.imsi[ONE])
        world.run(minutes=1)
        kinds.append(len(synced(world, store).alarms))
    assert kinds == [1, 0, 1]


def test_a_carrier_that_will_stop_first_is_an_alarm_with_a_date_once(store):
    world = CarrierWorld(start="2026-03-01T00:00:00+08:00")
    for day in range(10):
        world.use(ONE, 2 * MB)
        report(store, "tracker-001", world.clock.utc(), (day + 1) * MB, seq=day)
        world.run(days=1)
    done = synced(world, store)
    expected = "the carrier's figure reaches the plan on 2026-03-15, before the device's does"
    assert ("tracker-001", "carrier_stops_first", expected) in done.alarms
    world.run(days=1)
    assert [kind for _, kind, _ in synced(world, store).alarms] == []


def test_what_is_asked_is_as_little_as_possible(store):
    world = CarrierWorld()
    synced(world, store)
    world.api.calls.clear()
    world.run(hours=1)
    synced(world, store)
    assert world.api.calls == {"25000": 1, "25U03": 1, "23E00": 6}  # two days of three states: none had changed


def test_an_allowance_is_asked_for_once_in_a_cycle(store):
    world = CarrierWorld(start="2026-03-30T09:00:00+08:00")
    states = []
    for _ in range(4):
        states.append(synced(world, store).states)
        world.run(days=1)
    assert states == [3, 0, 3, 0]  # the third is April's first


def test_a_package_that_ends_soon_is_asked_for_each_day_until_it_is_renewed(store):
    plan = {"package": Package(12), "activated": date(2026, 1, 1)}
    world = CarrierWorld(sims=1, start="2026-12-26T09:00:00+08:00", plan=plan)
    sims, asked, ends = {"tracker-001": ONE}, [], []
    for day in range(4):
        if day == 2:
            world.carrier.renew(world.imsi[ONE], 12)
        asked += [synced(world, store, sims).states for _ in range(2)]
        ends.append(CarrierLedger(store.database).sim("tracker-001").ends)
        world.run(days=1)
    assert ends == [date(2026, 12, 31)] * 2 + [date(2027, 12, 31)] * 2
    assert asked == [1, 0, 1, 0, 1, 0, 0, 0]


def test_a_budget_that_ends_keeps_what_was_answered_and_goes_on_next_time(store):
    world = CarrierWorld()
    world.use(ONE, 2 * MB)
    report(store, "tracker-001", world.clock.utc(), 9)
    world.run(days=1)
    first = synced(world, store, client=world.client(budget=24))
    assert (first.figures, len(first.orders)) == (3, 1)
    assert "budget" in first.problem
    ledger = CarrierLedger(store.database)
    assert ledger.last_sync("onelink") is None
    rest = synced(world, store)
    assert rest.problem == ""
    assert 0 < first.states < 3
    assert first.states + rest.states == 3
    assert ledger.last_sync("onelink") == world.clock.utc()


def test_a_platform_that_is_down_for_a_day_is_made_up_for(store):
    world = CarrierWorld()
    report(store, "tracker-001", world.clock.utc(), 5)
    synced(world, store)
    world.carrier.stop(world.imsi[ONE], "arrears")
    world.api._passwords = {}
    world.api.forget_tokens()
    world.run(days=1)
    assert "12022" in synced(world, store).problem
    world.api._passwords = {"200000000000000001": "made-up-password"}
    world.run(hours=1)
    assert [alarm[1] for alarm in synced(world, store).alarms] == ["carrier_stopped"]


# --- where a difference lies ---


def facts(carrier=1_000, carried=1_000, bound=0, **more):
    at = datetime(2026, 3, 11, tzinfo=CHINA)
    return Facts("d", date(2026, 3, 1), at, carrier, carried, carried, bound, at, **more)


@given(
    st.integers(0, 10**9), st.integers(0, 10**5), st.integers(0, 10**5), st.integers(0, 200), st.integers(0, 60),
    st.integers(0, 1024), st.integers(0, 100), st.data(),
)  # fmt: skip
def test_what_the_contract_explains_is_not_outside(carried, error, packets, sessions, each, block, permille, data):
    """Any carrier that rates the true octets by the contract, for any error of the device within its bound."""
    true = max(carried + data.draw(st.integers(-error, error)), 0)
    after = data.draw(st.integers(0, 1000))
    rounded = data.draw(st.integers(0, sessions * block))
    billed = -(-(true + min(after, 500) + packets * each + rounded) * (1000 + permille) // 1000)
    told = facts(billed, carried, error, grown=500, packets=packets, sessions=sessions)
    assert not reconcile(told, Rating(each, block, permille)).outside


def test_what_it_does_not_explain_is_outside_by_so_much():
    rating = Rating(54, 0, 70)
    above = reconcile(facts(200_000, 100_000, 1_000, packets=100), rating)
    assert above.beyond == 200_000 - -(-(101_000 + 5_400) * 1070 // 1000)
    below = reconcile(facts(50_000, 100_000, 1_000, packets=100), rating)
    assert below.beyond == 50_000 - -(-(99_000 + 5_400) * 1070 // 1000)
    assert (above.octets_a_packet, above.permille) == (1_000, 1_000)
    assert above.parts == {"packets": 5_400, "sessions": 0, "margin": 7_378, "bound": 1_000, "since the report": 0}
    assert ordered([reconcile(facts(), rating), below, above])[:2] == [above, below]


def test_dates_of_a_plan_that_is_used_up():
    start, tenth = date(2026, 3, 1), datetime(2026, 3, 11, tzinfo=CHINA)
    assert used_up_at(10, tenth, 20, start) == datetime(2026, 3, 21, tzinfo=CHINA)
    assert used_up_at(10, tenth, 31, start) is None  # after the month
    assert used_up_at(20, tenth, 20, start) == tenth
    assert used_up_at(0, tenth, 20, start) is None
    assert stops_first(facts(10, 5), 5, tenth, 20) == datetime(2026, 3, 21, tzinfo=CHINA)
    assert stops_first(facts(10, 10), 10, tenth, 20) is None
    assert stops_first(facts(10, 12), 12, tenth, 20) is None
    assert stops_first(facts(10, 10), 10, tenth + timedelta(days=1), 20) == datetime(2026, 3, 21, tzinfo=CHINA)


def test_a_small_difference_is_not_worth_an_orders_octets():
    assert not is_worth_an_order(facts(14_096, 10_000))
    assert is_worth_an_order(facts(14_097, 10_000))
    assert not is_worth_an_order(facts(10 * MB, 10 * MB - 10 * MB // 256))
    assert is_worth_an_order(facts(10 * MB, 10 * MB - 10 * MB // 256 - 1))
    assert not is_worth_an_order(facts(5, 10_000))
