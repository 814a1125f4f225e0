"""The configuration: what is taken, and the one line that says what is not."""

import copy
import json
import re
import tomllib
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from usageguard.config.load import CLASSES, ConfigError, load, load_file
from usageguard.config.plan import MAX_ALLOWANCE
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
any_sim = true
bearer = "ppp"
psm = { active_s = 10, periodic_s = 43_200 }
edrx_s = 82
operator = "46001"
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
ntp_host = "ntp.example"
sms_orders = true
mqtt = { prefix = "fleet/north", user = "u+1", password = "p w+" }
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
        {"name": "telemetry", "rating_group": 10, "uses_reserve": False, "shed_permille": 1000, "paced": True},
        {"name": "ota", "rating_group": 20, "uses_reserve": False, "shed_permille": 900, "paced": True},
        {"name": "report", "rating_group": 1, "uses_reserve": True, "shed_permille": 1000, "paced": False},
    ]
    assert vars(config.modem) == {
        "family": "quectel",
        "apn": "cmiot",
        "counter": True,
        "pin": None,
        "any_sim": False,
        "bearer": "at",
    }
    assert config.modem.saving is config.modem.operator is None
    assert vars(config.upstream) == {
        "host": None,
        "port": 5683,
        "interval_s": 3600,
        "sms_number": None,
        "max_sms_per_cycle": 10,
        "ntp_host": None,
        "sms_orders": False,
        "mqtt": None,
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
    assert vars(config.modem) == {
        "family": "quectel",
        "apn": "cmiot",
        "counter": False,
        "pin": "0000",
        "any_sim": True,
        "bearer": "ppp",
        "saving": (10, 43_200, 82, False),
        "operator": "46001",
    }
    assert vars(config.upstream) == {
        "host": "collector.example.org",
        "port": 5684,
        "interval_s": 86400,
        "sms_number": "+8610649000001",
        "max_sms_per_cycle": 0,
        "ntp_host": "ntp.example",
        "sms_orders": True,
        "mqtt": ("fleet/north", "u+1", "p w+"),
    }


REPORT = {"name": "report", "rating_group": 1, "reserve": True}
APP = {"name": "app", "rating_group": 10}

PLAN = MINIMAL["plan"]
NIGHT = {"from": "23:00", "to": "07:00"}
PACKAGE = PLAN | {"activated": "2026-03-15"}
ENDLESS = PLAN | {"activated": "2026-03-15", "endless": True}
TIER = {"block_octets": 1 << 20, "fen": 29}
OVERAGE = {"tiers": [TIER]}
LIFE = {"test_until": "2026-04-01", "billing_from": "2026-10-01", "test_octets": 1 << 20}

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
    ("plan.warn_permille", 500, "500 is not a list; give a list of 0 to 5"),
    ("plan.warn_permille", list(range(1, 7)), "has 6 entries; give a list of 0 to 5"),
    ("plan.warn_permille", [500, 500], "plan.warn_permille[1]: 500 is out of range; give an integer"),
    ("plan.warn_permille", [1001], "plan.warn_permille[0]: 1001 is out of range; give"),
    ("plan.rating.per_packet_octets", -1, "-1 is negative; give"),
    ("plan.rating.per_packet", 1, "is unknown; known are per_packet_octets, session_round"),
    ("plan.rating", 7, "7 is not a table; give names with values"),
    ("plan.allowance", 1, "is unknown; known are allowance_octets, on_exhaustion,"),
    ("device.id", "", "has 0 characters; give 1 to 16 letters, digits, '.', '_' or '-'"),
    ("device.id", "tracker 001", "has a character that is not allowed; give 1 to 16 letters"),
    ("device.id", "t" * 17, "has 17 characters; give 1 to 16 letters"),
    ("device.id", "跟踪器", "has a character that is not allowed; give"),
    ("device.key", "00" * 31, "has 62 characters; give 64 hex digits"),
    ("device.key", "0g" * 32, "has a character that is not allowed; give 64 hex digits"),
    ("modem.family", "ublox", "'ublox' is not known; give one of: quectel"),
    ("modem.apn", 'a"\r\nAT+CFUN=0', "has a character that is not allowed; give"),
    ("modem.counter", 1, "1 is not true or false; give true or false"),
    ("modem.pin", 1234, "is not a string; give 4 to 8 digits"),
    ("modem.pin", "12345678a", "has 9 characters; give 4 to 8 digits"),
    ("modem.psm", {}, "modem.psm.active_s: is missing; give an integer from 2 to 11160"),
    ("modem.psm", {"active_s": 10, "tau": 1}, "modem.psm.tau: is unknown; known are active_s, periodic_s"),
    ("modem.psm", {"active_s": 60, "periodic_s": 60}, "modem.psm.periodic_s: is not longer than active_s; give a"),
    ("modem.operator", "4600", "has 4 characters; give 5 to 6 digits"),
    ("modem.light_sleep", 1, "1 is not true or false; give true or false"),
    ("modem.edrx_s", 19, "19 is out of range; give an integer from 20 to 2621"),
    ("upstream.port", 0, "0 is out of range; give an integer from 1 to 65535"),
    ("upstream.host", "http://x", "has a character that is not allowed; give 1 to 63"),
    ("upstream.interval_s", 59, "59 is out of range; give an integer from 60 to 432000"),
    ("upstream.sms_number", "86+1", "has a character that is not allowed; give"),
    ("upstream.mqtt", True, "True is not a table; give names with values"),
    ("upstream.mqtt", {"prefix": "fleet/#"}, "upstream.mqtt.prefix: has a character that is not allowed; give"),
    ("upstream.mqtt", {"password": "x"}, "upstream.mqtt.password: is without a user; give the user as well"),
    ("enforcement", "off", "'off' is not known; give one of: enforce, observe"),
    ("speed", 1, "is unknown; known are device, plan, classes, modem, upstream, enforcement"),
    ("classes", [REPORT], "has 1 entries; give a list of 2 to 8"),
    ("classes", {"app": APP}, "{'app': {'name': 'app', 'rating_group... is not a list; give"),
    ("classes", [APP, "report"], "classes[1]: 'report' is not a table; give names with values"),
    ("classes", [APP, {"rating_group": 1}], "classes[1].name: is missing; give 1 to 16 letters"),
    ("classes", [APP, APP | {"rating_group": 2}], "classes[1].name: is not unique; give each class its"),
    ("classes", [APP, APP | {"name": "b"}], "classes[1].rating_group: is not unique; give each class"),
    ("classes", [REPORT, APP], "classes[0].reserve: is true in the default class; put another"),
    ("classes", [APP, APP | {"name": "b", "rating_group": 2}], "need one class for reports"),
    (
        "classes",
        [APP, REPORT, REPORT | {"name": "b", "rating_group": 2}],
        "need one class for reports; give reserve: true to exactly one class",
    ),
    ("classes", [APP, REPORT | {"shed_permille": 5}], "classes[1].shed_permille: does not go with reserve"),
    ("classes", [APP | {"quota_octets": 0}, REPORT], "classes[0].quota_octets: 0 is out of range; give an integer"),
    ("classes", [APP, REPORT | {"quota_octets": 9}], "classes[1].quota_octets: does not go with reserve; leave it out"),
    (
        "classes",
        [*({"name": name, "quota_octets": 9} for name in "abcd"), {"name": "e", "reserve": True}],
        "classes: have 4 quotas; give quota_octets to 3 at the most",
    ),
    ("classes", [APP | {"priority": 8}, REPORT], "classes[0].priority: 8 is out of range; give an integer from 0 to 7"),
    ("classes", [APP | {"priority": "high"}, REPORT], "classes[0].priority: 'high' is not an integer; give"),
    (
        "classes",
        [APP | {"priority": 1, "shed_permille": 500}, REPORT],
        "classes[0].shed_permille: does not go with priority; leave one of the two out",
    ),
    ("classes", [APP | {"pace": 1}, REPORT], "classes[0].pace: 1 is not true or false; give true or false"),
    # A plan's other systems
    ("plan.cycle_days", 0, "0 is out of range; give an integer from 1 to 3660"),
    ("plan.cycle_days", 30, "plan.activated: is missing; cycle_days counts from it: give"),
    (
        "plan",
        PLAN | {"cycle_days": 30, "cycle_start_day": 1},
        "plan.cycle_days: does not go with cycle_start_day; leave",
    ),
    ("plan.warn_cost_fen", [100], "has no effect without overage; leave it out, or add overage"),
    ("plan.warn_days", [7, 30], "plan.warn_days[1]: 30 is out of range; give an integer from 1 to 6"),
    ("plan.warn_days", [367], "plan.warn_days[0]: 367 is out of range; give an integer from 1 to 366"),
    ("plan.warn_forecast", "yes", "'yes' is not true or false; give true or false"),
    ("plan.pace", 0, "0 is not true or false; give true or false"),
    ("plan.on_exhaustion", "overage", "plan.overage: is missing; give tiers, as in [{from_octets: 0,"),
    ("plan.on_exhaustion", "throttle", "plan.throttle: is missing; give rate_octets_s, the carrier's after exhaustion"),
    ("plan.overage", {}, "plan.overage.tiers: are missing; give [{from_octets: 0, block_octets: 1048576, fen: 29}]"),
    ("plan.overage.tiers", 7, "7 is not a list; give a list of 0 to 8"),
    ("plan.overage.tiers", 9 * [TIER], "has 9 entries; give a list of 0 to 8"),
    ("plan.overage.tiers", ["x"], "plan.overage.tiers[0]: 'x' is not a table; give names with values"),
    ("plan.overage.tiers", [{"fen": 1}], "plan.overage.tiers[0].block_octets: is missing; give an integer from 1 to"),
    ("plan.overage.tiers", [{"block_octets": 5}], "plan.overage.tiers[0].fen: is missing; give an integer from 0 to"),
    ("plan.overage.tiers", [TIER | {"block_octets": 0}], "plan.overage.tiers[0].block_octets: 0 is out of range; give"),
    ("plan.overage.tiers", [TIER | {"fen": -1}], "plan.overage.tiers[0].fen: -1 is negative; give"),
    ("plan.overage.tiers", [TIER | {"yuan": 1}], "plan.overage.tiers[0].yuan: is unknown; known are from_octets,"),
    ("plan.overage.tiers", [TIER | {"from_octets": 1}], "plan.overage.tiers[0].from_octets: 1 is out of range; give"),
    ("plan.overage.tiers", [TIER, TIER], "plan.overage.tiers[1].from_octets: is missing; give where beyond the plan"),
    (
        "plan.overage.tiers",
        [TIER, TIER | {"from_octets": 9}, TIER | {"from_octets": 9}],
        "plan.overage.tiers[2].from_octets: 9 is out of range; give an integer from 10 to",
    ),
    ("plan.overage", OVERAGE | {"cost_cap_fen": -1}, "plan.overage.cost_cap_fen: -1 is negative; give"),
    ("plan.overage", OVERAGE | {"cap_octets": 0}, "plan.overage.cap_octets: 0 is out of range; give"),
    (
        "plan",
        PLAN | {"on_exhaustion": "overage", "overage": OVERAGE | {"cap_octets": 9000}},
        "plan.allowance_octets: 9000 leaves no usable quota beyond margin 157286 and reserve 157286; give",
    ),
    ("plan.endless", True, "plan.activated: is missing; endless counts from it: give"),
    ("plan", ENDLESS | {"cycle_days": 3}, "plan.cycle_days: does not go with endless; leave it out"),
    ("plan", ENDLESS | {"package": {"months": 3}}, "plan.package: does not go with endless; leave it out"),
    ("plan", ENDLESS | {"pool": {}}, "plan.pool: does not go with endless; leave it out"),
    ("plan", ENDLESS | {"pace": True}, "plan.pace: has no end to look ahead to; leave it out with endless"),
    ("plan", ENDLESS | {"warn_forecast": True}, "plan.warn_forecast: has no end to look ahead to; leave it"),
    ("plan.package", {"months": 3}, "plan.activated: is missing; package counts from it: give"),
    ("plan.package", {}, "plan.activated: is missing; package counts from it: give"),
    ("plan", PACKAGE | {"package": {}}, "plan.package.months: is missing; give an integer from 1 to 600"),
    ("plan", PACKAGE | {"package": {"months": 0}}, "plan.package.months: 0 is out of range; give"),
    (
        "plan",
        PACKAGE | {"package": {"months": 6}},
        'plan.package.slice: is missing; give "month" if allowance_octets is for each period, "whole" if it is for',
    ),
    (
        "plan",
        PACKAGE | {"package": {"months": 1, "slice": "day"}},
        "plan.package.slice: 'day' is not known; give one of: m",
    ),
    (
        "plan",
        PACKAGE | {"package": {"months": 1, "slice": "month", "renew_months": 121}},
        "plan.package.renew_months: 121 is out of range",
    ),
    (
        "plan",
        PACKAGE | {"cycle_days": 30, "package": {"months": 1, "slice": "whole"}},
        "plan.cycle_days: does not go with a whole package; leave it out, or give slice",
    ),
    (
        "plan",
        PACKAGE | {"cycle_start_day": 5, "package": {"months": 1, "slice": "whole"}},
        "plan.cycle_start_day: does not go with a whole package; leave it out, or give slice",
    ),
    ("plan.account.balance_fen", 1 << 30, "1073741824 is out of range; give an integer from -1073741824 to 1073741823"),
    ("plan.account.fee_fen", -1, "-1 is negative; give an integer from 0"),
    ("plan.account.credit", 1, "is unknown; known are balance_fen, fee_fen"),
    ("plan.lifecycle", {}, "plan.lifecycle.billing_from: is missing; give a date as in"),
    (
        "plan.lifecycle",
        LIFE | {"test_until": "2026-12-01"},
        "plan.lifecycle.test_until: is after billing_from; give a date",
    ),
    (
        "plan.lifecycle",
        {"test_until": "2026-04-01"},
        "plan.lifecycle.test_octets: is missing; give the octets of the test",
    ),
    ("plan.lifecycle", LIFE | {"test_octets": 5000}, "plan.lifecycle.test_octets: 5000 leaves no usable quota beyond"),
    (
        "plan.lifecycle",
        LIFE | {"on_silence": "no"},
        "plan.lifecycle.on_silence: 'no' is not known; give one of: hold, use",
    ),
    (
        "plan.lifecycle",
        LIFE | {"on_test_exhausted": "pay"},
        "plan.lifecycle.on_test_exhausted: 'pay' is not known; give",
    ),
    (
        "plan.lifecycle",
        LIFE | {"on_test_exhausted": "charge"},
        "plan.lifecycle.on_test_exhausted: has no tariff",
    ),
    (
        "plan",
        PACKAGE | {"lifecycle": LIFE},
        "plan.activated: does not go with lifecycle; leave it out: billing_from, or",
    ),
    ("plan.pool.first_grant_octets", -1, "-1 is negative; give"),
    ("plan.pool.holding_s", 30 * 86400 + 1, "2592001 is out of range; give an integer from 0 to 2592000"),
    ("plan.pool.on_silence", "retry", "'retry' is not known; give one of: terminate, continue, retry_and_terminate"),
    ("plan.pool.share", 1, "is unknown; known are first_grant_octets, holding_s, on_silence"),
    ("plan.daily", {}, "plan.daily.cap_octets: is missing; give what a day may use at the most, or slow_octets"),
    ("plan.daily", {"slow_octets": 5000}, "plan.daily.slow_octets: has no rate; add plan.throttle with rate_octets_s"),
    ("plan.daily", {"cap_octets": 25599}, "plan.daily.cap_octets: 25599 leaves no usable quota beyond margin 8192 and"),
    ("plan.daily", {"cap_octets": 0}, "plan.daily.cap_octets: 0 is out of range; give"),
    ("plan.daily", {"cap": 1}, "plan.daily.cap: is unknown; known are cap_octets, slow_octets, margin_octets, reserve"),
    ("plan.hours", {"to": "07:00"}, "plan.hours.from: is missing; give 5 characters as in 23:00"),
    ("plan.hours", {"from": "23h00", "to": "07:00"}, "plan.hours.from: has a character that is not allowed; give 5"),
    ("plan.hours", {"from": "23:60", "to": "07:00"}, 'plan.hours.from: is not a time of day; give hours and'),
    ("plan.hours", {"from": "24:00", "to": "07:00"}, 'plan.hours.from: is not a time of day; give hours and'),
    ("plan.hours", {"from": "2:300", "to": "07:00"}, 'plan.hours.from: is not a time of day; give hours and'),
    ("plan.hours", {"from": "23:45", "to": "00:14"}, "plan.hours.to: is less than half an hour after from; give"),
    ("plan.hours", {"from": "07:00", "to": "07:00"}, "plan.hours.to: is less than half an hour after from; give"),
    ("plan.hours", NIGHT | {"charged_permille": 1000}, "plan.hours.charged_permille: 1000 is out of range; give"),
    ("plan.hours", NIGHT | {"octets": 1}, "plan.hours.octets: is unknown; known are from, to, allowance_octets, ch"),
    ("plan", PLAN | {"hours": NIGHT, "pool": {}}, "plan.pool: does not go with hours; leave one of the two out"),
    ("plan", PLAN | {"hours": NIGHT, "rating": {"session_round_octets": 1}}, "plan.rating.session_round_octets: does"),
    ("plan.roaming", {"allowance_octets": -1}, "plan.roaming.allowance_octets: -1 is negative; give"),
    ("plan.roaming", {"octets": 1}, "plan.roaming.octets: is unknown; known are allowance_octets, margin_octets"),
    ("plan.roaming", {"allowance_octets": 8_193}, "plan.roaming.margin_octets: 8192 leaves nothing to use; give a"),
    ("plan", PLAN | {"roaming": {}, "daily": {"cap_octets": 99999}}, "plan.daily: does not go with roaming; leave one"),
    ("plan", PLAN | {"roaming": {}, "rating": {"session_round_octets": 1}}, "plan.rating.session_round_octets: does"),
    ("plan", PLAN | {"pool": {}, "daily": {}}, "plan.daily: does not go with a pool; leave one of the two out"),
    ("plan.throttle", {}, "plan.throttle.rate_octets_s: is missing; give an integer from 1 to 16777216"),
    ("plan.throttle", {"rate_octets_s": 0}, "plan.throttle.rate_octets_s: 0 is out of range; give"),
    ("plan.throttle", {"rate_octets_s": 1, "burst_octets": 0}, "plan.throttle.burst_octets: 0 is out of range; give"),
    (
        "plan",
        PLAN | {"on_exhaustion": "throttle", "throttle": {"rate_octets_s": 1, "from_octets": 1}},
        'plan.throttle.from_octets: does not go with on_exhaustion "throttle"; leave it out: the allowance is where',
    ),
    (
        "plan",
        PLAN | {"pool": {}, "throttle": {"rate_octets_s": 1, "from_octets": 1}},
        "plan.throttle.from_octets: does not go with a pool; leave one of the two out",
    ),
    ("plan.burst.factor", 1, "1 is out of range; give an integer from 2 to 1000"),
    ("plan.burst.floor_octets", 0, "0 is out of range; give an integer from 1 to"),
    ("plan.burst.window_s", 59, "59 is out of range; give an integer from 60 to 86400"),
    ("plan.burst.hold_s", 59, "59 is out of range; give an integer from 60 to 259200"),
    ("plan.burst.limit", 1, "is unknown; known are factor, floor_octets, window_s, hold_s"),
]

