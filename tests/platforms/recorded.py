"""Http that answers as documents of a platform say, by method and path, and keeps what was asked."""

import json
from datetime import UTC, datetime, timedelta

from host_tools.platforms.changes import ChangeTimes
from host_tools.platforms.secret import Secret
from host_tools.platforms.transport import Pace

KEY = "made-up-key"
NOW = datetime(2026, 3, 10, 1, 0, tzinfo=UTC)


class Recorded:
    """`answers` has, by "METHOD path" without the query, what is answered: octets, an object, a (status, …) of them, an
    exception, or a list of these for one request after the other."""

    def __init__(self, answers):
        self.answers = answers
        self.asked = []  # (method, path with its query, body, headers)

    async def send(self, method, url, body, headers):
        path = url.partition("//")[2].partition("/")[2]
        self.asked.append((method, path, json.loads(body) if body else None, headers))
        answer = self.answers[f"{method} {path.partition('?')[0]}"]
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, Exception):
            raise answer
        status, content = answer if isinstance(answer, tuple) else (200, answer)
        return status, content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode()

    async def close(self):
        pass


def client(kind, http, base="", **options):
    async def no_sleep(seconds):
        pass

    pace = Pace(1e6, None, lambda: 0.0, no_sleep)
    changes = ChangeTimes(timedelta(minutes=5))
    return kind(
        http, f"https://platform.invalid{base}", "user", Secret(KEY), pace, changes, lambda: NOW, no_sleep, **options
    )
