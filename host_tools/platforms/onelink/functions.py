"""The functions of the EC API that are used here: path below `/ec`, and what a call of it does."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """QUERY may be repeated. CHANGE may not, and counts in the interval between two changes of a SIM."""

    QUERY = "query"
    CHANGE = "change"


@dataclass(frozen=True)
class Function:
    """One function by the number that the manual gives it."""

    number: str
    path: str
    kind: Kind = Kind.QUERY


def _change(number: str, path: str) -> Function:
    return Function(number, path, Kind.CHANGE)


TOKEN = Function("25000", "get/token")

BASIC_INFO = Function("23S00", "query/sim-basic-info")
SIM_STATUS = Function("25S04", "query/sim-status")
CHANGE_HISTORY = Function("23S02", "query/sim-change-history")
STOP_REASON = Function("25S02", "query/sim-stop-reason")
PLATFORM_TYPES = Function("25S06", "query/sim-platform/batch")
SERVICES = Function("23M08", "query/sim-communication-function-status")

MONTH_SO_FAR = Function("25U04", "query/sim-data-usage")
MARGIN = Function("23U07", "query/sim-data-margin")
DAYS = Function("25U01", "query/sim-data-usage-daily/batch")
MONTHS = Function("25U03", "query/sim-data-usage-monthly/batch")
OFFERINGS = Function("23R00", "query/ordered-offerings")
IN_POOL = Function("23U12", "query/sim-data-usage-inpool")

GROUP_MARGIN = Function("23U04", "query/group-data-margin")
GROUP_MEMBERS = Function("23E01", "query/group-member")
CHANGED_ON = Function("23E00", "query/changeable-sim-date")

JOB = Function("23M10", "query/sim-batch-result")
ORDER = Function("23M27", "query/order-info")

SET_STATUS = _change("23S03", "change/sim-status")
SET_STATUSES = _change("23S06", "change/sim-status/batch")
SET_APN = _change("23M07", "operate/sim-apn-function")
SET_SERVICES = _change("23M09", "operate/sim-communication-function/batch")
SET_SPEED = _change("23M04", "operate/network-speed")
SET_CAP = _change("23E04", "limit/group-member-data-usage")
SET_ALARMS = _change("23A03", "limit/sim-gprs/batch")
