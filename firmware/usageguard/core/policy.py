"""When data may flow. All that decides it is in this file: the reasons to stop, and the limits.

A stop is a set of reasons. Each is raised and lifted on its own: (reasons, event) -> reasons is the table
below and nothing else.
"""

from usageguard.core.octets import MAX, Octets

# Final-Unit-Action, RFC 8506 section 8.35. REDIRECT (1) has no meaning on a device.
TERMINATE = 0
RESTRICT_ACCESS = 2  # to the class that reports: whatever upstream can lift must not make the device deaf
# Ours, which end nothing
THROTTLE = 16  # all may send, slowly
HOLD = 17  # some classes wait

# Events
QUOTA_REACHED = 1  # used octets came to the local limit, or so near that not one packet fits
RESERVE_REACHED = 2  # the same of the report limit
QUOTA_GRANTED = 3  # limits are new (start, top-up): what still holds is raised again
CARRIER_REFUSED = 4  # the network rejected or ended the data session
CARRIER_SERVES = 5  # the network gave a data session
NEW_CYCLE = 6  # a billing period began
LEDGER_FAILED = 7  # the ledger does not hold what is used, or has lost it, or a newer firmware wrote it
LEDGER_SET = 8  # somebody who knows what was used has put the ledger right
STOP_ORDERED = 9  # the owner stops the data service,
RESUME_ORDERED = 10  # and lets it go on
CAP_REACHED = 11  # QUOTA_REACHED where usage beyond the plan is billed: at the cap of cost or of octets
TEST_REACHED = 12  # QUOTA_REACHED in the test period
SLOW_REACHED = 13  # the allowance is used where the carrier then slows the SIM down
BALANCE_SPENT = 14  # the cost of this period came to what the balance has left, or it is negative
RECHARGED = 15  # the balance is known anew
PACKAGE_EXPIRED = 16  # the last day of the package is over,
WINDOW_CLOSED = 17  # and so is the time in which it could be renewed
RENEWED = 18  # it ends later
SILENCE_BEGAN = 19  # the SIM is in its silent period: any use would end it
BILLING_BEGAN = 20  # the SIM is in its billing period
GRANT_SPENT = 21  # the share of the pool is used, or the pool is
GRANT_LAPSED = 22  # its Validity-Time or Quota-Holding-Time is over
POOL_GRANTED = 23  # there is a new share
SLOW_ORDERED = 24  # the owner slows the SIM down,
SPEED_ORDERED = 25  # and lets it run
BURST_FOUND = 26  # a class uses many times its usual rate
BURST_OVER = 27  # the hold is over, or the owner ended it
PACE_REACHED = 28  # the day's budget is used
DAY_GRANTED = 29  # there is a new one
EVENTS = range(QUOTA_REACHED, DAY_GRANTED + 1)

# One row per reason, the one to name first on top. Bits are stored and reported: never reuse one.
#
# CARRIER_STOP outlives the period: from here a quota cutoff (lifted on the 1st) looks like arrears or a
# stop by hand (not lifted), so only a data session given proves that the carrier serves again. Reasons that
# say why it stopped stand above it.
CODE, BIT, RAISED_BY, LIFTED_BY, SURVIVES_CYCLE, RESTRICTION = range(6)
REASONS = (
    ("LEDGER_FAULT", 0x000008, LEDGER_FAILED, LEDGER_SET, True, TERMINATE),
    ("SILENT_PERIOD", 0x001000, SILENCE_BEGAN, BILLING_BEGAN, True, TERMINATE),
    ("STOPPED_BY_HAND", 0x000010, STOP_ORDERED, RESUME_ORDERED, True, RESTRICT_ACCESS),
    ("CANCELLED", 0x000080, WINDOW_CLOSED, RENEWED, True, RESTRICT_ACCESS),
    ("EXPIRED", 0x000040, PACKAGE_EXPIRED, RENEWED, True, RESTRICT_ACCESS),
    ("ARREARS", 0x000020, BALANCE_SPENT, RECHARGED, True, RESTRICT_ACCESS),
    ("POOL_EXHAUSTED", 0x000200, GRANT_SPENT, POOL_GRANTED, True, RESTRICT_ACCESS),
    ("GRANT_EXPIRED", 0x000400, GRANT_LAPSED, POOL_GRANTED, True, RESTRICT_ACCESS),
    ("CARRIER_STOP", 0x000004, CARRIER_REFUSED, CARRIER_SERVES, True, TERMINATE),
    ("RESERVE_EXHAUSTED", 0x000002, RESERVE_REACHED, QUOTA_GRANTED, False, TERMINATE),
    ("COST_CAP", 0x000100, CAP_REACHED, QUOTA_GRANTED, False, RESTRICT_ACCESS),
    ("TEST_EXHAUSTED", 0x000800, TEST_REACHED, QUOTA_GRANTED, False, RESTRICT_ACCESS),
    ("QUOTA_EXHAUSTED", 0x000001, QUOTA_REACHED, QUOTA_GRANTED, False, RESTRICT_ACCESS),
    ("THROTTLED_BY_HAND", 0x004000, SLOW_ORDERED, SPEED_ORDERED, True, THROTTLE),
    ("THROTTLED", 0x002000, SLOW_REACHED, QUOTA_GRANTED, False, THROTTLE),
    ("BURST", 0x008000, BURST_FOUND, BURST_OVER, True, HOLD),
    ("PACED", 0x010000, PACE_REACHED, DAY_GRANTED, False, HOLD),
)
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

