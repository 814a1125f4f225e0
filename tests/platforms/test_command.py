"""`usageguard platform` against a served platform on a real port, and as a process."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import cbor2
import pytest

from host_tools import cli
from host_tools.base.days import day_number
from host_tools.base.errors import UsageError
from host_tools.collector.store import Store
from host_tools.collector.verify import Report
from host_tools.platforms import account as accounts
from host_tools.platforms.interface import Answers, Usage
from host_tools.platforms.onelink.probe import masked
from host_tools.platforms.served import world as worlds
from host_tools.platforms.served.faults import Fault, Faults, Kind
from host_tools.platforms.served.http import Server
from host_tools.platforms.served.onelink import FUNCTIONS, Settings
from tests.collector.sealed import full
from tests.platforms.carrier_world import APPID, CHINA, MB, PASSWORD, SIMS, CarrierWorld

ONE, TWO, THREE = SIMS
WORLD = f"""
appid = "{APPID}"
password = "{PASSWORD}"
change_takes = "0s"

[[sim]]
msisdn = "{ONE}"
used = "1MB"
"""


@contextmanager
def serving(world, faults=()):
    """The URL of a served platform in a thread of its own. What it changes is done when it is asked next."""
    ready, stop = threading.Event(), asyncio.Event()
    told = {}

    async def run():
        told["loop"] = asyncio.get_running_loop()
        number = lambda path: FUNCTIONS.get(path, ("",))[0]  # noqa: E731
        server = Server(world.api, number, Faults(list(faults)), lambda: world.run(seconds=0))
        told["url"] = await server.start()
        ready.set()
        await stop.wait()
        await server.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield told["url"]
    finally:
        told["loop"].call_soon_threadsafe(stop.set)
        thread.join(10)


@pytest.fixture
def account(tmp_path, monkeypatch):
    """Writes an account's file for a URL."""
    monkeypatch.setenv(accounts.SECRET_VARIABLE, PASSWORD)
    file = tmp_path / "platform.toml"

    def write(url, more=""):
        file.write_text(
            f'platform = "onelink"\nurl = "{url}"\nuser = "{APPID}"\ncalls_per_s = 100\n{more}'
            f'[sims]\n"tracker-001" = "{ONE}"\n'
        )
        return str(file)

    return write


def at_once(**plan):
    return CarrierWorld(settings=Settings(change_s=0), **plan)


