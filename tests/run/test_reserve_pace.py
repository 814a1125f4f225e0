"""The reserve, spread over the rest of a period."""

from hypothesis import given
from hypothesis import strategies as st
from usageguard.guard.reserve_pace import interval_s

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
