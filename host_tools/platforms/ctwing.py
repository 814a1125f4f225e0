"""China Telecom's 5G connection management (5GCMP, CTWing) as a `Platform`. Not yet run against a real account.

Known from public clients that quote its manual, and from the manual's own example of a signature. Its month figures
name no moment up to which they count, so `as_of` is that of the answer. Answers are JSON or XML, by function.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, date, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import msgspec

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
    Package,
    PlatformError,
    Problem,
    Refused,
    Scope,
    State,
    Usage,
)
from host_tools.platforms.secret import Secret
from host_tools.platforms.sim_by_sim import SimBySim, an_object

BATCH = 100
_CHINA = timezone(timedelta(hours=8))
_UNITS = {"KB": 1024, "MB": 1024**2, "GB": 1024**3}
_LIVES = {
    "1": Life.SILENT,
    "2": Life.TEST,
    "3": Life.STOPPED,
    "4": Life.ACTIVE,
    "5": Life.STOPPED,
    "6": Life.STOPPED,
    "7": Life.GONE,
}
_WHY = {"3": "test-deactivated", "5": "stopped", "6": "operator-managed"}
_DATA = {"未断网": Data.ON, "已断网": Data.OFF}
_CUT = "data-cut"
_STOP, _RESUME = "19", "20"  # 停机保号 and its end
_CUT_DATA, _RESTORE_DATA = "ADD", "DEL"  # of the cut, not of the service
_LIMIT = "/5gcmp/openapi/v1/common/offNetAction"
_NEW_LIMIT, _OTHER_LIMIT = "1", "2"
_NO_LIMIT = -1
_ALL_USAGE = "1"


class Ctwing(SimBySim):
    """One account: `user` is its AppKey, `customer` the enterprise's number. SIMs are named by access numbers."""

    capabilities = Capabilities(
        name="CTWing",
        unit="MB",
        as_of_lag_s=86_400,  # not told
        batch_max=BATCH,
        change_interval_s=0,
        calls_per_s=5,
        can=Can(stop_data_only=True, cap=True, events=False),
    )

    def __init__(self, *given: Any, customer: str, **options: Any) -> None:
        super().__init__(*given, **options)
        self._customer = customer

    async def _get(self, path: str, parameters: Mapping[str, str], query: bool = True) -> dict[str, Any]:
        """The object of an answer in JSON, or the texts of one in XML by their names."""
        return await self._send("GET", path, parameters, None, query)

    async def _send(
        self, method: str, path: str, parameters: Mapping[str, str], body: dict[str, Any] | None, query: bool
    ) -> dict[str, Any]:
        text = urlencode(sorted(parameters.items()))
        content = "" if body is None else json.dumps(body, separators=(",", ":"))
        at = f"{self._utc().astimezone(UTC):%Y%m%d%H%M%S}"
        headers = {"AppKey": self._user, "Timestamp": at, "Sign": signature(text, content, self._key, at)}
        if body is not None:
            headers["Content-Type"] = "application/json"
        url = f"{self._url}{path}?{text}" if text else f"{self._url}{path}"
        status, found = await self._turned(method, url, content.encode() or None, headers, _content, query)
        if status in (401, 403):
            raise BadCredentials(self._clean(_message(found) or f"HTTP {status}"), code=str(status))
        code, message = _outcome(found)
        if status >= 300 or code.strip("0"):
            raise Refused(self._clean(message or f"HTTP {status}"), code=code or str(status))
        return found

    # --- queries ---

    async def usage(self, sims: Sequence[str], *, newest: bool = False) -> Answers[Usage]:
        answers: Answers[Usage] = Answers()
        sims = list(await self._each(sims, _itself, answers))
        for first in range(0, len(sims), BATCH):
            batch = sims[first : first + BATCH]
            body = {"custNumber": self._customer, "accessNumber": batch}
            found = await self._send("POST", "/api/v1/batchQry/batchQryFlowByMonth", {}, body, query=True)
            now = self._utc()
            month = now.astimezone(_CHINA).date().replace(day=1)
            for each in _rows(found):
                sim = each.accessNumber
                if sim not in batch:
                    continue
                if each.status.strip("0") or each.flowAmount is None:
                    answers.problems[sim] = Problem(each.status, each.statusDesc or "the answer has no figure")
                elif each.month not in ("", f"{month:%Y%m}"):
                    answers.problems[sim] = Problem("", f"the figure is that of {each.month}")
                else:
                    octets = _octets(each.flowAmount, each.unit)
                    answers.found[sim] = Usage(sim, octets, month, now, "batchQryFlowByMonth")
            for sim in batch:
                if sim not in answers.found:
                    answers.problems.setdefault(sim, Problem("", "the platform's answer leaves it out"))
        return answers

    async def _about(self, sim: str) -> dict[str, Any]:
        return await self._get("/openapi/v1/prodinst/queryCardMainStatus", {"access_number": sim})

    async def state(self, sims: Sequence[str]) -> Answers[State]:
        answers: Answers[State] = Answers()
        for sim, found in (await self._each(sims, self._about, answers)).items():
            status = _status(found)
            life = _LIVES.get(status, Life.UNKNOWN)
            data = _DATA.get(str(found.get("netBlockStatusName")), Data.UNKNOWN)
            reasons = (_WHY[status],) if status in _WHY else ()
            if data is Data.OFF and life in (Life.ACTIVE, Life.TEST):
                reasons = (_CUT,)
            if life in (Life.STOPPED, Life.GONE):
                data = Data.OFF
            answers.found[sim] = State(sim, life, data, reasons, found)
        return answers

    async def plan(self, sim: str) -> list[Package]:
        """Which function tells what is left of a plan, no public source says."""
        return []

    async def events(self, since: date) -> list[Event]:
        return []

    # --- changes ---

    async def stop(self, sims: Sequence[str], scope: Scope = Scope.SIM) -> Ordered:
        return await self._switch(sims, scope, on=False)

    async def resume(self, sims: Sequence[str], scope: Scope = Scope.SIM) -> Ordered:
        """Of data alone: after a cut by hand. A SIM that a limit has cut off needs a higher limit or a pack."""
        return await self._switch(sims, scope, on=True)

    async def _switch(self, sims: Sequence[str], scope: Scope, on: bool) -> Ordered:
        what = f"{'resume' if on else 'stop'}-{scope}"
        if scope is Scope.DATA:
            path, wanted = "/5gcmp/openapi/v1/common/singleCutNet", "已断网" if not on else "未断网"
            parameters = {"action": _RESTORE_DATA if on else _CUT_DATA}
        else:
            path, wanted = "/5gcmp/openapi/v1/common/disabledNumberService", "4" if on else "5"
            parameters = {"acctCd": "", "orderTypeId": _RESUME if on else _STOP}
        return await self._set(
            sims, what, wanted, lambda sim: self._get(path, {"access_number": sim, **parameters}, query=False)
        )

    def _is(self, found: dict[str, Any], wanted: str) -> bool:
        return wanted in (_status(found), found.get("netBlockStatusName"))

    async def cap(self, sim: str, octets: int | None) -> Ordered:
        """A limit of all usage, at which the platform cuts data off. None is no limit, which brings data back."""
        quota = _NO_LIMIT if octets is None else octets // _UNITS["MB"]
        ordered = Ordered()
        for action in (_OTHER_LIMIT, _NEW_LIMIT):  # a new one is taken twice where there is one already
            ordered = Ordered()
            asked = {"access_number": sim, "action": action, "quota": str(quota), "type": _ALL_USAGE}
            try:
                await self._get(_LIMIT, asked, query=False)
            except PlatformError as error:
                found = Problem(error.code, str(error))
                (ordered.problems if error.sure else ordered.unsure)[sim] = found
                if isinstance(error, Refused):
                    continue
            else:
                ordered.changes.append(Change(AT_ONCE, "cap", (sim,)))
            break
        return ordered


