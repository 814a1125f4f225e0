"""What platforms have in common that change one SIM at a time, and tell what became of it by the SIM's state alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from calendar import monthrange
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any, TypeVar

from host_tools.platforms.changes import ChangeTimes
from host_tools.platforms.interface import (
    AT_ONCE,
    Answers,
    Capabilities,
    Change,
    NoAnswer,
    Ordered,
    Outcome,
    Package,
    PlatformError,
    Problem,
    Progress,
    Refused,
    Scope,
)
from host_tools.platforms.secret import Secret
from host_tools.platforms.transport import Http, Pace, parsed

T = TypeVar("T")
BACK_OFF_S = (2.0, 8.0)


class SimBySim(ABC):
    """One account. `cycle_day`: on which its cycles begin, at `utc_offset_min`. Queries are repeated, changes never."""

    capabilities: Capabilities

    def __init__(
        self,
        http: Http,
        url: str,
        user: str,
        key: Secret,
        pace: Pace,
        changes: ChangeTimes,
        utc: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        *,
        cycle_day: int = 1,
        utc_offset_min: int = 480,
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._user = user
        self._key = key
        self._pace = pace
        self._changes = changes
        self._utc = utc
        self._sleep = sleep
        self._cycle_day = cycle_day
        self._zone = timezone(timedelta(minutes=utc_offset_min))

    async def close(self) -> None:
        await self._http.close()

    @abstractmethod
    async def _about(self, sim: str) -> dict[str, Any]:
        """The object that has the SIM's status."""

    def _is(self, found: dict[str, Any], wanted: str) -> bool:
        """Whether the SIM of that object is as a change wanted it."""
        return found.get("status") == wanted

    def cycle_start(self, now: datetime) -> date:
        """The first day of the present cycle; the last day of a month that has no such day."""
        today = now.astimezone(self._zone).date()
        first = today.replace(day=min(self._cycle_day, monthrange(today.year, today.month)[1]))
        if first <= today:
            return first
        before = today.replace(day=1) - timedelta(days=1)
        return before.replace(day=min(self._cycle_day, before.day))

    async def _turned(
        self,
        method: str,
        url: str,
        content: bytes | None,
        headers: dict[str, str],
        read: Callable[[int, bytes], T],
        query: bool,
    ) -> tuple[int, T]:
        """The status and what `read` makes of an answer. A query that is not answered is asked again."""
        waits = list(BACK_OFF_S) if query else []
        while True:
            try:
                await self._pace.turn()
                status, answer = await self._http.send(method, url, content, headers)
                if status == 429:
                    raise NoAnswer("the platform asks for fewer calls", code="429")
                return status, read(status, answer)
            except NoAnswer:
                if not waits:
                    raise
                await self._sleep(waits.pop(0))

    def _clean(self, text: str) -> str:
        """A message that may quote the request."""
        return Secret(self._user).hidden_in(self._key.hidden_in(text))

    async def _each(
        self, sims: Sequence[str], ask: Callable[[str], Awaitable[T]], answers: Answers[Any]
    ) -> dict[str, T]:
        """What is answered for each SIM; a problem for one that is refused."""
        found = {}
        for sim in dict.fromkeys(sims):
            if not (sim.isascii() and sim.isalnum()):
                answers.problems[sim] = Problem("", f"{sim!r} is no number of a SIM")
                continue
            try:
                found[sim] = await ask(sim)
            except Refused as error:
                answers.problems[sim] = Problem(error.code, str(error), "check the number")
        return found

    async def _set(
        self, sims: Sequence[str], what: str, wanted: str, change: Callable[[str], Awaitable[object]]
    ) -> Ordered:
        """Changes the SIMs, one after the other, whose interval is over; `wanted` is how they are to be then."""
        ordered = Ordered()
        now = self._utc()
        for sim in dict.fromkeys(sims):
            free = self._changes.free_at(sim, now)
            if free is not None:
                ordered.held[sim] = free
                continue
            try:
                await change(sim)
            except PlatformError as error:
                found = Problem(error.code, str(error))
                (ordered.problems if error.sure else ordered.unsure)[sim] = found
                if error.sure:
                    continue
            else:
                ordered.changes.append(Change(f"{wanted}:{sim}", what, (sim,)))
            self._changes.put([sim], now)
        return ordered

    async def outcome(self, change: Change) -> Outcome:
        """A change has no name here: whether it is done shows in the SIM's status."""
        if change.id == AT_ONCE:
            return Outcome(Progress.DONE)
        wanted, _, sim = change.id.partition(":")
        found = await self._about(sim)
        return Outcome(Progress.DONE if self._is(found, wanted) else Progress.RUNNING, {}, found)

    def _sims_alone(self, scope: Scope) -> None:
        if scope is Scope.DATA:
            raise Refused(f"{self.capabilities.name} stops SIMs, not their data alone")

    async def pool(self, group: str) -> list[Package]:
        raise Refused(f"{self.capabilities.name} tells nothing of pools")


def an_object(status: int, content: bytes) -> dict[str, Any]:
    """The object of an answer in JSON. NoAnswer for anything else."""
    found = parsed(status, content)
    if not isinstance(found, dict):
        raise NoAnswer("the platform's answer has another form than its manual", sure=False)
    return found
