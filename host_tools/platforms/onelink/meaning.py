"""What OneLink's texts and digits mean, and which digits say what is wanted. ValueError: a text that means nothing."""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal, InvalidOperation

from host_tools.platforms.interface import Life, Problem, Progress

CHINA = timezone(timedelta(hours=8))  # of every date and time; none names its zone
KB, MB = 1024, 1024**2
PB, CT = "OneLink-PB", "OneLink-CT"
DATA_SERVICE = "11"

OF_SIM = "3"  # 23R00: what is ordered for a SIM, not a customer or a group

OK = "0"
TOKEN_INVALID = "12021"
CREDENTIALS = frozenset({"12022", "12004"})
UNKNOWN_SIM = frozenset({"12009", "12010"})
BUSY = frozenset({"19010", "500"})  # also what an internal fault is called: it may have been done or not
ACCEPTED = "13012"  # beside "0", of a single change: it is in work
REMEDIES = {
    "11000": "this is a fault of this program: report it",
    "12004": "check appid and password",
    "12009": "the SIM is another customer's",
    "12010": "check the number",
    "12022": "check appid and password",
    "12034": "the group is another customer's",
    "12089": "the SIM is in no state for this",
    "12098": "the present stop is not the customer's: see its reasons",
    "12099": "renew the SIM's package",
    "12100": "top the plan up, or wait for the next month",
}

# The digits of one change differ between the single function and the batch; so does the polarity of on and off.
STOP_ONE, RESUME_ONE = "0", "1"  # 23S03
STOP_MANY, RESUME_MANY = "9", "11"  # 23S06: active to stopped, stopped to active
REASON_MANY = "01"  # 23S06 wants one with 9 and 11
APN_ON, APN_OFF = "0", "1"  # 23M05 to 23M07
PAUSE_MANY, RESTART_MANY = "0", "1"  # 23M09
ADD, DELETE, ALTER = "1", "2", "3"  # 23E04
ALARM_ADD, ALARM_REMOVE = "0", "1"  # 23A03
STOP_AT_CAP = "1"  # 23E04: beyond it, stop data
SPEEDS = {None: "1", 2_000_000: "91", 1_000_000: "92", 512_000: "93", 128_000: "94"}  # 23M04, bit/s

_LIVES = {
    PB: {
        "00": Life.ACTIVE, "01": Life.STOPPED, "02": Life.STOPPED, "03": Life.GONE, "04": Life.GONE, "05": Life.GONE,
        "06": Life.SILENT, "07": Life.SILENT, "99": Life.GONE,
    },
    CT: {
        "1": Life.SILENT, "2": Life.ACTIVE, "4": Life.STOPPED, "6": Life.TEST, "7": Life.STOCK, "8": Life.GONE,
        "9": Life.GONE,
    },
}  # fmt: skip
STOPPED = {PB: ("01", "02"), CT: ("4",)}

_REASONS = {
    0: "product-expired",  # of narrow-band products
    1: "imei-separation",
    3: "m2m-management",
    4: "credit-control",
    8: "customer",
    9: "region",
    10: "forced",
}
_IN_FORCE = "2"

_JOBS = {
    "0": Progress.WAITING,
    "1": Progress.RUNNING,
    "2": Progress.DONE,
    "3": Progress.DONE,  # with failures, which are listed
    "4": Progress.FAILED,
}
_ORDERS = {
    **dict.fromkeys(("acknowledged", "ready", "future"), Progress.WAITING),
    **dict.fromkeys(("inProgress", "amending", "suspended", "cancelling"), Progress.RUNNING),
    "completed": Progress.DONE,
    **dict.fromkeys(("failed", "aborted", "cancelled"), Progress.FAILED),
}


def is_none(text: object) -> bool:
    """Whether a field has no value: one blank, or, as nobody promises that, nothing at all."""
    return text is None or (isinstance(text, str) and not text.strip())


def octets(text: object, unit: int) -> int | None:
    """Octets of an amount; None where there is none. A part of an octet counts as one."""
    if is_none(text):
        return None
    try:
        amount = Decimal(str(text).strip())
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount") from None
    if not amount.is_finite() or amount < 0 or amount > 1 << 53:
        raise ValueError(f"{text!r} is not an amount")
    return math.ceil(amount * unit)


def megabytes(count: int) -> str:
    """Whole megabytes of a limit, rounded down. ValueError for less than one."""
    if count < MB:
        raise ValueError("OneLink's limits are whole megabytes, 1 or more")
    return str(count // MB)


def until(text: object, now: datetime) -> datetime:
    """Up to when a monthly figure counts: the end of the day `text`, or the time that it names; else of yesterday."""
    if is_none(text):
        return midnight(now)
    digits = "".join(filter(str.isdigit, str(text)))
    if len(digits) == 8:
        return datetime.combine(datetime.strptime(digits, "%Y%m%d"), time(), CHINA) + timedelta(days=1)
    return datetime.strptime(digits[:14], "%Y%m%d%H%M%S").replace(tzinfo=CHINA)


def last_day(text: object) -> date | None:
    """The last day of what ends at the time `text`, or with the day that it is; None where it does not end, or says so
    in another way: no public source has how it is written, and nothing else depends on it."""
    digits = "".join(filter(str.isdigit, str(text or "")))
    try:
        if len(digits) == 8:
            return datetime.strptime(digits, "%Y%m%d").date()
        return (datetime.strptime(digits, "%Y%m%d%H%M%S") - timedelta(seconds=1)).date()
    except ValueError:
        return None


def midnight(now: datetime) -> datetime:
    """The last midnight in China: when PB figures were made."""
    return datetime.combine(now.astimezone(CHINA), time(), CHINA)


def month_start(now: datetime) -> date:
    return now.astimezone(CHINA).date().replace(day=1)


def life(platform: str, status: object) -> Life:
    """By the platform's own digits: "1" or "04" say nothing without it."""
    return _LIVES.get(platform, {}).get(str(status), Life.UNKNOWN)


def stop_reasons(digits: object) -> tuple[str, ...]:
    """The reasons in 12 digits; several may be in force."""
    if is_none(digits):
        return ()
    return tuple(_REASONS.get(at, f"digit-{at}") for at, digit in enumerate(str(digits)) if digit == _IN_FORCE)


def job(status: object) -> Progress:
    return _JOBS.get(str(status), Progress.UNSURE)


def order(status: object) -> Progress:
    return _ORDERS.get(str(status), Progress.UNSURE)


def problem(code: str, message: str) -> Problem:
    return Problem(code, message, REMEDIES.get(code, ""))


def identity(sim: str) -> str:
    """The parameter that a SIM's number belongs in, by its length. ValueError for any other."""
    kind = {13: "msisdn", 15: "imsi", 19: "iccid", 20: "iccid"}.get(len(sim))
    if kind is None or not sim[:18].isdigit() or not sim.isalnum():
        raise ValueError(f"{sim!r} is no MSISDN (13 digits), IMSI (15) or ICCID (20)")
    return kind
