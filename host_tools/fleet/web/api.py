"""The JSON interface for programs, and its OpenAPI description. Who asks sends an API token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from math import ceil
from typing import Annotated, Any, TypeVar

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from host_tools.base.errors import UsageError
from host_tools.collector import ordering
from host_tools.collector.order_book import Given
from host_tools.fleet import bills, pools
from host_tools.fleet.accounts import Role, User
from host_tools.fleet.alerts import SHOWN
from host_tools.fleet.bills import BillRow
from host_tools.fleet.desk import Desk
from host_tools.fleet.details import details
from host_tools.fleet.idle import Kind
from host_tools.fleet.index import SORTS, Row
from host_tools.fleet.limiter import Limiter
from host_tools.fleet.outward import metrics
from host_tools.fleet.paging import to_cursor
from host_tools.fleet.standing import NEVER, UNKNOWN, State
from host_tools.fleet.web import alerts, bill_file, bill_pages, holding_pages, holdings, table
from host_tools.fleet.web.alerts import Alerts, AlertState, Snooze
from host_tools.fleet.web.holdings import IdleSims, Members, Pools
from host_tools.fleet.web.security import Line

VERSION = "1"
_FAILURES, _SPAN_S = 30, 300.0
_MOST_ROWS = 500
_MOST_TEXT = 64
_TEXTS = ("q", "reason", "tag", "runs_out")
_OF_DEVICES = ("state", *_TEXTS, "sort", "after", "limit")
_OF_BILLS = ("period", "q", "sort", "after", "limit")
_NUMBERED = ("device", "after", "limit")
_STATES = {each.word: each for each in State}

Text = Annotated[str, msgspec.Meta(max_length=200)]


class Device(msgspec.Struct):
    """Octets; `runs_out` is the day on which the allowance will be used up, if that is in this period. `drift` is the
    carrier's figure less the device's; `unexplained` how much of it no step of the bill explains."""

    device: str
    state: str
    verdict: str
    reasons: list[str]
    used: int
    bound: int
    allowance: int | None
    runs_out: str | None
    seen: str
    drift: int | None
    unexplained: int | None
    diagnosis: str
    tags: list[str]
    waiting: str


class Devices(msgspec.Struct):
    """`next`: what `after` has to be for the next ones; null where there are none."""

    devices: list[Device]
    next: str | None


class DayOfUse(msgspec.Struct):
    day: str
    rated: int
    carried: int


class PeriodOfUse(msgspec.Struct):
    start: str | None
    rated: int
    carried: int
    bound: int
    carrier: int | None
    carrier_as_of: str | None


class Usage(msgspec.Struct):
    days: list[DayOfUse]
    periods: list[PeriodOfUse]


class Event(msgspec.Struct):
    """`what`: a verdict or a kind of alarm; `detail`: its reasons, or what the alarm says."""

    at: str
    kind: str
    what: str
    detail: str


class Events(msgspec.Struct):
    events: list[Event]


class OrderState(msgspec.Struct):
    id: int
    device: str
    order: str
    state: str
    given_at: str
    given_by: str
    why: str
    until: str | None


class Orders(msgspec.Struct):
    """`next`: what `after` has to be for later ones; null where there are none."""

    orders: list[OrderState]
    next: int | None


class NewOrder(msgspec.Struct, forbid_unknown_fields=True):
    """`order` is as for `usageguard order`; with `preview` it is only checked, and `before` says how the device is."""

    order: Text
    why: Text = ""
    preview: bool = False


class Ordered(msgspec.Struct):
    """`id` is null for a preview."""

    id: int | None
    device: str
    order: str
    before: str


class Alarm(msgspec.Struct):
    id: int
    device: str
    at: str
    kind: str
    detail: str


class Alarms(msgspec.Struct):
    """`next`: what `after` has to be for later ones; null where there are none."""

    alarms: list[Alarm]
    next: int | None


class Bill(msgspec.Struct):
    """A period from the device's count to the carrier's figure: `carried` and the steps after it add up to `carrier`.
    `bound`: how far `carried` may be off. What no report has told is null."""

    device: str
    period: str
    carried: int
    headers: int
    retransmissions: int
    sessions: int
    margin: int
    late: int
    unexplained: int
    carrier: int
    bound: int
    packets: int | None
    data_sessions: int | None
    lost: int
    source: str
    as_of: str
    reported_at: str


class Bills(msgspec.Struct):
    """Of one period; `next`: what `after` has to be for the next ones, null where there are none."""

    bills: list[Bill]
    next: str | None


class BillsOfDevice(msgspec.Struct):
    bills: list[Bill]


class Problem(msgspec.Struct):
    error: str


_T = TypeVar("_T")
Handler = Callable[[Request, User], Awaitable[Any]]


def routes(interface: Interface) -> list[Route]:
    description = describe()
    v, device = f"/v{VERSION}", f"/v{VERSION}/devices/{{device:str}}"
    alert, pool = f"{v}/alerts/{{id:id}}", f"{v}/pools/{{pool:str}}"

    async def openapi(_: Request) -> Response:
        return JSONResponse(description)

    return [
        Route("/openapi.json", openapi),
        Route(f"{v}/devices", interface.answering(interface.devices, known=_OF_DEVICES)),
        Route(device, interface.answering(interface.device)),
        Route(f"{device}/usage", interface.answering(interface.usage)),
        Route(f"{device}/events", interface.answering(interface.events)),
        Route(f"{device}/bills", interface.answering(interface.bills_of_device)),
        Route(f"{v}/bills", interface.answering(interface.bills, known=_OF_BILLS)),
        Route(f"{v}/pools", interface.answering(interface.pools, known=("after", "limit"))),
        Route(f"{pool}/members", interface.answering(interface.members, known=("sort", "after", "limit"))),
        Route(f"{v}/idle-sims", interface.answering(interface.idle, known=("kind", "after", "limit"))),
        Route(f"{device}/orders", interface.answering(interface.give, Role.ACT), methods=["POST"]),
        Route(f"{v}/orders", interface.answering(interface.orders, known=_NUMBERED)),
        Route(f"{v}/alarms", interface.answering(interface.alarms, known=_NUMBERED)),
        Route(f"{v}/alerts", interface.answering(interface.alerts, known=("state", *_NUMBERED))),
        Route(f"{alert}/acknowledge", interface.answering(interface.acknowledge, Role.ACT), methods=["POST"]),
        Route(f"{alert}/snooze", interface.answering(interface.snooze, Role.ACT), methods=["POST"]),
    ]


class Interface:
    def __init__(self, desk: Desk, line: Line) -> None:
        self._desk = desk
        self._line = line
        self._failures = Limiter(_FAILURES, _SPAN_S)

    def answering(
        self, handler: Handler, role: Role = Role.READ, known: Sequence[str] = ()
    ) -> Callable[[Request], Awaitable[Response]]:
        """`known`: the parameters that it takes. Another one is refused: a filter that is spelled wrong is none."""

        async def answer(request: Request) -> Response:
            user = await self.user(request)
            if not user.may(role):
                raise HTTPException(403, "the token's role does not allow that")
            if unknown := set(request.query_params) - {*known}:
                raise HTTPException(400, f"there is no parameter {min(unknown)[:_MOST_TEXT]}")
            return Response(msgspec.json.encode(await handler(request, user)), media_type="application/json")

        return answer

    async def user(self, request: Request) -> User:
        """Whose token it is; a cookie counts for nothing here, so that no other site's page can ask. Who sends wrong
        tokens keeps nobody at the same address from sending a right one."""
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        user = None
        if scheme.lower() == "bearer" and secret:
            user = await self._desk.ask(lambda: self._desk.accounts.bearer(secret.strip()))
            if user is None:
                address = self._line.client(request)
                if wait_s := self._failures.wait_s(address):
                    raise HTTPException(429, "too many wrong tokens", {"Retry-After": str(ceil(wait_s))})
                self._failures.failed(address)
        if user is None:
            raise HTTPException(401, "send an API token", {"WWW-Authenticate": "Bearer"})
        return user

    async def metrics(self, request: Request) -> Response:
        """For Prometheus, with an API token as everything here."""
        await self.user(request)
        figures = await self._desk.ask(lambda: metrics.read(self._desk.reader, self._desk.alerts))
        text = await asyncio.to_thread(metrics.exposed, figures)
        return Response(text, headers={"Content-Type": metrics.CONTENT_TYPE})

    async def devices(self, request: Request, _: User) -> Devices:
        query = dict(request.query_params)
        for each in _TEXTS:
            _text(query, each)
        name = query.pop("state", "")
        if name and name not in _STATES:
            raise HTTPException(400, f"state is one of {', '.join(_STATES)}")
        try:
            choice = table.choice_of({**query, "state": str(int(_STATES[name])) if name else "", "before": ""})
        except HTTPException:
            raise HTTPException(400, "sort or after is not one that is known") from None
        page = await self._desk.ask(lambda: self._desk.reader.page(choice, _number(query, "limit", 50, _MOST_ROWS)))
        return Devices([_device(row) for row in page.rows], to_cursor(page.on) or None)

    async def device(self, request: Request, _: User) -> Device:
        row = await self._desk.ask(lambda: self._desk.reader.one(request.path_params["device"]))
        if row is None:
            raise HTTPException(404, "this device has never reported")
        return _device(row)

    async def usage(self, request: Request, _: User) -> Usage:
        known = await self._details(request)
        return Usage(
            [DayOfUse(each.day.isoformat(), each.rated, each.carried) for each in known.days],
            [
                PeriodOfUse(
                    each.start.isoformat() if each.start else None,
                    each.rated,
                    each.carried,
                    each.bound,
                    each.carrier.octets if each.carrier else None,
                    each.carrier.as_of.isoformat() if each.carrier else None,
                )
                for each in known.periods
            ],
        )

    async def events(self, request: Request, _: User) -> Events:
        known = await self._details(request)
        found = [
            Event(each.begin.isoformat(), "verdict", each.verdict, " ".join(each.reasons)) for each in known.stretches
        ]
        found += [Event(each.received_at.isoformat(), "alarm", each.kind, each.detail) for each in known.alarms]
        return Events(sorted(found, key=lambda each: each.at))

    async def _details(self, request: Request) -> Any:
        device, now = request.path_params["device"], self._desk.terms.now()
        known = await self._desk.ask(lambda: details(self._desk.store, device, now))
        if known is None:
            raise HTTPException(404, "this device has never reported")
        return known

    async def bills(self, request: Request, _: User) -> Bills:
        query = dict(request.query_params)
        _text(query, "q")
        most = _number(query, "limit", 50, _MOST_ROWS)
        try:
            chosen = bill_pages.chosen_of({**query, "before": ""})
        except HTTPException:
            raise HTTPException(400, "period, sort or after is not one that is known") from None
        bills = self._desk.reader.bills
        page = await self._desk.ask(lambda: bills.page(bills.of_period(chosen), most))
        return Bills([_bill(row) for row in page.rows], to_cursor(page.on) or None)

    async def bills_of_device(self, request: Request, _: User) -> BillsOfDevice:
        device, reader = request.path_params["device"], self._desk.reader
        row, bills = await self._desk.ask(lambda: (reader.one(device), reader.bills.of(device)))
        if row is None:
            raise HTTPException(404, "this device has never reported")
        return BillsOfDevice([_bill(each) for each in bills])

    async def pools(self, request: Request, _: User) -> Pools:
        query = request.query_params
        most, after = _number(query, "limit", 50, _MOST_ROWS), query.get("after", "")
        return holdings.pools(await self._desk.ask(self._desk.reader.pools.all), after, most)

    async def members(self, request: Request, _: User) -> Members:
        query, pool, reader = request.query_params, request.path_params["pool"], self._desk.reader.pools
        most = _number(query, "limit", 50, _MOST_ROWS)
        try:
            sort, (after, _before) = holding_pages.sort_of(query), holding_pages.places(query)
        except HTTPException:
            raise HTTPException(400, "sort or after is not one that is known") from None
        page = await self._desk.ask(lambda: reader.members(pool, sort, after, None, most) if reader.has(pool) else None)
        if page is None:
            raise HTTPException(404, "there is no such pool")
        return holdings.members(page)

    async def idle(self, request: Request, _: User) -> IdleSims:
        query, reader, now = request.query_params, self._desk.reader.idle, self._desk.terms.now()
        most = _number(query, "limit", 50, _MOST_ROWS)
        try:
            kind, (after, _before) = holding_pages.kind_of(query), holding_pages.places(query)
        except HTTPException:
            raise HTTPException(400, "kind or after is not one that is known") from None
        if kind is Kind.UNHEARD:
            return holdings.idle(await self._desk.ask(lambda: reader.unheard(after, None, most)))
        return holdings.idle(await self._desk.ask(lambda: reader.heard(kind, now, after, None, most)))

    async def give(self, request: Request, user: User) -> Ordered:
        device = request.path_params["device"]
        new = await _body(request, NewOrder)

        def give() -> Ordered:
            wish = ordering.wish(self._desk.store, new.order, [device], self._desk.terms.now())
            given = None if new.preview else wish.give(self._desk.store, by=user.name, why=new.why)[device]
            return Ordered(given, device, new.order, wish.before[device])

        try:
            return await self._desk.ask(give)
        except UsageError as error:
            raise HTTPException(422, str(error)) from None

    async def orders(self, request: Request, _: User) -> Orders:
        query = request.query_params
        most, after = _number(query, "limit", 50, _MOST_ROWS), _number(query, "after", 0, (1 << 63) - 1, 0)
        device = _text(query, "device")

        def read() -> list[Given]:
            ids = self._desk.store.database.execute(
                "SELECT id FROM given_order WHERE id > ? AND (? = '' OR device = ?) ORDER BY id LIMIT ?",
                (after, device, device, most + 1),
            )
            now = self._desk.terms.now()
            return [each for (id,) in ids for each in self._desk.store.book.given(id=id, now=now)]

        found = await self._desk.ask(read)
        shown = [
            OrderState(
                each.id, each.device, each.what, each.state.value, each.given_at.isoformat(), each.given_by, each.why,
                each.until.isoformat() if each.until else None,
            )
            for each in found[:most]
        ]  # fmt: skip
        return Orders(shown, shown[-1].id if len(found) > most else None)

    async def alarms(self, request: Request, _: User) -> Alarms:
        query = request.query_params
        most, after = _number(query, "limit", 50, _MOST_ROWS), _number(query, "after", 0, (1 << 63) - 1, 0)
        device = _text(query, "device")
        rows = await self._desk.ask(
            lambda: self._desk.store.database.execute(
                "SELECT id, device, received_at, kind, detail FROM alarm WHERE id > ? AND (? = '' OR device = ?)"
                " ORDER BY id LIMIT ?",
                (after, device, device, most + 1),
            )
        )
        shown = [Alarm(*row) for row in rows[:most]]
        return Alarms(shown, shown[-1].id if len(rows) > most else None)

    async def alerts(self, request: Request, _: User) -> Alerts:
        query = request.query_params
        most, after = _number(query, "limit", 50, _MOST_ROWS), _number(query, "after", 0, (1 << 63) - 1, 0)
        subject, state = _text(query, "device"), query.get("state", "all")
        if state not in SHOWN:
            raise HTTPException(400, f"state is one of {', '.join(SHOWN)}")
        found = await self._desk.ask(
            lambda: self._desk.alerts.page(state, subject, after=after, most=most + 1)
        )
        return Alerts([alerts.told(each) for each in found[:most]], found[most - 1].id if len(found) > most else None)

    async def acknowledge(self, request: Request, user: User) -> AlertState:
        return await self._seen_to(request, lambda id: alerts.acknowledge(self._desk, user, [id]))

    async def snooze(self, request: Request, user: User) -> AlertState:
        wish = await _body(request, Snooze)
        return await self._seen_to(request, lambda id: alerts.snooze(self._desk, user, [id], wish.hours))

    async def _seen_to(self, request: Request, change: Callable[[int], None]) -> AlertState:
        id = request.path_params["id"]

        def work() -> AlertState | None:
            if self._desk.alerts.alert(id) is None:
                return None
            change(id)
            alert = self._desk.alerts.alert(id)
            return alert and alerts.told(alert)

        found = await self._desk.ask(work)
        if found is None:
            raise HTTPException(404, "there is no such alert")
        return found


async def _body(request: Request, of: type[_T]) -> _T:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "send application/json")
    try:
        return msgspec.json.decode(await request.body(), type=of)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise HTTPException(422, str(error)) from None


def _number(query: Any, name: str, default: int, most: int, least: int = 1) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19 or not least <= int(text) <= most:
        raise HTTPException(400, f"{name} is a number from {least} to {most}")
    return int(text)


def _text(query: Any, name: str) -> str:
    text = query.get(name, "")
    if len(text) > _MOST_TEXT:
        raise HTTPException(400, f"{name} is longer than {_MOST_TEXT} characters")
    return text


def _device(row: Row) -> Device:
    return Device(
        row.device,
        State(row.state).word,
        row.verdict,
        row.reasons.split(),
        row.used,
        row.bound,
        None if row.allowance == UNKNOWN else row.allowance,
        None if row.runs_out == NEVER else row.runs_out,
        row.seen,
        row.drift if row.compared else None,
        row.beyond if row.compared else None,
        row.said,
        row.tags.split(),
        row.waiting,
    )


def _bill(row: BillRow) -> Bill:
    return Bill(**dict(bill_file.known(row)))


def describe() -> dict[str, Any]:
    """The interface in OpenAPI 3.1; the schemas are made from the types that are sent."""
    answers = (
        Devices, Device, Usage, Events, Bills, BillsOfDevice, Pools, Members, IdleSims, Orders, NewOrder, Ordered,
        Alarms, Alerts, AlertState, Snooze, Problem,
    )  # fmt: skip
    _, components = msgspec.json.schema_components(answers, ref_template="#/components/schemas/{name}")

    def ref(of: type) -> dict[str, Any]:
        return {"application/json": {"schema": {"$ref": f"#/components/schemas/{of.__name__}"}}}

    def answer(text: str, of: type = Problem) -> dict[str, Any]:
        return {"description": text, "content": ref(of)}

    def parameter(name: str, schema: dict[str, Any], where: str = "query") -> dict[str, Any]:
        return {"name": name, "in": where, "required": where == "path", "schema": schema}

    def operation(summary: str, of: type, parameters: list[dict[str, Any]], *codes: int, **more: Any) -> dict[str, Any]:
        said = {
            400: "A parameter is not one that is known.", 404: "There is no such device, pool, or alert.",
            403: "The token's role does not allow that.", 413: "The body is too large.",
            415: "The body is not JSON.", 422: "It is no order for this device.",
        }  # fmt: skip
        common = {"401": answer("No token, or a wrong one."), "429": answer("Too many wrong tokens.")}
        common |= {"503": answer("The database does not answer now.")}
        wrong = {str(code): answer(said[code]) for code in codes}
        responses = {"200": answer("Done.", of)} | wrong | common
        return {"summary": summary, "parameters": parameters, "responses": responses, **more}

    text = {"type": "string", "maxLength": _MOST_TEXT}
    device = [parameter("device", {"type": "string", "minLength": 1, "maxLength": 16}, "path")]
    limit = parameter("limit", {"type": "integer", "minimum": 1, "maximum": _MOST_ROWS, "default": 50})
    after = parameter("after", {"type": "string"})
    numbered = [
        parameter("device", text),
        parameter("after", {"type": "integer", "minimum": 0, "maximum": (1 << 63) - 1}),
        limit,
    ]
    listed = [
        parameter("state", {"enum": [*_STATES]}),
        *(parameter(name, text) for name in _TEXTS),
        parameter("sort", {"enum": [*SORTS]}),
        after,
        limit,
    ]
    billed = [
        parameter("period", {"type": "string", "format": "date"}),
        parameter("q", text),
        parameter("sort", {"enum": [*bills.SORTS]}),
        after,
        limit,
    ]
    pool = parameter("pool", {"type": "string", "minLength": 1}, "path")
    members = [pool, parameter("sort", {"enum": [*pools.SORTS]}), after, limit]
    idle = [parameter("kind", {"enum": [*Kind], "default": Kind.DEAD}), after, limit]
    body = {"required": True, "content": ref(NewOrder)}
    v = f"/api/v{VERSION}"
    alert, states = f"{v}/alerts/{{id}}", {"enum": [*SHOWN], "default": "all"}
    id = [parameter("id", {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}, "path")]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Usage Guard fleet", "version": VERSION, "description": "Sizes are in octets."},
        "security": [{"token": []}],
        "paths": {
            f"{v}/devices": {"get": operation("All devices, a page at a time", Devices, listed, 400)},
            f"{v}/devices/{{device}}": {"get": operation("How a device stands", Device, device, 400, 404)},
            f"{v}/devices/{{device}}/usage": {"get": operation("Usage by day and period", Usage, device, 400, 404)},
            f"{v}/devices/{{device}}/events": {"get": operation("Verdicts and alarms", Events, device, 400, 404)},
            f"{v}/devices/{{device}}/bills": {
                "get": operation("A device's bills explained, the newest first", BillsOfDevice, device, 400, 404)
            },
            f"{v}/bills": {"get": operation("The bills of a period, by default the newest", Bills, billed, 400)},
            f"{v}/pools": {"get": operation("Shared allowances", Pools, [after, limit], 400)},
            f"{v}/pools/{{pool}}/members": {
                "get": operation("Which devices use a pool up", Members, members, 400, 404)
            },
            f"{v}/idle-sims": {"get": operation("SIMs that cost for little or nothing", IdleSims, idle, 400)},
            f"{v}/devices/{{device}}/orders": {
                "post": operation("Give an order", Ordered, device, 400, 403, 404, 413, 415, 422, requestBody=body)
            },
            f"{v}/orders": {"get": operation("Orders, the oldest first", Orders, numbered, 400)},
            f"{v}/alarms": {"get": operation("What the collector noticed, the oldest first", Alarms, numbered, 400)},
            f"{v}/alerts": {
                "get": operation("Alerts, the oldest first", Alerts, [parameter("state", states), *numbered], 400)
            },
            f"{alert}/acknowledge": {
                "post": operation("Tell nobody again of an alert in this period", AlertState, id, 400, 403, 404)
            },
            f"{alert}/snooze": {
                "post": operation(
                    "Put an open alert away for a time", AlertState, id, 400, 403, 404, 413, 415, 422,
                    requestBody={"required": True, "content": ref(Snooze)},
                )
            },
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
