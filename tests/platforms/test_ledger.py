"""What is kept of a platform's answers, in SQLite and in PostgreSQL."""

import asyncio
from datetime import UTC, date, datetime, timedelta

import cbor2

from host_tools.base.days import day_number
from host_tools.collector.verify import Report
from host_tools.platforms.grants import Terms, share
from host_tools.platforms.interface import Data, Life, Package, State, Usage
from host_tools.platforms.ledger import CarrierLedger
from host_tools.platforms.sync import Sync
from tests.collector.sealed import full
from tests.platforms.carrier_world import CHINA, MB, SIMS, CarrierWorld

ONE, TWO, _ = SIMS
MARCH = date(2026, 3, 1)


def test_figures_of_long_ago_are_removed(any_store):
    ledger = CarrierLedger(any_store.database)
    for year in (2024, 2026):
        at = datetime(year, 3, 2, tzinfo=UTC)
        ledger.add("tracker-001", Usage(ONE, 1, date(year, 3, 1), at, "25U03"))
    assert [figure.cycle_start.year for figure in ledger.figures("tracker-001")] == [2026]


def test_a_figure_that_is_corrected_is_sent_again(any_store):
    ledger = CarrierLedger(any_store.database)
    usage = Usage(ONE, 100, date(2026, 3, 1), datetime(2026, 3, 11, tzinfo=CHINA), "25U03")
    figure = ledger.add("tracker-001", usage)
    ledger.note_order(figure, 7)
    assert ledger.add("tracker-001", usage) and ledger.newest("tracker-001").given == 7  # noqa: PT018
    ledger.add("tracker-001", Usage(ONE, 120, usage.cycle_start, usage.as_of, "25U03"))
    assert (ledger.newest("tracker-001").octets, ledger.newest("tracker-001").given) == (120, None)


def test_another_sim_has_another_allowance(any_store):
    ledger, now = CarrierLedger(any_store.database), datetime(2026, 3, 11, tzinfo=UTC)
    ledger.put("tracker-001", State(ONE, Life.ACTIVE, Data.ON, (), {}), now)
    ledger.put_plan("tracker-001", 5, date(2026, 12, 31))
    ledger.put("tracker-001", State(ONE, Life.ACTIVE, Data.ON, (), {}), now)
    assert (ledger.sim("tracker-001").total_octets, ledger.sim("tracker-001").ends) == (5, date(2026, 12, 31))
    ledger.put("tracker-001", State(TWO, Life.ACTIVE, Data.ON, (), {}), now)
    assert (ledger.sim("tracker-001").total_octets, ledger.sim("tracker-001").ends) == (None, None)


def test_an_alarm_is_raised_once_or_each_time(any_store):
    ledger, now = CarrierLedger(any_store.database), datetime(2026, 3, 11, tzinfo=UTC)
    assert ledger.alarm("tracker-001", "carrier_stopped", "a", now)
    assert ledger.alarm("tracker-001", "carrier_stopped", "a", now)
    assert not ledger.alarm("tracker-001", "carrier_stopped", "b", now, since=now - timedelta(days=1))
    assert ledger.alarm("tracker-001", "carrier_stops_first", "b", now, since=now - timedelta(days=1))
    assert [(alarm.kind, alarm.received_at) for alarm in any_store.alarms("tracker-001")] == [
        ("carrier_stopped", now), ("carrier_stopped", now), ("carrier_stops_first", now),
    ]  # fmt: skip


def test_a_whole_round(any_store):
    world = CarrierWorld(pool=90 * MB)
    world.use(ONE, 2 * MB)
    values = full(cycle_id=day_number(MARCH), carried_octets=MB, rated_octets=MB)
    any_store.add("tracker-001", Report(*values), cbor2.dumps(values), world.clock.utc(), "coap")
    world.run(days=1)
    sync = Sync("onelink", {"tracker-001": ONE}, world.client(), any_store)
    done = asyncio.run(sync.run(world.clock.utc()))
    assert (done.figures, done.states, len(done.orders), done.problem) == (1, 1, 1, "")
    assert sync.ledger.last_sync("onelink") == world.clock.utc()
    assert sync.ledger.newest("tracker-001").given == any_store.book.given()[0].id
    terms = Terms(MB, timedelta(days=2), timedelta(hours=30), 20)
    pool = [Package("pool", 90 * MB, 2 * MB, 88 * MB)]
    assert share(any_store, ["tracker-001"], pool, terms, MARCH, world.clock.utc()).granted
    assert [each.what.partition("=")[0] for each in any_store.book.given()] == ["carrier-used", "grant"]
