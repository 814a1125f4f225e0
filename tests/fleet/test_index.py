"""The fleet's table: whatever the devices, sort and filter, its pages give each device once, in order."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.fleet.index import SORTS, Choice, Index, Reader
from host_tools.fleet.paging import from_cursor, to_cursor
from host_tools.fleet.standing import NEVER, UNKNOWN, Standing, State

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
REASONS = ("QUOTA_EXHAUSTED", "STOPPED_BY_HAND", "CARRIER_STOP")

standings = st.builds(
    Standing,
    device=st.text("ab1", min_size=1, max_size=3),
    state=st.sampled_from(State),
    verdict=st.just("open"),
    reasons=st.lists(st.sampled_from(REASONS), unique=True, max_size=2).map(tuple),
    used=st.integers(0, 5),
    bound=st.just(0),
    allowance=st.just(5),
    permille=st.sampled_from((UNKNOWN, 0, 500, 1000)),
    runs_out=st.sampled_from(("2026-03-25", "2026-03-26", NEVER)),
    resumes=st.just(NEVER),
    seen=st.integers(0, 3).map(lambda hours: NOW - timedelta(hours=hours)),
    cycle_id=st.just(100),
)
fleets = st.lists(standings, max_size=12, unique_by=lambda each: each.device)
choices = st.builds(
    Choice,
    state=st.sampled_from((0, 1, 4)),
    reason=st.sampled_from(("", *REASONS)),
    runs_out=st.sampled_from(("", "2026-03-25")),
    text=st.sampled_from(("", "a", "1B")),
    sort=st.sampled_from([*SORTS]),
)


@pytest.fixture(scope="module")
def index():
    with closing(Index()) as made:
        yield made


@pytest.fixture(scope="module")
def reader(index):
    with closing(Reader(index)) as made:
        yield made


def replace(index, fleet):
    index._db.execute("DELETE FROM device")
    index.put(fleet)


def urgency(each):
    return each.state, each.runs_out if each.state is State.RUNS_OUT else -each.permille


KEYS = {
    "urgent": urgency,
    "device": lambda each: 0,
    "percent": lambda each: -each.permille,
    "used": lambda each: -each.used,
    "runs-out": lambda each: each.runs_out,
    "seen": lambda each: each.seen,
    "drift": lambda each: 0,
}


def expected(fleet, choice):
    """As a person would sort and sift a list."""
    found = [
        each
        for each in fleet
        if (not choice.state or each.state == choice.state)
        and (not choice.reason or choice.reason in each.reasons)
        and (not choice.runs_out or each.runs_out == choice.runs_out)
        and choice.text.lower() in each.device.lower()
    ]
    return [each.device for each in sorted(found, key=lambda each: (KEYS[choice.sort](each), each.device))]


@given(fleets, choices, st.integers(1, 4))
def test_the_pages_give_each_device_once(index, reader, fleet, choice, most):
    replace(index, fleet)
    wanted = expected(fleet, choice)
    assert [row.device for row in reader.every(choice)] == wanted
    assert reader.count(choice) == len(wanted)
    pages, page = [], reader.page(choice, most)
    assert page.back is None
    while True:
        pages.append([row.device for row in page.rows])
        if page.on is None:
            break
        where = from_cursor(to_cursor(page.on))
        page = reader.page(Choice(**vars(choice) | {"after": where}), most)
    assert [device for each in pages for device in each] == wanted
    for before in reversed(pages[:-1]):
        assert page.back is not None
        page = reader.page(Choice(**vars(choice) | {"before": page.back}), most)
        assert [row.device for row in page.rows] == before
    assert page.back is None


@pytest.mark.parametrize(
    "text", ["x", "1", "[]", "[1]", "[1,2]", '[[],"a"]', '[true,"a"]', '[1e400,"a"]', "[" * 5000, f'[{1 << 64},"a"]']
)
def test_no_other_text_is_a_cursor(text):
    with pytest.raises(ValueError):
        from_cursor(text)


def test_devices_fall_silent_by_themselves(index, reader):
    def one(device, state, hours):
        return Standing(device, state, "open", (), 0, 0, 5, 0, NEVER, NEVER, NOW - timedelta(hours=hours), 100)

    replace(index, [one("a", State.FINE, 30), one("b", State.FINE, 2), one("c", State.CUT_OFF, 30)])
    assert index.fall_silent(NOW - timedelta(hours=26)) == {"a"}
    assert reader.summary().states == {State.CUT_OFF: 1, State.SILENT: 1, State.FINE: 1}
    assert [row.device for row in reader.page(Choice()).rows] == ["c", "a", "b"]
    assert index.fall_silent(NOW - timedelta(hours=26)) == set()
