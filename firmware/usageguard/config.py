"""Checks a configuration and builds the values that the firmware works with.

One validator for the device (JSON) and the host (TOML): it takes the parsed object. It is strict: what it
does not know, it refuses, in one line that names the field, what is wrong and what would be right.
"""

import json

from usageguard.core.cycle import Cycle
from usageguard.core.plan import WARN_PERMILLE, Plan, Rating, TrafficClass
from usageguard.core.settings import Config, Modem, Upstream

FAMILIES = ("quectel",)
EXHAUSTIONS = ("cutoff",)
ENFORCEMENTS = ("enforce", "observe")

CLASSES = (
    {"name": "telemetry", "rating_group": 10},
    {"name": "ota", "rating_group": 20, "shed_permille": 900},
    {"name": "report", "rating_group": 1, "reserve": True},
)

MAX_ALLOWANCE = 1 << 50  # so that no sum of octets comes near the end of a counter
MAX_CLASSES = 8
MAX_WARNINGS = 8  # the ledger keeps them as one octet

# One report with its acknowledgement over CoAP at most, IPv4 headers included: two packets.
REPORT_OCTETS = 256
_LONGEST_CYCLE_S = 31 * 86400

# What a text is made of, and how an error says it
_ALNUM = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGITS = ("0123456789", "digits")
_HEX = ("0123456789abcdefABCDEF", "hex digits")
_HOST = (_ALNUM + ".-", "letters, digits, '.' or '-'")
_NAME = (_ALNUM + "._-", "letters, digits, '.', '_' or '-'")
_PHONE = ("+0123456789", "digits after an optional '+'")

_REQUIRED = object()


class ConfigError(ValueError):
    """One line: `field`, the `problem` with it, and as a `hint` what would be right."""

    def __init__(self, field, problem, hint):
        super().__init__(field + ": " + problem + "; " + hint)
        self.field = field
        self.problem = problem
        self.hint = hint


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
    top = _Table(obj, "")
    device = top.table("device")
    device_id = device.text("id", 1, 16, _NAME)
    key = device.text("key", 64, 64, _HEX)
    device.end()
    plan = _plan(top.table("plan"))
    classes = _classes(top.array("classes", CLASSES, 2, MAX_CLASSES))
    modem = _modem(top.table("modem"))
    upstream = _upstream(top.table("upstream", {}), plan)
    enforcement = top.choice("enforcement", ENFORCEMENTS, "enforce")
    top.end()
    return Config(device_id, bytes.fromhex(key), plan, classes, modem, upstream, enforcement)


def _modem(table):
    modem = Modem(
        table.choice("family", FAMILIES),
        table.text("apn", 1, 100, _NAME),
        table.boolean("counter", True),
        table.text("pin", 4, 8, _DIGITS, None),
    )
    table.end()
    return modem


