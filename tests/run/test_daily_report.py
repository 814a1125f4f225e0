"""What a device's full reports tell, in three days of a simulated life."""

from itertools import pairwise

from host_tools.run.targets.direct import DirectTarget
from host_tools.run.world import IMSI, World
from host_tools.scenario import file as scenario
from tests.run.targets.test_account_of_a_device import TEXT, Sink, send

OUTAGE = '[[fault]]\nkind = "reboot"\nat = "30h"\n'


def app(guard):
    while True:
        send(1000)
        guard.sleep(3_600_000)


def test_each_day_has_a_report_with_packets_sessions_and_the_modems_state():
    text = TEXT.format(plan="", more=OUTAGE, duration="3d", interval="1h", allowance="1MB")
    world = World(scenario.loads(text, "test.toml"), 1, {})
    world.internet.add_host("sink", Sink())
    target = DirectTarget(world.scenario.device_config(), app)
    world.run(target.boot)
    reports = world.store.history(world.device_id)
    full = [received for received in reports if received.report.packets >= 0]
    assert len(reports) > 72
    times = [received.received_at for received in full]
    assert all((after - before).total_seconds() <= 25 * 3600 for before, after in pairwise(times))
    assert 3 <= len(full) <= 6
    last = full[-1].report
    assert (last.registration, last.reject_cause, last.modem_restarts) == (1, 0, 1)
    assert 0 <= last.rsrp < 255
    assert last.sessions == 2
    packets, sessions = world.store.traffic(world.device_id, last.cycle_id)
    assert (packets, sessions) == (last.packets, 2)
    counted = target.guard.admission.meter.packets
    assert packets <= counted <= 1.5 * packets, "what came after the last full report is missing"
    truth = world.carrier.figures(IMSI, "2026-03-01")["packets"]
    assert abs(counted - truth) < 0.1 * truth