def test_status_and_usage_by_device_and_number(account, capsys, monkeypatch):
    world = at_once()
    monkeypatch.setattr(accounts, "_now", world.clock.utc)
    world.use(ONE, 2 * MB)
    world.run(days=1)
    world.carrier.stop(world.imsi[TWO], "arrears")
    with serving(world) as url:
        file = account(url)
        assert cli.run(["platform", "status", "tracker-001", TWO, "1440999999999", "--account", file]) == 1
        told = capsys.readouterr()
        lines = [line.split() for line in told.out.splitlines()]
        assert lines[1:] == [["tracker-001", "active", "on"], [TWO, "stopped", "off", "credit-control"]]
        assert "1440999999999: " in told.err
        assert "check the number" in told.err
        assert cli.run(["platform", "usage", "tracker-001", "--plan", "--account", file, "--json", "-"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["sims"]
    assert (row["carried_octets"], row["as_of"], row["cycle_start"]) == (
        2 * MB,
        "2026-03-11T00:00:00+08:00",
        "2026-03-01",
    )
    assert row["plan"][0] | {"name": ""} == {"name": "", "total": 30 * MB, "used": 2 * MB, "left": 28 * MB}


def test_stop_and_resume(account, capsys):
    world = at_once()
    with serving(world) as url:
        file = account(url)
        assert cli.run(["platform", "stop", "tracker-001", TWO, "--account", file]) == 2
        assert "give --yes" in capsys.readouterr().err
        assert cli.run(["platform", "stop", "tracker-001", TWO, "--account", file, "--yes"]) == 0
        assert capsys.readouterr().out == f"stop is done: tracker-001, {TWO}\n"
        assert world.carrier.stops(world.imsi[ONE]) == world.carrier.stops(world.imsi[TWO]) == ["manual"]
        assert cli.run(["platform", "resume", TWO, "--account", file, "--yes"]) == 1  # another process, the same clock
        assert "was changed a short time ago" in capsys.readouterr().err
        assert cli.run(["platform", "stop", THREE, "--data", "--account", file, "--yes"]) == 0
        assert world.carrier.stops(world.imsi[THREE]) == ["manual"]


def test_a_refusal_and_an_unsure_stop_are_exit_status_1(account, capsys):
    world = at_once()
    world.carrier.stop(world.imsi[ONE], "expired")
    with serving(world, [Fault(Kind.LOST, "23S03", after=1)]) as url:
        file = account(url)
        assert cli.run(["platform", "resume", ONE, "--account", file, "--yes"]) == 1
        assert "renew the SIM's package" in capsys.readouterr().err
        assert cli.run(["platform", "stop", TWO, "--account", file, "--yes"]) == 1
        assert "not known whether it was done" in capsys.readouterr().err


def test_an_account_has_the_client_of_its_platform(tmp_path, monkeypatch):
    monkeypatch.setenv(accounts.SECRET_VARIABLE, "key")
    file = tmp_path / "platform.toml"
    clients = {"onelink": "OneLink", "onelink-gateway": "OneLink", "control-center": "Control Center"}
    clients |= {"ctwing": "CTWing", "1nce": "1NCE"}
    for platform, name in clients.items():
        file.write_text(f'platform = "{platform}"\nurl = "https://x.invalid"\nuser = "u"\ncustomer = "c"\n')
        assert accounts.client(accounts.load(file), file).capabilities.name == name


def test_no_secret_is_printed_when_the_platform_refuses_it(account, capsys, monkeypatch):
    monkeypatch.setenv(accounts.SECRET_VARIABLE, "wrong-secret")
    with serving(at_once()) as url:
        assert cli.run(["platform", "status", ONE, "--account", account(url)]) == 2
    told = capsys.readouterr()
    assert "12022" in told.err
    assert "wrong-secret" not in told.err + told.out
    assert APPID not in told.err + told.out


def test_the_probe_asks_all_eight_and_names_nobody(account, capsys):
    world = at_once(pb=False)
    world.use(ONE, 3 * MB)
    with serving(world) as url:
        options = ["--pb", "tracker-001", "--ct", TWO, "--used-up", THREE, "--change"]
        assert cli.run(["platform", "probe", *options, "--account", account(url)]) == 0
    text = capsys.readouterr().out
    found = json.loads(text)
    assert [key[0] for key in found][1:] == list("12345678")
    assert found["1 two holders, refresh=0"] == {"same token": True}
    unit = found["3 unit of 23U12 on a PB SIM"]
    assert unit["23U12"]["result"][0]["apnList"][0]["apnUseAmount"] == str(3 * MB)
    assert unit["25U04"]["result"][0]["dataAmount"] == "3072.00"
    assert [each["status"] for each in found["5 a second change in the interval"]] == ["0", "12089"]
    assert found["6 GET with a query"]["status"] == "0"
    end = found["8 how a package's end is written"]["pb"]["result"][0]["offeringInfoList"][0]
    assert (end["expiriedDate"], end["effectiveDate"][:2]) == (" ", "20")
    for secret in (ONE, TWO, THREE, APPID, PASSWORD, world.cards[0].iccid, world.cards[0].imsi):
        assert secret not in text


def test_masks_know_what_is_harmless():
    answer = {"msisdn": ONE, "token": "abc", "message": f"SIM {ONE} of 12", "dataAmount": "123456.00", "new": "x" * 9}
    assert masked(answer) == {
        "msisdn": "<str of 13>", "token": "<str of 3>", "message": "SIM ############# of 12", "dataAmount": "123456.00",
        "new": "<str of 9>",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "platform: is missing"),
        ('platform = "jasper"\nurl = "https://x"\nuser = "u"\n', '"jasper" is not known here'),
        ('platform = "onelink"\nurl = "http://x"\nuser = "u"\n', "url: is not https"),
        ('platform = "onelink"\nurl = "https://x"\nuser = "u"\n[sims]\na = "1"\nb = "1"\n', "two devices have one SIM"),
        ('platform = "onelink"\nurl = "https://x"\nuser = "u"\ncalls_per_s = 0\n', "calls_per_s: is out of range"),
        ('platform = "ctwing"\nurl = "https://x"\nuser = "u"\n', "customer: is missing"),
        ('platform = "onelink"\nurl = "https://x"\nuser = "u"\n[pool]\nfirst_grant = "1MB"\n', "pool: has no group"),
        ('platform = "onelink"\nurl = "https://x"\nuser = "u"\npassword = "p"\n', "password: no such field"),
    ],
)
def test_what_is_wrong_with_an_account(tmp_path, text, words):
    file = tmp_path / "platform.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=words):
        accounts.load(file)


