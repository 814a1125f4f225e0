"""Admission by traffic class, and the one place where an octet is counted: lease, admit, send, count.

The driver and the sockets call it with what they are about to send or what arrived. It prices that (core.meter), asks
the policy whether the class may send (core.policy), has the ledger lease it ahead, and spends it.
"""

from usageguard.compat import const
from usageguard.core.meter import COUNTER_SLACK, MOST, Meter, plausible
from usageguard.core.octets import MAX, Octets
from usageguard.core.policy import DOUBT_SETTLED, LEDGER_SET, SAVE
from usageguard.core.ticks import ticks_add, ticks_diff

UNSEEN_UDP = const(512)  # what may arrive on a datagram socket before the device reads it: one answer
_POWER_ON = const(1)  # machine.PWRON_RESET: the whole lease was charged
_ZERO = Octets()
MOST_CREDIT = const(1 << 24)
FOREVER_MS = const(1 << 28)
_PIECE = const(1 << 28)  # with what is leased ahead of it, below what the ledger takes at once
_LO_MAX = const(0xFFFFFF)  # of Octets
SHIFT_MS = const(20_000)  # a segment has left the modem by then: the counter shows it and its retransmissions


class Admission:
    """The usage of one device, whose modem offers a TCP peer a window of `window` octets.

    So much, with headers and acknowledgements, may arrive on a connection before the device reads it. It stays leased
    for each open connection, and is charged when the modem has lost it.

    `asleep`: the device slept until now, and no connection was open.

    Read only: `meter`; `used`, the Octets of this period by the plan's rating, without those in doubt; `reserve`, the
    index of the class that may use the reserve; `jumps`, readings of the modem's counter with octets in doubt;
    `doubts`, a net.doubts.Doubts, None before the first; `denials`, packets that were not admitted; `broken`, true once
    the ledger failed: nothing is admitted then.

    `crossed`: usage has passed the policy's next mark, so `judge` is due. `denied`: index of the class that was last
    not admitted, -1 for none; `take_denied` is due then. `settled`, to be set: the modem was switched off after a
    reading that showed all that had been sent. `burst`: a core.burst.Burst, where the plan has one; settable.
    `window_octets`, settable: so many charged octets make a reading due.
    """

    def __init__(self, hal, config, ledger, policy, window, asleep=False):
        self._hal = hal
        self._ledger = ledger
        self._policy = policy
        self.meter = Meter(config.plan.rating)
        ledger.bound = self.meter.bound
        self.used = Octets()  # rated octets of this cycle
        self.crossed = False
        self.denied = -1
        self.denials = 0
        self.broken = False
        self._active = False  # an application has used data since `take_active`
        self._bucket = self._rate = None  # core.bucket.Bucket and its arguments, while the SIM is throttled
        self.burst = None
        self._burst_found = False
        self.reserve = 0
        for i, traffic_class in enumerate(config.classes):
            if traffic_class.uses_reserve:
                self.reserve = i
        self.jumps = 0
        self._window = self._quiet_at = 0  # what was charged since the last reading, and when it may have left
        self.window_octets = max(1024, min(16_384, config.plan.allowance >> 10))
        self.reading = (Octets(), Octets())  # sent and received
        self._total = Octets()
        self._reading_at = self._shifted_at = 0
        self._epoch = -1
        self.settled = False
        self._fell = False  # the last reading was lower than the one before
        self._hidden = 0  # octets that may have crossed before a reset of the counter, and be charged later
        self._suspected = False  # that reset is
        self._closed = self._closed_rated = 0  # the part of it that goes with the next reading
        self._unseen_tcp = window
        # Data may have arrived uncounted in the last reset, where there was any before.
        self._unseen = ledger.carried.value() and not asleep and hal.reset_cause() != _POWER_ON
        self._doubt_found = False
        self.doubts = None
        if ledger.doubt.value():
            self._load_doubts()
        self.rebase()
        if self._unseen and not config.modem.counter:
            self.abandoned(True, 0)

    def woke(self, now, slept_ms):
        """The device has slept for so long; all else is as before."""
        self._quiet_at = ticks_add(now, max(0, SHIFT_MS - slept_ms))
        self._shifted_at = ticks_add(now, -min(SHIFT_MS, slept_ms))
        self._reading_at = now
        self.crossed = True

    def rebase(self):
        """Takes the period's usage from the ledger: after it was opened or corrected, and when a period began."""
        ledger = self._ledger
        self.used.set(ledger.rated)
        self.used.sub(ledger.rated_base)
        if self.used.less(ledger.doubt):
            ledger.doubt.set(self.used)
        self.used.sub(ledger.doubt)
        self._policy.room = 0
        self.crossed = True

    def carried_octets(self):
        """IP octets of this period, both ways."""
        return self._ledger.carried.value() - self._ledger.carried_base.value()

    def error_bound_octets(self):
        """By how much `carried_octets` may exceed what was carried: what was charged without being known to be."""
        return self.meter.bound() + self._ledger.carried_unsure.value()

    # For the guard's step

    def judge(self):
        """Has the policy look at what is used; returns its actions."""
        self.crossed = False
        return self._policy.cross(self.used)

    def take_denied(self):
        """The class that was last not admitted, which is then forgotten."""
        denied = self.denied
        self.denied = -1
        self.denials += 1
        return denied

    def take_burst(self):
        """Whether a class has passed the burst guard's limit since the last call. HOT."""
        found = self._burst_found
        self._burst_found = False
        return found

    def take_active(self):
        """Whether an application has used data since the last call."""
        active = self._active
        self._active = False
        return active

    def slow_down(self, rate):
        """Throttles applications to `rate`: (octets per second, burst octets), None for no limit; whether it is new."""
        if rate == self._rate:
            return False
        self._rate = rate
        self._bucket = None
        if rate:
            from usageguard.core.bucket import Bucket

            self._bucket = Bucket(rate[0], rate[1])
        return True

    # The ledger's cold side. If it fails nothing is admitted, as on the hot side

    def accept_loss(self):
        """Takes the counts as right, also what is in doubt, after a fault of the ledger; returns the policy's
        actions."""
        self._ledger.lost = self.broken = False
        return self._policy.apply(LEDGER_SET) | self.settle(MAX, MAX)

    def take_doubt(self):
        """Whether the modem's counter has shown octets in doubt since the last call."""
        found = self._doubt_found
        self._doubt_found = False
        return found

    def settle(self, rated_then, confirmed):
        """As Doubts.settle; returns the policy's actions."""
        if not self.doubts or not self.doubts.each:
            return 0
        self.doubts.settle(rated_then, confirmed)
        self.rebase()
        return SAVE if self.doubts.each else SAVE | self._policy.apply(DOUBT_SETTLED)

    def _load_doubts(self):
        from usageguard.net.doubts import Doubts

        self.doubts = Doubts(self._hal, self._ledger)

    def begin_cycle(self, cycle_id, again=False):
        """Begins a period (`again`: see Ledger.new_cycle). What the ledger counts in both is what its error bound
        begins with; the next commit, which is to follow, stores that."""
        ledger = self._ledger
        self.meter.packets = 0
        self.meter.sessions = min(self.meter.sessions, 1)  # the last one goes on
        ledger.new_cycle(cycle_id, again)
        self.rebase()
        if self.doubts:
            self.doubts.merge()
        carried, rated = ledger.carried.diff(ledger.carried_base), ledger.rated.diff(ledger.rated_base)
        self.meter.keep(carried, rated)
        self.meter.slack = carried + self.meter.forfeited
        if self.meter.session_round:  # a session that runs on is rounded up in both periods
            self.meter.begin_session()
            self.owe(max(0, self.meter.pay(self.meter.worst(carried)) - rated))

    def commit(self):
        """Stores reasons, warnings and the account."""
        try:
            self._ledger.commit()
        except OSError:
            self.broken = True

    def tidy(self):
        """Lets the ledger erase flash ahead of need."""
        try:
            self._ledger.tidy()
        except OSError:
            self.broken = True

    # HOT: from here to `received` nothing may allocate

    def admits(self, traffic_class):
        """Whether that class may send at all now."""
        return self._policy.admits(traffic_class, self.used, 0)

    def stopped_by(self):
        """In words, why data is not admitted. Not HOT."""
        return "stopped: " + (", ".join(self._policy.names()) or "no quota left for this class")

    def slowed_ms(self, now):
        """Milliseconds until applications may send on a SIM that is throttled, else 0."""
        return self._bucket.wait_ms(now) if self._bucket is not None else 0

    def _spend(self, carried, rated):
        if not self._ledger.spend(rated, carried):  # it is counted all the same
            self.broken = True
        used = self.used
        lo = used.lo + rated
        if lo <= _LO_MAX:  # as in the ledger: most spends take no call
            used.lo = lo
        else:
            used.add(rated)
        policy = self._policy
        room = policy.room - rated
        if room > 0:
            policy.room = room
        elif policy.past_mark(used):
            self.crossed = True

    def _take(self, traffic_class, asked):
        """Charges the last price; False if the class is not admitted, or the ledger failed. Not `asked`: allowed or
        not."""
        meter = self.meter
        policy = self._policy
        if asked:
            asked = meter.due(meter.rated, False) if meter.session_round else meter.rated
            if (asked > policy.room or not policy.open >> traffic_class & 1) and not policy.admits(
                traffic_class, self.used, asked
            ):
                self.denied = traffic_class
                return False
        if traffic_class != self.reserve:
            self._active = True
            if self._bucket is not None:
                self._bucket.take(meter.carried, self._hal.ticks_ms())
            if self.burst is not None and self.burst.spent(traffic_class, meter.rated):
                self._burst_found = True
        meter.charge()
        self._spend(meter.carried, meter.pay(meter.rated) if meter.session_round else meter.rated)
        return not self.broken or policy.exchange is not None

    def transfer(self, traffic_class, tcp, n):
        """Charges `n` octets of payload before they are sent; False as `_take`."""
        self.meter.price_sent(tcp, n)
        return self._take(traffic_class, True)

    def received(self, traffic_class, tcp, n, spare=0):
        """Counts `n` octets of payload that arrived, allowed or not. `spare`: see Meter.price_received."""
        self.meter.price_received(tcp, n, spare)
        self._take(traffic_class, False)

    def owe(self, rated):
        """Counts rated octets that the carrier has counted and the device has not, 0..2**50, in a few records."""
        if rated > _PIECE:
            self._ledger.rated.add_octets(Octets(rated - _PIECE))
            self.used.add_octets(Octets(rated - _PIECE))
            self._policy.room = 0
            rated = _PIECE
        self._spend(0, rated)

    # Cold

    def open(self, traffic_class, tcp, name_octets):
        """Charges a connection's handshake and close; False as `_take`."""
        self.meter.price_open(tcp, name_octets)
        return self._take(traffic_class, True)

    def hold(self, tcp, sign, paid=False):
        """Leases what an open connection may receive unasked: `sign` 1 when it opens, -1 when it closes.

        What arrives while it is being closed only the modem's counter shows: until that is read it stays leased, unless
        it is `paid` (`abandoned`).
        """
        meter = self.meter
        meter.price_received(tcp, self._unseen_tcp if tcp else UNSEEN_UDP)
        if sign < 0 and meter.counted and not paid:
            self._closed += meter.carried
            self._closed_rated += meter.rated
        else:
            self._ledger.held_carried += sign * meter.carried
            self._ledger.held_rated += sign * meter.rated
        self._spend(0, 0)

    def _release(self, grown):
        """What is queued for a SIM that is slowed down comes long after the close: some of the lease stays until the
        counter has stood still."""
        keep = 0
        if grown and self._bucket is not None:
            keep = COUNTER_SLACK
            self._window = -1  # so that another reading becomes due
        left, left_rated = min(self._closed, keep), min(self._closed_rated, keep)
        self._ledger.held_carried += left - self._closed
        self._ledger.held_rated += left_rated - self._closed_rated
        self._closed, self._closed_rated = left, left_rated

    def give_back(self):
        """Shrinks the lease by what closed connections had of it: a power cut would charge it to the reserve."""
        try:
            self._ledger.give_back()
        except OSError:
            self.broken = True

    def abandoned(self, tcp, octets):
        """Charges what the modem may have held for a connection when it ended, or so many `octets` of payload."""
        self.meter.price_unseen(tcp, octets or (self._unseen_tcp if tcp else UNSEEN_UDP))
        self._take(self.reserve, False)

    def session(self):
        """A data session began."""
        self.meter.left(True)  # in the one before
        self.meter.sessions += 1
        self.meter.begin_session()

    def reading_ms(self, now, online):
        """Milliseconds until the modem's counter should be read: 0 once enough was charged since the last reading, or
        when traffic has ceased, so that little is unconfirmed if the modem restarts; FOREVER_MS where nothing was. What
        is to be sent leaves the modem only while that is `online`, in coverage; it may drop it otherwise."""
        meter = self.meter
        window = meter.window
        quiet_ms = SHIFT_MS
        if window != self._window:
            self._window = window
            self._quiet_at = ticks_add(now, SHIFT_MS)
        elif window or self._closed:
            quiet_ms = max(0, ticks_diff(self._quiet_at, now))
        if not window and not self._closed:
            return FOREVER_MS
        if not meter.counted:
            if not online:
                meter.left(True)
            elif not quiet_ms:
                meter.left()
            return FOREVER_MS
        return 0 if window >= self.window_octets else quiet_ms

    # HOT but for the first reading of an epoch: traffic makes readings due

    def counter(self, tx, rx, epoch, found_on):
        """Takes a reading of the modem's counter, sent and received.

        `epoch` changes when the modem restarts; `found_on`: it was on when the device booted, and has counted through
        the reset.
        """
        now = self._hal.ticks_ms()
        meter = self.meter
        total = self._total
        total.set(tx)
        total.add_octets(rx)
        before_tx, before_rx = self.reading
        window = meter.window
        if epoch != self._epoch or not meter.counted:
            credit = credit_rated = 0
            if meter.counted:
                credit, credit_rated = meter.lose(self.settled)
            self.settled = False
            if self._closed:  # the modem restarted before it could be seen
                meter.slack += self._closed
                self._spend(self._closed, meter.pay(self._closed_rated))
            self._epoch = epoch
            self._anchor(total, found_on, credit, credit_rated)
        elif tx.less(before_tx) or rx.less(before_rx):  # reset: the reading is what has crossed since; or it is wrong
            meter.forfeit()  # it will not show what crossed before, so those charges must not offset other traffic
            meter.cover = meter.cover_rated = 0  # if this one was seen, another may not have been
            self._hidden = self._ledger.held_carried + 1
            self._suspected = False
            self._spend_reading(total.diff(_ZERO), now, True)
            self._fell = True
        else:
            grown = tx.diff(before_tx) + rx.diff(before_rx)
            if before_tx.hi == before_rx.hi == 0 and before_tx.lo + before_rx.lo <= window:
                # It may have been reset, and have counted more since than it stood at.
                self._suspected = self._suspected or not self._hidden
                self._hidden = self._ledger.held_carried + window + 1
            self._spend_reading(grown, now, self._fell)
            self._fell = False  # a wrong reading would have been followed by a higher one
        if self._hidden:
            meter.trim(self._suspected)
            self._hidden = max(0, min(self._hidden, self._ledger.held_carried + window + 1) - window)
        self._release(before_tx.less(tx) or before_rx.less(rx))
        before_tx.set(tx)
        before_rx.set(rx)
        self._reading_at = now
        self._ledger.counter_read(total)

    def _anchor(self, total, found_on, credit, credit_rated):
        """Takes the first reading of an epoch. If the modem counted through a reset of the device, it shows how much of
        the lease that was charged for the reset has really crossed."""
        ledger, meter = self._ledger, self.meter
        doubt = 0
        if found_on and ledger.counter_known and not total.less(ledger.modem_counter):
            grown = total.diff(ledger.modem_counter)
            crossed = min(grown, ledger.lost_carried + COUNTER_SLACK)
            doubt = min(MOST, grown - crossed)
            late = crossed - ledger.lost_carried
            if late > 0:
                meter.slack += late  # perhaps the counter jumped
                self._spend(late, meter.pay(max(late, meter.worst(crossed) - ledger.lost_rated)))
            else:
                # Only what was charged in this period may be credited in it.
                credit = min(MOST_CREDIT, -late, ledger.carried.diff(ledger.carried_base))
                # Of what rounding a session up cost nothing may be.
                credit_rated = 0 if meter.session_round else ledger.lost_rated - meter.worst(crossed)
                credit_rated = max(0, min(MOST_CREDIT, credit_rated, ledger.rated.diff(ledger.rated_base)))
        elif self._unseen:
            self.abandoned(True, 0)
        self._unseen = False
        ledger.lost_carried = ledger.lost_rated = 0
        meter.anchor(credit, credit_rated)
        if doubt:
            self._doubt(doubt)

    def _spend_reading(self, delta, now, doubtful):
        allowed = plausible(delta, max(0, ticks_diff(now, self._reading_at)))
        if allowed != delta:
            self._hal.event("counter-jump", delta & 0x3FFFFFFF, allowed)
        shift = not 0 <= ticks_diff(now, self._shifted_at) < SHIFT_MS  # below 0: beyond the ticks' horizon
        if shift:
            self._shifted_at = now
        meter = self.meter
        quiet = meter.window and meter.window == self._window and ticks_diff(now, self._quiet_at) >= 0
        # Retransmissions are taken to be less than what was charged, unread payload less than what is held.
        odd = allowed - meter.excess() - meter.window - self._ledger.held_carried
        doubt = max(0, odd - COUNTER_SLACK)
        doubtful = doubtful or allowed != delta or odd > 0
        meter.reading(allowed - doubt, shift, doubtful, quiet)
        if self._bucket is not None:
            self._bucket.take(meter.carried, now)
        self._spend(meter.carried, meter.pay(meter.rated))
        if doubt:
            self._doubt(doubt)

    def _doubt(self, octets):
        self._doubt_found = True
        self.jumps += 1
        if not self.doubts:
            self._load_doubts()
        self.doubts.charge(octets, self.meter, self._spend)
        self.rebase()
