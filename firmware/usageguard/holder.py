"""Holds a class of traffic back that runs wild. Where the plan has `burst`."""

from usageguard.core.burst import Burst
from usageguard.core.ticks import ticks_add, ticks_diff


class Holder:
    """`guard`'s."""

    def __init__(self, guard, now):
        factor, floor, window_s, self._hold_s = guard.config.plan.burst
        self._guard = guard
        self._burst = guard.gate.burst = Burst(guard.config.classes, factor, floor, window_s)
        self._held_at = now
        self._window_at = ticks_add(now, window_s * 1000)

    def hold(self, now):
        """A class uses many times its usual rate: it is held, and reported."""
        guard = self._guard
        guard.gate.burst_found = False
        self._held_at = now
        guard.hal.event("burst", self._burst.passed)
        guard.obey(guard.account.hold(guard.policy.held | self._burst.passed))

    def roll(self, now):
        """Ends the burst guard's windows, and its holds; returns milliseconds until the next end of one."""
        guard = self._guard
        left = ticks_diff(self._window_at, now)
        if left <= 0:
            self._burst.roll(guard.policy.held)
            left = self._burst.window_s * 1000
            self._window_at = ticks_add(now, left)
        if guard.policy.held:
            hold = self._hold_s * 1000 - ticks_diff(now, self._held_at)
            if hold > 0:
                return min(left, hold)
            guard.obey(guard.account.hold(0))
        return left
