"""Asks an NTP server for the time, by SNTP (RFC 4330 section 5). Loaded where upstream has an `ntp_host`.

An answer is not authenticated: it only confirms what the network (NITZ) or the collector says
(`usageguard.corroborated`).
"""

from usageguard.compat import const
from usageguard.core.cycle import DAY_SECONDS
from usageguard.core.ticks import Countdown
from usageguard.modem.connection import OPEN, OPENING

_PORT = const(123)
_OCTETS = const(48)  # a header without extensions or MAC
_CLIENT = const(0x23)  # version 4, mode 3
_SERVER = const(4)  # mode
_UNSYNCHRONIZED = const(3)  # leap indicator
_ERA = const(1 << 32)  # seconds; the second one begins in 2036
_EPOCH_DAYS = const(36524)  # 1900-01-01 to 2000-01-01

_TIMEOUT_MS = const(60_000)  # a name, a question and its answer
_POLL_MS = const(1_000)
_COLLECTOR_MS = const(600_000)  # in which the collector's time, which is authenticated, may come first
_RETRY_MS = const(60_000)  # after a question without an answer (RFC 4330 10: at least 15 s); doubles with each question
_AGAIN_MS = const(660_000)  # at least, after an answer: more than corroborated.APART
_LONGEST_RETRY_MS = const(86_400_000)
_LOOK_MS = const(900_000)


class Sntp:
    """Tells `clock` an NTP server's time while it wants that. `admission` counts the octets, in the class that may use
    the reserve: 152 for an exchange, beside the name."""

    def __init__(self, hal, modem, admission, upstream, clock, now):
        self._hal = hal
        self._modem = modem
        self._admission = admission
        self._host = upstream.ntp_host
        self._clock = clock
        self._connection = None  # the open one
        self._nonce = None  # of the question that waits for its answer
        self._retry_ms = _RETRY_MS
        self._hold = Countdown()
        self._hold.start(now, _COLLECTOR_MS if upstream.host is not None else 0)

    def step(self, now):
        """Asks if it is time, and takes the answer; returns milliseconds until it has to be called again."""
        left = self._hold.left_ms(now)
        if self._connection is not None:
            if left and not self._exchange(now):
                return _POLL_MS
            self._connection.close()
            self._connection = None
            left = self._retry_ms
            self._retry_ms = min(left << 1, _LONGEST_RETRY_MS)
            self._hold.start(now, left)
        elif not self._clock.wants_ntp(now):
            self._retry_ms = _RETRY_MS
            return _LOOK_MS
        elif not left:
            self._open(now)
            return _POLL_MS if self._connection is not None else _TIMEOUT_MS
        return min(left, _LOOK_MS)

    def _open(self, now):
        modem, admission = self._modem, self._admission
        connection = modem.free_connection(1)  # the first one is the collector's
        if connection is None or not modem.online:
            return
        if admission.open(admission.reserve, False, modem.name_octets(self._host)):
            connection.traffic_class = admission.reserve
            connection.open(False, self._host, _PORT)
            self._connection = connection
            self._nonce = None
            self._hold.start(now, _TIMEOUT_MS)

    def _exchange(self, now):
        """Sends the question, takes the answer; whether the exchange is over."""
        connection = self._connection
        if self._nonce is None and connection.state == OPEN:
            question = bytearray(_OCTETS)
            question[0] = _CLIENT
            # Random in place of the time: what an attacker who does not see it cannot repeat.
            question[40:] = self._nonce = self._hal.random(8)
            if not self._admission.transfer(connection.traffic_class, False, _OCTETS):
                return True
            connection.tx.write(question, 0, _OCTETS)
            connection.flush(_OCTETS)
        n = connection.rx.any()
        if n and not connection.incoming:
            answer = bytearray(n)
            connection.rx.readinto(answer, n)
            self._take(answer, now)
            return True
        return connection.state not in (OPENING, OPEN)

    def _take(self, answer, now):
        if len(answer) < _OCTETS or answer[0] & 7 != _SERVER or answer[24:32] != self._nonce:
            return
        if not answer[1]:  # stratum 0, a kiss-o'-death: it does not want to be asked
            self._retry_ms = _LONGEST_RETRY_MS
            self._hal.event("ntp-refused")
            return
        seconds = int.from_bytes(answer[40:44], "big")
        if answer[0] >> 6 == _UNSYNCHRONIZED or answer[1] > 15 or not seconds:
            return
        if not answer[40] & 0x80:
            seconds += _ERA
        day, second = seconds // DAY_SECONDS - _EPOCH_DAYS, seconds % DAY_SECONDS
        self._retry_ms = max(self._retry_ms, _AGAIN_MS)
        self._hal.event("ntp", day, second)
        self._clock.ntp(day, second, now)
