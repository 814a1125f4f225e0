"""What the network's time (NITZ) and an NTP server's are worth together. Loaded where upstream has an `ntp_host`.

Neither is authenticated. If they agree twice, `APART`, their time is used where it is in the period that is charged or
the next one, or where no period was known before; another one only if they have agreed on it for `PATIENCE`. From then
on the ticks carry it on, as they do with the server's time, which is still preferred.
"""

from usageguard.clock import PATIENCE, RELEASED_DAY, TOLERANCE, Clock, gap, plus
from usageguard.compat import const

APART = const(600)  # seconds at least between two agreements

_RECENT = const(86_400)  # seconds: a bound that is no older needs no NTP in a boot
_SHORT = const(3600)  # seconds that is no longer than this


class CorroboratedClock(Clock):
    """A Clock that also takes an NTP server's time."""

    def __init__(self, cycle, floor, cycle_id, now):
        self._heard = [None, None]  # the instant of the boot by NITZ and by NTP, while no agreement has used it
        self._agreed = None  # the same, by both
        self._agreed_at = 0  # uptime
        super().__init__(cycle, floor, cycle_id, now)

    def ntp(self, day, second, now):
        """An NTP server's time."""
        self._hear(1, (day, second), now)

    def wants_ntp(self, now):
        """Whether an NTP server's time could decide something: which period it is, or whether the server is right."""
        if self._claim is not None:
            return True
        guess = None if self.sure else self.now(now)
        if guess is None:
            return False
        if self._uptime >= _SHORT or self._cycle_at(guess) != self.cycle_id:
            return True
        return gap(guess, self._bound()) >= _RECENT

    def _consider(self, who, boot):
        if self.source != "corroborated":
            super()._consider(who, boot)
        self._heard[who] = boot
        other = self._heard[1 - who]
        if other is None or abs(gap(boot, other)) > TOLERANCE:
            return
        # They agree. The next agreement takes two new answers.
        self._heard[0] = self._heard[1] = None
        boot = min(boot, other)
        if self._agreed is None or abs(gap(boot, self._agreed)) > TOLERANCE:
            self._agreed = boot
            self._agreed_at = self._uptime
        elif self._uptime - self._agreed_at >= APART:
            self._corroborated(boot, self._uptime - self._agreed_at >= PATIENCE)

    def _corroborated(self, boot, patient):
        """They have agreed twice; `patient`: for so long that they are believed whatever they say."""
        if self.sure and not patient:
            return  # the ticks carry on what was used
        self._guess = boot
        self.source = "corroborated"
        cycle_id = self._cycle_at(plus(boot, self._uptime))
        known = self.cycle_id
        unknown = known <= self._cycle_at((RELEASED_DAY, PATIENCE))  # ticks alone may have brought it there
        near = unknown or cycle_id in (known, self._cycle.next_id(known))
        if near or patient:
            self._use(boot, not near)
