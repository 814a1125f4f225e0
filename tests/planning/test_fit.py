"""The replay against paper, and against a meter that runs octet by octet; the ranking."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.base.errors import UsageError
from host_tools.planning import fit as fitting
from host_tools.planning.replay import periods, replay
from host_tools.planning.source import load
from host_tools.planning.usage import Curve, History
from host_tools.planning.usage import load as load_usage
from host_tools.platforms.exports.read import Asked

DAY = 86_400
MARCH = 9556 * DAY  # 2026-03-01 in UTC, seconds since 2000-01-01


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")

    def write(text, title="P"):
        path = folder / f"{abs(hash(text))}.toml"
        path.write_text(f'title = "{title}"\n[plan]\nutc_offset_min = 0\n{text}')
        return load(path)

    return write


def curve(octets, step=DAY, begin=MARCH, device="a", packets=None):
    times = begin + step * np.arange(len(octets) + 1)
    running = [np.append(0, np.cumsum(each)) if each is not None else None for each in (octets, packets)]
    return Curve(device, times, *running)


def by_option(found):
    return {(total.option.behaviour, total.option.guarded): total for total in found.totals}


TWO_TIERS = """allowance_octets = 100000
margin_octets = 1000
reserve_octets = 1000
[plan.account]
fee_fen = 310
[plan.overage]
tiers = [{from_octets = 0, block_octets = 10000, fen = 5}, {from_octets = 20000, block_octets = 10000, fen = 100}]
cost_cap_fen = 10
[plan.throttle]
rate_octets_s = 1
"""


def test_a_month_on_paper(plan_file):
    # 31 days of 8640 octets, one every 10 s: 267,840 in all, of which 167,840 are beyond the plan.
    found = fitting.fit(History("x", [curve([8640] * 31)]), [plan_file(TWO_TIERS)])
    options = by_option(found)
    assert set(options) == {
        ("cutoff", False), ("cutoff", True), ("overage", False), ("overage, capped", True), ("throttle", False),
    }  # fmt: skip
    cut = options["cutoff", False]
    assert (cut.fee_fen, cut.overage_fen, cut.through_octets) == (310, 0, 100_000)
    assert cut.stopped_s == 31 * DAY - 1_000_000
    assert cut.unused_octets == 0
    guarded = options["cutoff", True]
    assert guarded.through_octets == 98_000
    assert guarded.stopped_s == 31 * DAY - 980_000
    assert guarded.unused_share == pytest.approx(0.02)
    free = options["overage", False]
    # 2 blocks at 5 fen, then 147,840 octets: 15 started blocks at 100 fen.
    assert (free.overage_fen, free.stopped_s, free.lost_octets) == (10 + 1500, 0, 0)
    capped = options["overage, capped", True]
    # 10 fen buy 20,000 octets; margin and reserve are below that ceiling, and in its second block.
    assert (capped.through_octets, capped.overage_fen) == (118_000, 10)
    slow = options["throttle", False]
    # 1 octet a second is more than the one in 10 that is wanted.
    assert (slow.lost_octets, slow.stopped_s) == (0, 0)
    assert slow.slowed_s == 31 * DAY - 1_000_000
    assert found.cheapest is slow  # of equal cost that which stops least
    assert found.least_stopped is slow
    assert found.totals[-1] is free


def test_a_throttled_line_loses_what_does_not_fit(plan_file):
    # The allowance is gone after one day; of the second day's 200,000 octets 86,400 fit.
    found = fitting.fit(History("x", [curve([100_000, 200_000])]), [plan_file(TWO_TIERS)])
    slow = by_option(found)["throttle", False]
    assert slow.through_octets == 100_000 + 86_400
    assert slow.slowed_s == DAY


def test_a_period_that_is_covered_in_part_costs_in_part(plan_file):
    # 10 of March's 31 days, 15 of April's 30.
    begin = MARCH + 21 * DAY
    found = fitting.fit(History("x", [curve([10_000] * 25, begin=begin)]), [plan_file(TWO_TIERS)])
    cut = by_option(found)["cutoff", False]
    assert cut.fee_fen == 100 + 155
    assert cut.paid_octets == 100_000 * 10 // 31 + 50_000
    assert cut.by_period == {"2026-03-01": [100_000], "2026-04-01": [150_000]}
    assert cut.through_octets == 200_000
    assert cut.stopped_s == 5 * DAY
    assert any("no whole period" in note for note in found.notes)


def test_packets_and_margin_are_billed(plan_file):
    source = plan_file("allowance_octets = 100000\n[plan.rating]\nper_packet_octets = 50\nmargin_permille = 100\n")
    # 31 days of 4,000 octets in 10 packets: (4,000 + 500) * 1.1 = 4,950 a day; the plan lasts 20.2 days.
    found = fitting.fit(History("x", [curve([4_000] * 31, packets=[10] * 31)]), [source])
    cut = by_option(found)["cutoff", False]
    assert cut.stopped_s == 31 * DAY - -(-100_000 * DAY // 4_950)
    assert cut.through_octets == 100_000 * 4_000 // 4_950
    assert not any("per_packet" in note for note in found.notes)
    without = fitting.fit(History("x", [curve([4_000] * 31)]), [source])
    assert any("per_packet" in note for note in without.notes)


def test_a_paced_plan_holds_what_is_beyond_the_day(plan_file):
    source = plan_file("allowance_octets = 310000\nmargin_octets = 0\nreserve_octets = 0\npace = true\n")
    # Each day has 10,000 octets; one day's share may be used at any time, the rest is spread over the other days.
    octets = [40_000] + [0] * 30
    found = fitting.fit(History("x", [curve(octets)]), [source])
    paced = by_option(found)["cutoff", True]
    head = 310_000 // 31
    mark = head + (310_000 - head) * 1 // 31
    assert paced.through_octets == mark
    assert paced.stopped_s == DAY - -(-mark * DAY // 40_000)
    assert by_option(found)["cutoff", False].lost_octets == 0


def test_a_package_is_bought_on_the_first_day(plan_file):
    source = plan_file(
        'allowance_octets = 100000\nactivated = "2020-01-31"\n[plan.package]\nmonths = 3\nslice = "whole"\n'
    )
    found = fitting.fit(History("x", [curve([1_000] * 92)]), [source])  # March, April and May
    assert by_option(found)["cutoff", False].by_period == {"2026-03-01": [92_000]}


def test_a_life_before_the_plan_is_left_out(plan_file):
    source = plan_file(
        "allowance_octets = 100000\ncycle_days = 10\n"
        '[plan.lifecycle]\ntest_octets = 50000\ntest_until = "2026-03-05"\nbilling_from = "2026-04-01"\n'
    )
    found = fitting.fit(History("x", [curve([1_000] * 25)]), [source])
    assert by_option(found)["cutoff", False].by_period == {
        "2026-03-01": [10_000],
        "2026-03-11": [10_000],
        "2026-03-21": [5_000],
    }


def test_a_plan_without_limits(plan_file):
    source = plan_file('allowance_octets = 100000\non_exhaustion = "none"\n')
    found = fitting.fit(History("x", [curve([10_000] * 31)]), [source])
    assert set(by_option(found)) == {("none", False)}
    assert found.totals[0].lost_octets == 0


def test_the_trade_off_follows_the_price_of_a_stopped_day(plan_file):
    source = plan_file(TWO_TIERS.replace("[plan.throttle]\nrate_octets_s = 1\n", ""))
    history = History("x", [curve([8640] * 31)])
    assert fitting.fit(history, [source], 0).trade_off.option.behaviour == "cutoff"
    assert fitting.fit(history, [source], 1_000).trade_off.option.behaviour == "overage"


# --- against a meter that runs second by second, octet by octet ---


def brute(octets, step, plan, limit):
    """(through, stopped seconds, cost) of one period whose rows are octets that come one by one, evenly in `step`."""
    through = stopped = 0
    for row in octets:
        arrivals = [-(-(n + 1) * step // row) for n in range(row)]  # the second by which each is there
        for second in range(1, step + 1):
            due = sum(1 for at in arrivals if at == second)
            if limit is not None and through >= limit:
                stopped += 1
                continue
            for _ in range(due):
                if limit is None or through < limit:
                    through += 1
    beyond = max(0, through - plan["allowance"])
    room = cost = 0
    for octet in range(beyond):
        for start, block, fen in plan["tiers"]:
            if octet == start:
                room, price, size = 0, fen, block
        if not room:
            room = size
            cost += price
        room -= 1
    return through, stopped, cost


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=8),
    st.integers(0, 60),
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 9), st.sampled_from([0, 1, 7])), min_size=1, max_size=3),
)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_octet_by_octet(octets, extra, widths):
    from usageguard.config.limits import make_plan
    from usageguard.core.cycle import CalendarCycle
    from usageguard.core.plan import Rating, TrafficClass
    from usageguard.core.tariff import Tariff

    starts = [0]
    for width, _, _ in widths[:-1]:
        starts.append(starts[-1] + width)
    tiers = tuple((start, block, fen) for start, (_, block, fen) in zip(starts, widths, strict=True))
    allowance, step = 40, 30
    rating = Rating()
    (part,) = periods(curve(octets, step), CalendarCycle(1, 0), rating)
    common = {"margin_octets": 0, "reserve_octets": 0, "warn_permille": ()}
    figures = {"allowance": allowance, "tiers": tiers}
    for limit, plan in (
        (allowance, make_plan(allowance, CalendarCycle(1, 0), rating, "cutoff", **common)),
        (None, make_plan(allowance, CalendarCycle(1, 0), rating, "overage", **common, tariff=Tariff(tiers))),
        (
            allowance + extra,
            make_plan(
                allowance,
                CalendarCycle(1, 0),
                rating,
                "overage",
                **common,
                tariff=Tariff(tiers),
                cap_octets=allowance + extra,
            ),
        ),
    ):
        (outcome,) = replay([part], plan, TrafficClass("any", 0))
        through, stopped, cost = brute(octets, step, figures, limit)
        assert outcome.through_octets == through
        assert outcome.lost_octets == sum(octets) - through
        assert outcome.overage_fen == cost
        assert outcome.stopped_s == stopped


@st.composite
def histories(draw):
    """Rows of any length, gaps among them, over some years at the most."""
    steps = draw(st.lists(st.tuples(st.integers(1, 90 * DAY), st.integers(0, 1 << 30)), min_size=1, max_size=12))
    times, octets = [draw(st.integers(MARCH - 400 * DAY, MARCH + 400 * DAY))], [0]
    for seconds, used in steps:
        times.append(times[-1] + seconds)
        octets.append(octets[-1] + used)
    return Curve("a", np.array(times), np.array(octets))


@given(histories(), st.booleans())
@settings(derandomize=True, deadline=None, max_examples=60)
def test_octets_and_time_are_conserved(plan_file, history, pace):
    text = TWO_TIERS.replace("= 100000\n", f"= 100000000\npace = {str(pace).lower()}\n").replace(
        "rate_octets_s = 1", "rate_octets_s = 100"
    )
    source = plan_file(text)
    for option in fitting.options(source):
        parts = periods(history, option.plan.cycle, option.plan.rating)
        outcomes = list(replay(parts, option.plan, option.traffic_class))
        assert sum(each.demand_octets for each in outcomes) == history.total
        assert sum(part.covered_s for part in parts) == history.seconds
        for part, each in zip(parts, outcomes, strict=True):
            assert 0 <= each.through_octets <= each.demand_octets
            assert 0 <= each.stopped_s + each.slowed_s <= part.covered_s
            if option.behaviour == "cutoff":
                limit = option.plan.limit(option.traffic_class)
                assert each.through_octets <= limit
                if not option.plan.pace:
                    assert each.through_octets == min(each.demand_octets, limit)
            if not each.stopped_s and not each.slowed_s:  # not for a whole second
                fastest = int((np.diff(history.octets) / np.diff(history.times)).max())
                assert each.lost_octets <= fastest + 1


# Hours of their own

HOURLY = 3_600
NIGHT = """allowance_octets = 100000
margin_octets = 0
reserve_octets = 0
cycle_days = 4
activated = 2026-01-01
[plan.hours]
from = "22:30"
to = "06:30"
"""


def second_by_second(each, own, share, early_s):
    """Octets that pass, and seconds without data, of a usage in octets a second for each hour from midnight on."""
    allowance, used, through, stopped = 100_000, 0.0, 0, 0
    for second in range(len(each) * HOURLY):
        octets = each[second // HOURLY]
        into = (second - 81_000) % DAY  # 22:30
        apart = early_s <= into < 8 * HOURLY - early_s and (own is None or own > 0)
        if used >= allowance and not (apart and share == 0):
            stopped += 1
            continue
        used += octets * share / 1000 if apart else octets
        through += octets
        if apart and own is not None:
            own -= octets
    return through, stopped


@pytest.mark.parametrize("guarded", [False, True])
@pytest.mark.parametrize("own", [None, 30_000])
@pytest.mark.parametrize("share", [0, 300])
def test_hours_are_replayed_second_by_second(plan_file, own, share, guarded):
    from usageguard.core.plan import TrafficClass

    text = NIGHT + f"charged_permille = {share}\n" + (f"allowance_octets = {own}\n" if own else "")
    source = plan_file(text, f"{own} {share}")
    plan = source.variant(pace=False)
    each = [(7 * hour * hour + 3 * hour) % 4 for hour in range(3 * 24)]
    plan.cycle.first_day = MARCH // DAY
    parts = periods(curve([octets * HOURLY for octets in each], HOURLY), plan.cycle, plan.rating)
    (outcome,) = replay(parts, plan, TrafficClass("any", 0), guarded=guarded)
    through, stopped = second_by_second(each, own, share, 300 if guarded else 0)
    assert abs(outcome.through_octets - through) <= 10
    assert abs(outcome.stopped_s - stopped) <= 10


@pytest.mark.parametrize(
    ("step", "astride", "said"),
    [(HOURLY, 0, ""), (2 * HOURLY, 1 / 12, "8% of the usage"), (DAY, 1, "are left out, and the allowance counts all")],
)
def test_rows_tell_what_was_used_in_the_hours_or_it_is_said(plan_file, step, astride, said):
    text = NIGHT.replace("22:30", "23:00").replace("06:30", "06:00") + 'allowance_octets = "1GB"\n'
    source = plan_file(text, f"rows of {step} s")
    days = curve([100 * step] * (4 * DAY // step), step)
    found = fitting.fit(History("x", [days]), [source])
    assert fitting._astride(found.history, source) == pytest.approx(astride)
    assert any(said in note for note in found.notes)
    through = by_option(found)["cutoff", False].through_octets
    night = 100 * 4 * 7 * HOURLY
    assert through == pytest.approx(100_000 + night if astride < 1 else 100_000, abs=2)


def test_sessions_that_overlap_are_judged_by_their_own_length(tmp_path, plan_file):
    lines = ["sim_card_id,start_time,stop_time,uplink_data,downlink_data"]
    lines += ["a,2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,900000,0"]
    lines += [f"a,2026-03-01T{hour:02}:00:00Z,2026-03-01T{hour:02}:30:00Z,1,0" for hour in range(24)]
    path = tmp_path / "sessions.csv"
    path.write_text("\n".join(lines) + "\n", "utf-8")
    history = load_usage(path, Asked(utc_offset_min=0))
    assert fitting._astride(history, plan_file(NIGHT, "sessions")) > 0.99


# Roaming


ROAMING = """allowance_octets = 100000
margin_octets = 0
reserve_octets = 0
[plan.roaming]
allowance_octets = 30000
margin_octets = 5000
"""


@pytest.fixture
def abroad(tmp_path):
    """31 days: 10,000 octets on each of the first 20 at home, then 5,000 a day in another country."""
    path = tmp_path / "abroad.csv"
    lines = ["sim_card_id,start_time,stop_time,mobile_country_code,uplink_data,downlink_data"]
    for day in range(31):
        begin, end = (f"2026-{3 + each // 31:02}-{each % 31 + 1:02}T00:00:00Z" for each in (day, day + 1))
        lines.append(f"a,{begin},{end}," + ("460,4000,6000" if day < 20 else "440,2000,3000"))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_data_for_roaming_is_replayed_where_the_history_tells_home_from_abroad(plan_file, abroad):
    found = fitting.fit(load_usage(abroad, Asked(home="460")), [plan_file(ROAMING, "roams")])
    for guarded, own in ((False, 30_000), (True, 25_000)):
        total = by_option(found)["cutoff", guarded]
        assert (total.demand_octets, total.through_octets) == (255_000, 100_000 + own)
        assert total.stopped_s == 21 * DAY, "from the 10th day on"
    assert "roams: the time without data is that at home" in found.notes


def test_with_nothing_for_roaming_nothing_passes_there(plan_file, abroad):
    source = plan_file(ROAMING.replace("30000", "0"), "stays")
    found = fitting.fit(load_usage(abroad, Asked(home="460")), [source])
    assert by_option(found)["cutoff", True].through_octets == 100_000


def test_a_plan_without_data_for_roaming_counts_all(plan_file, abroad):
    source = plan_file(ROAMING.partition("[plan.roaming]")[0], "plain")
    totals = [fitting.fit(load_usage(abroad, Asked(home=home)), [source]).totals for home in ("460", "")]
    assert [each.to_json() for each in totals[0]] == [each.to_json() for each in totals[1]]


def test_where_home_is_not_known_the_allowance_counts_all_and_that_is_said(plan_file, abroad):
    source = plan_file(ROAMING, "roams everywhere")
    found = fitting.fit(load_usage(abroad, Asked()), [source])
    assert any("the allowance counts all: say with --home where home is" in note for note in found.notes)
    assert by_option(found)["cutoff", False].through_octets == 100_000
    plain = fitting.fit(History("x", [curve([8640] * 31)]), [source])
    assert any("the history does not say where it was used" in note for note in plain.notes)


def test_a_home_where_nothing_was_used_is_refused(abroad, tmp_path):
    with pytest.raises(UsageError, match=r'--home: 310: is not in abroad\.csv; there are "440", "460"'):
        load_usage(abroad, Asked(home="310"))
    plain = tmp_path / "plain.csv"
    plain.write_text("date,device,octets\n2026-03-01,a,1\n2026-03-02,a,2\n", "utf-8")
    with pytest.raises(UsageError, match="it has no column of countries"):
        load_usage(plain, Asked(home="460"))
