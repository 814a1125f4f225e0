"""1NCE's management API, version 2, as a `Platform`. Not yet run against a real account.

A SIM has a volume for its whole life, and its usage is listed by days, in UTC. They name no moment up to which they
count, so `as_of` is that of the answer. There is no list of SIMs that were stopped, and limits are for all SIMs alike.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar
from urllib.parse import urlencode

import msgspec

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
    Refused,
    Scope,
    State,
    Usage,
)
from host_tools.platforms.secret import Secret
from host_tools.platforms.sim_by_sim import SimBySim, an_object

_MB = 1024 * 1024
_ENABLED, _DISABLED = "Enabled", "Disabled"
_BY_CUSTOMER = "deactivated"
_QUOTA_ENDED = {"EXHAUSTED": "data-used-up", "EXPIRED": "expired"}
_REACHED = "limit-reached"
_SPARE_S = 60  # a token is not used in its last minute

T = TypeVar("T")


class OneNce(SimBySim):
    """One account: `user` and `key` are an API user's. SIMs are named by their ICCIDs."""

    capabilities = Capabilities(
        name="1NCE",
        unit="MB",
        as_of_lag_s=86_400,  # not told
        batch_max=1,
        change_interval_s=0,
        calls_per_s=10,
        can=Can(cap=False, events=False),
    )
    _token: Secret | None = None
    _until = 0.0

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The object of an answer, none where there is no content. A GET is repeated, a PUT is not."""
        content = None if body is None else json.dumps(body).encode()
        for last in (False, True):
            headers = {"Authorization": f"Bearer {(await self._access()).reveal()}", "Accept": "application/json"}
            if content is not None:
                headers["Content-Type"] = "application/json"
            status, found = await self._turned(
                method, f"{self._url}/{path}", content, headers, _content, method == "GET"
            )
            if status != 401 or last:
                break
            self._token = None  # it was refused, and nothing was done
        if status < 300:
            return found
        raise self._error(status, found)

    async def _access(self) -> Secret:
        if self._token is None or self._utc().timestamp() >= self._until:
            login = base64.b64encode(f"{self._user}:{self._key.reveal()}".encode()).decode()
            headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
            body = json.dumps({"grant_type": "client_credentials"}).encode()
            try:
                status, found = await self._turned("POST", f"{self._url}/oauth/token", body, headers, an_object, True)
            except NoAnswer as error:  # what the token was for is not asked yet
                raise NoAnswer(str(error)) from None
            if status >= 300:
                raise self._error(status, found)
            token, lasts = found.get("access_token"), found.get("expires_in")
            if not (isinstance(token, str) and token and isinstance(lasts, int) and lasts > 0):
                raise NoAnswer("the platform's answer has no token")
            self._token = Secret(token)
            self._until = self._utc().timestamp() + max(lasts - _SPARE_S, lasts / 2)
        return self._token

    def _error(self, status: int, found: dict[str, Any]) -> Refused | BadCredentials:
        message = self._clean(str(found.get("message") or found.get("error_description") or f"HTTP {status}"))
        if self._token is not None:
            message = self._token.hidden_in(message)
        kind = BadCredentials if status in (401, 403) else Refused
        return kind(message, code=str(found.get("error_code") or status))

    async def _about(self, sim: str) -> dict[str, Any]:
        return await self._call("GET", f"v2/sims/{sim}")

    async def _quota(self, sim: str) -> dict[str, Any]:
        return await self._call("GET", f"v2/sims/{sim}/quota/data")

    # --- queries ---

    async def usage(self, sims: Sequence[str], *, newest: bool = False) -> Answers[Usage]:
        answers: Answers[Usage] = Answers()
        now = self._utc()
        start = self.cycle_start(now)
        query = urlencode({"start_dt": start.isoformat(), "end_dt": now.astimezone(self._zone).date().isoformat()})

        async def ask(sim: str) -> dict[str, Any]:
            return await self._call("GET", f"v1/sims/{sim}/usage?{query}")

        for sim, found in (await self._each(sims, ask, answers)).items():
            octets = sum(_octets(day.data.volume) for day in _read(found, _Days).stats if _since(day.date, start))
            answers.found[sim] = Usage(sim, octets, start, self._utc(), "usage")
        return answers

    async def state(self, sims: Sequence[str]) -> Answers[State]:
        answers: Answers[State] = Answers()

        async def ask(sim: str) -> State:
            about, quota = await self._about(sim), await self._quota(sim)
            connection = await self._call("GET", f"v2/sims/{sim}/status")
            return _state(sim, about, quota, connection)

        answers.found = await self._each(sims, ask, answers)
        return answers

    async def plan(self, sim: str) -> list[Package]:
        quota = _read(await self._quota(sim), _Quota)
        total, left = _octets(quota.total_volume), max(_octets(quota.volume), 0)
        expires = date.fromisoformat(quota.expiry_date[:10]) if quota.expiry_date else None
        return [Package("data", total, max(total - left, 0), left, expires)]

    async def events(self, since: date) -> list[Event]:
        return []

    # --- changes ---

    async def stop(self, sims: Sequence[str], scope: Scope = Scope.SIM) -> Ordered:
        return await self._put(sims, scope, _DISABLED, "stop")

    async def resume(self, sims: Sequence[str], scope: Scope = Scope.SIM) -> Ordered:
        return await self._put(sims, scope, _ENABLED, "resume")

    async def _put(self, sims: Sequence[str], scope: Scope, status: str, what: str) -> Ordered:
        self._sims_alone(scope)

        async def change(sim: str) -> None:
            try:
                about = await self._about(sim)  # whether what is left out stays as it is, no document says
            except NoAnswer as error:  # nothing was changed yet
                raise NoAnswer(str(error)) from None
            kept = {name: about[name] for name in ("label", "imei_lock") if about.get(name) is not None}
            await self._call("PUT", f"v2/sims/{sim}", {"iccid": sim, **kept, "status": status})

        return await self._set(sims, f"{what}-{scope}", status, change)

    async def cap(self, sim: str, octets: int | None) -> Ordered:
        raise Refused("1NCE has limits for all SIMs of an account alone")


class _Volume(msgspec.Struct):
    volume: str | float | int = 0  # MB


class _Day(msgspec.Struct):
    date: str
    data: _Volume = msgspec.field(default_factory=_Volume)


class _Days(msgspec.Struct):
    stats: list[_Day]


class _Quota(msgspec.Struct):
    volume: float | int  # MB that are left; may be negative
    total_volume: float | int
    expiry_date: str | None = None


def _state(sim: str, about: dict[str, Any], quota: dict[str, Any], connection: dict[str, Any]) -> State:
    raw = {"sim": about, "quota": quota, "connection": connection}
    status = about.get("status")
    if status == _DISABLED:
        return State(sim, Life.STOPPED, Data.OFF, (_BY_CUSTOMER,), raw)
    if status != _ENABLED:
        return State(sim, Life.UNKNOWN, Data.UNKNOWN, (), raw)
    reasons = []
    if (ended := _QUOTA_ENDED.get(_described(quota.get("status")))) is not None:
        reasons.append(ended)
    if _described(connection.get("data_traffic_limit_state")) == "REACHED":
        reasons.append(_REACHED)
    if _described(connection.get("status")) == "BLOCKED" and not reasons:
        reasons.append("blocked")
    return State(sim, Life.ACTIVE, Data.OFF if reasons else Data.ON, tuple(reasons), raw)


def _described(found: Any) -> str:
    return str(found.get("description", "")) if isinstance(found, dict) else ""


def _content(status: int, content: bytes) -> dict[str, Any]:
    return an_object(status, content) if content.strip() or status >= 500 else {}


def _read(found: dict[str, Any], kind: type[T]) -> T:
    try:
        return msgspec.convert(found, kind)
    except msgspec.ValidationError as error:
        raise NoAnswer(f"the platform's answer cannot be read: {error}", sure=False) from None


def _octets(megabytes: str | float) -> int:
    """Octets of an amount in MB: 1 MB = 1024 KB."""
    try:
        return int((Decimal(str(megabytes)) * _MB).to_integral_value())
    except (InvalidOperation, OverflowError, ValueError):
        raise NoAnswer(f"the platform's answer cannot be read: {megabytes!r} MB", sure=False) from None


def _since(day: str, start: date) -> bool:
    """Whether it is a day from then on; a sum over days is none."""
    try:
        return date.fromisoformat(day[:10]) >= start
    except ValueError:
        return False
