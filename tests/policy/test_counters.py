"""Guard and carrier through random lives of a SIM whose plan has counters beside the allowance's."""

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from usageguard.config import plan as config_plan
from usageguard.core.account.counters import OwnCounter
from usageguard.core.account.quotas import Quota
from usageguard.guard import counters
from usageguard.net import by_counter

from tests.policy.device import TELEMETRY
from tests.policy.machine import Machine
from tests.policy.plans import DAY_S
from tests.policy.test_lives import LIVES, SETTINGS
from tests.policy.world import IMSI, PACKET

HOME, SEARCHING, ROAMING = 1, 2, 5  # <stat> of +CEREG
STEPS = 2_000
LEAD_S = 300  # behind the beginning of the hours, and before their end, in which the device takes none for certain
SLEPT_S = 1  # the device's clock has whole seconds


class Hours(Machine):
    """`hours`: steps in which the device debited the counter of the hours."""

    family = "hours"
    steps = 0
    runs = 0
    hours = 0

    @rule(edge=st.sampled_from(["from", "to"]), short=st.sampled_from([1, 200, 301, 700]), packets=st.integers(0, 9),
          on=st.sampled_from([0, 2, 299, 301, 302, 900]))  # fmt: skip
    def cross_an_edge(self, edge, short, packets, on):
        """Sleeps or waits until just before the hours begin or end, uses data, and stays awake over it."""
        left = self.seconds_to(edge) - short
        if left > 0:
            self.world.run(left)
        if packets:
            self.spend(TELEMETRY, packets, PACKET)
        self.world.run(short + on)
        if packets:
            self.spend(TELEMETRY, packets, PACKET)

    @precondition(lambda self: not self.world.device.policy.free)
    @rule(clean=st.booleans())
    def reboot(self, clean):
        """In the hours it admits less until the time is confirmed."""
        super().reboot(clean)

    def seconds_to(self, edge):
        now = self.world.clock.utc().astimezone(self.world.carrier_config.sim_plan.zone)
        hours, minutes = map(int, self.plan["hours"][edge].split(":"))
        return (hours * 3_600 + minutes * 60 - now.hour * 3_600 - now.minute * 60 - now.second) % DAY_S

    def counts_agree(self):
        super().counts_agree()
        world = self.world
        device = world.device
        sim = world.carrier._sim(IMSI)
        if device.admission.debited is not None:
            type(self).hours += 1
            assert world.same_cycle()
            assert sim.plan.hours.hold(*self.minute()), "the counter is debited although these are not its hours"
            assert device.policy.free == (sim.plan.hours.charged_permille == 0)
        else:
            assert not device.policy.free
            quota = device.account.standing.hours if "allowance_octets" in self.plan["hours"] else None
            within = -self.seconds_to("from") % DAY_S > LEAD_S + SLEPT_S and self.seconds_to("to") > LEAD_S + SLEPT_S
            if sim.plan.hours.hold(*self.minute()) and within and (quota is None or quota.holds(1)):
                assert not device.periods.clock.within_cycle(device.hal.ticks_ms()), "the hours are not used"

    def minute(self):
        now = self.world.clock.utc().astimezone(self.world.carrier_config.sim_plan.zone)
        return [now.hour * 60 + now.minute]


