"""Another SIM in the device: what the firmware, the carrier and the collector make of it."""

import contextlib
from datetime import timedelta

import pytest

from host_tools.run.targets.direct import DirectTarget
from host_tools.run.world import ICCID, IMSI, World, imsi
from host_tools.scenario import file as scenario
from host_tools.sim.clock import S
from tests.run.targets.test_account_of_a_device import TEXT, Sink, send

EXCHANGE = '[[fault]]\nkind = "sim_exchange"\nat = "6h"\n'
BACK = '[[fault]]\nkind = "sim_exchange"\nat = "12h"\nsim = 1\n'
ALLOWANCE = 1 << 20


class Life:
    """A device that sends what it may, with another SIM after six hours."""

    def __init__(self, more=EXCHANGE, duration="1d", any_sim=False):
        text = TEXT.format(plan="", more=more, duration=duration, interval="1h", allowance="1MB")
        self.world = World(scenario.loads(text, "test.toml"), 1, {})
        self.world.internet.add_host("sink", Sink())
        config = self.world.scenario.device_config()
        target = DirectTarget(config | {"modem": config["modem"] | {"any_sim": any_sim}}, self.app)
        self.used_at = {}
        self.world.run(target.boot)
        self.guard = target.guard

    def app(self, guard):
        while True:
            with contextlib.suppress(OSError):
                send(1000)
            self.used_at[self.world.clock.now_us // (3600 * S)] = guard.admission.used.value()
            guard.sleep(600_000)

    def billed(self, number):
        figures = self.world.carrier.figures(imsi(number), "2026-03-01")
        return figures["billed_octets"] if figures else 0

    @property
    def alarms(self):
        return [alarm.kind for alarm in self.world.store.alarms(self.world.device_id)]


def test_another_sim_stops_data_until_it_is_accepted():
    life = Life()
    assert life.guard.policy.names() == ["SIM_CHANGED"]
    assert life.guard.policy.verdict() == "restricted"
    assert life.alarms == ["sim_changed"]
    assert life.billed(2) < 18 * 400, "hourly reports, and the boot's"
    assert life.guard.modem.iccid == str(int(ICCID) + 1).encode()


def test_the_order_begins_its_account_anew():
    life = Life(EXCHANGE + '[[order]]\nat = "9h"\nnew_sim_octets = 0\n')
    assert life.guard.policy.names() == []
    assert life.used_at[8] > 30_000
    assert life.used_at[11] < 30_000, "counts from what the order says"
    assert abs(life.guard.admission.used.value() - life.billed(2)) < 10_000
    reports = life.world.store.history(life.world.device_id)
    sims = [report.report.sim for report in reports if report.report.sim]
    assert len(set(sims)) == 2, "each is told"
    assert len(sims) < 10, "and not with every report"


def test_the_former_sim_goes_on_where_it_was():
    life = Life(EXCHANGE + BACK)
    assert life.guard.policy.names() == []
    assert life.guard.admission.used.value() >= life.billed(1) + life.billed(2) - 2_000
    assert life.billed(1) > 80_000
    assert life.alarms == ["sim_changed", "sim_changed"]


def test_where_any_sim_may_be_used_the_count_goes_on():
    life = Life(EXCHANGE + BACK, any_sim=True)
    assert life.guard.policy.names() == []
    assert life.billed(2) > 30_000, "data went on"
    assert life.guard.admission.used.value() >= life.billed(1) + life.billed(2) - 2_000, "and nothing was forgotten"
    assert "sim-changed" not in [event["what"] for event in life.world.log.events]


@pytest.mark.parametrize("plan", ["", "[[order]]\nat = \"9h\"\nnew_sim_octets = \"100KB\"\n"])
def test_what_the_new_one_has_used_already_is_counted(plan):
    life = Life(EXCHANGE + plan)
    if plan:
        assert life.used_at[11] >= 100 << 10
    assert life.guard.admission.used.value() <= ALLOWANCE


def test_a_sim_of_another_device_is_an_alarm():
    life = Life(duration="5h", more="")
    store, now = life.world.store, life.world.clock.utc()
    report = next(each.report for each in store.history(life.world.device_id) if each.report.sim)
    kept = store.add("tracker-002", report, b"another", now + timedelta(hours=1), "coap")
    assert [alarm.kind for alarm in kept.alarms] == ["sim_elsewhere"]
    assert life.world.device_id in kept.alarms[0].detail
    assert IMSI not in kept.alarms[0].detail
