"""Quotas of classes against a count of what each class really sent, through power cuts, resets, orders and periods.

The real AdmissionByQuota, QuotaPolicy and Ledger on a flash; the model is a dictionary.
"""

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from usageguard.config import load as config
from usageguard.core import policy as p
from usageguard.core.account import quotas
from usageguard.core.account.account import Account
from usageguard.core.account.figures import Figures
from usageguard.core.account.quotas import QuotaStanding
from usageguard.core.account.standing import Standing
from usageguard.core.cycle import days_from_civil
from usageguard.core.octets import Octets
from usageguard.core.policy import Policy
from usageguard.net.by_class import AdmissionByClass
from usageguard.net.by_quota import AdmissionByQuota
from usageguard.store.ledger import Ledger

from tests.store.memory import Blocks, Hal

QuotaPolicy = quotas.with_quotas(Policy)
FIRST = days_from_civil(2026, 1, 1)
QUOTAS = {"telemetry": 5_000, "pictures": 20_000, "ota": 0, "log": 9_000, "report": 0}
CLASSES = [{"name": name, **({"quota_octets": n} if n else {})} for name, n in QUOTAS.items()]
CLASSES[-1]["reserve"] = True
TELEMETRY, PICTURES, OTA, LOG, REPORT = range(5)
MOST = 10_024  # of a lease: one for a packet of 9,000 or 1 KiB, for which one was left


class Board(Hal):
    ms = 0

    def ticks_ms(self):
        return self.ms

    def event(self, *_):
        """Nobody listens."""


