"""A configuration as a module makes what the validator made, for every kind of plan."""

import pytest
from hypothesis import given, reject, seed, settings
from hypothesis import strategies as st
from usageguard.config.load import ConfigError, load

from host_tools.base import paths
from host_tools.build import configuration, modules
from host_tools.scenario import file as scenario
from tests.policy import plans

KEY = bytes(range(32))
FULL = {
    "device": {"id": "tracker-001", "key": KEY.hex()},
    "plan": {
        "allowance_octets": 5 << 30,
        "on_exhaustion": "overage",
        "lifecycle": {"test_until": "2026-03-15", "billing_from": "2026-06-01", "test_octets": 1 << 20},
        "cycle_days": 30,
        "package": {"months": 12, "slice": "month"},
        "overage": {"tiers": [{"block_octets": 1 << 20, "fen": 29}], "cost_cap_fen": 3000},
        "warn_cost_fen": [1000, 2000],
        "account": {"balance_fen": 5000, "fee_fen": 1000},
        "pool": {"holding_s": 3600},
        "throttle": {"rate_octets_s": 16_000},
        "burst": {},
        "pace": True,
    },
    "modem": {"family": "quectel", "apn": "cmiot", "pin": "4711"},
    "upstream": {"host": "collector.example", "sms_number": "+8613800000000", "ntp_host": "ntp.example", "mqtt": {},
                 "sms_orders": True},
    "enforcement": "observe",
}


def alike(one, other):
    """Whether two objects hold the same, down to integers and texts; which is shared with which counts too."""
    return described(one, {}) == described(other, {})


def described(value, seen):
    if isinstance(value, (tuple, list)):
        return [type(value).__name__, *(described(item, seen) for item in value)]
    if not hasattr(value, "__dict__"):
        return value
    if id(value) in seen:
        return f"as {seen[id(value)]}"
    seen[id(value)] = len(seen)
    return [type(value).__qualname__, {name: described(held, seen) for name, held in sorted(vars(value).items())}]


def again(config):
    """What the module makes of a Config; by Python, as the VM's bytecode is not of this matter."""
    names = {}
    exec(configuration.source(config), names)
    return names["load"](config.device_id, config.key, config.modem.pin)


@pytest.mark.parametrize("name", paths.named(paths.scenarios(), ".toml"))
def test_every_shipped_scenarios(name):
    config = load(scenario.load(name).device_config())
    assert alike(again(config), config)


@pytest.mark.parametrize("family", plans.FAMILIES)
@seed(1)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_random_plans(family, data):
    raw = FULL | {"plan": data.draw(plans.sold(family)).plan}
    try:
        config = load(raw)
    except ConfigError:
        reject()
    assert alike(again(config), config)


def test_everything_at_once():
    config = load(FULL)
    made = again(config)
    assert alike(made, config)
    assert made.plan.test.cycle is made.plan.cycle, "one life, whose billing begins for both"


def test_nothing_of_the_one_device_is_in_it():
    text = configuration.source(load(FULL))
    for secret in ("tracker-001", repr(KEY), KEY.hex(), "4711"):
        assert secret not in text


@pytest.mark.parametrize("change", [("allowance_octets", 9_999_999), ("margin_octets", 9_999), ("cycle_days", 31)])
def test_another_plan_is_another_module(change):
    other = {**FULL, "plan": {**FULL["plan"], change[0]: change[1]}}
    assert configuration.source(load(other)) != configuration.source(load(FULL))


CLASSES = [{"name": "telemetry"}, {"name": "report", "reserve": True}]
WITH_QUOTA = [CLASSES[0] | {"quota_octets": 5 << 20}, CLASSES[1]]


def parts(**plan):
    """The modules that a plan alone decides on, of those that a device with it never imports."""
    plan = {"allowance_octets": 30 << 20, "warn_forecast": False, **plan}
    modem = {**FULL["modem"], "bearer": "ppp", "edrx_s": 82, "operator": "46001"}
    raw = FULL | {"plan": plan, "modem": modem, "classes": WITH_QUOTA}
    elsewhere = {"light_sleep", "counters", "by_counter", "apart"}  # not over PPP; have a test of their own
    return {name.rpartition(".")[2] for name in modules.unneeded(load(raw))} - elsewhere


@pytest.mark.parametrize(
    ("plan", "without"),
    [
        ({}, {"burst", "burst_guard", "daily", "forecast", "life", "money", "pool"}),
        ({"pace": True}, {"burst", "burst_guard", "daily", "life", "money", "pool"}),
        ({"account": {}}, {"burst", "burst_guard", "daily", "forecast", "life", "pool"}),
        ({"pool": {}, "burst": {}}, {"daily", "forecast", "life", "money"}),
        ({"lifecycle": {"billing_from": "2026-06-01"}}, {"burst", "burst_guard", "daily", "forecast", "money", "pool"}),
        ({"daily": {"cap_octets": 1 << 20}}, {"burst", "burst_guard", "forecast", "life", "money", "pool"}),
    ],
)
def test_a_plan_needs_the_modules_of_its_parts(plan, without):
    assert parts(**plan) == without


