"""The pages of the bill explained: all SIMs of a period, and one of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import date
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from host_tools.fleet.accounts import User
from host_tools.fleet.bills import SORTS, Chosen
from host_tools.fleet.desk import Desk
from host_tools.fleet.web import bill_file, table
from host_tools.fleet.web.security import read_for, user_of
from host_tools.platforms.reconcile import Rating


def chosen_of(query: Mapping[str, str]) -> Chosen:
    """What an address asks for. HTTPException 400 for what no page links to."""
    period, sort = query.get("period", ""), query.get("sort") or "unexplained"
    if sort not in SORTS or (period and not _is_day(period)):
        raise HTTPException(400, "bad-request")
    return Chosen(period, sort=sort, **table.common(query))


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def address(chosen: Chosen, **changed: Any) -> str:
    """The query of a choice that differs from another one; it begins anew unless it says where."""
    new = replace(chosen, **{"after": None, "before": None, **changed})
    return table.query_of(new, period=new.period, sort="" if new.sort == "unexplained" else new.sort)


class BillPages:
    """`show` fills a template in: request, template, values."""

    def __init__(self, desk: Desk, show: Callable[..., Response]) -> None:
        self._desk = desk
        self._bills = desk.reader.bills
        self._show = show

    def routes(self) -> list[Route]:
        return [
            Route("/bill", self.bill),
            Route("/bill.csv", self.csv),
            Route("/bill.parquet", self.parquet),
            Route("/devices/{device:str}/bill", self.device),
        ]

    async def bill(self, request: Request) -> Response:
        def read(_: User) -> dict[str, Any]:
            totals = self._bills.totals()
            chosen = self._bills.of_period(chosen_of(request.query_params))
            total = totals.get(chosen.period)
            found = self._bills.count(chosen) if chosen.text or not total else total.devices
            return {
                "chosen": chosen, "periods": [*totals], "total": total, "found": found,
                "page": self._bills.page(chosen),
            }  # fmt: skip

        values = await read_for(request, read)
        return self._show(request, "bill.html", has_parquet=bill_file.has_parquet(), **values, **self._contract())

    def _contract(self) -> dict[str, Any]:
        return {"is_rated": self._desk.terms.rating != Rating(), "left": self._desk.to_explain}

    async def csv(self, request: Request) -> Response:
        period, rows = await read_for(request, lambda _: self._file(request))
        return table.attached(f"bill-{period}.csv", bill_file.csv_lines(rows))

    async def parquet(self, request: Request) -> Response:
        await user_of(request)
        if not bill_file.has_parquet():
            raise HTTPException(404, "not-found")
        period, rows = await read_for(request, lambda _: self._file(request))
        content = await asyncio.to_thread(bill_file.parquet, rows)
        headers = {"Content-Disposition": f'attachment; filename="bill-{period}.parquet"'}
        return Response(content, media_type="application/vnd.apache.parquet", headers=headers)

    def _file(self, request: Request) -> tuple[str, list[Any]]:
        chosen = self._bills.of_period(chosen_of(request.query_params))
        return chosen.period, [*self._bills.every(chosen)]

    async def device(self, request: Request) -> Response:
        device, period = request.path_params["device"], request.query_params.get("period", "")
        bills = await read_for(request, lambda _: self._bills.of(device))
        shown = [each for each in bills if period in ("", each.period)]
        if not shown:
            raise HTTPException(404, "no-bill")
        return self._show(request, "device_bill.html", device=device, bills=bills, bill=shown[0], **self._contract())