class Roaming(Machine):
    """`abroad`: steps with data in another network."""

    family = "roaming"
    steps = 0
    runs = 0
    abroad = 0

    @rule(away=st.sampled_from([True, True, False]), unnoticed=st.integers(0, 3))
    def move(self, away, unnoticed):
        """The SIM is in another network, or at home again; the device, which may use data meanwhile, notices it in the
        same second."""
        modem = self.world.device.modem
        self.world.carrier.roam(IMSI, away)
        stat = ROAMING if away else HOME
        for _ in range(unnoticed if away else 0):
            if not self.world.send(TELEMETRY, PACKET):
                break
        modem.registration = stat
        self.world.settle()

    @rule(seconds=st.sampled_from([0, 60]))
    def lose_coverage(self, seconds):
        modem = self.world.device.modem
        before, modem.registration = modem.registration, SEARCHING
        self.world.settle()
        self.world.run(seconds)
        modem.registration = before
        self.world.settle()

    @rule()
    def wait_for_the_reading(self):
        """What was sent has left the modem, and is known to."""
        self.world.device.admission.meter.left()
        self.world.device.admission.meter.window = 0

    def reboot(self):
        """Nobody knows where it is then; that it goes on is proved without roaming."""

    def counts_agree(self):
        super().counts_agree()
        world = self.world
        device = world.device
        quota, registration = device.account.standing.roaming, device.modem.registration
        if world.same_cycle():
            used = quota.used.value()
            assert used >= self.cycle.roaming.octets, f"{used} of {self.cycle.roaming.octets} octets abroad"
        stopped = registration != HOME and not quota.holds(1)
        assert ("ROAMING_EXHAUSTED" in self.names()) == stopped
        debited = device.admission.debited
        assert (debited is not None) == (registration != HOME)
        type(self).abroad += debited is not None and not stopped and world.online

    def the_way_back(self):
        self.move_home()
        super().the_way_back()

    def move_home(self):
        self.world.carrier.roam(IMSI, False)
        self.world.device.modem.registration = HOME
        self.world.settle()


def lives(machine=Hours):
    return type("Lives", (machine,), {"steps": 0, "runs": 0, "hours": 0, "abroad": 0})


@pytest.mark.parametrize("machine", [Hours, Roaming])
def test_guard_and_carrier_through_a_few_random_lives(machine):
    machine = lives(machine)
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=15))
    assert machine.steps >= 100


@pytest.mark.proof
def test_guard_and_carrier_through_random_lives():
    machine = lives()
    run_state_machine_as_test(machine, settings=SETTINGS)
    print(f"{machine.steps} steps in {machine.runs} lives, {machine.hours} of them in the hours")
    assert machine.steps >= STEPS
    assert machine.hours >= STEPS // 20


@pytest.mark.proof
def test_guard_and_carrier_through_random_lives_abroad():
    machine = lives(Roaming)
    run_state_machine_as_test(machine, settings=SETTINGS)
    print(f"{machine.steps} steps in {machine.runs} lives, {machine.abroad} of them abroad")
    assert machine.steps >= STEPS
    assert machine.abroad >= STEPS // 40


def the_quota_has_no_end(monkeypatch):
    monkeypatch.setattr(Quota, "holds", lambda self, n: True)


def the_hours_begin_late(monkeypatch):
    make = config_plan._time_of_day
    monkeypatch.setattr(config_plan, "_time_of_day", lambda *args: make(*args) + 3_600)


def nothing_is_charged(monkeypatch):
    monkeypatch.setattr(counters, "OwnCounter", lambda quota, share: OwnCounter(quota, 0))



def changed(monkeypatch, **methods):
    """An admission with these methods."""
    make = by_counter.with_counters
    monkeypatch.setattr(by_counter, "with_counters", lambda base: type("Changed", (make(base),), methods))


def what_was_sent_before_it_was_noticed_is_forgotten(monkeypatch):
    def debit(self, counter):
        self.meter.window = 0
        return super(type(self), self).debit(counter)

    changed(monkeypatch, debit=debit)


def nobody_looks_where_it_is(monkeypatch):
    changed(monkeypatch, follow=lambda self, *where: None)
    monkeypatch.setattr(counters, "_HOME", 5)


@pytest.mark.proof
@pytest.mark.parametrize(
    ("family", "broken"),
    [
        (Hours, the_quota_has_no_end),
        (Hours, the_hours_begin_late),
        (Hours, nothing_is_charged),
        (Roaming, what_was_sent_before_it_was_noticed_is_forgotten),
        (Roaming, nobody_looks_where_it_is),
    ],
    ids=lambda each: each.__name__,
)
def test_a_broken_guard_is_found(family, broken, monkeypatch):
    broken(monkeypatch)
    machine = lives(family)
    until_found = settings(SETTINGS, phases=[Phase.generate], max_examples=3 * LIVES)
    with pytest.raises(AssertionError) as found:
        run_state_machine_as_test(machine, settings=until_found)
    print(f"found in step {machine.steps}: {found.value}")
