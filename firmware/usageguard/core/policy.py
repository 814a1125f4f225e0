"""When data may flow. All that decides it is in this file: the reasons to stop, and the limits.

A stop is a set of reasons. Each is raised and lifted on its own: (reasons, event) -> reasons is the table
below and nothing else.
"""

from usageguard.core.octets import MAX, Octets

# Final-Unit-Action, RFC 8506 section 8.35. REDIRECT (1) has no meaning on a device.
TERMINATE = 0
RESTRICT_ACCESS = 2

# Events
QUOTA_REACHED = 0x01  # used octets came to the local limit, or so near that not one packet fits
RESERVE_REACHED = 0x02  # the same of the report limit
QUOTA_GRANTED = 0x04  # limits are new (start, top-up): what still holds is raised again
CARRIER_REFUSED = 0x08  # the network rejected or ended the data session
CARRIER_SERVES = 0x10  # the network gave a data session
NEW_CYCLE = 0x20  # a billing period began
LEDGER_FAILED = 0x40  # the ledger does not hold what is used, or has lost it, or a newer firmware wrote it
LEDGER_SET = 0x80  # somebody who knows what was used has put the ledger right
EVENTS = (
    QUOTA_REACHED,
    RESERVE_REACHED,
    QUOTA_GRANTED,
    CARRIER_REFUSED,
    CARRIER_SERVES,
    NEW_CYCLE,
    LEDGER_FAILED,
    LEDGER_SET,
)

# One row per reason, the one to name first on top. Bits are stored and reported: never reuse one.
#
# CARRIER_STOP outlives the period: from here a quota cutoff (lifted on the 1st) looks like arrears or a
# stop by hand (not lifted), so only a data session given proves that the carrier serves again.
CODE, BIT, RAISED_BY, LIFTED_BY, BY_HAND, SURVIVES_CYCLE, RESTRICTION = range(7)
REASONS = (
    ("LEDGER_FAULT", 0x0008, LEDGER_FAILED, LEDGER_SET, True, True, TERMINATE),
    ("CARRIER_STOP", 0x0004, CARRIER_REFUSED, CARRIER_SERVES, False, True, TERMINATE),
    ("RESERVE_EXHAUSTED", 0x0002, RESERVE_REACHED, QUOTA_GRANTED, False, False, TERMINATE),
    ("QUOTA_EXHAUSTED", 0x0001, QUOTA_REACHED, QUOTA_GRANTED, False, False, RESTRICT_ACCESS),
)

# What `apply`, `cross` and `restore` ask their caller to do
SAVE = 0x01  # reasons or warnings changed: to the ledger, before anything else
REPORT = 0x02  # worth a report now
CLOSE = 0x04  # a class lost admission: end its sessions
RESUME = 0x08  # a class has admission again

VERDICTS = ("open", "warned", "shed", "restricted", "terminated")
_OPEN, _WARNED, _SHED, _RESTRICTED, _TERMINATED = range(5)

_KNOWN = sum(row[BIT] for row in REASONS)
_TERMINATING = sum(row[BIT] for row in REASONS if row[RESTRICTION] == TERMINATE)
# Stops that asking the carrier for a data session cannot lift.
_SILENCING = sum(
    row[BIT] for row in REASONS if row[RESTRICTION] == TERMINATE and not row[LIFTED_BY] & CARRIER_SERVES
)

_ZERO = Octets()
_NEVER = Octets(MAX)


def transition(reasons, event):
    """The bitmap of reasons after `event`, one of EVENTS. ValueError for any other."""
    if event not in EVENTS:
        raise ValueError("no such event")
    for _, bit, raised_by, lifted_by, _, survives, _ in REASONS:
        if event & raised_by:
            reasons |= bit
        elif event & lifted_by or (event == NEW_CYCLE and not survives):
            reasons &= ~bit
    return reasons