DATES = [
    *("2026-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "1999-12-31", "2026-3-015", "2026-+3-15", " 2026-3-15"),
    *(
        "2026/03/15",
        "15.03.2026",
        "2026-03-15T00:00",
        "",
        "soon",
        20260315,
        None,
        True,
        date(2026, 3, 15),
        ["2026-03-15"],
    ),
]


@pytest.mark.parametrize("value", DATES)
@pytest.mark.parametrize("field", ["plan.activated", "plan.lifecycle.test_until", "plan.lifecycle.billing_from"])
def test_no_date(field, value):
    with pytest.raises(ConfigError) as caught:
        load(changed(field, value))
    assert str(caught.value) == f'{field}: {value!r} is not a date; give a date as in "2026-03-15"'


class TestPlan:
    """Every key of a plan's systems, as it arrives in the values."""

    def plan(self, **plan):
        return load(MINIMAL | {"plan": PLAN | plan}).plan

    def test_without_any(self):
        plan = self.plan()
        assert (plan.tariff, plan.balance_fen, plan.throttle, plan.burst, plan.pool, plan.test) == (None,) * 6
        assert plan.daily is None
        assert (plan.expiry_day, plan.fee_fen, plan.pace, plan.warn_days, plan.hold_silent) == (0, 0, False, (), False)
        assert (plan.warn_forecast, plan.warn_cost_fen) == (True, ())

    def test_overage(self):
        tiers = [TIER | {"from_octets": 0}, {"from_octets": 9 << 20, "block_octets": 1 << 30, "fen": 500}]
        plan = self.plan(
            on_exhaustion="overage", overage={"tiers": tiers, "cost_cap_fen": 290}, warn_cost_fen=[29, 30, 290]
        )
        assert plan.ceiling == 39 << 20, "261 fen for the first nine, and then 500 are too many"
        assert (plan.cost_fen(30 << 20), plan.cost_fen((30 << 20) + 1), plan.cost_fen(40 << 20)) == (
            0,
            29,
            9 * 29 + 500,
        )
        base = 30 << 20
        assert plan.warn_marks[3:] == (base + 1, base + (1 << 20) + 1, base + (9 << 20) + 1)
        assert [plan.warning(bit) for bit in range(3, 6)] == ["cost-29", "cost-30", "cost-290"]

    def test_a_cap_of_octets(self):
        plan = self.plan(on_exhaustion="overage", overage=OVERAGE | {"cap_octets": 35 << 20})
        assert (plan.ceiling, plan.report_limit) == (35 << 20, (35 << 20) - 157286)

    def test_both_caps_the_lower_one_counts(self):
        plan = self.plan(on_exhaustion="overage", overage=OVERAGE | {"cap_octets": 35 << 20, "cost_cap_fen": 58})
        assert plan.ceiling == 32 << 20

    def test_overage_without_a_cap_never_ends(self):
        plan = self.plan(on_exhaustion="overage", overage=OVERAGE)
        assert plan.ceiling == plan.local_limit == plan.report_limit == (1 << 54) - 1

    def test_package(self):
        plan = self.plan(activated="2026-01-31", package={"months": 1, "slice": "month"}, warn_days=[3, 2])
        assert (day(plan.expiry_day), plan.renew_months, plan.warn_days) == ("2026-02-28", 3, (3, 2))
        assert day(plan.cycle.cycle_id(number("2026-02-27"), 0)) == "2026-02-01", "calendar months"

    @pytest.mark.parametrize(
        ("more", "starts"),
        [
            ({}, "2026-05-01"),
            ({"cycle_days": 30}, "2026-05-14"),
            ({"cycle_start_day": 20}, "2026-05-20"),
            ({"package": {"months": 6, "slice": "whole"}}, "2026-03-15"),
        ],
    )
    def test_slices(self, more, starts):
        package = {"months": 6, "slice": "month", "renew_months": 0}
        plan = self.plan(**{"activated": "2026-03-15", "package": package} | more)
        assert day(plan.cycle.cycle_id(number("2026-05-25"), 0)) == starts
        assert day(plan.expiry_day) == "2026-09-15"

    def test_endless(self):
        plan = self.plan(endless=True, activated="2026-03-15")
        assert {day(plan.cycle.cycle_id(number(d), 0)) for d in ("2026-03-15", "2031-01-01")} == {"2026-03-15"}
        assert (plan.warn_forecast, plan.pace, plan.package_months) == (False, False, 0)
        assert self.plan(endless=False).warn_forecast

    @pytest.mark.parametrize(
        ("allowance", "months", "lease"),
        [
            (500 << 20, 120, (500 << 20) // (120 * 31) // 16),  # a sixteenth of a day's share
            (5 << 20, 120, 4096),  # and what a flash sector is worth at least
            (5 << 30, 120, (5 << 30) // (120 * 31) // 16),
            (500 << 30, 120, 262144),
            (30 << 20, 6, 65536),  # within a year, what it is for a month
        ],
    )
    def test_leases_of_a_period_of_years_are_smaller(self, allowance, months, lease):
        package = {"months": months, "slice": "whole"}
        plan = self.plan(allowance_octets=allowance, activated="2026-03-15", package=package)
        assert plan.lease_max_octets == lease

    def test_account(self):
        plan = self.plan(account={"balance_fen": -5, "fee_fen": 600})
        assert (plan.balance_fen, plan.fee_fen) == (-5, 600)
        assert (self.plan(account={}).balance_fen, self.plan(account={}).fee_fen) == (0, 0)

    def test_lifecycle(self):
        plan = self.plan(lifecycle=LIFE | {"on_test_exhausted": "charge", "on_silence": "use"}, overage=OVERAGE)
        assert (plan.test.allowance, plan.test.exhaustion, plan.hold_silent) == (1 << 20, "overage", False)
        assert [plan.cycle.cycle_id(number(d), 0) for d in ("2026-03-31", "2026-04-01", "2026-09-30")] == [1, 2, 2]
        assert day(plan.cycle.cycle_id(number("2026-10-01"), 0)) == "2026-10-01"
        plan = self.plan(lifecycle={"billing_from": "2026-10-01"})
        assert (plan.test, plan.hold_silent, plan.cycle.cycle_id(9000, 0)) == (None, True, 2)
        plan = self.plan(lifecycle={"test_until": "2026-10-01", "test_octets": 1 << 20})
        assert (plan.test.exhaustion, plan.cycle.cycle_id(9000, 0)) == ("test", 1)

    def test_pool(self):
        pool = {"first_grant_octets": 0, "holding_s": 60, "on_silence": "continue"}
        assert vars(self.plan(pool=pool).pool) == pool
        assert list(vars(self.plan(pool={}).pool).values()) == [(30 << 20) // 32, 0, "retry_and_terminate"]

    def test_hours(self):
        assert vars(self.plan(hours=NIGHT).hours) == {"start_s": 82_800, "length_s": 28_800, "octets": 0, "share": 0}
        given = {"from": "00:05", "to": "00:35", "allowance_octets": 1 << 31, "charged_permille": 999}
        assert vars(self.plan(hours=given).hours) == {
            "start_s": 300, "length_s": 1_800, "octets": 1 << 31, "share": 999,
        }  # fmt: skip
        assert not self.plan(hours=NIGHT).quotas

    def test_hours_with_octets_take_the_place_of_a_quota(self):
        classes = [{"name": name, "quota_octets": 1} for name in "abc"] + [{"name": "r", "reserve": True}]
        hours = PLAN | {"hours": NIGHT | {"allowance_octets": 1}}
        assert load(MINIMAL | {"plan": hours, "classes": classes[1:]}).plan.quotas
        with pytest.raises(ConfigError, match="classes: have 3 quotas; give quota_octets to 2 at the most"):
            load(MINIMAL | {"plan": hours, "classes": classes})

    def test_roaming(self):
        assert vars(self.plan(roaming={}).roaming) == {"octets": 0, "margin": 0}
        for table, used, kept in (
            ({"margin_octets": 1}, 0, 0),
            ({"allowance_octets": 60_000}, 51_808, 8_192),
            ({"allowance_octets": 1 << 30}, (1 << 30) - (1 << 20), 1 << 20),
            ({"allowance_octets": 5_000, "margin_octets": 1_000}, 4_000, 1_000),
        ):
            assert vars(self.plan(roaming=table).roaming) == {"octets": used, "margin": kept}
        assert self.plan(roaming={}).quotas
        over_ppp = MINIMAL | {"plan": PLAN | {"roaming": {}}, "modem": MINIMAL["modem"] | {"bearer": "ppp"}}
        with pytest.raises(ConfigError, match=r"plan\.roaming: does not go with bearer"):
            load(over_ppp)
        classes = [{"name": name, "quota_octets": 1} for name in "ab"] + [{"name": "r", "reserve": True}]
        assert load(MINIMAL | {"plan": PLAN | {"roaming": {}}, "classes": classes[1:]}).plan.quotas
        with pytest.raises(ConfigError, match="classes: have 2 quotas; give quota_octets to 1 at the most"):
            load(MINIMAL | {"plan": PLAN | {"roaming": {}}, "classes": classes})

    def test_daily(self):
        daily = self.plan(daily={"cap_octets": 25600}).daily
        assert vars(daily) == {
            "cap_octets": 25600, "slow_octets": None, "margin_octets": 8192, "reserve_octets": 16384,
        }  # fmt: skip
        given = {"cap_octets": 2000, "slow_octets": 7, "margin_octets": 0, "reserve_octets": 1}
        assert vars(self.plan(daily=given, throttle={"rate_octets_s": 1}).daily) == given

    def test_throttle(self):
        plan = self.plan(on_exhaustion="throttle", throttle={"rate_octets_s": 16000})
        assert vars(plan.throttle) == {"rate_octets_s": 16000, "burst_octets": 64000}
        assert (plan.slow_limit, plan.local_limit) == (30 << 20, (1 << 54) - 1)
        plan = self.plan(throttle={"rate_octets_s": 16000, "from_octets": 20 << 20})
        assert (plan.slow_limit, plan.ceiling) == (20 << 20, 30 << 20)
        given = {"rate_octets_s": 1, "burst_octets": 5000}
        assert vars(self.plan(throttle=given).throttle) == given

    def test_burst(self):
        assert list(vars(self.plan(burst={}).burst).values()) == [10, (30 << 20) // 256, 3600, 21600]
        given = {"factor": 2, "floor_octets": 1, "window_s": 60, "hold_s": 61}
        assert vars(self.plan(burst=given).burst) == given

    def test_pace_and_forecast(self):
        plan = self.plan(pace=True, warn_forecast=False)
        assert (plan.pace, plan.warn_forecast) == (True, False)

    def test_no_more_warnings_than_the_ledger_has_bits(self):
        five = [1, 2, 3, 4, 5]
        plan = self.plan(
            warn_permille=five,
            warn_cost_fen=five,
            warn_days=five[::-1],
            activated="2026-03-15",
            package={"months": 1, "slice": "month"},
            on_exhaustion="overage",
            overage=OVERAGE,
        )
        assert plan.forecast_bit == 15


def test_priorities_shed_the_lowest_first():
    names = [("a", 3), ("b", 7), ("c", 0), ("d", 3)]
    classes = [{"name": name, "rating_group": 9 + i, "priority": rank} for i, (name, rank) in enumerate(names)]
    config = load(MINIMAL | {"classes": [*classes, {"name": "e", "rating_group": 5, "shed_permille": 300}, REPORT]})
    assert {c.name: c.shed_permille for c in config.classes} == {
        "b": 1000,
        "a": 950,
        "d": 950,
        "c": 900,
        "e": 300,
        "report": 1000,
    }


def test_rating_groups_by_default_are_the_classes_numbers():
    config = load(MINIMAL | {"classes": [{"name": "app"}, APP | {"name": "b"}, {"name": "report", "reserve": True}]})
    assert [each.rating_group for each in config.classes] == [1, 10, 3]
    with pytest.raises(ConfigError, match=r"^classes\[1\].rating_group: is not unique; give each class its own$"):
        load(MINIMAL | {"classes": [{"name": "app"}, REPORT]})


def test_a_class_that_is_not_paced():
    config = load(MINIMAL | {"classes": [APP | {"pace": False}, APP | {"name": "b", "rating_group": 3}, REPORT]})
    assert [c.paced for c in config.classes] == [False, True, False]


def number(iso):
    return (date.fromisoformat(iso) - date(2000, 1, 1)).days


def day(days):
    return (date(2000, 1, 1) + timedelta(days)).isoformat()


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
    with pytest.raises(ConfigError, match=r"^configuration: .* is not a table; give names with values$"):
        load(obj)


@pytest.mark.parametrize("family", ["cip", "mip"])
@pytest.mark.parametrize("key", ["psm", "edrx_s"])
def test_a_family_without_psm_is_refused(family, key):
    obj = changed("modem." + key, {"active_s": 10} if key == "psm" else 82)
    obj["modem"]["family"] = family
    with pytest.raises(ConfigError, match=f"modem.{key}: the modems of the family {family} have no power saving"):
        load(obj)


@pytest.mark.parametrize(
    ("family", "bearer", "problem"),
    [
        ("sequans", "at", "the modems of the family sequans have no light sleep by DTR; leave it out"),
        ("generic", "at", "the modems of the family generic have no light sleep by DTR; leave it out"),
        ("quectel", "ppp", 'does not go with bearer = "ppp", whose line is in use all the time; leave one of them out'),
    ],
)
def test_light_sleep_is_refused_where_there_is_none(family, bearer, problem):
    obj = changed("modem.light_sleep", True)
    obj["modem"] |= {"family": family, "bearer": bearer}
    with pytest.raises(ConfigError, match=f"^modem.light_sleep: {problem}"):
        load(obj)
    obj["modem"]["light_sleep"] = False
    assert load(obj).modem.saving is None


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


def test_a_broker_has_its_own_port_and_a_report_costs_more():
    upstream = {"host": "broker.example", "mqtt": {}}
    config = load(MINIMAL | {"upstream": upstream})
    assert (config.upstream.port, config.upstream.mqtt) == (1883, ("usageguard", "", ""))
    small = MINIMAL | {"plan": {"allowance_octets": 700 << 10, "margin_octets": 0, "reserve_octets": 16384}}
    load(small | {"upstream": {"host": "collector.example"}})
    with pytest.raises(ConfigError, match="reports every 3600 s may use up all"):
        load(small | {"upstream": upstream})
