"""When a dark device has data again."""

from datetime import UTC, date, datetime, timedelta

import pytest
from usageguard.core import policy

from host_tools.base.days import day_number
from host_tools.bench import fleets
from host_tools.collector.store import Received
from host_tools.fleet.standing import NEVER, State, stand
from host_tools.platforms.ledger import Sim

NOW = datetime(2026, 3, 20, 12, tzinfo=UTC)
SILENT = timedelta(hours=26)
OFF = ("active", "off")


def of(*reasons, sim=None):
    told = {"seq": 1, "cycle_id": day_number(date(2026, 3, 1)), "base": 0, "rated": 1000}
    bits = sum(int(bit) for code, bit, *_ in policy.REASONS if code in reasons)
    report, _ = fleets.made(**told, verdict=4 if reasons else 0, reasons=bits)
    life, data, *causes = sim or ("active", "on")
    known = Sim("tracker", "1440000000001", life, data, tuple(causes), NOW)
    found = stand(Received("tracker", NOW, "coap", report), known, 30 << 20, NOW, SILENT)
    return found.state, found.resumes


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (of("QUOTA_EXHAUSTED"), State.STOPPED),
        (of("CARRIER_STOP"), State.CUT_OFF),
        (of("ROAMING_EXHAUSTED"), State.STOPPED),
        (of(sim=OFF), State.CUT_OFF),
        (of(sim=(*OFF, "exhausted")), State.CUT_OFF),
    ],
)
def test_it_may_be_with_the_next_period(told, state):
    assert told == (state, "2026-04-01")


@pytest.mark.parametrize(
    ("told", "state"),
    [
        (of("STOPPED_BY_HAND"), State.STOPPED),
        (of("QUOTA_EXHAUSTED", "EXPIRED"), State.STOPPED),
        (of(sim=("stopped", "off", "customer")), State.CUT_OFF),
        (of(sim=("gone", "off")), State.CUT_OFF),
    ],
)
def test_a_new_period_lifts_no_stop_by_hand(told, state):
    assert told == (state, NEVER)
