"""A month of devices on one pool, with the firmware in them; the whole by `make fleet`."""

import json
import random
from collections import Counter
from datetime import datetime, timedelta

import pytest

from host_tools import cli
from host_tools.soak import fleet
from host_tools.soak.fleet import BEGIN, Lived


@pytest.mark.proof
def test_a_month_of_a_small_fleet():
    lived = fleet.live(20, seed=1)
    assert lived.failures == []
    assert lived.used <= lived.pool
    # The platform is asked four times a day, but for the day on which it is down; the last time would be at the end.
    assert (lived.divisions, lived.unanswered) == (31 * 4 - 1 - 4, 4)
    assert lived.orders["applied"] > 20 * 31
    assert lived.starved_h, "there is less than the members want"


class Given:
    """A member as far as the judge looks at it."""

    def __init__(self, lacks_since=None, unused=0, dies=False):
        self.lacks_since, self.unused, self.dies = lacks_since, unused, dies
        self.waited = timedelta()


def waited(used, *members, hours=(6, 12)):
    """How long the first member has waited for a share in a pool of 1,000,000 octets, as judged at these hours."""
    judge = fleet._Fleet.__new__(fleet._Fleet)
    judge.lived, judge.members, judge._left_since = Lived(2, 1, 1_000_000, used=used), [*members], None
    for hour in hours:
        judge._look(BEGIN + timedelta(hours=hour))
    return members[0].waited / timedelta(hours=1)


def test_a_member_waits_only_while_there_is_some_left():
    since = BEGIN + timedelta(hours=1)
    assert waited(100_000, Given(since)) == 6, "from when it was first seen that there is some left"
    assert waited(100_000, Given(since), hours=(0, 12)) == 11
    assert waited(100_000, Given(None)) == waited(100_000, Given(since, dies=True)) == 0
    assert waited(960_000, Given(since), hours=(0, 12)) == 0, "3 % are spared, and less than 2 % are none"
    assert waited(100_000, Given(since), Given(unused=860_000), hours=(0, 12)) == 0, "another member has it"


@pytest.mark.parametrize("failures", [[], ["4 octets over the pool on 03-09 10:00"]])
def test_the_command(failures, monkeypatch, capsys):
    def live(devices, seed, on_day):
        on_day(1)
        orders = Counter(applied=31, waiting=1)
        return Lived(devices, seed, 3 << 20, used=2 << 20, orders=orders, longest_wait_h=7.4, failures=failures)

    monkeypatch.setattr(fleet, "live", live)
    assert cli.run(["soak", "--pool", "3", "--seed", "7", "--json", "-"]) == bool(failures)
    out, err = capsys.readouterr()
    assert json.loads(out)["orders"] == {"applied": 31, "waiting": 1}
    assert (json.loads(out)["seed"], json.loads(out)["failures"]) == (7, failures)
    assert "3 devices on a pool for 31 days" in err
    assert "31 applied, 1 waiting" in err
    assert all(each in err for each in failures)


def test_members_of_a_fleet_differ():
    given = [fleet.scenario(number, random.Random(1), 1 << 20) for number in range(20)]
    assert len({each.device_config()["device"]["key"] for each in given}) == 20
    assert [number for number, each in enumerate(given) if each.faults] == [2, 12]
    assert given[2].faults[0].off >= 31 * 86_400, "one never comes back"
    assert sum(each.app.pauses == "guard" for each in given) == 8
    assert datetime.fromisoformat("2026-03-01T00:00:00+08:00") == BEGIN
