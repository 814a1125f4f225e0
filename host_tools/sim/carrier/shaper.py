"""The carrier's rate limit of a bearer: a token bucket in each direction, with a queue that drops what does not fit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from host_tools.sim.clock import Clock, S, Timer
from host_tools.sim.network.packet import Packet


class Shaper:
    """One direction. `passed` gets the packets in the order in which they were offered.

    The bucket holds `burst_octets` and fills at the rate; a packet leaves when the bucket holds its length. The
    queue holds up to `queue_octets`; a packet that does not fit is dropped.
    """

    def __init__(self, clock: Clock, passed: Callable[[Packet], None], burst_octets: int, queue_octets: int) -> None:
        self.dropped = 0
        self._clock = clock
        self._passed = passed
        self._full = burst_octets * S  # in octets x us per s: exact for any rate
        self._level = self._full
        self._filled_us = clock.now_us
        self._rate: int | None = None
        self._queue: deque[Packet] = deque()
        self._queue_octets = queue_octets
        self._waiting_octets = 0
        self._timer: Timer | None = None

    def set_rate(self, octets_per_s: int | None) -> None:
        """Limits the direction to this rate; None lifts the limit and sends the queue."""
        self._fill()
        self._rate = octets_per_s
        self._drain()

    def offer(self, packet: Packet) -> None:
        """Passes, queues or drops a packet."""
        if self._rate is None:
            self._passed(packet)
        elif self._waiting_octets + packet.length > self._queue_octets:
            self.dropped += 1
        else:
            self._queue.append(packet)
            self._waiting_octets += packet.length
            if len(self._queue) == 1:
                self._drain()

    def clear(self) -> None:
        """Drops the queue, because the bearer has ended."""
        self._queue.clear()
        self._waiting_octets = 0
        self._cancel()

    def _fill(self) -> None:
        now = self._clock.now_us
        if self._rate is None:
            self._level = self._full
        else:
            self._level = min(self._full, self._level + (now - self._filled_us) * self._rate)
        self._filled_us = now

    def _drain(self) -> None:
        """Sends the packets that the bucket allows now, and sets a timer for the next."""
        self._cancel()
        self._fill()
        queue = self._queue
        while queue:
            packet = queue[0]
            if self._rate is not None:
                short = packet.length * S - self._level
                if short > 0:
                    self._timer = self._clock.after(-(-short // self._rate), self._drain)
                    return
                self._level -= packet.length * S
            queue.popleft()
            self._waiting_octets -= packet.length
            self._passed(packet)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
