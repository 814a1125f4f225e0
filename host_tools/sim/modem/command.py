"""How the parts of the modem declare their commands, parameters and settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE
from host_tools.sim.modem.port import Port, Reply

Handler = Callable[[tuple[str, ...]], Any]
"""Takes the parameters, returns a `Reply` or PENDING."""


class Entry(NamedTuple):
    """The four forms of one command, each a handler or None, and where the manual describes it."""

    forms: tuple[Handler | None, Handler | None, Handler | None, Handler | None]
    manual: str
    needs_sim: bool


def command(
    name: str, form: int, *, test: str | None = None, manual: str = "", sim: bool = False
) -> Callable[[Any], Any]:
    """Declares the decorated method as one form of the command.

    `test` is the answer to the test form ("" answers OK alone), in which {sockets.count} and alike stand for a
    figure of the profile; `manual` is the clause. With `sim` the command fails with the SIM's error until the SIM is
    ready.
    """

    def declare(method: Any) -> Any:
        method.__dict__.setdefault("commands", []).append((name, form, test, manual, sim))
        return method

    return declare


class Part:
    """One function of the modem: declares commands and settings; the device starts and stops it."""

    settings: tuple[Setting, ...] = ()

    def __init__(self, port: Port) -> None:
        self.port = port
        self.clock = port.clock
        self.profile = port.profile

    def start(self) -> None:
        """Called at boot; whatever is not in non-volatile memory gets its default."""

    def stop(self) -> None:
        """Called when power is lost and before a reboot; what `port.after` scheduled is cancelled."""

    def entries(self) -> Iterator[tuple[str, Entry]]:
        """Every command of this part, by name."""
        forms: dict[str, list[Handler | None]] = {}
        about: dict[str, tuple[str, bool]] = {}
        for attribute, commands in _declared(type(self)):
            for name, form, test, manual, sim in commands:
                row = forms.setdefault(name, [None] * 4)
                row[form] = getattr(self, attribute)
                if test is not None:
                    row[TEST] = _answer(f"{name}: {test.format(sockets=self.profile.sockets)}" if test else None)
                old = about.get(name, ("", False))
                about[name] = (manual or old[0], sim or old[1])
        for declared in self.settings:
            ranges = self.profile.ranges.get(declared.name, declared.ranges)
            setting = declared._replace(ranges=ranges)
            row = forms.setdefault(setting.name, [None] * 4)
            writer = Writer(self.port, setting)
            if setting.name[0] == "+":
                row[TEST] = row[TEST] or _answer(f"{setting.name}: {setting.ranges}")
                row[READ] = row[READ] or _Reader(self.port, setting)
                row[WRITE] = row[WRITE] or writer
            elif setting.name[0] == "S":
                row[READ] = _RegisterReader(self.port, setting)
                row[WRITE] = writer
            else:
                row[EXEC] = writer.basic
            about[setting.name] = (setting.manual, about.get(setting.name, ("", False))[1])
        for name, row in forms.items():
            yield name, Entry((row[EXEC], row[READ], row[TEST], row[WRITE]), *about[name])


@cache
def _declared(part: type[Part]) -> tuple[tuple[str, list[Any]], ...]:
    """The attributes of a part that `command` has declared, and as what."""
    methods = ((attribute, getattr(part, attribute)) for attribute in dir(part))
    return tuple((attribute, method.commands) for attribute, method in methods if hasattr(method, "commands"))


class _Reader:
    __slots__ = ("name", "port")

    def __init__(self, port: Port, setting: Setting) -> None:
        self.port = port
        self.name = setting.name

    def __call__(self, args: tuple[str, ...]) -> Reply:
        return f"{self.name}: {self.port.nvm.values[self.name]}"


class _RegisterReader(_Reader):
    def __call__(self, args: tuple[str, ...]) -> Reply:
        return f"{int(self.port.nvm.values[self.name]):03}"  # V.250 5.3.2: three digits


class Writer:
    """Checks parameters against the ranges and stores them."""

    __slots__ = ("name", "port", "quoted", "ranges")

    def __init__(self, port: Port, setting: Setting) -> None:
        self.port = port
        self.name = setting.name
        self.ranges = parse_ranges(setting.ranges)
        self.quoted = tuple(_is_text(allowed) for allowed in self.ranges)

    def __call__(self, args: tuple[str, ...]) -> Reply:
        """Replaces the parameters that are given; an omitted one keeps its value (V.250 5.4.3.2)."""
        if not fits(self.ranges, args):
            raise self.port.bad_parameter()
        values = split_values(self.port.nvm.values[self.name])
        for i, arg in enumerate(args):
            if arg:
                values[i : i + 1] = [f'"{arg}"' if self.quoted[i] else arg]
        self.port.nvm.store(self.name, ",".join(values))
        return None

    def basic(self, args: tuple[str, ...]) -> Reply:
        """`ATE`: a missing number is 0 (V.250 5.3.1)."""
        return self((args[0] or "0",))


@cache
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


def fits(ranges: tuple[Any, ...], args: Sequence[str]) -> bool:
    """Whether the parameters, without quotes, are in the ranges; an omitted one is."""
    return len(args) <= len(ranges) and all(
        not arg or allowed is None or (arg if _is_text(allowed) else _number(arg)) in allowed
        for arg, allowed in zip(args, ranges, strict=False)
    )


def _is_text(allowed: Any) -> bool:
    return allowed is None or isinstance(next(iter(allowed), 0), str)


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
