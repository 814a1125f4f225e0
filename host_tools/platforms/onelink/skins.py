"""How a request to OneLink is authenticated and wrapped. The functions and their parameters are the same in both skins.

V5 has a token, the newer gateway signs each request. The gateway's skin is known from one public client alone.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from host_tools.platforms.interface import BadCredentials, NoAnswer
from host_tools.platforms.onelink import functions, meaning
from host_tools.platforms.secret import Secret
from host_tools.platforms.transport import Http, Pace, parsed

_JSON = {"Content-Type": "application/json; charset=utf-8", "Accept": "application/json"}
_SPARE_S = 60  # a token is not used in its last minute: clocks differ, and requests wait


@dataclass(frozen=True)
class Answer:
    """The code and message of an answer, and its objects."""

    code: str
    message: str
    result: list[dict[str, Any]]


class Skin(Protocol):
    """Sends one request. Raises NoAnswer, BadCredentials, BudgetSpent."""

    async def send(self, path: str, parameters: Mapping[str, Any]) -> Answer: ...

    async def close(self) -> None: ...


def _objects(result: Any) -> list[dict[str, Any]]:
    listed = result if isinstance(result, list) else [] if result is None or result == "" else [result]
    if not all(isinstance(each, dict) for each in listed):
        raise NoAnswer("the platform's answer has another form than its manual", sure=False)
    return listed


def _envelope(content: Any, code: str, message: str, result: str) -> Answer:
    if not isinstance(content, dict) or code not in content:
        raise NoAnswer("the platform's answer has another form than its manual", sure=False)
    return Answer(str(content[code]), str(content.get(message) or ""), _objects(content.get(result)))


class V5:
    """`/v5/ec/…` with a token, which one holder has for all calls of an account.

    A token is asked for without `refresh`, which gives the one that lives: so that other processes of the same account
    keep theirs. Only when that very token is refused is a new one forced.
    """

    def __init__(
        self, http: Http, url: str, appid: str, password: Secret, pace: Pace, utc: Callable[[], datetime]
    ) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._appid = appid
        self._password = password
        self._pace = pace
        self._utc = utc
        self._token: Secret | None = None
        self._until = 0.0
        self._one = asyncio.Lock()
        self._sequence = secrets.randbelow(10**8)

    async def send(self, path: str, parameters: Mapping[str, Any]) -> Answer:
        token = await self._get()
        answer = await self._post(path, {**parameters, "token": token.reveal()})
        if answer.code == meaning.TOKEN_INVALID:  # nothing was done: it may be sent again, once
            token = await self._get(refused=token)
            answer = await self._post(path, {**parameters, "token": token.reveal()})
            if answer.code == meaning.TOKEN_INVALID:
                raise BadCredentials("the platform refuses the token that it has just given", code=answer.code)
        return answer

    async def close(self) -> None:
        await self._http.close()

    async def token(self) -> Secret:
        """The token in use."""
        return await self._get()

    async def get(self, path: str, parameters: Mapping[str, str]) -> Answer:
        """`send` as a GET with a query, which older clients use. Its address has the token in it."""
        token = await self._get()
        await self._pace.turn()
        query = urlencode({"transid": self._transaction(), "token": token.reveal(), **parameters})
        status, content = await self._http.send("GET", f"{self._url}/ec/{path}?{query}", None, {})
        answer = _envelope(parsed(status, content), "status", "message", "result")
        return Answer(answer.code, self._clean(answer.message), answer.result)

    async def _get(self, refused: Secret | None = None) -> Secret:
        """The token in use. `refused` was one, and is replaced, unless another call has done so meanwhile."""
        async with self._one:
            if self._token is not None and self._token is not refused and self._utc().timestamp() < self._until:
                return self._token
            try:
                token, ttl_s = await self._fetch(force=False)
                if refused is not None and token == refused.reveal():
                    token, ttl_s = await self._fetch(force=True)
            except NoAnswer as error:  # what the token was for is not asked yet
                raise NoAnswer(str(error)) from None
            self._token = Secret(token)
            self._until = self._utc().timestamp() + max(ttl_s - _SPARE_S, ttl_s / 2)
            return self._token

    async def _fetch(self, force: bool) -> tuple[str, float]:
        body = {"appid": self._appid, "password": self._password.reveal(), "refresh": int(force)}
        answer = await self._post(functions.TOKEN.path, body)
        if answer.code != meaning.OK:
            if answer.code in meaning.BUSY:
                raise NoAnswer("the platform gives no token now", code=answer.code)
            raise BadCredentials(f"the platform gives no token: {self._clean(answer.message)}", code=answer.code)
        try:
            ttl_s = float(answer.result[0]["ttl"])
            token = answer.result[0]["token"]
            if not (isinstance(token, str) and token and 0 < ttl_s < 1e9):
                raise ValueError
        except (LookupError, TypeError, ValueError):
            raise NoAnswer("the platform's answer has no token") from None
        return token, ttl_s

    async def _post(self, path: str, parameters: dict[str, Any]) -> Answer:
        await self._pace.turn()
        body = json.dumps({"transid": self._transaction(), **parameters}).encode()
        answer = _envelope(
            parsed(*await self._http.send("POST", f"{self._url}/ec/{path}", body, _JSON)), "status", "message", "result"
        )
        return Answer(answer.code, self._clean(answer.message), answer.result)

    def _transaction(self) -> str:
        self._sequence = (self._sequence + 1) % 10**8
        return f"{self._appid}{self._utc().astimezone(meaning.CHINA):%Y%m%d%H%M%S}{self._sequence:08}"

    def _clean(self, message: str) -> str:
        """A message that may quote the request."""
        for secret in (self._password, Secret(self._appid), self._token):
            message = secret.hidden_in(message) if secret is not None else message
        return message


class Gateway:
    """`/cmp/v5/ec/…` of the newer gateway, where each request is signed with the account's key."""

    def __init__(self, http: Http, url: str, key_id: str, key: Secret, pace: Pace, utc: Callable[[], datetime]) -> None:
        self._http = http
        self._url = url.rstrip("/")
        self._key_id = key_id
        self._key = key
        self._pace = pace
        self._utc = utc

    async def send(self, path: str, parameters: Mapping[str, Any]) -> Answer:
        await self._pace.turn()
        url = f"{self._url}/ec/{path}"
        body = {
            **parameters,
            "ak": self._key_id,
            "timestamp": str(int(self._utc().timestamp())),
            "nonce": secrets.token_hex(16),
        }
        text = json.dumps(dict(sorted(body.items())), separators=(",", ":"), ensure_ascii=False)
        headers = {**_JSON, "Authorization": f"Bearer method=HmacSHA256&sign={signed(self._key, url, text)}"}
        content = parsed(*await self._http.send("POST", url, text.encode(), headers))
        answer = _envelope(content, "code", "msg", "data")
        message = Secret(self._key_id).hidden_in(self._key.hidden_in(answer.message))
        if answer.code in meaning.CREDENTIALS:
            raise BadCredentials(f"the platform refuses the key: {message}", code=answer.code)
        return Answer(answer.code, message, answer.result)

    async def close(self) -> None:
        await self._http.close()


def signed(key: Secret, url: str, body: str) -> str:
    """The signature of a request: over its path, its query in order, and its body, a line each."""
    parts = urlsplit(url)
    query = "&".join(sorted(quote(pair, safe="=~") for pair in parts.query.split("&") if pair))
    text = f"{parts.path}\n{query}\n{body}"
    return base64.b64encode(hmac.new(key.reveal().encode(), text.encode(), hashlib.sha256).digest()).decode()
