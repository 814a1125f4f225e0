"""Collectors, broker and database are killed while reports arrive; the whole by `usageguard bench collector.kills`."""

import random
from datetime import UTC, datetime

import pytest

from host_tools.bench import kills, reports
from host_tools.bench.kills import Killed
from host_tools.collector.verify import Report, seal_acknowledgement
from tests.collector import servers


@pytest.mark.realtime
@pytest.mark.proof
@pytest.mark.parametrize(
    ("postgresql", "processes"), [(True, 2), (False, 1), (False, 2)], ids=["postgresql", "sqlite", "sqlite, two"]
)
def test_what_is_acknowledged_is_stored_once_whatever_is_killed(postgresql, processes):
    with servers.mosquitto(), servers.postgresql():  # or it is skipped
        pass
    killed = kills.run(devices=60, each=3, kills=5, seed=1, postgresql=postgresql, processes=processes)
    assert killed == Killed(acknowledged=180, lost=0, doubled=0, kills=5, sent=killed.sent)
    assert killed.sent >= 180


def test_a_device_goes_on_only_with_an_acknowledgement_of_its_own_report():
    fleet = kills._Devices(2, 1, random.Random(1))
    report = Report(*reports.fields(0, 0)[:18], life_id=reports.life(0))
    answer = seal_acknowledgement(reports.key(reports.name(0)), reports.name(0), report, datetime.now(UTC))
    for number, blob in ((0, b"nothing"), (1, answer), (0, answer[:-1] + b"x")):
        fleet._heard(number, blob)
        assert (fleet.acknowledged, len(fleet.seq)) == (set(), 2)
    fleet._heard(0, answer)
    assert (fleet.acknowledged, set(fleet.seq)) == ({(0, 0)}, {1})
