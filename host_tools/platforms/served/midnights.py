"""What a carrier's SIMs had used at each midnight: the figures of past days, which the carrier itself does not keep."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone

from host_tools.sim.carrier.carrier import Carrier

CHINA = timezone(timedelta(hours=8))


class Midnights:
    """Notes at 00:00 in China what the carrier has seen of each SIM's cycle. Made before time goes on."""

    def __init__(self, carrier: Carrier, sims: list[str]) -> None:
        self._carrier = carrier
        self._sims = sims
        self._noted: dict[tuple[str, date], tuple[str, int]] = {}  # (SIM, the day that ended): its cycle, octets in it
        self._next()

    def today(self) -> date:
        return self._carrier.clock.utc().astimezone(CHINA).date()

    def _next(self) -> None:
        clock = self._carrier.clock
        midnight = datetime.combine(self.today() + timedelta(days=1), time(), CHINA)
        clock.at(clock.us_of(midnight) - 1, self._note)  # in the cycle that ends

    def _note(self) -> None:
        day = self.today()
        for sim in self._sims:
            self._noted[sim, day] = self._carrier.news(sim).cycle_label, self._carrier.seen(sim)
        self._carrier.clock.after(1, self._next)

    def until(self, sim: str, day: date) -> int:
        """Octets of the day's cycle up to its end; 0 for a day that was not seen."""
        return self._noted.get((sim, day), ("", 0))[1]

    def of(self, sim: str, day: date) -> int:
        """Octets of one day."""
        cycle, octets = self._noted.get((sim, day), ("", 0))
        before, earlier = self._noted.get((sim, day - timedelta(days=1)), ("", 0))
        return octets - earlier if cycle == before else octets
