"""Admission by traffic class, and the one place where an octet is counted: lease, admit, send, count.

The driver and the sockets tell the gate what they are about to do or what arrived; the gate prices it (core.meter),
asks the policy whether the class may (core.policy), has the ledger reserve it ahead, and spends it.
"""

from usageguard.compat import const
from usageguard.core.meter import COUNTER_SLACK, Meter, plausible
from usageguard.core.octets import Octets
from usageguard.core.ticks import ticks_diff

# What a connection may have brought without our having seen it: the modem's receive buffer, which is the window that it
# offers its peer (10 KiB, a guess for the EC200U), with headers and acknowledgements; of a datagram socket, one answer.
# It stays leased for each open socket, and is charged where the modem lost it.
UNSEEN_TCP = const(10_240)
UNSEEN_UDP = const(512)
_DEEP_SLEEP = const(4)  # machine.DEEPSLEEP_RESET: entered in good order, no socket was open
_POWER_ON = const(1)  # machine.PWRON_RESET: the whole lease was charged
_ZERO = Octets()
MOST_CREDIT = const(1 << 24)
_PIECE = const(1 << 28)  # with what is leased ahead of it, below what the ledger takes at once
SHIFT_MS = const(20_000)  # a segment has left the modem by then: its socket's retransmissions are the counter's to show


