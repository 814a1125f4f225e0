"""Guard and carrier through random lives of a SIM whose plan has counters beside the allowance's."""

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test
from usageguard.config import plan as config_plan
from usageguard.core.account.counters import Counter
from usageguard.core.account.quotas import Quota
from usageguard.guard import counters

from tests.policy.device import TELEMETRY
from tests.policy.machine import Machine
from tests.policy.plans import DAY_S
from tests.policy.test_lives import SETTINGS
from tests.policy.world import IMSI, PACKET

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


def lives():
    return type("Lives", (Hours,), {"steps": 0, "runs": 0, "hours": 0})


def test_guard_and_carrier_through_a_few_random_lives():
    machine = lives()
    run_state_machine_as_test(machine, settings=settings(SETTINGS, max_examples=10))
    assert machine.steps >= 100


@pytest.mark.proof
def test_guard_and_carrier_through_random_lives():
    machine = lives()
    run_state_machine_as_test(machine, settings=SETTINGS)
    print(f"{machine.steps} steps in {machine.runs} lives, {machine.hours} of them in the hours")
    assert machine.steps >= STEPS
    assert machine.hours >= STEPS // 20


def the_quota_begins_anew_with_each_boot(monkeypatch):
    init = Quota.__init__
    monkeypatch.setattr(Quota, "__init__", lambda self, octets, state: init(self, octets, bytearray(4)))


def the_quota_has_no_end(monkeypatch):
    monkeypatch.setattr(Quota, "holds", lambda self, n: True)


def the_hours_begin_late(monkeypatch):
    make = config_plan._time_of_day
    monkeypatch.setattr(config_plan, "_time_of_day", lambda *args: make(*args) + 3_600)


def nothing_is_charged(monkeypatch):
    monkeypatch.setattr(counters, "Counter", lambda quota, share: Counter(quota, 0))



@pytest.mark.parametrize(
    "broken",
    [the_quota_begins_anew_with_each_boot, the_quota_has_no_end, the_hours_begin_late, nothing_is_charged],
    ids=lambda broken: broken.__name__,
)
def test_a_broken_guard_is_found(broken, monkeypatch):
    broken(monkeypatch)
    machine = lives()
    with pytest.raises(AssertionError) as found:
        run_state_machine_as_test(machine, settings=settings(SETTINGS, phases=[Phase.generate]))
    print(f"found in step {machine.steps}: {found.value}")
