"""Decides when data may flow. Everything that affects the decision is in this file: the reasons to stop, and the
limits.

A stop is a set of reasons, each of which is raised and lifted by its own events. The table REASONS below is the whole
transition function (reasons, event) -> reasons; there are no other states. A device stays offline as long as any reason
holds, so that lifting one reason never lifts another: a recharge does not end a stop by the owner.
"""

from usageguard.core.octets import MAX, Octets

# Final-Unit-Action, RFC 8506 section 8.35. REDIRECT (1) has no meaning on a device.
TERMINATE = 0
RESTRICT_ACCESS = 2  # to the class that reports: an order that lifts the reason has to reach the device
# Our own, which do not end a session
THROTTLE = 16  # all may send, slowly
HOLD = 17  # some classes wait

# Events
QUOTA_REACHED = 1  # the local limit is reached, or less than one packet is left
RESERVE_REACHED = 2  # the same for the report limit
QUOTA_GRANTED = 3  # new limits (start, top-up): reasons that still hold are raised again
CARRIER_REFUSED = 4  # the network rejected or ended the data session
CARRIER_SERVES = 5  # the network gave a data session
NEW_CYCLE = 6  # a billing period began
LEDGER_FAILED = 7  # the ledger cannot be written, has lost counts, or is of a newer firmware
LEDGER_SET = 8  # the owner has confirmed or corrected the counts
STOP_ORDERED = 9  # the owner stops the data service
RESUME_ORDERED = 10  # the owner resumes it
CAP_REACHED = 11  # QUOTA_REACHED where usage beyond the plan is billed: at the cap of cost or of octets
TEST_REACHED = 12  # QUOTA_REACHED in the test period
SLOW_REACHED = 13  # the allowance is used where the carrier then slows the SIM down
BALANCE_SPENT = 14  # the cost of this period has used up the balance, or the balance is negative
RECHARGED = 15  # a new balance
PACKAGE_EXPIRED = 16  # the package has ended
WINDOW_CLOSED = 17  # it can no longer be renewed
RENEWED = 18  # it ends later than was known
SILENCE_BEGAN = 19  # the SIM is in its silent period: any use would end it
BILLING_BEGAN = 20  # the SIM is in its billing period
GRANT_SPENT = 21  # the grant is used up, or the whole pool is
GRANT_LAPSED = 22  # the Validity-Time or Quota-Holding-Time of the grant has ended
POOL_GRANTED = 23  # a new grant
SLOW_ORDERED = 24  # the owner slows the SIM down
SPEED_ORDERED = 25  # the owner ends that
BURST_FOUND = 26  # a class uses many times its usual amount
BURST_OVER = 27  # the hold is over, or the owner ended it
PACE_REACHED = 28  # the daily budget is used up
DAY_GRANTED = 29  # a new daily budget
DOUBT_FOUND = 30  # the modem's counter grew by what the device's own traffic cannot explain
DOUBT_SETTLED = 31  # the carrier's figure or the owner has said what of it was used
SIM_EXCHANGED = 32  # another SIM is in the modem than the one that is counted
SIM_ACCEPTED = 33  # the owner counts on with it, or the former one is back
HOLD_ORDERED = 34  # the owner holds classes
HOLD_ENDED = 35  # the owner ends that
DAY_REACHED = 36  # QUOTA_REACHED of the day
DAY_BEGAN = 37  # another day
CLASS_REACHED = 38  # a class has used up its own quota
CLASS_GRANTED = 39  # it may use as much again
ROAMING_REACHED = 40  # the SIM is, or may be, with another operator, where it has no octets left
ROAMING_GRANTED = 41  # it is at home, or has octets there again
EVENTS = range(QUOTA_REACHED, ROAMING_GRANTED + 1)

