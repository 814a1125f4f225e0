"""Serves a platform over HTTP, with its faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aiohttp import web

from host_tools.platforms.served.faults import Faults, Kind


class Api(Protocol):
    """A platform that answers calls by path; `numbers` names the function of a path."""

    def answer(self, path: str, parameters: Mapping[str, str]) -> dict[str, Any]: ...


class Rest(Protocol):
    """A platform that answers by HTTP's own methods and statuses."""

    def answer(
        self, method: str, path: str, query: Mapping[str, str], authorization: str, body: Mapping[str, Any]
    ) -> tuple[int, dict[str, Any]]: ...


class Server:
    """An API at `http://HOST:PORT/v5/ec/…`, and another one at `/rws/api/v1/…`, which has no faults. `tick` is called
    before each request: it brings the carrier up to date."""

    def __init__(
        self,
        api: Api,
        number: Callable[[str], str],
        faults: Faults | None = None,
        tick: Callable[[], None] = lambda: None,
        rest: Rest | None = None,
    ) -> None:
        self.faults = faults or Faults()
        self.requests: list[tuple[str, dict[str, str]]] = []  # (path, parameters), newest last
        self._api = api
        self._number = number
        self._tick = tick
        self._rest = rest
        self._closing = asyncio.Event()
        self._runner: web.AppRunner | None = None

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """The base URL."""
        app = web.Application()
        app.router.add_route("*", "/v5/ec/{path:.+}", self._handle)
        if self._rest is not None:
            app.router.add_route("*", "/rws/api/v1/{path:.+}", self._handle_rest)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return f"http://{host}:{self._runner.addresses[0][1]}/v5"

    async def close(self) -> None:
        self._closing.set()
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._tick()
        path = request.match_info["path"]
        try:
            parameters = {**request.query, **(await _body(request))}
        except ValueError:
            return web.json_response({"status": "11000", "message": "body", "result": []})
        self.requests.append((path, parameters))
        fault = self.faults.take(self._number(path))
        if fault is None:
            return _json(self._api.answer(path, parameters))
        if fault.kind is Kind.CODE:
            return _json({"status": fault.code, "message": "fault", "result": []})
        if fault.kind is Kind.HTTP:
            return web.Response(status=int(fault.code), text="<html>bad gateway</html>")
        if fault.kind is Kind.GARBAGE:
            return web.Response(text='{"status":"0","resu', content_type="application/json")
        if fault.kind is Kind.FORM:
            return _json({"status": "0", "message": "正确", "result": ["unexpected", 7]})
        if fault.kind is Kind.LOST:
            self._api.answer(path, parameters)
        if fault.kind is Kind.SLOW:
            await self._wait(fault.seconds)
            return _json(self._api.answer(path, parameters))
        if fault.kind is Kind.HANG:
            await self._wait(None)
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _handle_rest(self, request: web.Request) -> web.StreamResponse:
        assert self._rest is not None
        self._tick()
        try:
            text = await request.text()
            body = json.loads(text) if text else {}
            if not isinstance(body, dict):
                raise ValueError
        except ValueError:
            return web.json_response({"errorMessage": "Invalid request", "errorCode": "10000003"}, status=400)
        login = request.headers.get("Authorization", "")
        status, found = self._rest.answer(request.method, request.match_info["path"], request.query, login, body)
        return web.json_response(found, status=status)

    async def _wait(self, seconds: float | None) -> None:
        """Until then, or until the server closes."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._closing.wait(), seconds)


async def _body(request: web.Request) -> dict[str, str]:
    text = await request.text()
    found = json.loads(text) if text else {}
    if not isinstance(found, dict):
        raise ValueError
    return {str(name): str(value) for name, value in found.items()}


def _json(answer: Mapping[str, Any]) -> web.Response:
    return web.json_response(answer, dumps=lambda value: json.dumps(value, ensure_ascii=False))
