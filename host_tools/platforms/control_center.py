"""Cisco's IoT Control Center (Jasper), which Unicom, AT&T, Rogers, Telstra and others use, as a `Platform`.

Its figures name no moment up to which they count, so `as_of` is that of the answer: what a device has used since then
is not counted twice, and a figure that is late makes no device stop too early. Not yet run against a real account.
"""

from __future__ import annotations

import base64
import json
from calendar import monthrange
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Any

from host_tools.platforms.changes import ChangeTimes
from host_tools.platforms.interface import (
    AT_ONCE,
    Answers,
    BadCredentials,
    Can,
    Capabilities,
    Change,
    Data,
    Event,
    Life,
    NoAnswer,
    Ordered,
    Outcome,
    Package,
    PlatformError,
    Problem,
    Progress,
    Refused,
    Scope,
    State,
    Usage,
)
from host_tools.platforms.secret import Secret
from host_tools.platforms.transport import Http, Pace, parsed

_PAGE = 50
_PAGES = 400
_BACK_OFF_S = (2.0, 8.0)
_ACTIVATED, _DEACTIVATED = "ACTIVATED", "DEACTIVATED"
_LIVES = {
    "TEST_READY": Life.TEST,
    "INVENTORY": Life.STOCK,
    "TRIAL": Life.TEST,
    "START": Life.SILENT,
    "ACTIVATION_READY": Life.SILENT,
    _ACTIVATED: Life.ACTIVE,
    _DEACTIVATED: Life.STOPPED,
    "RETIRED": Life.GONE,
    "PURGED": Life.GONE,
    "REPLACED": Life.GONE,
}
_LIMIT_REACHED, _BY_CUSTOMER = "data-used-up", "deactivated"


