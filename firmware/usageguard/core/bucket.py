"""A token bucket, for a SIM that the carrier slows down: the carrier drops what is faster, and bills it all the same.

Everything except `__init__` and `set_rate` is HOT: no allocation, no intermediate result beyond 31 bits.
"""

from usageguard.compat import const
from usageguard.core.ticks import ticks_diff

RATE_MAX = 16777216  # octets a second: 134 Mbit/s; a rate times 40 is a small int
BURST_MAX = 268435456
_DEBT_MAX = const(536870912)  # burst and debt together are a small int
_WAIT_MAX_S = const(500000)  # within the horizon of ticks
_LATE_MS = const(600000)  # the most by which one `now` may be older than the one before it


class ThrottleTerms:
    """The table `plan.throttle`: the arguments of Bucket once the allowance is used up."""

    def __init__(self, rate_octets_s, burst_octets):
        self.rate_octets_s = rate_octets_s
        self.burst_octets = burst_octets


class Bucket:
    """Holds at most `burst_octets` (1..2**28), gains `rate_octets_per_s` (1..2**24); full at first. ValueError outside.

    The gain is exact: thousandths of octets are kept between calls. The debt is 2**29 at most. A method has to be
    called once in 6 days at least (`step` is enough), or the gain since the last call may be too small; it is never too
    large.
    """

    def __init__(self, rate_octets_per_s, burst_octets):
        if not 1 <= burst_octets <= BURST_MAX:
            raise ValueError("burst out of range")
        self.level = self._burst = burst_octets
        self._part = 0  # thousandths of an octet above the level, 0..999
        self._last = None  # ticks up to which the gain is in the level
        self.set_rate(rate_octets_per_s)

    def set_rate(self, rate_octets_per_s):
        """Sets the rate from the last call of another method on; call `step` first."""
        if not 1 <= rate_octets_per_s <= RATE_MAX:
            raise ValueError("rate out of range")
        self._rate = rate_octets_per_s

    def step(self, now_ticks):
        """Adds the gain up to now."""
        if self._last is None:
            self._last = now_ticks
            return
        elapsed = ticks_diff(now_ticks, self._last)
        if -_LATE_MS < elapsed <= 0:
            return
        self._last = now_ticks
        if elapsed < 0:  # beyond the horizon of ticks: the time is not known
            return
        rate = self._rate
        room = self._burst - self.level
        seconds = elapsed // 1000
        if seconds <= room // rate:  # else it is full, and the product below might be too large
            elapsed %= 1000
            part = self._part + elapsed * (rate % 1000)
            room -= seconds * rate + elapsed * (rate // 1000) + part // 1000
            if room > 0:
                self.level = self._burst - room
                self._part = part % 1000
                return
        self.level = self._burst
        self._part = 0

    def take(self, n, now_ticks):
        """Debits `n` octets, 0..2**29 - 1, even if there are fewer: downlink has arrived before it is counted."""
        self.step(now_ticks)
        level = self.level - n
        self.level = level if level > -_DEBT_MAX else -_DEBT_MAX

    def wait_ms(self, now_ticks):
        """0 if something may be sent now, else milliseconds until then, 500,000,000 at most."""
        self.step(now_ticks)
        need = 1 - self.level
        if need <= 0:
            return 0
        rate = self._rate
        seconds = need // rate
        if seconds > _WAIT_MAX_S:
            return _WAIT_MAX_S * 1000
        # The rest times 1000 / rate, as times 40 and times 25: a long division whose parts are small ints.
        rest = need % rate * 40
        ms = rest // rate * 25
        rest = rest % rate * 25
        ms += rest // rate - (self._part - rest % rate) // rate
        return min(_WAIT_MAX_S * 1000, seconds * 1000 + ms)
