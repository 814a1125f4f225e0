"""CONFIG.md says what the validator and the scenario's structs say, and its recipes are plans."""

import copy
import re
from datetime import datetime
from pathlib import Path

import pytest
from usageguard.config import limits, load, plan, table

from host_tools.base import toml
from host_tools.planning import reference
from host_tools.planning.explain import explain
from host_tools.planning.source import load as load_plan
from host_tools.scenario import carrier

CONFIG = Path(__file__).parents[2] / "firmware" / "CONFIG.md"
AT = datetime.fromisoformat("2026-03-10T12:00:00+08:00")
MB = 1 << 20


def every_key():
    keys, unions = reference.scenario_keys()
    inner = [key for name, structs in unions.items() for key in reference.union_keys(structs, name)]
    return [*reference.device_keys(), *keys, *inner]


def test_config_md_has_todays_keys():
    stale = "stale: run  python -m host_tools.planning.reference"
    assert CONFIG.read_text(encoding="utf-8") == reference.render(), stale


@pytest.mark.parametrize(
    ("module", "name", "value"),
    [
        (plan, "WARN_DAYS", (30, 7)),  # a default
        (plan, "MAX_FEN", 1 << 29),  # a range
        (plan, "SILENCES", ("terminate", "continue", "retry_and_terminate", "ask")),  # choices
        (plan, "make_plan", lambda *given: limits.make_plan(*given[:5], 100_000, *given[6:])),  # a computed default
        (load, "FAMILIES", ("quectel", "other")),
    ],
)
def test_a_change_of_the_validator_is_seen(monkeypatch, module, name, value):
    before = reference.render()
    monkeypatch.setattr(module, name, value)
    assert reference.render() != before


def test_a_new_key_needs_a_meaning(monkeypatch):
    read = plan.read_plan
    monkeypatch.setattr(load, "read_plan", lambda tables: (tables.integer("new", 0, 5, 1), read(tables))[1])
    with pytest.raises(KeyError, match=r"plan\.new"):
        reference.render()


def test_the_number_of_classes_is_that_of_the_validator():
    assert f"a list of 2 to {load.MAX_CLASSES} tables" in reference.TABLES["classes"]
    names = [each["name"] for each in load.CLASSES]
    assert re.findall(r"`(\w+)`", reference.TABLES["classes"])[1:] == names


def test_no_meaning_is_left_over_and_each_table_has_a_text():
    used = {key.path for key in every_key()}
    assert set(reference.MEANINGS) <= used
    assert set(reference.DEFAULTS) <= used
    assert {key.table for key in every_key()} <= set(reference.TABLES)


@pytest.mark.parametrize("key", every_key(), ids=lambda key: key.path)
def test_each_example_is_taken(key):
    key.check(key.example)


def test_every_key_of_the_validator_is_there():
    """Told by the firmware itself: what it says it knows, when it is given a key that it does not."""
    known = {}
    for path in {key.table for key in reference.device_keys()}:
        others = {"plan.daily": reference.BY_DAY}
        others |= dict.fromkeys(("plan.hours", "plan.roaming"), reference.BY_HOUR)
        wrong = copy.deepcopy(others.get(path, reference.SAMPLE))
        at = wrong
        for name in path.split(".") if path else ():
            at = at.setdefault(name, [{"name": "a"}, {"name": "b", "reserve": True}] if name == "classes" else {})
            at = at[-1] if isinstance(at, list) else at
        at["unknown"] = 1
        with pytest.raises(table.ConfigError) as caught:
            load.load(wrong)
        assert caught.value.problem == "is unknown"
        known[path] = set(caught.value.hint.removeprefix("known are ").split(", "))
    found: dict[str, set[str]] = {}
    for key in reference.device_keys():
        found.setdefault(key.table, set()).add(key.name)
    for path in known:
        tables = {each for each in known[path] if f"{path}.{each}".strip(".") in reference.TABLES}
        assert known[path] - tables == found[path], path


def test_the_carrier_reads_the_plan_with_the_same_defaults():
    """The simulated carrier has a struct of its own for the plan: its defaults are the validator's."""
    device = {key.path: key.default for key in reference.device_keys()}
    device |= dict.fromkeys(("plan.lifecycle.test_octets", "plan.overage.tiers.from_octets"), "0 B")
    unlike = {
        "plan.account.balance_fen": (None, "0"),  # the carrier knows its customer's balance
        "plan.cycle_days": ("0", ""),
        "plan.daily.cap_octets": ("0 B", ""),
        "plan.daily.slow_octets": ("0 B", ""),
        "plan.hours.allowance_octets": ("0 B", "no end"),
        "plan.throttle.from_octets": ("0 B", ""),
        "plan.throttle.burst_octets": ("3,000 B", device["plan.throttle.burst_octets"]),  # sizes of two token buckets
        "plan.lifecycle.billing_from": ("", "`test_until`"),
    }
    for key in reference._struct_keys(carrier._Plan, "plan", {}):
        if key.path in device and device[key.path] is not None:
            assert (key.default, device[key.path]) == unlike.get(key.path, (device[key.path],) * 2), key.path


# --- recipes ---


@pytest.mark.parametrize("file", reference.recipes(), ids=lambda file: file.stem)
def test_a_recipe_is_in_config_md_and_is_a_plan(file):
    source = load_plan(file)
    facts = explain(source, AT)
    text = CONFIG.read_text(encoding="utf-8").split(f"### {source.title}\n")[1].split("\n### ")[0]
    block = re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1]
    assert toml.parse(block, "block") == toml.parse(file.read_text("utf-8"), "file")
    assert facts["limits"]["allowance_octets"] > facts["limits"]["margin_octets"]


def facts(name):
    return explain(load_plan(reference.RECIPES / f"{name}.toml"), AT)


def test_recipes_mean_what_they_say():
    assert facts("cutoff-30mb")["limits"]["ceiling_octets"] == 30 * MB
    half_year = facts("half-year-1gb")
    assert half_year["cycle"]["present"]["until"] == half_year["expiry"]["expires_on"] == "2026-07-15"
    assert half_year["limits"]["allowance_octets"] == 1024 * MB
    assert facts("pool")["pool"] == {
        "first_grant_octets": 2 * MB,
        "holding_s": 172_800,
        "on_silence": "retry_and_terminate",
    }
    assert facts("overage-pack")["cost"]["worst_fen"] == 986 <= facts("overage-pack")["cost"]["cost_cap_fen"]
    assert facts("per-session")["rating"] == {
        "per_packet_octets": 50,
        "session_round_octets": 10_240,
        "margin_permille": 0,
    }
    assert facts("decimal-megabytes")["limits"]["allowance_octets"] == 30_000_000
