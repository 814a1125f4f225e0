"""The table of reasons, walked, and the limits against plain integers."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from usageguard.core.cycle import Cycle
from usageguard.core.octets import Octets
from usageguard.core.plan import Plan, Rating, TrafficClass
from usageguard.core.policy import (
    BIT,
    BY_HAND,
    CARRIER_REFUSED,
    CARRIER_SERVES,
    CLOSE,
    CODE,
    EVENTS,
    LEDGER_FAILED,
    LEDGER_SET,
    LIFTED_BY,
    NEW_CYCLE,
    QUOTA_GRANTED,
    QUOTA_REACHED,
    RAISED_BY,
    REASONS,
    REPORT,
    RESERVE_REACHED,
    RESTRICT_ACCESS,
    RESTRICTION,
    RESUME,
    SAVE,
    SURVIVES_CYCLE,
    TERMINATE,
    Policy,
    transition,
)

from tests.core.small import Small

MB = 1 << 20
TELEMETRY, OTA, REPORTS = range(3)
CLASSES = (
    TrafficClass("telemetry", 10),
    TrafficClass("ota", 20, shed_permille=900),
    TrafficClass("report", 1, uses_reserve=True),
)

ALL_REASONS = sum(row[BIT] for row in REASONS)
SETS = [bits for bits in range(ALL_REASONS + 1) if not bits & ~ALL_REASONS]
NO_EVENTS = [0, -1, 3, 0x30, max(EVENTS) << 1, None, "NEW_CYCLE", 1.5]


def plan(allowance=30 * MB, **kwargs):
    return Plan(allowance, Cycle(1, 480), Rating(), **kwargs)


def make(observe=False, **kwargs):
    policy = Policy(plan(**kwargs), CLASSES, observe)
    policy.cross(Octets(0))
    return policy


def state(policy):
    return (
        policy.reasons,
        policy.warned,
        policy.shed,
        policy.open,
        policy.level,
        policy.next_mark.value(),
        [limit and limit.value() for limit in policy._admit],
    )


# What each row must do, written a second time: reason -> (raised by, lifted by) among EVENTS.
EXPECTED = {
    "QUOTA_EXHAUSTED": ({QUOTA_REACHED}, {QUOTA_GRANTED, NEW_CYCLE}),
    "RESERVE_EXHAUSTED": ({RESERVE_REACHED}, {QUOTA_GRANTED, NEW_CYCLE}),
    "CARRIER_STOP": ({CARRIER_REFUSED}, {CARRIER_SERVES}),
    "LEDGER_FAULT": ({LEDGER_FAILED}, {LEDGER_SET}),
}


def test_rows_are_sound():
    assert {row[CODE] for row in REASONS} == set(EXPECTED)
    assert len({row[BIT] for row in REASONS}) == len(REASONS)
    for row in REASONS:
        assert row[BIT] & (row[BIT] - 1) == 0, row
        assert 0 < row[BIT] < 1 << 16, "the ledger keeps 16 bits"
        assert not row[RAISED_BY] & row[LIFTED_BY], row
        assert row[RAISED_BY], row
        assert row[LIFTED_BY] or not row[SURVIVES_CYCLE], "nothing would ever lift it"
        assert not (row[RAISED_BY] | row[LIFTED_BY]) & NEW_CYCLE, "SURVIVES_CYCLE says that"
        assert row[SURVIVES_CYCLE] or not row[BY_HAND], "a new period is no hand"
        assert not row[BY_HAND] or not row[LIFTED_BY] & CARRIER_SERVES, "neither is a carrier"
        assert row[RESTRICTION] in (TERMINATE, RESTRICT_ACCESS), row
    assert len(set(EVENTS)) == len(EVENTS)
    assert all(event & (event - 1) == 0 for event in EVENTS)


@pytest.mark.parametrize("row", REASONS, ids=[row[CODE] for row in REASONS])
@pytest.mark.parametrize("event", EVENTS)
def test_every_reason_and_event(row, event):
    """In company of every other set of reasons: what becomes of one depends on its own row alone."""
    raised_by, lifted_by = EXPECTED[row[CODE]]
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
    for event in EXPECTED[one[CODE]][1] - EXPECTED[other[CODE]][1]:
        after = transition(one[BIT] | other[BIT], event)
        assert not after & one[BIT]
        assert after & other[BIT]


@pytest.mark.parametrize("event", NO_EVENTS)
@pytest.mark.parametrize("reasons", SETS)
def test_illegal_event_changes_nothing(event, reasons):
    policy = make()
    policy.restore(reasons, 1, Octets(20 * MB))
    before = state(policy)
    with pytest.raises(ValueError):
        policy.apply(event)
    assert state(policy) == before


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("reasons", SETS)
def test_an_event_again_changes_nothing(event, reasons):
    policy = make()
    policy.restore(reasons, 0, Octets(0))
    policy.apply(event)
    before = state(policy)
    assert policy.apply(event) == 0
    assert state(policy) == before


@pytest.mark.parametrize("reasons", SETS)
@pytest.mark.parametrize("event", EVENTS)
def test_verdict_admission_and_actions_follow_the_set(reasons, event):
    policy = make()
    for row in REASONS:
        if row[BIT] & reasons:
            policy.apply(row[RAISED_BY])
    assert policy.reasons == reasons
    open_before, level_before = policy.open, policy.level
    actions = policy.apply(event)
    restrictions = [row[RESTRICTION] for row in REASONS if row[BIT] & policy.reasons]
    admitted = [policy.admits(i, Octets(0), 1) for i in range(3)]
    if TERMINATE in restrictions:
        assert (policy.verdict(), admitted) == ("terminated", [False, False, False])
    elif RESTRICT_ACCESS in restrictions:
        assert (policy.verdict(), admitted) == ("restricted", [False, False, True])
    else:
        assert (policy.verdict(), admitted) == ("open", [True, True, True])
    assert admitted == [bool(policy.open >> i & 1) for i in range(3)]
    assert bool(actions & SAVE) == (policy.reasons != reasons)
    assert bool(actions & REPORT) == (policy.reasons != reasons or policy.level != level_before)
    assert bool(actions & CLOSE) == bool(open_before & ~policy.open)
    assert bool(actions & RESUME) == bool(policy.open & ~open_before)
    silencing = [c for c in policy.names() if c != "CARRIER_STOP" and c != "QUOTA_EXHAUSTED"]
    assert policy.data_wanted() == (not silencing)


def test_names_come_in_order_of_the_table():
    policy = make()
    for event in (QUOTA_REACHED, RESERVE_REACHED, CARRIER_REFUSED):
        policy.apply(event)
    assert policy.names() == ["CARRIER_STOP", "RESERVE_EXHAUSTED", "QUOTA_EXHAUSTED"]


def test_a_period():
    """30 MB to the end, octet by octet at every mark."""
    policy = make()
    local, report = policy._local_limit.value(), policy._report_limit.value()
    assert (30 * MB - report, report - local) == (157286, 157286), "0.5 % each"
    steps = (
        # used, verdict, warned, shed, actions when it is crossed
        (15 * MB, "warned", 0b001, 0b000, SAVE | REPORT),
        (24 * MB, "warned", 0b011, 0b000, SAVE | REPORT),
        (27 * MB, "shed", 0b111, 0b010, SAVE | REPORT | CLOSE),
        (local, "restricted", 0b111, 0b011, SAVE | REPORT | CLOSE),
        (report, "terminated", 0b111, 0b111, SAVE | REPORT | CLOSE),
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
        (TELEMETRY, "_local_limit", SAVE | REPORT | CLOSE, ["QUOTA_EXHAUSTED"], 0b010),
        (REPORTS, "_report_limit", SAVE | REPORT | CLOSE, ["RESERVE_EXHAUSTED", "QUOTA_EXHAUSTED"], 0b011),
    ],
)
def test_too_little_left_for_a_packet(index, limit, actions, names, shed):
    policy = make()
    almost = Octets(getattr(policy, limit).value() - 10)
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

    @pytest.mark.parametrize("reasons", [0x4000, 0x8001, -1])
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
    assert Plan(MB, Cycle(1, 0), Rating(session_round_octets=25600)).reserve_octets == 25600


allowances = st.one_of(
    st.integers(50_000, 200_000), st.integers(1 << 20, 1 << 33), st.integers((1 << 31) - 9, 1 << 31)
)
plans = st.builds(
    plan,
    allowances,
    warn_permille=st.lists(st.integers(1, 1000), unique=True, max_size=8).map(sorted).map(tuple),
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
        assert policy.shed == sum(1 << i for i, limit in enumerate(limits) if n >= limit)
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
        raised_by, lifted_by = EXPECTED[row[CODE]]
        last = next((e for e in reversed(events) if e in raised_by | lifted_by), None)
        assert (row[CODE] in policy.names()) == (last in raised_by)


def test_a_probe_moves_the_report_limit_within_the_allowance_until_the_next_cycle():
    policy, limits = make(), plan()
    used = Octets(limits.report_limit)
    policy.cross(used)
    report = next(i for i, c in enumerate(CLASSES) if c.uses_reserve)
    assert not policy.data_wanted()
    policy.allow_probe(used, 2048)
    assert policy.data_wanted()
    assert policy.names() == ["QUOTA_EXHAUSTED"]
    assert policy.admits(report, used, 2048)
    assert not policy.admits(report, used, 2049)
    policy.allow_probe(Octets(limits.allowance - 10), 2048)
    assert not policy.admits(report, Octets(limits.allowance - 10), 11), "never beyond what was bought"
    policy.apply(NEW_CYCLE)
    policy.cross(Octets(0))
    assert not policy.admits(report, Octets(0), limits.report_limit + 1)
