"""Which time it is for certain, and which billing period that makes it.

The clock keeps a lower bound of UTC: the latest of the release date and the last trusted time that was stored, carried
on by ticks. Trusted is the answer of the own server to a question of this boot (`server`): it sets the bound to that
time. A period is charged once the bound has passed its start by `DELAY`. A boot without any answer therefore goes on
charging the period before, and says so (`source`), until that much time has passed.

The server's clock can be wrong too: its host has lost its battery, or has no NTP. An answer is doubtful

- after the first one of a boot, if it contradicts the ticks since the last answer that was used;
- before that, if it is earlier than the bound or the period that is charged, or further from the network's time than a
  wrong time zone explains.

A doubtful answer is used only if NITZ or NTP confirms it, or the server repeats it for `PATIENCE`. If the bound then
turns out to have been too late, the bound and the period go back, and `store.reopen` keeps what was used.

Network time is routinely wrong, by decades (unset clocks) or hours (time zones). Alone it only gives a doubt; what NITZ
and NTP are worth together, `usageguard.corroborated` says.

Instants are (day, second): days since 2000-01-01, and seconds of that day, in UTC.
"""

from usageguard.compat import const
from usageguard.core.cycle import DAY_SECONDS, PHASE_SILENT, SILENT
from usageguard.core.ticks import ticks_diff

RELEASED_DAY = const(9132)  # 2025-01-01: no later than the day on which this firmware first ran
DELAY = const(300)  # seconds after a boundary at which the new period is charged
TOLERANCE = const(300)  # seconds by which agreeing clocks may differ
PATIENCE = const(172_800)  # seconds for which the server has to repeat a doubtful time before it is used
ZONES = const(93_600)  # 26 hours: no two time zones are further apart (UTC-12 to UTC+14)

_LONGEST = const(259_200)  # seconds: in milliseconds inside the horizon of the ticks
_SANE_DAYS = const(7305)  # 20 years after the release no device runs it
_FAR_DAYS = const(10_000)  # beyond it a gap's seconds would not be a small int


def plus(instant, seconds):
    day, second = instant
    second += seconds
    return day + second // DAY_SECONDS, second % DAY_SECONDS


def gap(a, b):
    """Seconds from instant `b` to `a`, clamped to some 27 years."""
    days = min(max(a[0] - b[0], -_FAR_DAYS), _FAR_DAYS)
    return days * DAY_SECONDS + a[1] - b[1]


