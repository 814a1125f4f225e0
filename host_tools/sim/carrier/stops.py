"""Why the carrier does not serve a SIM's data: several stops may hold, each lifted by its own events alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

# ESM causes of a rejected activation, 3GPP TS 24.301 table 9.9.4.4.1
OPERATOR_DETERMINED_BARRING = 8
REQUEST_REJECTED = 31
NOT_SUBSCRIBED = 33

# What lifts a stop
NEXT_CYCLE = "next_cycle"
BY_HAND = "by_hand"  # the customer's own resume; out of arrears once they are paid
RENEWAL = "renewal"
TOP_UP = "top_up"  # of the pool
NEW_CAP = "new_cap"
NEXT_PHASE = "next_phase"  # of the SIM's life

# cardStatus of a CMIOT (PB) SIM, OneLink 25S04
NORMAL = "00"
STOPPED = "02"
CANCELLED_CARD = "04"
TO_BE_ACTIVATED = "07"  # in the test and the silent period: believed


@dataclass(frozen=True, slots=True)
class StopReason:
    """`code` names it in figures and events, `lifted_by` are the events that end it.

    `card_status` is what OneLink shows for the SIM while it holds; `index` is the place of the "2" in OneLink's
    stopReason, None where it has none: data that ran out is a paused data service of a normal SIM.
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


EXHAUSTED = _row("exhausted", NEXT_CYCLE)  # 流量用尽关停
CAPPED = _row("capped", NEXT_CYCLE, NEW_CAP)  # the SIM's own cap in a pool
POOL_EXHAUSTED = _row("pool_exhausted", NEXT_CYCLE, TOP_UP)  # 流量池
TEST_EXHAUSTED = _row("test_exhausted", NEXT_PHASE)  # 测试期
MANUAL = _row("manual", BY_HAND, card_status=STOPPED, index=8)  # 通信服务管理
ARREARS = _row("arrears", BY_HAND, card_status=STOPPED, index=4)  # 欠费停机; the index is believed
EXPIRED = _row("expired", RENEWAL, card_status=STOPPED)  # 过期停机
CANCELLED = _row("cancelled", card_status=CANCELLED_CARD)  # for good

STOP_REASONS = {
    reason.code: reason
    for reason in (EXHAUSTED, CAPPED, POOL_EXHAUSTED, TEST_EXHAUSTED, MANUAL, ARREARS, EXPIRED, CANCELLED)
}


def card_status(stops: Collection[str], billing: bool) -> str:
    """OneLink's cardStatus under these stops, the gravest first; `billing` is False before the billing period."""
    shown = {STOP_REASONS[code].card_status for code in stops}
    for status in (CANCELLED_CARD, STOPPED):
        if status in shown:
            return status
    return NORMAL if billing else TO_BE_ACTIVATED


def stop_reason(stops: Collection[str]) -> str:
    """OneLink's stopReason under these stops: 12 characters, "000000000000" for none."""
    marked = {STOP_REASONS[code].index for code in stops}
    return "".join("2" if index in marked else "0" for index in range(12))
