"""How the parts of the modem declare their commands, parameters, results and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE

if TYPE_CHECKING:
    from host_tools.sim.modem.device import SimModem

OK = "OK"
CONNECT = "CONNECT"
NO_CARRIER = "NO CARRIER"
ERROR = "ERROR"

# What a handler gives: nothing, one line or several; `PENDING` when `SimModem.finish` comes later.
Reply = str | list[str] | bytes | None
Handler = Callable[[tuple[str, ...]], Any]
PENDING: Any = object()


class AtError(Exception):
    """Ends a command with ERROR."""

    def final(self, level: int) -> str:
        """The final result code at the +CMEE level."""
        return ERROR


class CmeError(AtError):
    """Ends a command with +CME ERROR (3GPP TS 27.007 clause 9.2), or ERROR at level 0."""

    def __init__(self, code: int) -> None:
        self.code = code

    def final(self, level: int) -> str:
        if level == 0:
            return ERROR
        return f"+CME ERROR: {CME.get(self.code, 'unknown') if level == 2 else self.code}"


class CmsError(AtError):
    """Ends a command with +CMS ERROR (3GPP TS 27.005 clause 3.2.5), as text at level 2."""

    def __init__(self, code: int) -> None:
        self.code = code

    def final(self, level: int) -> str:
        return f"+CMS ERROR: {CMS.get(self.code, 'unknown error') if level == 2 else self.code}"


class Entry(NamedTuple):
    """The four forms of one command, each a handler or None, and where the manual describes it."""

    forms: tuple[Handler | None, Handler | None, Handler | None, Handler | None]
    manual: str
    needs_sim: bool


def command(
    name: str, form: int, *, test: str | None = None, manual: str = "", sim: bool = False
) -> Callable[[Any], Any]:
    """Declares the decorated method as one form of the command.

    `test` is the answer to the test form ("" answers OK alone), `manual` the clause, `sim` True where the
    command fails with the SIM's own error as long as the SIM is not ready.
    """

    def declare(method: Any) -> Any:
        method.__dict__.setdefault("commands", []).append((name, form, test, manual, sim))
        return method

    return declare


class Setting(NamedTuple):
    """A command that only keeps parameters.

    `ranges` is the answer to the test form and what a write is checked against. `keep` says what outlives a
    power-down: "" nothing, "profile" what AT&W stored, "auto" every write at once.
    """

    name: str
    ranges: str
    default: str
    manual: str
    keep: str = ""


class Part:
    """One room of the modem: declares commands and settings, is told of power and resets."""

    settings: tuple[Setting, ...] = ()

    def __init__(self, modem: SimModem) -> None:
        self.modem = modem
        self.clock = modem.clock
        self.profile = modem.profile

    def start(self) -> None:
        """The modem boots; whatever is not in non-volatile memory has its default."""

    def stop(self) -> None:
        """The modem lost power or reboots; nothing scheduled by `modem.after` happens any more."""

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every command of this part, by name."""
        forms: dict[str, list[Handler | None]] = {}
        about: dict[str, tuple[str, bool]] = {}
        for attribute in dir(type(self)):
            method = getattr(type(self), attribute)
            for name, form, test, manual, sim in getattr(method, "commands", ()):
                row = forms.setdefault(name, [None] * 4)
                row[form] = getattr(self, attribute)
                if test is not None:
                    row[TEST] = _answer(f"{name}: {test}" if test else None)
                old = about.get(name, ("", False))
                about[name] = (manual or old[0], sim or old[1])
        for setting in self.settings:
            row = forms.setdefault(setting.name, [None] * 4)
            writer = Writer(self.modem, setting)
            if setting.name[0] == "+":
                row[TEST] = row[TEST] or _answer(f"{setting.name}: {setting.ranges}")
                row[READ] = row[READ] or _Reader(self.modem, setting)
                row[WRITE] = row[WRITE] or writer
            elif setting.name[0] == "S":
                row[READ] = _RegisterReader(self.modem, setting)
                row[WRITE] = writer
            else:
                row[EXEC] = writer.basic
            about[setting.name] = (setting.manual, about.get(setting.name, ("", False))[1])
        for name, row in forms.items():
            yield name, Entry((row[EXEC], row[READ], row[TEST], row[WRITE]), *about[name])


class _Reader:
    __slots__ = ("modem", "name")

    def __init__(self, modem: SimModem, setting: Setting) -> None:
        self.modem = modem
        self.name = setting.name

    def __call__(self, args: tuple[str, ...]) -> Reply:
        return f"{self.name}: {self.modem.nvm.values[self.name]}"


