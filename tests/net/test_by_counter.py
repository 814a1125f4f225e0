"""What comes out of the allowance, and what of the counter of the hours, against a count of what crossed when.

The real CounterAdmission, FreePolicy and ledger; the model has the octets that are in the modem and those that crossed.
"""

from random import Random

import pytest
from usageguard.config import load as config
from usageguard.core.account import quotas
from usageguard.core.account.account import Account
from usageguard.core.account.counters import OwnCounter, RoamingTerms, with_free
from usageguard.core.account.quotas import Quota, with_quotas
from usageguard.core.cycle import days_from_civil
from usageguard.core.octets import Octets
from usageguard.core.policy import LOCAL, Policy
from usageguard.net import by_counter
from usageguard.net.admission import Admission
from usageguard.net.by_quota import AdmissionByQuota
from usageguard.store.apart import ApartLedger

from tests.store.memory import Blocks, Hal

FIRST = days_from_civil(2026, 1, 1)
OWN = 200_000
WINDOW = 10_240
TELEMETRY = 0
SECOND = 1_000


class Board(Hal):
    ms = 0

    def ticks_ms(self):
        return self.ms

    def event(self, *_):
        """Nobody listens."""


class Device:
    """Of what crossed, `outside` is that outside the hours, and `inside` the rest. `queued` is in the modem and has not
    crossed, `unread` is payload in it that has."""

    def __init__(self, counter=True, share=0, own=OWN, allowance=1 << 40, held=True):
        hours = {"from": "23:00", "to": "07:00", "charged_permille": share}
        if own:
            hours["allowance_octets"] = own
        self.config = config.load(
            {
                "device": {"id": "a", "key": "00" * 32},
                "plan": {"allowance_octets": allowance, "hours": hours},
                "modem": {"family": "quectel", "apn": "a", "counter": counter},
            }
        )
        self.board, self.flash = Board(), Blocks()
        self.share = share
        self.own = own
        self.held = held
        self.is_night = False
        self.outside = self.inside = self.queued = self.unread = self.unread_headers = self.resent = 0
        self.silent_s = 0
        self.shown = 0  # by the modem's counter
        self.boot()
        self.admission.begin_cycle(FIRST)
        self.ledger.commit()
        self.read_counter()
        assert self.admission.open(TELEMETRY, True, 0)
        self.cross(self.admission.meter.open_close)
        self.connect()

    def connect(self):
        """A connection that is open leases what may arrive; without, nothing does."""
        if self.held:
            self.admission.hold(True, 1)

    def boot(self):
        self.ledger = ledger = ApartLedger(self.board, self.flash, self.config.plan.lease_max_octets)
        ledger.open()
        policy = with_free(Policy)
        make = by_counter.with_counters(AdmissionByQuota)
        if self.own:
            policy = with_quotas(policy)
        else:
            make = by_counter.with_counters(Admission)
        self.policy = policy(self.config.plan, self.config.classes)
        self.account = Account(self.config.plan, self.policy, ledger.orders)
        self.admission = make(self.board, self.config, ledger, self.policy, WINDOW, True)
        self.policy.restore(ledger.reasons, ledger.warned, self.admission.used)
        self.hours = OwnCounter(self.policy.books.hours if self.own else None, self.share)

    # on the air

    def cross(self, octets):
        if self.is_night:
            self.inside += octets
        else:
            self.outside += octets
        self.shown += octets

    def read_counter(self):
        if not self.config.modem.counter:
            return
        self.admission.counter(Octets(self.shown), Octets(), 1, False)
        self.resent = 0
        self.judge()

    # what happens

    def send(self, n):
        self.silent_s = 0
        if self.admission.transfer(TELEMETRY, True, n):
            self.queued += n + -(-n // 1_360) * 80
        self.judge()

    def drain(self, permille):
        octets = self.queued * permille // 1_000
        self.queued -= octets
        self.cross(octets)

    def arrive(self, n):
        """A flight of payload from the peer, once the one before is read."""
        if not self.held or self.unread:
            return
        self.unread = n
        self.unread_headers = -(-n // 1_360) * 40
        self.cross(n + -(-n // 1_360) * 40)

    def read(self):
        """Reads what has arrived; the acknowledgements cross with it."""
        if self.unread:
            self.admission.received(TELEMETRY, True, self.unread)
            self.cross(-(-self.unread // 1_360) * 40)
            self.unread = self.unread_headers = 0
            self.judge()

    def resend(self, n):
        if self.admission.meter.counted:
            self.cross(n)
            self.resent += n

    def wait(self, seconds):
        """After 20 s of silence all has left the modem (admission.SHIFT_MS)."""
        self.silent_s += seconds
        if self.silent_s > 19:
            self.drain(1_000)
        self.board.ms += seconds * SECOND
        self.admission.reading_ms(self.board.ms, True)

    def night(self):
        """The hours begin, and a while later that is certain; or it ends to be certain a while before they end."""
        if not self.is_night:
            self.is_night = True
            self.debit(self.hours)
        else:
            self.debit(None)
            self.is_night = False

    def debit(self, counter):
        if counter and counter.quota and not counter.quota.holds(1):
            counter = None
        self.admission.debit(counter)
        self.judge()

    def reset(self):
        """The device alone; its retained memory and the modem go on."""
        night = self.is_night
        if night:
            self.night()
        self.drain(1_000)
        self.read()
        self.board.cause, self.board.retained = 1, bytearray(24)
        self.boot()
        self.connect()
        if self.config.modem.counter:
            self.admission.counter(Octets(self.shown), Octets(), 1, True)  # it has counted through it
            self.resent = 0
        if night:
            self.night()

    def judge(self):
        if self.admission.crossed:
            self.admission.judge()

    def do(self, event):
        getattr(self, event[0])(*event[1:])

    # what holds

    def least(self):
        """What the carrier has taken out of the allowance."""
        own = min(self.inside, self.own) if self.own else self.inside
        return self.outside + self.inside - own + own * self.share // 1_000

    def hold(self):
        used = self.admission.used.value() + self.resent + self.unread + self.unread_headers  # not known yet
        assert used >= self.least(), f"{used} of {self.least()} octets were taken out of the allowance"


KINDS = ["send", "send", "drain", "drain", "arrive", "read", "read_counter", "resend", "wait", "reset"]
SIZES = {
    "send": [1, 700, 1_360, 9_000],
    "drain": [0, 500, 1_000, 1_000],
    "arrive": [1, 1_360, 5_000],
    "resend": [40, 1_400],
    "wait": [1, 25],
}


def a_life(rng):
    """Days and nights in turn, each with some traffic."""
    for _ in range(4):
        for kind in rng.choices(KINDS, weights=[18, 18, 9, 9, 9, 9, 9, 9, 9, 1], k=rng.randrange(1, 200)):
            yield (kind, rng.choice(SIZES[kind])) if kind in SIZES else (kind,)
        yield ("night",)


def live_through(lives, **of):
    """(steps, lives in which the allowance was debited with less than without the hours) of so many random lives."""
    steps = spared = 0
    for seed in range(lives):
        device, other = Device(**of), Device(**of)
        other.debit = lambda counter: None
        for event in a_life(Random(seed)):
            other.do(event)
            device.do(event)
            device.hold()
            steps += 1
        spared += device.admission.used.less(other.admission.used)
    return steps, spared


@pytest.mark.parametrize(
    "given",
    [{}, {"held": False}, {"own": 0}, {"share": 300, "own": 40_000}, {"counter": False}],
    ids=lambda given: "-".join(given) or "all",
)
def test_nothing_that_crossed_outside_the_hours_comes_out_of_their_counter(given):
    steps, spared = live_through(30 if "share" in given else 12, **given)  # a share seldom spares a life anything
    assert steps >= 2_000
    assert spared >= 2


def what_waits_counts_where_it_was_charged(monkeypatch):
    changed(monkeypatch, "_before", 0)
    owe = Admission.owe
    monkeypatch.setattr(Admission, "owe", lambda self, rated: None if rated < 100_000 else owe(self, rated))


def a_quota_has_no_end(monkeypatch):
    monkeypatch.setattr(Quota, "holds", lambda self, n: True)


def changed(monkeypatch, name, value):
    """The attribute `name` of an admission is `value` when it begins to debit another counter."""
    make = by_counter.with_counters

    def with_changed(base):
        class Changed(make(base)):
            def debit(self, counter):
                actions = super().debit(counter)
                setattr(self, name, value)
                return actions

        return Changed

    monkeypatch.setattr(by_counter, "with_counters", with_changed)


def what_is_unread_counts_where_it_is_read(monkeypatch):
    changed(monkeypatch, "_before", 0)


def a_reading_counts_where_it_is_taken(monkeypatch):
    changed(monkeypatch, "_anew", False)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("broken", "given"),
    [
        (what_waits_counts_where_it_was_charged, {"held": False}),
        (a_quota_has_no_end, {"held": False, "own": 20_000}),
        (what_is_unread_counts_where_it_is_read, {}),
        (a_reading_counts_where_it_is_taken, {"held": False}),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_a_broken_one_is_found(broken, given, monkeypatch):
    broken(monkeypatch)
    with pytest.raises(AssertionError, match="out of the allowance"):
        live_through(60, **given)


def night(**of):
    device = Device(**of)
    device.is_night = True
    device.read_counter()
    device.debit(device.hours)
    device.read_counter()
    return device


def used(device):
    return device.admission.used.value()


def spend(device, octets):
    """As much as one packet, at a price that is known: with what the first octets of the hours cost behind it."""
    meter = device.admission.meter
    meter.carried = meter.rated = octets
    device.admission._take(TELEMETRY, True)
    device.judge()


def test_what_may_have_arrived_before_the_hours_comes_out_of_the_allowance():
    device = night()
    before = device.ledger.held_rated
    assert before > WINDOW
    already = used(device)
    for _ in range(20):
        spend(device, 1_000)
    assert used(device) - already == before
    assert device.hours.quota.used.value() == 20_000 - before


def test_a_counter_that_is_used_up_leaves_the_rest_to_the_allowance_for_good():
    device = night(own=30_000)
    for _ in range(30):
        spend(device, 1_500)
    assert device.admission.debited is None
    already = used(device)
    spend(device, 1)  # it would have fitted
    assert used(device) == already + 1
    device.debit(device.hours)
    assert device.admission.debited is None
    device.reset()
    assert device.hours.quota.used.value() == 30_000


def test_what_is_used_up_does_not_bind_in_the_hours_and_binds_again_behind_them():
    device = Device(allowance=200_000)
    policy = device.policy
    while policy.open & 1 << TELEMETRY:
        spend(device, 1_500)
        device.admission.take_denied()
        device.admission.crossed = True
        device.judge()
        if used(device) > policy.limit(LOCAL) - 1_500:
            device.admission.denied = TELEMETRY
            policy.denied(TELEMETRY)
    assert "QUOTA_EXHAUSTED" in policy.names()
    already = used(device)
    device.is_night = True
    device.debit(device.hours)
    assert policy.names() == []
    for _ in range(20):
        spend(device, 1_500)
    assert device.hours.quota.used.value() > 15_000
    assert policy.names() == []
    assert used(device) - already == 20 * 1_500 - device.hours.quota.used.value(), "what may have arrived before"
    device.debit(None)
    assert "QUOTA_EXHAUSTED" in policy.names()
    assert not policy.open >> TELEMETRY & 1


def test_what_an_order_or_a_doubt_adds_is_the_allowances():
    device = night()
    already, own = used(device), device.hours.quota.used.value()
    device.admission.owe(50_000)
    assert used(device) == already + 50_000
    device.shown += 50_000_000
    device.wait(25)
    device.read_counter()
    assert device.ledger.doubt.value() > 1_000_000
    device.admission.settle(1 << 40, 1 << 40)
    assert used(device) > 1_000_000
    assert device.hours.quota.used.value() - own < 200_000


@pytest.mark.parametrize(("share", "most"), [(0, 1_000), (500, 2_000), (999, OWN)])
def test_what_a_correction_takes_from_the_allowance_may_have_been_the_hours(share, most):
    device = Device(share=share)
    device.admission.owe(9_000)
    used = device.admission.used.value()
    for less, left in ((400, used - 400), (600, used - 1_000)):
        device.ledger.correct(left)
        device.admission.rebase()
        device.policy.corrected(device.admission.used, less)
    assert device.policy.books.hours.used.value() == most


def test_a_power_cut_in_the_hours_charges_the_allowance_no_lease():
    device = night()
    for _ in range(80):
        spend(device, 1_500)
    assert device.ledger._slot[2] > 5_000
    device.is_night = False
    device.admission.hold(True, -1)
    already = used(device)
    assert device.ledger._slot[1] <= 12_000, "the open connection's alone"
    device.board.cause, device.board.retained = 1, bytearray(24)
    device.boot()
    assert already <= used(device) <= already + 12_000


def test_of_another_period_nothing_is_left():
    device = night()
    device.debit(None)
    device.ledger.new_cycle(FIRST + 31)  # under a plan without hours
    device.ledger.commit()
    device.boot()
    assert not device.hours.quota.holds(1)
    device.admission.begin_cycle(FIRST + 62)
    assert device.hours.quota.used.value() <= used(device)


def test_a_class_that_gets_a_quota_leaves_the_hours_theirs():
    standing = quotas.QuotaStanding
    orders = memoryview(bytearray(108))
    config = Device().config
    before = standing(orders, config.classes, config.plan.hours)
    before.hours.lease(5_000)
    assert standing(orders, config.classes, config.plan.hours).hours.used.value() == 5_000
    config.classes[0].quota_octets = 7_000
    after = standing(orders, config.classes, config.plan.hours)
    assert (after.quotas[0].used.value(), after.hours.used.value()) == (0, 5_000)


@pytest.mark.parametrize("own", [0, OWN])
def test_what_a_class_has_used_in_the_hours_is_its_own_after_a_boot_too(own):
    config = Device(own=own).config
    config.classes[0].quota_octets = 7_000
    orders = memoryview(bytearray(108))

    def boot():
        return quotas.QuotaStanding(orders, config.classes, config.plan.hours)

    def used_of(cycle_id, begun):
        books = boot()
        books.count_in(cycle_id, 1_000, begun)  # all that the allowance was debited with
        return books.quotas[TELEMETRY].used.value()

    before = boot()
    before.count_in(FIRST, 0, True)
    before.quotas[TELEMETRY].lease(5_000)
    assert used_of(FIRST, False) == 5_000
    assert used_of(FIRST + 31, False) == 7_000, "of another period nobody knows"
    assert used_of(FIRST + 62, True) == 1_000


# Roaming


class Away(Device):
    """A plan with a roaming allowance; `registration` is what the modem says."""

    registration = 1
    asked = 0

    def boot(self):
        self.config.plan.roaming = RoamingTerms(self.roaming)
        super().boot()
        books = self.policy.books
        self.abroad, self.unsure = OwnCounter(books.roaming, 0, True), OwnCounter(books.roaming, 1000, True)
        self.admission.follow(self, self.where, self.ask)

    def ask(self):
        self.asked += 1

    def where(self):
        return self.admission.debit({1: None, 5: self.abroad}.get(self.registration, self.unsure))

    def at(self, registration):
        self.registration = registration
        self.judge()


def away(octets=100_000, **of):
    """Nothing waits in its modem."""
    made = type("Given", (Away,), {"roaming": octets})(**of)
    for _ in range(3):
        made.wait(25)
        made.read_counter()
    return made


def abroad(device):
    return device.policy.books.roaming.used.value()


def test_it_is_debited_from_the_first_packet_on_that_is_sent_where_the_modem_has_registered():
    device = away(held=False)
    already = used(device)
    device.registration = 5
    for _ in range(20):
        spend(device, 1_000)
    assert abroad(device) == 20_000
    assert used(device) == already
    device.at(1)
    already = used(device)
    spend(device, 1_000)
    assert used(device) - already == 1_000
    assert abroad(device) == 20_000


def test_where_it_is_not_certain_both_are_debited():
    device = away(held=False)
    already = used(device)
    device.at(2)
    for _ in range(10):
        spend(device, 1_000)
    assert abroad(device) == used(device) - already == 10_000


def test_what_was_sent_or_may_have_arrived_by_then_is_debited_to_both():
    device = away()
    spend(device, 3_000)
    already = used(device)
    device.at(5)
    waiting = device.ledger.held_rated
    assert abroad(device) == 3_000 + waiting
    for _ in range(20):
        spend(device, 1_000)
    assert used(device) - already == waiting
    assert abroad(device) == 23_000 + waiting


def test_a_ratio_learned_while_a_connection_was_open_takes_nothing_back():
    device = away(counter=False)
    device.admission.meter.learn(100)
    device.admission.hold(True, -1)
    assert device.ledger.held_rated < 0 == device.ledger.held_carried
    device.at(5)
    assert abroad(device) >= 0


def test_used_up_it_stops_until_the_sim_is_at_home():
    device = away(5_000, held=False)
    device.at(5)
    for _ in range(3):
        spend(device, 1_500)
    assert device.policy.names() == []
    crossed = device.ledger.carried.value()
    spend(device, 1_500)
    assert device.policy.names() == ["ROAMING_EXHAUSTED"]
    assert (device.policy.open, device.policy.data_wanted(), device.policy.deaf()) == (0, False, False)
    spend(device, 1)
    assert device.ledger.carried.value() == crossed
    device.at(2)
    assert device.policy.names() == ["ROAMING_EXHAUSTED"]
    device.at(1)
    assert device.policy.names() == []
    spend(device, 1_500)
    assert device.ledger.carried.value() == crossed + 1_500


def test_what_arrives_all_the_same_is_counted():
    device = away(1_000, held=False)
    device.at(5)
    device.admission.meter.carried = device.admission.meter.rated = 5_000
    device.admission._take(TELEMETRY, False)
    assert abroad(device) == 5_000
    device.judge()
    device.at(5)
    assert not device.policy.books.roaming.holds(1)


def test_a_power_cut_abroad_takes_nothing_back():
    device = away(held=False)
    device.at(5)
    for _ in range(20):
        spend(device, 1_000)
    device.board.cause, device.board.retained = 1, bytearray(24)
    device.boot()
    assert 20_000 <= abroad(device) <= 20_000 + 1_562


def test_what_was_sent_again_abroad_is_debited_there():
    device = away(held=False)
    device.at(5)
    device.read_counter()
    spend(device, 1_000)
    device.shown += 1_000
    device.wait(25)
    device.read_counter()
    before = abroad(device)
    device.shown += 700
    device.read_counter()
    assert abroad(device) - before >= 700


def test_what_was_charged_at_home_pays_for_nothing_abroad():
    """Neither a surplus of the model, nor what was sent and seen not to have crossed."""
    device = away(held=False)
    spend(device, 9_000)
    device.shown += 4_000
    device.wait(25)
    device.read_counter()
    spend(device, 3_000)
    device.at(5)
    for _ in range(12):
        device.wait(25)
        device.read_counter()
        spend(device, 1_000)
        device.shown += 1_000
    assert 12_000 <= abroad(device) <= 15_500


def test_the_modem_is_asked_where_it_is_before_each_reading():
    device = away(held=False)
    for readings in range(1, 4):
        spend(device, device.admission.window_octets)
        for _ in range(3):
            assert device.admission.reading_ms(device.board.ms, True) == 0
        assert device.asked == readings
        device.read_counter()
    assert device.admission.reading_ms(device.board.ms, True) > 0
    assert device.asked == 3


def test_a_lease_that_a_power_cut_has_lost_pays_for_nothing_abroad():
    device = away(held=False)
    device.at(5)
    device.board.cause, device.board.retained = 1, bytearray(24)
    device.boot()
    assert device.ledger.lost_carried > 0
    device.admission.counter(Octets(device.shown), Octets(), 1, True)
    before = abroad(device)
    for _ in range(5):
        spend(device, 1_000)
    assert abroad(device) - before == 5_000
