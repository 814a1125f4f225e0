"""Sends a request over HTTP. No redirect is followed: what is sent is for one receiver alone."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

_TIMEOUT_S = 10.0
_MOST_OCTETS = 64 * 1024  # of an answer

Post = Callable[[str, bytes, Mapping[str, str]], tuple[int, bytes]]
"""Called with URL, body and headers; returns status and body of the answer. Raises SendError without an answer."""


class SendError(Exception):
    """It is not known that the receiver has it. The text names no secret."""


class _Stay(HTTPRedirectHandler):
    def redirect_request(self, req: object, fp: object, code: int, msg: str, headers: object, newurl: str) -> None:
        return None


_opener = build_opener(_Stay)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    request = Request(url, body, {"User-Agent": "usageguard", **headers}, method="POST")
    try:
        with _opener.open(request, timeout=_TIMEOUT_S) as answer:
            return answer.status, answer.read(_MOST_OCTETS)
    except HTTPError as error:
        return error.code, b""
    except URLError as error:
        raise SendError(f"no answer: {error.reason}") from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise SendError(f"no answer: {error or type(error).__name__}") from None