class _RegisterReader(_Reader):
    def __call__(self, args: tuple[str, ...]) -> Reply:
        return f"{int(self.modem.nvm.values[self.name]):03}"  # V.250 5.3.2: three digits


class Writer:
    """Checks parameters against the ranges and stores them."""

    __slots__ = ("checks", "modem", "name", "quoted")

    def __init__(self, modem: SimModem, setting: Setting) -> None:
        self.modem = modem
        self.name = setting.name
        self.checks = parse_ranges(setting.ranges)
        self.quoted = tuple(check is None or isinstance(next(iter(check), 0), str) for check in self.checks)

    def __call__(self, args: tuple[str, ...]) -> Reply:
        """Replaces the parameters that are given; an omitted one keeps its value (V.250 5.4.3.2)."""
        values = split_values(self.modem.nvm.values[self.name])
        if len(args) > len(self.checks):
            raise self.modem.bad_parameter()
        for i, arg in enumerate(args):
            if arg:
                check = self.checks[i]
                if check is not None and (arg if self.quoted[i] else _number(arg)) not in check:
                    raise self.modem.bad_parameter()
                values[i : i + 1] = [f'"{arg}"' if self.quoted[i] else arg]
        self.modem.nvm.store(self.name, ",".join(values))
        return None

    def basic(self, args: tuple[str, ...]) -> Reply:
        """`ATE`: a missing number is 0 (V.250 5.3.1)."""
        return self((args[0] or "0",))


def parse_ranges(text: str) -> tuple[Any, ...]:
    """`(0-2),(0,1),("GSM","IRA"),(any)` as containers of what is allowed; None allows any string."""
    checks: list[Any] = []
    for group in text.strip("()").split("),("):
        if group == "any":
            checks.append(None)
        elif group.startswith('"'):
            checks.append(frozenset(part.strip('"') for part in group.split(",")))
        else:
            allowed: list[int] = []
            for part in group.split(","):
                first, _, last = part.partition("-")
                if last and "," not in group:
                    checks.append(range(int(first), int(last) + 1))
                    break
                allowed.extend(range(int(first), int(last or first) + 1))
            else:
                checks.append(frozenset(allowed))
    return tuple(checks)


def split_values(text: str) -> list[str]:
    """A stored parameter list at its commas outside quotes, quotes kept."""
    parts, quoted = [""], False
    for char in text:
        quoted ^= char == '"'
        if char == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 11 else -1


def _answer(line: str | None) -> Handler:
    return lambda args: line


# 3GPP TS 27.007 clause 9.2 and, from 50 on, the texts of the Quectel manuals.
CME = {
    0: "phone failure",
    3: "operation not allowed",
    4: "operation not supported",
    10: "SIM not inserted",
    11: "SIM PIN required",
    12: "SIM PUK required",
    13: "SIM failure",
    14: "SIM busy",
    15: "SIM wrong",
    16: "incorrect password",
    20: "memory full",
    21: "invalid index",
    22: "not found",
    25: "invalid characters in text string",
    30: "no network service",
    31: "network timeout",
    32: "network not allowed - emergency calls only",
    50: "incorrect parameters",
    58: "invalid command line",
    100: "unknown",
    103: "illegal MS",
    106: "illegal ME",
    107: "GPRS services not allowed",
    111: "PLMN not allowed",
    112: "Location area not allowed",
    113: "Roaming not allowed in this location area",
    126: "insufficient resources",
    127: "missing or unknown APN",
    128: "unknown PDP address or PDP type",
    129: "user authentication failed",
    130: "activation rejected by GGSN, Serving GW or PDN GW",
    131: "activation rejected, unspecified",
    132: "service option not supported",
    133: "requested service option not subscribed",
    134: "service option temporarily out of order",
    148: "unspecified GPRS error",
    149: "PDP authentication failure",
    171: "last PDN disconnection not allowed",
    177: "operator determined barring",
}

# 3GPP TS 27.005 clause 3.2.5.
CMS = {
    38: "Network out of order",
    300: "ME failure",
    301: "SMS service of ME reserved",
    302: "operation not allowed",
    303: "operation not supported",
    304: "invalid PDU mode parameter",
    305: "invalid text mode parameter",
    310: "SIM not inserted",
    311: "SIM PIN required",
    312: "PH-SIM PIN required",
    313: "SIM failure",
    314: "SIM busy",
    316: "SIM PUK required",
    320: "memory failure",
    321: "invalid memory index",
    322: "memory full",
    330: "SMSC address unknown",
    331: "no network service",
    332: "network timeout",
    500: "unknown error",
}
