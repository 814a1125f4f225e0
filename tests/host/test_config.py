"""The configuration: what is taken, and the one line that says what is not."""

import copy
import json
import re
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from usageguard.config import CLASSES, ConfigError, load, load_file
from usageguard.config_plan import MAX_ALLOWANCE
from usageguard.core.octets import Octets
from usageguard.core.policy import Policy

MINIMAL = {
    "device": {"id": "tracker-001", "key": "000102030405060708090a0b0c0d0e0f" * 2},
    "modem": {"family": "quectel", "apn": "cmiot"},
    "plan": {"allowance_octets": 30 << 20},
}

FULL = """
enforcement = "observe"
[device]
id = "Pump_7.b"
key = "ffeeddccbbaa99887766554433221100FFEEDDCCBBAA99887766554433221100"
[modem]
family = "quectel"
apn = "cmiot"
counter = false
pin = "0000"
[plan]
allowance_octets = 5_368_709_120
on_exhaustion = "cutoff"
cycle_start_day = 27
utc_offset_min = -210
warn_permille = [1, 1000]
reserve_octets = 70_000
margin_octets = 60_000
[plan.rating]
per_packet_octets = 54
session_round_octets = 25_600
margin_permille = 70
[upstream]
host = "collector.example.org"
port = 5684
interval_s = 86_400
sms_number = "+8610649000001"
max_sms_per_cycle = 0
[[classes]]
name = "all"
rating_group = 0
[[classes]]
name = "report"
rating_group = 7
reserve = true
"""


def changed(path, value):
    """MINIMAL with the field at `path` set to `value`."""
    obj = copy.deepcopy(MINIMAL)
    *tables, name = path.split(".")
    table = obj
    for key in tables:
        table = table.setdefault(key, {})
    table[name] = value
    return obj


def test_minimal():
    config = load(MINIMAL)
    plan = config.plan
    assert (config.device_id, config.key) == ("tracker-001", bytes(range(16)) * 2)
    assert config.enforcement == "enforce"
    assert (plan.allowance, plan.exhaustion, plan.warn_permille) == (30 << 20, "cutoff", (500, 800, 900))
    assert (plan.cycle.start_day, plan.cycle.utc_offset_min) == (1, 480)
    assert (plan.margin_octets, plan.reserve_octets) == (157286, 157286)
    assert vars(plan.rating) == {"per_packet_octets": 0, "session_round_octets": 0, "margin_permille": 0}
    assert [vars(c) for c in config.classes] == [
        {"name": "telemetry", "rating_group": 10, "uses_reserve": False, "shed_permille": 1000},
        {"name": "ota", "rating_group": 20, "uses_reserve": False, "shed_permille": 900},
        {"name": "report", "rating_group": 1, "uses_reserve": True, "shed_permille": 1000},
    ]
    assert vars(config.modem) == {"family": "quectel", "apn": "cmiot", "counter": True, "pin": None}
    assert vars(config.upstream) == {
        "host": None,
        "port": 5683,
        "interval_s": 3600,
        "sms_number": None,
        "max_sms_per_cycle": 10,
    }


def test_full_from_toml():
    config = load(tomllib.loads(FULL))
    plan = config.plan
    assert (config.device_id, config.key) == ("Pump_7.b", bytes(range(255, -1, -17)) * 2)
    assert config.enforcement == "observe"
    assert (plan.allowance, plan.warn_permille) == (5 << 30, (1, 1000))
    assert (plan.cycle.start_day, plan.cycle.utc_offset_min) == (27, -210)
    assert (plan.report_limit, plan.local_limit) == ((5 << 30) - 60000, (5 << 30) - 130000)
    assert list(vars(plan.rating).values()) == [54, 25600, 70]
    assert [(c.name, c.rating_group, c.uses_reserve) for c in config.classes] == [
        ("all", 0, False),
        ("report", 7, True),
    ]
    assert vars(config.modem) == {"family": "quectel", "apn": "cmiot", "counter": False, "pin": "0000"}
    assert vars(config.upstream) == {
        "host": "collector.example.org",
        "port": 5684,
        "interval_s": 86400,
        "sms_number": "+8610649000001",
        "max_sms_per_cycle": 0,
    }


REPORT = {"name": "report", "rating_group": 1, "reserve": True}
APP = {"name": "app", "rating_group": 10}

