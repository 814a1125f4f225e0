"""The bill explained: its steps lead from the device's count to the carrier's figure, each within its limit."""

from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.base.days import day_number
from host_tools.bench.fleets import made
from host_tools.collector.store import Store
from host_tools.fleet.bill import STEPS, bill_of, explain
from host_tools.platforms.ledger import CarrierLedger, Figure
from host_tools.platforms.reconcile import Facts, Rating, reconcile

MARCH = date(2026, 3, 1)
AT = datetime(2026, 3, 20, tzinfo=UTC)


def facts(carrier, carried=1_000_000, bound=0, grown=0, packets=0, sessions=0):
    return Facts("tracker-001", MARCH, AT, carrier, carried, carried, bound, AT, grown, packets, sessions)


CONTRACT = Rating(per_packet_octets=54, session_round_octets=10_240, margin_permille=50)


@pytest.mark.parametrize(
    ("its", "contract", "recent", "steps"),
    [
        # Nothing differs.
        (facts(1_000_000), Rating(), 0, {}),
        # 1,000 packets at 54 octets, and 5 % of 1,054,000.
        (facts(1_106_700, packets=1000), CONTRACT, 0, {"headers": 54_000, "margin": 52_700}),
        # Of ten sessions' blocks, what is left after headers and margin: 1,106,700 + 1.05 x 40,000.
        (facts(1_148_700, packets=1000, sessions=10), CONTRACT, 0,
         {"headers": 54_000, "sessions": 40_000, "margin": 54_700}),
        # 3,000 within the bound, first those that the next report has more.
        (facts(1_003_000, bound=5_000, grown=2_000), Rating(), 0, {"late": 2_000, "retransmissions": 1_000}),
        # The device counted 4,000 that the carrier did not.
        (facts(996_000, bound=5_000), Rating(), 0, {"retransmissions": -4_000}),
        # All that may be, and 7,000 more.
        (facts(1_014_000, bound=5_000, grown=2_000), Rating(), 0,
         {"late": 2_000, "retransmissions": 5_000, "unexplained": 7_000}),
        # 100,000 less: 5,000 by the bound, 60,000 of the last two days, and 35,000 that nothing explains.
        (facts(900_000, bound=5_000), Rating(), 60_000,
         {"retransmissions": -5_000, "late": -60_000, "unexplained": -35_000}),
        # Without figures of packets and sessions their steps are nothing.
        (facts(1_000_400, packets=None, sessions=None), CONTRACT, 0, {"margin": 50_000, "unexplained": -49_600}),
    ],
)  # fmt: skip
def test_a_bill_by_hand(its, contract, recent, steps):
    assert {name: octets for name, octets in explain(its, contract, recent).steps.items() if octets} == steps


SMALL = st.integers(0, 50_000)


@settings(max_examples=60)
@given(
    st.builds(facts, SMALL, SMALL, SMALL, SMALL, st.none() | st.integers(0, 500), st.none() | st.integers(0, 5)),
    st.builds(Rating, st.integers(0, 60), st.integers(0, 2000), st.integers(0, 300)),
    SMALL,
)
def test_the_steps_add_up_within_their_limits(its, contract, recent):
    bill, parts = explain(its, contract, recent), reconcile(its, contract)
    assert [*bill.steps] == [*STEPS]
    assert its.carried + sum(bill.steps.values()) == its.carrier
    assert bill.headers == parts.parts["packets"]
    assert 0 <= bill.sessions <= parts.parts["sessions"]
    assert -its.bound <= bill.retransmissions <= its.bound
    inside = its.carried + bill.headers + bill.sessions + bill.retransmissions + max(bill.late, 0)
    assert abs(bill.margin - inside * contract.margin_permille / 1000) <= 1 + contract.margin_permille / 1000
    assert bill.late <= its.grown
    if parts.beyond >= 0:
        assert (bill.unexplained, bill.late >= 0) == (parts.beyond, True)
    else:
        assert parts.beyond <= bill.unexplained <= 0
        assert -bill.late <= recent * (1000 + contract.margin_permille) / 1000


@pytest.fixture
def store(new_database):
    with closing(Store(new_database())) as made:
        yield made


def reports(store, told):
    """Reports at noon of days of March, each with its period, that period's base and what it has used."""
    for seq, (day, start, base, rated) in enumerate(told):
        at = datetime(2026, 3, 1, 12, tzinfo=UTC) + timedelta(days=day - 1)
        # Of 200 rated octets `made` takes 199 as carried.
        report, payload = made(seq=seq, cycle_id=day_number(start), base=base, rated=rated, error_bound_octets=100)
        store.add("tracker-001", report, payload, at, "coap")


APRIL = date(2026, 4, 1)
MONTH = [(10, MARCH, 0, 200_000), (29, MARCH, 0, 400_000), (31, MARCH, 0, 600_000), (33, APRIL, 700_000, 20_000)]


def test_a_period_that_has_ended_is_compared_with_its_last_report(store):
    reports(store, MONTH)
    figure = Figure("tracker-001", MARCH, datetime(2026, 4, 10, tzinfo=UTC), 690_000, "test")
    bill = bill_of(store, figure, Rating())
    # By its next report the device had used 700,000 when the period ended, 103,000 of them after the last one.
    assert (bill.facts.carried, bill.facts.grown) == (597_000, 103_000)
    assert {name: octets for name, octets in bill.steps.items() if octets} == {"late": 93_000}


def test_what_was_used_in_two_days_may_be_missing(store):
    reports(store, MONTH[:3])
    figure = Figure("tracker-001", MARCH, datetime(2026, 3, 31, 13, tzinfo=UTC), 420_000, "test")
    bill = bill_of(store, figure, Rating())
    # 398,000 were reported two days before the figure; the device has 597,000 ± 100 now.
    assert {name: octets for name, octets in bill.steps.items() if octets} == {
        "retransmissions": -100,
        "late": -176_900,
    }
    less = bill_of(store, Figure("tracker-001", MARCH, figure.as_of, 390_000, "test"), Rating())
    assert (less.late, less.unexplained) == (-199_000, -7_900)


def test_a_figure_without_a_report_explains_nothing(store):
    reports(store, MONTH[3:])
    assert bill_of(store, Figure("tracker-001", MARCH, AT, 5, "test"), Rating()) is None


def test_a_cycle_has_its_newest_figure(store):
    from host_tools.platforms.interface import Usage

    ledger = CarrierLedger(store.database)
    for start, day, octets in ((APRIL, 33, 7), (MARCH, 20, 5), (MARCH, 30, 6), (MARCH, 10, 4)):
        ledger.add("tracker-001", Usage("1", octets, start, AT + timedelta(days=day - 20), "test"))
    assert [(each.cycle_start, each.octets) for each in ledger.newest_of_cycles("tracker-001")] == [
        (MARCH, 6),
        (APRIL, 7),
    ]