class Gate:
    """`crossed` is set when usage passed the policy's next mark: the guard's step then lets the policy decide."""

    def __init__(self, hal, config, ledger, policy):
        self._hal = hal
        self._ledger = ledger
        self._policy = policy
        self.meter = Meter(config.plan.rating)
        self.used = Octets()  # rated octets of this cycle
        self.crossed = False
        self.denied = -1  # the class that was last refused, until the guard has looked into it
        self.denials = 0
        self.broken = False  # the ledger failed: nothing is admitted any more
        self.active = False  # an application has used data since somebody set this to False
        self.bucket = None  # core.bucket, while the SIM is slowed down
        self.burst = None  # core.burst, where the plan has it
        self.burst_found = False
        self.reserve = 0  # the class, by index, that may use it
        for i, traffic_class in enumerate(config.classes):
            if traffic_class.uses_reserve:
                self.reserve = i
        self.jumps = 0  # implausible jumps of the modem's counter
        self._window_octets = max(1024, min(16_384, config.plan.allowance >> 10))
        self._reading = Octets()
        self._total = Octets()
        self._reading_at = self._shifted_at = 0
        self._epoch = -1
        self._fell = False  # the last reading was lower than the one before
        self.headroom = self._headroom_rated = 0  # leased beyond what is spent, for what may come unasked
        cause = hal.reset_cause()
        self._unseen = cause not in (_POWER_ON, _DEEP_SLEEP)  # by us, in the reset that we come from
        self.rebase()
        if self._unseen and not config.modem.counter:
            self.abandoned(True)

    def rebase(self):
        """Takes the cycle's usage from the ledger: after its opening, and when a new cycle began."""
        self.used.set(self._ledger.rated)
        self.used.sub(self._ledger.rated_base)
        self.crossed = True

    # The ledger's cold side, which fails closed as the hot one does

    def begin_cycle(self, cycle_id):
        """A period began. What the ledger counts in both is what its error bound begins with."""
        ledger = self._ledger
        try:
            ledger.new_cycle(cycle_id)
            self.rebase()
            carried = ledger.carried.diff(ledger.carried_base)
            self.meter.keep(carried, ledger.rated.diff(ledger.rated_base))
            self.meter.slack = carried + self.meter.forfeited
            ledger.surplus = self.meter.bound()
            self.session()  # one that runs on is rounded up in both periods
            ledger.commit()
        except OSError:
            self.broken = True

    def commit(self):
        """Stores the stops and the warnings."""
        try:
            self._ledger.commit()
        except OSError:
            self.broken = True

    def tidy(self):
        """Gives the ledger the time to erase ahead."""
        try:
            self._ledger.tidy()
        except OSError:
            self.broken = True

    # HOT: from here to `received` nothing may allocate

    def _spend(self, carried, rated):
        self._ledger.surplus = self.meter.bound()
        try:
            self._ledger.ensure(rated + self._headroom_rated, carried + self.headroom)
            self._ledger.spend(rated, carried)
        except OSError:
            self.broken = True
        self.used.add(rated)
        if self._policy.past_mark(self.used):
            self.crossed = True

    def _take(self, traffic_class):
        """Charges the last price; False where the class may not, or no ledger holds it."""
        meter = self.meter
        if not self._policy.admits(traffic_class, self.used, meter.rated):
            self.denied = traffic_class
            return False
        self._charge(traffic_class)
        return not self.broken

    def _charge(self, traffic_class):
        meter = self.meter
        if traffic_class != self.reserve:
            self.active = True
            if self.bucket is not None:
                self.bucket.take(meter.carried, self._hal.ticks_ms())
            if self.burst is not None and self.burst.spent(traffic_class, meter.rated):
                self.burst_found = True
        meter.charge()
        self._spend(meter.carried, meter.rated)

    def transfer(self, traffic_class, tcp, n):
        """Charges `n` octets of payload before they are sent; False as `_take`."""
        self.meter.price_sent(tcp, n)
        return self._take(traffic_class)

    def received(self, traffic_class, tcp, n):
        """Counts `n` octets of payload that arrived, allowed or not."""
        self.meter.price_received(tcp, n)
        self._charge(traffic_class)

    def owe(self, rated):
        """Counts rated octets that the carrier saw and we did not, 0..2**50: however many, in a few records."""
        if rated > _PIECE:
            self._ledger.rated.add_octets(Octets(rated - _PIECE))
            self.used.add_octets(Octets(rated - _PIECE))
            rated = _PIECE
        self._spend(0, rated)

    # Cold

    def open(self, traffic_class, tcp, name_octets):
        """Charges a connection's handshake and close; False as `_take`."""
        self.meter.price_open(tcp, name_octets)
        return self._take(traffic_class)

    def hold(self, tcp, sign):
        """A connection stands (1), so that from now on data may come; or does no longer (-1)."""
        self.meter.price_received(tcp, UNSEEN_TCP if tcp else UNSEEN_UDP)
        self.headroom += sign * self.meter.carried
        self._headroom_rated += sign * self.meter.rated
        self._spend(0, 0)

    def give_back(self):
        """Takes back what was leased for connections that are closed: a power cut would charge it to the reserve."""
        try:
            self._ledger.give_back(self._headroom_rated, self.headroom)
        except OSError:
            self.broken = True

    def abandoned(self, tcp):
        """A connection ended with what the modem held for it: unseen, and perhaps there."""
        self.meter.price_unseen(tcp, UNSEEN_TCP if tcp else UNSEEN_UDP)
        self._charge(self.reserve)

    def session(self):
        """A data session begins."""
        self.meter.price_session()
        if self.meter.rated:
            self._spend(0, self.meter.rated)

    def wants_reading(self):
        """True when enough was charged since the modem's last reading for another one to be worth its while."""
        return self.meter.window >= self._window_octets

    # HOT but for the first reading of an epoch: traffic makes readings due

    def counter(self, tx, rx, epoch, found_on):
        """A reading. `epoch` changes when the modem restarted; `found_on`: it outlived our last reset."""
        now = self._hal.ticks_ms()
        meter = self.meter
        total = self._total
        total.set(tx)
        total.add_octets(rx)
        if epoch != self._epoch or not meter.counted:
            if meter.counted:
                meter.lose()
            self._epoch = epoch
            self._anchor(total, found_on)
        elif total.less(self._reading):  # it was reset: the reading is what has crossed since; or it is wrong
            meter.forfeit()  # what crossed before that it will never show: our charges for it pay for nothing else
            self._spend_reading(total.diff(_ZERO), now, True)
            self._fell = True
        else:
            self._spend_reading(total.diff(self._reading), now, self._fell)
            self._fell = False  # were it wrong, it would have come back by now
        self._reading.set(total)
        self._reading_at = now
        self._ledger.counter_read(total)

    def _anchor(self, total, found_on):
        """After a crash of ours that the modem outlived, its counter tells what of the lost lease was really used."""
        ledger = self._ledger
        credit = credit_rated = 0
        if found_on and ledger.counter_known and not total.less(ledger.modem_counter):
            crossed = min(total.diff(ledger.modem_counter), ledger.lost_carried + COUNTER_SLACK)
            late = crossed - ledger.lost_carried
            if late > 0:
                self._spend(late, max(late, self.meter.worst(crossed) - ledger.lost_rated))
            else:
                # Only what was charged in this period pays for anything in it.
                credit = min(MOST_CREDIT, -late, ledger.carried.diff(ledger.carried_base))
                credit_rated = ledger.lost_rated - self.meter.worst(crossed)
                credit_rated = max(0, min(MOST_CREDIT, credit_rated, ledger.rated.diff(ledger.rated_base)))
        elif self._unseen:
            self.abandoned(True)
        self._unseen = False
        ledger.lost_carried = ledger.lost_rated = 0
        self.meter.anchor(credit, credit_rated)

    def _spend_reading(self, delta, now, doubtful):
        allowed = plausible(delta, max(0, ticks_diff(now, self._reading_at)))
        if allowed != delta:
            self.jumps += 1
            self._hal.event("counter-jump", delta & 0x3FFFFFFF, allowed)
        shift = not 0 <= ticks_diff(now, self._shifted_at) < SHIFT_MS  # below 0: days ago, beyond the ticks' horizon
        if shift:
            self._shifted_at = now
        self.meter.reading(allowed, shift, doubtful or allowed != delta)
        carried, rated = self.meter.carried, self.meter.rated
        if self.bucket is not None:
            self.bucket.take(min(carried, self._window_octets), now)  # no more: of a wrong jump it would not recover
        while carried or rated:  # of a jump, the rating makes more than the ledger takes at once
            self._spend(min(carried, _PIECE), min(rated, _PIECE))
            carried -= min(carried, _PIECE)
            rated -= min(rated, _PIECE)
