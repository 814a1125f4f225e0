"""The pages of what SIMs are held for: pools with their members, and SIMs that cost for little or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from host_tools.fleet import idle, pools
from host_tools.fleet.desk import Desk
from host_tools.fleet.idle import Kind
from host_tools.fleet.paging import Key
from host_tools.fleet.web import table
from host_tools.fleet.web.security import user_of


class HoldingPages:
    """`show` fills a template in: request, template, values."""

    def __init__(self, desk: Desk, show: Callable[..., Response]) -> None:
        self._desk = desk
        self._show = show

    def routes(self) -> list[Route]:
        return [Route("/pools", self.pools), Route("/idle", self.idle)]

    async def pools(self, request: Request) -> Response:
        user_of(request)
        sort = _one_of(request.query_params, "sort", ("used", *pools.SORTS))
        after, before = _places(request.query_params)
        reader = self._desk.reader.pools

        def read() -> dict[str, Any]:
            known = {each.pool: each for each in reader.all()}
            name = request.query_params.get("pool", next(iter(known), ""))
            members = reader.members(name, sort, after, before) if name in known else None
            return {"pools": known, "pool": known.get(name), "page": members}

        return self._show(request, "pools.html", sort=sort, sorts=[*pools.SORTS], **await self._desk.ask(read))

    async def idle(self, request: Request) -> Response:
        user_of(request)
        kind = Kind(_one_of(request.query_params, "kind", ("dead", *Kind)))
        after, before = _places(request.query_params)
        reader, now = self._desk.reader.idle, datetime.now(UTC)

        def read() -> dict[str, Any]:
            unheard = kind is Kind.UNHEARD
            page = reader.unheard(after, before) if unheard else reader.heard(kind, now, after, before)
            return {"page": page, "counts": reader.counts(now)}

        about = {"days": idle.SPAN.days, "percent": idle.PERMILLE // 10, "kinds": [*Kind]}
        return self._show(request, "idle.html", kind=kind, **about, **await self._desk.ask(read))


def _one_of(query: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """The value of a parameter; the first that is known by default. HTTPException 400 for another one."""
    value = query.get(name) or known[0]
    if value not in known:
        raise HTTPException(400, "bad-request")
    return value


def _places(query: Mapping[str, str]) -> tuple[Key | None, Key | None]:
    found = table.common(query)
    return found["after"], found["before"]
