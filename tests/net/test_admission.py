"""What admission charges, leases, throttles and refuses, call by call, with the real Meter, Policy and Ledger."""

from types import SimpleNamespace

import pytest
from usageguard.config import load as config
from usageguard.core.octets import Octets
from usageguard.core.policy import Policy
from usageguard.net.admission import UNSEEN_UDP, Admission
from usageguard.store.ledger import Ledger

from tests.net.test_admission_counters import APRIL, MARCH, Board
from tests.store.memory import Blocks

KB, MB = 1024, 1 << 20
WINDOW = 10_240
UNSEEN_CARRIED = WINDOW + 9 * 80  # 9 segments of 1240 octets, each with headers and an acknowledgement


class Rig:
    def __init__(self, cause=1, counter=True, flash=None, **plan):
        plan = {"allowance_octets": 64 * MB, "margin_octets": KB, "reserve_octets": KB} | plan
        device = {"id": "admission", "key": "00" * 32}
        modem = {"family": "quectel", "apn": "a"}
        self.config = config.load({"device": device, "plan": plan, "modem": modem})
        self.board, self.flash = Board(cause), flash or Blocks()
        self.events = []
        self.board.event = lambda *event: self.events.append(event)
        self.ledger = Ledger(self.board, self.flash)
        self.ledger.open()
        if not self.ledger.cycle_id:
            self.ledger.new_cycle(MARCH)
            self.ledger.commit()
        self.policy = Policy(self.config.plan, self.config.classes)
        self.admission = Admission(self.board, self.config, self.ledger, self.policy, WINDOW)
        self.application = next(i for i, c in enumerate(self.config.classes) if not c.uses_reserve)

    @property
    def figures(self):
        return self.admission.carried_octets(), self.admission.used.value()

    def read(self, total, epoch=1, found_on=False):
        self.admission.counter(Octets(total), Octets(), epoch, found_on)


def test_the_class_that_may_use_the_reserve_is_known():
    rig = Rig()
    assert rig.config.classes[rig.admission.reserve].uses_reserve


@pytest.mark.parametrize(("tcp", "carried"), [(True, UNSEEN_CARRIED), (False, UNSEEN_UDP + 28)])
def test_what_may_arrive_on_an_open_connection_is_leased_until_it_closes(tcp, carried):
    rig = Rig()
    rig.admission.hold(tcp, 1)
    assert (rig.ledger.held_carried, *rig.figures) == (carried, 0, 0)
    cut = Rig(flash=rig.flash)
    assert min(cut.figures) >= carried, "a power cut charges it"
    rig.admission.hold(tcp, -1)
    assert rig.ledger.held_carried == 0


def test_the_lease_is_kept_above_what_is_spent_in_both_figures():
    rig = Rig(rating={"per_packet_octets": 50})
    rig.admission.hold(True, 1)
    rig.admission.transfer(rig.application, True, 1000)
    cut = Rig(flash=rig.flash, rating={"per_packet_octets": 50})
    assert cut.figures[0] >= 1080 + UNSEEN_CARRIED
    assert cut.figures[1] >= 1180 + UNSEEN_CARRIED + 18 * 50


def test_each_call_charges_its_price():
    rig = Rig(rating={"per_packet_octets": 50})
    admission, expected = rig.admission, [0, 0]
    for call, carried, rated in (
        (lambda: admission.open(rig.application, True, 3), 522, 972),
        (lambda: admission.transfer(rig.application, True, 1000), 1080, 1180),
        (lambda: admission.received(rig.application, False, 100), 128, 178),
        (lambda: admission.abandoned(True, 0), UNSEEN_CARRIED, UNSEEN_CARRIED + 18 * 50),
        (lambda: admission.abandoned(False, 0), 540, 590),
        (lambda: admission.abandoned(True, 1000), 1080, 1180),
        (lambda: admission.owe(77), 0, 77),
    ):
        call()
        expected = [expected[0] + carried, expected[1] + rated]
        assert rig.figures == (*expected,)


@pytest.mark.parametrize("octets", [1 << 28, (1 << 28) + 1, 1 << 45])
def test_what_the_carrier_counted_more_is_owed_whole(octets):
    rig = Rig()
    rig.admission.owe(octets)
    assert rig.figures == (0, octets)
    assert rig.ledger.rated.value() == octets
    assert rig.admission.crossed


