"""Holds applications back: with the SIM, where the carrier slows it down, and a class that runs wild."""

from usageguard.core.ticks import ticks_add, ticks_diff


class Shaper:
    """`guard`'s. Read only: `throttle`, (octets per second, burst octets) that applications are slowed to, or None."""

    def __init__(self, guard, now):
        self._guard = guard
        self.throttle = None
        self._held_at = self._window_at = now
        if guard.config.plan.burst:
            from usageguard.core.burst import Burst

            factor, floor, window_s, _ = guard.config.plan.burst
            guard.gate.burst = Burst(guard.config.classes, factor, floor, window_s)
            self._window_at = ticks_add(now, window_s * 1000)

    def slowed_ms(self):
        """Milliseconds until applications may send, on a SIM that is slowed down; else 0."""
        bucket = self._guard.gate.bucket
        return bucket.wait_ms(self._guard.hal.ticks_ms()) if bucket is not None else 0

    def pause(self, now):
        """Has the modem hold back what applications send and read; returns milliseconds until it need not. HOT."""
        guard = self._guard
        bucket = guard.gate.bucket
        slow = bucket.wait_ms(now) if bucket is not None else 0
        if guard.modem.paused != (slow > 0):
            guard.modem.paused = slow > 0
            guard.modem.poked = guard.work = True
        return slow

    def follow(self):
        """A token bucket stands between applications and a SIM that the carrier slows down."""
        guard = self._guard
        throttle = guard.account.throttle()
        if throttle != self.throttle:
            self.throttle = throttle
            guard.gate.bucket = None
            if throttle and not guard.policy.observe:
                from usageguard.core.bucket import Bucket

                guard.gate.bucket = Bucket(*throttle)
            guard.work = True

    def hold(self, now):
        """A class uses many times its usual rate: it is held, and reported."""
        guard = self._guard
        burst = guard.gate.burst
        guard.gate.burst_found = False
        self._held_at = now
        guard.hal.event("burst", burst.passed)
        guard.obey(guard.account.hold(guard.policy.held | burst.passed))

    def roll(self, now):
        """Ends the burst guard's windows, and its holds; returns milliseconds until the next end of one."""
        guard = self._guard
        burst = guard.gate.burst
        left = ticks_diff(self._window_at, now)
        if left <= 0:
            burst.roll(guard.policy.held)
            left = burst.window_s * 1000
            self._window_at = ticks_add(now, left)
        if guard.policy.held:
            hold = guard.config.plan.burst[3] * 1000 - ticks_diff(now, self._held_at)
            if hold > 0:
                return min(left, hold)
            guard.obey(guard.account.hold(0))
        return left