def signature(query: str, body: str, key: Secret, timestamp: str) -> str:
    """Of a request: the hexadecimal digits of an MD5, which are in hexadecimal themselves."""
    digest = hashlib.md5(f"{query}{body}{key.reveal()}{timestamp}".encode()).hexdigest()
    return digest.encode().hex().upper()


class _Row(msgspec.Struct):
    accessNumber: str  # noqa: N815 - the platform's name, as are the next
    flowAmount: str | float | int | None = None  # noqa: N815
    unit: str = "MB"
    month: str = ""
    status: str = "0"
    statusDesc: str = ""  # noqa: N815


def _rows(found: dict[str, Any]) -> list[_Row]:
    try:
        return msgspec.convert(found.get("data"), list[_Row])
    except msgspec.ValidationError as error:
        raise NoAnswer(f"the platform's answer cannot be read: {error}", sure=False) from None


async def _itself(sim: str) -> str:
    return sim


def _octets(amount: str | float, unit: str) -> int:
    try:
        return int((Decimal(str(amount)) * _UNITS[unit.upper()]).to_integral_value())
    except (InvalidOperation, KeyError, OverflowError, ValueError):
        raise NoAnswer(f"the platform's answer cannot be read: {amount!r} {unit!r}", sure=False) from None


def _status(found: dict[str, Any]) -> str:
    products = found.get("productInfo")
    first = products[0] if isinstance(products, list) and products else {}
    return str(first.get("productMainStatusCd", "")) if isinstance(first, dict) else ""


def _outcome(found: dict[str, Any]) -> tuple[str, str]:
    """Code and message of an answer: each function has names of its own. A code of zeros is a success."""
    for name in ("RspCode", "code", "resultCode", "result", "RESULT"):
        if name in found:
            return str(found[name]), _message(found)
    raise NoAnswer("the platform's answer has another form than its manual", sure=False)


def _message(found: dict[str, Any]) -> str:
    names = ("RspDesc", "msg", "message", "resultMsg", "SMSG")
    return next((str(found[name]) for name in names if found.get(name)), "")


def _content(status: int, content: bytes) -> dict[str, Any]:
    if not content.lstrip().startswith(b"<"):
        return an_object(status, content)
    if status >= 500:
        raise NoAnswer(f"the platform answers with HTTP {status}", sure=False)
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError:
        raise NoAnswer(f"the platform's answer is neither JSON nor XML (HTTP {status})", sure=False) from None
    return {each.tag: each.text or "" for each in root.iter() if not len(each)}