class Clock:
    """Time for a device whose plan has the periods `cycle` (core.cycle.BillingCycle).

    `floor` is the instant that `floor()` last gave before the reset and that was stored, or any earlier one;
    `cycle_id` the period charged then. `now` is always `hal.ticks_ms()`: call `step` at least every 2**29 ms.

    Read only: `cycle_id`, the period to charge; `jumped`, whether a time that was doubtful at first has set it;
    `trusted`, whether a server time was used since the boot; `doubted`, how many were not; `source` of `now`: "server",
    "corroborated" (NITZ and NTP agreed twice), "network" (either) or "none".
    """

    def __init__(self, cycle, floor, cycle_id, now):
        self._cycle = cycle
        self._ticks = now
        self._ms = 0
        self._uptime = 0  # seconds
        self._boot = self._least = max(floor, (RELEASED_DAY, 0))  # the bound when uptime was 0; ever
        self._network = [None, None]  # the instant of the boot by NITZ and by NTP, whatever they said last
        self._guess = None  # the same, by the source that `now` uses
        self._claim = None  # the same, by the server's doubtful answers, and the uptime of the first one that said so
        self._claimed_at = 0
        self._synced_at = 0  # uptime of the last server time that was used
        self.slack = 0  # seconds by which the time may be later than the bound although that is sure
        self.sure = False  # the bound is a time that was used in this boot: the server's, or that of NITZ and NTP
        self.source = "none"
        self.trusted = self.jumped = False
        self.doubted = 0
        self.cycle_id = cycle_id
        self._reckon()

    def woke(self, instant, slack, sure, now):
        """The device has slept deeply: it is this instant, or by up to `slack` seconds later if it was `sure` which one
        it was before."""
        self._boot = self._least = instant
        self.slack = slack
        self.sure = sure
        self.recheck(now)

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
        return self.sure and not self._silent and self._uptime < self._switch_at - DELAY - TOLERANCE - self.slack

    def next_ms(self, now):
        """Milliseconds, 3 days at the most, until `within_cycle` or `cycle_id` may change by themselves."""
        self._carry(now)
        left = self._switch_at - DELAY - TOLERANCE - self.slack - self._uptime
        if left <= 0:
            left = max(1, self._switch_at - self._uptime)
        return min(left, _LONGEST) * 1000

    def now(self, now):
        """The instant by the best source there is, or None."""
        self._carry(now)
        if self.trusted:
            return self._bound()
        return self._guess and plus(self._guess, self._uptime)

    def recheck(self, now):
        """The periods are not what they were: finds the present one again."""
        self._carry(now)
        self._reckon()

    def floor(self, now):
        """The instant that has passed for certain: to be stored. It never goes back."""
        self._carry(now)
        return self._bound()

    def server(self, day, second, now):
        """The server's time, authenticated and in answer to a question of this boot; False where it is not used."""
        self._carry(now)
        boot = plus((day, second), -self._uptime)
        sane = 0 <= second < DAY_SECONDS and RELEASED_DAY <= day <= RELEASED_DAY + _SANE_DAYS
        doubtful = not sane or self._contradicts(boot)
        if doubtful and not (sane and self._confirmed(boot)):
            self.doubted += 1
            return False
        self._synced_at = self._uptime
        self.trusted = True
        self.source = "server"
        self._use(boot, doubtful)
        return True

    def _use(self, boot, doubtful):
        """The boot was at the instant `boot`. If that was doubtful, the bound and the period may have been too late."""
        bound = self._bound()
        instant = plus(boot, self._uptime)
        self._boot = boot
        self._claim = None
        self.slack = 0
        self.sure = True
        self.jumped = doubtful
        if doubtful and gap(instant, bound) < -TOLERANCE:
            self._least = instant
        else:
            self._least = bound
        if doubtful and self.cycle_id > SILENT and SILENT < self._cycle_at(instant) < self.cycle_id:
            self.cycle_id = 0  # was begun too early
        self._reckon()

    def _contradicts(self, boot):
        """Whether a server time that puts the boot at `boot` contradicts what this clock knows."""
        if self.trusted:
            # A crystal is off by 40 ppm at most; 1/1024 leaves room for sleep on an RC oscillator.
            return abs(gap(boot, self._boot)) > TOLERANCE + ((self._uptime - self._synced_at) >> 10)
        instant = plus(boot, self._uptime)
        if gap(instant, self._bound()) < -TOLERANCE:
            return True
        if self.cycle_id > SILENT and gap(instant, self._cycle.bounds(self.cycle_id)[0]) < -TOLERANCE:
            return True
        return any(other and abs(gap(boot, other)) > ZONES for other in self._network)

    def _confirmed(self, boot):
        """Whether NITZ or NTP confirms a doubtful server time, or the server has repeated it for long enough."""
        for other in self._network:
            if other and abs(gap(boot, other)) <= TOLERANCE:
                return True
        if self._claim is None or abs(gap(boot, self._claim)) > TOLERANCE:
            self._claim = boot
            self._claimed_at = self._uptime
        return self._uptime - self._claimed_at >= PATIENCE

    def network(self, day, second, now):
        """The network's time (NITZ)."""
        self._hear(0, (day, second), now)

    def _carry(self, now):
        ms = self._ms + ticks_diff(now, self._ticks)
        self._ticks = now
        self._uptime += ms // 1000
        self._ms = ms % 1000

    def _bound(self):
        return max(self._least, plus(self._boot, self._uptime))

    def _cycle_at(self, instant):
        return self._cycle.cycle_id(*plus(instant, -DELAY))

    def _reckon(self):
        self.cycle_id = max(self.cycle_id, self._cycle_at(self._bound()))
        self._silent = self._cycle.phase(self.cycle_id) == PHASE_SILENT
        self._switch_at = gap(self._cycle.bounds(self.cycle_id)[1], self._boot) + DELAY

    def _hear(self, who, instant, now):
        self._carry(now)
        if not 0 <= instant[1] < DAY_SECONDS or not RELEASED_DAY <= instant[0] <= RELEASED_DAY + _SANE_DAYS:
            return
        boot = self._network[who] = plus(instant, -self._uptime)
        if not self.trusted and gap(instant, self._bound()) >= -TOLERANCE:
            self._consider(who, boot)

    def _consider(self, who, boot):
        """The boot was at the instant `boot`, says NITZ (`who` 0) or NTP (1)."""
        self._guess = boot
        self.source = "network"
