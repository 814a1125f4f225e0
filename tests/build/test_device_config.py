"""What a person writes for a device: one syntax, and one line for what is wrong."""

import zoneinfo
from datetime import date

import pytest

from host_tools.base.errors import UsageError
from host_tools.build import configuration, device_config, package
from host_tools.planning import source


def test_one_syntax_for_plan_file_scenario_and_configuration(tmp_path):
    """The same tables, with units and a TOML date, are the same Config in each kind of file."""
    tables = """
enforcement = "observe"
[plan]
allowance_octets = "1GB"
activated = 2026-01-15
package = { months = 6, slice = "whole" }
pool = { holding_s = "2h", first_grant_octets = "4MB" }
[[classes]]
name = "app"
[[classes]]
name = "report"
reserve = true
[upstream]
host = "collector"
interval_s = "2h"
"""
    around = {
        "plan": "",
        "device": '[device]\nid = "t-1"\nkey = "%s"\n[modem]\nfamily = "quectel"\napn = "cmiot"\n' % ("00" * 32),
        "scenario": '[carrier.pool]\nallowance_octets = "9GB"\n[[host]]\nname = "collector"\nkind = "collector"\n',
    }
    configs = []
    for kind, more in around.items():
        file = tmp_path / f"{kind}.toml"
        head = 'title = "x"\nstart = 2026-03-01T00:00:00+08:00\nduration = "1d"\n' if kind == "scenario" else ""
        file.write_text(head + tables + more)
        config = source.load(file).config
        config.modem.apn = "any"
        configs.append(configuration.source(config))
    assert configs[0] == configs[1] == configs[2]
    assert package.settings(tmp_path / "device.toml").config.plan.pool.holding_s == 7200


def test_units_and_dates_become_what_a_device_reads():
    raw = {
        "plan": {
            "allowance_octets": "30MB",
            "margin_octets": 5,
            "activated": date(2026, 1, 15),
            "overage": {"tiers": [{"block_octets": "1MB", "fen": 29}]},
            "throttle": {"rate_octets_s": "16KB"},
            "burst": {"hold_s": "2h", "window_s": 60},
        },
        "upstream": {"interval_s": "1d"},
        "modem": {"apn": "1MB"},
    }
    before = repr(raw)
    assert device_config.normalized(raw, "x.toml") == {
        "plan": {
            "allowance_octets": 30 << 20,
            "margin_octets": 5,
            "activated": "2026-01-15",
            "overage": {"tiers": [{"block_octets": 1 << 20, "fen": 29}]},
            "throttle": {"rate_octets_s": 16384},
            "burst": {"hold_s": 7200, "window_s": 60},
        },
        "upstream": {"interval_s": 86400},
        "modem": {"apn": "1MB"},
    }
    assert repr(raw) == before


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({"plan": {"allowance_octets": "30"}}, 'plan.allowance_octets: "30" is not a size; write octets, or a number'),
        ({"plan": {"throttle": {"rate_octets_s": "1kb"}}}, 'plan.throttle.rate_octets_s: "1kb" has an unknown unit'),
        ({"plan": {"overage": {"tiers": [{}, {"block_octets": -1}]}}}, "plan.overage.tiers #2, block_octets: -1 is"),
        ({"upstream": {"interval_s": "1"}}, 'upstream.interval_s: "1" is not a duration; write it as in'),
        ({"plan": {"utc_offset_min": "Mars/Base"}}, "plan.utc_offset_min: 'Mars/Base' is not a zone that is known"),
        ({"class": []}, "class: is an old spelling; write [[classes]]"),
        ({"device": {"enforcement": "observe"}}, "device.enforcement: is an old spelling; write enforcement above"),
        ({"allowance_octets": 5}, "allowance_octets: is a key of the plan; put it under [plan]"),
    ],
)
def test_one_line_for_what_is_wrong(raw, line):
    with pytest.raises(UsageError) as caught:
        device_config.normalized(raw, "x.toml")
    assert str(caught.value).startswith(f"x.toml: {line}")


@pytest.mark.skipif("Europe/Berlin" not in zoneinfo.available_timezones(), reason="no tzdata on this machine")
def test_a_zone_is_as_good_as_its_minutes_unless_it_has_summer_time():
    zones = [{"plan": {"utc_offset_min": zone}} for zone in ("Asia/Shanghai", "Asia/Kathmandu")]
    assert [device_config.normalized(each, "x")["plan"]["utc_offset_min"] for each in zones] == [480, 345]
    for zone, offsets, late in (("Europe/Berlin", "60 and 120", 60), ("Australia/Lord_Howe", "630 and 660", 30)):
        told = f"changes between {offsets}.* give {offsets[:3].strip()}.* {late} minutes"
        with pytest.raises(UsageError, match=told):
            device_config.normalized({"plan": {"utc_offset_min": zone}}, "x")


def test_the_firmwares_refusals_name_the_file_and_the_place():
    classes = [{"name": "a"}, {"name": "b", "reserve": 1}]
    with pytest.raises(UsageError, match=r"^x.toml: classes #2, reserve: 1 is not true or false; give true or false$"):
        device_config.check({"plan": {"allowance_octets": 30 << 20}, "classes": classes}, "x.toml")


_PLAN, _MODEM = {"allowance_octets": 30 << 20}, {"family": "quectel", "apn": "cmiot"}


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        ({"plan": {"alowance_octets": 5}}, 'plan.alowance_octets: is unknown; did you mean "allowance_octets"?'),
        ({"plan": {"margin_octets": 5}}, "plan.allowance_octets: is missing; give an integer from 1 to"),
        ({"plan": _PLAN | {"pace_": True}}, 'plan.pace_: is unknown; did you mean "pace"?'),
        ({"plan": _PLAN, "modem": _MODEM | {"banana": 1}}, "modem.banana: is unknown; known are family, apn,"),
        ({"plan": _PLAN, "modme": {}}, 'modme: is unknown; did you mean "modem"?'),
        ({"plan": _PLAN | {"overage": {"tiers": [{"blok_octets": 5, "fen": 1}]}}},
         'plan.overage.tiers #1, blok_octets: is unknown; did you mean "block_octets"?'),
        ({"plan": [_PLAN, _PLAN]}, "plan: a list is not a table; give names with values"),
        ({"plan": _PLAN, "modem": _MODEM, "upstream": 3}, "upstream: 3 is not a table; give names with values"),
    ],
)  # fmt: skip
def test_a_misspelt_key_is_named_with_the_one_that_was_meant(raw, line):
    with pytest.raises(UsageError) as caught:
        device_config.check(raw, "x.toml")
    assert str(caught.value).startswith(f"x.toml: {line}")


@pytest.mark.parametrize("device", ["", "a b", "x" * 17, "\u00e9"])
def test_what_is_not_a_device_id(device):
    with pytest.raises(UsageError, match=r"^--id: is not a device id; give 1 to 16 letters, digits, '\.', '_' or '-'$"):
        device_config.check_id(device, "--id", "")
    device_config.check_id("Pump_7.b-1", "--id", "")
