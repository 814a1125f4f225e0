"""Scenario files: what is right compiles to a device's configuration; what is wrong is one clear line."""

from datetime import date, timedelta

import msgspec
import pytest
from usageguard.config import load as validator

from host_tools.base import paths
from host_tools.base.errors import UsageError
from host_tools.scenario import carrier
from host_tools.scenario import file as scenario
from host_tools.scenario.owner import Instruction, OwnerConfig
from host_tools.sim.modem import faults

GOOD = """
title = "A test"
start = 2026-03-01T00:00:00+08:00
duration = "1d"
[device]
id = "t-1"
[plan]
allowance_octets = "30MB"
[[classes]]
name = "telemetry"
rating_group = 10
[[classes]]
name = "report"
rating_group = 1
reserve = true
[upstream]
host = "collector"
interval_s = "2h"
[[host]]
name = "collector"
kind = "collector"
[[host]]
name = "api"
kind = "responder"
[[host]]
name = "broker"
kind = "bridge"
service = "mqtt"
[[traffic]]
class = "telemetry"
kind = "request"
host = "api"
period = "10m"
tx = 300
rx = "2KB"
[[fault]]
kind = "power_cut"
at = "6h"
[[fault]]
kind = "reset"
at = "7h"
[[fault]]
kind = "stall_inside"
at = "8h"
command = "+QIRD*"
after_octets = 14
[owner]
news_s = "30m"
push = ["balance", "stop"]
[[order]]
at = "1h"
limit_octets = "10MB"
expiry = 2026-04-01
balance_fen = 500
stop = true
[expect]
carrier_stopped = false
"""


def test_the_good_one_compiles_to_what_the_firmware_takes():
    good = scenario.loads(GOOD, "good.toml")
    config = good.device_config()
    assert config["plan"] == {"allowance_octets": 30 * 1024 * 1024}
    assert config["upstream"] == {"host": "collector", "interval_s": 7200}
    assert config["modem"] == {"family": "quectel", "apn": "cmiot"}
    assert config["device"]["id"] == "t-1"
    assert len(bytes.fromhex(config["device"]["key"])) == 32
    assert config["enforcement"] == "enforce"
    assert [each.name for each in good.config.classes] == ["telemetry", "report"]
    assert good.name == "good"
    assert good.start.utcoffset() == timedelta(hours=8)
    assert good.allowance_octets == 30 * 1024 * 1024
    assert [host.listens_on for host in good.hosts] == [5683, 7000, 1883]


def test_a_plan_is_parsed_once(monkeypatch):
    read: list[str] = []
    for module, name in ((validator, "read_plan"), (carrier._Plan, "read")):
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, f=original, n=name: (read.append(n), f(*given))[1])
    good = scenario.loads(GOOD, "good.toml")
    assert good.allowance_octets == good.config.plan.allowance == good.carrier_config.sim_plan.allowance_octets
    assert sorted(read) == ["read", "read_plan"]


def test_faults_are_the_boards_and_whatever_the_modem_has():
    cut, reset, stall = scenario.loads(GOOD, "good.toml").faults
    assert (cut.at, cut.off, reset.at, reset.cause) == (21_600, 10, 25_200, "watchdog")
    assert isinstance(stall, faults.StallInside)
    assert (stall.at, stall.command, stall.after_octets, stall.ms) == (28_800, "+QIRD*", 14, 200)


def test_orders_and_the_owner():
    good = scenario.loads(GOOD, "good.toml")
    assert good.owner == OwnerConfig(news_s=1800, valid_s=86_400, push=["balance", "stop"])
    assert good.orders == [
        Instruction(at=3600, limit_octets=10 << 20, expiry=date(2026, 4, 1), balance_fen=500, stop=True)
    ]
    bare = scenario.loads(GOOD[: GOOD.index("[owner]")], "good.toml")
    assert (bare.owner, bare.orders) == (OwnerConfig(), [])


def test_observing_changes_only_what_the_device_does():
    good = scenario.loads(GOOD, "good.toml")
    config, other = good.device_config(), good.observing().device_config()
    assert other.pop("enforcement") == "observe"
    config.pop("enforcement")
    assert config == other


@pytest.mark.parametrize("name", scenario.shipped())
def test_those_that_ship_are_good(name):
    assert scenario.load(name).name == name


DEPLOY = '[[deploy]]\nat = "{}"\nplan = {{ allowance_octets = "50MB", activated = 2026-03-01, {} }}\n'