WRONG = [
    # field, value, the line; it starts with that field unless it names another one
    ("plan.allowance_octets", -5, "-5 is negative; give an integer from 1 to 1125899906842624"),
    ("plan.allowance_octets", 0, "0 is out of range; give an integer from 1 to"),
    ("plan.allowance_octets", MAX_ALLOWANCE + 1, "1125899906842625 is out of range; give"),
    ("plan.allowance_octets", 3e7, "30000000.0 is not an integer; give an integer from"),
    ("plan.allowance_octets", "30MB", "'30MB' is not an integer; give"),
    ("plan.allowance_octets", True, "True is not an integer; give"),
    ("plan.allowance_octets", None, "None is not an integer; give"),
    (
        "plan.allowance_octets",
        24000,
        (
            "24000 leaves no usable quota beyond margin 8192 and reserve 16384; "
            "give 26112 or more, or a smaller margin_octets or reserve_octets"
        ),
    ),
    ("plan.margin_octets", 30 << 20, "plan.allowance_octets: 31457280 leaves no usable quota"),
    ("plan.reserve_octets", 1 << 40, "plan.allowance_octets: 31457280 leaves no usable quota"),
    ("plan.on_exhaustion", "pray", "'pray' is not known; give one of: cutoff"),
    ("plan.cycle_start_day", 32, "32 is out of range; give an integer from 1 to 31"),
    ("plan.utc_offset_min", 841, "841 is out of range; give an integer from -720 to 840"),
    ("plan.warn_permille", 500, "500 is not a list; give a list of 0 to 8"),
    ("plan.warn_permille", list(range(1, 10)), "has 9 entries; give a list of 0 to 8"),
    ("plan.warn_permille", [500, 500], "plan.warn_permille[1]: 500 is out of range; give an integer"),
    ("plan.warn_permille", [1001], "plan.warn_permille[0]: 1001 is out of range; give"),
    ("plan.rating.per_packet_octets", -1, "-1 is negative; give"),
    ("plan.rating.per_packet", 1, "is unknown; known are per_packet_octets, session_round"),
    ("plan.rating", 7, "7 is no table; give names with values"),
    ("plan.allowance", 1, "is unknown; known are allowance_octets, on_exhaustion,"),
    ("device.id", "", "has 0 characters; give 1 to 16 letters, digits, '.', '_' or '-'"),
    ("device.id", "tracker 001", "has a character that cannot stand there; give 1 to 16 letters"),
    ("device.id", "t" * 17, "has 17 characters; give 1 to 16 letters"),
    ("device.id", "跟踪器", "has a character that cannot stand there; give"),
    ("device.key", "00" * 31, "has 62 characters; give 64 hex digits"),
    ("device.key", "0g" * 32, "has a character that cannot stand there; give 64 hex digits"),
    ("modem.family", "ublox", "'ublox' is not known; give one of: quectel"),
    ("modem.apn", 'a"\r\nAT+CFUN=0', "has a character that cannot stand there; give"),
    ("modem.counter", 1, "1 is neither; give true or false"),
    ("modem.pin", 1234, "is not a string; give 4 to 8 digits"),
    ("modem.pin", "12345678a", "has 9 characters; give 4 to 8 digits"),
    ("upstream.port", 0, "0 is out of range; give an integer from 1 to 65535"),
    ("upstream.host", "http://x", "has a character that cannot stand there; give 1 to 63"),
    ("upstream.interval_s", 59, "59 is out of range; give an integer from 60 to 432000"),
    ("upstream.sms_number", "86+1", "has a character that cannot stand there; give"),
    ("enforcement", "off", "'off' is not known; give one of: enforce, observe"),
    ("speed", 1, "is unknown; known are device, plan, classes, modem, upstream, enforcement"),
    ("classes", [REPORT], "has 1 entries; give a list of 2 to 8"),
    ("classes", {"app": APP}, "{'app': {'name': 'app', 'rating_group... is not a list; give"),
    ("classes", [APP, "report"], "classes[1]: 'report' is no table; give names with values"),
    ("classes", [APP, {"rating_group": 1}], "classes[1].name: is missing; give 1 to 16 letters"),
    ("classes", [APP, APP | {"rating_group": 2}], "classes[1].name: is there twice; give each class its"),
    ("classes", [APP, APP | {"name": "b"}], "classes[1].rating_group: is there twice; give each class"),
    ("classes", [REPORT, APP], "classes[0].reserve: is true in the default class; put another"),
    ("classes", [APP, APP | {"name": "b", "rating_group": 2}], "need one class for reports"),
    (
        "classes",
        [APP, REPORT, REPORT | {"name": "b", "rating_group": 2}],
        "need one class for reports; give reserve: true to exactly one class",
    ),
    ("classes", [APP, REPORT | {"shed_permille": 5}], "classes[1].shed_permille: does not go with reserve"),
]


