"""What every carrier's management platform can be asked, in octets, whatever its units, names and limits are.

A figure is late by minutes to a day, so it has an `as_of`. A stop is a change whose outcome comes later. Stopped data
and a stopped SIM are two things. That a SIM may not be resumed is an outcome, not an exception. What a platform said
stays in `raw`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class PlatformError(Exception):
    """A platform that cannot be used now. `sure`: what was asked for was not done."""

    def __init__(self, message: str, *, code: str = "", sure: bool = True) -> None:
        super().__init__(f"{message} ({code})" if code else message)
        self.code = code
        self.sure = sure


class Refused(PlatformError):
    """The platform's answer is an error that a repetition would meet again."""


class NoAnswer(PlatformError):
    """No answer, or none that can be read. Unless `sure`, what was asked for may have been done."""


class BadCredentials(PlatformError):
    """The platform does not accept who asks."""


class BudgetSpent(PlatformError):
    """The calls that were allowed are used up."""


class Life(StrEnum):
    """The SIM itself."""

    TEST = "test"
    SILENT = "silent"
    STOCK = "stock"
    ACTIVE = "active"
    STOPPED = "stopped"
    GONE = "gone"
    UNKNOWN = "unknown"


class Data(StrEnum):
    """The SIM's data service."""

    ON = "on"
    OFF = "off"
    THROTTLED = "throttled"
    UNKNOWN = "unknown"


class Scope(StrEnum):
    """What a stop is of."""

    SIM = "sim"
    DATA = "data"


class Progress(StrEnum):
    """How far an order is. UNSURE: the platform did not answer, so that only the SIM's state tells."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Can:
    """What a platform offers beside figures and states. `events`: a list of SIMs that were stopped."""

    stop: bool = True
    resume: bool = True
    stop_data_only: bool = False
    throttle: bool = False
    cap: bool = False
    history: bool = False
    push: bool = False
    events: bool = True


@dataclass(frozen=True)
class Capabilities:
    """`as_of_lag_s`: how late figures are at the most, in normal operation. `change_interval_s`: least time between
    two changes of one SIM."""

    name: str
    unit: str
    as_of_lag_s: int
    batch_max: int
    change_interval_s: int
    calls_per_s: float
    can: Can


@dataclass(frozen=True)
class Usage:
    """The carrier's figure for the billing cycle that began on `cycle_start`, complete up to `as_of`."""

    sim: str
    carried_octets: int
    cycle_start: date
    as_of: datetime
    source: str


@dataclass(frozen=True)
class Package:
    """An allowance and what is left of it, in octets; None where the platform does not say."""

    name: str
    total: int | None
    used: int | None
    left: int | None
    expires: date | None = None


@dataclass(frozen=True)
class State:
    """Whether the SIM and its data service are in use, and why not."""

    sim: str
    life: Life
    data: Data
    stop_reasons: tuple[str, ...]
    raw: dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """Why there is no answer for one SIM."""

    code: str
    message: str
    remedy: str = ""


@dataclass
class Answers(Generic[T]):
    """An answer for each SIM, or a problem."""

    found: dict[str, T] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)


AT_ONCE = "at-once"


@dataclass(frozen=True)
class Change:
    """A change that a platform has accepted. `id` is its name there; "" if it has none, AT_ONCE if it is done."""

    id: str
    what: str
    sims: tuple[str, ...]


@dataclass
class Ordered:
    """What became of the wish to change SIMs: each is in a change, `held` until a time, in `problems` or `unsure`."""

    changes: list[Change] = field(default_factory=list)
    held: dict[str, datetime] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    unsure: dict[str, Problem] = field(default_factory=dict)


@dataclass
class Outcome:
    """How far a change is, and what was refused for which SIM."""

    progress: Progress
    problems: dict[str, Problem] = field(default_factory=dict)
    raw: Any = None


@dataclass(frozen=True)
class Event:
    """Something that happened to a SIM on a day."""

    sim: str
    what: str
    day: date
    raw: dict[str, Any] = field(default_factory=dict)


class Platform(Protocol):
    """A customer's account on a platform. Every method may raise PlatformError."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def usage(self, sims: Sequence[str], *, newest: bool = False) -> Answers[Usage]:
        """Figures of the present cycle. `newest` asks for each SIM alone, where that is newer."""
        ...

    async def plan(self, sim: str) -> list[Package]: ...

    async def pool(self, group: str) -> list[Package]: ...

    async def state(self, sims: Sequence[str]) -> Answers[State]: ...

    async def stop(self, sims: Sequence[str], scope: Scope = Scope.SIM) -> Ordered: ...

    async def resume(self, sims: Sequence[str], scope: Scope = Scope.SIM) -> Ordered: ...

    async def outcome(self, change: Change) -> Outcome: ...

    async def cap(self, sim: str, octets: int | None) -> Ordered:
        """Limits what the SIM may use of its pool; None lifts the limit."""
        ...

    async def events(self, since: date) -> list[Event]:
        """SIMs that were stopped since then; none where the platform has no such list."""
        ...

    async def close(self) -> None: ...
