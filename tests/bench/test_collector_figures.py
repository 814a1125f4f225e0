"""What the collector takes in is measured as it is, in small."""

from contextlib import closing

import pytest

from host_tools.bench import reports
from host_tools.bench.collector_figures import beside_bare, front, growth, lost_in_storm
from host_tools.collector.store import Store
from host_tools.collector.verify import BadMacError, open_report


def test_reports_are_those_of_devices():
    device, report, _ = open_report(reports.sealed(7, 0), reports.keys(8))
    assert (device, report.seq, report.life_id) == (reports.name(7), 0, reports.life(7))
    with pytest.raises(BadMacError):
        open_report(reports.sealed(7, 1), reports.keys(8))
    _, report, _ = open_report(reports.sealed(7, 1), reports.keys(8), lambda device: (reports.life(7),))
    assert (report.seq, report.life_id) == (1, reports.life(7))


@pytest.mark.realtime
@pytest.mark.proof
def test_a_storm_loses_nothing_that_is_repeated():
    assert lost_in_storm(2000, 1).value == 0


@pytest.mark.realtime
@pytest.mark.proof
def test_every_ratio_is_of_what_was_answered(tmp_path):
    names = [str(tmp_path / "bare.sqlite"), str(tmp_path / "collector.sqlite")]
    measured = beside_bare(iter(names).__next__, 2, each=1, rounds=1)
    assert 0 < measured.value < 100
    for name in names:
        with closing(Store(name)) as store:
            assert store.database.execute("SELECT COUNT(*) FROM report") == [(2 * 2000,)], "each report once"
    ratio = front(each=1, devices=300)
    assert ratio.value > 2, "far below the goal, which wants a machine to itself"


@pytest.mark.realtime
@pytest.mark.proof
def test_memory_stays_after_more_answers_than_are_remembered():
    """As many as the collector remembers answers come in the first half."""
    assert growth(50_000).value < 15
