"""Many devices: each is the run that it would be alone, a pool is one whatever the workers, and the cost is linear."""

import json
import threading
from datetime import UTC, datetime
from importlib.util import find_spec

import pytest

from host_tools import cli
from host_tools.base import workers
from host_tools.base.errors import UsageError
from host_tools.run.fleet import Share, live, run_fleet
from host_tools.run.fleet_command import here
from host_tools.run.run import run_scenario
from host_tools.run.turns import WINDOW_US, Turn, take_turns
from host_tools.scenario import file as scenario
from host_tools.sim.clock import S

HOURLY = """
title = "A request and a report an hour"
seed = 5
start = 2026-03-01T00:00:00+08:00
duration = "{duration}"
[plan]
allowance_octets = "1MB"
{pool}
[upstream]
host = "collector"
interval_s = "1h"
{carrier}
[[host]]
name = "collector"
kind = "collector"
[[host]]
name = "api"
kind = "responder"
[[traffic]]
class = "telemetry"
kind = "request"
host = "api"
period = "{period}"
tx = 300
rx = "4KB"
[network]
loss_permille = 30
"""
ALONE = HOURLY.format(duration="3h", period="30m", pool="", carrier="")
POOL = HOURLY.format(
    duration="8h",
    period="20m",
    pool='pool = { on_silence = "retry_and_terminate" }',
    carrier='[carrier.pool]\nallowance_octets = "150KB"',
)


def spread(processes):
    return lambda work, todo: workers.results(work, todo, processes)


def figures(result):
    summary = result.to_json()
    del summary["wall_s"]
    return summary


def test_a_device_of_a_fleet_is_the_run_with_its_seed():
    one = scenario.loads(ALONE, "alone.toml")
    rows = run_fleet(one, 3, spread=here).to_json()["rows"]
    assert [row["device_number"] for row in rows] == [0, 1, 2]
    assert len({row["carrier"]["ip_octets"] for row in rows}) > 1, "losses are each device's own"
    alone = run_scenario(one, "cpython", 7).summary
    assert {key: rows[2][key] for key in ("seed", "carrier", "upstream")} == {
        key: alone[key] for key in ("seed", "carrier", "upstream")
    }
    same = ("carried_octets", "rated_octets", "verdict", "boots", "flash_writes")
    assert {key: rows[2]["device"][key] for key in same} == {key: alone["device"][key] for key in same}


def test_totals_are_those_of_the_rows():
    result = run_fleet(scenario.loads(ALONE + "\n[expect]\ndevice_stopped = true", "alone.toml"), 3, spread=here)
    summary = result.to_json()
    billed = [row["carrier"]["billed_octets"] for row in summary["rows"]]
    totals = summary["totals"]
    assert totals["billed_octets"] == sum(billed) > 0
    assert (totals["least_billed_octets"], totals["most_billed_octets"]) == (min(billed), max(billed))
    assert totals["reports_received"] == sum(row["upstream"]["reports_received"] for row in summary["rows"])
    assert not result.passed
    assert [failure.partition(":")[0] for failure in summary["failures"]] == ["device 0", "device 1", "device 2"]


@pytest.fixture(scope="module")
def pooled():
    return figures(run_fleet(scenario.loads(POOL, "pool.toml"), 4, spread=here))


def test_a_pool_is_used_up_by_all_of_its_members(pooled):
    allowance = 150 * 1024
    rows = pooled["rows"]
    assert all(row["carrier"]["stops"] == ["pool_exhausted"] for row in rows)
    assert min(row["carrier"]["billed_octets"] for row in rows) < allowance / 2, "none has used it up alone"
    # Beyond it goes what crosses in the minute in which the others do not know yet.
    assert allowance <= pooled["totals"]["billed_octets"] <= allowance + 4 * 6_000
    stops = [datetime.fromisoformat(row["carrier"]["stopped_at"]) for row in rows]
    assert (max(stops) - min(stops)).total_seconds() <= 120


def test_a_pool_ends_alike_whatever_the_number_of_workers(pooled):
    assert figures(run_fleet(scenario.loads(POOL, "pool.toml"), 4, spread=spread(2))) == pooled


def steps(text, devices):
    one = scenario.loads(text, "steps.toml")
    return run_fleet(one, devices, spread=here).to_json()["totals"]["steps"]