# One row per reason, in the order in which they are named to people. Bits are stored and reported: never reuse one.
# The order puts causes before effects: a carrier stops a SIM because of arrears, an expired package or a stop by hand,
# so these are above CARRIER_STOP, which only says that the carrier refuses, and the reasons of the device's own limits
# are below it. LEDGER_FAULT is first, as without counts no other reason can be trusted.  SURVIVES_CYCLE is True where
# the start of a period does not end the cause. A quota is new then, money and dates are not. CARRIER_STOP survives
# because the device cannot tell a quota cutoff, which ends with the period, from a stop that does not: only a data
# session proves that the carrier serves again.  RESTRICT_ACCESS is the answer wherever an order can lift the reason:
# reports have to go on, as orders come with their acknowledgements. TERMINATE is left for reasons where even a report
# does harm (no counts, a silent period that any use would end, the prices of another operator) or cannot be sent (the
# carrier refuses, the reserve is used up).
CODE, BIT, RAISED_BY, LIFTED_BY, SURVIVES_CYCLE, RESTRICTION = range(6)
REASONS = (
    ("LEDGER_FAULT", 0x000008, LEDGER_FAILED, LEDGER_SET, True, TERMINATE),
    ("SILENT_PERIOD", 0x001000, SILENCE_BEGAN, BILLING_BEGAN, True, TERMINATE),
    ("STOPPED_BY_HAND", 0x000010, STOP_ORDERED, RESUME_ORDERED, True, RESTRICT_ACCESS),
    ("SIM_CHANGED", 0x040000, SIM_EXCHANGED, SIM_ACCEPTED, True, RESTRICT_ACCESS),
    ("CANCELLED", 0x000080, WINDOW_CLOSED, RENEWED, True, RESTRICT_ACCESS),
    ("EXPIRED", 0x000040, PACKAGE_EXPIRED, RENEWED, True, RESTRICT_ACCESS),
    ("ARREARS", 0x000020, BALANCE_SPENT, RECHARGED, True, RESTRICT_ACCESS),
    ("POOL_EXHAUSTED", 0x000200, GRANT_SPENT, POOL_GRANTED, True, RESTRICT_ACCESS),
    ("GRANT_EXPIRED", 0x000400, GRANT_LAPSED, POOL_GRANTED, True, RESTRICT_ACCESS),
    ("ROAMING_EXHAUSTED", 0x400000, ROAMING_REACHED, ROAMING_GRANTED, True, TERMINATE),
    ("CARRIER_STOP", 0x000004, CARRIER_REFUSED, CARRIER_SERVES, True, TERMINATE),
    ("RESERVE_EXHAUSTED", 0x000002, RESERVE_REACHED, QUOTA_GRANTED, False, TERMINATE),
    ("COUNT_DOUBTED", 0x020000, DOUBT_FOUND, DOUBT_SETTLED, False, RESTRICT_ACCESS),
    ("COST_CAP", 0x000100, CAP_REACHED, QUOTA_GRANTED, False, RESTRICT_ACCESS),
    ("TEST_EXHAUSTED", 0x000800, TEST_REACHED, QUOTA_GRANTED, False, RESTRICT_ACCESS),
    ("QUOTA_EXHAUSTED", 0x000001, QUOTA_REACHED, QUOTA_GRANTED, False, RESTRICT_ACCESS),
    ("DAY_EXHAUSTED", 0x100000, DAY_REACHED, DAY_BEGAN, False, RESTRICT_ACCESS),
    ("THROTTLED_BY_HAND", 0x004000, SLOW_ORDERED, SPEED_ORDERED, True, THROTTLE),
    ("THROTTLED", 0x002000, SLOW_REACHED, QUOTA_GRANTED, False, THROTTLE),
    ("HELD_BY_HAND", 0x080000, HOLD_ORDERED, HOLD_ENDED, True, HOLD),
    ("BURST", 0x008000, BURST_FOUND, BURST_OVER, True, HOLD),
    ("CLASS_EXHAUSTED", 0x200000, CLASS_REACHED, CLASS_GRANTED, False, HOLD),
    ("PACED", 0x010000, PACE_REACHED, DAY_GRANTED, False, HOLD),
)
RESERVE_EXHAUSTED = 0x000002
CARRIER_STOP = 0x000004
ARREARS = 0x000020
EXPIRED = 0x000040
CANCELLED = 0x000080
GRANT_EXPIRED = 0x000400
SILENT_PERIOD = 0x001000
THROTTLED = 0x002000
THROTTLED_BY_HAND = 0x004000
BURST = 0x008000
PACED = 0x010000
HELD_BY_HAND = 0x080000
ROAMING_EXHAUSTED = 0x400000

