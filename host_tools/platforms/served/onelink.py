"""OneLink's EC API, version 5, in front of the simulated carrier: parameters in, the objects of `result` out.

Where public descriptions leave something open it is a setting, or says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from host_tools.platforms.served.midnights import CHINA, Midnights
from host_tools.sim.carrier.carrier import Carrier, News
from host_tools.sim.carrier.stops import (
    CANCELLED_CARD,
    CAPPED,
    DAY_CAPPED,
    EXHAUSTED,
    EXPIRED,
    MANUAL,
    NORMAL,
    POOL_EXHAUSTED,
    STOPPED,
    TEST_EXHAUSTED,
)
from host_tools.sim.clock import S

Result = list[dict[str, Any]]
Parameters = Mapping[str, str]
EMPTY = " "
_NUMBERS = "msisdn", "iccid", "imsi"
_DATES = "%Y-%m-%d %H:%M:%S"
_CT_DIGITS = {NORMAL: "2", STOPPED: "4", CANCELLED_CARD: "9"}
_TO_BE_ACTIVATED_CT, _TESTABLE_CT = "1", "6"


class Failed(Exception):
    """The call ends with an error code."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Card:
    """A SIM by its three numbers, and the customer that it belongs to. The carrier knows it by its IMSI."""

    msisdn: str
    iccid: str
    imsi: str
    appid: str = ""


@dataclass(frozen=True)
class Settings:
    """`interval_status` is what a change within `change_interval_s` of another gets: no public source has it."""

    token_ttl_s: int = 3600
    change_interval_s: int = 1800
    batch_max: int = 100
    change_s: int = 60  # how long a change takes
    apn: str = "CMIOT"
    offering: str = "100001"
    interval_status: str = "12089"


@dataclass
class Job:
    """A change that is under way. `done` has (MSISDN, status, message) once it is not."""

    order: str
    created: datetime
    state: str = "0"
    done: list[tuple[str, str, str]] = field(default_factory=list)


