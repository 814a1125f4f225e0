"""What is reported, when, and over which path: against the real collector, in virtual time."""

import hmac
import struct
from itertools import pairwise
from types import SimpleNamespace

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.core.mac import mac0_seal
from usageguard.core.octets import Octets
from usageguard.modem.messenger import FAILED, SENT, UNCERTAIN
from usageguard.upstream.outbox import (
    APPLICATION_CRASH,
    BOOT,
    FINAL,
    QUOTA_EXHAUSTED,
    RATING_CONDITION_CHANGE,
    THRESHOLD,
    VALIDITY_TIME,
)

from host_tools.collector.order import Order
from host_tools.collector.store import Store
from tests.upstream.world import (
    DAY,
    DEVICE,
    HOUR,
    KEY,
    MINUTE,
    OPEN,
    RESTRICTED,
    SHED,
    SMS_MS,
    TERMINATED,
    THROTTLED,
    WARNED,
    World,
)


@pytest.fixture
def world():
    """One that has reported its boot a while ago."""
    world = World()
    world.run(10 * MINUTE)
    assert world.reasons() == [BOOT]
    return world


def test_boot_is_reported_at_once():
    world = World()
    world.spend(1000)
    world.run(1000)
    (report,) = world.reports()
    assert world.sent_at() == [0]
    assert (report.boot_id, report.seq, report.cycle_id) == (1, 0, 305)
    assert (report.carried_octets, report.error_bound_octets, report.reporting_reason) == (1000, 65_536, BOOT)
    assert (world.outbox.reports_sent, world.outbox.reports_acked) == (1, 1)


def test_acknowledgement_tells_the_time():
    world = World()
    world.run(DAY + HOUR - 1)
    day = 9283  # 2025-06-01, days since 2000-01-01
    assert world.times[0][:2] == (day, 0)
    assert world.times[-1][0] == day + 1
    assert len(world.times) == 2, "with the full reports"
    assert world.outbox.reports_acked == 25


def test_interval():
    world = World(interval_s=600)
    world.run(DAY)
    assert world.reasons() == [BOOT] + 144 * [VALIDITY_TIME]
    assert world.store.reports_lost(DEVICE) == 0


def test_interval_counts_from_the_last_report(world):
    world.outbox.app_restarts = 1
    world.run(HOUR - 1)
    assert world.reasons() == [BOOT, APPLICATION_CRASH]
    world.run(1000)
    assert world.reasons() == [BOOT, APPLICATION_CRASH, VALIDITY_TIME]


def test_interval_near_the_horizon_of_ticks():
    world = World(interval_s=432_000)
    world.run(26 * DAY)
    assert world.reasons() == [BOOT] + 5 * [VALIDITY_TIME]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda w: vars(w.policy).update(level=WARNED, warned=1), THRESHOLD),
        (lambda w: vars(w.policy).update(warned=1), THRESHOLD),
        (lambda w: vars(w.policy).update(level=SHED), THRESHOLD),
        (lambda w: vars(w.policy).update(level=THROTTLED, reasons=0x2000), THRESHOLD),
        (lambda w: vars(w.policy).update(level=RESTRICTED, reasons=1), QUOTA_EXHAUSTED),
        (lambda w: vars(w.policy).update(level=TERMINATED, reasons=4), FINAL),
        (lambda w: setattr(w.ledger, "cycle_id", 306), RATING_CONDITION_CHANGE),
        (lambda w: setattr(w.account.standing, "counter", 1), RATING_CONDITION_CHANGE),
        (lambda w: setattr(w.outbox, "app_restarts", 1), APPLICATION_CRASH),
        (lambda w: (setattr(w.outbox, "app_restarts", 1), setattr(w.policy, "warned", 1)), THRESHOLD),
    ],
    ids=[
        *("warned", "warning alone", "shed", "throttled", "restricted", "terminated"),
        *("new cycle", "order", "crash", "two at once"),
    ],
)
def test_a_change_is_reported_at_once(world, change, reason):
    change(world)
    world.run(200)
    assert world.reasons() == [BOOT, reason]
    world.run(10 * MINUTE)
    assert world.reasons() == [BOOT, reason]