# Limits in octets of the period, by what sets them; _REACHED is the event at a limit, _GRANTS that of a new one.
LOCAL, BALANCE, GRANT, PACE, RESERVE, SLOW = range(6)
_GRANTS = (QUOTA_GRANTED, RECHARGED, POOL_GRANTED, DAY_GRANTED, QUOTA_GRANTED, QUOTA_GRANTED)
_REACHED = (QUOTA_REACHED, BALANCE_SPENT, GRANT_SPENT, PACE_REACHED, RESERVE_REACHED, SLOW_REACHED)
_AT_CEILING = {"overage": CAP_REACHED, "test": TEST_REACHED}  # in place of QUOTA_REACHED

# What the methods of Policy ask their caller to do
SAVE = 0x01  # reasons or warnings changed: store them before anything else
REPORT = 0x02  # send a report
CLOSE = 0x04  # a class lost admission: end its sessions
RESUME = 0x08  # a class has admission again

VERDICTS = ("open", "warned", "shed", "throttled", "restricted", "terminated")
OPEN, WARNED, SHED, THROTTLED_LEVEL, RESTRICTED, TERMINATED = range(6)


def _bits(column, values):
    """Bitmap of the reasons with one of `values` in this column."""
    return sum(row[BIT] for row in REASONS if row[column] in values)


_TERMINATING = _bits(RESTRICTION, (TERMINATE,))
_RESTRICTING = _bits(RESTRICTION, (RESTRICT_ACCESS,))
_SLOWING = _bits(RESTRICTION, (THROTTLE,))
_KNOWN = _TERMINATING | _RESTRICTING | _SLOWING | _bits(RESTRICTION, (HOLD,))
_OF_LIMITS = _bits(RAISED_BY, _REACHED + (CAP_REACHED, TEST_REACHED, DAY_REACHED, CLASS_REACHED))

_CLOSED = SILENT_PERIOD | ROAMING_EXHAUSTED  # under which not even an exchange passes

_ZERO = Octets()
_NEVER = Octets(MAX)


def transition(reasons, event):
    """The bitmap of reasons after `event`, one of EVENTS. ValueError for any other."""
    if event not in EVENTS:
        raise ValueError("no such event")
    for _, bit, raised_by, lifted_by, survives, _ in REASONS:
        if event == raised_by:
            reasons |= bit
        elif event == lifted_by or (event == NEW_CYCLE and not survives):
            reasons &= ~bit
    return reasons


