"""One account's calls over HTTP: one at a time, not too fast, within a budget."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import aiohttp

from host_tools.platforms.interface import BudgetSpent, NoAnswer

_MOST_OCTETS = 4 << 20  # of an answer
TIMEOUT_S = 30.0


class Pace:
    """Lets one call through at a time, `per_s` in a second and `budget` in all; None for no limit."""

    def __init__(
        self,
        per_s: float,
        budget: int | None,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._least_s = 1 / per_s
        self.left = budget
        self._now = now
        self.sleep = sleep
        self._next_s = float("-inf")
        self._turn = asyncio.Lock()

    async def turn(self) -> None:
        """Waits for the next call's turn. BudgetSpent when there is none."""
        async with self._turn:
            if self.left is not None:
                if self.left <= 0:
                    raise BudgetSpent("the budget of calls is used up", sure=True)
                self.left -= 1
            wait = self._next_s - self._now()
            if wait > 0:
                await self.sleep(wait)
            self._next_s = max(self._now(), self._next_s) + self._least_s


class Http(Protocol):
    """Sends a request and returns the answer's status and octets. Raises NoAnswer."""

    async def send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, bytes]: ...

    async def close(self) -> None: ...


class Aiohttp:
    """Http by aiohttp. No redirect is followed: a secret goes nowhere else."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.request(method, url, data=body, headers=headers, allow_redirects=False) as answer:
                content = await answer.content.read(_MOST_OCTETS + 1)
                while len(content) <= _MOST_OCTETS and not answer.content.at_eof():
                    content += await answer.content.read(_MOST_OCTETS)
                if len(content) > _MOST_OCTETS:
                    raise NoAnswer("the platform's answer has no end", sure=False)
                return answer.status, content
        except aiohttp.ClientConnectorError as error:
            raise NoAnswer(f"the platform cannot be reached: {error.os_error.strerror or 'no route'}") from None
        except (TimeoutError, aiohttp.ClientError) as error:
            raise NoAnswer(f"the platform does not answer: {type(error).__name__}", sure=False) from None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def parsed(status: int, content: bytes) -> Any:
    """The JSON of an answer. NoAnswer for anything else: whether the request was carried out is not known then."""
    if status >= 500:
        raise NoAnswer(f"the platform answers with HTTP {status}", sure=False)
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise NoAnswer(f"the platform's answer is not JSON (HTTP {status})", sure=False) from None
