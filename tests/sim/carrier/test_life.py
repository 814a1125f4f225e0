"""Packages that expire, and a SIM's life before its first bill."""

from datetime import date

import pytest

from host_tools.sim.carrier import Bearer, Funds, Lifecycle, Package, Tier
from tests.sim.carrier.world import IMSI, World


def packaged(start="2025-03-15T08:00:00+08:00", months=1, renew_months=3, slice="month", **plan):
    package = Package(months, slice, renew_months)
    return World(start, plan={"activated": date(2025, 3, 15), "package": package, **plan})


def test_reminders_and_the_stop_at_expiry():
    world = packaged(months=3)
    world.use(28)
    assert world.news().expires == date(2025, 6, 15)
    world.run_to("2025-06-14T23:59:59+08:00")
    assert world.news().reminders == (30, 7, 1)
    assert world.denies() == ()
    world.run(1)
    assert world.denies() == world.news().stops == ("expired",)
    assert world.deactivations == 1
    assert world.activate() == 33
    assert world.carrier.register(IMSI) == 0
    assert world.told() == [
        ("reminded", "expiry", "2025-05-16 00:00:00"),
        ("reminded", "expiry", "2025-06-08 00:00:00"),
        ("reminded", "expiry", "2025-06-14 00:00:00"),
        ("stopped", "expired", "2025-06-15 00:00:00"),
    ]
    world.run_to("2025-07-01T00:00:00+08:00")
    assert world.denies() == ("expired",), "a new cycle renews nothing"


def test_expiry_on_a_day_that_the_month_lacks():
    world = World("2025-01-31T00:00:00+08:00", plan={"activated": date(2025, 1, 31), "package": Package(1)})
    assert world.news().expires == date(2025, 2, 28)


def test_renewal_in_time_moves_the_end_and_reminds_again():
    world = packaged(months=1)
    world.run_to("2025-04-10T00:00:00+08:00")
    assert world.carrier.renew(IMSI, 12)
    assert world.news().expires == date(2026, 4, 15)
    assert world.news().reminders == ()
    world.run_to("2026-04-14T12:00:00+08:00")
    assert world.denies() == ()
    world.run_to("2026-04-15T00:00:00+08:00")
    assert world.denies() == ("expired",)


def test_renewal_within_three_months_resumes_and_counts_from_the_end():
    world = packaged(months=1, funds=Funds(1000, 100))
    world.run_to("2025-06-15T00:00:00+08:00")
    assert not world.carrier.renew(IMSI, 2), "it would be over today"
    world.run_to("2025-07-14T12:00:00+08:00")
    assert world.news().stops == ("expired",)
    assert world.news().balance_fen == 900, "April began in the package, May, June and July did not"
    assert not world.carrier.renew(IMSI, 2), "it would be over since the 15th of June"
    assert world.carrier.renew(IMSI, 3)
    assert (world.news().expires, world.news().balance_fen) == (date(2025, 7, 15), 800)
    assert isinstance(world.activate(), Bearer)
    world.run_to("2025-07-15T00:00:00+08:00")
    assert world.denies() == ("expired",)
    assert [event[:2] for event in world.told("refused", "renewed", "restored")] == [
        ("refused", "too_short"),
        ("refused", "too_short"),
        ("renewed", "by_hand"),
        ("restored", "expired"),
    ]


def test_after_three_months_the_sim_is_cancelled_for_good():
    world = packaged(months=1)
    world.run_to("2025-07-14T23:59:59+08:00")
    assert world.carrier.register(IMSI) == 0
    world.run(1)
    assert world.denies() == ("expired", "cancelled")
    assert (world.news().card_status, world.carrier.register(IMSI), world.activate()) == ("04", 2, 31)
    assert not world.carrier.renew(IMSI, 12)
    world.run_to("2026-07-15T00:00:00+08:00")
    assert world.denies() == ("expired", "cancelled")


def test_whole_package_has_one_allowance_for_its_months():
    world = packaged(months=3, slice="whole")
    assert world.news().cycle_label == "2025-03-15"
    world.use(9_000)
    world.run_to("2025-06-14T00:00:00+08:00")
    world.use(999)
    world.run(0)
    assert world.denies() == (), "one octet is left, three months on"
    assert not world.carrier.renew(IMSI, 4), "it is sold by three months"
    assert world.carrier.renew(IMSI, 6)
    world.use(28)
    world.run(0)
    assert world.denies() == ("exhausted",)
    world.run_to("2025-06-15T00:00:00+08:00")
    assert world.denies() == ()
    assert world.carrier.cycles(IMSI) == ["2025-03-15", "2025-06-15"]


LIFE = Lifecycle(test_octets=5_000, test_until=date(2025, 4, 10), silent_months=6)


def test_each_phase_follows_by_the_calendar():
    world = World("2025-03-10T00:00:00+08:00", plan={"lifecycle": LIFE, "funds": Funds(500, 100)})
    news = world.news()
    assert (news.phase, news.cycle_label, news.card_status, news.billing_since) == ("test", "test", "07", None)
    assert world.figures()["allowance_octets"] == 5_000
    world.run_to("2025-04-10T00:00:00+08:00")
    assert (world.news().phase, world.news().cycle_label) == ("silent", "silent")
    world.run_to("2025-10-31T23:59:59+08:00")
    assert world.news().phase == "silent", "six months after the 10th of April, and then the 1st"
    assert world.news().balance_fen == 500
    world.run(1)
    news = world.news()
    assert (news.phase, news.cycle_label, news.card_status) == ("billing", "2025-11-01", "00")
    assert (news.billing_since, news.balance_fen) == (date(2025, 11, 1), 400)
    assert world.carrier.cycles(IMSI) == ["test", "silent", "2025-11-01"]
    world.run_to("2025-12-01T00:00:00+08:00")
    assert (world.news().cycle_label, world.news().balance_fen) == ("2025-12-01", 300)
    assert [event for event in world.told() if event[0] == "phase"] == [
        ("phase", "test", "2025-03-10 00:00:00"),
        ("phase", "silent", "2025-04-10 00:00:00"),
        ("phase", "billing", "2025-11-01 00:00:00"),
    ]


