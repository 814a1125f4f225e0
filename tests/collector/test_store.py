"""The store: idempotent, whatever the order; loss and contradictions show."""

from datetime import UTC, datetime, timedelta

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.collector.store import Gap, Outcome, Store
from host_tools.collector.verify import Report
from tests.collector.sealed import DEVICE, fields

T0 = datetime(2025, 6, 1, tzinfo=UTC)


@pytest.fixture
def store():
    with_memory = Store()
    yield with_memory
    with_memory.close()


def add(store, boot_id, seq, octets=0, cycle_id=305, device=DEVICE, at=T0, **more):
    values = fields(
        boot_id=boot_id, seq=seq, carried_octets=octets, rated_octets=octets, cycle_id=cycle_id, **more
    )
    return store.add(device, Report(*values), cbor2.dumps(values), at, "coap")


def test_once_each(store):
    assert add(store, 1, 0) is Outcome.NEW
    assert add(store, 1, 0, at=T0 + timedelta(days=1)) is Outcome.DUPLICATE
    assert store.reports_received(DEVICE) == 1
    assert store.history(DEVICE)[0].received_at == T0
    assert store.alarms(DEVICE) == []


def test_latest_is_the_last_made_not_the_last_to_arrive(store):
    add(store, 2, 0, 300)
    add(store, 1, 7, 200)
    add(store, 1, 0, 100)
    assert [r.report.carried_octets for r in store.history(DEVICE)] == [100, 200, 300]
    assert store.latest(DEVICE).report.boot_id == 2
    assert store.maximum(DEVICE) == (300, 300)
    assert store.alarms(DEVICE) == []


def test_nothing_known(store):
    assert store.latest(DEVICE) is None
    assert store.history(DEVICE) == []
    assert store.maximum(DEVICE) == (0, 0)
    assert store.gaps(DEVICE) == []
    assert store.devices() == []


def test_devices_do_not_mix(store):
    add(store, 1, 0, 100, device="a")
    assert add(store, 1, 0, 50, device="b") is Outcome.NEW
    assert store.devices() == ["a", "b"]
    assert store.alarms("b") == []
    assert store.latest("a").report.carried_octets == 100


def test_gaps(store):
    for boot_id, seq in ((1, 0), (1, 1), (1, 4), (1, 6), (3, 2)):
        add(store, boot_id, seq)
    assert store.gaps(DEVICE) == [Gap(1, 2, 3), Gap(1, 5, 5), Gap(3, 0, 1)]
    assert store.reports_lost(DEVICE) == 5


@given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=1), st.randoms())
def test_gaps_against_counting(keys, rng):
    store = Store()
    arrival = sorted(keys)
    rng.shuffle(arrival)
    for boot_id, seq in arrival:
        add(store, boot_id, seq)
    missing = {(gap.boot_id, seq) for gap in store.gaps(DEVICE) for seq in range(gap.first, gap.last + 1)}
    last = dict(sorted(keys))
    assert missing == {(b, s) for b, top in last.items() for s in range(top)} - keys
    assert store.reports_lost(DEVICE) == len(missing)
    store.close()


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20), st.randoms())
def test_growing_usage_never_alarms_in_any_order(steps, rng):
    store = Store()
    octets, reports = 0, []
    for seq, step in enumerate(steps):
        octets += step
        reports.append((seq, octets))
    rng.shuffle(reports)
    for seq, octets in reports:
        add(store, 1, seq, octets)
    assert store.alarms(DEVICE) == []
    assert store.latest(DEVICE).report.carried_octets == sum(steps)
    store.close()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"boot_id": 1, "seq": 0, "octets": 100}, {"boot_id": 1, "seq": 1, "octets": 99}),
        ({"boot_id": 1, "seq": 5, "octets": 100}, {"boot_id": 2, "seq": 0, "octets": 0}),
        ({"boot_id": 2, "seq": 0, "octets": 100}, {"boot_id": 1, "seq": 9, "octets": 101}),
        ({"boot_id": 1, "seq": 0, "cycle_id": 306}, {"boot_id": 1, "seq": 1, "cycle_id": 305}),
    ],
    ids=["within a boot", "over a boot", "found late", "billing period"],
)
def test_usage_that_goes_back_alarms(store, first, second):
    add(store, **first)
    assert add(store, **second) is Outcome.NEW
    (alarm, *_) = store.alarms(DEVICE)
    assert alarm.kind == "usage_went_back"
    assert f"boot {first['boot_id']} report {first['seq']}" in alarm.detail


def test_one_number_for_two_contents_alarms(store):
    """A device whose flash was rolled back counts its boots a second time."""
    add(store, 4, 0, 5000)
    assert add(store, 4, 0, 900) is Outcome.CONFLICT
    assert store.latest(DEVICE).report.carried_octets == 5000
    assert [alarm.kind for alarm in store.alarms(DEVICE)] == ["sequence_reused"]


def test_on_disk(tmp_path):
    path = tmp_path / "reports.sqlite"
    first = Store(path)
    add(first, 1, 0, (1 << 54) - 1, crash_code=-1)
    first.close()
    again = Store(path)
    assert add(again, 1, 0, (1 << 54) - 1, crash_code=-1) is Outcome.DUPLICATE
    assert again.latest(DEVICE).report.carried_octets == (1 << 54) - 1
    assert again.latest(DEVICE).report.crash_code == -1
    again.close()
