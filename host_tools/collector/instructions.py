"""Orders as people write them, such as `limit=5MB`, in the words of the device."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from host_tools.base.days import day_number, instant
from host_tools.base.errors import UsageError
from host_tools.base.units import Octets
from host_tools.collector.order import MAX_CLASSES, Allowance, Balance, CarrierUsed, Order, SetUsed
from host_tools.collector.store import Received

AsOf = Callable[[datetime], Received | None]
"""The device's newest report that had arrived at a time: Store.as_of of one device."""

PLAN = "plan"
NOTHING = "none"
AUTO = "auto"
_UNKNOWN = 0  # cycle_id (SPEC.md, "Report")


@dataclass(frozen=True)
class About:
    """The device that an order is for: its newest report, earlier ones, and the time."""

    latest: Received
    as_of: AsOf
    now: datetime

    @property
    def cycle_id(self) -> int:
        cycle = self.latest.report.cycle_id
        if cycle == _UNKNOWN:
            raise ValueError("the device does not know its period yet: wait for a report after it has the time")
        return cycle


@dataclass(frozen=True)
class Instruction:
    """One kind of order. `value`: what its value is, "" for none; `keys`: those of the Order, by the value."""

    value: str
    help: str
    keys: Callable[[str, About], dict[str, Any]]


def _plain(**keys: Any) -> Callable[[str, About], dict[str, Any]]:
    return lambda value, about: keys


def _octets(value: str) -> int:
    return Octets.parse(int(value) if value.isdecimal() else value)


def _day(value: str) -> int:
    try:
        return day_number(date.fromisoformat(value))
    except ValueError:
        raise ValueError(f'"{value}" is not a date; write it as in "2026-12-31"') from None


def _fen(value: str) -> int:
    try:
        fen = Decimal(value) * 100
        if fen == int(fen):
            return int(fen)
        raise ValueError
    except (ArithmeticError, ValueError):
        raise ValueError(f'"{value}" is not a sum; write yuan, as in "12.50" or "-3"') from None


def _allowance(following: int) -> Callable[[str, About], dict[str, Any]]:
    def keys(value: str, about: About) -> dict[str, Any]:
        return {"allowance": Allowance(about.cycle_id, _or_plan(_octets, value), following)}

    return keys


def _balance(value: str, about: About) -> dict[str, Any]:
    """The device takes off what it has cost since: the sum has what it has reported to have cost."""
    return {"balance": Balance(about.cycle_id, _fen(value), about.latest.report.cost_fen)}


