"""What stands between the network and the pages: who asks, over which line, and how much they may send."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import parse_qsl, urlsplit

from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from host_tools.fleet.accounts import Role, User
from host_tools.fleet.desk import Desk


class _Id(Convertor[int]):
    """An id in a path, as the database can have it."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("id", _Id())
MOST_OCTETS = 64 * 1024  # of a request's body
_MOST_FIELDS = 50
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src"
    " 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]
_STATIC = "/static/"
T = TypeVar("T")


@dataclass(frozen=True)
class Line:
    """How requests come: `tls` by this program's own certificate, or by a proxy that sets `proxy_header` to `https`
    and adds the client's address to X-Forwarded-For."""

    tls: bool = False
    proxy_header: str = ""

    @property
    def secure(self) -> bool:
        return self.tls or bool(self.proxy_header)

    @property
    def cookie(self) -> str:
        return "__Host-usageguard" if self.secure else "usageguard"

    def client(self, request: Request) -> str:
        """The address that a request comes from; the last one that is in X-Forwarded-For is the proxy's word."""
        if self.proxy_header:
            return request.headers.get("x-forwarded-for", "").rpartition(",")[2].strip()
        return request.client.host if request.client else ""


class Asker:
    """Who asks, by the cookie of a session, which is looked for when it matters and once for a request. `user`: None
    as well while it is not known."""

    def __init__(self, desk: Desk, secret: str | None) -> None:
        self._desk = desk
        self._secret = secret
        self.user: User | None = None

    async def ask(self, read: Callable[[User | None], T]) -> T:
        """What `read` reads for the user; both in one turn of the desk's thread."""
        return await self._desk.ask(lambda: read(self._found()))

    def _found(self) -> User | None:
        if self._secret and self.user is None:
            self.user = self._desk.accounts.user(self._secret)
            self._secret = None
        return self.user


class Guarded:
    """Middleware: refuses what came past the proxy or is too large, adds the security headers, and puts an Asker into
    the request's `state.asker`."""

    def __init__(self, app: ASGIApp, desk: Desk, line: Line) -> None:
        self._app = app
        self._desk = desk
        self._line = line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = [*message["headers"], *_RAW_HEADERS]
                if self._line.secure:
                    said.append((b"strict-transport-security", b"max-age=31536000"))
                if not scope["path"].startswith(_STATIC):
                    said.append((b"cache-control", b"no-store"))
                message["headers"] = said
            await send(message)

        name = self._line.proxy_header
        if name and headers.get(name) != "https":
            problem = PlainTextResponse(f"this page is served behind a proxy that sets {name}: https\n", 403)
            await problem(scope, receive, sent)
            return
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length) > MOST_OCTETS:
            await PlainTextResponse(f"at most {MOST_OCTETS} bytes\n", 413)(scope, receive, sent)
            return
        left = MOST_OCTETS

        async def received() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:  # a body in chunks, which tells no length
                raise HTTPException(413)
            return message

        secret = Request(scope).cookies.get(self._line.cookie)
        scope.setdefault("state", {})["asker"] = Asker(self._desk, secret)
        await self._app(scope, received, sent)


async def read_for(request: Request, read: Callable[[User], T], role: Role = Role.READ) -> T:
    """What `read` reads in the desk's thread for who asks. HTTPException 401 without a session, 403 where the account
    may not."""

    def checked(user: User | None) -> T:
        if user is None:
            raise HTTPException(401)
        if not user.may(role):
            raise HTTPException(403, "not-allowed")
        return read(user)

    return await request.state.asker.ask(checked)


async def user_of(request: Request, role: Role = Role.READ) -> User:
    """Who asks; errors as of `read_for`."""
    known: User | None = request.state.asker.user
    return known if known and known.may(role) else await read_for(request, lambda user: user, role)


async def form_of(request: Request, role: Role | None = Role.READ) -> dict[str, str]:
    """The fields of a form that this page sent, and nobody else's; `role` None: before a login."""
    if not _is_ours(request):
        raise HTTPException(403, "not-yours")
    user = await user_of(request, role) if role else None
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise HTTPException(415, "bad-request")
    try:
        text = (await request.body()).decode("ascii")
        fields = dict(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS))
    except ValueError:
        raise HTTPException(400, "bad-request") from None
    if user and not hmac.compare_digest(fields.get("csrf", "").encode(), user.csrf.encode()):
        raise HTTPException(403, "not-yours")
    return fields


def _is_ours(request: Request) -> bool:
    """Whether a browser says that the request comes from these pages. One that says nothing is none, or is old: then
    the form's own secret decides."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


def local(path: str) -> str:
    """`path` if it leads to a page of this server, else the first page."""
    parts = urlsplit(path) if path.startswith("/") and not path.startswith(("//", "/\\")) else None
    is_plain = parts is not None and not parts.netloc and path.isprintable() and "\\" not in path
    return path if is_plain else "/"
