"""What ends data beside a SIM's own quota, on paper: a shared pool, a balance, the end of a package."""

import numpy as np
import pytest

from host_tools.planning import fit as fitting
from host_tools.planning.source import load
from host_tools.planning.usage import Curve, History

DAY = 86_400
MARCH = 9556 * DAY  # 2026-03-01 in UTC, seconds since 2000-01-01
COMMON = "[plan]\nutc_offset_min = 0\nallowance_octets = 310000\nmargin_octets = 1000\nreserve_octets = 1000\n"
POOL = COMMON + '[plan.pool]\n[carrier.pool]\nallowance_octets = "310000B"\n'


@pytest.fixture
def fitted(tmp_path):
    """A function that fits one plan to devices that use so many octets on each day, evenly."""

    def fit(text, *devices):
        path = tmp_path / "plan.toml"
        path.write_text(text)
        curves = [
            Curve(f"d{index}", MARCH + DAY * np.arange(len(octets) + 1), np.append(0, np.cumsum(octets)))
            for index, octets in enumerate(devices)
        ]
        found = fitting.fit(History("x", curves), [load(path)])
        return found, {(total.option.behaviour, total.option.guarded): total for total in found.totals}

    return fit


def test_a_pool_ends_for_all_its_members_at_once(fitted):
    # 20,000 octets a day together: 310,000 last 15.5 of 31 days, of which a guarded fleet leaves 2 %.
    _, options = fitted(POOL, [10_000] * 31, [10_000] * 31)
    assert set(options) == {("cutoff", False), ("cutoff", True)}
    alone, guarded = options["cutoff", False], options["cutoff", True]
    assert alone.through_octets == 310_000
    assert alone.stopped_s == 31 * DAY
    assert (alone.paid_octets, alone.unused_octets) == (310_000, 0)
    assert guarded.stopped_s == 2 * (31 * DAY - 303_800 * DAY // 20_000)
    assert guarded.through_octets == pytest.approx(303_800, abs=2)
    assert guarded.saved.dark_s == alone.stopped_s


def test_what_one_member_leaves_another_uses(fitted):
    # One alone would reach its cap of 310,000 octets on the last second, and the others use nothing.
    _, options = fitted(POOL, [20_000] * 15 + [0] * 16, [0] * 31, [0] * 15 + [600] * 16)
    alone = options["cutoff", False]
    assert (alone.stopped_s, alone.through_octets) == (0, 309_600)
    assert alone.unused_octets == 400


def test_a_members_own_cap_holds_in_the_pool(fitted):
    _, options = fitted(POOL.replace("310000B", "900000B"), [20_000] * 31, [1_000] * 31)
    assert options["cutoff", False].through_octets == 310_000 + 31_000
    assert options["cutoff", True].through_octets == 308_000 + 31_000


def test_the_platform_sets_reports_aside(fitted):
    upstream = '[upstream]\nhost = "reports.example"\ninterval_s = "1d"\n'
    _, without = fitted(POOL, [20_000] * 31)
    _, options = fitted(POOL + upstream, [20_000] * 31)
    guarded = options["cutoff", True]
    assert 0 < without["cutoff", True].through_octets - guarded.through_octets <= 31 * 300
    assert guarded.reports == guarded.stopped_s // DAY > 10


def test_a_pool_without_a_size_is_left_out_and_said(fitted):
    found, options = fitted(COMMON + "[plan.pool]\n", [20_000] * 31, [20_000] * 31)
    assert options["cutoff", False].through_octets == 2 * 310_000
    assert any("give carrier.pool" in note for note in found.notes)


def test_fees_use_a_balance_up(fitted):
    # March is paid. April's fee leaves 90 fen; May's would leave less than nothing, so that data ends for good.
    found, options = fitted(COMMON + "[plan.account]\nbalance_fen = 400\nfee_fen = 310\n", [1_000] * 122)
    for guarded in (False, True):
        assert options["cutoff", guarded].stopped_s == (31 + 30) * DAY
    assert options["cutoff", True].saved.dark_s == 0  # the carrier stops a guarded SIM too
    assert any("balance is 4.00 yuan" in note for note in found.notes)


def test_a_fee_alone_is_no_balance(fitted):
    _, options = fitted(COMMON + "[plan.account]\nfee_fen = 310\n", [1_000] * 122)
    assert options["cutoff", False].stopped_s == 0


def test_a_guard_stops_before_the_balance_is_negative(fitted):
    tiers = "[plan.overage]\ntiers = [{from_octets = 0, block_octets = 10000, fen = 5}]\n"
    _, options = fitted(COMMON + tiers + "[plan.account]\nbalance_fen = 12\n", [15_000] * 61)
    # March's 465,000 octets are 155,000 beyond the plan. 12 fen pay for two blocks.
    alone, guarded = options["overage", False], options["overage", True]
    assert (alone.through_octets, alone.overage_fen) == (330_001, 15)
    april = 30 * DAY
    assert alone.stopped_s == 31 * DAY - -(-330_001 * DAY // 15_000) + april
    # What is left, 2 fen, pays for none in April: the guarded device goes on within the plan.
    assert (guarded.through_octets, guarded.overage_fen) == (330_000 + 310_000, 10)
    assert guarded.stopped_s == 31 * DAY - 330_000 * DAY // 15_000 + april - -(-310_000 * DAY // 15_000)
    assert guarded.saved.dark_s == alone.stopped_s


def test_a_package_ends_and_nobody_renews_it(fitted):
    package = 'activated = "2020-01-31"\n[plan.package]\nmonths = 1\nslice = "whole"\n'
    found, options = fitted(COMMON + package + "[plan.account]\nfee_fen = 300\n", [1_000] * 61)
    for guarded in (False, True):
        total = options["cutoff", guarded]
        assert (total.stopped_s, total.through_octets, total.fee_fen) == (30 * DAY, 31_000, 300)
        assert total.paid_octets == 310_000
    assert options["cutoff", True].saved.dark_s == 0
    assert any("package ends on 2026-04-01" in note for note in found.notes)