def test_a_plan_that_is_deployed_later_has_the_same_syntax():
    deployed = scenario.loads(GOOD + DEPLOY.format("2h", "cycle_days = 1"), "good.toml")
    (deploy,) = deployed.deploys
    assert (deploy.at, deploy.plan["allowance_octets"]) == (7_200, 50 << 20)
    assert deploy.plan["activated"] == "2026-03-01"
    config = deployed.device_config(deploy.plan)
    assert config | {"plan": deployed.plan} == deployed.device_config()


def test_no_other_plan_is_deployed_on_a_real_board():
    real = GOOD.replace('duration = "1d"', 'duration = "9m"\nreal_time = true')
    with pytest.raises(UsageError, match="deploy: is not possible on a real board"):
        scenario.loads(real + DEPLOY.format("2m", "cycle_days = 1"), "real.toml")


EVENTS = """
[[fault]]
kind = "reset"
at = "20s"
[[platform]]
action = "stop"
at = "30s"
[[order]]
stop = true
at = "40s"
"""


def test_on_a_real_board_a_slow_modem_is_powered_on_earlier_and_all_else_happens_in_its_time():
    calm, _, _ = GOOD.partition("[[fault]]")
    real = calm.replace('duration = "1d"', 'duration = "9m"\nreal_time = true') + EVENTS
    usual, slow = scenario.loads(real, "real.toml"), scenario.loads(real, "real.toml", "sim7600e")
    ahead = usual.start - slow.start
    assert timedelta(seconds=10) < ahead < timedelta(seconds=12), "boot and registration: 17 s instead of 6.4 s"
    assert slow.start + timedelta(seconds=slow.duration) == usual.start + timedelta(seconds=usual.duration)
    for name in ("faults", "actions", "orders"):
        for one, other in zip(getattr(usual, name), getattr(slow, name), strict=True):
            assert usual.start + timedelta(seconds=one.at) == slow.start + timedelta(seconds=other.at)
    for one, other in zip(usual.traffic, slow.traffic, strict=True):
        assert usual.start + timedelta(seconds=one.start) == slow.start + timedelta(seconds=other.start)
        assert (one.until, other.until) == (0, 0), "to the end"
    assert scenario.loads(real, "real.toml", "ml307r") == msgspec.structs.replace(usual, modem="ml307r"), "no later"
    assert scenario.loads(GOOD, "good.toml", "sim7600e").start == scenario.loads(GOOD, "good.toml").start


