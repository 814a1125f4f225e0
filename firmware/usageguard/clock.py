"""What time it is for certain, and which billing period that makes it.

The clock runs a lower bound of UTC: the latest of the release's date and the last trusted time that was
stored, carried on by ticks. Trusted is what the own server says in answer to a fresh question of ours
(`server`); it sets the bound to the time. A period is charged once the bound has passed its start by `DELAY`.
So a boot that was told nothing goes on charging the period before, and says so (`source`), until that much
time has passed.

What networks say is routinely wrong, by decades (unset clocks) or hours (time zones). NITZ and NTP may
together move on by one period, never by a second one before the bound has followed, if they agree twice.

Instants are (day, second): days since 2000-01-01, and seconds of that day, in UTC.
"""

from usageguard.compat import const
from usageguard.core.cycle import DAY_SECONDS, PHASE_SILENT
from usageguard.core.ticks import ticks_diff

RELEASED_DAY = const(9132)  # 2025-01-01: no later than the day on which this firmware first ran
DELAY = const(300)  # seconds after a boundary at which the new period is charged
TOLERANCE = const(300)  # seconds by which agreeing clocks may differ
APART = const(600)  # seconds at least between two agreements

_LONGEST = const(259_200)  # seconds: in milliseconds inside the horizon of the ticks
_SANE_DAYS = const(7305)  # 20 years after the release no device runs it
_FAR_DAYS = const(10_000)  # beyond it a gap's seconds would not be a small int


def _plus(instant, seconds):
    day, second = instant
    second += seconds
    return day + second // DAY_SECONDS, second % DAY_SECONDS


def _gap(a, b):
    """Seconds from instant `b` to `a`, clamped to some 27 years."""
    days = min(max(a[0] - b[0], -_FAR_DAYS), _FAR_DAYS)
    return days * DAY_SECONDS + a[1] - b[1]


class Clock:
    """Time for a device whose plan has the periods `cycle` (core.cycle.Cycle).

    `floor` is the instant that `floor()` last gave before the reset and that was stored, or any earlier one;
    `cycle_id` the period charged then. `now` is always `hal.ticks_ms()`: call `step` at least every 2**29 ms.

    Read only: `cycle_id`, the period to charge, which only increases; `trusted`, whether the server has
    spoken since the boot; `source` of `now`: "server", "corroborated" (NITZ and NTP agreed twice), "network"
    (either) or "none".
    """

    def __init__(self, cycle, floor, cycle_id, now):
        self._cycle = cycle
        self._ticks = now
        self._ms = 0
        self._uptime = 0  # seconds
        self._boot = self._least = max(floor, (RELEASED_DAY, 0))  # the bound when uptime was 0; ever
        self._heard = [None, None]  # when we booted, by NITZ and by NTP
        self._guess = None  # the same, by whom `now` believes
        self._agreed = None  # the same, by both
        self._agreed_at = 0
        self.source = "none"
        self.trusted = False
        self.cycle_id = cycle_id
        self._reckon()

    def step(self, now):
        """Carries time on, into the next period if it is due. Allocates nothing but then."""
        self._carry(now)
        if self._uptime >= self._switch_at:
            self._reckon()

    def within_cycle(self, now):
        """Whether the period charged has for certain not ended. HOT.

        Of a silent period nobody here knows: the first use ends it, and what is used then belongs to the next.
        """
        self._carry(now)
        return self.trusted and not self._silent and self._uptime < self._switch_at - DELAY - TOLERANCE

    def next_ms(self, now):
        """Milliseconds, 3 days at the most, until `within_cycle` or `cycle_id` may change by themselves."""
        self._carry(now)
        left = self._switch_at - DELAY - TOLERANCE - self._uptime
        if left <= 0:
            left = max(1, self._switch_at - self._uptime)
        return min(left, _LONGEST) * 1000

    def now(self, now):
        """The instant by the best source there is, or None."""
        self._carry(now)
        if self.trusted:
            return self._bound()
        return self._guess and _plus(self._guess, self._uptime)

    def suspects(self, now):
        """Whether the network's time, which proves nothing, lies in a later period: worth asking the server."""
        guess = None if self.trusted else self.now(now)
        return guess is not None and self._cycle_at(guess) > self.cycle_id

    def recheck(self, now):
        """The periods are not what they were: finds the present one again."""
        self._carry(now)
        self._reckon()

    def floor(self, now):
        """The instant that has passed for certain: to be stored. It never goes back."""
        self._carry(now)
        return self._bound()

    def server(self, day, second, now):
        """The server's time, authenticated and in answer to a question of this boot."""
        self._carry(now)
        self._least = self._bound()
        self._boot = _plus((day, second), -self._uptime)
        self.trusted = True
        self.source = "server"
        self._reckon()

    def network(self, day, second, now):
        """The network's time (NITZ)."""
        self._hear(0, (day, second), now)

    def ntp(self, day, second, now):
        """An NTP server's time."""
        self._hear(1, (day, second), now)

    def _carry(self, now):
        ms = self._ms + ticks_diff(now, self._ticks)
        self._ticks = now
        self._uptime += ms // 1000
        self._ms = ms % 1000

    def _bound(self):
        return max(self._least, _plus(self._boot, self._uptime))

    def _cycle_at(self, instant):
        return self._cycle.cycle_id(*_plus(instant, -DELAY))

    def _reckon(self):
        self.cycle_id = max(self.cycle_id, self._cycle_at(self._bound()))
        self._silent = self._cycle.phase(self.cycle_id) == PHASE_SILENT
        self._switch_at = _gap(self._cycle.bounds(self.cycle_id)[1], self._boot) + DELAY

    def _hear(self, who, instant, now):
        self._carry(now)
        if (
            self.trusted
            or not 0 <= instant[1] < DAY_SECONDS
            or instant[0] > RELEASED_DAY + _SANE_DAYS
            or _gap(instant, self._bound()) < -TOLERANCE
        ):
            return
        boot = _plus(instant, -self._uptime)
        if self.source != "corroborated":
            self._guess = boot
            self.source = "network"
        self._heard[who] = boot
        other = self._heard[1 - who]
        if other is None or abs(_gap(boot, other)) > TOLERANCE:
            return
        # They agree. The next agreement takes two new answers.
        self._heard[0] = self._heard[1] = None
        boot = min(boot, other)
        if self._agreed is None or abs(_gap(boot, self._agreed)) > TOLERANCE:
            self._agreed = boot
            self._agreed_at = self._uptime
        elif self._uptime - self._agreed_at >= APART:
            self._guess = boot
            self.source = "corroborated"
            cycle_id = self._cycle_at(_plus(boot, self._uptime))
            if self.cycle_id < cycle_id == self._cycle.next_id(self._cycle_at(self._bound())):
                self.cycle_id = cycle_id
                self._reckon()
