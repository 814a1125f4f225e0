"""The pages: which address shows what, and who may see it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from math import ceil
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from host_tools.base.errors import UsageError
from host_tools.collector import instructions, ordering
from host_tools.collector.database import StoreError
from host_tools.fleet.accounts import Role, User
from host_tools.fleet.desk import Desk
from host_tools.fleet.details import details
from host_tools.fleet.limiter import Limiter
from host_tools.fleet.paging import Page
from host_tools.fleet.views import MOST_NAME
from host_tools.fleet.web import alerts, api, table
from host_tools.fleet.web.bill_pages import BillPages
from host_tools.fleet.web.holding_pages import HoldingPages
from host_tools.fleet.web.render import Look, Renderer
from host_tools.fleet.web.security import Guarded, Line, form_of, local, read_for, user_of
from host_tools.fleet.words import LANGUAGES, preferred

_LOGIN_FAILURES, _LOGIN_SPAN_S = 10, 900.0
_MOST_STREAMS = 200
_BEAT_S = 20.0  # between two signs of life of a stream
_PREFERENCE_S = 400 * 86_400
_MOST_TEXT = 200  # of an order's value or reason
_AUDIT = 200
_FOR_PROGRAMS = ("/api/", "/metrics")


def make(desk: Desk, line: Line, first_code: str = "") -> Starlette:
    """The application. `first_code` creates the first account; "" where there is one."""
    pages, interface = Pages(desk, line, first_code), api.Interface(desk, line)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await desk.refresh()
        task = asyncio.create_task(desk.keep_up())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    device = "/devices/{device:str}"
    routes = [
        Route("/", pages.fleet),
        Route("/fleet.csv", pages.csv),
        Route("/views", pages.views, methods=["POST"]),
        Route(device, pages.device),
        Route(f"{device}/preview", pages.preview, methods=["POST"]),
        Route(f"{device}/orders", pages.order, methods=["POST"]),
        Route("/orders/{id:id}/cancel", pages.cancel, methods=["POST"]),
        Route("/alerts", pages.alerts, methods=["GET", "POST"]),
        *BillPages(desk, pages._page).routes(),
        *HoldingPages(desk, pages._page).routes(),
        Route("/live", pages.live),
        Route("/login", pages.login, methods=["GET", "POST"]),
        Route("/first", pages.first, methods=["GET", "POST"]),
        Route("/reset", pages.reset, methods=["GET", "POST"]),
        Route("/logout", pages.logout, methods=["POST"]),
        Route("/preferences", pages.preferences, methods=["POST"]),
        Route("/accounts", pages.accounts, methods=["GET", "POST"]),
        Route("/tokens", pages.tokens, methods=["GET", "POST"]),
        Route("/audit", pages.audit),
        Route("/metrics", interface.metrics),
        Mount("/api", routes=api.routes(interface)),
        Mount("/static", StaticFiles(packages=[("host_tools.fleet.web", "static")])),
    ]
    handlers: dict[Any, Any] = {HTTPException: pages.problem, StoreError: pages.unavailable}
    guarded = [Middleware(Guarded, desk=desk, line=line)]
    return Starlette(routes=routes, middleware=guarded, exception_handlers=handlers, lifespan=lifespan)


class Pages:
    def __init__(self, desk: Desk, line: Line, first_code: str) -> None:
        self._desk = desk
        self._line = line
        self._first_code = first_code
        self._render = Renderer(desk.terms.silent, desk.terms.now)
        self._by_address = Limiter(_LOGIN_FAILURES, _LOGIN_SPAN_S)
        self._by_name = Limiter(10 * _LOGIN_FAILURES, _LOGIN_SPAN_S)
        self._hashing = asyncio.Semaphore(2)  # argon2 takes 64 MB and a core

    # --- what is seen ---

    async def fleet(self, request: Request) -> Response:
        choice = table.choice_of(request.query_params)
        reader = self._desk.reader

        def read(user: User) -> dict[str, Any]:
            summary = reader.summary()
            found = summary.devices if choice.is_all else reader.count(choice)
            page = reader.page(choice) if found else Page([], None, None)
            return {"summary": summary, "page": page, "found": found, "views": self._desk.views.all(user.name)}

        return self._page(request, "fleet.html", choice=choice, **await read_for(request, read))

    async def views(self, request: Request) -> Response:
        """Saves a view of the fleet, or removes one."""
        form, user = await form_of(request), await user_of(request)
        name = " ".join(form.get("name", "").split())[:MOST_NAME]
        if form.get("do") == "remove":
            await self._desk.ask(lambda: self._desk.views.remove(user.name, name))
            return RedirectResponse("/", 303)
        query = table.address(table.choice_of(dict(parse_qsl(form.get("query", "").removeprefix("?")))))
        if name:
            await self._desk.ask(lambda: self._desk.views.save(user.name, name, query))
        return RedirectResponse(f"/{query}", 303)

    async def csv(self, request: Request) -> Response:
        choice = table.choice_of(request.query_params)
        rows = await read_for(request, lambda _: list(self._desk.reader.every(choice)))
        return table.attached("fleet.csv", table.csv_lines(rows))

    async def device(self, request: Request) -> Response:
        return await self._device(request)

    async def _device(self, request: Request, problem: str = "", wrong: Mapping[str, str] | None = None) -> Response:
        """`problem`: with the form that was sent, which is shown again to be mended."""
        device = request.path_params["device"]
        now = self._desk.terms.now()

        def read(_: User) -> Response:
            known, row = details(self._desk.store, device, now), self._desk.reader.one(device)
            if known is None or row is None:
                raise HTTPException(404, "no-device")
            found = {"known": known, "row": row, "alerts": self._desk.alerts.page("open", device)}
            about = {"device": device, "problem": problem, "wrong": wrong, "now": now}
            return self._page(request, "device.html", 422 if problem else 200, **about, **found)

        return await read_for(request, read)

    async def live(self, request: Request) -> Response:
        """Server-sent events: `changed`, when the page that asks is to be read again."""
        await user_of(request)
        if self._desk.subscribers >= _MOST_STREAMS:
            raise HTTPException(503, "unavailable")
        subscriber = self._desk.subscribe(request.query_params.get("device"))

        async def events() -> AsyncIterator[str]:
            try:
                yield "retry: 3000\n\n"
                while not self._desk.ended:
                    try:
                        await asyncio.wait_for(subscriber.event.wait(), _BEAT_S)
                    except TimeoutError:
                        yield ": here\n\n"
                        continue
                    subscriber.event.clear()
                    yield "event: changed\ndata:\n\n"
            finally:
                subscriber.close()

        return StreamingResponse(events(), media_type="text/event-stream")

    # --- orders ---

    async def preview(self, request: Request) -> Response:
        """Shows what an order would do; gives none."""
        form = await form_of(request, Role.ACT)
        device, what, why = request.path_params["device"], _what(form), form.get("why", "")[:_MOST_TEXT]

        def read() -> dict[str, Any]:
            now = self._desk.terms.now()
            wish = ordering.wish(self._desk.store, what, [device], now)
            orders = self._desk.store.book.given([device], now=now)
            waiting = [each for each in orders if each.state.value in ("waiting", "sent")]
            return {"wish": wish, "row": self._desk.reader.one(device), "waiting": waiting}

        try:
            found = await self._desk.ask(read)
        except UsageError as error:
            return await self._device(request, str(error), form)
        name, _ = instructions.split(what)
        return self._page(request, "preview.html", device=device, what=what, kind=name, why=why, **found)

    async def order(self, request: Request) -> Response:
        """Gives an order that was confirmed."""
        form, user = await form_of(request, Role.ACT), await user_of(request, Role.ACT)
        device, what, why = request.path_params["device"], _what(form), form.get("why", "")[:_MOST_TEXT]

        def give() -> None:
            ordering.wish(self._desk.store, what, [device], self._desk.terms.now()).give(
                self._desk.store, by=user.name, why=why
            )

        try:
            await self._desk.ask(give)
        except UsageError as error:
            return await self._device(request, str(error), form)
        return RedirectResponse(f"/devices/{quote(device, safe='')}#orders", 303)

    async def cancel(self, request: Request) -> Response:
        await form_of(request, Role.ACT)
        user, id = await user_of(request, Role.ACT), request.path_params["id"]

        def cancel() -> str | None:
            order = self._desk.store.book.cancel(id)
            if order:
                self._desk.accounts.note(user.name, "order-cancelled", f"{id} {order.what} {order.device}")
            return order.device if order else None

        device = await self._desk.ask(cancel)
        if device is None:
            raise HTTPException(404, "not-found")
        return RedirectResponse(f"/devices/{quote(device, safe='')}#orders", 303)

    # --- alerts ---

    async def alerts(self, request: Request) -> Response:
        if request.method == "POST":
            form = await form_of(request, Role.ACT)
            await read_for(request, lambda user: alerts.change(self._desk, user, form), Role.ACT)
            back = local(form.get("back", ""))
            return RedirectResponse(back if back.startswith("/alerts") else "/alerts", 303)
        shown = alerts.shown_of(request.query_params)
        found = await read_for(request, lambda _: alerts.read(self._desk, shown))
        return self._page(request, "alerts.html", hours=alerts.HOURS, **found)

    # --- who ---

    async def login(self, request: Request) -> Response:
        if request.method == "GET":
            if await self._desk.ask(lambda: not self._desk.accounts.any()):
                return RedirectResponse("/first", 303)
            return self._page(request, "login.html", next=local(request.query_params.get("next", "/")))
        form = await form_of(request, None)
        name, password, onward = form.get("name", ""), form.get("password", ""), local(form.get("next", "/"))
        address = self._line.client(request)
        wait_s = max(self._by_address.wait_s(address), self._by_name.wait_s(name))
        if wait_s:
            said = {"problem": "too-often", "minutes": ceil(wait_s / 60)}
            response = self._page(request, "login.html", 429, next=onward, **said)
            response.headers["Retry-After"] = str(ceil(wait_s))
            return response
        if not await self._is_right(name, password):
            self._by_address.failed(address)
            self._by_name.failed(name)
            return self._page(request, "login.html", 401, next=onward, problem="bad-login")
        return await self._logged_in(name, onward)

    async def _is_right(self, name: str, password: str) -> bool:
        accounts = self._desk.accounts
        hashed = await self._desk.ask(lambda: accounts.hash_of(name))
        async with self._hashing:
            return await asyncio.to_thread(accounts.is_right, hashed, password)

    async def _logged_in(self, name: str, onward: str) -> Response:
        """With a session that is new, whichever cookie the browser had."""
        secret = await self._desk.ask(lambda: self._desk.accounts.log_in(name))
        response = RedirectResponse(onward, 303)
        response.set_cookie(
            self._line.cookie, secret, path="/", secure=self._line.secure, httponly=True, samesite="lax"
        )
        return response

    async def first(self, request: Request) -> Response:
        """The first account, for who has the code that was printed at the start."""
        if await self._desk.ask(self._desk.accounts.any) or not self._first_code:
            return RedirectResponse("/login", 303)
        if request.method == "GET":
            return self._page(request, "first.html")
        form = await form_of(request, None)
        address = self._line.client(request)
        if wait_s := self._by_address.wait_s(address):
            return self._page(request, "first.html", 429, problem="too-often", minutes=ceil(wait_s / 60))
        if not hmac.compare_digest(form.get("code", "").encode(), self._first_code.encode()):
            self._by_address.failed(address)
            return self._page(request, "first.html", 403, problem="bad-code")
        name, password = form.get("name", ""), form.get("password", "")
        try:
            await self._desk.ask(lambda: self._desk.accounts.add(name, password, Role.ADMIN, name, first=True))
        except ValueError as error:
            return self._page(request, "first.html", 422, problem=str(error))
        self._first_code = ""
        return await self._logged_in(name, "/")

    async def reset(self, request: Request) -> Response:
        """A new password, for who has a code of `usageguard fleet account link`."""
        if request.method == "GET":
            return self._page(request, "reset.html")
        form = await form_of(request, None)
        address = self._line.client(request)
        if wait_s := self._by_address.wait_s(address):
            return self._page(request, "reset.html", 429, problem="too-often", minutes=ceil(wait_s / 60))
        code, password, accounts = form.get("code", ""), form.get("password", ""), self._desk.accounts
        name = await self._desk.ask(lambda: accounts.whose(code))
        if name is None:
            self._by_address.failed(address)
            return self._page(request, "reset.html", 403, problem="bad-code")
        try:
            await self._desk.ask(lambda: accounts.change_password(name, password, name))
        except ValueError as error:
            return self._page(request, "reset.html", 422, problem=str(error))
        return RedirectResponse("/login", 303)

    async def logout(self, request: Request) -> Response:
        await form_of(request)
        secret = request.cookies[self._line.cookie]
        await self._desk.ask(lambda: self._desk.accounts.log_out(secret))
        response = RedirectResponse("/login", 303)
        response.delete_cookie(self._line.cookie, path="/", secure=self._line.secure, httponly=True, samesite="lax")
        return response

    async def preferences(self, request: Request) -> Response:
        form = await form_of(request, None)
        response = RedirectResponse(local(form.get("back", "/")), 303)
        for name, known in (("language", LANGUAGES), ("theme", ("auto", "light", "dark"))):
            if form.get(name) in known:
                response.set_cookie(name, form[name], _PREFERENCE_S, path="/", httponly=True, samesite="lax")
        return response

    async def accounts(self, request: Request) -> Response:
        accounts = self._desk.accounts
        user = await user_of(request)
        problem = ""
        if request.method == "POST":
            form = await form_of(request)
            problem = await self._change_accounts(request, form)
            if not problem:
                return RedirectResponse("/accounts", 303)
        found = await self._desk.ask(accounts.all) if user.may(Role.ADMIN) else []
        return self._page(request, "accounts.html", 422 if problem else 200, accounts=found, problem=problem)

    async def _change_accounts(self, request: Request, form: dict[str, str]) -> str:
        """What is wrong, as a word; "" where it is done."""
        accounts, name, password = self._desk.accounts, form.get("name", ""), form.get("password", "")
        do = form.get("do")
        if do == "password":
            user = await user_of(request)
            if self._by_name.wait_s(user.name) or not await self._is_right(user.name, form.get("old", "")):
                self._by_name.failed(user.name)
                return "bad-login"
            change: Callable[[], None] = lambda: accounts.change_password(user.name, password, user.name)  # noqa: E731
        else:
            user = await user_of(request, Role.ADMIN)
            role = _role(form)
            changes: dict[str | None, Callable[[], None]] = {
                "add": lambda: accounts.add(name, password, role, user.name),
                "role": lambda: accounts.change_role(name, role, user.name),
                "remove": lambda: accounts.remove(name, user.name),
            }
            if do not in changes:
                raise HTTPException(400, "bad-request")
            change = changes[do]
        try:
            await self._desk.ask(change)
        except ValueError as error:
            return str(error)
        return ""

    async def tokens(self, request: Request) -> Response:
        user = await user_of(request)
        secret = ""
        if request.method == "POST":
            form = await form_of(request)
            if form.get("do") == "remove":
                await self._desk.ask(lambda: self._desk.accounts.remove_token(user.name, form.get("token", "")))
                return RedirectResponse("/tokens", 303)
            label = form.get("label", "")[:64]
            secret = await self._desk.ask(lambda: self._desk.accounts.add_token(user, label, _role(form)))
        tokens = await self._desk.ask(lambda: self._desk.accounts.tokens(user.name))
        return self._page(request, "tokens.html", tokens=tokens, secret=secret)

    async def audit(self, request: Request) -> Response:
        entries = await read_for(request, lambda _: self._desk.accounts.audit(_AUDIT), Role.ADMIN)
        return self._page(request, "audit.html", entries=entries)

    # --- what goes wrong ---

    async def problem(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if request.url.path.startswith(_FOR_PROGRAMS):
            return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)
        if error.status_code == 401:
            onward = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            return RedirectResponse(f"/login?next={quote(onward if request.method == 'GET' else '/', safe='')}", 303)
        with contextlib.suppress(StoreError):
            await request.state.asker.ask(lambda user: user)  # whom the menu is for
        known = {404: "not-found", 405: "bad-request", 413: "bad-request"}
        words = error.detail if error.detail.islower() and " " not in error.detail else known.get(error.status_code)
        return self._page(request, "problem.html", error.status_code, said=words or "bad-request")

    async def unavailable(self, request: Request, error: Exception) -> Response:
        if request.url.path.startswith(_FOR_PROGRAMS):
            return JSONResponse({"error": "the collector's database does not answer now"}, 503)
        return self._page(request, "problem.html", 503, said="unavailable")

    def _page(self, request: Request, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        language = request.cookies.get("language")
        if language not in LANGUAGES:
            language = preferred(request.headers.get("accept-language", ""))
        theme = request.cookies.get("theme")
        here = quote(request.scope["path"]) if request.method == "GET" else "/"
        query = request.scope["query_string"].decode("latin-1")
        back = f"{here}?{query}" if query and request.method == "GET" else here
        look = Look(language, theme if theme in ("light", "dark") else "auto", here, back)
        text = self._render(template, look, request.state.asker.user, **values)
        return HTMLResponse(text, status)


def new_code() -> str:
    """A one-time code for the first account."""
    return secrets.token_urlsafe(18)


def _what(form: dict[str, str]) -> str:
    name, value = form.get("what", ""), form.get("value", "").strip()[:_MOST_TEXT]
    kind = instructions.INSTRUCTIONS.get(name)
    return f"{name}={value}" if kind and kind.value else name


def _role(form: dict[str, str]) -> Role:
    try:
        return Role[form.get("role", "READ")]
    except KeyError:
        raise HTTPException(400, "bad-request") from None
