"""What is reported upstream, when, and over which path.

A report is the whole cumulative state (SPEC.md, "Report"), so only the newest is worth sending: what waits
here is a reason to report, not a queue of reports. The reason stays until a report with it is acknowledged.
"""

import struct

from usageguard.compat import const
from usageguard.core.mac import mac0_open, mac0_seal
from usageguard.core.record import decode_ack, encode_report
from usageguard.core.ticks import Countdown
from usageguard.upstream.coap import REPLY, SEND, WAIT, Coap

# Reporting-Reason: 0 to 8 are those of 3GPP TS 32.299 7.2.175, from 16 on our own.
THRESHOLD = const(0)
FINAL = const(2)
QUOTA_EXHAUSTED = const(3)
VALIDITY_TIME = const(4)
RATING_CONDITION_CHANGE = const(6)
BOOT = const(16)
APPLICATION_CRASH = const(17)

# The weakest first: of several that wait the strongest is named, as the state tells the rest.
_RANKS = (VALIDITY_TIME, RATING_CONDITION_CHANGE, BOOT, APPLICATION_CRASH, THRESHOLD, QUOTA_EXHAUSTED, FINAL)
_NONE = const(-1)
_PERIODIC = const(0)
_CHANGED = const(1)
_BOOTED = const(2)
_CRASHED = const(3)
_WARNED = const(4)
_STOPPING = const(5)  # from here up at once, without waiting for what was begun before
_STOPPED = const(6)
# What a verdict that got worse is worth, by Policy.level.
_BY_LEVEL = (_CHANGED, _WARNED, _WARNED, _WARNED, _STOPPING, _STOPPED)
_TERMINATED = const(5)

_MAX_OCTETS = const(140)  # of a report: it fits into one 8-bit short message, 3GPP TS 23.040 9.2.3.16
_GAP_MS = const(30000)  # between two reports, so that changes close to each other share one
_BACKOFF_MS = const(60000)  # after the first failure; doubles up to the report interval
_POLL_MS = const(2000)  # while a report waits for its path
_POLL_STOPPED_MS = const(60000)


