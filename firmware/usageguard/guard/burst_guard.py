"""Holds a class of traffic that suddenly uses many times its usual rate. Where the plan has `burst`."""

from usageguard.core.burst import Burst
from usageguard.core.ticks import ticks_add, ticks_diff


class BurstGuard:
    """Holds classes for `plan.burst.hold_s` seconds. `obey` carries out the policy's actions."""

    def __init__(self, hal, config, policy, account, admission, obey, now):
        self._terms = terms = config.plan.burst
        self._burst = admission.burst = Burst(config.classes, terms.factor, terms.floor_octets, terms.window_s)
        self._hal = hal
        self._policy = policy
        self._account = account
        self._obey = obey
        self._held_at = now
        self._window_at = ticks_add(now, terms.window_s * 1000)

    def hold(self, now):
        """Holds the classes that have passed their limits, and reports it."""
        passed = self._burst.passed
        self._held_at = now
        self._hal.event("burst", passed)
        self._obey(self._account.hold(self._policy.held | passed))

    def step(self, now):
        """Ends windows and holds that are over; returns milliseconds until the next end of one."""
        policy, burst = self._policy, self._burst
        left = ticks_diff(self._window_at, now)
        if left <= 0:
            burst.roll(policy.held)
            left = burst.window_s * 1000
            self._window_at = ticks_add(now, left)
        if policy.held:
            hold = self._terms.hold_s * 1000 - ticks_diff(now, self._held_at)
            if hold > 0:
                return min(left, hold)
            self._obey(self._account.hold(0))
        return left