def test_only_applications_are_active_throttled_and_watched_for_bursts():
    rig = Rig()
    admission = rig.admission
    spent = []
    admission.burst = SimpleNamespace(spent=lambda traffic_class, n: spent.append((traffic_class, n)) or n > 500)
    assert admission.slow_down((1000, 2000))
    assert not admission.slow_down((1000, 2000)), "as before"
    admission.transfer(admission.reserve, True, 4000)
    assert (admission.take_active(), admission.slowed_ms(0), spent) == (False, 0, [])
    admission.transfer(rig.application, True, 100)
    assert (admission.take_active(), admission.take_active(), admission.take_burst()) == (True, False, False)
    admission.received(rig.application, True, 4000)
    assert spent == [(rig.application, 180), (rig.application, 4320)]
    assert (admission.take_burst(), admission.take_burst()) == (True, False)
    assert admission.slowed_ms(rig.board.ticks_ms()) > 0
    assert admission.slow_down(None)
    assert admission.slowed_ms(0) == 0


def test_a_class_beyond_its_limit_is_denied_and_named_and_nothing_is_charged():
    rig = Rig(allowance_octets=64 * KB)
    admission = rig.admission
    admission.owe(61 * KB)
    rig.policy.cross(admission.used)
    assert admission.transfer(rig.application, True, 1200) is False
    assert rig.figures == (0, 61 * KB)
    assert (admission.take_denied(), admission.take_denied()) == (rig.application, -1)
    assert admission.transfer(admission.reserve, True, 100) is True
    assert not admission.broken


def test_a_ledger_that_fails_admits_nothing_until_its_owner_accepts_it():
    rig = Rig()
    rig.flash.broken = True
    assert rig.admission.transfer(rig.application, True, 1200) is False
    assert rig.admission.broken
    for begins in (False, True):
        rig.admission.broken = False
        if begins:
            rig.admission.begin_cycle(APRIL)
        rig.admission.commit()
        assert rig.admission.broken
    rig.flash.broken = False
    rig.ledger.lost = True
    rig.admission.accept_loss()
    assert (rig.admission.broken, rig.ledger.lost) == (False, False)


def test_usage_beyond_the_policys_mark_is_to_be_judged():
    rig = Rig(allowance_octets=64 * KB)
    rig.admission.judge()
    assert not rig.admission.crossed
    rig.admission.owe(64 * KB)
    assert rig.admission.crossed
    rig.admission.judge()
    assert not rig.admission.crossed
    assert "QUOTA_EXHAUSTED" in rig.policy.names()


@pytest.mark.parametrize("cause", [1, 3, 4, 5])
def test_after_a_reset_that_may_have_hidden_octets_they_are_charged_at_the_first_reading(cause):
    used = Rig()
    used.admission.open(used.application, True, 0)
    rig = Rig(cause, flash=used.flash)
    rig.ledger.counter_known = False
    before = rig.figures[0]
    rig.read(0)
    assert rig.figures[0] - before == (0 if cause == 1 else UNSEEN_CARRIED)
    before = rig.figures
    rig.read(0, epoch=2)
    assert rig.figures == before, "once"


def test_a_device_that_was_never_online_has_nothing_hidden():
    rig = Rig(3)
    rig.read(0)
    assert rig.figures == (0, 0)


def test_what_the_counter_shows_of_a_reset_is_charged_and_in_the_bound():
    """It has arrived meanwhile, or the counter has jumped."""
    rig = Rig(3)
    rig.ledger.counter_read(Octets(0))
    rig.ledger.commit()
    again = Rig(3, flash=rig.flash)
    again.read(50 * KB, found_on=True)
    assert not again.admission.take_doubt()
    assert again.figures[0] == again.admission.error_bound_octets() == 50 * KB


def test_what_the_counter_shows_beyond_the_reset_is_in_doubt():
    rig = Rig(3)
    rig.ledger.counter_read(Octets(0))
    rig.ledger.commit()
    again = Rig(3, flash=rig.flash)
    again.read(10 * MB, found_on=True)
    assert again.admission.take_doubt()
    assert not again.admission.take_doubt()
    carried, used = again.figures
    assert carried == 10 * MB
    assert used <= 128 * KB, "no limit counts what is in doubt"
    assert again.admission.error_bound_octets() >= 10 * MB - 64 * KB
    assert again.admission.settle(1 << 50, 1 << 50)
    assert again.admission.used.value() >= 10 * MB
    assert again.admission.settle(1 << 50, 1 << 50) == 0


