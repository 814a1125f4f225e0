"""What is reported upstream, when, and over which path.

A report is the whole cumulative state (SPEC.md, "Report"), so only the newest is worth sending: what waits
here is a reason to report, not a queue of reports. The reason stays until a report with it is acknowledged.
"""

import struct
from hashlib import sha256

from usageguard.compat import const
from usageguard.core.mac import TAG_OCTETS, mac0_check, mac0_open, mac0_seal, mac0_tag
from usageguard.core.policy import RESTRICTED
from usageguard.core.record import decode_ack, encode_brief, encode_report, encode_state
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

# The weakest first: of several that wait the strongest is named; the state shows the others.
_RANKS = (VALIDITY_TIME, RATING_CONDITION_CHANGE, BOOT, APPLICATION_CRASH, THRESHOLD, QUOTA_EXHAUSTED, FINAL)
_NONE = const(-1)
_UNTOLD = const(0)
_NO_STATE = const(1)
_KNOWN = const(0)  # of the diagnosis that an order asks for
_WANTED = const(1)
_SENT = const(2)  # in the report under way
_PERIODIC = const(0)
_CHANGED = const(1)
_BOOTED = const(2)
_CRASHED = const(3)
_WARNED = const(4)
_STOPPING = const(5)  # from here up a report is sent at once, and one under way is aborted
_STOPPED = const(6)
# Rank of a verdict that got worse, by Policy.level.
_BY_LEVEL = (_CHANGED, _WARNED, _WARNED, _WARNED, _STOPPING, _STOPPED)
_TERMINATED = const(5)

_MAX_OCTETS = const(167)  # of a report
_DETAILS_MS = const(86_400_000)  # from one full report to the next
_GAP_MS = const(30000)  # between two reports, so that changes close to each other share one
_BACKOFF_MS = const(60000)  # after the first failure; doubles up to the report interval
_POLL_MS = const(2000)  # while a report waits for its path
_POLL_STOPPED_MS = const(60000)  # or where there is no collector


