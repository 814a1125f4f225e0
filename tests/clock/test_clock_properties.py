"""No schedule of wrong network times and power cuts gives a second quota; good server time withholds none."""

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.clock import DELAY
from usageguard.core.cycle import CalendarCycle
from usageguard.corroborated import CorroboratedClock

ALLOWANCE = 1000
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
ZONE = timezone(timedelta(hours=8))
STEP_S = 6 * 3600
OLDEST_ANSWER_S = 93  # MAX_TRANSMIT_WAIT, RFC 7252 section 4.8.2


def period(instant: datetime) -> int:
    """The carrier's period, by the standard library's calendar: the local day on which it begins."""
    return (instant.astimezone(ZONE).date().replace(day=1) - EPOCH.date()).days


def following(cycle_id: int) -> int:
    """The period after it."""
    first = (EPOCH.date() + timedelta(days=cycle_id + 31)).replace(day=1)
    return (first - EPOCH.date()).days


def pair(instant: datetime) -> tuple[int, int]:
    since = instant - EPOCH
    return since.days, since.seconds


class Device:
    """A device that spends whatever it may, what its ledger keeps over a reboot, and the true time."""

    def __init__(self, start: datetime, first_ticks: int, drift_ppm: int = 0) -> None:
        self.true = start
        self.drift_ppm = drift_ppm
        self.used = self.base = self.next_base = self.cycle_id = 0
        self.floor = self.stored_floor = (0, 0)
        self.spent: dict[int, int] = {}
        self.boot(first_ticks)

    def boot(self, ticks: int) -> None:
        self.ms = ticks * 1000
        self.clock = CorroboratedClock(CalendarCycle(1, 480), self.stored_floor, self.cycle_id, self.ticks())
        self.floor = self.clock.floor(self.ticks())
        self.guard()

    def ticks(self) -> int:
        return self.ms // 1000 % (1 << 30)

    def guard(self) -> None:
        """What the guard does at each step."""
        now = self.ticks()
        self.clock.step(now)
        floor = self.clock.floor(now)
        assert floor >= self.floor or self.clock.jumped, "the floor went back"
        self.floor = floor
        assert self.clock.cycle_id >= self.cycle_id or self.clock.jumped, "the period went back"
        if self.clock.cycle_id > self.cycle_id:
            self.base = self.next_base
            self.cycle_id = self.clock.cycle_id
            self.stored_floor = floor
        if self.clock.within_cycle(now):
            self.next_base = self.used

    def run(self, seconds: int) -> None:
        while seconds > 0:
            step = min(seconds, STEP_S)
            self.true += timedelta(seconds=step)
            self.ms += step * (1_000_000 + self.drift_ppm)
            seconds -= step
            self.guard()

    def run_to_boundary(self, offset: int) -> None:
        """Runs until `offset` seconds after the true boundary, of this month or the next."""
        local = self.true.astimezone(ZONE)
        first = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        for boundary in (first, (first + timedelta(days=32)).replace(day=1)):
            seconds = int((boundary + timedelta(seconds=offset) - self.true).total_seconds())
            if seconds > 0:
                return self.run(seconds)
        return None

    def spend(self, n: int) -> None:
        n = max(0, min(n, ALLOWANCE - (self.used - self.base)))
        self.used += n
        month = period(self.true)
        self.spent[month] = self.spent.get(month, 0) + n

    def do(self, event: tuple) -> None:
        kind, *args = event
        if kind == "run":
            self.run(args[0])
        elif kind == "boundary":
            self.run_to_boundary(args[0])
        elif kind == "spend":
            self.spend(args[0])
        elif kind == "off":
            self.true += timedelta(seconds=args[0])
            self.boot(args[1])
        elif kind == "store":
            self.stored_floor = self.floor
        elif kind == "server":  # its answer may be up to MAX_TRANSMIT_WAIT old
            self.clock.server(*pair(self.true - timedelta(seconds=args[0])), self.ticks())
        elif kind == "binge":  # all of the quota on either side of a boundary
            self.run_to_boundary(args[0])
            self.spend(ALLOWANCE)
            self.run(args[1])
            self.spend(ALLOWANCE)
        elif kind in ("network", "ntp"):
            getattr(self.clock, kind)(*pair(self.true + timedelta(seconds=args[0])), self.ticks())
        else:  # both say the same, twice, and it fits the ticks
            for _ in range(2):
                lie = pair(self.true + timedelta(seconds=args[0]))
                self.clock.network(*lie, self.ticks())
                self.clock.ntp(*lie, self.ticks())
                self.run(601)
        self.guard()


