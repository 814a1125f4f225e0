"""The path of reports: a datagram connection, metered in the class that may use the reserve; or SMS."""

from usageguard.compat import const
from usageguard.modem.connection import FREE, OPEN, Deadline

_FIRST_MS = const(30_000)  # after an open that failed: each costs a lookup; doubles
_LONGEST_MS = const(3_600_000)
# Failures in a row after which another data session is asked for; then after as many again, or a day of hourly ones.
_SESSION_AFTER = const(4)
_DAY = const(24)
_DATAGRAM = const(512)  # a CoAP acknowledgement is under 100 octets


class ReportPath:
    """Keeps one datagram connection to the collector, so that its name is looked up once per data session.

    It is the modem's first connection, which no application gets: reports do not depend on the sockets it keeps open.
    """

    TCP = False
    HEADERS = 28  # octets of IP and UDP

    def __init__(self, modem, admission, config):
        self._modem = modem
        self._admission = admission
        self._upstream = config.upstream
        self._class = admission.reserve
        self.connection = modem.connections[0]
        self.buffer = bytearray(_DATAGRAM)
        self.sms = None
        if config.upstream.sms_orders:
            from usageguard.modem.mailbox import Mailbox

            self.sms = Mailbox(modem)
        elif config.upstream.sms_number is not None:
            from usageguard.modem.messenger import Messenger

            self.sms = Messenger(modem)
        self.octets = 0  # IP octets of the datagrams, both ways
        self.alive = False  # an application has received something since the last failure; set by the guard
        self._opening = False
        self._retry = Deadline()
        self._retry_ms = _FIRST_MS
        self._sent = False  # something, since the last failure or answer
        self._failures = 0  # in a row
        self._renew_at = _SESSION_AFTER

    @property
    def registered(self):
        """Whether the modem is on the network, so that a short message can be sent."""
        return self._modem.registered

    def evidence(self):
        return self._modem.evidence()

    def ready(self):
        """Whether a datagram would be taken now; if not, starts what that needs."""
        connection = self.connection
        if connection.state == FREE:
            self._open()
        elif connection.state == OPEN:
            self._opening = False
        elif connection.state > OPEN:
            if self._opening:
                self._not_opened()
            connection.close()
        return connection.state == OPEN and not connection.tx_busy

    def answered(self):
        """The collector answered, in whatever way."""
        self._failures = 0
        self._renew_at = _SESSION_AFTER
        self._retry_ms = _FIRST_MS

    def renew(self):
        """Closes a connection that no answer comes through; `ready` then looks the name up again and opens another.

        After 4 failures in a row the modem asks for another data session, unless an application has received something
        through this one; again when there are twice as many, or 24 more if that is less.
        """
        self.connection.close()
        self._modem.names.drop(self._upstream.host)
        if self._sent:  # else nothing was admitted that could have been answered
            self._failed()

    def _not_opened(self):
        self._opening = False
        self._retry.set(self._modem.now, self._retry_ms)
        self._retry_ms = min(self._retry_ms << 1, _LONGEST_MS)
        if self._modem.online:
            self._failed()

    def _failed(self):
        self._sent = False
        self._failures += 1
        if self._failures >= self._renew_at:
            self._renew_at += min(self._failures, _DAY)
            if not self.alive:
                self._modem.renew_session()
        self.alive = False

    def _open(self):
        upstream = self._upstream
        if not upstream.host or not self._modem.online:
            return
        if self._retry.armed:
            if not self._retry.due(self._modem.now):
                return
            self._retry.clear()
        if self._admission.open(self._class, self.TCP, self._modem.name_octets(upstream.host)):
            self.connection.traffic_class = self._class
            self._opening = True
            self.connection.open(self.TCP, upstream.host, upstream.port)

    def send(self, buf, n):
        """Sends the datagram buf[0:n]; False when it was not taken (no session, no quota)."""
        if not self.ready() or not self._admission.transfer(self._class, self.TCP, n):
            return False
        connection = self.connection
        connection.tx.write(buf, 0, n)
        connection.flush(n)
        self._sent = True
        self.octets += n + self.HEADERS
        return True

    def arrived(self):
        """A datagram waits. HOT."""
        return self.connection.rx.any() > 0 and not self.connection.incoming

    def receive(self):
        """Moves the next datagram into `buffer`; its octets, 0 where there is none."""
        if not self.arrived():
            return 0
        n = self.connection.rx.readinto(self.buffer, _DATAGRAM)
        self.octets += n + self.HEADERS
        return n
