"""Holds applications back: with the SIM, where the carrier slows it down, and a class that runs wild."""


class Shaper:
    """`guard`'s. Read only: `throttle`, (octets per second, burst octets) that applications are slowed to, or None;
    `holder`, None where the plan has no `burst`."""

    def __init__(self, guard, now):
        self._guard = guard
        self.throttle = self.holder = None
        if guard.config.plan.burst:
            from usageguard.holder import Holder

            self.holder = Holder(guard, now)

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
