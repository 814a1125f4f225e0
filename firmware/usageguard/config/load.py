"""Checks a configuration and builds the values that the firmware works with.

The device (JSON) and the host (TOML) have the same validator, which takes the parsed object. It refuses every key that
it does not know, in one line that names the field, the problem and a remedy. CONFIG.md is made from it.
"""

import json

from usageguard.config.limits import longest_period_s
from usageguard.config.plan import MAX_QUOTA, read_plan
from usageguard.config.table import DIGITS, HEX, HOST, NAME, PHONE, TEXT, TOPIC, ConfigError, Table
from usageguard.core.plan import SHED_STEP_PERMILLE, TrafficClass
from usageguard.core.settings import Config, ModemSettings, UpstreamSettings

# The modem's dialects that have a driver: `usageguard.modem.NAME`.
FAMILIES = ("quectel", "cip", "ca", "mip", "cipstart", "usocr", "sequans", "generic")
WITHOUT_PSM = ("cip", "mip")  # LTE Cat.1 and Cat.4 alone, to which networks grant neither PSM nor eDRX
WITHOUT_LIGHT_SLEEP = ("sequans", "generic")  # by DTR
BEARERS = ("at", "ppp")  # the modem's own sockets; lwIP's over a data call
ENFORCEMENTS = ("enforce", "observe")

CLASSES = (
    {"name": "telemetry", "rating_group": 10},
    {"name": "ota", "rating_group": 20, "shed_permille": 900},
    {"name": "report", "rating_group": 1, "reserve": True},
)

MAX_CLASSES = 8
MAX_QUOTAS = 3  # of classes, and of the plan's hours and roaming: there is room for so many in the ledger

# One report with its acknowledgement over CoAP, IPv4 headers included: two packets. The most of a routine one; a full
# one with all fields at their maximum takes 22 more.
REPORT_OCTETS = 256
# The same over MQTT, with a connection of its own, and the packets that this takes.
MQTT_OCTETS = 1024
MQTT_PACKETS = 16


def load_file(path):
    """The Config in a JSON file. ConfigError for a file that is missing, not JSON, or wrong."""
    hint = "give a configuration as one JSON object"
    try:
        with open(path) as file:
            obj = json.load(file)
    except OSError:
        raise ConfigError(path, "cannot be read", hint)
    except ValueError:
        raise ConfigError(path, "is not JSON", hint)
    return load(obj)


def load(obj):
    """The Config for a parsed JSON or TOML object. ConfigError if anything in it is wrong."""
    return read(Table(obj, ""))


def read(top):
    """`load` for a Table."""
    device_id, key = read_device(top.table("device"))
    plan = read_plan(top.table("plan"))
    by_class = top.has("classes")
    classes = _classes(top.tables("classes", CLASSES, 2, MAX_CLASSES), plan)
    modem = _modem(top.table("modem"))
    if plan.roaming and modem.bearer == "ppp":
        problem = 'does not go with bearer = "ppp", over which the modem cannot tell where it is registered'
        raise ConfigError("plan.roaming", problem, "leave one of them out")
    upstream = _upstream(top.table("upstream", {}), plan)
    enforcement = top.choice("enforcement", ENFORCEMENTS, "enforce")
    top.end()
    return Config(device_id, key, plan, classes, modem, upstream, enforcement, by_class)


def read_device(table):
    """(id, key) for the table `device`."""
    device_id = table.text("id", 1, 16, NAME)
    key = table.text("key", 64, 64, HEX)
    table.end()
    return device_id, bytes.fromhex(key)


def _saving(table, family):
    """What `ModemSettings.saving` is."""
    active_s = periodic_s = 0
    if family in WITHOUT_PSM:
        reason = "the modems of the family %s have no power saving of the network's" % family
        table.without(("psm", "edrx_s"), reason, "leave it out; a device may switch its modem off while it sleeps")
    if table.has("psm"):
        psm = table.table("psm")
        active_s = psm.integer("active_s", 2, 11_160)
        periodic_s = psm.integer("periodic_s", 60, 35_712_000, 0)
        psm.end()
        if 0 < periodic_s <= active_s:
            raise ConfigError(psm.field("periodic_s"), "is not longer than active_s", "give a longer time, as 12 hours")
    edrx_s = table.integer("edrx_s", 20, 2_621, 0)
    light = table.boolean("light_sleep", False)
    if light and family in WITHOUT_LIGHT_SLEEP:
        problem = "the modems of the family %s have no light sleep by DTR" % family
        raise ConfigError(table.field("light_sleep"), problem, "leave it out")
    return (active_s, periodic_s, edrx_s, light) if active_s or edrx_s or light else None