class Outbox:
    """Reports the device's state through `path`. Call `step` when the policy's actions say REPORT, and when it is due.

    `ledger`, `policy` and `account` are restored from what is stored. `path` has
    - `ready()`: whether a datagram to the collector would be taken now; if not, it starts what that needs.
    - `send(buf, n)`: sends the datagram buf[0:n] in the class that may use the reserve; whether it was taken.
    - `renew()`: gives the way to the collector up; the next `ready` finds another. `answered()`: it leads there.
    - `evidence()`: as modem.base.Modem.evidence.
    - `registered`: whether the modem is on the network, so that a short message can be sent.
    - `sms`: a modem.messenger.Messenger, where upstream has an `sms_number`.
    - `octets`: IP octets of all datagrams.
    With upstream's `mqtt` it is an upstream.mqtt.MqttPath, and datagrams are octets of a connection.
    Datagrams from the collector go to `receive`. `on_time(day, second, now)` gets the collector's time, which
    is at most as old as the exchange took (93 s); then `on_order(counter, orders, now)` an order that came with it.
    `on_verdict(False)` gives the verdicts on what keeps the device offline, as Guard.diagnose.

    If no datagram gets through, a report may be sent as a short message (`upstream.sms`).

    Read only: `app_restarts`, which counts up; `reports_sent`; `reports_acked`; when the last report was sent (ticks
    `sent_at`), and whether it was acknowledged (`is_answered`). For the guard to count: `radio_on_s`, seconds of this
    boot and its sleeps in which the modem was on.
    """

    def __init__(self, config, hal, ledger, policy, account, admission, path, now):
        self.reports_sent = 0
        self.reports_acked = 0
        self.sent_at = 0
        self.is_answered = False
        self.radio_on_s = 0
        self.app_restarts = 0
        self.on_time = self.on_order = self.on_verdict = None
        self._crash_code = 0
        self._device = config.device_id.encode()
        self._key = config.key
        self._least_ms = self._interval_ms = config.upstream.interval_s * 1000
        self._poll_ms = _POLL_MS if config.upstream.host is not None else _POLL_STOPPED_MS
        self._random = hal.random
        self._ledger = ledger
        self._policy = policy
        self._account = account
        self._admission = admission
        self._path = path
        if config.upstream.mqtt:
            from usageguard.upstream.mqtt import Mqtt

            self._exchange = Mqtt(config, path)
        else:
            self._exchange = Coap(hal.random, _MAX_OCTETS)
        self._seq = 0  # of the next report; (boot_id, seq) never comes twice in the ledger's life
        # A digest of the state in the last report; _NO_STATE: the next one tells it; _UNTOLD: and is full.
        self._told = _UNTOLD
        self._sim = 0  # the one that was told
        self._details = Countdown()  # until the next full report
        self._diagnosis = _KNOWN
        self._sending = _NONE  # rank of the report under way
        self._pending = _BOOTED  # rank of what waits to be reported
        self._backoff_ms = _BACKOFF_MS
        self._ask_ms = _BACKOFF_MS  # twice the time from a report to the next one that is requested
        self._interval = Countdown()
        self._hold = Countdown()
        self._ask_hold = Countdown()
        self._interval.start(now, self._interval_ms)
        self._sms = None
        if config.upstream.sms_number is not None:
            from usageguard.upstream.sms import ShortMessages

            self._sms = ShortMessages(config.upstream, ledger, admission, path, now)
        self._remember()

    @property
    def refused(self):
        """The code octet by which the collector refused the last report (0x81 = 4.01), else 0."""
        return self._exchange.code if self._exchange.code >> 5 > 2 else 0

    def octets_per_report(self):
        """IP octets per acknowledged report, both ways."""
        return self._path.octets // max(1, self.reports_acked)

    def crashed(self, code):
        """The application ended with an exception; `code` is reported."""
        self.app_restarts += 1
        self._crash_code = code

    def step(self, now):
        """Notices what changed and sends what is due. Allocates only to build a report."""
        self._interval.left_ms(now)
        self._hold.left_ms(now)
        self._ask_hold.left_ms(now)
        self._details.left_ms(now)
        self._notice(now)
        sms = self._sms
        if sms:
            sms.step(now)
        exchange = self._exchange
        if self._pending != _NONE and not exchange.busy and not self._hold.left_ms(now):
            ready = self._path.ready()
            stopped = not ready and self._policy.level == _TERMINATED
            if sms and sms.due(now, stopped):
                if sms.send(now, self._sealed(True)):
                    self._hold.start(now, _GAP_MS)
                    self._count_sent(now)
            elif ready:
                self._begin(now)
        does = exchange.step(now)
        while does != WAIT:
            if does == SEND:
                self._path.send(exchange.out, exchange.out_n)
            elif does == REPLY:
                self._path.send(exchange.reply, len(exchange.reply))
            else:
                self._failed(now)
            does = exchange.step(now)

    def ask(self, now):
        """Requests a report without waiting for the interval; whether one will be sent.

        The time from one report to the next that is requested doubles each time, up to the interval, until another
        reason to stop is raised: an application that is not admitted requests one with each packet.
        """
        if self._pending != _NONE or self._sending != _NONE or self._ask_hold.left_ms(now):
            return False
        self._ask_ms = min(self._ask_ms << 1, self._interval_ms << 1)
        self._raise(now, _WARNED)
        return True

    @property
    def waiting(self):
        """Whether there is something to report, or an exchange under way."""
        return self._pending != _NONE or self._sending != _NONE

    def pace(self, now, ms, left_ms):
        """Has unchanged state reported every `ms`, the next time in `left_ms` (both below 2**29); no more often than is
        configured."""
        left = self._interval.left_ms(now)
        slow = ms > self._least_ms
        self._interval_ms = ms if slow else self._least_ms
        if left:  # else a report is due, or waits
            self._interval.start(now, max(1, left_ms) if slow else min(left, self._least_ms))

    def hurry(self, now):
        """Has a report sent as soon as the path takes one, without a wait for the interval or after a failure."""
        if self._sending == _NONE:
            self._raise(now, _PERIODIC)
            self._hold.start(now, 0)

    def tell_all(self, now, diagnosed):
        """Has a full report sent at once, as a short message where no datagram gets through; if `diagnosed`, with what
        keeps the device offline, also while data flows."""
        self._details.start(now, 0)
        if diagnosed:
            self._diagnosis = _WANTED
        self.hurry(now)
        if self._sms:
            self._sms.raised(now, True, False, False)
            self._sms.hurry(now)

    def due_ms(self, now):
        """Milliseconds until `step` is wanted next, if nothing changes before."""
        due = self._interval.left_ms(now)
        exchange_due = self._exchange.due_ms(now)
        if exchange_due >= 0:
            return min(due, exchange_due)
        if self._pending == _NONE:
            return due
        stopped = self._policy.level == _TERMINATED
        return min(due, self._hold.left_ms(now) or (_POLL_STOPPED_MS if stopped else self._poll_ms))

    def receive(self, now, buf, n):
        """Takes the datagram buf[0:n] that came from the collector."""
        payload = self._exchange.receive(now, buf, n)
        if payload is None:
            return
        ledger = self._ledger
        answers = b"A" + bytes(ledger.life_id) + self._device + struct.pack(">II", ledger.boot_id, self._seq - 1)
        day = None
        counter = 0
        try:
            if len(payload) == TAG_OCTETS:  # an empty one
                mac0_check(self._key, answers, b"", payload)
            else:
                day, second, counter, orders = decode_ack(mac0_open(self._key, answers, payload))
        except ValueError:
            self._failed(now)
            return
        self.reports_acked += 1
        self.is_answered = True
        if self._diagnosis == _SENT:
            self._diagnosis = _KNOWN
        self._sending = _NONE
        self._path.answered()
        self._backoff_ms = _BACKOFF_MS
        self._hold.start(now, _GAP_MS)
        if self._sms:
            self._sms.acknowledged(now)
        if day is not None and self.on_time:
            self.on_time(day, second, now)
        if counter and self.on_order:
            self.on_order(counter, orders, now)

    def _notice(self, now):
        policy = self._policy
        crashes = self.app_restarts
        if policy.reasons & ~self._reasons:
            self._ask_ms = _BACKOFF_MS
            self._ask_hold.start(now, 0)
        if policy.level > self._level or policy.reasons & ~self._reasons:
            rank = _BY_LEVEL[policy.level]
        elif policy.warned & ~self._warned:
            rank = _WARNED
        elif crashes != self._app_restarts and not crashes & (crashes - 1):
            # The 1st, 2nd, 4th … crash: reports of one that recurs every few minutes must not use up the plan.
            rank = _CRASHED
        elif (
            policy.level != self._level
            or policy.reasons != self._reasons
            or self._ledger.cycle_id != self._cycle_id
            or self._account.standing.counter != self._counter
            or self._is_refusal()
        ):
            rank = _CHANGED
        elif not self._interval.left_ms(now):
            rank = _PERIODIC
            self._interval.start(now, self._interval_ms)
        else:
            return
        self._remember()
        self._raise(now, rank)

    def _is_refusal(self):
        """Whether to report that an order was refused: at the 1st, 2nd, 4th … refusal, as upstream may repeat it."""
        refused = self._account.refused
        return refused != self._refused and not refused & (refused - 1)

    def _remember(self):
        policy = self._policy
        self._level = policy.level
        self._reasons = policy.reasons
        self._warned = policy.warned
        self._cycle_id = self._ledger.cycle_id
        self._counter = self._account.standing.counter
        self._refused = self._account.refused
        self._app_restarts = self.app_restarts

    def _raise(self, now, rank):
        if self._sms:
            self._sms.raised(now, rank != _PERIODIC, rank == _STOPPED, self._pending == _NONE == self._sending)
        self._pending = max(self._pending, rank)
        if rank >= _STOPPING:
            self._exchange.abort()
            self._requeue()
            self._hold.start(now, 0)

    def _requeue(self):
        # After a failure the collector may have lost the life, without which it can verify nothing. After a sleep its
        # time is wanted.
        self._told = _UNTOLD if self._sending != _NONE else min(self._told, _NO_STATE)
        self._pending = max(self._pending, self._sending)
        self._sending = _NONE

    def _begin(self, now):
        sim = self._account.sim
        full = self._told == _UNTOLD or sim != self._sim or not self._details.left_ms(now)
        if full:
            self._sim = sim
            self._details.start(now, _DETAILS_MS)
        self._exchange.begin(now, self._sealed(full, full, not full and self._pending == _PERIODIC))
        self._sending = self._pending
        self._pending = _NONE
        self._count_sent(now)

    def _count_sent(self, now):
        self._seq += 1
        self.reports_sent += 1
        self.sent_at = now
        self.is_answered = False
        self._interval.start(now, self._interval_ms)
        self._ask_hold.start(now, self._ask_ms >> 1)

    def _failed(self, now):
        self._requeue()
        if self._exchange.code:
            self._path.answered()
        else:
            self._path.renew()
        # Up to half as long again at random, so that the devices of a fleet do not retry at the same time.
        self._hold.start(now, self._backoff_ms + (self._backoff_ms >> 9) * self._random(1)[0])
        self._backoff_ms = min(self._backoff_ms << 1, self._interval_ms)

    def _sealed(self, full, details=False, brief=False):
        """The report of the present state. A full one contains the ids of life and SIM; else only its MAC covers the
        life's. With `details` it is too long for a short message. A `brief` one leaves out the state where the report
        before, which was acknowledged, told the same."""
        ledger, policy, account, admission = self._ledger, self._policy, self._account, self._admission
        life_id = bytes(ledger.life_id)
        fields = (
            ledger.boot_id,
            self._seq,
            ledger.cycle_id,
            ledger.carried.value(),
            ledger.rated.value(),
            ledger.carried_base.value(),
            ledger.rated_base.value(),
            admission.error_bound_octets(),
            policy.level,
            policy.reasons,
            policy.warned,
            self.app_restarts,
            self._crash_code,
            _RANKS[self._pending],
            account.standing.counter,
            account.refused,
            account.cost_fen(admission.used),
        )
        state = encode_state(*fields)
        before = self._told
        self._told = _NO_STATE + 1 + int.from_bytes(sha256(state).digest()[:3], "big")
        if brief and self._told == before:
            report = encode_brief(*fields)
            return report + life_id + mac0_tag(self._key, b"B" + life_id + self._device + state, report)
        if full and not details:  # a short message, which is not acknowledged
            self._told = min(before, _NO_STATE)
        cause = 0
        if full and self.on_verdict and (policy.level >= RESTRICTED or not details or self._diagnosis):
            try:
                if self._diagnosis:
                    self._diagnosis = _SENT
                verdicts = self.on_verdict(False)
                cause = verdicts[0].cause if verdicts else 0
            except MemoryError:  # the report goes without it
                pass
        report = encode_report(
            *fields,
            life_id=life_id if full else b"",
            sim=account.sim.to_bytes(4, "big") if account.sim else b"",
            cause=cause,
            details=(admission.meter.packets, admission.meter.sessions) + self._path.evidence() if details else (),
        )
        direction = b"U" if full else b"R" + life_id
        return mac0_seal(self._key, direction + self._device, report, self._device)