@pytest.mark.parametrize("text", [ALONE, POOL.replace("150KB", "100MB").replace('"8h"', '"3h"')], ids=["alone", "pool"])
def test_cost_is_linear_in_devices(text):
    """In calls that the simulators schedule, of which a device with other losses has somewhat more or less."""
    few, many = steps(text, 2), steps(text, 6)
    assert 2.5 * few < many < 3.5 * few


@pytest.mark.parametrize(
    ("text", "field"),
    [(ALONE.replace('"responder"', '"bridge"\nto = "127.0.0.1:1"'), "--devices")],
)
def test_what_is_no_fleet_is_refused(text, field):
    with pytest.raises(UsageError) as caught:
        run_fleet(scenario.loads(text, "x.toml"), 2, spread=here)
    assert caught.value.where == field


class Diary:
    """Worlds that do something at certain times, and what they knew of each other then."""

    def __init__(self, times):
        self.done = []
        self.shared = 0
        self.known = [0] * len(times)
        self.turns = [self.world(i, each) for i, each in enumerate(times)]

    def world(self, i, times):
        def live(clock):
            for t in times:
                clock.at(t * S, self.act, i, clock)
            clock.run_until(100_000 * S)

        return Turn(datetime(2026, 1, 1, tzinfo=UTC), live)

    def act(self, i, clock):
        assert threading.current_thread() is not threading.main_thread()
        self.done.append((clock.now_us // S, i, self.known[i]))
        self.shared += 1

    def exchange(self):
        assert len({turn.clock.now_us for turn in self.turns if not turn.over}) <= 1, "all are at one time"
        self.known = [self.shared] * len(self.known)


def test_worlds_know_of_each_other_at_the_end_of_a_window():
    assert WINDOW_US == 60 * S
    diary = Diary([[10, 50, 70, 5_000], [20, 59, 60], [5_000]])
    taken = take_turns(diary.turns, diary.exchange)
    assert diary.done == [
        *((10, 0, 0), (50, 0, 0), (20, 1, 0), (59, 1, 0)),
        *((70, 0, 4), (60, 1, 4)),
        *((5_000, 0, 6), (5_000, 2, 6)),
    ]
    assert taken == 2 + 2 + 2 + 3, "a world that has nothing to do takes no turn; the last one is each one's end"


def test_what_a_world_raises_is_raised():
    def live(clock):
        clock.run_until(90 * S)
        raise RuntimeError("torn")

    with pytest.raises(RuntimeError, match="torn"):
        take_turns([Turn(datetime(2026, 1, 1, tzinfo=UTC), live)], lambda: None)


def test_the_command(tmp_path, capsys):
    path, page = tmp_path / "alone.toml", tmp_path / "fleet.html"
    path.write_text(ALONE)
    given = ("sim", path, "--devices", 2, "--workers", 1, "--target", "cpython", "--json", "-", "--html", page)
    status = cli.run([*map(str, given)])
    out, err = capsys.readouterr()
    assert status == 0, err
    printed = json.loads(out)
    expected = figures(run_fleet(scenario.load(path), 2, spread=here))
    del printed["wall_s"]
    assert printed == json.loads(json.dumps(expected))
    assert "2 devices" in err
    assert "<svg" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("smoke", "--workers", "2"), "--workers: 2: is for many devices"),
        (("--devices", "2"), "--devices: 2: is for one scenario"),
        (("smoke", "--devices", "2", "--dask", "tcp://127.0.0.1:1", "--workers", "2"), "cannot be used with --dask"),
        (("rt-stop", "--devices", "2", "--target", "cpython"), "is for virtual time"),
    ],
)
def test_options_that_do_not_go_together(options, problem, capsys):
    assert cli.run(["sim", *options]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.realtime
@pytest.mark.skipif(find_spec("distributed") is None, reason="Dask's distributed is not installed")
def test_on_a_dask_cluster():
    from distributed import LocalCluster

    from host_tools.run.dask_cluster import Cluster

    one = scenario.loads(ALONE, "alone.toml")
    expected = figures(run_fleet(one, 3, spread=here))
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        assert figures(run_fleet(one, 3, spread=Cluster(cluster.scheduler_address).results)) == expected


def test_a_share_is_run_where_it_is(pooled):
    one = scenario.loads(ALONE, "alone.toml")
    assert live(Share(one, "cpython", 5, range(1, 2)))[0]["seed"] == 6