def _modem(table):
    family = table.choice("family", FAMILIES)
    modem = ModemSettings(
        family,
        table.text("apn", 1, 100, NAME),
        table.boolean("counter", True),
        table.text("pin", 4, 8, DIGITS, None),
        table.boolean("any_sim", False),
        table.choice("bearer", BEARERS, BEARERS[0]),
        _saving(table, family),
        table.text("operator", 5, 6, DIGITS, None),
    )
    table.end()
    if modem.bearer == "ppp" and modem.saving and modem.saving[3]:
        problem = 'does not go with bearer = "ppp", whose line is in use all the time'
        raise ConfigError(table.field("light_sleep"), problem, "leave one of them out")
    return modem


def _classes(tables, plan):
    classes = []
    ranked = []
    for i, table in enumerate(tables):
        name = table.text("name", 1, 16, NAME)
        # Unsigned32 in RFC 8506 section 8.29; here a small int
        rating_group = table.integer("rating_group", 0, 0x3FFFFFFF, i + 1)
        reserve = table.boolean("reserve", False)
        if reserve and table.has("shed_permille"):
            field = table.field("shed_permille")
            raise ConfigError(field, "does not go with reserve", "leave it out: the reserve is never shed")
        if table.has("priority"):
            table.without(("shed_permille",), "does not go with priority", "leave one of the two out")
        priority = table.integer("priority", 0, 7, None)
        shed_permille = table.integer("shed_permille", 1, 1000, 1000)
        paced = table.boolean("pace", True)
        quota = table.integer("quota_octets", 1, MAX_QUOTA, None)
        if reserve and quota:
            raise ConfigError(
                table.field("quota_octets"), "does not go with reserve", "leave it out: reports have to go on"
            )
        table.end()
        for other in classes:
            if other.name == name:
                raise ConfigError(table.field("name"), "is not unique", "give each class its own name")
            if other.rating_group == rating_group:
                raise ConfigError(table.field("rating_group"), "is not unique", "give each class its own")
        classes.append(TrafficClass(name, rating_group, reserve, shed_permille, paced))
        if quota:
            classes[i].quota_octets = quota
        if priority is not None and not reserve:
            ranked.append((priority, classes[i]))
    # The highest priority goes on to the local limit, each lower one is shed a step earlier.
    order = sorted({priority for priority, _ in ranked}, reverse=True)
    for priority, traffic_class in ranked:
        traffic_class.shed_permille = 1000 - SHED_STEP_PERMILLE * order.index(priority)
    if classes[0].uses_reserve:
        raise ConfigError("classes[0].reserve", "is true in the default class", "put another class first")
    if sum(c.uses_reserve for c in classes) != 1:
        raise ConfigError("classes", "need one class for reports", "give reserve: true to exactly one class")
    quotas = sum(each.quota_octets > 0 for each in classes)
    others = 2 if plan.roaming else 1 if plan.hours and plan.hours.octets else 0  # each has a place of its own
    if quotas + others > MAX_QUOTAS:
        most = "give quota_octets to %d at the most" % (MAX_QUOTAS - others)
        raise ConfigError("classes", "have %d quotas" % quotas, most)
    plan.quotas = quotas + others > 0
    return tuple(classes)


def report_octets(plan, upstream):
    """Octets of one report with its acknowledgement, and with what the carrier adds for each packet."""
    packet_octets = plan.rating.per_packet_octets
    if upstream.mqtt:
        return MQTT_OCTETS + MQTT_PACKETS * packet_octets
    return REPORT_OCTETS + 2 * packet_octets


def _mqtt(table):
    mqtt = (
        table.text("prefix", 1, 64, TOPIC, "usageguard"),
        table.text("user", 1, 64, TEXT, ""),
        table.text("password", 1, 64, TEXT, ""),
    )
    table.end()
    if mqtt[2] and not mqtt[1]:
        raise ConfigError(table.field("password"), "is without a user", "give the user as well")
    return mqtt


def _upstream(table, plan):
    mqtt = _mqtt(table.table("mqtt")) if table.has("mqtt") else None
    upstream = UpstreamSettings(
        table.text("host", 1, 63, HOST, None),
        table.integer("port", 1, 65535, 1883 if mqtt else 5683),  # MQTT's; CoAP's, RFC 7252 section 12.6
        table.integer("interval_s", 60, 432000, 3600),  # 5 days: below the horizon of ticks, 6.2 days
        table.text("sms_number", 3, 20, PHONE, None),
        table.integer("max_sms_per_cycle", 0, 255, 10),
        table.text("ntp_host", 1, 63, HOST, None),
        table.boolean("sms_orders", False),
        mqtt,
    )
    table.end()
    cost = report_octets(plan, upstream)
    period_s = longest_period_s(plan.cycle)
    if upstream.host and cost * (period_s // upstream.interval_s) >= plan.local_limit:
        raise ConfigError(
            table.field("interval_s"),
            "reports every %d s may use up all of %d octets" % (upstream.interval_s, plan.local_limit),
            "give %d or more" % min(432000, 2 * cost * period_s // plan.local_limit),
        )
    return upstream
