"""What goes wrong where periods, phases and boots meet, one at a time."""

from datetime import UTC, datetime

from usageguard.core import policy as p
from usageguard.store.ledger import ORDERS_OCTETS

from tests.policy.device import TELEMETRY
from tests.policy.plans import MARGIN, RESERVE, Sold
from tests.policy.world import IMSI, World

PLAN = {"allowance_octets": 50_000, "margin_octets": MARGIN, "reserve_octets": RESERVE, "utc_offset_min": 0}
DAY = 86_400


def world(plan, start=(2026, 1, 31), carrier=None):
    return World(Sold(datetime(*start, tzinfo=UTC), PLAN | plan, carrier or {}, 0))


def names(world):
    return world.device.policy.names()


def test_a_grant_for_the_period_that_the_carrier_has_begun_and_the_device_has_not():
    pool = {"pool": {"first_grant_octets": 0, "on_silence": "terminate"}}
    of = world(pool, carrier={"pool": {"allowance_octets": 60_000}})
    assert of.send(TELEMETRY, 1_000)
    of.run(DAY + 100)  # 2026-02-01 00:01:40: the device begins it at 00:05
    assert of.device.ledger.cycle_id < of.owner._grant.cycle_id
    of.boot(of.device.ledger.stored)  # and keeps what was said of it
    of.device.trust()
    of.run(300)
    assert of.device.ledger.cycle_id == of.owner._grant.cycle_id
    assert of.device.policy.limit(p.GRANT) == of.owner._grant.granted_octets > 0
    assert of.send(TELEMETRY, 1_000)


def test_no_fee_for_a_period_in_which_the_package_is_over():
    account = {"balance_fen": 5, "fee_fen": 10}
    plan = {"package": {"months": 1, "slice": "month"}, "activated": "2026-01-01", "account": account}
    of = world(plan)
    of.run(DAY + 400)
    assert "EXPIRED" in names(of)
    assert "ARREARS" not in names(of)
    assert of.device.account.standing.balance == of.carrier.news(IMSI).balance_fen == 5


def test_the_fee_of_the_last_period_before_the_package_is_over():
    account = {"balance_fen": 5, "fee_fen": 10}
    plan = {"package": {"months": 2, "slice": "month"}, "activated": "2026-01-01", "account": account}
    of = world(plan)
    of.run(DAY + 400)
    assert of.device.account.standing.balance == of.carrier.news(IMSI).balance_fen == -5
    assert "ARREARS" in names(of)


def test_a_boot_shortly_before_the_silent_period_does_not_use_it():
    life = {"test_octets": 20_000, "test_until": "2026-02-01", "billing_from": "2026-04-01", "on_silence": "hold"}
    of = world({"lifecycle": life})
    of.run(DAY - 500)
    assert names(of) == ["SILENT_PERIOD"]
    of.boot(of.device.ledger.stored)
    assert names(of) == ["SILENT_PERIOD"], "before anybody told the time"
    assert not of.device.modem.data_wanted


def test_a_network_that_is_wrong_about_the_silent_period_is_believed_until_it_is_right():
    life = {"test_octets": 20_000, "test_until": "2026-02-20", "billing_from": "2026-04-01", "on_silence": "hold"}
    of = world({"lifecycle": life})
    day, second = of.utc()
    of.boot(of.device.ledger.stored)
    of.device.periods.clock.network(day + 30, second, of.device.hal.ticks_ms())
    of.device.step()
    assert names(of) == ["SILENT_PERIOD"]
    of.boot(of.device.ledger.stored)
    of.device.step()
    assert names(of) == ["SILENT_PERIOD"], "a boot knows no better"
    of.device.periods.clock.network(day, second, of.device.hal.ticks_ms())
    of.device.periods.look_again(of.device.hal.ticks_ms())
    of.device.step()
    assert names(of) == []


def test_warnings_of_days_outlast_the_period_in_the_ledger_too():
    of = world({"package": {"months": 2, "slice": "month"}, "activated": "2025-12-20"})
    of.run(DAY + 400)
    warned = of.device.policy.warned
    assert warned >> of.device.config.plan.days_bit & 1, "30 days before 2026-02-20"
    assert of.device.ledger.stored[0]["warned"] == warned
    of.boot(of.device.ledger.stored)
    assert of.device.policy.warned == warned


def test_a_book_keeps_what_a_ledger_does():
    assert len(world({}).device.ledger.stored[2]) == ORDERS_OCTETS
