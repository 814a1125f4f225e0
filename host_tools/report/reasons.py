"""Makes the table of stop reasons in firmware/POLICY.md from the firmware's own table.

python -m host_tools.report.reasons FILE     rewrites the part of FILE between the two markers
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from host_tools.base.errors import UsageError
from host_tools.base.paths import use_firmware
from host_tools.report.labels import REASONS

BEGIN = "<!-- reasons -->"
END = "<!-- /reasons -->"
LIFTED_BY = {
    "QUOTA_GRANTED": "a larger limit",
    "DOUBT_SETTLED": "the carrier's figure, or an order that states or accepts the count",
    "CARRIER_SERVES": "the network gives a data session",
    "LEDGER_SET": "the owner confirms the counts",
    "RESUME_ORDERED": "the owner orders data to resume",
    "SIM_ACCEPTED": "the owner accepts the SIM, or the former one is back",
    "RECHARGED": "a new balance",
    "RENEWED": "a later expiry date",
    "BILLING_BEGAN": "the billing period begins, or the owner or the application asks for the first use",
    "POOL_GRANTED": "a new share of the pool",
    "SPEED_ORDERED": "the owner lifts the lower speed",
    "HOLD_ENDED": "the owner releases the classes",
    "BURST_OVER": "the hold ends, or the owner releases the class",
    "CLASS_GRANTED": "the owner releases the class",
    "ROAMING_GRANTED": "the SIM is at home, or a new period has octets for roaming",
    "DAY_GRANTED": "the next day's budget",
    "DAY_BEGAN": "the next day",
}
"""What lifts a reason, by the event's name in `usageguard.core.policy`."""
RESTRICTIONS = {
    "TERMINATE": "a rare exchange with upstream passes",
    "RESTRICT_ACCESS": "only reports pass",
    "THROTTLE": "everything passes, slowly",
    "HOLD": "some classes are held back",
}


CLOSED: dict[str, str] = dict.fromkeys(("SILENT_PERIOD", "ROAMING_EXHAUSTED", "CARRIER_STOP"), "nothing passes")
"""The reasons under which not even that exchange passes."""


def way_back(code: str) -> str:
    """What lifts the reason `code`, in words."""
    use_firmware()
    from usageguard.core import policy

    lifted_by = {getattr(policy, name): text for name, text in LIFTED_BY.items()}
    row = next(row for row in policy.REASONS if row[policy.CODE] == code)
    return lifted_by[row[policy.LIFTED_BY]] + ("" if row[policy.SURVIVES_CYCLE] else ", or a new period")


def reasons_table() -> str:
    """The Markdown table, a row per reason in the order of `core.policy.REASONS`; ends with a newline."""
    use_firmware()
    from usageguard.core import policy

    restrictions = {getattr(policy, name): text for name, text in RESTRICTIONS.items()}
    lines = ["| Reason | Raised when | Lifted by | Until then |", "|---|---|---|---|"]
    for code, *_, restriction in policy.REASONS:
        until_then = CLOSED.get(code, restrictions[restriction])
        lines.append(f"| `{code}` | {REASONS[code]} | {way_back(code)} | {until_then} |")
    return "\n".join(lines) + "\n"


def with_table(text: str, where: str) -> str:
    """`text` with the current table between its markers. Raises UsageError unless each marker occurs once, in order."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise UsageError(where, "", "has no place for the table", f"add a line {BEGIN} and, after it, a line {END}")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{reasons_table()}{END}{rest.split(END)[1]}"


def main(paths: Sequence[str]) -> int:
    """Rewrites the given files; returns the exit status."""
    if not paths:
        print(f"{__name__}: no file is named; give firmware/POLICY.md", file=sys.stderr)
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
