"""Short messages with reports, as an SMS gateway hands them over: by an HTTP request to a path that only it knows.

A TOML file says where its requests come, and what is where in them (firmware/DEVICE.md has one).

A message that comes twice changes nothing, as with every report. What cannot be stored is answered with 503, which has
gateways deliver it again.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

import msgspec
from aiohttp import web

from host_tools.base import files
from host_tools.base.errors import UsageError
from host_tools.collector.database import StoreError
from host_tools.collector.intake import NOT_REPORTS, Intake, Result
from host_tools.collector.sms_payload import user_data
from host_tools.collector.writer import Batches

_MOST_OCTETS = 16_384  # of a request
_LEAST_SECRET = 16
_SHAPE = "see firmware/DEVICE.md"
UNSIGNED = "from an SMS gateway without its signature"


class Gateway(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One gateway, as its table has it."""

    path: str
    message: Annotated[str, msgspec.Meta(min_length=1)]
    coding: Literal["hex", "base64"] = "hex"
    kind: Literal["data", "tpdu"] = "data"
    signature: str = ""
    secret_env: str = ""

    @classmethod
    def load(cls, file: Path) -> Gateway:
        """UsageError where the file is none."""
        table = files.table(file, _SHAPE)
        try:
            gateway = msgspec.convert(table.get("gateway", {}), cls)
        except msgspec.ValidationError as error:
            raise UsageError(str(file), "gateway", str(error), _SHAPE) from None
        if not gateway.path.startswith("/") or len(gateway.path.rpartition("/")[2]) < _LEAST_SECRET:
            hint = f"end it with {_LEAST_SECRET} random characters or more"
            raise UsageError(str(file), "gateway.path", "can be guessed", hint)
        if bool(gateway.signature) != bool(gateway.secret_env):
            raise UsageError(str(file), "gateway", "has one of signature and secret_env", "give both, or neither")
        if gateway.secret_env and not os.environ.get(gateway.secret_env):
            raise UsageError(str(file), "gateway.secret_env", f"{gateway.secret_env} is not set", "set it")
        return gateway

    def is_signed(self, body: bytes, headers: Any) -> bool:
        """Whether the request is the gateway's: always, where it signs none."""
        if not self.signature:
            return True
        told = headers.get(self.signature, "").rpartition("=")[2].strip().lower()  # some write sha256= before it
        key = os.environ[self.secret_env].encode()
        return hmac.compare_digest(told.encode(), hmac.new(key, body, hashlib.sha256).hexdigest().encode())

    def report(self, body: bytes, content_type: str) -> bytes:
        """The user data of the message in a request. ValueError where there is none."""
        fields: Any
        if content_type == "application/json":
            fields = json.loads(body)
            for name in self.message.split("."):
                fields = fields[int(name)] if isinstance(fields, list) else fields[name]
        else:
            (fields,) = parse_qs(body.decode("ascii"), strict_parsing=True)[self.message]
        decode = bytes.fromhex if self.coding == "hex" else base64.b64decode
        octets = decode(fields)
        return octets if self.kind == "data" else user_data(octets)


@asynccontextmanager
async def receiving(gateway: Gateway, collector: Intake, tcp: socket.socket, writer: Batches) -> AsyncIterator[None]:
    """Takes a gateway's requests from a listening socket while the context is open. Other processes may share it."""

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        if not gateway.is_signed(body, request.headers):
            collector.refusals[UNSIGNED] += 1
            raise web.HTTPUnauthorized
        try:
            blob = gateway.report(body, request.content_type)
        except (ValueError, KeyError, IndexError, TypeError, RecursionError):
            collector.refusals[NOT_REPORTS] += 1
            raise web.HTTPBadRequest from None
        taken = collector.take(blob, "sms")
        if taken is None:
            raise web.HTTPBadRequest
        stored: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        writer.put(taken, lambda _, result: stored.set_result(result))
        result = await asyncio.shield(stored)
        collector.settle(taken, result)
        if isinstance(result, StoreError):
            raise web.HTTPServiceUnavailable
        if isinstance(result, ValueError):
            raise web.HTTPBadRequest
        return web.Response(status=204)

    app = web.Application(client_max_size=_MOST_OCTETS)
    app.router.add_post(gateway.path, take)
    runner = web.AppRunner(app, access_log=None)  # which would have the path
    await runner.setup()
    try:
        await web.SockSite(runner, tcp).start()
        yield
    finally:
        await runner.cleanup()
