"""The fleet's page as a server."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from host_tools.base.errors import UsageError
from host_tools.fleet.desk import Desk
from host_tools.fleet.outward.file import Outward
from host_tools.fleet.outward.sender import Sender
from host_tools.fleet.watch import Terms
from host_tools.fleet.web.app import make, new_code
from host_tools.fleet.web.security import Line

_GRACE_S = 5  # for requests that run at the end


@dataclass(frozen=True)
class Listen:
    """Where the server listens. Beyond this computer only with a certificate, or behind a proxy that sets a header."""

    host: str = "127.0.0.1"
    port: int = 8080
    certificate: Path | None = None
    key: Path | None = None
    proxy_header: str = ""

    def check(self) -> Line:
        """UsageError for what is not safe, or not there."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            raise UsageError("--host", "", f'"{self.host}" is not an IP address', "give one of this machine") from None
        if (self.certificate is None) != (self.key is None):
            raise UsageError("--tls-cert", "", "goes with --tls-key", "give both")
        for option, file in (("--tls-cert", self.certificate), ("--tls-key", self.key)):
            if file is not None and not file.is_file():
                raise UsageError(option, str(file), "is not there", "name a file in PEM format")
        if not address.is_loopback and self.certificate is None and not self.proxy_header:
            hint = "give --tls-cert and --tls-key, or --proxy-header with what a proxy with TLS sets to https"
            raise UsageError("--host", self.host, "would send passwords in the clear", hint)
        return Line(self.certificate is not None, self.proxy_header)


def serve(db: str, listen: Listen, terms: Terms, say: Callable[[str], None], outward: Outward | None = None) -> None:
    """Runs until Ctrl-C or SIGTERM; prints its address, and a one-time link where there is no account yet. With
    `outward`, alerts go to its channels; else to those that were named last, once they are served again."""
    line = listen.check()
    rules = replace(outward.rules, fallback=terms.silent) if outward else None
    with closing(bound_to(listen)) as bound, closing(Desk(db, terms, rules=rules)) as desk, ExitStack() as stack:
        if outward:
            desk.alerts.register(outward.wants)
            stack.enter_context(closing(Sender(db, outward.channels)))
        if outward and outward.mqtt:
            from host_tools.fleet.outward.publisher import Publisher  # its library is in an extra

            desk.listeners.append(stack.enter_context(closing(Publisher(outward.mqtt, desk.index, say))).note)
        host = f"[{listen.host}]" if ":" in listen.host else listen.host
        address = f"{'https' if line.tls else 'http'}://{host}:{bound.getsockname()[1]}"
        code = "" if desk.accounts.any() else new_code()
        say(f"listening on {address}")
        if code:
            say(f"no account yet: create the first one at {address}/first#{code}")
        server(desk, make(desk, line, code), listen).run(sockets=[bound])


class _Server(uvicorn.Server):
    """Ends the streams before it waits for the requests that run."""

    desk: Desk

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.desk.end()
        await super().shutdown(sockets)


def server(desk: Desk, app: ASGIApp, listen: Listen) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        ssl_certfile=listen.certificate,
        ssl_keyfile=listen.key,
        log_level="error",
        access_log=False,  # an address may name a device
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    made = _Server(config)
    made.desk = desk
    return made


def bound_to(listen: Listen) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    try:
        bound = socket.create_server((listen.host, listen.port), family=family)
    except OSError as error:
        problem = (error.strerror or str(error)).lower()
        raise UsageError("--port", str(listen.port), problem, "give --port 0 for a free one") from None
    # What it accepts inherits this. asyncio sets it only where a socket names its protocol, and without it each answer
    # on a connection that is kept waits for the browser's delayed acknowledgement.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    return bound