class Policy:
    """The reasons that hold, and what each class may still send, for one plan.

    `used` is always the Octets used in this period by the plan's rating. `classes` are the TrafficClasses; `admits`
    takes their index. With `observe` reasons are found and reported as usual, and nothing is held back.

    Read only: `reasons` and `warned` (bitmaps, to be stored: 24 and 16 bits), `shed` (bitmap of classes past
    their limit), `held` (bitmap of classes held by the burst guard), `kept` (by the owner), `open` (bitmap of classes
    that may send), `ordinary` (of those that may be held), `level` (index of the verdict), `next_mark` (Octets at which
    `cross` is due), `exchange` (see allow_exchange; None without).

    `room`: rated octets up to which each class of `open` may send, and `cross` is not due. Whoever spends takes them
    from it, and calls `past_mark` where they are more.
    """

    def __init__(self, plan, classes, observe=False):
        self.reasons = self.warned = self.shed = self.room = 0
        self.held = self.kept = 0
        self.exchange = None
        self.level = OPEN
        self.next_mark = Octets()
        self.observe = observe
        self._classes = classes
        self._limits = [Octets(MAX) for _ in _GRANTS]
        self._reached = list(_REACHED)
        self._all = (1 << len(classes)) - 1
        self._reserve = sum(1 << i for i, c in enumerate(classes) if c.uses_reserve)
        self.ordinary = self._all & ~self._reserve
        self._paced = sum(1 << i for i, c in enumerate(classes) if c.paced)
        self.open = self._all
        self._least = [Octets(MAX) for _ in classes]
        # The limit of each class, None for a class that may not send.
        self._admit = list(self._least)
        self.set_plan(plan)

    def set_plan(self, plan):
        """Sets the limits of `plan`, except BALANCE, GRANT and PACE; call `cross` after it."""
        self._plan = plan
        self._warn_marks = [Octets(min(mark, MAX)) for mark in plan.warn_marks]
        # The class that uses the reserve has a limit of its own, RESERVE.
        self._sheds = [_NEVER if c.uses_reserve else Octets(plan.limit(c)) for c in self._classes]
        self._reached[LOCAL] = _AT_CEILING.get(plan.exhaustion, QUOTA_REACHED)
        self._limits[LOCAL].set(Octets(plan.local_limit))
        self._limits[RESERVE].set(Octets(plan.report_limit))
        self._limits[SLOW].set(Octets(plan.slow_limit))
        self._find_least()
        self.next_mark.set(_ZERO)
        self.room = 0

    def admits(self, index, used, cost):
        """Whether class `index` may now spend `cost` rated octets, 0..2**29. Allocates nothing."""
        limit = self._admit[index]
        if limit is None:
            return False
        hi = limit.hi - used.hi
        return hi > 32 or (hi >= -32 and (hi << 24) + limit.lo - used.lo >= cost)

    def past_mark(self, used):
        """Whether `cross` is due; finds `room`. Allocates nothing."""
        nearest = self.next_mark
        for limit in self._admit:
            if limit is not None and limit.less(nearest):
                nearest = limit
        self.room = max(0, nearest.diff(used))
        return not used.less(self.next_mark)

    def cross(self, used):
        """Compares `used` with every mark and limit; returns actions. Each warning fires once."""
        return self._judge(self.reasons, self.warned, used)

    def apply(self, event):
        """Applies one of EVENTS; returns actions. ValueError, and nothing is changed, for any other.

        A repeated event changes nothing. After NEW_CYCLE and QUOTA_GRANTED call `cross`.
        """
        reasons = transition(self.reasons, event)
        if event not in (NEW_CYCLE, QUOTA_GRANTED):
            return self._become(reasons, self.warned, self.shed)
        self.next_mark.set(_ZERO)
        warned = self.warned & ~self._plan.cycle_warnings if event == NEW_CYCLE else self.warned
        return self._become(reasons, warned, 0)

    def set_limit(self, kind, octets, used):
        """Sets the limit `kind` (LOCAL to PACE) to `octets` of the period, None for no limit; returns actions."""
        if kind == LOCAL:
            octets = min(self._plan.local_limit, MAX if octets is None else octets)
            self.shed = 0
        self._limits[kind].set(_NEVER if octets is None else Octets(min(MAX, octets)))
        self._find_least()
        return self._judge(transition(self.reasons, _GRANTS[kind]), self.warned, used)

    def limit(self, kind):
        """Octets of the limit `kind` as an integer, None where there is none."""
        octets = self._limits[kind].value()
        return octets if octets < MAX else None

    def warn(self, bit, on=True):
        """Sets or clears a warning that does not depend on octets, by its number; returns actions."""
        warned = self.warned | 1 << bit if on else self.warned & ~(1 << bit)
        return self._become(self.reasons, warned, self.shed)

    def hold(self, classes):
        """Holds the classes of this bitmap, and no others, for the burst guard; returns actions."""
        self.held = classes & self.ordinary
        return self.apply(BURST_FOUND if self.held else BURST_OVER)

    def keep(self, classes):
        """Holds the classes of this bitmap, and no others, for the owner; returns actions."""
        self.kept = classes & self.ordinary
        return self.apply(HOLD_ORDERED if self.kept else HOLD_ENDED)

    def denied(self, index):
        """Class `index` was not admitted with one packet; returns actions.

        Less than one packet is left of its limit, so that the limit counts as reached: otherwise the class would be
        stopped without a reason.
        """
        limit = self._admit[index]
        if limit is None or self.observe:  # a reason holds already
            return 0
        if self.exchange is not None and self.level == TERMINATED:
            return self.end_exchange()
        if self._reserve >> index & 1:
            return self.apply(RESERVE_REACHED)
        for kind in (LOCAL, BALANCE, GRANT, PACE):
            if not limit.less(self._limits[kind]) and (kind != PACE or self._paced >> index & 1):
                return self.apply(self._reached[kind])
        return self._become(self.reasons, self.warned, self.shed | 1 << index)

    def deaf(self):
        """Whether not even a report may pass, although the carrier may serve and any use would do no harm."""
        return (
            not self.observe
            and self.reasons & _TERMINATING & ~CARRIER_STOP != 0
            and not self.reasons & _CLOSED
        )

    def allow_exchange(self, used, octets):
        """Lets the class that reports use `octets` more, whatever the limits, while `deaf`; returns actions.

        Ends with `end_exchange`, or when the class is not admitted any more.
        """
        self.exchange = Octets(used.value() + octets)
        return self._become(self.reasons, self.warned, self.shed)

    def end_exchange(self):
        """Ends what `allow_exchange` began; returns actions."""
        self.exchange = None
        return self._become(self.reasons, self.warned, self.shed)

    def restore(self, reasons, warned, used):
        """Restores stored bitmaps at start; returns actions, with CLOSE if a class is already stopped.

        ValueError, and nothing is changed, for an unknown reason, as dropping it would lift a stop.

        The plan may have changed since they were stored, so that reasons and warnings of octets are found again from
        `used`, except those of PACE, whose limit is not set yet; warnings that the plan does not have are dropped.
        """
        if reasons & ~_KNOWN:
            raise ValueError("no such reason")
        self.reasons = reasons
        self.warned = warned
        return self._judge(reasons & (~_OF_LIMITS | PACED), self._still_warned(used), used)

    def corrected(self, used, less):
        """`used` has become smaller, of what it was itself by `less` octets, or a limit larger: finds the reasons and
        warnings of limits and marks again; returns actions."""
        self.shed = 0
        return self._judge(self.reasons & ~_OF_LIMITS, self._still_warned(used), used)

    def verdict(self):
        """One of VERDICTS, by the strongest reason that holds."""
        return VERDICTS[self.level]

    def names(self):
        """Codes of the reasons that hold, in the order of REASONS."""
        return [row[CODE] for row in REASONS if self.reasons & row[BIT]]

    def data_wanted(self):
        """Whether the modem should keep or open a data session. Not under a reason that TERMINATEs, except
        CARRIER_STOP: only the attempt shows whether the carrier serves again; but for an exchange."""
        if self.exchange is not None and self.deaf():
            return True
        return self.observe or not self.reasons & _TERMINATING & ~CARRIER_STOP

    def _still_warned(self, used):
        marks = (1 << len(self._warn_marks)) - 1
        return self.warned & ((2 << self._plan.forecast_bit) - 1) & (_passed(self._warn_marks, used) | ~marks)

    def _find_least(self):
        """The limit that binds each class."""
        limits = self._limits
        for i, least in enumerate(self._least):
            if self._reserve >> i & 1:
                least.set(limits[RESERVE])
                continue
            least.set(self._sheds[i])
            for kind in (LOCAL, BALANCE, GRANT, PACE):
                if limits[kind].less(least) and (kind != PACE or self._paced >> i & 1):
                    least.set(limits[kind])

    def _judge(self, reasons, warned, used):
        nearest = _NEVER
        for kind, limit in enumerate(self._limits):
            if used.less(limit):
                if limit.less(nearest):
                    nearest = limit
            else:
                reasons = transition(reasons, self._reached[kind])
        for marks in (self._warn_marks, self._sheds):
            for mark in marks:
                if used.less(mark) and mark.less(nearest):
                    nearest = mark
        self.next_mark.set(nearest)
        warned |= _passed(self._warn_marks, used)
        return self._become(reasons, warned, self.shed | _passed(self._sheds, used))

    def _become(self, reasons, warned, shed):
        waiting = shed | (self.held if reasons & BURST else 0) | (self._paced if reasons & PACED else 0)
        waiting |= self.kept if reasons & HELD_BY_HAND else 0
        level = OPEN
        may_send = self._all
        if reasons & _TERMINATING:
            level = TERMINATED
            may_send = 0 if self.exchange is None or reasons & _CLOSED else self._reserve
        elif reasons & _RESTRICTING:
            level = RESTRICTED
            may_send = self._reserve
        elif reasons & _SLOWING:
            level = THROTTLED_LEVEL
        elif waiting:
            level = SHED
        elif warned:
            level = WARNED
        may_send = self._all if self.observe else may_send & ~waiting
        actions = 0
        if reasons != self.reasons or warned != self.warned:
            actions = SAVE | REPORT
        elif level != self.level:
            actions = REPORT
        if self.open & ~may_send:
            actions |= CLOSE
        if may_send & ~self.open:
            actions |= RESUME
        self.reasons = reasons
        self.warned = warned
        self.shed = shed
        self.level = level
        self.open = may_send
        self.room = 0
        for i, limit in enumerate(self._least):
            if level == TERMINATED:
                limit = self.exchange
            self._admit[i] = _NEVER if self.observe else limit if may_send >> i & 1 else None
        return actions


def _passed(marks, used):
    """Bitmap of the marks that `used` has reached."""
    passed = 0
    for i, mark in enumerate(marks):
        if not used.less(mark):
            passed |= 1 << i
    return passed