def test_what_a_plan_imports_at_the_start_is_merged():
    assert modules.parts(load(FULL | {"plan": {"allowance_octets": 30 << 20, "daily": {"cap_octets": 1 << 20}}})) == [
        "usageguard.core.account.daily", "usageguard.core.forecast", "usageguard.guard.daily",
    ]  # fmt: skip


def test_classes_of_ones_own_are_counted_by_a_module():
    base = {name: value for name, value in FULL.items() if name != "classes"}
    own = load(base | {"classes": CLASSES})
    assert {*modules.unneeded(load(base))} - {*modules.unneeded(own)} == {"usageguard.net.by_class"}
    assert "usageguard.net.by_class" in modules.parts(own)


def test_hours_of_their_own_are_kept_by_modules():
    plain = {*modules.unneeded(load(FULL))}
    hours = {"allowance_octets": 30 << 20, "hours": {"from": "23:00", "to": "07:00"}}
    counters = {"usageguard.core.account.counters", "usageguard.guard.counters", "usageguard.net.by_counter"}
    counters.add("usageguard.store.apart")
    free = load(FULL | {"plan": hours})
    assert plain - {*modules.unneeded(free)} == counters < {*modules.parts(free)}
    own = load(FULL | {"plan": hours | {"hours": hours["hours"] | {"allowance_octets": 1 << 20}}})
    counters |= {"usageguard.core.account.quotas", "usageguard.net.by_quota", "usageguard.net.by_class"}
    assert plain - {*modules.unneeded(own)} == counters < {*modules.parts(own)}


def test_quotas_of_classes_are_kept_by_modules():
    own = load(FULL | {"classes": WITH_QUOTA})
    quotas = {"usageguard.core.account.quotas", "usageguard.net.by_quota"}
    assert {*modules.unneeded(load(FULL | {"classes": CLASSES}))} - {*modules.unneeded(own)} == quotas
    assert quotas < {*modules.parts(own)}


def test_ways_beside_coap_are_for_those_that_have_them():
    upstream = {"host": "collector.example"}
    unneeded = {*modules.unneeded(load(FULL | {"upstream": upstream}))}
    for keys, gained in (
        ({"mqtt": {}}, {"upstream.mqtt"}),
        ({"sms_orders": True}, {"at.pdu", "modem.mailbox", "modem.messenger", "upstream.sms_orders"}),
        ({"sms_number": "+8610"}, {"at.pdu", "modem.messenger", "upstream.sms"}),
    ):
        left = {*modules.unneeded(load(FULL | {"upstream": upstream | keys}))}
        assert unneeded - left == {f"usageguard.{name}" for name in gained}, keys


def test_what_the_modem_may_do_beside_is_for_those_who_want_it():
    for name, keys in (
        ("power_saving", {"psm": {"active_s": 10}}),
        ("power_saving", {"edrx_s": 82}),
        ("operator", {"operator": "46001"}),
    ):
        alone = FULL | {"upstream": {}}  # an order may name an operator too
        config = load(alone | {"modem": FULL["modem"] | keys})
        gained = {*modules.unneeded(load(alone))} - {*modules.unneeded(config)}
        assert gained == {f"usageguard.modem.{name}"}
        assert alike(again(config), config)


def test_light_sleep_is_for_those_who_want_it():
    name = "usageguard.modem.light_sleep"
    assert name in modules.unneeded(load(FULL | {"modem": FULL["modem"] | {"edrx_s": 82}}))
    config = load(FULL | {"modem": FULL["modem"] | {"light_sleep": True}})
    assert name not in modules.unneeded(config)
    assert alike(again(config), config)


def test_ppp_is_for_those_whose_bearer_it_is():
    modems = {bearer: {**FULL["modem"], "bearer": bearer} for bearer in ("at", "ppp")}
    unneeded = {bearer: modules.unneeded(load(FULL | {"modem": modem})) for bearer, modem in modems.items()}
    beside = set(unneeded["at"]) - set(unneeded["ppp"])
    assert beside == {
        "usageguard.hal.esp32_ppp",
        "usageguard.modem.ppp",
        "usageguard.modem.ppp_connection",
        "usageguard.modem.ppp_link",
        "usageguard.modem.ppp_names",
        "usageguard.net.ppp",
    }
    reached = modules.reached([*modules.BOARD, modules.driver("quectel")], unneeded["at"])
    assert not any("ppp" in name for name in reached)