class OneLink:
    """Answers the functions in `FUNCTIONS` for the customers in `passwords`. `pools` are groups by their id."""

    def __init__(
        self,
        carrier: Carrier,
        cards: list[Card],
        passwords: Mapping[str, str],
        pools: Mapping[str, str] | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.carrier = carrier
        self.settings = settings or Settings()
        self.midnights = Midnights(carrier, [card.imsi for card in cards])
        self.calls: dict[str, int] = {}  # by function
        self.alarms: dict[str, tuple[str, ...]] = {}
        self._cards = cards
        self._passwords = passwords
        self._pools = dict(pools or {})
        self._tokens: dict[str, tuple[str, datetime]] = {}  # by appid
        self._stopped: set[str] = set()  # IMSI, by the customer's order
        self._paused: set[str] = set()  # likewise, the data service alone
        self._changed: dict[str, datetime] = {}
        self._jobs: dict[str, Job] = {}
        self._history: dict[str, list[tuple[str, str, datetime]]] = {}
        self._shown = {card.imsi: self._status(carrier.news(card.imsi), card) for card in cards}
        carrier.log.listeners.append(self._heard)

    # --- the frame of a call ---

    def answer(self, path: str, parameters: Parameters) -> dict[str, Any]:
        """The whole answer to a call."""
        known = FUNCTIONS.get(path)
        if known is None:
            return _envelope("11000", "no such function")
        number, function = known
        self.calls[number] = self.calls.get(number, 0) + 1
        try:
            if path == "get/token":
                return _envelope("0", "正确", self._token(parameters))
            appid = self._customer(parameters)
            return _envelope("0", "正确", function(self, {**parameters, "appid": appid}))
        except Failed as failed:
            return _envelope(failed.status, failed.message)

    def _now(self) -> datetime:
        return self.carrier.clock.utc()

    def _token(self, parameters: Parameters) -> Result:
        appid = parameters.get("appid", "")
        if not parameters.get("transid", "").startswith(appid) or not appid:
            raise Failed("12004", "transid")
        if self._passwords.get(appid) != parameters.get("password"):
            raise Failed("12022", "appid or password")
        token, until = self._tokens.get(appid, ("", self._now()))
        if parameters.get("refresh") == "1" or until <= self._now():
            token, until = secrets.token_hex(16), self._now() + timedelta(seconds=self.settings.token_ttl_s)
            self._tokens[appid] = token, until
        return [{"token": token, "ttl": int((until - self._now()).total_seconds())}]

    def _customer(self, parameters: Parameters) -> str:
        for appid, (token, until) in self._tokens.items():
            if token == parameters.get("token") and until > self._now():
                if not parameters.get("transid", "").startswith(appid):
                    raise Failed("12004", "transid")
                return appid
        raise Failed("12021", "token")

    def forget_tokens(self) -> None:
        """No token is valid any more."""
        self._tokens.clear()

    # --- SIMs ---

    def _card(self, parameters: Parameters) -> Card:
        """The SIM that exactly one of three parameters names."""
        named = [name for name in _NUMBERS if parameters.get(name)]
        if len(named) != 1:
            raise Failed("11000", f"one of {', '.join(_NUMBERS)}")
        return self._known(named[0], parameters[named[0]], parameters["appid"])

    def _known(self, name: str, number: str, appid: str) -> Card:
        for card in self._cards:
            if getattr(card, name) == number:
                if card.appid not in ("", appid):
                    raise Failed("12009", f"{number} is another customer's")
                return card
        raise Failed("12010", f"{number} is unknown")

    def _numbers(self, parameters: Parameters, *names: str) -> tuple[str, list[str]]:
        named = [name for name in names if parameters.get(name)]
        if len(named) != 1:
            raise Failed("11000", f"one of {', '.join(names)}")
        numbers = parameters[named[0]].split("_")
        if len(numbers) > self.settings.batch_max:
            raise Failed("11000", f"{len(numbers)} SIMs")
        return named[0].removesuffix("s"), numbers

    def _queried(self, parameters: Parameters) -> list[Card]:
        """The SIMs of a batch; one that is not the customer's fails it."""
        name, numbers = self._numbers(parameters, "msisdns", "iccids", "imsis")
        return [self._known(name, number, parameters["appid"]) for number in numbers]

    def _to_change(self, parameters: Parameters) -> list[Card]:
        name, numbers = self._numbers(parameters, "msisdns")
        return [self._known(name, number, parameters["appid"]) for number in numbers]

    @property
    def _platform(self) -> str:
        """A carrier that shows yesterday's figures is the older of the two systems."""
        return "OneLink-PB" if self.carrier.rating.daily_figures else "OneLink-CT"

    def _status(self, news: News, card: Card) -> str:
        """cardStatus in the digits of the SIM's platform."""
        status = news.card_status
        if status == STOPPED and set(news.stops) == {MANUAL.code} and self._is_paused(card):
            status = NORMAL
        if self._platform == "OneLink-PB":
            return status
        if status in _CT_DIGITS:
            return _CT_DIGITS[status]
        return _TESTABLE_CT if news.phase == "test" else _TO_BE_ACTIVATED_CT

    def _is_paused(self, card: Card) -> bool:
        """Whether the customer has stopped its data service alone."""
        return card.imsi in self._paused and card.imsi not in self._stopped

    def _heard(self, event: Mapping[str, Any]) -> None:
        """Keeps the history of states when the carrier has changed one."""
        for card in self._cards:
            if card.imsi == event.get("imsi") and event["what"] in ("stopped", "restored", "phase"):
                self._note(card)

    def _note(self, card: Card) -> None:
        status = self._status(self.carrier.news(card.imsi), card)
        if status != self._shown[card.imsi]:
            self._history.setdefault(card.imsi, []).append((self._shown[card.imsi], status, self._now()))
            self._shown[card.imsi] = status

    # --- queries about states ---

    def basic_info(self, parameters: Parameters) -> Result:
        card = self._card(parameters)
        since = self.carrier.news(card.imsi).billing_since
        active = f"{since:%Y-%m-%d} 00:00:00" if since else EMPTY
        return [
            {"msisdn": card.msisdn, "imsi": card.imsi, "iccid": card.iccid, "activeDate": active, "openDate": active}
        ]

    def sim_status(self, parameters: Parameters) -> Result:
        card = self._card(parameters)
        changes = self._history.get(card.imsi)
        last = f"{changes[-1][2].astimezone(CHINA):{_DATES}}" if changes else EMPTY
        return [{"cardStatus": self._status(self.carrier.news(card.imsi), card), "lastChangeDate": last}]

    def change_history(self, parameters: Parameters) -> Result:
        """Always in the digits of CT."""
        card = self._card(parameters)
        listed = [
            {
                "descStatus": _CT_DIGITS.get(before, before),
                "targetStatus": _CT_DIGITS.get(after, after),
                "changeDate": f"{at.astimezone(CHINA):{_DATES}}",
            }
            for before, after, at in self._history.get(card.imsi, [])
        ]
        return [{"changeHistoryList": listed}]

    def stop_reason(self, parameters: Parameters) -> Result:
        card = self._card(parameters)
        digits = self.carrier.news(card.imsi).stop_reason
        if self._is_paused(card):
            digits = f"{digits[:8]}0{digits[9:]}"
        return [{"platformType": self._platform, "stopReason": digits, "shutdownReasonDesc": EMPTY}]

    def platform_types(self, parameters: Parameters) -> Result:
        name, numbers = self._numbers(parameters, "msisdns", "iccids", "imsis")
        listed = []
        for number in numbers:
            each: dict[str, Any] = {name: number, "status": "0", "message": "正确", "platformType": self._platform}
            try:
                self._known(name, number, parameters["appid"])
            except Failed as failed:
                each |= {"status": failed.status, "message": failed.message, "platformType": EMPTY}
            listed.append(each)
        return listed

    def services(self, parameters: Parameters) -> Result:
        """Used-up data shows here alone: as a paused service of a SIM in its normal state."""
        card = self._card(parameters)
        on = "0" if self.carrier.news(card.imsi).stops else "1"
        data = {"serviceType": "11", "serviceStatus": on, "apnName": self.settings.apn}
        return [{"serviceTypeList": [data, {"serviceType": "08", "serviceStatus": "1", "apnName": EMPTY}]}]

    def changed_on(self, parameters: Parameters) -> Result:
        day = _day(parameters.get("changeDate", ""))
        listed = [
            {"msisdn": card.msisdn, "iccid": card.iccid, "changeDate": f"{at.astimezone(CHINA):{_DATES}}"}
            for card in self._cards
            for _, status, at in self._history.get(card.imsi, [])
            if at.astimezone(CHINA).date() == day and status == parameters.get("cardStatus")
            if card.appid in ("", parameters["appid"])
        ]
        return _page("simList", listed, parameters)

    # --- queries about usage ---

    def month_so_far(self, parameters: Parameters) -> Result:
        used = self.carrier.news(self._card(parameters).imsi).used_octets
        pcc = {"pccCode": "9999", "pccCodeUseAmount": _kb(used)}
        apns = [{"apnName": self.settings.apn, "apnUseAmount": _kb(used), "pccCodeUseAmountList": [pcc]}]
        return [{"dataAmount": _kb(used) if used else EMPTY, "apnUseAmountList": apns if used else []}]

    def margin(self, parameters: Parameters) -> Result:
        imsi = self._card(parameters).imsi
        news = self.carrier.news(imsi)
        total = self.carrier.figures(imsi, news.cycle_label)["allowance_octets"]
        return [{"accmMarginList": [self._margin(total, news.used_octets)]}]

    def offerings(self, parameters: Parameters) -> Result:
        """Public descriptions do not say how an end is written, nor what is written where there is none."""
        if parameters.get("queryType") != "3":
            raise Failed("11000", "queryType is 3, a SIM")
        news = self.carrier.news(self._card(parameters).imsi)
        last = news.expires and news.expires - timedelta(days=1)
        ordered = {
            "offeringId": self.settings.offering,
            "offeringName": "流量套餐",
            "effectiveDate": f"{news.billing_since} 00:00:00" if news.billing_since else EMPTY,
            "expiriedDate": f"{last} 23:59:59" if last else EMPTY,
            "apnName": self.settings.apn,
        }
        return [{"offeringInfoList": [ordered]}]

    def _margin(self, total: int, used: int) -> dict[str, Any]:
        return {
            "offeringId": self.settings.offering,
            "offeringName": "流量套餐",
            "apnName": self.settings.apn,
            "totalAmount": _kb(total),
            "useAmount": _kb(used),
            "remainAmount": _kb(max(total - used, 0)),
            "pccCode": EMPTY,
        }

    def days(self, parameters: Parameters) -> Result:
        day, today = _day(parameters.get("queryDate", "")), self.midnights.today()
        if not today - timedelta(days=7) <= day < today:
            raise Failed("11000", "queryDate is one of the last seven days")
        return [
            {
                "dataAmountList": [
                    self._amount(card, self.midnights.of(card.imsi, day)) for card in self._queried(parameters)
                ]
            }
        ]

    def months(self, parameters: Parameters) -> Result:
        month = _day(f"{parameters.get('queryDate', '')}01")
        today = self.midnights.today()
        present = today.replace(day=1)
        apart = (present.year - month.year) * 12 + present.month - month.month
        if not 0 <= apart < 6:
            raise Failed("11000", "queryDate is one of the last six months")
        last = today - timedelta(days=1) if not apart else _next_month(month) - timedelta(days=1)
        cards = self._queried(parameters)
        amounts = [self.midnights.until(card.imsi, last) if last >= month else 0 for card in cards]
        listed = [self._amount(card, octets) for card, octets in zip(cards, amounts, strict=True)]
        return [{"deadLine": f"{last:%Y%m%d}", "dataAmountList": listed}]

    def _amount(self, card: Card, octets: int) -> dict[str, Any]:
        each: dict[str, Any] = {
            "msisdn": card.msisdn,
            "iccid": card.iccid,
            "imsi": card.imsi,
            "dataAmount": _kb(octets),
        }
        if octets:
            each["apnDataAmountList"] = [{"apnName": self.settings.apn, "apnDataAmount": _kb(octets)}]
        return each

    def in_pool(self, parameters: Parameters) -> Result:
        """The one function that counts in octets."""
        used = self.carrier.news(self._card(parameters).imsi).used_octets
        return [{"apnList": [{"apnName": self.settings.apn, "apnUseAmount": str(used)}]}]

    def group_margin(self, parameters: Parameters) -> Result:
        total, left = self.carrier.pool_figures(self._group(parameters))
        return [{"accmMarginList": [self._margin(total, total - left)]}]

    def group_usage(self, parameters: Parameters) -> Result:
        total, left = self.carrier.pool_figures(self._group(parameters))
        return [{"useAmount": _kb(total - left)}]

    def group_members(self, parameters: Parameters) -> Result:
        name = self._group(parameters)
        members = [
            {"msisdn": card.msisdn, "iccid": card.iccid}
            for card in self._cards
            if self.carrier.pool_of(card.imsi) == name and card.appid in ("", parameters["appid"])
        ]
        return _page("memberList", members, parameters)

    def _group(self, parameters: Parameters) -> str:
        name = self._pools.get(parameters.get("groupId", ""))
        if name is None:
            raise Failed("12034", "groupId")
        return name

    # --- changes ---

    def set_status(self, parameters: Parameters) -> Result:
        card = self._card(parameters)
        kind = parameters.get("operType", "")
        if kind not in ("0", "1"):
            raise Failed("12089" if kind in "2345689" and kind else "11000", "operType")
        self._spaced(card)
        self._check(card, on=kind == "1")
        asked = {name: parameters[name] for name in _NUMBERS if parameters.get(name)}
        return [{"orderNum": self._later([card], self._stopped, on=kind == "1"), **asked}]

    def set_statuses(self, parameters: Parameters) -> Result:
        cards = self._to_change(parameters)
        kind = parameters.get("operType", "")
        if kind not in ("9", "11") or parameters.get("reason") != "01":
            raise Failed("11000", "operType 9 and 11, with reason 01, are served")
        return [{"jobId": self._job(cards, self._stopped, on=kind == "11")}]

    def set_apn(self, parameters: Parameters) -> Result:
        card = self._card(parameters)
        kind = parameters.get("operType")
        if kind not in ("0", "1") or parameters.get("apnName") != self.settings.apn:
            raise Failed("11000", "operType or apnName")
        self._spaced(card)
        return [{"orderNum": self._later([card], self._paused, on=kind == "0")}]

    def set_services(self, parameters: Parameters) -> Result:
        cards = self._to_change(parameters)
        kind = parameters.get("operType")
        if kind not in ("0", "1") or parameters.get("serviceType") != "11":
            raise Failed("11000", "operType 0 and 1 of serviceType 11 are served")
        if parameters.get("apnName") != self.settings.apn:
            raise Failed("11000", "apnName")
        return [{"jobId": self._job(cards, self._paused, on=kind == "1")}]

    def set_speed(self, parameters: Parameters) -> Result:
        card = self._card(parameters)
        bits = {"1": None, "91": 2_000_000, "92": 1_000_000, "93": 512_000, "94": 128_000}
        state = parameters.get("serviceUsageState", "")
        if state not in bits:
            raise Failed("11000", "serviceUsageState")
        self._spaced(card)
        self._changed[card.imsi] = self._now()
        rate = bits[state]
        self.carrier.throttle(card.imsi, None if rate is None else rate // 8)
        return []

    def set_cap(self, parameters: Parameters) -> Result:
        card = self._card(parameters)
        name = self._group(parameters)
        kind = parameters.get("operType")
        if self.carrier.pool_of(card.imsi) != name or kind not in ("1", "2", "3"):
            raise Failed("11000", "msisdn or operType")
        has = self.carrier.news(card.imsi).sim_cap is not None
        if has == (kind == "1"):
            raise Failed("12089", "the SIM has a limit" if has else "the SIM has no limit")
        megabytes = 0 if kind == "2" else _natural(parameters.get("limitValue", ""))
        self.carrier.set_cap(card.imsi, megabytes * 1024 * 1024)
        return []

    def set_alarms(self, parameters: Parameters) -> Result:
        cards = self._to_change(parameters)
        levels = tuple(parameters.get(f"level{number}", "") for number in (1, 2, 3))
        add = parameters.get("operType") == "0"
        if add and not 0 < _natural(levels[0]) < _natural(levels[1]) < _natural(levels[2]):
            raise Failed("11000", "level1 < level2 < level3")
        for card in cards:
            self.alarms.pop(card.msisdn, None)
            if add:
                self.alarms[card.msisdn] = levels
        job = self._new_job()
        job.state, job.done = "2", [(card.msisdn, "0", "正确") for card in cards]
        return [{"jobId": job.order}]

    def job_result(self, parameters: Parameters) -> Result:
        job = self._jobs.get(parameters.get("jobId", ""))
        if job is None:
            raise Failed("11000", "jobId")
        listed = [{"resultId": sim, "status": status, "message": message} for sim, status, message in job.done]
        return [{"jobStatus": job.state, "resultList": listed if job.state in ("2", "3") else []}]

    def order_info(self, parameters: Parameters) -> Result:
        job = self._jobs.get(parameters.get("orderNum", ""))
        if job is None:
            raise Failed("11000", "orderNum")
        words = {"0": "acknowledged", "1": "inProgress", "2": "completed", "4": "failed"}
        made = f"{job.created.astimezone(CHINA):%Y%m%d%H%M%S}"
        return [{"orderNum": job.order, "status": words[job.state], "statusDate": made, "createDate": made}]

    def _spaced(self, card: Card) -> None:
        if self._too_soon(card):
            raise Failed(self.settings.interval_status, "the SIM was changed a short time ago")

    def _too_soon(self, card: Card) -> bool:
        last = self._changed.get(card.imsi)
        return last is not None and self._now() < last + timedelta(seconds=self.settings.change_interval_s)

    def _check(self, card: Card, on: bool) -> None:
        """Whether a SIM may be stopped or resumed now."""
        stops = set(self.carrier.news(card.imsi).stops)
        if not on:
            if self._status(self.carrier.news(card.imsi), card) not in (NORMAL, "2"):
                raise Failed("12089", "the SIM is not in use")
            return
        if EXPIRED.code in stops:
            raise Failed("12099", "the main plan is out of date")
        if stops & {EXHAUSTED.code, DAY_CAPPED.code, CAPPED.code, POOL_EXHAUSTED.code, TEST_EXHAUSTED.code}:
            raise Failed("12100", "the plan's usage is reached")
        if MANUAL.code not in stops or self._is_paused(card):
            raise Failed("12098" if stops else "12089", "not stopped by the customer")

    def _new_job(self) -> Job:
        job = Job(f"{len(self._jobs) + 1:012}", self._now())
        self._jobs[job.order] = job
        return job

    def _later(self, cards: list[Card], kind: set[str], on: bool) -> str:
        """The order that switches the SIMs a while from now."""
        job = self._new_job()
        for card in cards:
            self._changed[card.imsi] = self._now()
        clock = self.carrier.clock
        clock.after(self.settings.change_s * S // 2, setattr, job, "state", "1")
        clock.after(self.settings.change_s * S, self._carry_out, job, cards, kind, on, [])
        return job.order

    def _job(self, cards: list[Card], kind: set[str], on: bool) -> str:
        """A batch: fails whole where one of its SIMs was changed a short time ago, and does not say which."""
        if any(map(self._too_soon, cards)):
            job = self._new_job()
            self.carrier.clock.after(self.settings.change_s * S, setattr, job, "state", "4")
            return job.order
        refused = []
        for card in cards:
            try:
                if kind is self._stopped:
                    self._check(card, on)
            except Failed as failed:
                refused.append((card.msisdn, failed.status, failed.message))
        job = self._new_job()
        marked = {sim for sim, _, _ in refused}
        todo = [card for card in cards if card.msisdn not in marked]
        for card in todo:
            self._changed[card.imsi] = self._now()
        clock = self.carrier.clock
        clock.after(self.settings.change_s * S // 2, setattr, job, "state", "1")
        clock.after(self.settings.change_s * S, self._carry_out, job, todo, kind, on, refused)
        return job.order

    def _carry_out(
        self, job: Job, cards: list[Card], kind: set[str], on: bool, refused: list[tuple[str, str, str]]
    ) -> None:
        for card in cards:
            (kind.discard if on else kind.add)(card.imsi)
            if card.imsi in self._stopped | self._paused:
                self.carrier.stop(card.imsi)
            else:
                self.carrier.resume(card.imsi, MANUAL.code)
            self._note(card)
        job.state = "3" if refused else "2"
        job.done = [*((card.msisdn, "0", "正确") for card in cards), *refused]


def _envelope(status: str, message: str, result: Result | None = None) -> dict[str, Any]:
    return {"status": status, "message": message, "result": result or []}


def _kb(octets: int) -> str:
    """An amount as the platform writes it: kilobytes, rounded to two decimals."""
    return str((Decimal(octets) / 1024).quantize(Decimal("0.01"), ROUND_HALF_UP))


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        raise Failed("11000", "date") from None


def _natural(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise Failed("11000", "a whole number")
    return int(text)


def _next_month(month: date) -> date:
    return (month + timedelta(days=31)).replace(day=1)


def _page(name: str, listed: list[dict[str, Any]], parameters: Parameters) -> Result:
    """One page of a list, and whether it is the last."""
    size = _natural(parameters.get("pageSize", ""))
    if size > 50:
        raise Failed("11000", "pageSize")
    begin = (_natural(parameters.get("startNum", "")) - 1) * size
    return [{name: listed[begin : begin + size], "flag": "Y" if begin + size >= len(listed) else "N"}]


FUNCTIONS: dict[str, tuple[str, Callable[[OneLink, Parameters], Result]]] = {
    "get/token": ("25000", OneLink._token),
    "query/sim-basic-info": ("23S00", OneLink.basic_info),
    "query/sim-status": ("25S04", OneLink.sim_status),
    "query/sim-change-history": ("23S02", OneLink.change_history),
    "query/sim-stop-reason": ("25S02", OneLink.stop_reason),
    "query/sim-platform/batch": ("25S06", OneLink.platform_types),
    "query/sim-communication-function-status": ("23M08", OneLink.services),
    "query/changeable-sim-date": ("23E00", OneLink.changed_on),
    "query/sim-data-usage": ("25U04", OneLink.month_so_far),
    "query/sim-data-margin": ("23U07", OneLink.margin),
    "query/ordered-offerings": ("23R00", OneLink.offerings),
    "query/sim-data-usage-daily/batch": ("25U01", OneLink.days),
    "query/sim-data-usage-monthly/batch": ("25U03", OneLink.months),
    "query/sim-data-usage-inpool": ("23U12", OneLink.in_pool),
    "query/group-data-margin": ("23U04", OneLink.group_margin),
    "query/group-data-usage": ("23U00", OneLink.group_usage),
    "query/group-member": ("23E01", OneLink.group_members),
    "change/sim-status": ("23S03", OneLink.set_status),
    "change/sim-status/batch": ("23S06", OneLink.set_statuses),
    "operate/sim-apn-function": ("23M07", OneLink.set_apn),
    "operate/sim-communication-function/batch": ("23M09", OneLink.set_services),
    "operate/network-speed": ("23M04", OneLink.set_speed),
    "limit/group-member-data-usage": ("23E04", OneLink.set_cap),
    "limit/sim-gprs/batch": ("23A03", OneLink.set_alarms),
    "query/sim-batch-result": ("23M10", OneLink.job_result),
    "query/order-info": ("23M27", OneLink.order_info),
}
"""The served functions below `/ec`, by path."""
