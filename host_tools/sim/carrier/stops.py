"""Why the carrier does not serve a SIM's data: several stops may hold, each lifted by its own event."""

from __future__ import annotations

from dataclasses import dataclass

# ESM causes of a rejected activation, 3GPP TS 24.301 table 9.9.4.4.1
OPERATOR_DETERMINED_BARRING = 8
REQUEST_REJECTED = 31
NOT_SUBSCRIBED = 33


@dataclass(frozen=True, slots=True)
class StopReason:
    """`code` names it in figures and events; with `ends_with_cycle` the next billing month lifts it."""

    code: str
    ends_with_cycle: bool


EXHAUSTED = StopReason("exhausted", ends_with_cycle=True)  # cutoff on exhaustion
MANUAL = StopReason("manual", ends_with_cycle=False)  # the customer's own stop of the data service

STOP_REASONS = {reason.code: reason for reason in (EXHAUSTED, MANUAL)}
