"""No schedule of bad clocks gives a second quota, and a good one never withholds it: clock, calendar's rule, ledger.

The device here is the real Clock over the real Ledger on a simulated flash, in any zone, with months from any day or
days of any number. The carrier's periods are the standard library's.
"""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from usageguard.clock import DELAY, PATIENCE, RELEASED_DAY
from usageguard.core.cycle import CalendarCycle
from usageguard.core.days import DayCycle
from usageguard.core.lifecycle import Lifecycle
from usageguard.corroborated import CorroboratedClock
from usageguard.store.ledger import Ledger
from usageguard.store.reopen import reopen

from tests.store.memory import Blocks, Hal

ALLOWANCE = 5_000
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
DAY = 86_400
OLDEST_ANSWER_S = 93  # MAX_TRANSMIT_WAIT, RFC 7252 section 4.8.2
LONGEST_STEP_S = 6 * 3600
WRAP = 1 << 30
# Unset clocks of modems and NTP clients: year, month, day (u-blox, SIMCom, EigenComm …)
DEFAULTS = ((1980, 1, 6), (1970, 1, 1), (2004, 1, 1), (2080, 1, 6), (1939, 1, 1), (2036, 2, 7), (2000, 1, 1))


class Monthly:
    """The carrier's periods from a day of the month, in a shorter month from its last day."""

    def __init__(self, start_day, offset_min):
        self.start_day = start_day
        self.zone = timezone(timedelta(minutes=offset_min))
        self.cycle = CalendarCycle(start_day, offset_min)

    def _begin(self, year, month):
        year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
        last = (date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
        return date(year, month, min(self.start_day, last))

    def id(self, instant):
        local = instant.astimezone(self.zone).date()
        begin = self._begin(local.year, local.month)
        if local < begin:
            begin = self._begin(local.year, local.month - 1)
        return (begin - EPOCH.date()).days

    def after(self, number):
        begin = EPOCH.date() + timedelta(days=number)
        return self.id(datetime.combine(begin + timedelta(days=33 - begin.day), datetime.min.time(), self.zone)) if (
            self.start_day == 1
        ) else (self._begin(begin.year, begin.month + 1) - EPOCH.date()).days  # fmt: skip


class Rolling:
    """The carrier's periods of so many days since a day."""

    def __init__(self, days, activated, offset_min):
        self.days = days
        self.first = (activated - EPOCH.date()).days
        self.zone = timezone(timedelta(minutes=offset_min))
        self.cycle = DayCycle(days, self.first, offset_min)

    def id(self, instant):
        local = (instant.astimezone(self.zone).date() - EPOCH.date()).days
        return max(self.first, self.first + (local - self.first) // self.days * self.days)

    def after(self, number):
        return number + self.days


def pair(instant):
    since = instant - EPOCH
    return since.days, since.seconds


class Device:
    """Spends whatever it may. What it keeps over a reset is its ledger, on a flash, and nothing else."""

    def __init__(self, plan, start, ticks):
        self.plan, self.true = plan, start
        self.flash, self.hal = Blocks(), Hal()
        self.spent = {}
        self.told_s = None  # seconds since the server was heard in this boot, with no reset since
        self.floor = (0, 0)
        self.period = 0
        self.boot(ticks)

    def boot(self, ticks, cause=1):
        self.hal.cause = cause
        self.ms = ticks
        self.told_s = None
        self.ledger = ledger = Ledger(self.hal, self.flash)
        before = getattr(self, "recovered_used", 0)
        ledger.open()
        assert ledger.rated.value() >= before, "the ledger gave something back"
        floor = (ledger.floor_day, ledger.floor_second)
        self.clock = CorroboratedClock(self.plan.cycle, floor, ledger.cycle_id, self.ticks())
        self.floor = (0, 0)
        self.guard()

    def ticks(self):
        return self.ms % WRAP

    @property
    def used(self):
        return self.ledger.rated.value() - self.ledger.rated_base.value()

    def guard(self):
        """What the guard does at each step."""
        now, clock, ledger = self.ticks(), self.clock, self.ledger
        clock.step(now)
        floor = clock.floor(now)
        assert floor >= self.floor or clock.jumped, "the time that has passed for certain went back"
        self.floor = floor
        assert clock.cycle_id >= max(ledger.cycle_id, self.period) or clock.jumped, "the period went back"
        if clock.cycle_id != ledger.cycle_id:
            ledger.floor_day, ledger.floor_second = floor
            if clock.cycle_id > ledger.cycle_id:
                ledger.new_cycle(clock.cycle_id, clock.jumped)
                ledger.commit()
            else:
                reopen(ledger, clock.cycle_id)
                ledger.commit()
        elif clock.within_cycle(now):
            ledger.within_cycle()
        self.period = ledger.cycle_id

    def run(self, seconds):
        while seconds > 0:
            step = min(seconds, LONGEST_STEP_S)
            self.true += timedelta(seconds=step)
            self.ms += step * 1000
            seconds -= step
            if self.told_s is not None:
                self.told_s += step
            self.guard()

    def run_to_boundary(self, offset):
        """To `offset` seconds after the next boundary of the carrier's, if that is ahead."""
        number = self.plan.after(self.plan.id(self.true))
        begin = datetime.combine(EPOCH.date() + timedelta(days=number), datetime.min.time(), self.plan.zone)
        ahead = int((begin - self.true).total_seconds()) + offset
        if ahead > 0:
            self.run(ahead)

    def spend(self, n):
        n = max(0, min(n, ALLOWANCE - self.used))
        self.ledger.ensure(n, n)
        self.ledger.spend(n, n)
        self.recovered_used = self.ledger.rated.value()
        period = self.plan.id(self.true)
        self.spent[period] = self.spent.get(period, 0) + n

    def do(self, event):
        kind, *args = event
        if kind == "run":
            self.run(args[0])
        elif kind == "boundary":
            self.run_to_boundary(args[0])
        elif kind == "spend":
            self.spend(args[0])
        elif kind == "binge":  # all of the quota on either side of a boundary
            self.run_to_boundary(args[0])
            self.spend(ALLOWANCE)
            self.run(args[1])
            self.spend(ALLOWANCE)
        elif kind == "off":  # without power, for hours or years
            self.true += timedelta(seconds=args[0])
            self.boot(args[1])
        elif kind == "off over the boundary":
            self.run_to_boundary(-args[0])
            self.true += timedelta(seconds=args[0] + args[1])
            self.boot(0)
        elif kind == "reset":
            self.boot(args[0], 3)
        elif kind == "store":
            self.ledger.floor_day, self.ledger.floor_second = self.floor
            self.ledger.commit()
        elif kind == "server":  # its answer may be up to MAX_TRANSMIT_WAIT old
            if self.clock.server(*pair(self.true - timedelta(seconds=args[0])), self.ticks()):
                self.told_s = 0
        elif kind == "wrong server":
            self.clock.server(*pair(self.true + timedelta(seconds=args[0])), self.ticks())
        elif kind == "default":
            since = datetime(*args[1], tzinfo=UTC) - EPOCH
            getattr(self.clock, args[0])(since.days, since.seconds, self.ticks())
        else:  # the network's time, wrong by so much
            getattr(self.clock, kind)(*pair(self.true + timedelta(seconds=args[0])), self.ticks())
        self.guard()


WRONG = st.one_of(
    st.sampled_from([0, 8 * 3600, -8 * 3600, 900, -900, 3600]),  # no error, the zone twice or not at all, quarter hours
    st.sampled_from([DAY, 20 * DAY, 31 * DAY, 62 * DAY, 366 * DAY, 3650 * DAY, -9000 * DAY]),
    st.integers(-40 * DAY, 400 * DAY),
)
BOOT_TICKS = st.sampled_from([0, (1 << 29) - 9, WRAP - 9, WRAP - 1])
OWN = [
    st.tuples(st.just("run"), st.integers(1, 12 * DAY)),
    st.tuples(st.just("boundary"), st.integers(-700, 700)),
    st.tuples(st.just("spend"), st.integers(1, ALLOWANCE)),
    st.tuples(st.just("binge"), st.integers(-700, 700), st.integers(0, 1400)),
    st.tuples(st.just("off"), st.integers(0, 40 * DAY), BOOT_TICKS),
    st.tuples(st.just("off"), st.integers(1, 5).map(lambda years: years * 365 * DAY), BOOT_TICKS),
    st.tuples(st.just("off over the boundary"), st.integers(0, 3600), st.integers(0, 3600)),
    st.tuples(st.just("reset"), BOOT_TICKS),
    st.just(("store",)),
    st.tuples(st.just("server"), st.integers(0, OLDEST_ANSWER_S)),
]
LIAR = st.sampled_from(["network", "ntp"]).flatmap(
    lambda who: st.lists(
        st.one_of(
            *OWN,
            st.tuples(st.just(who), WRONG),
            st.tuples(st.just("default"), st.just(who), st.sampled_from(DEFAULTS)),
        ),
        max_size=30,
    )
)
OFFSETS = st.sampled_from([480, 0, -300, 345, 840, -720])
PLANS = st.one_of(
    st.builds(Monthly, st.sampled_from([1, 15, 27, 29, 30, 31]), OFFSETS),
    st.builds(Rolling, st.sampled_from([1, 7, 30]), st.just(date(2025, 12, 30)), OFFSETS),
)
STARTS = st.datetimes(datetime(2026, 1, 2), datetime(2027, 12, 31), timezones=st.just(UTC)).map(
    lambda t: t.replace(microsecond=0)
)
TICKS = st.integers(0, WRAP - 1)


@given(PLANS, STARTS, TICKS, LIAR)
@settings(derandomize=True, deadline=None, max_examples=250)
def test_no_schedule_of_bad_clocks_gives_a_second_quota(plan, start, ticks, events):
    device = Device(plan, start, ticks)
    for event in events:
        device.do(event)
        assert max(device.spent.values(), default=0) <= ALLOWANCE, "a second quota in one period"
        assert device.period <= plan.id(device.true - timedelta(seconds=DELAY)), "ahead of the carrier"


@given(PLANS, STARTS, TICKS, LIAR)
@settings(derandomize=True, deadline=None, max_examples=250)
def test_a_good_clock_never_withholds_a_quota_for_longer_than_stated(plan, start, ticks, events):
    device = Device(plan, start, ticks)
    for event in events:
        device.do(event)
        if device.told_s is not None:
            due = plan.id(device.true - timedelta(seconds=DELAY + OLDEST_ANSWER_S + 1))
            assert device.period >= due, "withheld although the time is known"


@given(PLANS, STARTS, TICKS, LIAR)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_a_good_server_is_used_after_two_days_whatever_the_network_says(plan, start, ticks, events):
    device = Device(plan, start, ticks)
    for event in events:
        device.do(event)
    assume(device.true.year < 2045)  # 20 years after its release no device runs
    for _ in range(PATIENCE // LONGEST_STEP_S + 1):
        device.do(("server", 0))
        device.run(LONGEST_STEP_S)
    device.do(("server", 0))
    assert device.period == plan.id(device.true - timedelta(seconds=DELAY))


CLOCK_ERRORS = st.one_of(
    st.sampled_from([40 * DAY, 3650 * DAY, -3650 * DAY, 31 * DAY, 8 * 3600]), st.integers(-400 * DAY, 4000 * DAY)
)
QUIET = [
    st.tuples(st.just("run"), st.integers(1, 5 * 3600)),
    st.tuples(st.just("spend"), st.integers(1, ALLOWANCE)),
    st.just(("store",)),
]


@given(PLANS, STARTS, TICKS, CLOCK_ERRORS, st.lists(st.one_of(*QUIET), max_size=9), st.lists(st.one_of(*OWN[:4])))
@settings(derandomize=True, deadline=None, max_examples=200)
def test_a_server_that_is_wrong_for_a_day_grants_nothing(plan, start, ticks, error, wrong, right):
    device = Device(plan, start, ticks)
    device.do(("server", 0))
    for event in wrong:  # two days at the most
        device.do(("wrong server", error))
        device.do(event)
        assert max(device.spent.values(), default=0) <= ALLOWANCE, "a second quota in one period"
    for event in right:
        device.do(("server", 0))
        device.do(event)
        assert max(device.spent.values(), default=0) <= ALLOWANCE, "a second quota in one period"
        due = plan.id(device.true - timedelta(seconds=DELAY))
        assert device.period == due, "the right time is used again"


@given(PLANS, STARTS, CLOCK_ERRORS, st.lists(st.one_of(*QUIET), max_size=9), st.booleans())
@settings(derandomize=True, deadline=None, max_examples=200)
def test_a_period_that_a_wrong_server_began_is_undone_and_nothing_is_forgotten(plan, start, error, events, confirmed):
    device = Device(plan, start, 0)
    device.do(("server", 0))
    device.do(("spend", 700))
    device.do(("store",))
    device.do(("reset", 0))
    for event in events:
        device.do(("wrong server", error))
        device.do(event)
    for _ in range(2 * PATIENCE // LONGEST_STEP_S):
        if confirmed:
            device.do(("network", 0))
        device.do(("server", 0))
        device.do(("run", LONGEST_STEP_S))
    device.do(("server", 0))
    assert device.period == plan.id(device.true - timedelta(seconds=DELAY))
    assert device.ledger.lost or device.used >= device.spent.get(device.period, 0), "counted too little"
    device.do(("spend", ALLOWANCE))
    begun_early = device.period == plan.id(start)
    assert not begun_early or device.ledger.lost or device.used >= device.spent[device.period]


@pytest.mark.parametrize("default", DEFAULTS)
@pytest.mark.parametrize("who", ["network", "ntp"])
def test_an_unset_clock_moves_nothing(default, who):
    device = Device(Monthly(1, 480), datetime(2026, 3, 5, tzinfo=UTC), 0)
    device.do(("server", 0))
    device.do(("store",))
    device.do(("reset", 0))
    before = device.period
    for _ in range(4):
        device.do(("default", who, default))
        device.do(("run", 700))
    assert device.period == before
    assert device.clock.floor(device.ticks()) <= pair(device.true), "believed for certain"


def test_years_without_power_end_with_the_first_word_of_the_server():
    device = Device(Monthly(27, 480), datetime(2026, 3, 5, tzinfo=UTC), 0)
    device.do(("server", 0))
    device.do(("spend", ALLOWANCE))
    device.do(("store",))
    device.do(("off", 3 * 365 * DAY, 0))
    assert device.used == ALLOWANCE, "nobody has said that time has passed"
    device.do(("server", 0))
    assert device.period == device.plan.id(device.true)
    assert device.used == 0


def test_a_boundary_crossed_inside_one_delta_counts_on_both_sides():
    device = Device(Monthly(1, 480), datetime(2026, 3, 31, 15, 0, tzinfo=UTC), 0)
    device.do(("server", 0))
    device.do(("run", 55 * 60))  # five minutes before the boundary: from here on nothing is certain
    device.do(("spend", 700))
    device.do(("run", 11 * 60))
    assert device.period == device.plan.id(device.true)
    assert device.used == 700
    assert device.spent[device.plan.id(device.true) - 31] == 700


def test_a_boot_without_time_charges_the_release_at_the_earliest():
    device = Device(Monthly(1, 480), datetime(2026, 3, 31, tzinfo=UTC), 0)
    assert device.period == device.plan.id(EPOCH + timedelta(days=RELEASED_DAY))


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("run"), st.integers(60, 2 * DAY)),
            st.tuples(st.just("spend"), st.integers(1, 900)),
            st.tuples(st.just("server"), st.just(0)),
            st.tuples(st.just("reset"), st.just(0)),
        ),
        max_size=20,
    ),
    st.integers(1, 20),
)
@settings(derandomize=True, deadline=None, max_examples=150)
def test_what_is_used_in_silence_counts_in_the_period_that_it_began(events, known_after):
    """The first use ends a silent period at the carrier; the device learns so later, and misses nothing of it."""
    cycle = Lifecycle(CalendarCycle(1, 480), None, (date(2027, 6, 1) - EPOCH.date()).days)

    class Silent:
        zone = timezone(timedelta(hours=8))

        def id(self, instant):
            return 0

    plan = Silent()
    plan.cycle = cycle
    device = Device(plan, datetime(2026, 3, 5, tzinfo=UTC), 0)
    for number, event in enumerate(events):
        if number == known_after:
            break
        device.do(event)
    assert device.clock.cycle_id == 2
    device.do(("server", 0))
    cycle.begin_billing(*pair(device.true))
    device.clock.recheck(device.ticks())
    device.guard()
    assert device.period > 2
    assert device.used >= sum(device.spent.values())