class Device:
    """`sent` has what each class sent in this period. `lost`: what resets may have charged to each beyond that."""

    def __init__(self, counter=False, enforcement="enforce"):
        self.config = config.load(
            {
                "device": {"id": "a", "key": "00" * 32},
                "plan": {"allowance_octets": 1 << 40},
                "classes": CLASSES,
                "modem": {"family": "quectel", "apn": "a", "counter": counter},
                "enforcement": enforcement,
            }
        )
        self.board, self.flash = Board(), Blocks()
        self.period = FIRST
        self.sent = [0] * len(CLASSES)
        self.lost = [0] * len(CLASSES)
        self.idle = [True] * len(CLASSES)  # since the boot
        self.boot()
        self.ledger.new_cycle(FIRST)
        self.admission.rebase()
        self.ledger.commit()

    def boot(self):
        self.ledger = ledger = Ledger(self.board, self.flash, self.config.plan.lease_max_octets)
        ledger.open()
        self.policy = QuotaPolicy(self.config.plan, self.config.classes, self.config.enforcement == "observe")
        self.account = Account(self.config.plan, self.policy, ledger.orders)
        self.admission = AdmissionByQuota(self.board, self.config, ledger, self.policy, 10_240, asleep=True)
        self.policy.restore(ledger.reasons, ledger.warned, self.admission.used)
        for i, idle in enumerate(self.idle):
            self.lost[i] += 0 if idle else MOST
        self.idle = [True] * len(CLASSES)

    def counted(self, index):
        return self.policy.books.quotas[index].used.value()

    # what happens

    def send(self, index, octets):
        meter, quota = self.admission.meter, list(QUOTAS.values())[index]
        before = self.counted(index) if quota else 0
        held = self.policy.used_up >> index & 1
        meter.carried = meter.rated = octets
        admitted = self.admission._take(index, True)
        assert admitted == (not held and (not quota or before + octets <= quota))
        if admitted:
            self.sent[index] += octets
            self.idle[index] = False
        self.step()

    def receive(self, index, octets):
        self.admission.meter.carried = self.admission.meter.rated = octets
        self.admission._take(index, False)
        self.sent[index] += octets
        self.idle[index] = False
        self.step()

    def owe(self, octets):
        self.admission.owe(octets)
        self.step()

    def step(self):
        self.admission.take_denied()
        if self.admission.crossed:
            self.admission.judge()

    def cut(self):
        self.board.cause, self.board.retained = 1, bytearray(24)
        self.boot()

    def reset(self):
        self.board.cause = 3
        self.boot()

    def tear(self):
        """The newest record rots, of which there are two where a class or the account needed it."""
        ring = self.ledger._ring
        at = next(i for i in range(0, len(self.flash.cells), 256) if self.flash.cells[i : i + 8] == ring.record[:8])
        self.flash.cells[at + 100] ^= 1
        self.cut()

    def store(self):
        """As with each order: the account's own fields and the quotas do not disturb each other."""
        self.account.standing.store()
        self.admission.commit()
        self.idle = [True] * len(CLASSES)

    def set_used(self, permille):
        used = self.admission.used.value()
        self.ledger.correct(used * permille // 1000)
        self.admission.rebase()
        self.policy.corrected(self.admission.used, used - self.admission.used.value())
        total = self.admission.used.value()
        self.sent = [min(each, total) for each in self.sent]  # what somebody knows better
        self.store()

    def turn(self):
        self.ledger.within_cycle()
        self.period += 31
        self.admission.begin_cycle(self.period)
        self.policy.apply(p.NEW_CYCLE)
        self.policy.cross(self.admission.used)
        self.sent = [0] * len(CLASSES)
        self.lost = [0] * len(CLASSES)
        self.store()

    def release(self):
        for i in range(len(CLASSES)):
            if self.policy.used_up >> i & 1:
                self.sent[i] = self.lost[i] = 0
        self.policy.renew()
        self.store()

    def do(self, event):
        getattr(self, event[0])(*event[1:])

    def hold(self):
        for i, quota in enumerate(QUOTAS.values()):
            if not quota:
                continue
            counted, sent = self.counted(i), self.sent[i]
            assert counted >= sent, f"class {i} is counted with {counted} of {sent} octets"
            assert counted <= sent + self.lost[i], f"class {i} is counted with {counted}, sent {sent}"
        held = [i for i in range(len(CLASSES)) if not self.policy.open >> i & 1]
        assert held == [i for i in range(len(CLASSES)) if self.policy.used_up >> i & 1]
        assert self.policy.names() == (["CLASS_EXHAUSTED"] if held else [])
        assert self.policy.verdict() == ("shed" if held else "open")


SENDS = st.tuples(
    st.sampled_from(["send"] * 5 + ["receive"]), st.integers(0, 4), st.sampled_from([60, 700, 1_500, 1_500, 9_000])
)
ELSE = st.sampled_from(
    [("owe", 5_000), ("owe", 1 << 29), ("cut",), ("reset",), ("tear",), ("store",), ("turn",), ("release",),
     ("set_used", 0), ("set_used", 600)]
)  # fmt: skip
LIVES = st.lists(st.one_of(SENDS, SENDS, SENDS, SENDS, SENDS, ELSE), min_size=20, max_size=80)
STEPS = 2_000


def live_through(examples):
    """(steps, lives in which a class used up its quota) of so many random lives."""
    steps = ends = 0

    @given(LIVES)
    @settings(derandomize=True, deadline=None, max_examples=examples, phases=[Phase.generate])
    def live(events):
        nonlocal steps, ends
        device = Device()
        ended = False
        for event in events:
            device.do(event)
            device.hold()
            ended = ended or device.policy.used_up > 0
        steps += len(events)
        ends += ended

    live()
    return steps, ends


def test_a_class_is_never_counted_below_what_it_sent_and_never_beyond_its_quota():
    steps, ends = live_through(70)
    assert steps >= STEPS
    assert ends >= 10, f"{ends} lives with a quota that was used up"


def the_account_stores_its_own(monkeypatch):
    monkeypatch.setattr(QuotaStanding, "store", Standing.store)


def a_lease_is_stored_with_the_next_record(monkeypatch):
    lease = quotas.Quota.lease
    monkeypatch.setattr(quotas.Quota, "lease", lambda self, n: lease(self, n) and False)


def what_arrives_is_not_counted(monkeypatch):
    take = AdmissionByQuota._take
    of = AdmissionByClass._take
    monkeypatch.setattr(AdmissionByQuota, "_take", lambda self, i, asked: (take if asked else of)(self, i, asked))


def a_boot_forgets(monkeypatch):
    init = quotas.Quota.__init__
    monkeypatch.setattr(quotas.Quota, "__init__", lambda self, octets, state: init(self, octets, bytearray(4)))


def a_boot_charges_a_lease_to_all(monkeypatch):
    init = quotas.Quota.__init__

    def charging(self, octets, state):
        init(self, octets, state)
        self.used.add(MOST)

    monkeypatch.setattr(quotas.Quota, "__init__", charging)


@pytest.mark.parametrize(
    "broken",
    [the_account_stores_its_own, a_lease_is_stored_with_the_next_record, what_arrives_is_not_counted, a_boot_forgets,
     a_boot_charges_a_lease_to_all],
    ids=lambda broken: broken.__name__,
)  # fmt: skip
def test_a_broken_one_is_found(broken, monkeypatch):
    broken(monkeypatch)
    with pytest.raises(AssertionError):
        live_through(50)


def test_what_was_stored_of_another_period_does_not_hold():
    device = Device()
    device.send(TELEMETRY, 2_000)
    device.store()
    device.ledger.new_cycle(FIRST + 31)  # under a plan without quotas
    device.ledger.rated.add(20_000)
    device.ledger.commit()
    device.reset()
    assert device.counted(TELEMETRY) == device.admission.used.value() >= 20_000
    assert "CLASS_EXHAUSTED" in device.policy.names()
    device.release()
    assert device.counted(TELEMETRY) == 0


def test_a_class_has_used_no_more_of_a_new_period_than_the_period_and_than_it_had():
    device = Device()
    device.send(TELEMETRY, 2_000)
    device.ledger.within_cycle()
    device.send(TELEMETRY, 700)  # in both
    device.send(OTA, 1_500)
    device.admission.begin_cycle(FIRST + 31)
    assert (device.counted(TELEMETRY), device.counted(PICTURES)) == (2_200, 0)


def test_what_the_modems_counter_or_the_carrier_adds_is_of_no_class():
    device = Device(counter=True)
    admission = device.admission
    admission.counter(Octets(0), Octets(0), 1, False)
    assert admission.transfer(LOG, True, 1_000)
    admission.counter(Octets(1_080), Octets(50_000_000), 1, False)
    device.owe(1_000_000)
    assert device.ledger.doubt.value() > 1_000_000
    assert (device.counted(LOG), device.counted(TELEMETRY)) == (1_080, 0)
    admission.settle(1 << 40, 1 << 40)
    assert admission.used.value() > 2_000_000
    assert (device.counted(LOG), device.counted(TELEMETRY)) == (1_080, 0)


def test_an_observed_class_goes_on_and_is_named():
    device = Device(enforcement="observe")
    for _ in range(8):
        device.admission.meter.carried = device.admission.meter.rated = 1_500
        assert device.admission._take(TELEMETRY, True)
        device.step()
    assert device.counted(TELEMETRY) == 12_000
    assert device.policy.names() == ["CLASS_EXHAUSTED"]


def test_without_quotas_nobody_finds_a_figure_where_they_were_stored():
    device = Device()
    device.send(OTA, 9_000)
    device.store()
    assert Figures(Standing(device.ledger.orders)).charged == []
    assert Standing(device.ledger.orders).charged >> 224, "although there is something"


def test_of_the_charged_figures_the_two_newest_are_kept():
    device = Device()
    figures = Figures(device.account.standing)
    for octets in (1, 2, 3):
        figures.put_right(Octets(octets), 10 * octets)
    device.store()
    device.cut()
    assert Figures(device.account.standing).charged == [(2, 20), (3, 30)]
