"""The codes of a run in words for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from host_tools.paths import use_firmware
from host_tools.units import size

VERDICTS = {
    "open": "Data flows freely",
    "warned": "Data flows, past a warning level",
    "shed": "Some traffic classes are held back",
    "throttled": "Data flows slowly",
    "restricted": "Only reports may pass",
    "terminated": "Nothing may pass",
}
REASONS = {
    "LEDGER_FAULT": "the counts are lost",
    "SILENT_PERIOD": "the SIM is in its silent period",
    "STOPPED_BY_HAND": "the owner stopped it",
    "CANCELLED": "the package was not renewed in time",
    "EXPIRED": "the package is over",
    "ARREARS": "the balance is spent",
    "POOL_EXHAUSTED": "the share of the pool is used",
    "GRANT_EXPIRED": "the share of the pool has lapsed",
    "CARRIER_STOP": "the carrier refuses the data session",
    "RESERVE_EXHAUSTED": "the reserve is used up",
    "COST_CAP": "the cap of what may be spent is reached",
    "TEST_EXHAUSTED": "the test period's octets are used",
    "QUOTA_EXHAUSTED": "the quota is used",
    "THROTTLED_BY_HAND": "the owner slowed it down",
    "THROTTLED": "the allowance is used",
    "BURST": "a class uses many times its usual rate",
    "PACED": "the day's budget is used",
}
"""Why, by the reason's code; in the order in which the firmware names them."""
LEDGER = {
    "blank": "Ledger is new",
    "exact": "Ledger recovered to the octet",
    "ceiling": "Ledger recovered to the leased ceiling",
    "ceiling+lease": "Ledger recovered to the ceiling and one more lease",
}
STOPS = {"exhausted": "the plan is used up", "manual": "by hand", "arrears": "arrears", "expired": "expiry"}


@dataclass(frozen=True)
class Teller:
    """Tells events; `warn_permille` and `classes` (name, shed_permille) are the device's."""

    warn_permille: Sequence[int] = ()
    classes: Sequence[tuple[str, int]] = ()

    def tell(self, event: dict[str, Any]) -> str:
        """One event as a sentence; a code that has none stands for itself, with its figures."""
        what = event["what"]
        head, _, rest = what.partition("-")
        if (teller := _TELLERS.get((event["who"], what))) is not None:
            return teller(event)
        if event["who"] == "device" and head == "verdict":
            return self._verdict(rest, event.get("a", 0), event.get("b", 0))
        if event["who"] == "device" and head == "ledger" and rest in LEDGER:
            return LEDGER[rest]
        figures = ", ".join(f"{key} {value}" for key, value in event.items() if key not in _NOT_FIGURES and value)
        text = what.replace("-", " ").capitalize()
        return f"{text} ({figures})" if figures else text

    def _verdict(self, verdict: str, reasons: int, warned: int) -> str:
        passed = [level for i, level in enumerate(self.warn_permille) if warned >> i & 1]
        text = VERDICTS.get(verdict, verdict)
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
    """A modem's state in the firmware's own word; what is none stays as it is."""
    use_firmware()
    from usageguard.modem.base import STATES

    return STATES[state] if isinstance(state, int) and 0 <= state < len(STATES) else state


_NOT_FIGURES = ("t", "who", "what", "imsi")
_TELLERS: dict[tuple[str, str], Callable[[dict[str, Any]], str]] = {
    ("device", "set-utc"): lambda e: "The system clock is set",
    ("device", "cycle"): lambda e: "A new billing cycle begins",
    ("device", "boot"): lambda e: f"Board starts ({e['cause']})",
    ("device", "time-trusted"): lambda e: "Time is known from an authenticated source",
    ("device", "refused"): lambda e: f"The network refuses the data session (cause {e['a']})",
    ("device", "app-crash"): lambda e: f"The application crashed; it is started again (time {e['b']})",
    ("device", "app-ended"): lambda e: "The application ended; the device guards on",
    ("device", "counter-jump"): lambda e: f"The modem's counter jumped by {size(e['a'])}; {size(e['b'])} taken",
    ("carrier", "stopped"): lambda e: (
        f"Carrier stops the data service: {STOPS.get(e['reason'], e['reason'])} at {size(e['billed_octets'])}"
    ),
    ("carrier", "restored"): lambda e: "Carrier restores the data service",
    ("modem", "sms-sent"): lambda e: "A report goes by SMS",
    ("bench", "power-cut"): lambda e: f"Power fails without warning for {_span(e['off_s'])}",
}


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min"


def notable(event: dict[str, Any]) -> bool:
    """Whether an event belongs to the story, rather than to the protocol."""
    if event["who"] == "device":
        return event["what"].startswith(("verdict-", "app-crash"))
    return event["who"] == "carrier" or event["what"] in ("power-cut", "sms-sent")
