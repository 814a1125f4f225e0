"""Limits how often something may fail, such as a login, by who tries."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from time import monotonic

_MOST_KEYS = 10_000


class Limiter:
    """At most `most` failures in `span_s` seconds for each key. `clock` returns seconds."""

    def __init__(self, most: int, span_s: float, clock: Callable[[], float] = monotonic) -> None:
        self._most = most
        self._span_s = span_s
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, key: str) -> float:
        """How long `key` has to wait; 0 if it may try now."""
        failures = self._failures.get(key)
        if failures is None or len(failures) < self._most:
            return 0.0
        return max(0.0, failures[0] + self._span_s - self._clock())

    def failed(self, key: str) -> None:
        failures = self._failures.setdefault(key, deque(maxlen=self._most))
        failures.append(self._clock())
        self._failures.move_to_end(key)
        while len(self._failures) > _MOST_KEYS:
            self._failures.popitem(last=False)