class ControlCenter:
    """One account. SIMs are named by their ICCIDs. `cycle_day`: on which its cycles begin, at `utc_offset_min`."""

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
        self.capabilities = Capabilities(
            name="Control Center",
            unit="B",
            as_of_lag_s=86_400,  # not told: until a session ends or is cut into records
            batch_max=1,
            change_interval_s=0,
            calls_per_s=5,
            can=Can(cap=False),
        )

    async def close(self) -> None:
        await self._http.close()

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The object of an answer. A GET is repeated, a PUT is not."""
        login = base64.b64encode(f"{self._user}:{self._key.reveal()}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        waits = list(_BACK_OFF_S) if method == "GET" else []
        while True:
            try:
                await self._pace.turn()
                status, answer = await self._http.send(method, f"{self._url}/{path}", content, headers)
                if status == 429:
                    raise NoAnswer("the platform asks for fewer calls", code="429")
                found = parsed(status, answer)
                if not isinstance(found, dict):
                    raise NoAnswer("the platform's answer has another form than its manual", sure=False)
                break
            except NoAnswer:
                if not waits:
                    raise
                await self._sleep(waits.pop(0))
        if status < 300:
            return found
        message = Secret(self._user).hidden_in(self._key.hidden_in(str(found.get("errorMessage") or f"HTTP {status}")))
        code = str(found.get("errorCode") or status)
        if status in (401, 403):
            raise BadCredentials(message, code=code)
        raise Refused(message, code=code)

    # --- queries ---

    def cycle_start(self, now: datetime) -> date:
        """The first day of the present cycle; the last day of a month that has no such day."""
        today = now.astimezone(self._zone).date()
        first = today.replace(day=min(self._cycle_day, monthrange(today.year, today.month)[1]))
        if first <= today:
            return first
        before = today.replace(day=1) - timedelta(days=1)
        return before.replace(day=min(self._cycle_day, before.day))

    async def usage(self, sims: Sequence[str], *, newest: bool = False) -> Answers[Usage]:
        answers: Answers[Usage] = Answers()
        for sim, found in (await self._each(sims, "/ctdUsages", answers)).items():
            octets = found.get("ctdDataUsage")
            if not isinstance(octets, int) or isinstance(octets, bool) or octets < 0:
                answers.problems[sim] = Problem("", "the platform's answer has no ctdDataUsage")
                continue
            now = self._utc()
            answers.found[sim] = Usage(sim, octets, self.cycle_start(now), now, "ctdUsages")
        return answers

    async def state(self, sims: Sequence[str]) -> Answers[State]:
        answers: Answers[State] = Answers()
        details = await self._each(sims, "", answers)
        usage = await self._each(list(details), "/ctdUsages", answers)
        for sim, found in details.items():
            if sim not in usage:
                continue
            life = _LIVES.get(str(found.get("status")), Life.UNKNOWN)
            limited = (
                usage[sim].get("overageLimitReached") is True and usage[sim].get("overageLimitOverride") == "DEFAULT"
            )
            data, reasons = Data.UNKNOWN, ()
            if life in (Life.ACTIVE, Life.TEST):
                data, reasons = (Data.OFF, (_LIMIT_REACHED,)) if limited else (Data.ON, ())
            elif life in (Life.STOPPED, Life.GONE, Life.STOCK):
                data, reasons = Data.OFF, (_BY_CUSTOMER,) if life is Life.STOPPED else ()
            answers.found[sim] = State(sim, life, data, reasons, {**found, **usage[sim]})
        return answers

    async def _each(self, sims: Sequence[str], path: str, answers: Answers[Any]) -> dict[str, dict[str, Any]]:
        """What is answered for each SIM; a problem for one that is refused."""
        found = {}
        for sim in dict.fromkeys(sims):
            if not (sim.isascii() and sim.isalnum()):
                answers.problems[sim] = Problem("", f"{sim!r} is no ICCID")
                continue
            try:
                found[sim] = await self._call("GET", f"devices/{sim}{path}")
            except Refused as error:
                answers.problems[sim] = Problem(error.code, str(error), "check the number")
        return found

    async def plan(self, sim: str) -> list[Package]:
        """Control Center names a plan, not what it has."""
        found = await self._call("GET", f"devices/{sim}")
        return [Package(str(found.get("ratePlan") or ""), None, None, None)]

    async def pool(self, group: str) -> list[Package]:
        raise Refused("Control Center tells nothing of pools")

    async def events(self, since: date) -> list[Event]:
        """SIMs that were changed since then, and are deactivated."""
        found = []
        at = f"{since.isoformat()}T00:00:00Z"
        for page in range(1, _PAGES + 1):
            query = f"devices?modifiedSince={at}&status={_DEACTIVATED}&pageSize={_PAGE}&pageNumber={page}"
            answer = await self._call("GET", query)
            listed = answer.get("devices")
            if not isinstance(listed, list):
                raise NoAnswer("the platform's answer has no devices", sure=False)
            found += [Event(str(each["iccid"]), "stopped", since, each) for each in listed if "iccid" in each]
            if answer.get("lastPage") is True or not listed:
                return found
        raise NoAnswer("the list of devices has no end")

    # --- changes ---

    async def stop(self, sims: Sequence[str], scope: Scope = Scope.SIM) -> Ordered:
        return await self._set(sims, scope, _DEACTIVATED, "stop")

    async def resume(self, sims: Sequence[str], scope: Scope = Scope.SIM) -> Ordered:
        return await self._set(sims, scope, _ACTIVATED, "resume")

    async def _set(self, sims: Sequence[str], scope: Scope, status: str, what: str) -> Ordered:
        if scope is Scope.DATA:
            raise Refused("Control Center stops SIMs, not their data alone")
        ordered = Ordered()
        now = self._utc()
        for sim in dict.fromkeys(sims):
            free = self._changes.free_at(sim, now)
            if free is not None:
                ordered.held[sim] = free
                continue
            try:
                await self._call("PUT", f"devices/{sim}", {"status": status})
            except PlatformError as error:
                found = Problem(error.code, str(error))
                (ordered.problems if error.sure else ordered.unsure)[sim] = found
                if error.sure:
                    continue
            else:
                ordered.changes.append(Change(f"{status}:{sim}", f"{what}-{scope}", (sim,)))
            self._changes.put([sim], now)
        return ordered

    async def outcome(self, change: Change) -> Outcome:
        """A change has no name here: whether it is done shows in the SIM's status."""
        if change.id == AT_ONCE:
            return Outcome(Progress.DONE)
        wanted, _, sim = change.id.partition(":")
        found = await self._call("GET", f"devices/{sim}")
        return Outcome(Progress.DONE if found.get("status") == wanted else Progress.RUNNING, {}, found)

    async def cap(self, sim: str, octets: int | None) -> Ordered:
        raise Refused("Control Center has the limits of rate plans alone")