def _plan(table):
    allowance = table.integer("allowance_octets", 1, MAX_ALLOWANCE)
    exhaustion = table.choice("on_exhaustion", EXHAUSTIONS, "cutoff")
    cycle = Cycle(
        table.integer("cycle_start_day", 1, 31, 1),
        table.integer("utc_offset_min", -720, 840, 480),  # zones from UTC-12 to UTC+14; UTC+8 is China's
    )
    warn_permille = table.array("warn_permille", WARN_PERMILLE, 0, MAX_WARNINGS)
    last = 0
    for i, permille in enumerate(warn_permille):
        last = _integer(permille, table.field("warn_permille") + _index(i), last + 1, 1000)
    sub = table.table("rating", {})
    rating = Rating(
        sub.integer("per_packet_octets", 0, 1500, 0),
        sub.integer("session_round_octets", 0, 1 << 20, 0),
        sub.integer("margin_permille", 0, 1000, 0),
    )
    sub.end()
    plan = Plan(
        allowance,
        cycle,
        rating,
        exhaustion,
        tuple(warn_permille),
        table.integer("margin_octets", 0, MAX_ALLOWANCE, None),
        table.integer("reserve_octets", 0, MAX_ALLOWANCE, None),
    )
    table.end()
    if plan.local_limit < plan.usable_min():
        needed = plan.margin_octets + plan.reserve_octets + plan.usable_min()
        raise ConfigError(
            table.field("allowance_octets"),
            "%d leaves no usable quota beyond margin %d and reserve %d"
            % (allowance, plan.margin_octets, plan.reserve_octets),
            # 2 % more, as defaults of margin and reserve grow by 0.5 % each
            "give %d or more, or a smaller margin_octets or reserve_octets" % (needed + needed // 50),
        )
    return plan


def _classes(items):
    classes = []
    for i, item in enumerate(items):
        table = _Table(item, "classes" + _index(i))
        name = table.text("name", 1, 16, _NAME)
        # Unsigned32 in RFC 8506 section 8.29; here a small int
        rating_group = table.integer("rating_group", 0, 0x3FFFFFFF)
        reserve = table.boolean("reserve", False)
        if reserve and "shed_permille" in item:
            field = table.field("shed_permille")
            raise ConfigError(field, "does not go with reserve", "leave it out: the reserve is never shed")
        shed_permille = table.integer("shed_permille", 1, 1000, 1000)
        table.end()
        for other in classes:
            if other.name == name:
                raise ConfigError(table.field("name"), "is there twice", "give each class its own name")
            if other.rating_group == rating_group:
                raise ConfigError(table.field("rating_group"), "is there twice", "give each class its own")
        classes.append(TrafficClass(name, rating_group, reserve, shed_permille))
    if classes[0].uses_reserve:
        raise ConfigError("classes[0].reserve", "is true in the default class", "put another class first")
    if sum(c.uses_reserve for c in classes) != 1:
        raise ConfigError("classes", "need one class for reports", "give reserve: true to exactly one class")
    return tuple(classes)


def _upstream(table, plan):
    upstream = Upstream(
        table.text("host", 1, 63, _HOST, None),
        table.integer("port", 1, 65535, 5683),  # CoAP's, RFC 7252 section 12.6
        table.integer("interval_s", 60, 432000, 3600),  # 5 days: below the horizon of ticks, 6.2 days
        table.text("sms_number", 3, 20, _PHONE, None),
        table.integer("max_sms_per_cycle", 0, 255, 10),
    )
    table.end()
    cost = REPORT_OCTETS + 2 * plan.rating.per_packet_octets
    if upstream.host and cost * (_LONGEST_CYCLE_S // upstream.interval_s) >= plan.local_limit:
        raise ConfigError(
            table.field("interval_s"),
            "reports every %d s may use up all of %d octets" % (upstream.interval_s, plan.local_limit),
            "give %d or more" % min(432000, 2 * cost * _LONGEST_CYCLE_S // plan.local_limit),
        )
    return upstream


def _index(i):
    return "[" + str(i) + "]"


def _shown(value):
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def _integer(value, field, low, high):
    hint = "give an integer from %d to %d" % (low, high)
    if type(value) is not int:  # a bool is an int on CPython
        raise ConfigError(field, _shown(value) + " is not an integer", hint)
    if not low <= value <= high:
        problem = " is out of range" if value >= 0 else " is negative"
        raise ConfigError(field, _shown(value) + problem, hint)
    return value


class _Table:
    """Takes the known fields out of a table one by one; `end` refuses what is left."""

    def __init__(self, obj, path):
        if not isinstance(obj, dict):
            raise ConfigError(path or "configuration", _shown(obj) + " is no table", "give names with values")
        self._obj = obj
        self._path = path
        self._known = []

    def field(self, name):
        return self._path + "." + name if self._path else name

    def end(self):
        for name in self._obj:
            if name not in self._known:
                raise ConfigError(self.field(name), "is unknown", "known are " + ", ".join(self._known))

    def integer(self, name, low, high, default=_REQUIRED):
        hint = "give an integer from %d to %d" % (low, high)
        if not self._given(name, default, hint):
            return default
        return _integer(self._obj[name], self.field(name), low, high)

    def text(self, name, shortest, longest, alphabet, default=_REQUIRED):
        # The value is not shown: it may be a secret.
        characters, description = alphabet
        span = str(longest) if shortest == longest else "%d to %d" % (shortest, longest)
        hint = "give %s %s" % (span, description)
        if not self._given(name, default, hint):
            return default
        value = self._obj[name]
        if not isinstance(value, str):
            raise ConfigError(self.field(name), "is not a string", hint)
        if not shortest <= len(value) <= longest:
            raise ConfigError(self.field(name), "has %d characters" % len(value), hint)
        for i, character in enumerate(value):
            if character not in characters or (character == "+" and i):
                raise ConfigError(self.field(name), "has a character that cannot stand there", hint)
        return value

    def choice(self, name, choices, default=_REQUIRED):
        hint = "give one of: " + ", ".join(choices)
        if not self._given(name, default, hint):
            return default
        value = self._obj[name]
        if value not in choices:
            raise ConfigError(self.field(name), _shown(value) + " is not known", hint)
        return value

    def boolean(self, name, default):
        hint = "give true or false"
        if not self._given(name, default, hint):
            return default
        value = self._obj[name]
        if not isinstance(value, bool):
            raise ConfigError(self.field(name), _shown(value) + " is neither", hint)
        return value

    def table(self, name, default=_REQUIRED):
        self._given(name, default, "give a table of that name")
        return _Table(self._obj.get(name, default), self.field(name))

    def array(self, name, default, shortest, longest):
        hint = "give a list of %d to %d" % (shortest, longest)
        if not self._given(name, default, hint):
            return default
        value = self._obj[name]
        if not isinstance(value, (list, tuple)):
            raise ConfigError(self.field(name), _shown(value) + " is not a list", hint)
        if not shortest <= len(value) <= longest:
            raise ConfigError(self.field(name), "has %d entries" % len(value), hint)
        return value

    def _given(self, name, default, hint):
        self._known.append(name)
        if name in self._obj:
            return True
        if default is _REQUIRED:
            raise ConfigError(self.field(name), "is missing", hint)
        return False
