"""The pages of what SIMs are held for: pools with their members, and SIMs that cost for little or nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from host_tools.fleet import idle, pools
from host_tools.fleet.accounts import User
from host_tools.fleet.desk import Desk
from host_tools.fleet.idle import Kind
from host_tools.fleet.paging import Key
from host_tools.fleet.web import holdings, table
from host_tools.fleet.web.security import read_for


class HoldingPages:
    """`show` fills a template in: request, template, values."""

    def __init__(self, desk: Desk, show: Callable[..., Response]) -> None:
        self._desk = desk
        self._show = show

    def routes(self) -> list[Route]:
        return [
            Route("/pools", self.pools),
            Route("/pools.csv", self.pools_csv),
            Route("/idle", self.idle),
            Route("/idle.csv", self.idle_csv),
        ]

    async def pools(self, request: Request) -> Response:
        sort = sort_of(request.query_params)
        after, before = places(request.query_params)
        reader = self._desk.reader.pools

        def read(_: User) -> dict[str, Any]:
            known = {each.pool: each for each in reader.all()}
            name = request.query_params.get("pool", next(iter(known), ""))
            members = reader.members(name, sort, after, before) if name in known else None
            return {"pools": known, "pool": known.get(name), "page": members}

        return self._show(request, "pools.html", sort=sort, sorts=[*pools.SORTS], **await read_for(request, read))

    async def pools_csv(self, request: Request) -> Response:
        """The members of a pool; without a name those of the first one."""
        sort = sort_of(request.query_params)
        reader = self._desk.reader.pools

        def read(_: User) -> list[Any] | None:
            names = [each.pool for each in reader.all()]
            name = request.query_params.get("pool", next(iter(names), ""))
            return list(reader.every_member(name, sort)) if name in names else None

        rows = await read_for(request, read)
        if rows is None:
            raise HTTPException(404, "not-found")
        return table.attached("pool.csv", holdings.members_csv(rows))

    async def idle_csv(self, request: Request) -> Response:
        kind, now = kind_of(request.query_params), self._desk.terms.now()
        rows = await read_for(request, lambda _: list(self._desk.reader.idle.every(kind, now)))
        return table.attached(f"idle-{kind}.csv", holdings.idle_csv(rows))

    async def idle(self, request: Request) -> Response:
        kind = kind_of(request.query_params)
        after, before = places(request.query_params)
        reader, now = self._desk.reader.idle, self._desk.terms.now()

        def read(_: User) -> dict[str, Any]:
            unheard = kind is Kind.UNHEARD
            page = reader.unheard(after, before) if unheard else reader.heard(kind, now, after, before)
            return {"page": page, "counts": reader.counts(now)}

        about = {"days": idle.SPAN.days, "percent": idle.PERMILLE // 10, "kinds": [*Kind]}
        return self._show(request, "idle.html", kind=kind, **about, **await read_for(request, read))


def sort_of(query: Mapping[str, str]) -> str:
    """HTTPException 400, as with all of these, for what no page links to."""
    return _one_of(query, "sort", ("used", *pools.SORTS))


def kind_of(query: Mapping[str, str]) -> Kind:
    return Kind(_one_of(query, "kind", ("dead", *Kind)))


def _one_of(query: Mapping[str, str], name: str, known: tuple[str, ...]) -> str:
    """The value of a parameter; the first that is known by default."""
    value = query.get(name) or known[0]
    if value not in known:
        raise HTTPException(400, "bad-request")
    return value


def places(query: Mapping[str, str]) -> tuple[Key | None, Key | None]:
    found = table.common(query)
    return found["after"], found["before"]
