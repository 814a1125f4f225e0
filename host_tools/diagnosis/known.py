"""What is known of a device from afar, as the firmware's Evidence: from a report, or from a status."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from host_tools.base import days, paths
from host_tools.collector.store import Received
from host_tools.collector.verify import Report

if TYPE_CHECKING:
    from usageguard.diagnose.causes import Evidence, Verdict

_MODEM = ("registration", "reject_cause", "cme", "rsrp")  # of a report and of a status
_SHORT_MESSAGE = "sms"


def of_reports(newest: Received, full: Report | None, config: Any, now: datetime) -> Evidence:
    """What the newest report says, and of the modem the newest full one; `config`, a device's Config, has its plan.

    A device whose report came over the data session was online. One whose report came as a short message was
    registered, and got no datagram through.
    """
    paths.use_firmware()
    from usageguard.core.policy import CARRIER_STOP
    from usageguard.diagnose.causes import Evidence
    from usageguard.modem.base import ONLINE, REGISTERED

    found: Any = Evidence()
    report = newest.report
    found.reasons = report.reasons
    found.crashes = report.app_restarts
    if full is not None:
        for name in (*_MODEM, "modem_restarts"):
            value = getattr(full, name)
            if value >= 0:
                setattr(found, name.removeprefix("modem_"), value)
    if newest.path == _SHORT_MESSAGE:
        found.registration = 1
        found.state = REGISTERED if report.reasons & CARRIER_STOP else ONLINE
        found.unanswered = 1
    else:
        found.state = ONLINE
    _add_plan(found, report.cycle_id, report.cycle_rated_octets, config, now)
    return found


def of_status(status: dict[str, Any], config: Any, settled: bool) -> Evidence:
    """What a status on a board's console says (`guard.status`); `settled`: minutes after the board's start."""
    paths.use_firmware()
    from usageguard.core.policy import REASONS
    from usageguard.diagnose.causes import Evidence
    from usageguard.modem.base import BOOTING, STATES

    found: Any = Evidence()
    state = status.get("modem")
    found.state = STATES.index(state) if state in STATES else state if isinstance(state, int) else None
    found.silent = settled and found.state is not None and found.state <= BOOTING
    named = set(status.get("reasons") or ())
    found.reasons = sum(bit for code, bit, *_ in REASONS if code in named)
    found.crashes = _number(status, "app_restarts")
    found.refused = _number(status, "report_refused")
    found.restarts = _number(status, "modem_restarts")
    found.sim_error = _number(status, "sim_error")
    found.sim_state = str(status.get("sim_state") or "").encode("ascii", "replace")
    for name in (*_MODEM, "signal"):
        value = status.get(name)
        if isinstance(value, int):
            setattr(found, name, value)
    if status.get("reports_sent") and not status.get("reports_acked"):
        found.unanswered = _number(status, "reports_sent")
    cycle_id, rated = _number(status, "cycle"), _number(status, "rated_octets")
    _add_plan(found, cycle_id, rated, config, datetime.now(UTC))
    if isinstance(status.get("balance_fen"), int):
        found.balance_fen = status["balance_fen"]
    if isinstance(status.get("granted_octets"), int):
        found.pool_left = max(0, status["granted_octets"] - rated)
    return found


def with_told(verdicts: list[Verdict], cause: int) -> list[Verdict]:
    """The verdicts, with that which the device has reported, by its plan and by what its modem told then."""
    from usageguard.diagnose.causes import Verdict

    for each in verdicts:
        alike = [each.cause, *each.others]
        if cause in alike:
            alike.remove(cause)
            each.cause, each.others = cause, tuple(alike)
            return verdicts
    told: Any = Verdict(cause, 0, "the device said so")
    return sorted([*verdicts, told], key=lambda each: each.cause)


def _number(status: dict[str, Any], name: str) -> int:
    value = status.get(name)
    return value if isinstance(value, int) else 0


def _add_plan(found: Any, cycle_id: int, rated_octets: int, config: Any, now: datetime) -> None:
    """Adds the plan's state, and the day in the period."""
    plan = config.plan if config else None
    offset_min = plan.cycle.utc_offset_min if plan else 480  # the carriers' days are China's
    instant = days.instant(now)
    today = instant[0] + (instant[1] + offset_min * 60) // 86_400
    if cycle_id > 2 and today >= cycle_id:  # else not known, or not billed yet
        found.day = today - cycle_id + 1
    if plan:
        found.used_permille = rated_octets * 1000 // plan.allowance
        if plan.expiry_day:
            found.expires_in = plan.expiry_day - today
        if plan.pool:
            found.pool_left = 1
