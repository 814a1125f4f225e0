"""Labels for people: what the verdicts, reasons and events of a run mean, and the terminal style of each verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from host_tools.base.paths import use_firmware
from host_tools.base.units import size


class Verdict(NamedTuple):
    """`style` is a style of rich."""

    label: str
    style: str


VERDICTS = {
    "open": Verdict("Data flows freely", "green"),
    "warned": Verdict("Data flows, past a warning level", "yellow"),
    "shed": Verdict("Some traffic classes are held back", "dark_orange"),
    "throttled": Verdict("Data flows slowly", "blue"),
    "restricted": Verdict("Only reports may pass", "red"),
    "terminated": Verdict("Nothing may pass", "bold red"),
}
"""By the verdict's name, in the order of `usageguard.core.policy.VERDICTS`."""
REASONS = {
    "LEDGER_FAULT": "the ledger is lost, or the flash fails",
    "SILENT_PERIOD": "the silent period begins; any use would end it",
    "STOPPED_BY_HAND": "the owner orders a stop",
    "SIM_CHANGED": "another SIM is in the modem than the one that is counted",
    "CANCELLED": "the package was not renewed in time",
    "EXPIRED": "the package has expired",
    "ARREARS": "the balance is used up, or negative",
    "POOL_EXHAUSTED": "the SIM's share of the pool, or the whole pool, is used up",
    "GRANT_EXPIRED": "the share of the pool has expired, and no new one came",
    "ROAMING_EXHAUSTED": "the SIM roams, or may, and has no octets left for that",
    "CARRIER_STOP": "the network refuses a data session, or ends it",
    "RESERVE_EXHAUSTED": "the reserve for reports is used up",
    "COUNT_DOUBTED": "the modem counted what the device's traffic cannot explain",
    "COST_CAP": "the cap of cost or bytes beyond the plan is reached",
    "TEST_EXHAUSTED": "the test period's data is used up",
    "QUOTA_EXHAUSTED": "the local limit, or the owner's own, is used up",
    "DAY_EXHAUSTED": "the day's cap is used up",
    "THROTTLED_BY_HAND": "the owner orders a lower speed",
    "THROTTLED": "what the carrier passes at full speed is used up",
    "HELD_BY_HAND": "the owner holds classes",
    "BURST": "a class uses many times its usual rate",
    "CLASS_EXHAUSTED": "a class has used up its own quota",
    "PACED": "the day's budget is used up",
}
"""What raises a reason, by its code, in the order of `usageguard.core.policy.REASONS`."""
LEDGER = {
    "blank": "The ledger is new",
    "exact": "The ledger was recovered exactly",
    "ceiling": "The ledger was recovered up to the leased ceiling",
    "ceiling+lease": "The ledger was recovered up to the ceiling and one more lease",
}
STOPS = {
    "exhausted": "the plan is used up",
    "day_capped": "the day's cap is used up",
    "roamed": "what the SIM has for roaming is used up",
    "manual": "by hand",
    "arrears": "arrears",
    "expired": "expiry",
}
OF_THE_ALLOWANCE = ("QUOTA_EXHAUSTED", "COST_CAP", "RESERVE_EXHAUSTED")
"""Reasons that a device has shortly before the carrier would stop it at the end of the plan."""


def counted_apart(carrier: dict[str, Any]) -> str:
    """What a run's carrier has debited to the hours and to roaming, in words; "" where the plan has neither."""
    words = {"hours_octets": "in its hours", "roaming_octets": "roaming"}
    return " and ".join(f"{size(n)} {where}" for key, where in words.items() if (n := carrier.get(key)) is not None)


