"""Alerts as a page and in the JSON interface: what is open, and who has seen to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import urlencode

import msgspec
from starlette.exceptions import HTTPException

from host_tools.fleet.accounts import User
from host_tools.fleet.alerts import SHOWN, Alert
from host_tools.fleet.desk import Desk

PAGE = 50
HOURS = (1, 8, 24, 168)
"""How long the page offers to put an alert away."""
_MOST_HOURS = 24 * 366
_MOST_ID = (1 << 63) - 1
_MOST_TEXT = 64


@dataclass(frozen=True)
class Shown:
    """What an address of the page asks for."""

    show: str = "open"
    subject: str = ""
    before: int = 0

    def address(self, **changed: Any) -> str:
        new = {"show": self.show, "subject": self.subject, **changed}
        return "/alerts?" + urlencode({name: value for name, value in new.items() if value and value != "open"})


def shown_of(query: Mapping[str, str]) -> Shown:
    """HTTPException 400 for what no page links to."""
    show, before = query.get("show") or "open", query.get("before") or "0"
    if show not in SHOWN or not (before.isascii() and before.isdigit()) or int(before[:20]) > _MOST_ID:
        raise HTTPException(400, "bad-request")
    return Shown(show, query.get("subject", "")[:_MOST_TEXT], int(before))


def read(desk: Desk, shown: Shown) -> dict[str, Any]:
    """What the page shows, in the desk's thread."""
    found = desk.alerts.page(shown.show, shown.subject, shown.before, most=PAGE + 1)
    return {
        "shown": shown, "alerts": found[:PAGE], "on": found[PAGE - 1].id if len(found) > PAGE else 0,
        "open": desk.alerts.open_by_rule(), "waiting": desk.alerts.waiting(),
    }  # fmt: skip


def change(desk: Desk, user: User, form: Mapping[str, str]) -> None:
    """Does what a form of the page asks for, in the desk's thread. HTTPException 400 for what no page asks for."""
    ids = form.get("ids", "").split(",")
    if not all(each.isascii() and each.isdigit() and len(each) < 19 for each in ids) or len(ids) > PAGE:
        raise HTTPException(400, "bad-request")
    hours = form.get("hours", "")
    if form.get("do") == "acknowledge":
        acknowledge(desk, user, [int(each) for each in ids])
    elif form.get("do") == "snooze" and hours in map(str, HOURS):
        snooze(desk, user, [int(each) for each in ids], int(hours))
    else:
        raise HTTPException(400, "bad-request")


def acknowledge(desk: Desk, user: User, ids: Sequence[int]) -> None:
    with desk.store.database.transaction():
        if desk.alerts.acknowledge(ids, user.name, desk.terms.now()):
            desk.accounts.note(user.name, "alerts-acknowledged", _named(ids))


def snooze(desk: Desk, user: User, ids: Sequence[int], hours: int) -> None:
    with desk.store.database.transaction():
        if desk.alerts.snooze(ids, desk.terms.now() + timedelta(hours=hours)):
            desk.accounts.note(user.name, "alerts-snoozed", f"{_named(ids)} for {hours} h")


def _named(ids: Sequence[int]) -> str:
    return " ".join(f"#{each}" for each in ids)


# --- the JSON interface ---


class AlertState(msgspec.Struct):
    """`subject`: a device, or a pool; `period`: the day on which it began. `state`: open, snoozed, acknowledged, or
    over, as its cause has ended."""

    id: int
    rule: str
    subject: str
    period: str
    raised_at: str
    detail: str
    state: str
    ended_at: str | None
    acknowledged_at: str | None
    acknowledged_by: str | None
    snoozed_until: str | None


class Alerts(msgspec.Struct):
    """`next`: what `after` has to be for later ones; null where there are none."""

    alerts: list[AlertState]
    next: int | None


class Snooze(msgspec.Struct, forbid_unknown_fields=True):
    """`hours`: how long nobody is told of it again."""

    hours: Annotated[int, msgspec.Meta(ge=1, le=_MOST_HOURS)] = 24


def told(alert: Alert) -> AlertState:
    def text(at: datetime | None) -> str | None:
        return at.isoformat() if at else None

    return AlertState(
        alert.id, alert.rule, alert.subject, alert.period, alert.raised_at.isoformat(), alert.detail, alert.state,
        text(alert.ended_at), text(alert.acknowledged_at), alert.acknowledged_by, text(alert.snoozed_until),
    )  # fmt: skip
