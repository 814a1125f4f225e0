"""Why the carrier stops a SIM's data service. Several stops can be in force; each is lifted by its own events."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

# ESM causes of a rejected activation, 3GPP TS 24.301 table 9.9.4.4.1
SOFT = 0  # none: a stopped SIM gets a session, and nothing passes in it
OPERATOR_DETERMINED_BARRING = 8
UNKNOWN_APN = 27
REQUEST_REJECTED = 31
NOT_SUBSCRIBED = 33

# What lifts a stop
NEXT_CYCLE = "next_cycle"
HOME = "home"  # the SIM is in its own network again, or has more for others
NEXT_DAY = "next_day"
FREE_HOURS = "free_hours"  # in which nothing is debited to the plan's allowance
BY_HAND = "by_hand"  # the customer's resume; of a stop for arrears, only once they are paid
RENEWAL = "renewal"
TOP_UP = "top_up"  # of the pool
REFILL = "refill"  # of the SIM's own allowance
NEW_CAP = "new_cap"
NEXT_PHASE = "next_phase"  # of the SIM's lifecycle

# cardStatus of a CMIOT (PB) SIM, OneLink 25S04
NORMAL = "00"
STOPPED = "02"
CANCELLED_CARD = "04"
TO_BE_ACTIVATED = "07"  # in the test and the silent period; assumed, not documented


@dataclass(frozen=True, slots=True)
class StopReason:
    """`code` is its name in figures and events, `lifted_by` the events that lift it.

    `card_status` is OneLink's cardStatus while it is in force. `index` is the position of its "2" in OneLink's
    stopReason; None when it has none, because OneLink shows used-up data as a paused service of a normal SIM.
    """

    code: str
    lifted_by: frozenset[str]
    card_status: str = NORMAL
    index: int | None = None

    @property
    def ends_with_cycle(self) -> bool:
        return NEXT_CYCLE in self.lifted_by


def _row(code: str, *lifted_by: str, card_status: str = NORMAL, index: int | None = None) -> StopReason:
    return StopReason(code, frozenset(lifted_by), card_status, index)


EXHAUSTED = _row("exhausted", NEXT_CYCLE, REFILL, FREE_HOURS)  # 流量用尽关停
ROAMED = _row("roamed", HOME)
DAY_CAPPED = _row("day_capped", NEXT_DAY, NEXT_CYCLE)
CAPPED = _row("capped", NEXT_CYCLE, NEW_CAP)  # the SIM's own cap in a pool
POOL_EXHAUSTED = _row("pool_exhausted", NEXT_CYCLE, TOP_UP)  # 流量池
TEST_EXHAUSTED = _row("test_exhausted", NEXT_PHASE)  # 测试期
MANUAL = _row("manual", BY_HAND, card_status=STOPPED, index=8)  # 通信服务管理
ARREARS = _row("arrears", BY_HAND, card_status=STOPPED, index=4)  # 欠费停机; the index is assumed
EXPIRED = _row("expired", RENEWAL, card_status=STOPPED)  # 过期停机
CANCELLED = _row("cancelled", card_status=CANCELLED_CARD)  # final

STOP_REASONS = {
    reason.code: reason
    for reason in (
        EXHAUSTED, DAY_CAPPED, ROAMED, CAPPED, POOL_EXHAUSTED, TEST_EXHAUSTED, MANUAL, ARREARS, EXPIRED, CANCELLED,
    )
}  # fmt: skip


def card_status(stops: Collection[str], billing: bool) -> str:
    """OneLink's cardStatus: of several stops the most severe counts; `billing` is False before the billing period."""
    shown = {STOP_REASONS[code].card_status for code in stops}
    for status in (CANCELLED_CARD, STOPPED):
        if status in shown:
            return status
    return NORMAL if billing else TO_BE_ACTIVATED


def stop_reason(stops: Collection[str]) -> str:
    """OneLink's stopReason: 12 characters, "000000000000" when no stop has a place in it."""
    marked = {STOP_REASONS[code].index for code in stops}
    return "".join("2" if index in marked else "0" for index in range(12))
