"""The count of a day: where it begins, and what becomes of it at boots, with wrong clocks and with other plans."""

from datetime import UTC, datetime

import pytest
from usageguard.core.account.daily import DAY, DAY_RESERVE

from tests.policy.device import TELEMETRY
from tests.policy.plans import DAY_MARGIN, Sold
from tests.policy.plans import DAY_RESERVE as RESERVED
from tests.policy.world import IMSI, PACKET, World

HOUR = 3_600
CAP = 20_000
DAILY = {"cap_octets": CAP, "margin_octets": DAY_MARGIN, "reserve_octets": RESERVED}
PLAN = {"allowance_octets": 90_000, "margin_octets": 1_500, "reserve_octets": 3_000, "utc_offset_min": -300}


def noon(**plan):
    """A world at noon of 1 February, New York's time, with the device's time just told."""
    plan = {"daily": DAILY, **PLAN, **plan}
    return World(Sold(datetime(2026, 2, 1, 17, tzinfo=UTC), {k: v for k, v in plan.items() if v is not None}, {}, 0))


def day(world):
    return world.device.periods.day_octets()


def billed(world):
    return world.carrier._sim(IMSI).day_octets


def use(world, octets=PACKET):
    assert world.send(TELEMETRY, octets)
    world.settle()


def test_a_day_counts_what_was_used_since_its_midnight_and_no_more():
    world = noon()
    for _ in range(4):
        use(world)
        assert day(world) == billed(world) > 0
        world.run(11 * HOUR)
        use(world)
        assert day(world) == billed(world)
        world.run(13 * HOUR)
    assert world.device.admission.used.value() > 8 * PACKET, "the period counts them all"


@pytest.mark.parametrize(
    ("second", "first", "next_one"), [(-302, 1, 0), (-300, 1, 1), (-1, 1, 1), (0, 1, 1), (299, 1, 1), (301, 0, 1)]
)
def test_what_is_used_about_midnight_counts_in_both_days(second, first, next_one):
    world = noon()
    world.run(12 * HOUR - 400)
    before = day(world)
    world.run(400 + second)
    use(world)
    if first:
        assert (day(world) - before) // PACKET == first
    world.run(310 - second)
    assert day(world) // PACKET == next_one


def test_the_limits_move_with_the_day_and_the_reserve_stays_for_reports():
    world = noon()
    policy = world.device.policy
    while world.send(TELEMETRY, PACKET):
        pass
    world.settle()
    assert policy.names() == ["DAY_EXHAUSTED"]
    assert CAP - DAY_MARGIN - RESERVED - PACKET < day(world) <= CAP - DAY_MARGIN
    used = world.device.admission.used.value()
    assert world.report(), "which may use the reserve"
    assert policy.limit(DAY) + RESERVED == policy.limit(DAY_RESERVE) == CAP - DAY_MARGIN
    world.run(12 * HOUR + 300)
    assert policy.names() == []
    assert policy.limit(DAY_RESERVE) > used + CAP - DAY_MARGIN
    use(world)


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("off", [10, 12 * HOUR, 30 * HOUR])
def test_a_boot_goes_on_with_the_day_or_begins_another_one(clean, off):
    world = noon()
    use(world)
    world.run(HOUR)
    use(world)
    before, cut = day(world), world.device.ledger.stored
    if clean:
        world.sleep(off)
    else:
        world.device.bearer.close()
        world.clock.run_until(world.clock.now_us + off * 1_000_000)
        world.boot(cut)
        world.device.trust()
        world.settle()
    assert day(world) >= billed(world)
    if off == 10:
        assert day(world) - before <= 60, "and a report"
    elif clean:
        assert day(world) <= billed(world) + 1_024, "of which the ledger keeps no parts"
    else:
        assert day(world) <= billed(world) + before
    world.run(HOUR)
    use(world)
    assert day(world) >= billed(world)


def test_a_clock_that_was_wrong_leaves_the_period_to_the_day():
    world = noon()
    use(world)
    device, clock = world.device, world.device.periods.clock
    used = device.admission.used.value()
    for hours in (48, 0):  # ahead by two days, and right again: told so until it is believed
        ahead = world.utc()[0] + hours // 24, world.utc()[1]
        clock.network(*ahead, device.hal.ticks_ms())
        assert clock.server(*ahead, device.hal.ticks_ms())
        device.step()
    assert device.account.standing.valid_day == world.utc()[0]
    assert day(world) == device.admission.used.value() >= used


def test_a_plan_that_is_deployed_counts_the_period_until_midnight():
    world = noon(daily=None)
    for _ in range(8):
        use(world)
    used = world.device.admission.used.value()
    world.run(24 * HOUR)
    use(world)
    world.sold.plan["daily"] = DAILY
    world.device.close()
    world.boot(world.device.ledger.stored)
    world.device.trust()
    world.settle()
    assert day(world) >= used + PACKET
    world.run(13 * HOUR)
    assert day(world) <= 60 * 2, "reports"


def test_where_it_is_stored_no_pool_finds_a_grant_nor_it_a_day():
    pool = {"first_grant_octets": 4_000, "holding_s": 0, "on_silence": "terminate"}
    world = noon()
    use(world)
    world.device.close()
    del world.sold.plan["daily"]
    world.sold.plan["pool"] = pool
    world.boot(world.device.ledger.stored)
    assert world.device.account.standing.granted == 4_000
    assert world.device.account.standing.grant_cycle == world.device.ledger.cycle_id
    world.device.obey(1)  # stores that
    del world.sold.plan["pool"]
    world.sold.plan["daily"] = DAILY
    world.boot(world.device.ledger.stored)
    assert world.device.account.standing.granted == world.device.ledger.rated_base.value()
    assert day(world) == world.device.admission.used.value()


def test_what_is_in_doubt_counts_in_its_day_alone():
    world = noon()
    use(world)
    admission, ledger = world.device.admission, world.device.ledger
    before = day(world)
    admission._doubt(5_000)
    world.settle()
    assert ledger.doubt.value() >= 5_000
    assert before <= day(world) <= before + ledger.doubt.value()
    world.run(13 * HOUR)
    assert day(world) <= 60 * 3, "reports"