class Outbox:
    """Reports `guard`'s state through `path`; `step` it when the policy's actions say REPORT, and when due.

    `guard` has `ledger` and `policy`, both restored from what is stored, `error_bound_octets()`,
    `app_restarts` (counts up) and `crash_code`. `path` has
    - `ready()`: whether a datagram to the collector would be taken now; if not, it starts what that needs.
    - `send(buf, n)`: sends the datagram buf[0:n] in the class that may use the reserve; whether it was taken.
    - `registered`: whether the modem is on the network, so that a short message can go.
    - `sms(number, octets)`: sends 8-bit user data; whether it was taken. Only where upstream has an `sms_number`.
    Datagrams from the collector go to `receive`. `on_time(day, second, now)` gets the collector's time, which
    is at most as old as the exchange took (93 s); then `on_order(counter, orders, now)` an order that came with it.

    Where no datagram gets through a report may go as a short message (`upstream.sms`).
    """

    def __init__(self, config, hal, guard, path, now):
        self.reports_sent = 0
        self.reports_acked = 0
        self.on_time = self.on_order = None
        self._device = config.device_id.encode()
        self._key = config.key
        self._interval_ms = config.upstream.interval_s * 1000
        self._random = hal.random
        self._guard = guard
        self._path = path
        self._coap = Coap(hal.random, _MAX_OCTETS)
        self._seq = 0  # of the next report; (boot_id, seq) never comes twice
        self._sending = _NONE  # rank of the report under way
        self._pending = _BOOTED  # rank of what waits to be reported
        self._backoff_ms = self._ask_ms = _BACKOFF_MS
        self._interval = Countdown()
        self._hold = Countdown()
        self._ask_hold = Countdown()
        self._interval.start(now, self._interval_ms)
        self._sms = None
        if config.upstream.sms_number is not None:
            from usageguard.upstream.sms import ShortMessages

            self._sms = ShortMessages(config.upstream, guard, path, now)
        self._remember()

    @property
    def refused(self):
        """The code octet by which the collector refused the last report (0x81 = 4.01), else 0."""
        return self._coap.code if self._coap.code >> 5 > 2 else 0

    def step(self, now):
        """Notices what changed and sends what is due. Allocates only to build a report."""
        self._interval.left_ms(now)
        self._hold.left_ms(now)
        self._ask_hold.left_ms(now)
        self._notice(now)
        sms = self._sms
        if sms:
            sms.step(now)
        coap = self._coap
        if self._pending != _NONE and not coap.busy and not self._hold.left_ms(now):
            ready = self._path.ready()
            stopped = not ready and self._guard.policy.level == _TERMINATED
            if sms and sms.due(now, stopped):
                if sms.send(now, self._sealed()):
                    self._hold.start(now, _GAP_MS)
                    self._count_sent(now)
            elif ready:
                self._begin(now)
        does = coap.step(now)
        while does != WAIT:
            if does == SEND:
                self._path.send(coap.out, coap.out_n)
            elif does == REPLY:
                self._path.send(coap.reply, len(coap.reply))
            else:
                self._failed(now)
            does = coap.step(now)

    def ask(self, now):
        """Upstream is to be asked, as a report does, without waiting for the interval; whether it will be.

        Who asks in vain waits twice as long each time, up to the interval, until another reason to stop stands: an
        application that is denied asks with each packet.
        """
        if self._pending != _NONE or self._sending != _NONE or self._ask_hold.left_ms(now):
            return False
        self._ask_hold.start(now, self._ask_ms)
        self._ask_ms = min(self._ask_ms << 1, self._interval_ms)
        self._raise(now, _WARNED)
        return True

    def due_ms(self, now):
        """Milliseconds until `step` is wanted next, if nothing changes before."""
        due = self._interval.left_ms(now)
        coap_due = self._coap.due_ms(now)
        if coap_due >= 0:
            return min(due, coap_due)
        if self._pending == _NONE:
            return due
        stopped = self._guard.policy.level == _TERMINATED
        return min(due, self._hold.left_ms(now) or (_POLL_STOPPED_MS if stopped else _POLL_MS))

    def receive(self, now, buf, n):
        """Takes the datagram buf[0:n] that came from the collector."""
        payload = self._coap.receive(now, buf, n)
        if payload is None:
            return
        nonce = struct.pack(">II", self._guard.ledger.boot_id, self._seq - 1)
        try:
            day, second, counter, orders = decode_ack(mac0_open(self._key, b"D" + self._device + nonce, payload))
        except ValueError:
            self._failed(now)
            return
        self.reports_acked += 1
        self._sending = _NONE
        self._backoff_ms = _BACKOFF_MS
        self._hold.start(now, _GAP_MS)
        if self._sms:
            self._sms.heard(now)
        if self.on_time:
            self.on_time(day, second, now)
        if counter and self.on_order:
            self.on_order(counter, orders, now)

    def _notice(self, now):
        policy = self._guard.policy
        crashes = self._guard.app_restarts
        if policy.reasons & ~self._reasons:
            self._ask_ms = _BACKOFF_MS
            self._ask_hold.start(now, 0)
        if policy.level > self._level or policy.reasons & ~self._reasons:
            rank = _BY_LEVEL[policy.level]
        elif policy.warned & ~self._warned:
            rank = _WARNED
        elif crashes != self._app_restarts and not crashes & (crashes - 1):
            # The 1st, 2nd, 4th … crash: one that comes back every few minutes must not use the plan up.
            rank = _CRASHED
        elif (
            policy.level != self._level
            or policy.reasons != self._reasons
            or self._guard.ledger.cycle_id != self._cycle_id
            or self._guard.account.standing.counter != self._counter
        ):
            rank = _CHANGED
        elif not self._interval.left_ms(now):
            rank = _PERIODIC
            self._interval.start(now, self._interval_ms)
        else:
            return
        self._remember()
        self._raise(now, rank)

    def _remember(self):
        policy = self._guard.policy
        self._level = policy.level
        self._reasons = policy.reasons
        self._warned = policy.warned
        self._cycle_id = self._guard.ledger.cycle_id
        self._counter = self._guard.account.standing.counter
        self._app_restarts = self._guard.app_restarts

    def _raise(self, now, rank):
        if self._sms:
            self._sms.raised(now, rank != _PERIODIC, rank == _STOPPED, self._pending == _NONE == self._sending)
        self._pending = max(self._pending, rank)
        if rank >= _STOPPING:
            self._coap.abort()
            self._requeue()
            self._hold.start(now, 0)

    def _requeue(self):
        self._pending = max(self._pending, self._sending)
        self._sending = _NONE

    def _begin(self, now):
        self._coap.begin(now, self._sealed())
        self._sending = self._pending
        self._pending = _NONE
        self._count_sent(now)

    def _count_sent(self, now):
        self._seq += 1
        self.reports_sent += 1
        self._interval.start(now, self._interval_ms)

    def _failed(self, now):
        self._requeue()
        # Up to half as long again, so that a fleet does not come back in step.
        self._hold.start(now, self._backoff_ms + (self._backoff_ms >> 9) * self._random(1)[0])
        self._backoff_ms = min(self._backoff_ms << 1, self._interval_ms)

    def _sealed(self):
        guard = self._guard
        ledger = guard.ledger
        policy = guard.policy
        report = encode_report(
            ledger.boot_id,
            self._seq,
            ledger.cycle_id,
            ledger.carried.value(),
            ledger.rated.value(),
            ledger.carried_base.value(),
            ledger.rated_base.value(),
            guard.error_bound_octets(),
            policy.level,
            policy.reasons,
            policy.warned,
            guard.app_restarts,
            guard.crash_code,
            _RANKS[self._pending],
            guard.account.standing.counter,
            guard.account.refused,
            guard.account.cost_fen(guard.gate.used),
        )
        return mac0_seal(self._key, b"U" + self._device, report, self._device)