class Policy:
    """The stop that stands, and what each class may still send, for one plan.

    `used` is always the Octets used in this period by the plan's rating. `classes` are the TrafficClasses,
    in the order by which `admits` knows them. With `observe` everything is judged and nothing held back.

    Read only: `reasons` and `warned` (bitmaps, to be stored: 16 and 8 bits), `shed` (bitmap of classes past
    their limit), `open` (bitmap of classes that may send), `level` (index of the verdict), `next_mark`
    (Octets at which `cross` is due).
    """

    def __init__(self, plan, classes, observe=False):
        self.reasons = 0
        self.warned = 0
        self.shed = 0
        self.level = _OPEN
        self.next_mark = _ZERO
        self._observe = observe
        self._warn_marks = [Octets(plan.share(permille)) for permille in plan.warn_permille]
        self._limits = [Octets(plan.limit(c)) for c in classes]
        self._local_limit = Octets(plan.local_limit)
        self._plan = plan
        self._report_limit = Octets(plan.report_limit)
        for i, c in enumerate(classes):
            if c.uses_reserve:
                self._limits[i] = self._report_limit  # one object: a probe moves both
        self._marks = self._warn_marks + self._limits + [self._local_limit, self._report_limit]
        self._all = (1 << len(classes)) - 1
        self._reserve = sum(1 << i for i, c in enumerate(classes) if c.uses_reserve)
        self.open = self._all
        # Limit by which each class is admitted, None for one that is not.
        self._admit = [_NEVER] * len(classes) if observe else list(self._limits)

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
        self.next_mark = _ZERO
        if event == NEW_CYCLE:
            self._report_limit.set(Octets(self._plan.report_limit))
        return self._become(reasons, 0 if event == NEW_CYCLE else self.warned, 0)

    def denied(self, index):
        """Class `index` was not admitted with one packet; returns actions.

        What is left of its limit is too little to be of use, so the limit counts as reached: or the class
        would be stopped with no reason that says so.
        """
        limit = self._admit[index]
        if limit is None:  # there is a reason already
            return 0
        if self._reserve >> index & 1:
            return self.apply(RESERVE_REACHED)
        if limit.less(self._local_limit):
            return self._become(self.reasons, self.warned, self.shed | 1 << index)
        return self.apply(QUOTA_REACHED)

    def allow_probe(self, used, octets):
        """Moves the report limit to `octets` beyond `used`, but not beyond the allowance; returns actions.

        For a question that only a report can answer, as whether a new period has begun. It lasts until NEW_CYCLE.
        """
        self._report_limit.set(Octets(min(self._plan.allowance, used.value() + octets)))
        return self.apply(QUOTA_GRANTED) | self.cross(used)

    def restore(self, reasons, warned, used):
        """Takes over stored bitmaps at start; returns actions, with CLOSE if a class is already out.

        ValueError, and nothing changed, for a reason this table does not know: dropping it would lift a stop.

        The plan may be another one than when they were stored, so what follows from `used` is judged anew.
        """
        if reasons & ~_KNOWN:
            raise ValueError("no such reason")
        warned_still = warned & _passed(self._warn_marks, used)
        self.reasons = reasons
        self.warned = warned
        return self._judge(transition(reasons, QUOTA_GRANTED), warned_still, used)

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
        return self._observe or not self.reasons & _SILENCING

    def _judge(self, reasons, warned, used):
        if not used.less(self._local_limit):
            reasons = transition(reasons, QUOTA_REACHED)
        if not used.less(self._report_limit):
            reasons = transition(reasons, RESERVE_REACHED)
        nearest = _NEVER
        for mark in self._marks:
            if used.less(mark) and mark.less(nearest):
                nearest = mark
        self.next_mark = nearest
        warned |= _passed(self._warn_marks, used)
        return self._become(reasons, warned, self.shed | _passed(self._limits, used))

    def _become(self, reasons, warned, shed):
        level = _OPEN
        may_send = self._all
        if reasons & _TERMINATING:
            level = _TERMINATED
            may_send = 0
        elif reasons:
            level = _RESTRICTED
            may_send = self._reserve
        elif shed:
            level = _SHED
        elif warned:
            level = _WARNED
        may_send = self._all if self._observe else may_send & ~shed
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
        if not self._observe:
            for i, limit in enumerate(self._limits):
                self._admit[i] = limit if may_send >> i & 1 else None
        return actions


def _passed(marks, used):
    """Bitmap of the marks that `used` has reached."""
    passed = 0
    for i, mark in enumerate(marks):
        if not used.less(mark):
            passed |= 1 << i
    return passed