BAD = [
    ('duration = "1d"', 'duration = "1x"', 'duration: "1x" is not a duration; write it as in "90s"'),
    ('duration = "1d"', "duration = 35", "duration: 35 has no unit"),
    ('duration = "1d"', 'duration = "0s"', "duration: is zero"),
    ('duration = "1d"', "", 'duration: is missing; give one, as in duration = "35d"'),
    ('title = "A test"', "", "title: is missing"),
    ('title = "A test"', 'title = "A test"\nsede = 4', 'sede: no such field; did you mean "seed"?'),
    ('title = "A test"', 'title = "A test"\nzzz = 4', "zzz: no such field; there are name, title"),
    ('title = "A test"', 'title = "A test"\nseed = -4', "seed: -4 is out of range; give 0 or more"),
    ('title = "A test"', 'title = "A test"\nseed = "x"', 'seed: "x" is not a whole number'),
    ('title = "A test"', 'title = "A test"\nmodem = "nokia"', 'modem: "nokia" is unknown; there are '),
    ("+08:00", "", "start: has no time zone; write 2026-03-01T00:00:00+08:00"),
    ("2026-03-01T00:00:00+08:00", "2026-03-01", "start: 2026-03-01 is not a date and time"),
    ('allowance_octets = "30MB"', "allowance_octets = -1", "plan.allowance_octets: -1 is negative"),
    ('allowance_octets = "30MB"', 'allowance_octets = "30Mb"', 'plan.allowance_octets: "30Mb" has an unknown unit'),
    ('allowance_octets = "30MB"', 'alowance = "30MB"', "plan.allowance_octets: is missing"),
    ('"30MB"', '"30MB"\nrating.per_packet = 4', "plan.rating.per_packet: is unknown"),
    (
        '"30MB"',
        '"30MB"\nrating.session_round_octets = "4x"',
        'plan.rating.session_round_octets: "4x" has an unknown unit',
    ),
    ('"30MB"', '"30MB"\ncycle_start_day = 32', "plan.cycle_start_day: 32 is out of range"),
    ("rating_group = 1\n", "rating_group = -1\n", "classes #2, rating_group: -1 is negative"),
    ("reserve = true", "reserve = 1", "classes #2, reserve: 1 is not true or false"),
    ("reserve = true", "", "classes: need one class for"),
    ('interval_s = "2h"', 'interval_s = "2y"', 'upstream.interval_s: "2y" is not a duration'),
    ('host = "collector"', 'host = "nobody"', 'upstream.host: "nobody" is not a host of this scenario'),
    ('id = "t-1"', 'id = "way too long for a device"', "device.id: has 25 characters"),
    ('id = "t-1"', 'id = "t-1"\nenforcement = "observe"', "device.enforcement: is an old spelling; write enforcement"),
    ("title =", 'enforcement = "maybe"\ntitle =', "enforcement: 'maybe' is not known; give one of: enforce, observe"),
    ("[[classes]]", "[[class]]", "class: is an old spelling; write [[classes]]"),
    ('kind = "responder"', 'kind = "webserver"', 'host #2, kind: "webserver" is not known here; use'),
    ('kind = "responder"', 'kind = "responder"\nto = "127.0.0.1:1"', 'host #2, to: has no effect for "responder"'),
    ('service = "mqtt"', "", "host #3: a bridge leads to one place"),
    ('service = "mqtt"', 'to = "nowhere"', 'host #3, to: "nowhere" is not an address'),
    ('name = "broker"', 'name = "api"', 'host #3, name: "api" is taken'),
    ('class = "telemetry"', 'class = "video"', 'traffic #1, class: "video" is not a class; there are telemetry'),
    ('class = "telemetry"', "", "traffic #1, class: is missing"),
    ('host = "api"', 'host = "apis"', 'traffic #1, host: "apis" is not a host of this scenario; there are api'),
    ('period = "10m"', 'period = "0s"', "traffic #1, period: is zero"),
    ('period = "10m"', 'period = "10m"\nuntil = "0s"\nfrom = "1h"\nperiods = 3', 'did you mean "period"?'),
    ('period = "10m"', 'period = "10m"\nuntil = "1h"\nfrom = "2h"', 'traffic #1, until: is not after "from"'),
    ("tx = 300", "tx = 4", "traffic #1, tx: 4 octets do not fit one message"),
    ('rx = "2KB"', "rx = -2", "traffic #1, rx: -2 is negative"),
    ('kind = "request"', 'kind = "publish"', "traffic #1, rx: a publication has no reply"),
    ('at = "6h"', 'at = "6d"', "fault #1, at: is after the end"),
    ('kind = "power_cut"', 'kind = "meteor"', 'fault #1, kind: "meteor" is not known here; there are power_cut, '),
    ('kind = "power_cut"', 'kind = "powercut"', 'fault #1, kind: "powercut" is not known here; did you mean "power_'),
    ('kind = "power_cut"', 'kind = "reset"\noff = "1s"', "fault #1, off: no such field; there are at, cause"),
    ('kind = "power_cut"', 'kind = "reboot"\nms = 5', "fault #1, ms: no such field; there are at"),
    ('kind = "power_cut"', 'kind = "slow"', "fault #1, ms: is missing; give one"),
    ('kind = "power_cut"', 'kind = "signal"\nrsrp_dbm = 5', "fault #1, rsrp_dbm: 5 is out of range; give -44 or less"),
    ('kind = "reset"\nat = "7h"', 'kind = "hang"', 'fault #2, at: is missing; give the time after the start'),
    ('kind = "reset"', 'kind = "reset"\ncause = "lightning"', 'fault #2, cause: "lightning" is not known here; use "'),
    ('at = "8h"', 'at = "8d"', "fault #3, at: is after the end"),
    ("[[fault]]", DEPLOY.format("2d", "cycle_days = 1") + "[[fault]]", "deploy #1, at: is after the end"),
    ("[[fault]]", DEPLOY.format("1h", "cycle_days = 0") + "[[fault]]", "deploy #1, plan.cycle_days: 0 is out of range"),
    ("[[fault]]", '[[deploy]]\nat = "1h"\n[[fault]]', "deploy #1, plan: is missing"),
    ('at = "1h"\n', "", "order #1, at: is missing"),
    ('at = "1h"', 'at = "1d"', "order #1, at: is after the end"),
    ("stop = true", "stop = 1", "order #1, stop: 1 is not true or false"),
    ("stop = true", 'pool_octets = "1MB"', "order #1, pool_octets: has no effect without grant_octets; add"),
    ("balance_fen = 500", "cost_fen = 5", "order #1, cost_fen: has no effect without balance_fen; add"),
    ("balance_fen = 500", "balance_fen = 5.5", "order #1, balance_fen: 5.5 is not a whole number"),
    ("balance_fen = 500", "balance_fen = 2147483648", "order #1, balance_fen: 2147483648 is out of range"),
    ("balance_fen = 500", "cap = 5", 'order #1, cap: no such field; there are at, stop, limit_octets'),
    ("balance_fen = 500", 'throttle_octets_s = "1GB"', "order #1, throttle_octets_s: 1073741824 is out of range"),
    ("balance_fen = 500", 'grant_octets = "1"', 'order #1, grant_octets: "1" is not a size'),
    ("expiry = 2026-04-01", "expiry = 2190-04-01", "order #1, expiry: 2190-04-01 is out of range; give a date"),
    ("expiry = 2026-04-01", "billing = 1999-12-31", "order #1, billing: 1999-12-31 is out of range; give a date from"),
    ("expiry = 2026-04-01", "expiry = 4", "order #1, expiry: 4 is not a date; give a date"),
    ("stop = true", 'hold = ["ota"]', 'order #1, hold: "ota" is not a class; there are telemetry, report'),
    (GOOD[GOOD.index("limit_octets") : GOOD.index("[expect]")], "", "order #1: orders nothing; add what to do, as in"),
    (GOOD[GOOD.index("[upstream]") : GOOD.index("[[host]]")], "", "order #1: there is no way to the device; add [ups"),
    ('news_s = "30m"', 'news_s = "30"', 'owner.news_s: "30" is not a duration'),
    ('push = ["balance", ', 'push = ["weather", ', 'owner.push #1: "weather" is not known here; use "'),
    ("carrier_stopped = false", "carrier_stopped = 0", "expect.carrier_stopped: 0 is not true or false"),
    ("carrier_stopped = false", "used_permille = 1001", "expect.used_permille: 1001 is out of range"),
    ("[expect]", "[expect", "not valid TOML"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD)
def test_what_is_wrong_is_one_line_with_file_and_field(old, new, message):
    assert old in GOOD
    with pytest.raises(UsageError) as caught:
        scenario.loads(GOOD.replace(old, new, 1), "bad.toml")
    line = str(caught.value)
    assert line.startswith("bad.toml: "), line
    assert message in line
    assert "\n" not in line
    assert len(line) < 600


def test_broken_toml_names_its_line():
    with pytest.raises(UsageError, match=r"^bad\.toml: line 3, column 8: not valid TOML: "):
        scenario.loads('title = "x"\nseed = 1\nstart =\n', "bad.toml")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UsageError, match=r"no such scenario; name a TOML file or one that ships: .*smoke"):
        scenario.load("nothing-of-that-name")
    latin = tmp_path / "latin.toml"
    latin.write_bytes(b'title = "\xe9"')
    with pytest.raises(UsageError, match=r"^latin\.toml: is not UTF-8 text"):
        scenario.load(latin)


def test_an_application_is_found_beside_its_scenario(tmp_path):
    file = tmp_path / "a-scenario.toml"
    file.write_text((paths.scenarios() / "smoke.toml").read_text() + '[app]\nname = "my_app.py"\n')
    assert scenario.load(file).app.name == "my_app.py"
    (tmp_path / "my_app.py").touch()
    assert scenario.load(file).app.name == str(tmp_path / "my_app.py")


def test_a_modem_given_beside_the_file_counts():
    with pytest.raises(UsageError, match=r"^good\.toml: modem: \"x\" is unknown"):
        scenario.loads(GOOD, "good.toml", modem="x")


def test_the_carrier_of_a_configuration_rounds_sessions_as_its_plan_says():
    rating = {"per_packet_octets": 54, "session_round_octets": "10KB"}
    plan = {"allowance_octets": "30MB", "rating": rating}
    raw = {"device": {"id": "t-1", "key": "5a" * 32}, "modem": {"family": "quectel", "apn": "cmiot"}, "plan": plan}
    made = scenario.read(scenario.of_configuration(raw, "config.toml"), "config.toml")
    assert made.carrier_config.rating == carrier.carrier.Rating(session_round_octets=10_240)