@dataclass(frozen=True)
class Describer:
    """Describes events; `warn_permille` and `classes` (name, shed_permille) are those of the device's plan."""

    warn_permille: Sequence[int] = ()
    classes: Sequence[tuple[str, int]] = ()

    def describe(self, event: dict[str, Any]) -> str:
        """One event as a sentence. An event without a sentence is described by its code and its figures."""
        what = event["what"]
        head, _, rest = what.partition("-")
        if (sentence := _SENTENCES.get((event["who"], what))) is not None:
            return sentence(event)
        if event["who"] == "device" and head == "verdict":
            return self._verdict(rest, event.get("a", 0), event.get("b", 0))
        if event["who"] == "device" and head == "ledger" and rest in LEDGER:
            return LEDGER[rest]
        figures = ", ".join(f"{key} {value}" for key, value in event.items() if key not in _NOT_FIGURES and value)
        text = what.replace("-", " ").capitalize()
        return f"{text} ({figures})" if figures else text

    def _verdict(self, verdict: str, reasons: int, warned: int) -> str:
        passed = [level for i, level in enumerate(self.warn_permille) if warned >> i & 1]
        text = VERDICTS[verdict].label if verdict in VERDICTS else verdict
        if code := _first_reason(reasons):
            return f"{text}: {REASONS[code]}"
        if verdict == "warned" and passed:
            return f"Warning: {passed[-1] / 10:g} % of the plan is used"
        if verdict == "shed" and passed:
            held = [name for name, permille in self.classes if permille <= passed[-1]]
            if held:
                return f"{passed[-1] / 10:g} % used: {', '.join(held)} is held back, the rest goes on"
        return text


def _first_reason(reasons: int) -> str | None:
    use_firmware()
    from usageguard.core import policy

    return next((str(code) for code, bit, *_ in policy.REASONS if int(bit) & reasons), None)


def modem_state(state: Any) -> Any:
    """The name of a modem's state, from its number; any other value is returned unchanged."""
    use_firmware()
    from usageguard.modem.base import STATES

    return STATES[state] if isinstance(state, int) and 0 <= state < len(STATES) else state


_NOT_FIGURES = ("t", "who", "what", "imsi")
_SENTENCES: dict[tuple[str, str], Callable[[dict[str, Any]], str]] = {
    ("device", "set-utc"): lambda e: "The system clock is set",
    ("device", "cycle"): lambda e: "A new billing cycle begins",
    ("device", "boot"): lambda e: f"Board starts ({e['cause']})",
    ("device", "time-trusted"): lambda e: "Time is known from an authenticated source",
    ("device", "order"): lambda e: f"Order {e['a']} is applied",
    ("device", "refused"): lambda e: f"The network refuses the data session (cause {e['a']})",
    ("device", "app-crash"): lambda e: f"The application crashed; it is started again (time {e['b']})",
    ("device", "app-ended"): lambda e: "The application ended; the guard goes on",
    ("device", "counter-jump"): lambda e: (
        f"The modem's counter jumped by {size(e['a'])}; the line can have carried {size(e['b'])}"
    ),
    ("device", "count-doubt"): lambda e: f"{size(e['a'])} counted by the modem are in doubt",
    ("device", "doubt-settled"): lambda e: f"Of what was in doubt {size(e['a'])} were used, {size(e['b'])} were not",
    ("carrier", "stopped"): lambda e: (
        f"Carrier stops the data service: {STOPS.get(e['reason'], e['reason'])} at {size(e['billed_octets'])}"
    ),
    ("carrier", "restored"): lambda e: "Carrier restores the data service",
    ("modem", "sms-sent"): lambda e: "A report is sent by SMS",
    ("bench", "program-hangs"): lambda e: f"The program computes on and on, at {e['place']}",
    ("bench", "power-cut"): lambda e: f"Power fails without warning for {_span(e['off_s'])}",
}


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def notable(event: dict[str, Any]) -> bool:
    """Whether an event matters to a reader who does not debug: a verdict, a crash, a hang, the carrier, a power cut."""
    if event["who"] == "device":
        return event["what"].startswith(("verdict-", "app-crash"))
    return event["who"] == "carrier" or event["what"] in ("power-cut", "program-hangs", "sms-sent")