def test_another_reason_under_the_same_verdict_is_reported(world):
    vars(world.policy).update(level=TERMINATED, reasons=2)
    world.run(MINUTE)
    world.policy.reasons = 6
    world.run(200)
    assert world.reasons() == [BOOT, FINAL, FINAL]
    world.policy.reasons = 2
    world.run(MINUTE)
    assert world.reasons() == [BOOT, FINAL, FINAL, RATING_CONDITION_CHANGE]


def test_changes_close_to_each_other_share_a_report(world):
    for n in range(1, 5):
        world.outbox.app_restarts = 1 << n
        world.run(2000)
    world.policy.warned = 1
    world.run(MINUTE)
    assert world.reasons() == [BOOT, APPLICATION_CRASH, THRESHOLD]
    assert world.reports()[-1].app_restarts == 16
    assert world.sent_at()[2] - world.sent_at()[1] == pytest.approx(30_000, abs=200)


def test_a_stop_does_not_wait(world):
    """Neither for the gap after a report, nor for an exchange under way, nor for the back-off."""
    world.policy.warned = 1
    world.run(200)
    vars(world.policy).update(level=RESTRICTED, reasons=1)
    world.run(200)
    assert world.reasons() == [BOOT, THRESHOLD, QUOTA_EXHAUSTED]
    world.path.replies = False
    world.run(HOUR)
    vars(world.policy).update(level=TERMINATED, reasons=3)
    before = world.ms
    world.run(1)
    assert world.sent_at()[-1] == before
    assert world.reasons()[-1] == FINAL


def test_lost_acknowledgement(world):
    world.path.replies = False
    world.policy.warned = 1
    world.run(10_000)
    world.path.replies = True
    world.run(MINUTE)
    assert world.reasons() == [BOOT, THRESHOLD]
    assert world.outbox.reports_acked == 2
    datagrams = [datagram for _, datagram in world.path.sent[1:]]
    assert len(datagrams) == 4
    assert len(set(datagrams)) == 1


def test_an_outage_keeps_the_reason_and_sends_the_newest_state(world):
    world.path.requests = world.path.registered = False
    world.policy.warned = 1
    world.run(4 * HOUR)
    world.spend(500)
    sent = len(world.path.sent)
    world.path.requests = True
    world.run(2 * HOUR)
    assert world.reasons()[:2] == [BOOT, THRESHOLD]
    assert world.reports()[1].carried_octets == 500
    assert len(world.path.sent) > sent
    assert world.store.reports_lost(DEVICE) == world.outbox.reports_sent - len(world.reports())


def test_back_off(world):
    """1 min, doubled up to the interval, each up to half as long again; from the start after an answer."""
    world.path.registered = False
    for warned in (1, 3):
        before = len(world.path.sent)
        world.path.requests = False
        world.policy.warned = warned
        world.run(DAY)
        began = {}
        for at, datagram in world.path.sent[before:]:
            began.setdefault(datagram, at)
        waits = [later - earlier for earlier, later in pairwise(began.values())]
        for n, wait in enumerate(waits):
            pause = min(MINUTE << n, HOUR)
            assert 62_000 + pause <= wait <= 93_000 + 2_000 + pause * 1.5, n
        assert len(waits) > 20
        world.path.requests = True
        world.run(2 * HOUR)


def test_a_path_without_answers_is_renewed_after_each_exchange(world):
    world.path.registered = False
    for _ in range(2):
        world.run(2 * HOUR)
        sent, renewed = len(world.path.sent), len(world.path.renewed)
        world.path.requests = False
        world.run(DAY)
        world.path.requests = True
        began = {}
        for at, datagram in world.path.sent[sent:]:
            began.setdefault(datagram, at)
        starts = [*began.values()]
        assert len(starts) > 20
        for start, at, after in zip(starts, world.path.renewed[renewed:], starts[1:], strict=False):
            assert start < at < after


def test_a_refusal_is_an_answer_and_its_path_is_kept():
    world = World(keys={DEVICE: bytes(32)})
    world.path.registered = False
    world.run(DAY)
    assert world.outbox.reports_sent > 5
    assert world.path.renewed == []