# Limits in octets of the period, by what sets them; each with what it raises when used up and what lifts that.
LOCAL, BALANCE, GRANT, PACE, RESERVE, SLOW = range(6)
_GRANTS = (QUOTA_GRANTED, RECHARGED, POOL_GRANTED, DAY_GRANTED, QUOTA_GRANTED, QUOTA_GRANTED)
_REACHED = (QUOTA_REACHED, BALANCE_SPENT, GRANT_SPENT, PACE_REACHED, RESERVE_REACHED, SLOW_REACHED)
_AT_CEILING = {"overage": CAP_REACHED, "test": TEST_REACHED}  # in place of QUOTA_REACHED

# What the methods of Policy ask their caller to do
SAVE = 0x01  # reasons or warnings changed: to the ledger, before anything else
REPORT = 0x02  # worth a report now
CLOSE = 0x04  # a class lost admission: end its sessions
RESUME = 0x08  # a class has admission again

VERDICTS = ("open", "warned", "shed", "throttled", "restricted", "terminated")
OPEN, WARNED, SHED, THROTTLED_LEVEL, RESTRICTED, TERMINATED = range(6)


def _bits(column, values):
    """Bitmap of the reasons that have one of `values` there."""
    return sum(row[BIT] for row in REASONS if row[column] in values)