def test_first_use_in_silence_begins_the_billing():
    plan = {"lifecycle": Lifecycle(billing_from=date(2025, 9, 1)), "funds": Funds(50, 100), "package": Package(12)}
    world = World(plan=plan, start_day=27)
    assert (world.news().phase, world.news().expires) == ("silent", None)
    world.run_to("2025-05-30T10:00:00+08:00")
    world.activate()
    world.run(60)
    assert world.news().phase == "silent", "a bearer without data is no use"
    world.up(100)
    assert world.deactivations == 0, "the fee's stop comes after the device's own send"
    news = world.news()
    assert (news.phase, news.cycle_label, news.used_octets) == ("billing", "2025-05-27", 100)
    assert (news.billing_since, news.expires, news.balance_fen) == (date(2025, 5, 30), date(2026, 5, 30), -50)
    world.run(0)
    assert world.deactivations == 1
    world.run_to("2025-09-01T00:00:00+08:00")
    labels = ["silent", "2025-05-27", "2025-06-27", "2025-07-27", "2025-08-27"]
    assert world.carrier.cycles(IMSI) == labels, "billing was not begun a second time"
    assert world.figures("silent")["billed_octets"] == 0


def test_rolling_days_run_from_the_first_use():
    world = World(plan={"lifecycle": Lifecycle(billing_from=date(2025, 9, 1)), "cycle_days": 10})
    world.run_to("2025-03-20T23:00:00+08:00")
    world.use(28)
    world.run_to("2025-03-30T00:00:00+08:00")
    assert world.carrier.cycles(IMSI) == ["silent", "2025-03-20", "2025-03-30"]


def test_test_octets_used_up_stop_until_the_test_is_over():
    world = World(plan={"lifecycle": LIFE})
    world.use(5_000)
    world.run(0)
    assert world.denies() == world.news().stops == ("test_exhausted",)
    world.run_to("2025-04-09T23:59:59+08:00")
    assert world.activate() == 33
    world.run(1)
    assert (world.denies(), world.news().phase) == ((), "silent")
    assert world.figures("silent")["stop_reason"] is None
    world.use(9_999)
    assert world.denies() == (), "the billing period's allowance is its own"


def test_test_octets_beyond_can_be_charged_into_arrears():
    life = Lifecycle(5_000, date(2025, 4, 10), "charge")
    world = World(plan={"lifecycle": life, "funds": Funds(20, 0)}, tiers=(Tier(0, 1000, 15),))
    world.use(6_000)
    world.run(0)
    news = world.news()
    assert (news.cost_fen, news.balance_fen, news.stops) == (15, 5, ())
    world.use(28)
    world.run(0)
    assert (world.news().balance_fen, world.denies()) == (-10, ("arrears",))
    world.run_to("2025-04-10T00:00:00+08:00")
    assert world.denies() == ("arrears",), "the next phase pays nothing"
    assert world.figures("test")["overage_cost"] == 30


def test_a_life_that_is_under_way_begins_in_its_phase():
    later = {"lifecycle": Lifecycle(5_000, date(2025, 1, 1), billing_from=date(2025, 6, 1)), "funds": Funds(9, 5)}
    assert World(plan=later).news().phase == "silent"
    world = World("2025-06-10T00:00:00+08:00", plan=later)
    assert (world.news().phase, world.news().cycle_label) == ("billing", "2025-06-01")
    assert world.news().balance_fen == 9, "this cycle's fee is paid"
    assert world.news().billing_since == date(2025, 6, 1)


@pytest.mark.parametrize(
    ("test_until", "months", "forced"),
    [
        (date(2025, 1, 15), 6, date(2025, 8, 1)),
        (date(2025, 1, 1), 6, date(2025, 8, 1)),  # the 1st following, not the same day
        (date(2024, 8, 31), 6, date(2025, 3, 1)),
    ],
)
def test_silence_ends_on_the_first_of_a_month_after_its_length(test_until, months, forced):
    assert Lifecycle(1, test_until, silent_months=months).forced_on(date(2020, 1, 1)) == forced


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Lifecycle(test_octets=1), "both test_octets"),
        (lambda: Lifecycle(on_test_exhausted="beg"), "use one of stop, charge"),
        (lambda: Lifecycle(1, date(2025, 1, 2), billing_from=date(2025, 1, 1)), "billing_from is before test_until"),
        (lambda: Package(0), "months 1 or more"),
        (lambda: Package(1, "day"), "use one of month, whole"),
        (lambda: World(plan={"package": Package(1)}), "need the day of activation"),
        (lambda: World(plan={"cycle_days": 30}), "need the day of activation"),
        (lambda: World(plan={"cycle_days": 30, "activated": date(2025, 3, 11)}), "is after the start, 2025-03-10"),
        (lambda: packaged(cycle_days=30, slice="whole"), "exclude each other"),
        (lambda: World(plan={"lifecycle": Lifecycle(9, date(2025, 9, 1), "charge")}), "needs the tiers"),
        (lambda: World().carrier.renew(IMSI, 1), "has no package"),
        (lambda: World().carrier.recharge(IMSI, 1), "has no balance"),
        (lambda: World(plan={"funds": Funds(0)}).carrier.recharge(IMSI, 0), "fen 0 is not 1 or more"),
    ],
)
def test_mistakes_are_named(make, match):
    with pytest.raises(ValueError, match=match):
        make()