def test_path_that_comes_late():
    world = World()
    world.path.up = world.path.registered = False
    world.run(HOUR // 2)
    assert (world.outbox.reports_sent, world.path.messages) == (0, [])
    world.path.up = world.path.registered = True
    world.run(2100)
    assert world.reasons() == [BOOT]


def test_refused_reports_are_offered_again():
    world = World(keys={DEVICE: bytes(32)})
    world.run(10 * MINUTE)
    assert world.outbox.refused == 0x81
    assert 3 <= world.outbox.reports_sent <= 5
    assert world.outbox.reports_acked == 0
    assert world.times == []
    world.collector._keys = {DEVICE: KEY}
    world.run(HOUR)
    assert world.reasons() == [BOOT]
    assert world.outbox.refused == 0


@pytest.mark.parametrize("lie", ["tag", "other report", "other device"])
def test_only_the_collectors_own_acknowledgement_counts(lie):
    world = World()
    world.path.requests = False
    world.run(100)
    datagram = world.path.sent[0][1]
    key, device, seq = KEY, b"tracker-001", 0
    if lie == "tag":
        key = bytes(32)
    elif lie == "other report":
        seq = 1
    else:
        device = b"tracker-002"
    aad = b"D" + device + (1).to_bytes(4, "big") + seq.to_bytes(4, "big")
    forged = mac0_seal(key, aad, b"\x83\x01\x19\x30\x39\x00", None)
    reply = bytes([0x62, 0x44]) + datagram[2:6] + b"\xff" + forged
    world.outbox.receive(world.ticks(), reply, len(reply))
    assert world.outbox.reports_acked == 0
    assert world.times == []
    world.path.requests = True
    world.run(3 * MINUTE)
    assert world.outbox.reports_acked == 1, "tried again"


def stop(world):
    world.path.up = False
    vars(world.policy).update(level=TERMINATED, reasons=2)


def test_a_stop_is_told_by_sms_at_once_and_once(world):
    stop(world)
    world.run(1)
    ((at, number, _),) = world.path.messages
    assert (at, number) == (10 * MINUTE, "+8613800000000")
    world.run(20 * DAY)
    assert len(world.path.messages) == 1
    assert world.reasons() == [BOOT, FINAL]
    world.path.up = True
    vars(world.policy).update(level=OPEN, reasons=0)
    world.run(MINUTE)
    assert world.reasons() == [BOOT, FINAL, FINAL], "by datagram, until it is acknowledged"
    assert world.store.reports_lost(DEVICE) == 0


def test_no_more_than_one_sms_an_hour_and_as_many_a_cycle_as_allowed(world):
    stop(world)
    for n in range(1, 200):
        world.outbox.app_restarts = 1 << n % 31
        world.run(10 * MINUTE)
    at = [at for at, _, _ in world.path.messages]
    assert len(at) == 10
    assert min(later - earlier for earlier, later in pairwise(at)) >= HOUR
    assert world.ledger.sms == 10
    world.ledger.cycle_id += 1
    world.ledger.sms = 0
    world.run(MINUTE)
    assert len(world.path.messages) == 11


def test_boots_while_stopped_do_not_send_one_each():
    world = World(level=TERMINATED)
    world.path.up = False
    world.run(HOUR - 1)
    assert world.path.messages == []
    world.run(2 * MINUTE)
    assert len(world.path.messages) == 1


@pytest.mark.parametrize("upstream", [{"sms_number": None}, {"max_sms_per_cycle": 0}])
def test_sms_not_wanted(upstream):
    world = World(**upstream)
    world.run(HOUR)
    stop(world)
    world.run(DAY)
    assert world.path.messages == []


def test_a_refused_sms_is_tried_again_with_back_off_and_counted_when_it_is_taken(world):
    world.path.sms_outcome = FAILED
    stop(world)
    world.run(20 * DAY)
    waits = [later - earlier for earlier, later in pairwise(world.path.sms_refused)]
    for n, wait in enumerate(waits):
        assert 0 <= wait - min(MINUTE << n, DAY) <= MINUTE + SMS_MS, n
    assert len(waits) > 20
    assert (world.path.messages, world.ledger.sms) == ([], 0)
    world.path.sms_outcome = SENT
    world.run(DAY + HOUR)
    assert len(world.path.messages) == world.ledger.sms == 1
    world.run(20 * DAY)
    assert len(world.path.messages) == 1


def test_a_sms_that_arrived_though_it_was_refused_is_no_reused_number(world):
    world.path.sms_outcome = FAILED
    world.path.sms_arrives_refused = True
    stop(world)
    world.run(HOUR)
    world.spend(1000)
    world.path.sms_outcome = SENT
    world.run(2 * HOUR)
    assert len(world.path.messages) > 2
    assert world.store.alarms(DEVICE) == []
    assert len({report.seq for report in world.reports()}) == len(world.reports())


def test_a_sms_without_an_answer_may_have_been_sent_and_stays_counted(world):
    world.path.sms_outcome = UNCERTAIN
    stop(world)
    world.run(40 * DAY)
    assert len(world.path.messages) == world.ledger.sms == 10


def test_a_stop_does_not_wait_for_a_days_back_off(world):
    world.path.sms_outcome = FAILED
    stop(world)
    world.run(10 * DAY)
    world.path.sms_outcome = SENT
    world.policy.reasons = 3
    world.run(HOUR + 2 * MINUTE)
    assert len(world.path.messages) == 1


def test_a_path_that_leads_nowhere_is_told_by_sms(world):
    """The carrier's soft stop: registered, data session up, nothing gets through."""
    world.run(HOUR)
    world.path.requests = False
    world.run(HOUR)
    assert world.path.messages == []
    world.run(30 * MINUTE)
    assert len(world.path.messages) == 1
    world.run(5 * DAY)
    assert len(world.path.messages) == 1
    world.path.requests = True
    world.run(2 * HOUR)
    assert world.reasons()[-1] == VALIDITY_TIME
    world.path.requests = False
    world.run(3 * HOUR)
    assert len(world.path.messages) == 2, "a new outage is news again"


def test_an_acknowledgement_starts_that_time_anew(world):
    world.run(HOUR)
    world.path.requests = False
    world.policy.warned = 1
    world.run(6 * MINUTE)
    world.outbox.app_restarts = 1
    while not world.outbox._exchange.busy:
        world.run(1000)
    world.outbox.app_restarts = 2
    world.run(1)
    world.path.requests = True
    acked = world.outbox.reports_acked
    while world.outbox.reports_acked == acked:
        world.run(1000)
    world.path.requests = False
    world.run(9 * MINUTE)
    assert world.outbox._pending >= 0
    assert world.path.messages == []
    world.run(10 * MINUTE)
    assert len(world.path.messages) == 1


def test_what_is_long_past_stays_past():
    """Beyond the horizon of ticks too."""
    world = World(interval_s=432_000)
    world.run(8 * DAY)
    world.path.requests = False
    world.outbox.app_restarts = 1
    world.run(20 * MINUTE)
    assert len(world.path.messages) == 1


def test_stopped_out_of_coverage(world):
    world.path.registered = False
    stop(world)
    world.run(DAY)
    assert world.path.messages == []
    world.path.registered = True
    world.run(MINUTE)
    assert len(world.path.messages) == 1


def test_no_coverage_is_no_stop(world):
    world.run(HOUR)
    world.path.up = world.path.registered = False
    world.policy.warned = 1
    world.run(DAY)
    world.path.registered = True
    world.run(9 * MINUTE)
    assert world.path.messages == [], "the data path gets its time to come up"
    world.run(3 * MINUTE)
    assert len(world.path.messages) == 1


def test_while_only_observing_a_terminated_verdict_goes_by_datagram(world):
    vars(world.policy).update(level=TERMINATED, reasons=2)
    world.run(DAY)
    assert world.path.messages == []
    assert world.reasons()[1] == FINAL


def test_the_longest_report_fits_into_one_sms():
    world = World()
    for name in ("carried", "rated", "carried_base", "rated_base"):
        setattr(world.ledger, name, Octets((1 << 54) - 1))
    world.ledger.boot_id = world.outbox.app_restarts = world.outbox._seq = (1 << 32) - 2
    world.ledger.cycle_id = world.policy.warned = 0xFFFF
    world.policy.reasons = 0xFFFFFF
    world.policy.level = TERMINATED
    world.account.standing.counter = (1 << 30) - 1
    world.account.refused = 1 << 20
    world.account.cost_fen = lambda used: 1 << 40
    world.admission.error_bound_octets = lambda: (1 << 54) - 1
    world.outbox._crash_code = (1 << 31) - 1
    world.outbox._device = b"0123456789abcdef"
    assert len(world.outbox._sealed(True)) <= 140


def test_an_order_comes_with_the_acknowledgement_and_is_told_at_once(world):
    world.collector.orders = lambda device, report, now: None if world.orders else Order(counter=1, limit=5, stop=1)
    world.policy.warned = 1
    world.run(200)
    assert [(counter, orders) for counter, orders, _ in world.orders] == [(1, {1: 1, 2: 5})]
    assert world.orders[0][2] == world.times[-1][2], "after the time beside it"
    world.run(MINUTE)
    assert world.reasons() == [BOOT, THRESHOLD, RATING_CONDITION_CHANGE]
    report = world.reports()[-1]
    assert (report.counter, report.refused) == (1, 0)
    world.run(3 * HOUR)
    assert len(world.orders) == 1, "shown to be taken, it is not sent again"


def test_an_order_whose_acknowledgement_is_lost_comes_again(world):
    world.collector.orders = lambda device, report, now: None if world.orders else Order(counter=1, limit=5)
    world.path.replies = False
    world.policy.warned = 1
    world.run(HOUR)
    assert world.orders == []
    world.path.replies = True
    world.run(2 * HOUR)
    assert {counter for counter, _, _ in world.orders} == {1}
    assert world.reports()[-1].counter == 1


def test_a_refusal_is_reported_at_once_and_less_and_less_often(world):
    world.account.refused = 1
    world.run(MINUTE)
    assert world.reasons() == [BOOT, RATING_CONDITION_CHANGE]
    assert world.reports()[-1].refused == 1

    def refuse(counter, orders, now):
        world.account.refused += 1

    world.outbox.on_order = refuse
    world.collector._order = lambda received, new: Order(counter=1, limit=5)  # one that retires nothing
    world.run(DAY)
    assert world.outbox.reports_sent <= 24 + 6


@pytest.mark.parametrize("diagnosed", [False, True])
def test_a_report_that_an_order_asks_for_is_full_and_at_once(world, diagnosed):
    world.outbox.on_verdict = lambda ask: [SimpleNamespace(cause=7)]
    world.run(2 * HOUR)
    told = world.reports()[-1]
    assert told.packets < 0, "a routine one"
    world.path.replies = False
    world.outbox.tell_all(world.ticks(), diagnosed)
    world.run(1)
    full = world.reports()[-1]
    assert (full.seq, full.packets, full.cause) == (told.seq + 1, 700, 7 if diagnosed else 0)
    world.run(5 * MINUTE)
    world.path.replies = True
    world.run(5 * MINUTE)
    assert world.reports()[-1].cause == full.cause, "it is lost with no report that nobody answered"
    world.policy.warned = 1
    world.run(MINUTE)
    world.outbox.tell_all(world.ticks(), False)
    world.run(MINUTE)
    assert world.reports()[-1].cause == 0, "asked for once"


def test_a_report_that_is_asked_for_while_data_is_stopped_goes_by_sms_although_one_went_just_now(world):
    world.run(2 * HOUR)
    world.path.up = False
    world.policy.level, world.policy.reasons = TERMINATED, 4
    world.run(MINUTE)
    assert len(world.path.messages) == 1
    world.outbox.tell_all(world.ticks(), True)
    world.run(MINUTE)
    assert len(world.path.messages) == 2
    world.ledger.sms = 10
    world.outbox.tell_all(world.ticks(), True)
    world.run(MINUTE)
    assert len(world.path.messages) == 2, "no more than the period has"


def test_what_a_period_costs_is_reported(world):
    world.spend(29_000)
    world.account.refused = 3
    world.run(HOUR)
    assert (world.reports()[-1].cost_fen, world.reports()[-1].refused) == (29, 3)


def test_asking_does_not_wait_for_the_interval(world):
    world.outbox.ask(world.ticks())
    world.outbox.ask(world.ticks())
    world.run(200)
    assert world.reasons() == [BOOT, THRESHOLD]
    world.path.requests = False
    world.policy.warned = 1
    world.run(1)
    for _ in range(100):
        world.outbox.ask(world.ticks())
        world.run(1000)
    assert world.outbox.reports_sent <= 4, "one that is under way is asking already"


def test_who_asks_in_vain_asks_less_and_less_often_until_there_is_another_reason(world):
    def ask_for(minutes):
        sent = world.outbox.reports_sent
        for _ in range(minutes * 60):
            world.outbox.ask(world.ticks())
            world.run(1000)
        return world.outbox.reports_sent - sent

    assert ask_for(60) == 6, "at once, and 1, 3, 7, 15, 31 minutes later"
    assert ask_for(24 * 60) <= 24 + 1, "one an interval: one of its own is a request as well"
    world.policy.reasons, world.policy.level = 0x400, RESTRICTED
    assert ask_for(30) == 1 + 5, "the news itself; then as before"


TOGGLES = ("up", "registered", "requests", "replies", "sms_arrives_refused")
EVENTS = st.tuples(st.sampled_from((*TOGGLES, "sms", "spend", "warn", "stop", "cycle")), st.integers(1, 8 * HOUR))


@settings(deadline=None, max_examples=40)
@given(st.lists(EVENTS, max_size=12), st.integers(0, 100))
def test_whatever_happens_the_newest_state_arrives(faults, seed):
    world = World(seed=seed)
    for what, ms in faults:
        if what == "spend":
            world.spend(ms)
        elif what == "warn":
            world.policy.warned ^= 1
        elif what == "stop":
            world.policy.reasons ^= 2
            world.policy.level = TERMINATED if world.policy.reasons else OPEN
        elif what == "cycle":
            world.ledger.cycle_id += 1
        elif what == "sms":
            world.path.sms_outcome = (SENT, FAILED, UNCERTAIN)[ms % 3]
        elif what in TOGGLES:
            setattr(world.path, what, not getattr(world.path, what))
        world.run(ms)
    path = world.path
    path.up = path.registered = path.requests = path.replies = True
    world.run(3 * HOUR)
    latest = world.store.latest(DEVICE).report
    assert latest.carried_octets == world.ledger.carried.value()
    assert (latest.verdict, latest.warned) == (world.policy.level, world.policy.warned)
    assert latest.cycle_id == world.ledger.cycle_id
    assert world.store.alarms(DEVICE) == []
    accounted = world.store.reports_received(DEVICE) + world.store.reports_lost(DEVICE)
    assert accounted == world.outbox.reports_sent
    maybe_sent = [at for at, _, _ in path.messages if at not in path.sms_refused]
    assert len(maybe_sent) == world.ledger.sms <= 10


def test_a_report_is_full_once_a_day_and_a_short_message_never_too_long(world):
    """Each 24th hourly report has what the others leave out, also after days in which nothing else happened."""
    world.run(3 * DAY + HOUR // 2)
    reports = world.reports()
    assert [report.seq for report in reports if report.packets >= 0] == [0, 24, 48, 72]
    assert {(report.packets, report.sessions, report.cme) for report in reports} == {(-1, -1, -1), (700, 3, 33)}
    assert {report.life_id for report in reports} == {b"life"}
    world.path.up = False
    world.policy.level, world.policy.reasons = TERMINATED, 2
    world.run(HOUR)
    (_, _, message) = world.path.messages[0]
    assert (len(cbor2.loads(cbor2.loads(message)[2])), len(message) <= 140) == (21, True)
    assert world.reports()[-1].packets == -1


def test_reports_are_full_until_one_is_acknowledged_and_again_when_one_failed(world):
    """A collector that has lost its database cannot verify a routine report: what is refused is told in full."""

    world.run(2 * HOUR)
    assert kinds(world) == ["full", "brief", "brief"]
    world.store = world.collector.store = Store()
    world.run(2 * HOUR)
    assert world.outbox.refused == 0
    assert kinds(world)[3:] == ["brief", "full", "brief"]
    assert [report.life_id for report in world.reports()] == 2 * [b"life"]


def kinds(world):
    """Of the reports sent over CoAP, by what their datagrams look like."""
    found = []
    for _, datagram in world.path.sent:
        blob = datagram[9:]
        fields = blob[0] >= 0x80 and len(cbor2.loads(cbor2.loads(blob)[2]))
        found.append({False: "brief", 18: "routine", 29: "full"}[fields])
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda w: vars(w.policy).update(level=SHED, reasons=1),
        lambda w: setattr(w.policy, "warned", 1),
        lambda w: setattr(w.ledger, "cycle_id", 306),
        lambda w: setattr(w.ledger, "rated_base", Octets(7)),
        lambda w: setattr(w.ledger, "carried_base", Octets(7)),
        lambda w: setattr(w.outbox, "app_restarts", 3),
        lambda w: setattr(w.outbox, "_crash_code", -1),
        lambda w: setattr(w.account.standing, "counter", 1),
        lambda w: setattr(w.account, "refused", 3),
        lambda w: setattr(w.account, "cost_fen", lambda used: 29),
        lambda w: w.outbox.ask(w.ticks()),
    ],
)
def test_a_report_is_brief_while_only_the_counts_change(world, change):
    world.account.cost_fen = lambda used: 0
    world.spend(70_000)
    world.run(HOUR)
    change(world)
    world.run(HOUR)
    world.spend(70_000)
    world.run(2 * HOUR)
    sent = kinds(world)
    assert (sent[:2], sent[2], set(sent[3:])) == (["full", "brief"], "routine", {"brief"})
    newest = world.reports()[-1]
    assert (newest.carried_octets, newest.rated_octets, newest.error_bound_octets) == (140_000, 140_000, 65_536)
    assert (newest.verdict, newest.warned, newest.cycle_id) == (
        *(world.policy.level, world.policy.warned),
        world.ledger.cycle_id,
    )
    assert (newest.rated_base, newest.app_restarts) == (world.ledger.rated_base.value(), world.outbox.app_restarts)
    assert world.store.alarms(DEVICE) == []
    assert world.outbox.refused == 0