@pytest.mark.parametrize(("path", "value", "line"), WRONG)
def test_wrong(path, value, line):
    with pytest.raises(ConfigError) as caught:
        load(changed(path, value))
    text = str(caught.value)
    assert text.startswith((line, f"{path}: {line}"))
    assert "\n" not in text
    error = caught.value
    assert text == f"{error.field}: {error.problem}; {error.hint}"


@pytest.mark.parametrize(
    "path",
    [
        *("device", "device.id", "device.key", "modem", "modem.family", "modem.apn"),
        *("plan", "plan.allowance_octets"),
    ],
)
def test_missing(path):
    obj = copy.deepcopy(MINIMAL)
    *tables, name = path.split(".")
    del (obj[tables[0]] if tables else obj)[name]
    with pytest.raises(ConfigError) as caught:
        load(obj)
    assert str(caught.value).startswith(f"{path}: is missing; give ")


@pytest.mark.parametrize("obj", [None, [], "x", 1])
def test_no_object(obj):
    with pytest.raises(ConfigError, match=r"^configuration: .* is no table; give names with values$"):
        load(obj)


@pytest.mark.parametrize("path", ["device.key", "modem.pin"])
def test_secrets_are_not_shown(path):
    secret = "7531" * 16 + "x"
    with pytest.raises(ConfigError) as caught:
        load(changed(path, secret))
    assert "7531" not in str(caught.value)


class TestReportsAndThePlan:
    """A report every hour is up to 190 KB a month."""

    def config(self, allowance, **upstream):
        obj = changed("plan.allowance_octets", allowance)
        return load(obj | {"upstream": {"host": "c", **upstream}})

    def test_hourly_reports_need_a_plan(self):
        with pytest.raises(ConfigError) as caught:
            self.config(100 << 10)
        assert str(caught.value) == (
            "upstream.interval_s: reports every 3600 s may use up all of 77824 octets; give 17621 or more"
        )
        assert self.config(100 << 10, interval_s=17621).upstream.interval_s == 17621

    def test_without_a_host_they_cost_nothing(self):
        assert load(changed("plan.allowance_octets", 100 << 10)).upstream.interval_s == 3600

    def test_a_megabyte_is_enough(self):
        assert self.config(1 << 20).upstream.interval_s == 3600


class TestFile:
    def test_load(self, tmp_path):
        path = tmp_path / "config.json"
        path.write_text(json.dumps(MINIMAL))
        assert load_file(str(path)).device_id == "tracker-001"

    @pytest.mark.parametrize("text", ["", "{", "{'a': 1}"])
    def test_not_json(self, tmp_path, text):
        path = tmp_path / "config.json"
        path.write_text(text)
        with pytest.raises(ConfigError) as caught:
            load_file(str(path))
        assert str(caught.value) == f"{path}: is not JSON; give a configuration as one JSON object"

    def test_missing(self, tmp_path):
        with pytest.raises(ConfigError) as caught:
            load_file(str(tmp_path / "none.json"))
        assert "none.json: cannot be read; give" in str(caught.value)


@given(
    st.integers(1, MAX_ALLOWANCE),
    st.one_of(st.none(), st.integers(0, 1 << 22)),
    st.one_of(st.none(), st.integers(0, 1 << 22)),
    st.integers(0, 1 << 20),
)
def test_whatever_is_taken_can_be_used(allowance, margin, reserve, session_round):
    """A plan either leaves a quota in which a session fits, or is refused with a hint that helps."""
    plan = {"allowance_octets": allowance, "rating": {"session_round_octets": session_round}}
    if margin is not None:
        plan["margin_octets"] = margin
    if reserve is not None:
        plan["reserve_octets"] = reserve
    try:
        config = load(MINIMAL | {"plan": plan})
    except ConfigError as error:
        plan["allowance_octets"] = int(re.match(r"give (\d+) or more, or a smaller", error.hint)[1])
        config = load(MINIMAL | {"plan": plan})
    policy = Policy(config.plan, config.classes)
    policy.cross(Octets(0))
    assert policy.admits(0, Octets(0), max(1024, session_round))
    assert policy.verdict() == "open"


def test_defaults_are_not_shared():
    before = copy.deepcopy(CLASSES)
    load(MINIMAL)
    assert before == CLASSES
