"""The reserve, spread over the rest of a period."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from usageguard.core.octets import Octets
from usageguard.guard.reserve_pace import ReservePace, interval_s

DAY, HOUR = 86_400, 3_600
COSTS = st.lists(st.integers(150, 512), min_size=1, max_size=20)


@given(st.integers(1024, 1 << 21), st.integers(DAY, 31 * DAY), COSTS, st.sampled_from([HOUR, 6 * HOUR]))
def test_whenever_data_stops_the_last_day_has_its_report(reserve, seconds, costs, least):
    """Whatever a report costs, of the costs that the spread allows for."""
    left, at, n = reserve, 0, 0
    while at < seconds:
        left -= costs[n % len(costs)]
        n += 1
        assert left >= 0
        last = at
        at += max(least, interval_s(left, seconds - at))
    assert last >= seconds - DAY
    assert n > 1 or seconds == DAY


@given(st.integers(1 << 14, 1 << 21), st.integers(DAY, 31 * DAY), st.integers(60, 2_000))
def test_the_reserve_is_used_and_lasts_whatever_a_report_costs(reserve, seconds, cost):
    left, at = reserve, 0
    while at < seconds:
        if left < cost:  # on the last day there is none left but where none costs as little as was assumed
            assert at >= seconds - DAY - 60
            break
        left -= cost
        at += max(HOUR, interval_s(left, seconds - at))
    assert left >= 0


def test_in_a_period_of_years_reports_grow_rarer():
    """From every five hours on, at a reserve of 1 MB, to one in six days; for four years."""
    reserve, spent, paces = 1 << 20, Octets(), []
    policy = SimpleNamespace(level=4, limit=lambda kind: reserve)
    outbox = SimpleNamespace(reports_sent=0, pace=lambda now, every, left: paces.append((every // 1000, left // 1000)))
    left_s = 10 * 366 * DAY
    pace = ReservePace(policy, SimpleNamespace(used=spent), outbox, SimpleNamespace(seconds_left=lambda now: left_s))
    while left_s > 6 * 366 * DAY:
        pace.step(0)
        every, due = paces[-1]
        assert every == due <= 6 * DAY
        assert every >= paces[-2 % len(paces)][0]
        left_s -= due
        outbox.reports_sent += 1
        spent.add(512)
    assert 4 * HOUR < paces[0][0] < 5 * HOUR
    assert paces[-1][0] == 6 * DAY
    assert spent.value() < reserve