def test_sync_and_reconcile(account, capsys, monkeypatch, tmp_path):
    world = at_once()
    now = datetime.now(UTC)
    world.clock.start = now - timedelta(microseconds=world.clock.now_us)  # its months are those of this computer
    monkeypatch.setattr("host_tools.platforms.onelink.adapter.OneLink.usage", told_by(now))
    db = str(tmp_path / "reports.sqlite")
    cycle = day_number(now.astimezone(CHINA).date().replace(day=1))
    with closing(Store(db)) as store:
        values = full(cycle_id=cycle, carried_octets=MB, rated_octets=MB, packets=1000, error_bound_octets=7)
        store.add("tracker-001", Report(*values), cbor2.dumps(values), now - timedelta(minutes=2), "coap")
    with serving(world) as url:
        file = account(url, "[rating]\nper_packet_octets = 54\n")
        options = ["--account", file, "--db", db]
        assert cli.run(["platform", "sync", *options]) == 0
        told = capsys.readouterr().out
        assert "1 figures, 1 states" in told
        assert f"ordered for tracker-001: carrier-used={MB + 60_000}@" in told
        assert cli.run(["platform", "sync", *options, "--every", "5s"]) == 2
        assert "too often" in capsys.readouterr().err
    assert cli.run(["platform", "reconcile", *options, "--json", "-"]) == 0  # without the platform
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["difference"], row["beyond"], row["octets_a_packet"]) == (60_000, 60_000 - 54_000 - 7, 60.0)
    assert cli.run(["platform", "reconcile", *options]) == 0
    assert "packets 53 KB" in capsys.readouterr().out


def test_a_pool_is_shared(account, capsys, tmp_path):
    world = at_once(pool=90 * MB)
    now = datetime.now(UTC)
    db = str(tmp_path / "reports.sqlite")
    cycle = day_number(now.astimezone(CHINA).date().replace(day=1))
    with closing(Store(db)) as store:
        values = full(cycle_id=cycle, carried_octets=MB, rated_octets=MB)
        store.add("tracker-001", Report(*values), cbor2.dumps(values), now, "coap")
    with serving(world) as url:
        options = ["--account", account(url, 'group = "7001"\n[pool]\nfirst_grant = "1MB"\n'), "--db", db]
        assert cli.run(["platform", "share", *options]) == 0
        assert "ordered for tracker-001: grant=" in capsys.readouterr().out
        with closing(Store(db)) as store:
            grant = store.book.pending("tracker-001").grant
        assert MB <= grant.granted_octets <= 90 * MB * 98 // 100
        assert cli.run(["platform", "share", "--account", account(url), "--db", db]) == 2
    assert "pool: is missing" in capsys.readouterr().err


def told_by(now):
    """A platform's figure of a minute ago."""

    async def usage(self, sims, newest=False):
        start = now.astimezone(CHINA).date().replace(day=1)
        return Answers({sims[0]: Usage(sims[0], MB + 60_000, start, now - timedelta(minutes=1), "25U03")})

    return usage


# --- serve ---


def test_a_world_uses_data_as_its_file_says(tmp_path):
    file = tmp_path / "world.toml"
    file.write_text(WORLD + 'a_day = "144KB"\n')
    running = worlds.Running(worlds.load(file), datetime(2026, 3, 10, 0, 0, tzinfo=CHINA))
    running.advance(timedelta(hours=25).total_seconds())
    imsi = running.api._cards[0].imsi
    assert running.carrier.figures(imsi)["billed_octets"] == MB + 25 * 6 * 1024
    assert running.carrier.news(imsi).used_octets == MB + 24 * 6 * 1024 - 1024  # up to yesterday 24:00


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is missing"),
        (WORLD + '[[fault]]\nkind = "fire"\n', '"fire" is not known here'),
        (WORLD + 'group = "g"\n', "pool g is unknown"),
        (WORLD + WORLD[WORLD.index("[[sim]]") :] + 'imsi = "460040000000000"\n', "SIM 460040000000000 exists already"),
    ],
)
def test_what_is_wrong_with_a_world(tmp_path, text, words):
    file = tmp_path / "world.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=words):
        worlds.load(file)


def test_serve_as_a_process(tmp_path):
    file = tmp_path / "world.toml"
    file.write_text(WORLD)
    command = [sys.executable, "-c", "from host_tools.cli import main; main()", "platform", "serve", str(file)]
    process = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True, env={**os.environ})
    try:
        url = re.fullmatch(r"OneLink is served at (http://127\.0\.0\.1:\d+/v5)\n", process.stdout.readline())[1]
        login = f"appid={APPID}&password={PASSWORD}&transid={APPID}2026031009000000000001"
        with urllib.request.urlopen(f"{url}/ec/get/token?{login}") as answer:
            assert json.load(answer)["status"] == "0"
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert rest == "25000  1 calls\n"