def test_a_jump_is_in_doubt_and_what_an_order_refutes_of_it_is_not_used():
    rig = Rig()
    rig.read(0)
    rig.board.ms += 60_000
    rig.read(20 * MB)
    assert (rig.admission.take_doubt(), rig.admission.jumps) == (True, 1)
    assert rig.figures[0] == 20 * MB
    before = rig.figures[1]
    rig.admission.settle(1 << 50, 5 * MB)
    assert abs(rig.figures[1] - before - 5 * MB) <= 1
    assert rig.figures[0] == 20 * MB, "what was carried is not known any better"


def test_a_reading_is_due_by_what_was_charged_or_when_traffic_has_ceased():
    rig = Rig()
    rig.read(0)
    admission, now = rig.admission, rig.board.ticks_ms
    assert admission.reading_ms(now(), True) > 1 << 27
    admission.transfer(rig.application, True, 100)
    assert admission.reading_ms(now(), True) == 20_000
    rig.board.ms += 19_000
    assert admission.reading_ms(now(), True) == 1_000
    rig.board.ms += 1_000
    assert admission.reading_ms(now(), True) == 0
    admission.transfer(rig.application, True, 100)
    assert admission.reading_ms(now(), True) == 20_000
    for _ in range(14):
        admission.transfer(rig.application, True, 1200)
    assert admission.reading_ms(now(), True) == 0


def test_a_new_period_begins_with_what_counts_in_both():
    rig = Rig()
    rig.admission.transfer(rig.application, True, 1000)
    rig.ledger.within_cycle()
    rig.admission.transfer(rig.application, True, 100)
    rig.admission.begin_cycle(APRIL)
    assert rig.figures == (180, 180)
    assert rig.admission.error_bound_octets() >= 180
    assert rig.ledger.cycle_id == APRIL
    again = Rig(flash=rig.flash)
    assert again.figures[0] >= 180


@pytest.mark.parametrize(("shown", "unsure"), [(360, 0), (361, 361)])
def test_what_is_more_than_the_charges_twice_is_unsure(shown, unsure):
    """Once for what was charged, once for its retransmissions."""
    rig = Rig()
    rig.read(0)
    rig.admission.transfer(rig.application, True, 100)
    rig.board.ms += 1_000
    rig.read(shown)
    assert rig.admission.meter.slack == unsure
    assert rig.figures[0] >= shown


def test_what_was_to_be_sent_while_offline_may_have_crossed_or_not():
    """Without a counter it is in the bound, until a modem that is online has had the time to send it."""
    rig = Rig()
    admission = rig.admission

    def sent(online):
        admission.transfer(rig.application, False, 100)
        for _ in range(2):
            admission.reading_ms(rig.board.ticks_ms(), online)
            rig.board.ms += 30_000
        return admission.error_bound_octets()

    assert sent(True) == 28
    assert sent(False) == 28 + 128
    admission.session()
    assert admission.error_bound_octets() == 28 + 128, "it went with the session before"
    assert sent(True) == 28 + 128 + 28
    rig.read(0)
    bound = admission.error_bound_octets()
    admission.session()
    assert admission.error_bound_octets() == bound, "the counter will show"


def test_a_counter_that_may_have_been_reset_and_outgrown_its_reading_leaves_no_surplus():
    rig = Rig()
    rig.read(100)
    rig.admission.transfer(rig.application, True, 1000)
    rig.admission.reading_ms(rig.board.ticks_ms(), True)  # traffic ceases
    for _ in range(3):  # it stood at 0 in between: all of the charge has crossed, 100 octets of it unseen
        rig.board.ms += 30_000
        rig.read(1080)
    rig.admission.transfer(rig.application, True, 1000)
    assert rig.figures[0] == 2 * 1080


def test_a_counter_that_stood_higher_than_what_was_charged_was_not_outgrown():
    rig = Rig()
    rig.read(2000)
    rig.admission.transfer(rig.application, True, 1000)
    rig.admission.reading_ms(rig.board.ticks_ms(), True)  # traffic ceases
    for _ in range(3):
        rig.board.ms += 30_000
        rig.read(2980)
    rig.admission.transfer(rig.application, True, 1000)
    assert rig.figures[0] == 2 * 1080 - 100, "the surplus pays"


def test_eight_doubts_are_told_apart_and_the_ninth_makes_one_of_them():
    rig = Rig()
    for n in range(1, 10):
        rig.admission._doubt(1000)
        assert len(rig.admission.doubts.each) == (n if n < 9 else 1)
    assert rig.admission.doubts.each[0][1] == rig.ledger.doubt.value() >= 9000
