"""What `plan fit` says of a guard's savings, of prices that are missing, and its page. The oracle is paper."""

import io
import logging
import re
import warnings

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from rich.console import Console

from host_tools.planning import fit as fitting
from host_tools.planning import plot, table
from host_tools.planning.fit import Saved
from host_tools.planning.source import load
from host_tools.planning.usage import Curve, History

DAY = 86_400
MARCH = 9556 * DAY  # 2026-03-01 in UTC, seconds since 2000-01-01
PLAN = """title = "{title}"
[plan]
utc_offset_min = 0
allowance_octets = 1000000
margin_octets = 10000
reserve_octets = 90000
{more}
[upstream]
host = "reports.example"
interval_s = "6h"
"""
TIERS = """[plan.overage]
tiers = [{ block_octets = 100000, fen = 7 }]
cost_cap_fen = 14
[plan.account]
fee_fen = 300
"""


@pytest.fixture
def found(tmp_path):
    """31 days of 86,400 octets, one a second, under two plans; one of them has no price."""
    plans = []
    for title, more in (("每月 1 MB", TIERS), ("cheap", "")):
        plans.append(tmp_path / f"{len(plans)}.toml")
        plans[-1].write_text(PLAN.format(title=title, more=more), "utf-8")
    times = MARCH + DAY * np.arange(32)
    curve = Curve("a", times, 86_400 * np.arange(32), None)
    return fitting.fit(History("x", [curve]), [load(plan) for plan in plans])


def test_a_guard_saves_what_the_carrier_alone_would_have_done(found):
    saved = {(t.option.source.title, t.option.behaviour): t.saved for t in found.totals if t.option.guarded}
    # The carrier stops the SIM after 1,000,000 s. The device holds data back from 900,000 octets on, and its reserve of
    # 90,000 carries so many reports.
    dark = 31 * DAY - 1_000_000
    reports = min(90_000 // 256, (31 * DAY - 900_000) // (6 * 3600))
    assert saved["cheap", "cutoff"] == Saved(dark, 0, reports)
    # Without a cap 17 blocks are begun beyond the plan. The cap pays for two; margin and reserve lie below its end, in
    # the second, so that the device begins one.
    assert saved["每月 1 MB", "overage, capped"].overage_fen == 7 * (17 - 1)
    assert all(t.saved is None for t in found.totals if not t.option.guarded)


def test_a_plan_without_a_price_is_not_the_cheapest(found):
    assert found.unpriced == ["cheap"]
    assert {found.cheapest.option.source.title, found.trade_off.option.source.title} == {"每月 1 MB"}
    assert [total.priced for total in found.totals] == sorted([total.priced for total in found.totals], reverse=True)


def test_a_missing_price_is_said_first(found):
    out = io.StringIO()
    table.show_fit(found, Console(file=out, width=200))
    lines = out.getvalue().splitlines()
    assert lines[1].startswith("! no price: cheap; give plan.account.fee_fen")
    assert "Dark avoided" in lines[2]


@pytest.mark.parametrize("suffix", [".html", ".svg", ".png"])
def test_a_picture_with_chinese_titles_warns_of_nothing(found, suffix, tmp_path, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot.write(tmp_path / f"fit{suffix}", found)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.skipif(len(plot.fonts("每")) == 1, reason="no font with Chinese glyphs is installed")
def test_chinese_titles_have_their_glyphs(found):
    with warnings.catch_warnings(), mpl.rc_context({"font.family": plot.fonts("每")}):
        warnings.simplefilter("error")
        FigureCanvasAgg(plot.draw(found)).print_png(io.BytesIO())


def test_the_page_has_a_picture_for_a_phone_and_ids_of_their_own(found, tmp_path):
    plot.write(tmp_path / "fit.html", found)
    page = (tmp_path / "fit.html").read_text("utf-8")
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert page.count("<svg") == 2
    assert "每月 1 MB" in page
    assert page.index("no price: cheap") < page.index("Best trade-off")
