"""OneLink as a `Platform`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
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
from host_tools.platforms.onelink import functions as f
from host_tools.platforms.onelink import meaning
from host_tools.platforms.onelink.functions import Function, Kind
from host_tools.platforms.onelink.skins import Skin

BATCH = 100
PAGE = 50
_PAGES = 400  # of one list: more is a platform that does not end
_BACK_OFF_S = (2.0, 8.0)
_AT_ONCE = (f.SET_SPEED, f.SET_CAP)  # their answers name no order
_DATA_PAUSED, _DATA_USED_UP = "data-paused", "data-used-up"


@dataclass(frozen=True)
class Names:
    """What a customer has to know of the own account for some functions; "" for what is not used."""

    apn: str = "CMIOT"
    group: str = ""
    offering: str = ""


class OneLink:
    """One account. Queries are repeated, changes never: what became of one that was not answered is `unsure`."""

    def __init__(
        self,
        skin: Skin,
        changes: ChangeTimes,
        utc: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]],
        *,
        names: Names | None = None,
        change_interval: timedelta = timedelta(minutes=30),
        calls_per_s: float = 5,
    ) -> None:
        self._skin = skin
        self._changes = changes
        self._utc = utc
        self._sleep = sleep
        self._names = names or Names()
        self._types: dict[str, str] = {}  # platformType by SIM, which does not change
        self.capabilities = Capabilities(
            name="OneLink",
            unit="KB",
            as_of_lag_s=86_400,  # PB: yesterday 24:00
            batch_max=BATCH,
            change_interval_s=int(change_interval.total_seconds()),
            calls_per_s=calls_per_s,
            can=Can(stop_data_only=True, throttle=True, cap=bool(self._names.group), history=True),
        )

    async def close(self) -> None:
        await self._skin.close()

    # --- one call ---

    async def call(self, function: Function, parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The objects of an answer. Refused for a code that is an error; NoAnswer also after repetitions."""
        waits = list(_BACK_OFF_S) if function.kind is Kind.QUERY else []
        while True:
            try:
                answer = await self._skin.send(function.path, parameters)
                if answer.code in meaning.BUSY:
                    raise NoAnswer(f"{function.number}: {answer.message}", code=answer.code, sure=False)
                break
            except NoAnswer:
                if not waits:
                    raise
                await self._sleep(waits.pop(0))
        if answer.code in meaning.CREDENTIALS:
            raise BadCredentials(f"{function.number}: {answer.message}", code=answer.code)
        if answer.code not in (meaning.OK, meaning.ACCEPTED if function.kind is Kind.CHANGE else meaning.OK):
            raise Refused(answer.message or f"{function.number} was refused", code=answer.code)
        return answer.result

    async def _one(self, function: Function, parameters: Mapping[str, Any]) -> dict[str, Any]:
        result = await self.call(function, parameters)
        return result[0] if result else {}

    async def _batches(
        self, function: Function, sims: Sequence[str], problems: dict[str, Problem], **parameters: Any
    ) -> list[tuple[list[str], list[dict[str, Any]]]]:
        """A query of many SIMs. One that the platform does not know fails its batch: it is halved until it is found."""
        done = []
        waiting = [batch for kind in ("msisdn", "iccid", "imsi") for batch in _batched(_of_kind(sims, kind))]
        while waiting:
            batch = waiting.pop(0)
            name = f"{meaning.identity(batch[0])}s"
            try:
                done.append((batch, await self.call(function, {name: "_".join(batch), **parameters})))
            except Refused as error:
                if error.code not in meaning.UNKNOWN_SIM:
                    raise
                if len(batch) == 1:
                    problems[batch[0]] = meaning.problem(error.code, str(error))
                else:
                    waiting[:0] = [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        return done

    # --- figures ---

    async def usage(self, sims: Sequence[str], *, newest: bool = False) -> Answers[Usage]:
        answers: Answers[Usage] = Answers()
        sims = _known(sims, answers.problems)
        if newest:
            await self._newest(sims, answers)
            return answers
        now = self._utc()
        start = meaning.month_start(now)
        for batch, result in await self._batches(f.MONTHS, sims, answers.problems, queryDate=f"{start:%Y%m}"):
            for holder in result:
                as_of = _within(_read(meaning.until, holder.get("deadLine"), now), now)
                for each in _list(holder, "dataAmountList"):
                    sim = _asked(each, batch)
                    octets = _read(meaning.octets, each.get("dataAmount"), meaning.KB)
                    if sim is not None:
                        answers.found[sim] = Usage(sim, octets or 0, start, as_of, f.MONTHS.number)
        _missing(sims, answers)
        return answers

    async def _newest(self, sims: Sequence[str], answers: Answers[Usage]) -> None:
        types = await self.platform_types(sims, answers.problems)
        for sim in sims:
            if sim not in types:
                continue
            now = self._utc()
            try:
                found = await self._one(f.MONTH_SO_FAR, {meaning.identity(sim): sim})
            except Refused as error:
                answers.problems[sim] = meaning.problem(error.code, str(error))
                continue
            octets = _read(meaning.octets, found.get("dataAmount"), meaning.KB)
            as_of = now if types[sim] == meaning.CT else meaning.midnight(now)
            answers.found[sim] = Usage(sim, octets or 0, meaning.month_start(now), as_of, f.MONTH_SO_FAR.number)

    async def day(self, sims: Sequence[str], day: date) -> Answers[int]:
        """Octets of one of the last seven days, of which today is none."""
        answers: Answers[int] = Answers()
        sims = _known(sims, answers.problems)
        for batch, result in await self._batches(f.DAYS, sims, answers.problems, queryDate=f"{day:%Y%m%d}"):
            for holder in result:
                for each in _list(holder, "dataAmountList"):
                    sim = _asked(each, batch)
                    if sim is not None:
                        answers.found[sim] = _read(meaning.octets, each.get("dataAmount"), meaning.KB) or 0
        _missing(sims, answers)
        return answers

    async def plan(self, sim: str) -> list[Package]:
        """With what is ordered for the SIM beside its allowances: that tells when something ends."""
        holder = await self._one(f.MARGIN, {meaning.identity(sim): sim})
        try:
            ordered = await self._one(f.OFFERINGS, {meaning.identity(sim): sim, "queryType": meaning.OF_SIM})
        except Refused:  # the contract may be without this function
            ordered = {}
        return _packages(holder, ordered)

    async def pool(self, group: str) -> list[Package]:
        return _packages(await self._one(f.GROUP_MARGIN, {"groupId": group}), {})

    async def used_in_pool(self, sim: str) -> int:
        """What a SIM has used of its pool this month. This function alone counts in octets."""
        found = await self._one(f.IN_POOL, {meaning.identity(sim): sim})
        return sum(_read(meaning.octets, each.get("apnUseAmount"), 1) or 0 for each in _list(found, "apnList"))

    async def members(self, group: str) -> list[str]:
        """The SIMs of a pool."""
        found = []
        async for each in self._pages(f.GROUP_MEMBERS, {"groupId": group}):
            found.append(each["msisdn"])
        return found

    # --- state ---

    async def platform_types(self, sims: Sequence[str], problems: dict[str, Problem]) -> dict[str, str]:
        """Which of the two platforms each SIM is on: they count and number their states differently."""
        unknown = [sim for sim in sims if sim not in self._types]
        for batch, result in await self._batches(f.PLATFORM_TYPES, unknown, problems):
            for each in _flat(result):
                sim = _asked(each, batch)
                if sim is None:
                    continue
                code = str(each.get("status") or meaning.OK)
                if code != meaning.OK:
                    problems[sim] = meaning.problem(code, str(each.get("message") or ""))
                elif not meaning.is_none(each.get("platformType")):
                    self._types[sim] = str(each["platformType"])
        for sim in sims:
            if sim not in self._types:
                problems.setdefault(sim, Problem("", "the platform does not say which of its two systems it is on"))
        return {sim: self._types[sim] for sim in sims if sim in self._types}

    async def state(self, sims: Sequence[str]) -> Answers[State]:
        answers: Answers[State] = Answers()
        sims = _known(sims, answers.problems)
        types = await self.platform_types(sims, answers.problems)
        for sim in sims:
            if sim not in types:
                continue
            try:
                answers.found[sim] = await self._state(sim, types[sim])
            except Refused as error:
                answers.problems[sim] = meaning.problem(error.code, str(error))
        return answers

    async def _state(self, sim: str, platform: str) -> State:
        who = {meaning.identity(sim): sim}
        status = await self._one(f.SIM_STATUS, who)
        life = meaning.life(platform, status.get("cardStatus"))
        raw: dict[str, Any] = {"platformType": platform, **status}
        reasons: tuple[str, ...] = ()
        data = Data.OFF if life in (Life.STOPPED, Life.GONE, Life.STOCK) else Data.UNKNOWN
        if life is Life.STOPPED:
            why = await self._one(f.STOP_REASON, who)
            raw |= why
            reasons = _read(meaning.stop_reasons, why.get("stopReason"))
        elif life is Life.ACTIVE:
            services = _list(await self._one(f.SERVICES, who), "serviceTypeList")
            raw["serviceTypeList"] = services
            ours = [each for each in services if str(each.get("serviceType")) == meaning.DATA_SERVICE]
            if ours:
                data = Data.ON if any(str(each.get("serviceStatus")) == "1" for each in ours) else Data.OFF
            if data is Data.OFF:  # no digit of the stop reasons says so
                left = await self.plan(sim)
                used_up = any(each.total and each.used is not None and each.used >= each.total for each in left)
                reasons = (_DATA_USED_UP if used_up else _DATA_PAUSED,)
        return State(sim, life, data, reasons, raw)

    async def history(self, sim: str) -> list[tuple[str, str, str]]:
        """(from, to, when) of the SIM's states, as lives. This function has the CT digits for every SIM, and calls the
        former state `descStatus`."""
        found = await self._one(f.CHANGE_HISTORY, {meaning.identity(sim): sim})
        return [
            (
                meaning.life(meaning.CT, each.get("descStatus")),
                meaning.life(meaning.CT, each.get("targetStatus")),
                str(each.get("changeDate") or ""),
            )
            for each in _list(found, "changeHistoryList")
        ]

    async def events(self, since: date) -> list[Event]:
        """SIMs that were stopped on a day since then: a call for each state and day, not for each SIM."""
        today = self._utc().astimezone(meaning.CHINA).date()
        found = []
        for number in range((today - since).days + 1):
            day = since + timedelta(days=number)
            for status in sorted({digit for digits in meaning.STOPPED.values() for digit in digits}):
                wanted = {"changeDate": f"{day:%Y%m%d}", "cardStatus": status}
                async for each in self._pages(f.CHANGED_ON, wanted):
                    found.append(Event(each["msisdn"], "stopped", day, {**each, "cardStatus": status}))
        return found

    async def _pages(self, function: Function, parameters: Mapping[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The objects with a SIM on all pages of a list."""
        for page in range(1, _PAGES + 1):
            result = await self.call(function, {**parameters, "startNum": str(page), "pageSize": str(PAGE)})
            many = 0
            for each in _flat(result):
                if not meaning.is_none(each.get("msisdn")):
                    many += 1
                    yield each
            last = any(str(each.get("flag", "")).upper() == "Y" for each in result)
            if last or not many:
                return
        raise NoAnswer(f"{function.number}: the list has no end")

    # --- changes ---

    async def stop(self, sims: Sequence[str], scope: Scope = Scope.SIM) -> Ordered:
        return await self._switch(sims, scope, on=False)

    async def resume(self, sims: Sequence[str], scope: Scope = Scope.SIM) -> Ordered:
        return await self._switch(sims, scope, on=True)

    async def _switch(self, sims: Sequence[str], scope: Scope, on: bool) -> Ordered:
        what = f"{'resume' if on else 'stop'}-{scope}"
        if scope is Scope.SIM:
            one = f.SET_STATUS, {"operType": meaning.RESUME_ONE if on else meaning.STOP_ONE}
            kind = meaning.RESUME_MANY if on else meaning.STOP_MANY
            many = f.SET_STATUSES, {"operType": kind, "reason": meaning.REASON_MANY}
        else:
            apn = {"apnName": self._names.apn}
            one = f.SET_APN, {"operType": meaning.APN_ON if on else meaning.APN_OFF, **apn}
            kind = meaning.RESTART_MANY if on else meaning.PAUSE_MANY
            many = f.SET_SERVICES, {"serviceType": meaning.DATA_SERVICE, "operType": kind, **apn}
        return await self._change(sims, what, one, many)

    async def throttle(self, sim: str, bits_per_s: int | None) -> Ordered:
        """One of OneLink's rates, which a new month does not lift; None lifts it."""
        if bits_per_s not in meaning.SPEEDS:
            rates = ", ".join(f"{rate:,}" for rate in meaning.SPEEDS if rate)
            raise Refused(f"OneLink slows down to {rates} bit/s, not to {bits_per_s:,}")
        parameters = {"apnName": self._names.apn, "serviceUsageState": meaning.SPEEDS[bits_per_s]}
        return await self._change([sim], "throttle", (f.SET_SPEED, parameters))

    async def alarms(self, sims: Sequence[str], levels: tuple[int, int, int] | None) -> Ordered:
        """The platform's own three alarms of usage, in octets, from low to high; None removes them."""
        parameters = {"operType": meaning.ALARM_REMOVE, "apnName": self._names.apn, "apnType": "0"}
        if levels is not None:
            if not 0 < levels[0] < levels[1] < levels[2]:
                raise Refused("the levels of alarms rise")
            named = {f"level{number}": meaning.megabytes(each) for number, each in enumerate(levels, 1)}
            parameters |= {"operType": meaning.ALARM_ADD, **named}
        ordered = Ordered()
        for batch in _batched(_known(sims, ordered.problems)):
            await self._send(ordered, batch, "alarms", f.SET_ALARMS, {**parameters, "msisdns": "_".join(batch)})
        return ordered

    async def cap(self, sim: str, octets: int | None) -> Ordered:
        """A limit within the pool. One below what is used already counts from the next cycle on."""
        names = self._names
        if not (names.group and names.offering):
            raise Refused("a cap needs the account's group and offering")
        parameters = {"msisdn": sim, "groupId": names.group, "offerId": names.offering, "apnName": names.apn}
        if octets is None:
            kinds = (meaning.DELETE,)
        else:
            kinds = (meaning.ADD, meaning.ALTER)  # whether there is one already, no function tells
            parameters |= {"limitValue": meaning.megabytes(octets), "actionRule": meaning.STOP_AT_CAP}
        ordered = Ordered()
        for kind in kinds:
            ordered = Ordered()
            await self._send(ordered, [sim], "cap", f.SET_CAP, {**parameters, "operType": kind}, spaced=False)
            if not ordered.problems:
                break
        return ordered

    async def _change(
        self,
        sims: Sequence[str],
        what: str,
        one: tuple[Function, dict[str, Any]],
        many: tuple[Function, dict[str, Any]] | None = None,
    ) -> Ordered:
        """Changes the SIMs whose interval is over, in batches where there are several: one that is inside its interval
        would fail all of its batch. A batch takes MSISDNs only."""
        ordered = Ordered()
        now = self._utc()
        due = []
        for sim in _known(sims, ordered.problems):
            free = self._changes.free_at(sim, now)
            if free is None:
                due.append(sim)
            else:
                ordered.held[sim] = free
        together = _of_kind(due, "msisdn") if many is not None else []
        batches = list(_batched(together)) if len(together) > 1 else []
        for batch in batches:
            function, parameters = many or one
            await self._send(ordered, batch, what, function, {"msisdns": "_".join(batch), **parameters})
        for sim in due:
            if not any(sim in batch for batch in batches):
                function, parameters = one
                await self._send(ordered, [sim], what, function, {meaning.identity(sim): sim, **parameters})
        return ordered

    async def _send(
        self,
        ordered: Ordered,
        sims: Sequence[str],
        what: str,
        function: Function,
        parameters: Mapping[str, Any],
        spaced: bool = True,
    ) -> None:
        """Asks for one change, and enters what became of it."""
        try:
            answer = await self._one(function, parameters)
        except PlatformError as error:
            found = meaning.problem(error.code, str(error))
            (ordered.problems if error.sure else ordered.unsure).update(dict.fromkeys(sims, found))
            if not error.sure and spaced:
                self._changes.put(sims, self._utc())
            return
        if spaced:
            self._changes.put(sims, self._utc())
        for kind, name in (("job", "jobId"), ("order", "orderNum")):
            if not meaning.is_none(answer.get(name)):
                ordered.changes.append(Change(f"{kind}:{answer[name]}", what, tuple(sims)))
                return
        ordered.changes.append(Change(AT_ONCE if function in _AT_ONCE else "", what, tuple(sims)))

    async def outcome(self, change: Change) -> Outcome:
        kind, _, name = change.id.partition(":")
        if kind == "job":
            return await self._job(change, name)
        if kind == "order":
            found = await self._one(f.ORDER, {"orderNum": name})
            progress = meaning.order(found.get("status"))
            problems = {}
            if progress is Progress.FAILED:
                self._changes.forget(change.sims)
                problems = dict.fromkeys(change.sims, Problem(str(found["status"]), "the platform has ended the order"))
            return Outcome(progress, problems, found)
        return Outcome(Progress.DONE if change.id == AT_ONCE else Progress.UNSURE)

    async def _job(self, change: Change, name: str) -> Outcome:
        found = await self._one(f.JOB, {"jobId": name})
        progress = meaning.job(found.get("jobStatus"))
        problems = {}
        for each in _list(found, "resultList"):
            sim, code = str(each.get("resultId", "")), str(each.get("status", meaning.OK))
            if sim in change.sims and code != meaning.OK:
                problems[sim] = meaning.problem(code, str(each.get("message") or ""))
        if progress is Progress.FAILED and not problems:
            hint = "one SIM that was changed a short time before fails all of its batch: try again later"
            whole = Problem("", "the batch failed as a whole", hint)
            problems = dict.fromkeys(change.sims, whole)
        self._changes.forget(problems)
        if progress is Progress.DONE and problems.keys() >= set(change.sims):
            progress = Progress.FAILED
        return Outcome(progress, problems, found)


# --- reading ---


def _batched(sims: Sequence[str]) -> Iterator[list[str]]:
    for begin in range(0, len(sims), BATCH):
        yield list(sims[begin : begin + BATCH])


def _of_kind(sims: Iterable[str], kind: str) -> list[str]:
    return [sim for sim in sims if meaning.identity(sim) == kind]


def _known(sims: Iterable[str], problems: dict[str, Problem]) -> list[str]:
    """The SIMs, each once, without those whose number is none."""
    found = []
    for sim in dict.fromkeys(sims):
        try:
            meaning.identity(sim)
            found.append(sim)
        except ValueError as error:
            problems[sim] = Problem("", str(error))
    return found


def _missing(sims: Iterable[str], answers: Answers[Any]) -> None:
    for sim in sims:
        if sim not in answers.found:
            answers.problems.setdefault(sim, Problem("", "the platform's answer leaves it out"))


def _asked(each: Mapping[str, Any], batch: Sequence[str]) -> str | None:
    """The SIM of `batch` that an object is about."""
    return next((str(each[name]) for name in ("msisdn", "iccid", "imsi") if str(each.get(name)) in batch), None)


def _list(holder: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A list within an object; empty where it is left out. NoAnswer where it is something else."""
    found = holder.get(name)
    if meaning.is_none(found):
        return []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise NoAnswer(f"the platform's {name} has another form than its manual", sure=False)
    return found


def _flat(result: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The objects of an answer, and those in its lists: for lists that public sources do not name alike."""
    for each in result:
        yield each
        for value in each.values():
            if isinstance(value, list):
                yield from (inner for inner in value if isinstance(inner, dict))


def _packages(holder: Mapping[str, Any], ordered: Mapping[str, Any]) -> list[Package]:
    """The allowances, then what is ordered beside them. What was ordered again ends when its last order does."""

    def amount(each: Mapping[str, Any], name: str) -> int | None:
        return _read(meaning.octets, each.get(name), meaning.KB)

    def named(each: Mapping[str, Any]) -> str:
        return str(each.get("offeringName") or each.get("offeringId") or "")

    names: dict[str, str] = {}
    ends: dict[str, date | None] = {}
    for each in _list(ordered, "offeringInfoList"):
        id, end = str(each.get("offeringId") or ""), meaning.last_day(each.get("expiriedDate"))
        before = ends.get(id, end)
        names[id], ends[id] = named(each), None if before is None or end is None else max(before, end)
    found = []
    for each in _list(holder, "accmMarginList"):
        id = str(each.get("offeringId") or "")
        names.pop(id, None)
        amounts = (amount(each, name) for name in ("totalAmount", "useAmount", "remainAmount"))
        found.append(Package(named(each), *amounts, expires=ends.get(id)))
    return found + [Package(name, None, None, None, ends[id]) for id, name in names.items()]


def _read(reader: Callable[..., Any], *arguments: Any) -> Any:
    """NoAnswer for a text that means nothing."""
    try:
        return reader(*arguments)
    except ValueError as error:
        raise NoAnswer(f"the platform's answer cannot be read: {error}", sure=False) from None


def _within(as_of: datetime, now: datetime) -> datetime:
    """No figure of a month is of a time before it, nor of one that is still to come."""
    start = meaning.midnight(now).replace(day=1)
    return min(max(as_of, start), now)
