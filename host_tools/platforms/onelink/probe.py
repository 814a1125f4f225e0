"""Asks a real account what no public source says of OneLink. Not yet run against one.

Nothing of what it returns names a SIM, a customer or a token. It changes nothing, unless `apn` is given: then the APN
of the SIM is switched on twice, where it is on already, to see how a second change within the interval is refused.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from host_tools.platforms.interface import PlatformError
from host_tools.platforms.onelink import functions as f
from host_tools.platforms.onelink import meaning
from host_tools.platforms.onelink.functions import Function
from host_tools.platforms.onelink.skins import V5

_SHOWN = re.compile(
    r"status|message|ttl|.*Amount|totalAmount|cardStatus|lastChangeDate|platformType|stopReason|serviceType|serviceStatus"
    r"|deadLine|offeringName|effectiveDate|expiriedDate|shutdownReasonDesc|jobStatus|flag"
)
_NUMBER = re.compile(r"\d{8,}")  # codes are shorter, every number of a SIM is longer
_WATCHED_S = 300


def masked(value: Any, name: str = "") -> Any:
    """An answer without what identifies anybody: fields that are not known to be harmless keep their type alone."""
    if isinstance(value, Mapping):
        return {key: masked(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner, name) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    text = str(value)
    if not _SHOWN.fullmatch(name):
        return f"<{type(value).__name__} of {len(text)}>" if text.strip() else value
    dates = name in ("deadLine", "stopReason") or name.endswith(("Date", "Amount"))
    return value if dates else _NUMBER.sub(lambda digits: "#" * len(digits[0]), text)


async def probe(
    skin: V5,
    other: V5,
    sims: Mapping[str, str],
    utc: Callable[[], datetime],
    sleep: Callable[[float], Awaitable[None]],
    *,
    apn: str = "",
    watch: bool = False,
) -> dict[str, Any]:
    """The eight questions and what was answered. `other` is a second client of the same account; `sims` has SIMs by
    what is interesting in them: "pb", "ct", "used-up", "expired". One that is not there leaves its question open."""

    async def ask(function: Function, which: str, **parameters: str) -> Any:
        sim = sims.get(which)
        if sim is None:
            return f"no SIM was named that is {which}"
        return await _raw(skin.send(function.path, {meaning.identity(sim): sim, **parameters}))

    async def looked_at(which: str) -> dict[str, Any]:
        looks = (f.SIM_STATUS, f.STOP_REASON, f.SERVICES, f.MARGIN)
        return {function.number: await ask(function, which) for function in looks}

    found: dict[str, Any] = {
        "at": utc().isoformat(timespec="seconds"),
    }
    found["1 two holders, refresh=0"] = {"same token": await _same_token(skin, other)}
    found["2 stopped by use or by expiry"] = {which: await looked_at(which) for which in ("used-up", "expired")}
    found["3 unit of 23U12 on a PB SIM"] = {
        function.number: await ask(function, "pb") for function in (f.IN_POOL, f.MONTH_SO_FAR)
    }
    reads = []
    for number in range(6 if watch and "ct" in sims else 1):
        if number:
            await sleep(_WATCHED_S / 5)
        at = utc().isoformat(timespec="seconds")
        reads.append({"at": at, **{each.number: await ask(each, "ct") for each in (f.MARGIN, f.MONTH_SO_FAR)}})
    found["4 delay of a CT SIM's figures"] = reads
    found["5 a second change in the interval"] = (
        [await ask(f.SET_APN, "ct", operType=meaning.APN_ON, apnName=apn) for _ in range(2)]
        if apn
        else "not asked: it needs --change"
    )
    sim = next(iter(sims.values()), None)
    found["6 GET with a query"] = (
        await _raw(skin.get(f.SIM_STATUS.path, {meaning.identity(sim): sim})) if sim else "no SIM was named"
    )
    found["7 bodies of pushed messages"] = "cannot be asked: register an address with the account's manager"
    found["8 how a package's end is written"] = {
        which: await ask(f.OFFERINGS, which, queryType=meaning.OF_SIM) for which in ("pb", "ct", "expired")
    }
    return found


async def _same_token(one: V5, other: V5) -> Any:
    try:
        return (await one.token()).reveal() == (await other.token()).reveal()
    except PlatformError as error:
        return masked(str(error), "message")


async def _raw(call: Awaitable[Any]) -> Any:
    """The masked answer, or what went wrong."""
    try:
        answer = await call
    except PlatformError as error:
        return {"error": type(error).__name__, "message": masked(str(error), "message")}
    return masked({"status": answer.code, "message": answer.message, "result": answer.result})
