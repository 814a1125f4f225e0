"""When to try whether a carrier that stopped the SIM serves it again, at little cost of battery and plan."""

from usageguard.compat import const
from usageguard.core.ticks import ticks_diff

DAY_MS = 86400000
_LATE_MS = const(600000)  # the most by which one `now` may be older than the one before it


class Probe:
    """Exponential back-off with a daily budget. If attempts are made only when `due_ms` is 0, then:

    - in any 24 h there are `per_day` of them at the most;
    - of two without a success between them, the n-th pair is at least `first_ms` * 2**(n - 1) apart, or `longest_ms` if
      that is less; and no attempt comes within `first_ms` of another, nor of a success;
    - the next one is never more than 24 h away.

    1 <= `first_ms` <= `longest_ms` <= 24 h; `per_day` is 1 or more. ValueError outside. If no method is called for 6
    days, an attempt may be up to 24 h late, but never too early. Allocates nothing after construction.
    """

    def __init__(self, first_ms, longest_ms, per_day):
        if not 1 <= first_ms <= longest_ms <= DAY_MS or per_day < 1:
            raise ValueError("probe out of range")
        self._first = self.next_ms = first_ms
        self._longest = longest_ms
        self._gap = 0  # to keep from `_last` on
        self._last = 0  # ticks of the last attempt or success
        self._tries = [0] * per_day  # ticks of attempts: a ring of `_count`, the oldest one at `_oldest`
        self._oldest = self._count = 0

    def woke(self, now, slept_ms, due_ms, next_ms):
        """The device has slept for so long since the next attempt was due in `due_ms`, and the gap behind it was
        `next_ms`. The daily budget begins anew."""
        self._last = now
        self._gap = max(0, due_ms - slept_ms)
        self.next_ms = next_ms

    def due_ms(self, now):
        """Milliseconds until the next attempt may be made, 0..24 h; 0: now."""
        wait = self._gap - _age(self._last, now)
        if wait <= 0:
            wait = self._gap = 0
        while self._count:
            left = DAY_MS - _age(self._tries[self._oldest], now)
            if left > 0:
                return left if left > wait and self._count == len(self._tries) else wait
            self._forget_oldest()
        return wait

    def tried(self, now):
        """To be called for each attempt, due or not."""
        if self._count == len(self._tries):
            self._forget_oldest()
        self._tries[(self._oldest + self._count) % len(self._tries)] = self._last = now
        self._count += 1
        self._gap = self.next_ms
        self.next_ms = min(2 * self._gap, self._longest)

    def succeeded(self, now):
        """The carrier serves: resets the back-off, but not the daily budget."""
        self._last = now
        self._gap = self.next_ms = self._first

    def _forget_oldest(self):
        self._oldest = (self._oldest + 1) % len(self._tries)
        self._count -= 1


def _age(then, now):
    """Milliseconds from `then` to `now`, at most 24 h."""
    age = ticks_diff(now, then)
    if age < -_LATE_MS:  # the horizon has passed since
        return DAY_MS
    return min(max(age, 0), DAY_MS)
