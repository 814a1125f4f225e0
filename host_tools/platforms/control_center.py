"""Cisco's IoT Control Center (Jasper), which Unicom, AT&T, Rogers, Telstra and others use, as a `Platform`.

Its figures name no moment up to which they count, so `as_of` is that of the answer: what a device has used since then
is not counted twice, and a figure that is late makes no device stop too early. Not yet run against a real account.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import date
from typing import Any

from host_tools.platforms.interface import (
    Answers,
    BadCredentials,
    Can,
    Capabilities,
    Data,
    Event,
    Life,
    NoAnswer,
    Ordered,
    Package,
    Problem,
    Refused,
    Scope,
    State,
    Usage,
)
from host_tools.platforms.sim_by_sim import SimBySim, an_object

_PAGE = 50
_PAGES = 400
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


class ControlCenter(SimBySim):
    """One account. SIMs are named by their ICCIDs."""

    capabilities = Capabilities(
        name="Control Center",
        unit="B",
        as_of_lag_s=86_400,  # not told: until a session ends or is cut into records
        batch_max=1,
        change_interval_s=0,
        calls_per_s=5,
        can=Can(cap=False),
    )

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The object of an answer. A GET is repeated, a PUT is not."""
        login = base64.b64encode(f"{self._user}:{self._key.reveal()}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Accept": "application/json"}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(body).encode()
        status, found = await self._turned(method, f"{self._url}/{path}", content, headers, an_object, method == "GET")
        if status < 300:
            return found
        message = self._clean(str(found.get("errorMessage") or f"HTTP {status}"))
        code = str(found.get("errorCode") or status)
        if status in (401, 403):
            raise BadCredentials(message, code=code)
        raise Refused(message, code=code)

    async def _about(self, sim: str) -> dict[str, Any]:
        return await self._call("GET", f"devices/{sim}")

    async def _usage(self, sim: str) -> dict[str, Any]:
        return await self._call("GET", f"devices/{sim}/ctdUsages")

    # --- queries ---

    async def usage(self, sims: Sequence[str], *, newest: bool = False) -> Answers[Usage]:
        answers: Answers[Usage] = Answers()
        for sim, found in (await self._each(sims, self._usage, answers)).items():
            octets = found.get("ctdDataUsage")
            if not isinstance(octets, int) or isinstance(octets, bool) or octets < 0:
                answers.problems[sim] = Problem("", "the platform's answer has no ctdDataUsage")
                continue
            now = self._utc()
            answers.found[sim] = Usage(sim, octets, self.cycle_start(now), now, "ctdUsages")
        return answers

    async def state(self, sims: Sequence[str]) -> Answers[State]:
        answers: Answers[State] = Answers()
        details = await self._each(sims, self._about, answers)
        usage = await self._each(list(details), self._usage, answers)
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

    async def plan(self, sim: str) -> list[Package]:
        """Control Center names a plan, not what it has."""
        found = await self._about(sim)
        return [Package(str(found.get("ratePlan") or ""), None, None, None)]

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
        return await self._put(sims, scope, _DEACTIVATED, "stop")

    async def resume(self, sims: Sequence[str], scope: Scope = Scope.SIM) -> Ordered:
        return await self._put(sims, scope, _ACTIVATED, "resume")

    async def _put(self, sims: Sequence[str], scope: Scope, status: str, what: str) -> Ordered:
        self._sims_alone(scope)
        return await self._set(
            sims, f"{what}-{scope}", status, lambda sim: self._call("PUT", f"devices/{sim}", {"status": status})
        )

    async def cap(self, sim: str, octets: int | None) -> Ordered:
        raise Refused("Control Center has the limits of rate plans alone")
