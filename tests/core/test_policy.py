"""The table of reasons, walked, and the limits against plain integers."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.config.limits import make_plan
from usageguard.core import policy as p
from usageguard.core.cycle import CalendarCycle
from usageguard.core.octets import MAX, Octets
from usageguard.core.plan import Rating, TrafficClass
from usageguard.core.policy import (
    BALANCE,
    BIT,
    CARRIER_REFUSED,
    CARRIER_SERVES,
    CLOSE,
    CODE,
    EVENTS,
    GRANT,
    HOLD,
    LEDGER_FAILED,
    LIFTED_BY,
    LOCAL,
    NEW_CYCLE,
    PACE,
    QUOTA_GRANTED,
    QUOTA_REACHED,
    RAISED_BY,
    REASONS,
    REPORT,
    RESERVE,
    RESERVE_REACHED,
    RESTRICT_ACCESS,
    RESTRICTION,
    RESUME,
    SAVE,
    SILENCE_BEGAN,
    SLOW_ORDERED,
    STOP_ORDERED,
    SURVIVES_CYCLE,
    TERMINATE,
    TERMINATED,
    THROTTLE,
    Policy,
    transition,
)
from usageguard.core.tariff import Tariff

from tests.core.small import Small

MB = 1 << 20
TELEMETRY, OTA, REPORTS = range(3)
CLASSES = (
    TrafficClass("telemetry", 10, paced=False),
    TrafficClass("ota", 20, shed_permille=900),
    TrafficClass("report", 1, uses_reserve=True),
)

BITS = {row[CODE]: row[BIT] for row in REASONS}
ALL_REASONS = sum(BITS.values())


def _sets():
    """None, all, each, all but each, every pair; and 64 more of any size."""
    bits = list(BITS.values())
    sets = {0, ALL_REASONS, *bits, *(ALL_REASONS & ~bit for bit in bits)}
    sets.update(one | other for one, other in itertools.combinations(bits, 2))
    draw = random.Random(17)
    sets.update(sum(bit for bit in bits if draw.random() < share) for share in (0.2, 0.5) for _ in range(32))
    return sorted(sets)


SETS = _sets()
SOME_SETS = [s for s in SETS if s.bit_count() in (0, 1)] + random.Random(29).sample(SETS, 24)
NO_EVENTS = [0, -1, max(EVENTS) + 1, 1 << 28, None, "NEW_CYCLE", 1.5]


def plan(allowance=30 * MB, **kwargs):
    return make_plan(allowance, CalendarCycle(1, 480), Rating(), **kwargs)


def make(observe=False, **kwargs):
    policy = Policy(plan(**kwargs), CLASSES, observe)
    policy.cross(Octets(0))
    return policy


def state(policy):
    return (
        policy.reasons,
        policy.warned,
        policy.shed,
        policy.held,
        policy.open,
        policy.level,
        policy.next_mark.value(),
        [limit and limit.value() for limit in policy._admit],
        [policy.limit(kind) for kind in range(6)],
    )


# What each row must do, written a second time: bit, raised by, lifted by, restriction, by hand.
EXPECTED = {
    "QUOTA_EXHAUSTED": (0x1, {p.QUOTA_REACHED}, {p.QUOTA_GRANTED, p.NEW_CYCLE}, "R", False),
    "RESERVE_EXHAUSTED": (0x2, {p.RESERVE_REACHED}, {p.QUOTA_GRANTED, p.NEW_CYCLE}, "T", False),
    "CARRIER_STOP": (0x4, {p.CARRIER_REFUSED}, {p.CARRIER_SERVES}, "T", False),
    "LEDGER_FAULT": (0x8, {p.LEDGER_FAILED}, {p.LEDGER_SET}, "T", True),
    "STOPPED_BY_HAND": (0x10, {p.STOP_ORDERED}, {p.RESUME_ORDERED}, "R", True),
    "ARREARS": (0x20, {p.BALANCE_SPENT}, {p.RECHARGED}, "R", True),
    "EXPIRED": (0x40, {p.PACKAGE_EXPIRED}, {p.RENEWED}, "R", True),
    "CANCELLED": (0x80, {p.WINDOW_CLOSED}, {p.RENEWED}, "R", True),
    "COST_CAP": (0x100, {p.CAP_REACHED}, {p.QUOTA_GRANTED, p.NEW_CYCLE}, "R", False),
    "POOL_EXHAUSTED": (0x200, {p.GRANT_SPENT}, {p.POOL_GRANTED}, "R", False),
    "GRANT_EXPIRED": (0x400, {p.GRANT_LAPSED}, {p.POOL_GRANTED}, "R", False),
    "TEST_EXHAUSTED": (0x800, {p.TEST_REACHED}, {p.QUOTA_GRANTED, p.NEW_CYCLE}, "R", False),
    "SILENT_PERIOD": (0x1000, {p.SILENCE_BEGAN}, {p.BILLING_BEGAN}, "T", False),
    "THROTTLED": (0x2000, {p.SLOW_REACHED}, {p.QUOTA_GRANTED, p.NEW_CYCLE}, "slow", False),
    "THROTTLED_BY_HAND": (0x4000, {p.SLOW_ORDERED}, {p.SPEED_ORDERED}, "slow", True),
    "HELD_BY_HAND": (0x80000, {p.HOLD_ORDERED}, {p.HOLD_ENDED}, "hold", True),
    "BURST": (0x8000, {p.BURST_FOUND}, {p.BURST_OVER}, "hold", False),
    "SIM_CHANGED": (0x40000, {p.SIM_EXCHANGED}, {p.SIM_ACCEPTED}, "R", True),
    "COUNT_DOUBTED": (0x20000, {p.DOUBT_FOUND}, {p.DOUBT_SETTLED, p.NEW_CYCLE}, "R", False),
    "DAY_EXHAUSTED": (0x100000, {p.DAY_REACHED}, {p.DAY_BEGAN, p.NEW_CYCLE}, "R", False),
    "ROAMING_EXHAUSTED": (0x400000, {p.ROAMING_REACHED}, {p.ROAMING_GRANTED}, "T", False),
    "CLASS_EXHAUSTED": (0x200000, {p.CLASS_REACHED}, {p.CLASS_GRANTED, p.NEW_CYCLE}, "hold", False),
    "PACED": (0x10000, {p.PACE_REACHED}, {p.DAY_GRANTED, p.NEW_CYCLE}, "hold", False),
}
LETTERS = {TERMINATE: "T", RESTRICT_ACCESS: "R", THROTTLE: "slow", HOLD: "hold"}


def test_rows_are_sound():
    assert {code: row[0] for code, row in EXPECTED.items()} == BITS
    assert len(set(BITS.values())) == len(REASONS) == 23
    for row in REASONS:
        assert row[BIT] & (row[BIT] - 1) == 0, row
        assert 0 < row[BIT] < 1 << 24, "the ledger keeps 24 bits"
        assert row[RAISED_BY] != row[LIFTED_BY], row
        assert row[RAISED_BY] in EVENTS, row
        assert row[LIFTED_BY] in EVENTS, "each has its own way back"
        assert NEW_CYCLE not in (row[RAISED_BY], row[LIFTED_BY]), "SURVIVES_CYCLE says that"
        restriction, by_hand = EXPECTED[row[CODE]][3:]
        assert LETTERS[row[RESTRICTION]] == restriction, row
        assert row[SURVIVES_CYCLE] or not by_hand, "a new period is no hand"
        assert not by_hand or row[LIFTED_BY] != CARRIER_SERVES, "neither is a carrier"
    assert len(set(EVENTS)) == len(EVENTS) == 41
    used = {event for row in REASONS for event in (row[RAISED_BY], row[LIFTED_BY])}
    assert used | {NEW_CYCLE} == set(EVENTS), "none is idle"
    restrictions = [LETTERS[row[RESTRICTION]] for row in REASONS]
    assert restrictions.index("slow") > restrictions.index("R"), "what stops is named before what slows down"


@pytest.mark.parametrize("row", REASONS, ids=[row[CODE] for row in REASONS])
@pytest.mark.parametrize("event", EVENTS)
def test_every_reason_and_event(row, event):
    """In company of every other set of reasons: what becomes of one depends on its own row alone."""
    _, raised_by, lifted_by, _, _ = EXPECTED[row[CODE]]
    for before in SETS:
        after = bool(transition(before, event) & row[BIT])
        if event in raised_by:
            assert after
        elif event in lifted_by:
            assert not after
        else:
            assert after == bool(before & row[BIT])


@pytest.mark.parametrize(("one", "other"), list(itertools.permutations(REASONS, 2)))
def test_lifting_one_never_lifts_another(one, other):
    own = EXPECTED[one[CODE]][2] - EXPECTED[other[CODE]][2]
    assert own or EXPECTED[one[CODE]][2] <= EXPECTED[other[CODE]][2]
    for event in own:
        after = transition(one[BIT] | other[BIT], event)
        assert not after & one[BIT]
        assert after & other[BIT]


@pytest.mark.parametrize("row", REASONS, ids=[row[CODE] for row in REASONS])
def test_every_reason_has_a_way_back_to_where_it_began(row):
    policy = make()
    before = state(policy)
    policy.apply(row[RAISED_BY])
    assert policy.names() == [row[CODE]]
    policy.apply(row[LIFTED_BY])
    policy.cross(Octets(0))
    assert state(policy) == before


@pytest.mark.parametrize("event", NO_EVENTS)
@pytest.mark.parametrize("reasons", SOME_SETS)
def test_illegal_event_changes_nothing(event, reasons):
    policy = make()
    policy.restore(reasons, 1, Octets(20 * MB))
    before = state(policy)
    with pytest.raises(ValueError):
        policy.apply(event)
    assert state(policy) == before


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_again_changes_nothing(event):
    for reasons in SOME_SETS:
        policy = make()
        policy.restore(reasons, 0, Octets(0))
        policy.apply(event)
        before = state(policy)
        assert policy.apply(event) == 0
        assert state(policy) == before


def raised(reasons, observe=False):
    policy = make(observe)
    policy.held = policy.kept = 1 << OTA
    for row in REASONS:
        if row[BIT] & reasons:
            policy.apply(row[RAISED_BY])
    assert policy.reasons == reasons
    return policy


@pytest.mark.parametrize("event", EVENTS)
def test_verdict_admission_and_actions_follow_the_set(event):
    for reasons in SETS:
        policy = raised(reasons)
        open_before, level_before = policy.open, policy.level
        actions = policy.apply(event)
        standing = [code for code, bit in BITS.items() if policy.reasons & bit]
        restrictions = {EXPECTED[code][3] for code in standing}
        admitted = [policy.admits(i, Octets(0), 1) for i in range(3)]
        if "T" in restrictions:
            assert (policy.verdict(), admitted) == ("terminated", [False, False, False])
        elif "R" in restrictions:
            assert (policy.verdict(), admitted) == ("restricted", [False, False, True])
        else:
            waits = {"HELD_BY_HAND", "BURST", "PACED"} & set(standing)  # all concern but the second class here
            verdict = "throttled" if "slow" in restrictions else "shed" if waits else "open"
            assert (policy.verdict(), admitted) == (verdict, [True, not waits, True])
        assert admitted == [bool(policy.open >> i & 1) for i in range(3)]
        assert bool(actions & SAVE) == (policy.reasons != reasons)
        assert bool(actions & REPORT) == (policy.reasons != reasons or policy.level != level_before)
        assert bool(actions & CLOSE) == bool(open_before & ~policy.open)
        assert bool(actions & RESUME) == bool(policy.open & ~open_before)
        deaf = {"LEDGER_FAULT", "SILENT_PERIOD", "ROAMING_EXHAUSTED", "RESERVE_EXHAUSTED"} & set(standing)
        assert policy.data_wanted() == (not deaf)
        assert policy.names() == [code for code in BITS if code in standing]


@pytest.mark.parametrize("reasons", SOME_SETS)
def test_observing_holds_nothing_back_whatever_stands(reasons):
    policy = raised(reasons, observe=True)
    assert policy.level == raised(reasons).level
    assert (policy.open, policy.data_wanted()) == (0b111, True)
    assert all(policy.admits(i, Octets(1 << 40), (1 << 29) - 1) for i in range(3))


def test_names_come_in_order_of_the_table():
    policy = make()
    for event in (QUOTA_REACHED, RESERVE_REACHED, CARRIER_REFUSED):
        policy.apply(event)
    assert policy.names() == ["CARRIER_STOP", "RESERVE_EXHAUSTED", "QUOTA_EXHAUSTED"]


def test_a_period():
    """30 MB to the end, octet by octet at every mark."""
    policy = make()
    local, report = policy.limit(LOCAL), policy.limit(RESERVE)
    assert (30 * MB - report, report - local) == (157286, 157286), "0.5 % each"
    steps = (
        # used, verdict, warned, shed, actions when it is crossed
        (15 * MB, "warned", 0b001, 0b000, SAVE | REPORT),
        (24 * MB, "warned", 0b011, 0b000, SAVE | REPORT),
        (27 * MB, "shed", 0b111, 0b010, SAVE | REPORT | CLOSE),
        (local, "restricted", 0b111, 0b011, SAVE | REPORT | CLOSE),
        (report, "terminated", 0b111, 0b011, SAVE | REPORT | CLOSE),
    )
    for used, verdict, warned, shed, actions in steps:
        assert policy.next_mark.value() == used
        assert not policy.past_mark(Octets(used - 1))
        assert policy.cross(Octets(used - 1)) == 0, "nothing may happen before the mark"
        assert policy.past_mark(Octets(used))
        assert policy.cross(Octets(used)) == actions
        assert (policy.verdict(), policy.warned, policy.shed) == (verdict, warned, shed)
        assert policy.cross(Octets(used)) == 0, "everything fires once"
    assert not policy.past_mark(Octets(1 << 53)), "nothing left to cross"
    assert policy.apply(NEW_CYCLE) == SAVE | REPORT | RESUME
    assert policy.past_mark(Octets(0)), "a new period is judged from its first octet"
    assert policy.cross(Octets(0)) == 0
    assert (policy.verdict(), policy.next_mark.value()) == ("open", 15 * MB)


def test_shedding_between_two_warnings_is_reported_but_not_stored():
    classes = (CLASSES[TELEMETRY], TrafficClass("ota", 20, shed_permille=850), CLASSES[REPORTS])
    policy = Policy(plan(), classes)
    policy.cross(Octets(24 * MB))
    assert policy.cross(Octets(26 * MB)) == REPORT | CLOSE
    assert (policy.verdict(), policy.open) == ("shed", 0b101)
    assert not policy.admits(OTA, Octets(26 * MB), 1)
    assert policy.admits(TELEMETRY, Octets(26 * MB), 1)


@pytest.mark.parametrize("event", EVENTS)
def test_what_is_judged_anew_after_an_event(event):
    policy = make()
    policy.apply(event)
    assert policy.past_mark(Octets(0)) == (event in (NEW_CYCLE, QUOTA_GRANTED))


def test_one_leap_over_all_marks():
    policy = make()
    assert policy.cross(Octets(31 * MB)) == SAVE | REPORT | CLOSE
    assert policy.names() == ["RESERVE_EXHAUSTED", "QUOTA_EXHAUSTED"]
    assert policy.warned == 0b111


def test_late_octets_of_the_old_period_do_not_reopen():
    policy = make()
    policy.cross(Octets(31 * MB))
    policy.apply(NEW_CYCLE)
    assert policy.cross(Octets(16 * MB)) == SAVE | REPORT
    assert policy.verdict() == "warned"


@pytest.mark.parametrize(
    ("index", "limit", "actions", "names", "shed"),
    [
        (TELEMETRY, LOCAL, SAVE | REPORT | CLOSE, ["QUOTA_EXHAUSTED"], 0b010),
        (REPORTS, RESERVE, SAVE | REPORT | CLOSE, ["RESERVE_EXHAUSTED", "QUOTA_EXHAUSTED"], 0b011),
    ],
)
def test_too_little_left_for_a_packet(index, limit, actions, names, shed):
    policy = make()
    almost = Octets(policy.limit(limit) - 10)
    policy.cross(almost)
    assert not policy.admits(index, almost, 11)
    assert policy.denied(index) == actions
    assert (policy.names(), policy.shed) == (names, shed)
    assert policy.denied(index) == 0, "there is a reason now"
    assert policy.cross(almost) == 0, "used octets below the limit lift nothing"
    policy.apply(NEW_CYCLE)
    assert policy.names() == []


def test_too_little_left_for_a_packet_of_a_shed_class():
    policy = make()
    almost = Octets(27 * MB - 10)
    policy.cross(almost)
    assert policy.denied(OTA) == REPORT | CLOSE
    assert (policy.verdict(), policy.names(), policy.open) == ("shed", [], 0b101)
    assert (policy.denied(OTA), policy.cross(almost)) == (0, 0)
    policy.apply(NEW_CYCLE)
    assert (policy.shed, policy.open) == (0, 0b111)


def test_a_carrier_stop_outlives_the_period():
    policy = make()
    policy.apply(CARRIER_REFUSED)
    policy.apply(NEW_CYCLE)
    assert policy.names() == ["CARRIER_STOP"]
    assert policy.data_wanted(), "or nobody would ever ask the carrier again"
    policy.apply(CARRIER_SERVES)
    assert policy.names() == []


def test_a_served_session_lifts_no_quota():
    policy = make()
    policy.cross(Octets(31 * MB))
    policy.apply(CARRIER_REFUSED)
    policy.apply(CARRIER_SERVES)
    assert policy.names() == ["RESERVE_EXHAUSTED", "QUOTA_EXHAUSTED"]
    assert not policy.data_wanted()


class TestRestore:
    def test_what_was_stored_is_what_is_restored(self):
        for used in (0, 16 * MB, 27 * MB, 30 * MB - 200000, 31 * MB):
            before = make()
            before.cross(Octets(used))
            after = Policy(plan(), CLASSES)
            after.restore(before.reasons, before.warned, Octets(used))
            assert state(after) == state(before), used

    def test_a_stop_takes_effect_at_once(self):
        policy = Policy(plan(), CLASSES)
        assert policy.restore(0b011, 0b111, Octets(31 * MB)) == REPORT | CLOSE
        assert (policy.verdict(), policy.open, policy.data_wanted()) == ("terminated", 0, False)

    def test_warnings_do_not_fire_again(self):
        policy = Policy(plan(), CLASSES)
        assert not policy.restore(0, 0b001, Octets(16 * MB)) & SAVE

    def test_a_warning_missed_by_a_power_cut_fires(self):
        policy = Policy(plan(), CLASSES)
        assert policy.restore(0, 0b001, Octets(24 * MB)) & SAVE
        assert policy.warned == 0b011

    def test_a_larger_plan_lifts_the_quota_and_arms_the_warnings(self):
        policy = Policy(plan(100 * MB), CLASSES)
        assert policy.restore(0b111, 0b111, Octets(31 * MB)) & SAVE
        assert policy.names() == ["CARRIER_STOP"]
        assert policy.warned == 0
        assert policy.next_mark.value() == 50 * MB

    def test_a_smaller_plan_stops(self):
        policy = Policy(plan(10 * MB), CLASSES)
        policy.restore(0, 0, Octets(16 * MB))
        assert policy.names() == ["RESERVE_EXHAUSTED", "QUOTA_EXHAUSTED"]

    @pytest.mark.parametrize("reasons", [0x800000, 0x800001, -1])
    def test_a_reason_of_another_version_is_refused(self, reasons):
        policy = make()
        policy.cross(Octets(16 * MB))
        before = state(policy)
        with pytest.raises(ValueError):
            policy.restore(reasons, 0, Octets(0))
        assert state(policy) == before


def test_observing_judges_and_admits():
    policy = make(observe=True)
    strict = make()
    for used in (15 * MB, 27 * MB, 30 * MB - 200000, 31 * MB, 1 << 40):
        ours, theirs = policy.cross(Octets(used)), strict.cross(Octets(used))
        assert ours == theirs & ~(CLOSE | RESUME)
        assert (policy.names(), policy.verdict()) == (strict.names(), strict.verdict())
        assert all(policy.admits(i, Octets(used), 100000) for i in range(3))
    policy.apply(CARRIER_REFUSED)
    assert policy.verdict() == "terminated"
    assert policy.admits(TELEMETRY, Octets(1 << 40), (1 << 29) - 1)
    assert policy.data_wanted()


@pytest.mark.parametrize(
    ("allowance", "local", "report", "lease_max"),
    [
        (100 << 10, 77824, 94208, 65536),
        (1 * MB, 1024000, 1040384, 65536),
        (30 * MB, 31142708, 31299994, 65536),
        (500 * MB, 522190848, 523239424, 65536),
        (1 << 30, (1 << 30) - 2 * MB, (1 << 30) - MB, 65536),
        (1 << 31, (1 << 31) - 2 * MB, (1 << 31) - MB, 262144),
        (5 << 30, (5 << 30) - 2 * MB, (5 << 30) - MB, 262144),
    ],
)
def test_default_limits(allowance, local, report, lease_max):
    values = plan(allowance)
    assert (values.local_limit, values.report_limit, values.lease_max_octets) == (local, report, lease_max)
    policy = Policy(values, CLASSES)
    policy.cross(Octets(local - 1))
    assert policy.admits(TELEMETRY, Octets(local - 1), 1)
    assert not policy.admits(TELEMETRY, Octets(local - 1), 2)
    policy.cross(Octets(local))
    assert policy.verdict() == "restricted"
    assert policy.admits(REPORTS, Octets(local), report - local)
    assert not policy.admits(REPORTS, Octets(local), report - local + 1)


def test_reserve_holds_a_rounded_session():
    assert make_plan(MB, CalendarCycle(1, 0), Rating(session_round_octets=25600)).reserve_octets == 25600


allowances = st.one_of(st.integers(50_000, 200_000), st.integers(1 << 20, 1 << 33), st.integers((1 << 31) - 9, 1 << 31))
plans = st.builds(
    plan,
    allowances,
    warn_permille=st.lists(st.integers(1, 1000), unique=True, max_size=5).map(sorted).map(tuple),
)


shed_permilles = st.lists(st.integers(1, 1000), max_size=4)


@given(plans, st.lists(st.integers(0, 1200), min_size=1, max_size=12), shed_permilles)
def test_against_plain_integers(values, permilles, sheds):
    classes = [TrafficClass(str(i), i + 10, shed_permille=s) for i, s in enumerate(sheds)]
    policy = Policy(values, [*classes, CLASSES[REPORTS]])
    limits = [min(values.allowance * s // 1000, values.local_limit) for s in sheds] + [values.report_limit]
    thresholds = [values.allowance * w // 1000 for w in values.warn_permille]
    marks = [*thresholds, *limits, values.local_limit, values.report_limit]
    fired = []
    for permille in sorted(permilles):
        n = values.allowance * permille // 1000
        used = Octets(n)
        used.hi, used.lo = Small(used.hi), Small(used.lo)
        before = policy.warned
        policy.cross(used)
        fired += [i for i in range(8) if (policy.warned & ~before) >> i & 1]
        assert sorted(fired) == [i for i, t in enumerate(thresholds) if n >= t], "each threshold fires once"
        assert policy.shed == sum(1 << i for i, limit in enumerate(limits[:-1]) if n >= limit)
        assert policy.next_mark.value() == min([m for m in marks if m > n], default=(1 << 54) - 1)
        assert ("QUOTA_EXHAUSTED" in policy.names()) == (n >= values.local_limit)
        assert ("RESERVE_EXHAUSTED" in policy.names()) == (n >= values.report_limit)
        for i, limit in enumerate(limits):
            for cost in (1, 1500, limit - n, limit - n + 1):
                if 1 <= cost < 1 << 29:
                    assert policy.admits(i, used, Small(cost)) == (n + cost <= limit)


@given(st.lists(st.sampled_from(EVENTS), max_size=30))
def test_any_history_ends_where_its_last_words_say(events):
    policy = make()
    for event in events:
        policy.apply(event)
    for row in REASONS:
        _, raised_by, lifted_by, _, _ = EXPECTED[row[CODE]]
        last = next((e for e in reversed(events) if e in raised_by | lifted_by), None)
        assert (row[CODE] in policy.names()) == (last in raised_by)


@pytest.mark.parametrize("event", [LEDGER_FAILED, RESERVE_REACHED])
def test_an_exchange_passes_whatever_the_limits_until_it_is_used_up(event):
    policy, limits = make(), plan()
    used = Octets(limits.allowance + 7)
    policy.cross(used)
    policy.apply(event)
    report = next(i for i, c in enumerate(CLASSES) if c.uses_reserve)
    names = policy.names()
    assert policy.deaf()
    assert not policy.data_wanted()
    assert policy.allow_exchange(used, 1000) == RESUME
    assert (policy.names(), policy.level, policy.data_wanted()) == (names, TERMINATED, True)
    assert [policy.admits(i, used, 1000) for i in range(len(CLASSES))] == [i == report for i in range(len(CLASSES))]
    assert not policy.admits(report, used, 1001)
    policy.cross(used)
    policy.apply(SLOW_ORDERED)
    assert policy.admits(report, used, 1000), "whatever else happens"
    assert policy.denied(report) == CLOSE
    assert "RESERVE_EXHAUSTED" in names or "RESERVE_EXHAUSTED" not in policy.names()
    assert not policy.admits(report, used, 0)
    assert not policy.data_wanted()


@pytest.mark.parametrize("event", [SILENCE_BEGAN, CARRIER_REFUSED, STOP_ORDERED])
def test_no_exchange_where_it_would_do_harm_or_nothing(event):
    policy = make()
    policy.apply(event)
    assert not policy.deaf()
    if event == SILENCE_BEGAN:
        policy.apply(LEDGER_FAILED)
        assert not policy.deaf()
        policy.allow_exchange(Octets(0), 1000)
        assert not policy.data_wanted()
        assert not any(policy.admits(i, Octets(0), 0) for i in range(len(CLASSES)))


@pytest.mark.parametrize(
    ("exhaustion", "extra", "names"),
    [
        ("cutoff", {}, ["RESERVE_EXHAUSTED", "QUOTA_EXHAUSTED"]),
        ("test", {}, ["RESERVE_EXHAUSTED", "TEST_EXHAUSTED"]),
        ("overage", {"cap_octets": 30 * MB}, ["RESERVE_EXHAUSTED", "COST_CAP"]),
        ("throttle", {}, ["THROTTLED"]),
        ("none", {}, []),
    ],
)
def test_each_plan_names_its_own_end(exhaustion, extra, names):
    tariff = Tariff(((0, MB, 29),))
    policy = make(exhaustion=exhaustion, tariff=tariff, **extra)
    policy.cross(Octets(30 * MB - 1))
    assert ("THROTTLED" in policy.names(), policy.verdict() == "shed") == (False, exhaustion in ("throttle", "none"))
    policy.cross(Octets(30 * MB))
    assert policy.names() == names
    policy.apply(NEW_CYCLE)
    assert policy.names() == []


class TestLimits:
    KINDS = ((LOCAL, "QUOTA_EXHAUSTED"), (BALANCE, "ARREARS"), (GRANT, "POOL_EXHAUSTED"), (PACE, "PACED"))

    @pytest.mark.parametrize(("kind", "code"), KINDS)
    def test_raises_lowers_and_lifts(self, kind, code):
        policy = make()
        assert policy.set_limit(kind, 5 * MB, Octets(4 * MB)) == 0
        assert (policy.limit(kind), policy.next_mark.value()) == (5 * MB, 5 * MB)
        bound = OTA  # every limit binds it
        assert policy.admits(bound, Octets(4 * MB), MB)
        assert not policy.admits(bound, Octets(4 * MB), MB + 1)
        assert policy.admits(REPORTS, Octets(5 * MB), MB)
        assert policy.cross(Octets(5 * MB)) == SAVE | REPORT | CLOSE
        assert policy.names() == [code]
        assert policy.set_limit(kind, 5 * MB, Octets(5 * MB)) == 0, "the same again"
        assert policy.set_limit(kind, 6 * MB, Octets(5 * MB)) == SAVE | REPORT | RESUME
        assert policy.set_limit(kind, 0, Octets(5 * MB)) == SAVE | REPORT | CLOSE
        assert policy.set_limit(kind, None, Octets(5 * MB)) == SAVE | REPORT | RESUME
        assert policy.limit(kind) == (plan().local_limit if kind == LOCAL else None)

    @pytest.mark.parametrize(("kind", "code"), KINDS)
    def test_one_limit_lifts_no_other_ones_reason(self, kind, code):
        policy = make()
        for other, _ in self.KINDS:
            policy.set_limit(other, MB, Octets(2 * MB))
        policy.set_limit(kind, None, Octets(2 * MB))
        assert set(policy.names()) == {name for _, name in self.KINDS} - {code}

    def test_the_owner_cannot_raise_it_above_the_plans(self):
        policy = make()
        policy.set_limit(LOCAL, 40 * MB, Octets(0))
        assert policy.limit(LOCAL) == plan().local_limit

    def test_pace_does_not_bind_who_is_not_paced(self):
        policy = make()
        policy.set_limit(PACE, MB, Octets(2 * MB))
        assert (policy.verdict(), policy.open) == ("shed", 0b101)
        assert policy.admits(TELEMETRY, Octets(2 * MB), MB)

    @pytest.mark.parametrize(("kind", "code"), KINDS)
    def test_too_little_left_for_a_packet(self, kind, code):
        policy = make()
        almost = Octets(MB - 10)
        policy.set_limit(kind, MB, almost)
        assert policy.denied(OTA) & SAVE
        assert policy.names() == [code]
        assert policy.cross(almost) == 0
        policy.set_limit(kind, 2 * MB, almost)
        assert policy.names() == []

    def test_a_denial_names_the_limit_that_binds(self):
        policy = make()
        used = Octets(0)
        policy.set_limit(PACE, 900, used)
        policy.set_limit(GRANT, 1000, used)
        assert policy.denied(TELEMETRY) & SAVE
        assert policy.names() == ["POOL_EXHAUSTED"], "the day's budget is none of telemetry's"

    def test_what_is_held_is_denied_without_another_reason(self):
        policy = make()
        policy.hold(1 << OTA)
        assert policy.denied(OTA) == 0
        policy = make(observe=True)
        policy.set_limit(BALANCE, 10, Octets(0))
        assert policy.denied(OTA) == 0, "observing refuses nobody"

    def test_a_correction_lifts_what_limits_raised_and_nothing_else(self):
        policy = make()
        for event in EVENTS:
            if event in {row[RAISED_BY] for row in REASONS}:
                policy.apply(event)
        policy.set_limit(BALANCE, 2 * MB, Octets(31 * MB))
        policy.cross(Octets(31 * MB))
        policy.corrected(Octets(3 * MB), MB)
        by_limits = {"QUOTA_EXHAUSTED", "RESERVE_EXHAUSTED", "COST_CAP", "TEST_EXHAUSTED", "POOL_EXHAUSTED"}
        by_limits |= {"THROTTLED", "PACED", "DAY_EXHAUSTED", "CLASS_EXHAUSTED"}
        assert set(policy.names()) == set(EXPECTED) - by_limits, "but ARREARS, which still holds"
        policy.corrected(Octets(MB), MB)
        assert "ARREARS" not in policy.names()
        assert (policy.shed, policy.warned) == (0, 0)


def test_set_plan_changes_what_ends_the_period():
    policy = make(exhaustion="test")
    policy.cross(Octets(30 * MB))
    policy.apply(NEW_CYCLE)
    policy.set_plan(plan(50 * MB))
    assert policy.past_mark(Octets(0)), "judged from its first octet"
    policy.cross(Octets(30 * MB))
    assert (policy.names(), policy.warned, policy.limit(LOCAL)) == ([], 0b001, plan(50 * MB).local_limit)
    policy.cross(Octets(50 * MB))
    assert "QUOTA_EXHAUSTED" in policy.names()


def test_hold():
    policy = make()
    assert policy.hold(1 << OTA | 1 << REPORTS) == SAVE | REPORT | CLOSE
    assert (policy.held, policy.open, policy.names()) == (1 << OTA, 0b101, ["BURST"]), "reports are never held"
    assert policy.hold(1 << OTA) == 0
    assert policy.hold(1 << OTA | 1 << TELEMETRY) == CLOSE, "the reasons are what they were"
    assert policy.hold(1 << TELEMETRY) == RESUME
    policy.apply(NEW_CYCLE)
    assert policy.names() == ["BURST"], "a new period makes nothing right"
    assert policy.hold(0) == SAVE | REPORT | RESUME
    assert (policy.open, policy.verdict()) == (0b111, "open")


def test_what_the_owner_holds_waits_whatever_the_burst_guard_ends():
    policy = make()
    assert policy.keep(1 << OTA | 1 << REPORTS | 1 << 7) == SAVE | REPORT | CLOSE
    assert (policy.kept, policy.open, policy.names()) == (1 << OTA, 0b101, ["HELD_BY_HAND"]), "and no class beyond"
    policy.hold(1 << OTA)
    policy.hold(0)
    policy.apply(NEW_CYCLE)
    assert (policy.open, policy.names(), policy.verdict()) == (0b101, ["HELD_BY_HAND"], "shed")
    assert policy.keep(1 << TELEMETRY) == CLOSE | RESUME
    assert policy.keep(0) == SAVE | REPORT | RESUME
    assert (policy.open, policy.names()) == (0b111, [])


def test_warnings_that_are_none_of_octets():
    values = plan()
    values.warn_days = (30, 7, 1)
    policy = Policy(values, CLASSES)
    assert (values.days_bit, values.forecast_bit) == (3, 6)
    assert [values.warning(bit) for bit in range(7)] == [
        *("used-500", "used-800", "used-900", "days-30", "days-7", "days-1", "forecast"),
    ]
    for bit in range(3, 7):
        assert policy.warn(bit) == SAVE | REPORT
        assert policy.warn(bit) == 0
    assert (policy.verdict(), policy.warned) == ("warned", 0b1111000)
    policy.cross(Octets(16 * MB))
    policy.apply(NEW_CYCLE)
    assert policy.warned == 0b0111000, "a package's days are none of the period's"
    assert policy.warn(3, False) == SAVE | REPORT
    after = Policy(values, CLASSES)
    after.restore(0, 0xFFFF, Octets(0))
    assert after.warned == 0b1111000, "no warning that the plan does not have; those of octets as they are"


def test_restored_limits_judge_and_only_they_lift():
    """A stored reason of a limit that no longer holds goes; one that no limit raises stays."""
    policy = make()
    policy.set_limit(BALANCE, MB, Octets(2 * MB))
    stored = ALL_REASONS
    policy.restore(stored, 0, Octets(2 * MB))
    gone = {"QUOTA_EXHAUSTED", "RESERVE_EXHAUSTED", "COST_CAP", "TEST_EXHAUSTED", "POOL_EXHAUSTED", "THROTTLED"}
    gone |= {"DAY_EXHAUSTED", "CLASS_EXHAUSTED"}
    assert set(policy.names()) == set(EXPECTED) - gone, "PACED waits for the day's budget"


limits = st.one_of(st.none(), st.integers(0, 40 * MB), st.integers(0, MAX))


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from([LOCAL, BALANCE, GRANT, PACE]), limits),
            st.tuples(st.just("spend"), st.integers(0, 8 * MB)),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_limits_against_plain_integers(steps):
    """Each class may spend up to the least of what binds it, and what is reached has its reason."""
    policy, values = make(), plan()
    used = 0
    now = {LOCAL: None, BALANCE: None, GRANT: None, PACE: None}
    for what, value in steps:
        if what == "spend":
            used += value
            policy.cross(Octets(used))
        else:
            now[what] = value
            policy.set_limit(what, value, Octets(used))
        bounds = {kind: MAX if limit is None else limit for kind, limit in now.items()}
        bounds[LOCAL] = min(bounds[LOCAL], values.local_limit)
        reached = {kind: used >= limit for kind, limit in bounds.items()}
        names = policy.names()
        codes = dict(TestLimits.KINDS)
        assert {kind: codes[kind] in names for kind in codes} == reached
        assert ("RESERVE_EXHAUSTED" in names) == (used >= values.report_limit)
        shed = 30 * MB * 9 // 10
        most = [
            min(bounds[LOCAL], bounds[BALANCE], bounds[GRANT]),
            min(bounds[LOCAL], bounds[BALANCE], bounds[GRANT], bounds[PACE], shed),
            values.report_limit,
        ]
        marks = [*bounds.values(), *values.warn_marks, shed, values.report_limit, values.local_limit]
        assert policy.next_mark.value() == min([mark for mark in marks if mark > used], default=MAX)
        for i, limit in enumerate(most):
            for cost in (1, limit - used, limit - used + 1):
                if 0 < cost < 1 << 29:
                    assert policy.admits(i, Octets(used), cost) == (used + cost <= limit), (i, cost)


MARKS = st.sampled_from([15 * MB, 27 * MB, 30 * MB])
USES = st.integers(0, 31 * MB) | st.builds(lambda mark, beyond: mark + beyond, MARKS, st.integers(-9, 9))
ACTS = (
    st.tuples(st.just("apply"), st.sampled_from(EVENTS))
    | st.tuples(st.just("cross"), USES)
    | st.tuples(st.just("limit"), st.sampled_from([LOCAL, BALANCE, GRANT, PACE]), USES, USES)
    | st.tuples(st.just("exchange"), USES)
)


@settings(deadline=None)
@given(st.lists(ACTS, max_size=6), st.lists(ACTS, max_size=1), USES, st.booleans())
def test_within_the_room_every_open_class_is_admitted_and_nothing_is_crossed(acts, last, used, observe):
    policy = make(observe)
    used = Octets(used)

    def do(act, *given):
        if act == "apply":
            policy.apply(*given)
        elif act == "cross":
            policy.cross(Octets(*given))
        elif act == "limit":
            policy.set_limit(given[0], given[1], Octets(given[2]))
        else:
            policy.allow_exchange(Octets(*given), 1024)

    for act in acts:
        do(*act)
    policy.past_mark(used)
    for act in last:  # whatever changes what is admitted takes the room away
        do(*act)
    room = policy.room
    for i in range(len(CLASSES)):
        if room and policy.open >> i & 1:
            assert policy.admits(i, used, room)
    if room > 1:
        assert not policy.past_mark(Octets(used.value() + room - 1))