_TERMINATING = _bits(RESTRICTION, (TERMINATE,))
_RESTRICTING = _bits(RESTRICTION, (RESTRICT_ACCESS,))
_SLOWING = _bits(RESTRICTION, (THROTTLE,))
_KNOWN = _TERMINATING | _RESTRICTING | _SLOWING | _bits(RESTRICTION, (HOLD,))
_OF_LIMITS = _bits(RAISED_BY, _REACHED + (CAP_REACHED, TEST_REACHED))

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
    """The stop that stands, and what each class may still send, for one plan.

    `used` is always the Octets used in this period by the plan's rating. `classes` are the TrafficClasses,
    in the order by which `admits` knows them. With `observe` everything is judged and nothing held back.

    Read only: `reasons` and `warned` (bitmaps, to be stored: 24 and 16 bits), `shed` (bitmap of classes past
    their limit), `held` (bitmap of classes held by the burst guard), `open` (bitmap of classes that may send),
    `level` (index of the verdict), `next_mark` (Octets at which `cross` is due).
    """

    def __init__(self, plan, classes, observe=False):
        self.reasons = 0
        self.warned = 0
        self.shed = 0
        self.held = 0
        self.level = OPEN
        self.next_mark = Octets()
        self.observe = observe
        self._classes = classes
        self._limits = [Octets(MAX) for _ in _GRANTS]
        self._reached = list(_REACHED)
        self._all = (1 << len(classes)) - 1
        self._reserve = sum(1 << i for i, c in enumerate(classes) if c.uses_reserve)
        self._paced = sum(1 << i for i, c in enumerate(classes) if c.paced)
        self.open = self._all
        self._least = [Octets(MAX) for _ in classes]
        # Limit by which each class is admitted, None for one that is not.
        self._admit = list(self._least)
        self.set_plan(plan)

    def set_plan(self, plan):
        """Takes the limits of `plan`; `cross` is due. Those of BALANCE, GRANT and PACE stay."""
        self._plan = plan
        self._warn_marks = [Octets(min(mark, MAX)) for mark in plan.warn_marks]
        # The reserve has a limit of its own, which moves.
        self._sheds = [_NEVER if c.uses_reserve else Octets(plan.limit(c)) for c in self._classes]
        self._reached[LOCAL] = _AT_CEILING.get(plan.exhaustion, QUOTA_REACHED)
        self._limits[LOCAL].set(Octets(plan.local_limit))
        self._limits[RESERVE].set(Octets(plan.report_limit))
        self._limits[SLOW].set(Octets(plan.slow_limit))
        self._find_least()
        self.next_mark.set(_ZERO)

    def admits(self, index, used, cost):
        """Whether class `index` may now spend `cost` rated octets, 0..2**29. Allocates nothing."""
        limit = self._admit[index]
        return limit is not None and limit.diff(used) >= cost

    def past_mark(self, used):
        """Whether `cross` is due. Allocates nothing."""
        return not used.less(self.next_mark)

    def cross(self, used):
        """Judges `used` against every threshold and limit; returns actions. Each warning fires once."""
        return self._judge(self.reasons, self.warned, used)

    def apply(self, event):
        """Takes in one of EVENTS; returns actions. ValueError, and nothing changed, for any other.

        The same event again changes nothing. After NEW_CYCLE and QUOTA_GRANTED `cross` is due.
        """
        reasons = transition(self.reasons, event)
        if event not in (NEW_CYCLE, QUOTA_GRANTED):
            return self._become(reasons, self.warned, self.shed)
        self.next_mark.set(_ZERO)
        if event == NEW_CYCLE:
            self._limits[RESERVE].set(Octets(self._plan.report_limit))
            self._find_least()
        warned = self.warned & ~self._plan.cycle_warnings if event == NEW_CYCLE else self.warned
        return self._become(reasons, warned, 0)

    def set_limit(self, kind, octets, used):
        """Moves the limit `kind` (LOCAL to PACE) to `octets` of the period, None for no limit; returns actions."""
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
        """Sets, or clears, a warning that is none of octets, by its number; returns actions."""
        warned = self.warned | 1 << bit if on else self.warned & ~(1 << bit)
        return self._become(self.reasons, warned, self.shed)

    def hold(self, classes):
        """Holds the classes of this bitmap, and no other, by the burst guard; returns actions."""
        self.held = classes & ~self._reserve
        return self.apply(BURST_FOUND if self.held else BURST_OVER)

    def denied(self, index):
        """Class `index` was not admitted with one packet; returns actions.

        What is left of its limit is too little to be of use, so the limit counts as reached: or the class
        would be stopped with no reason that says so.
        """
        limit = self._admit[index]
        if limit is None or self.observe:  # there is a reason already
            return 0
        if self._reserve >> index & 1:
            return self.apply(RESERVE_REACHED)
        for kind in (LOCAL, BALANCE, GRANT, PACE):
            if not limit.less(self._limits[kind]) and (kind != PACE or self._paced >> index & 1):
                return self.apply(self._reached[kind])
        return self._become(self.reasons, self.warned, self.shed | 1 << index)

    def allow_probe(self, used, octets):
        """Moves the report limit up to `octets` beyond `used`, but not beyond the ceiling; returns actions.

        For a question that only a report can answer, as whether a new period has begun. It lasts until NEW_CYCLE.
        """
        plan = self._plan
        self._limits[RESERVE].set(Octets(max(plan.report_limit, min(plan.ceiling, used.value() + octets))))
        self._find_least()
        return self.apply(QUOTA_GRANTED) | self.cross(used)

    def restore(self, reasons, warned, used):
        """Takes over stored bitmaps at start; returns actions, with CLOSE if a class is already out.

        ValueError, and nothing changed, for a reason this table does not know: dropping it would lift a stop.

        The plan may be another one than when they were stored, so what follows from `used` is judged anew by all
        limits but PACE, which nobody can have set yet; and a warning that the plan does not have is dropped.
        """
        if reasons & ~_KNOWN:
            raise ValueError("no such reason")
        self.reasons = reasons
        self.warned = warned
        return self._judge(reasons & (~_OF_LIMITS | PACED), self._still_warned(used), used)

    def corrected(self, used):
        """`used` is less than it was: judges anew what limits and marks have raised; returns actions."""
        self.shed = 0
        return self._judge(self.reasons & ~_OF_LIMITS, self._still_warned(used), used)

    def verdict(self):
        """The strongest of what holds, one of VERDICTS."""
        return VERDICTS[self.level]

    def names(self):
        """Codes of the reasons that stand, the one to name first in front."""
        return [row[CODE] for row in REASONS if self.reasons & row[BIT]]

    def data_wanted(self):
        """Whether to hold or to seek a data session: not when only a new grant can help.

        Under CARRIER_STOP it is sought, as the carrier does not tell when it serves again.
        """
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
        level = OPEN
        may_send = self._all
        if reasons & _TERMINATING:
            level = TERMINATED
            may_send = 0
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
        for i, limit in enumerate(self._least):
            self._admit[i] = _NEVER if self.observe else limit if may_send >> i & 1 else None
        return actions


def _passed(marks, used):
    """Bitmap of the marks that `used` has reached."""
    passed = 0
    for i, mark in enumerate(marks):
        if not used.less(mark):
            passed |= 1 << i
    return passed
