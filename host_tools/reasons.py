"""The table of the reasons to stop, in words: made from the firmware's own, for the README.

python -m host_tools.reasons README.md     rewrites what stands between the file's two markers
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from host_tools.errors import UsageError
from host_tools.paths import use_firmware

BEGIN = "<!-- reasons -->"
END = "<!-- /reasons -->"
EVENTS = {
    "QUOTA_REACHED": "the local limit, or the owner's own, is used",
    "RESERVE_REACHED": "the reserve for reports is used",
    "QUOTA_GRANTED": "a larger limit",
    "CARRIER_REFUSED": "the network refuses the data session",
    "CARRIER_SERVES": "a data session given",
    "LEDGER_FAILED": "the ledger is lost, or the flash fails",
    "LEDGER_SET": "the owner's word that the counts stand",
    "STOP_ORDERED": "the owner's order",
    "RESUME_ORDERED": "the owner's order",
    "CAP_REACHED": "the cap of cost or octets beyond the plan is reached",
    "TEST_REACHED": "the test period's octets are used",
    "SLOW_REACHED": "the allowance is used, and the carrier slows the SIM down",
    "BALANCE_SPENT": "the balance is spent, or negative",
    "RECHARGED": "a new balance",
    "PACKAGE_EXPIRED": "the package is over",
    "WINDOW_CLOSED": "it was not renewed in time",
    "RENEWED": "a later expiry",
    "SILENCE_BEGAN": "the silent period begins: use would end it",
    "BILLING_BEGAN": "billing begins, or the first use is ordered",
    "GRANT_SPENT": "the SIM's share of the pool is used, or the pool is",
    "GRANT_LAPSED": "the share's time is over without news",
    "POOL_GRANTED": "a new share",
    "SLOW_ORDERED": "the owner's order",
    "SPEED_ORDERED": "the owner's order",
    "BURST_FOUND": "a class uses many times its usual rate",
    "BURST_OVER": "the hold's end, or the owner's release",
    "PACE_REACHED": "the day's budget is used",
    "DAY_GRANTED": "the next day's budget",
}
"""What raises and what lifts, by the event's name in `usageguard.core.policy`."""
RESTRICTIONS = {
    "TERMINATE": "nothing passes",
    "RESTRICT_ACCESS": "only reports pass",
    "THROTTLE": "all passes, slowly",
    "HOLD": "some classes wait",
}


def reasons_table() -> str:
    """The Markdown table, a row per reason in the order of `core.policy.REASONS`; ends with a newline."""
    use_firmware()
    from usageguard.core import policy

    events = {getattr(policy, name): text for name, text in EVENTS.items()}
    restrictions = {getattr(policy, name): text for name, text in RESTRICTIONS.items()}
    lines = ["| Reason | Raised when | Lifted by | Until then |", "|---|---|---|---|"]
    for code, _, raised_by, lifted_by, survives_cycle, restriction in policy.REASONS:
        lifted = events[lifted_by] + ("" if survives_cycle else ", or a new period")
        lines.append(f"| `{code}` | {events[raised_by]} | {lifted} | {restrictions[restriction]} |")
    return "\n".join(lines) + "\n"


def with_table(text: str, where: str) -> str:
    """`text` with the table of today between its markers. Raises UsageError where they are not there once each."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UsageError(where, "", "has no place for the reasons", f"put {BEGIN} before it and {END} behind it")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{reasons_table()}{END}{rest.split(END)[1]}"


def main(paths: Sequence[str]) -> int:
    """Rewrites the files that are named; returns the exit status."""
    if not paths:
        print(f"{__name__}: no file is named; give README.md", file=sys.stderr)
        return 2
    try:
        for path in paths:
            text = Path(path).read_text(encoding="utf-8")
            Path(path).write_text(with_table(text, path), encoding="utf-8")
    except (OSError, UsageError) as error:
        reason = f"{error.filename}: {error.strerror}; name a file" if isinstance(error, OSError) else str(error)
        print(reason, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