def moment(text: str) -> datetime:
    """A time as people write it, in UTC. ValueError with a sentence for people."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo:
            return at.astimezone(UTC)
    except (OverflowError, ValueError):
        raise ValueError(f'"{text}" is not a time; write it as in "2026-12-31T08:00+08:00"') from None
    raise ValueError(f'"{text}" has no zone; write it as in "2026-12-31T08:00+08:00"')


def _carrier_used(value: str, about: About) -> dict[str, Any]:
    amount, _, when = value.partition("@")
    at = about.now
    if when:
        at = moment(when)
        if at > about.now:
            raise ValueError(f'"{when}" is in the future')
    then = about.as_of(at)
    if then is None or then.report.cycle_id != about.cycle_id:
        raise ValueError(f"no report of the device's present period had arrived at {at:%Y-%m-%d %H:%M %Z}".rstrip())
    figure = CarrierUsed(about.cycle_id, _octets(amount), *instant(at.astimezone(UTC)), then.report.rated_octets)
    return {"carrier_used": figure}


def _or_plan(parse: Callable[[str], int], value: str) -> int:
    """0 for `plan`. ValueError for another 0, which would lift what it seems to set."""
    if value == PLAN:
        return 0
    if parsed := parse(value):
        return parsed
    raise ValueError('0 is no value of its own; write "plan" to go back to the plan, or order "stop"')


def _limit(value: str, about: About) -> dict[str, Any]:
    return {"limit": _or_plan(_octets, value)}


def _throttle(value: str, about: About) -> dict[str, Any]:
    return {"throttle": _or_plan(_octets, value)}


def _expiry(value: str, about: About) -> dict[str, Any]:
    return {"expiry": _or_plan(_day, value)}


def _used(value: str, about: About) -> dict[str, Any]:
    return {"set_used": SetUsed(about.cycle_id, _octets(value))}


def _new_sim(value: str, about: About) -> dict[str, Any]:
    return {"new_sim": _octets(value)}


def _billing(value: str, about: About) -> dict[str, Any]:
    return {"billing": _day(value)}


def _hold(value: str, about: About) -> dict[str, Any]:
    if value == NOTHING:
        return {"hold": 0}
    try:
        places = {int(each) for each in value.split(",")}
    except ValueError:
        places = {0}
    if min(places) < 1 or max(places) > MAX_CLASSES:
        hint = f'write their places in the device\'s configuration, 1 to {MAX_CLASSES}, as in "2,3", or "{NOTHING}"'
        raise ValueError(f'"{value}" is no list of classes; {hint}')
    return {"hold": sum(1 << place - 1 for place in places)}


def _operator(value: str, about: About) -> dict[str, Any]:
    if value == AUTO:
        return {"operator": 0}
    if not re.fullmatch(r"[0-9]{5}|[1-9][0-9]{5}", value) or not int(value):
        raise ValueError(f'"{value}" is no operator\'s number; write it as in "46001", or "{AUTO}"')
    return {"operator": int(value)}


INSTRUCTIONS = {
    "stop": Instruction("", "stop all data but reports", _plain(stop=1)),
    "resume": Instruction("", "end a stop by hand", _plain(stop=0)),
    "limit": Instruction("SIZE|plan", "a limit of the owner's own, below the plan's", _limit),
    "allowance": Instruction("SIZE|plan", "the allowance of this period alone, as after a top-up", _allowance(0)),
    "next-allowance": Instruction("SIZE|plan", "the allowance of every later period", _allowance(1)),
    "throttle": Instruction("SIZE|plan", "slow applications down to so much a second", _throttle),
    "expiry": Instruction("DATE|plan", "the package ends with the start of this local day", _expiry),
    "balance": Instruction("YUAN", "the account's balance as it is now; below 0 in arrears", _balance),
    "carrier-used": Instruction("SIZE[@TIME]", "the carrier's figure for this period, as of a time", _carrier_used),
    "used": Instruction("SIZE", "correct the device's own figure for this period", _used),
    "accept": Instruction("", "the device's counts are right, after it has lost its ledger", _plain(accept=1)),
    "release": Instruction("", "end the hold of the burst guard", _plain(release=1)),
    "hold": Instruction(
        "CLASS,…|none", "hold these traffic classes and no others, by their places in the configuration", _hold
    ),
    "diagnose": Instruction("", "report at once, with why the device is offline", _plain(diagnose=1)),
    "report-now": Instruction("", "report at once, with all that a report can have", _plain(report_now=1)),
    "operator": Instruction(
        "NUMBER|auto", "try this operator at once, and again where none serves the device; until it restarts", _operator
    ),
    "new-sim": Instruction("SIZE", "another SIM was put in, which has used so much in this period", _new_sim),
    "billing": Instruction("DATE", "the SIM has been billed since this local day", _billing),
}


def split(text: str) -> tuple[str, str]:
    """The name of an instruction, and its value. UsageError where there is no such one, or it has another value."""
    name, equals, value = text.partition("=")
    known = INSTRUCTIONS.get(name)
    if known is None:
        raise UsageError("order", text, "is not an order", f"use one of {', '.join(INSTRUCTIONS)}")
    if known.value and not value:
        raise UsageError("order", text, "has no value", f"write {name}={known.value}")
    if equals and not known.value:
        raise UsageError("order", text, "takes no value", f"write {name}")
    return name, value


def order(text: str, about: About) -> Order:
    """The order that `text` is for a device; it has no counter of its own yet. UsageError where it is none."""
    name, value = split(text)
    device = about.latest.device
    try:
        wanted = Order(counter=1, **INSTRUCTIONS[name].keys(value, about))
    except ValueError as error:
        raise UsageError(f"order {name}", device, str(error)) from None
    try:
        return wanted.checked()
    except ValueError:
        raise UsageError(f"order {name}", device, f'"{value}" is beyond what a device takes', "see SPEC.md") from None
