"""Reads the fields of a parsed JSON or TOML object and refuses every field that no caller has read, in one line."""

from usageguard.core.cycle import days_from_civil

# What a text is made of, and how an error says it
ALNUM = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = ("0123456789", "digits")
HEX = ("0123456789abcdefABCDEF", "hex digits")
HOST = (ALNUM + ".-", "letters, digits, '.' or '-'")
CLOCK = ("0123456789:", "characters as in 23:00")
NAME = (ALNUM + "._-", "letters, digits, '.', '_' or '-'")
TOPIC = (ALNUM + "._-/", "letters, digits, '.', '_', '-' or '/'")
TEXT = (ALNUM + " !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "ASCII characters")
PHONE = ("+0123456789", "digits after an optional '+'")

_REQUIRED = object()


class ConfigError(ValueError):
    """One line: `field`, the `problem` with it, and as a `hint` what would be right."""

    def __init__(self, field, problem, hint):
        super().__init__(field + ": " + problem + "; " + hint)
        self.field = field
        self.problem = problem
        self.hint = hint


def index(i):
    return "[" + str(i) + "]"


def _shown(value):
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."


def check_integer(value, field, low, high):
    hint = "give an integer from %d to %d" % (low, high)
    if type(value) is not int:  # a bool is an int on CPython
        raise ConfigError(field, _shown(value) + " is not an integer", hint)
    if not low <= value <= high:
        problem = " is out of range" if value >= 0 else " is negative"
        raise ConfigError(field, _shown(value) + problem, hint)
    return value


class Table:
    """Reads the known fields of a table one by one; `end` refuses the others.

    Every method checks one field, with its range and default, and raises ConfigError.
    """

    def __init__(self, obj, path):
        if not isinstance(obj, dict):
            raise ConfigError(path or "configuration", _shown(obj) + " is not a table", "give names with values")
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
        return check_integer(self._obj[name], self.field(name), low, high)

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
            if character not in characters or (character == "+" and i and alphabet is PHONE):
                raise ConfigError(self.field(name), "has a character that is not allowed", hint)
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
            raise ConfigError(self.field(name), _shown(value) + " is not true or false", hint)
        return value

    def table(self, name, default=_REQUIRED):
        self._given(name, default, "give a table of that name")
        return type(self)(self._obj.get(name, default), self.field(name))

    def tables(self, name, default, shortest, longest):
        """The tables of a list of tables."""
        items = self.array(name, default, shortest, longest)
        return [type(self)(item, self.field(name) + index(i)) for i, item in enumerate(items)]

    def date(self, name, default=_REQUIRED):
        """Day number of an ISO 8601 date."""
        hint = 'give a date as in "2026-03-15"'
        if not self._given(name, default, hint):
            return default
        value = self._obj[name]
        try:
            year, month, day = [int(part) for part in value.split("-")]
            if year >= 2000 and value == "%04d-%02d-%02d" % (year, month, day):
                return days_from_civil(year, month, day)
        except (AttributeError, TypeError, ValueError):
            pass
        raise ConfigError(self.field(name), _shown(value) + " is not a date", hint)

    def steps(self, name, default, longest, low, high, falling=False):
        """A tuple of integers, each greater (`falling`: smaller) than the one before."""
        values = self.array(name, default, 0, longest)
        for i, value in enumerate(values):
            at = self.field(name) + index(i)
            if i and not falling:
                low = values[i - 1] + 1
            elif i:
                high = values[i - 1] - 1
            check_integer(value, at, low, high)
        return tuple(values)

    def has(self, name):
        """Whether it is given; it is known from now on."""
        return self._given(name, None, "")

    def without(self, names, reason, hint):
        """Refuses each of `names`."""
        for name in names:
            if name in self._obj:
                raise ConfigError(self.field(name), reason, hint)

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
        if name not in self._known:
            self._known.append(name)
        if name in self._obj:
            return True
        if default is _REQUIRED:
            raise ConfigError(self.field(name), "is missing", hint)
        return False