def test_after_a_report_that_nobody_acknowledged_none_is_brief(world):
    """The collector may have kept it, and with it another state."""
    world.run(HOUR)
    stop(world)
    world.run(1)
    world.path.up = True
    vars(world.policy).update(level=OPEN, reasons=0)
    world.run(2 * HOUR)
    assert len(world.path.messages) == 1
    assert kinds(world) == ["full", "brief", "routine", "brief"]
    assert world.outbox.refused == 0


def test_a_day_of_hourly_reports_brings_one_time_and_empty_acknowledgements(world):
    answers = []
    coap = world.collector.coap
    world.collector.coap = lambda datagram: answers.append(coap(datagram)) or answers[-1]
    world.run(DAY)
    assert sorted(map(len, answers)) == 23 * [4 + 2 + 1 + 8] + [29], "header, token, marker, MAC; one with the time"


@pytest.mark.parametrize("lie", ["tag", "other report", "other life", "a report's", "seven octets", "none"])
def test_an_empty_acknowledgement_is_the_collectors_own(lie):
    """Nobody on the path can make a device believe that its report was taken."""
    world = World()
    world.path.requests = False
    world.run(100)
    datagram = world.path.sent[0][1]
    life, seq = (b"lifd" if lie == "other life" else b"life"), (1 if lie == "other report" else 0)
    aad = (b"U" if lie == "a report's" else b"A" + life) + b"tracker-001" + struct.pack(">II", 1, seq)
    right = tag(KEY, aad)
    forged = {"tag": tag(bytes(32), aad), "seven octets": right[:7], "none": b""}.get(lie, right)

    def answer(octets):
        reply = bytes([0x62, 0x44]) + datagram[2:6] + (b"\xff" + octets if octets else b"")
        world.outbox.receive(world.ticks(), reply, len(reply))
        return world.outbox.reports_acked

    assert answer(forged) == 0
    world.outbox._exchange.begin(world.ticks(), b"")
    datagram = bytes(world.outbox._exchange.out)
    assert answer(tag(KEY, b"Alifetracker-001" + struct.pack(">II", 1, 0))) == 1, "the right one is believed"
    assert world.times == []


def tag(key, aad):
    """Of an empty payload, by the standard library: HMAC 256/64 over the MAC_structure of RFC 9052 section 6.3."""
    structure = cbor2.dumps(["MAC0", b"\xa1\x01\x04", aad, b""])
    return hmac.digest(key, structure, "sha256")[:8]