day = 86400
wrong = st.one_of(
    st.sampled_from([0, 8 * 3600, -8 * 3600]),
    st.sampled_from([day, 20 * day, 31 * day, 62 * day, 366 * day, 3650 * day, -9000 * day]),
    st.integers(-40 * day, 400 * day),
)
own = [
    st.tuples(st.just("run"), st.integers(1, 12 * day)),
    st.tuples(st.just("boundary"), st.integers(-700, 700)),
    st.tuples(st.just("spend"), st.integers(1, ALLOWANCE)),
    st.tuples(st.just("off"), st.integers(0, 40 * day), st.sampled_from([0, (1 << 29) - 9, (1 << 30) - 9])),
    st.just(("store",)),
    st.tuples(st.just("server"), st.integers(0, OLDEST_ANSWER_S)),
    st.tuples(st.just("binge"), st.integers(-700, 700), st.integers(0, 1400)),
]
start = st.datetimes(datetime(2026, 1, 1), datetime(2027, 12, 31), timezones=st.just(UTC)).map(
    lambda t: t.replace(microsecond=0)
)
ticks = st.integers(0, (1 << 30) - 1)


def schedule(*more):
    return st.lists(st.one_of(*own, *more), max_size=40)


one_liar = st.sampled_from(["network", "ntp"]).flatmap(lambda who: schedule(st.tuples(st.just(who), wrong)))
month = 28 * day


def agreed(error):
    """Two who tell the truth, or both an instant that is wrong by `error`."""
    told = st.sampled_from([0, error])
    return schedule(*(st.tuples(st.just(who), told) for who in ("network", "ntp", "both")))


errors = st.one_of(st.sampled_from([8 * 3600, -8 * 3600, day, 20 * day, month]), st.integers(-month, month))
liars = errors.flatmap(agreed)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(start, ticks, one_liar, st.integers(-25, 25))
def test_no_second_quota_by_one_liar(start, ticks, events, drift_ppm):
    device = Device(start, ticks, drift_ppm)
    for event in events:
        device.do(event)
        assert max(device.spent.values(), default=0) <= ALLOWANCE, "a second quota in one period"


@settings(derandomize=True, deadline=None, max_examples=300)
@given(start, ticks, one_liar)
def test_the_period_is_never_ahead_and_with_a_server_never_late(start, ticks, events):
    device = Device(start, ticks)
    for event in events:
        device.do(event)
        due = period(device.true - timedelta(seconds=DELAY))
        assert device.clock.cycle_id <= due, "ahead of the carrier"
        if device.clock.trusted:
            late = period(device.true - timedelta(seconds=DELAY + OLDEST_ANSWER_S + 1))
            assert device.clock.cycle_id >= late, "withheld although the time is known"


@settings(derandomize=True, deadline=None, max_examples=300)
@given(start, ticks, liars)
def test_two_liars_who_agree_gain_one_period(start, ticks, events):
    device = Device(start, ticks)
    for event in events:
        device.do(event)
        due = period(device.true - timedelta(seconds=DELAY))
        assert device.clock.cycle_id <= following(due), "two ahead of the carrier"
        assert max(device.spent.values(), default=0) <= 2 * ALLOWANCE, "a third quota"
