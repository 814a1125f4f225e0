"""What goes wrong at a served platform, as declared."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """CODE: answers with an error code. HTTP: with an HTTP status. GARBAGE: with something that is no JSON. FORM: with
    JSON of another form. HANG: never. SLOW: late. LOST: carries the request out and hangs up."""

    CODE = "code"
    HTTP = "http"
    GARBAGE = "garbage"
    FORM = "form"
    HANG = "hang"
    SLOW = "slow"
    LOST = "lost"


@dataclass
class Fault:
    """Meets the calls of `function`, or all where it is "": `times` of them, after `after` that go well."""

    kind: Kind
    function: str = ""
    times: int = 1
    after: int = 0
    code: str = "500"
    seconds: float = 0.0


class Faults:
    """The faults that are still to come, in their order."""

    def __init__(self, faults: list[Fault] | None = None) -> None:
        self.pending = list(faults or ())

    def take(self, function: str) -> Fault | None:
        """The fault of this call of a function, if it has one."""
        for fault in self.pending:
            if fault.function not in ("", function):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.pending.remove(fault)
            return fault
        return None
