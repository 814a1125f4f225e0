"""How a report travels: a datagram socket of the modem through the gate, in the class that may use the reserve; or
SMS."""

from usageguard.compat import const
from usageguard.modem.slot import FREE, OPEN

_DATAGRAM = const(512)  # a CoAP acknowledgement is under 100 octets


class ReportPath:
    """Keeps one datagram slot to the collector, so that its name is looked up once per data session, not per report.

    It is the first one, which no application gets: however many sockets that holds, a report finds its way.
    """

    def __init__(self, modem, gate, config):
        self._modem = modem
        self._gate = gate
        self._upstream = config.upstream
        self._class = gate.reserve
        self.slot = modem.slots[0]
        self.buffer = bytearray(_DATAGRAM)
        self.sms = None
        if config.upstream.sms_number is not None:
            from usageguard.modem.sms import Messenger

            self.sms = Messenger(modem).send  # (number, octets): 8-bit user data as one short message; whether taken
        self.octets = 0  # IP octets of the datagrams, both ways

    @property
    def registered(self):
        """The modem is on the network: a short message can go."""
        return self._modem.registered

    def ready(self):
        """Whether a datagram would be taken now; if not, starts what that needs."""
        slot = self.slot
        if slot.state == FREE:
            self._open()
        elif slot.state > OPEN:
            slot.close()
        return slot.state == OPEN and not slot.tx_busy

    def _open(self):
        upstream = self._upstream
        if not upstream.host or not self._modem.online:
            return
        name_octets = 0 if upstream.host.replace(".", "").isdigit() else len(upstream.host)
        if self._gate.open(self._class, False, name_octets):
            self.slot.traffic_class = self._class
            self.slot.open(False, upstream.host, upstream.port)

    def send(self, buf, n):
        """Sends the datagram buf[0:n]; False when it was not taken (no session, no quota)."""
        if not self.ready() or not self._gate.transfer(self._class, False, n):
            return False
        slot = self.slot
        slot.tx.write(buf, 0, n)
        slot.flush(n)
        self.octets += n + 28
        return True

    def arrived(self):
        """A datagram waits. HOT."""
        return self.slot.rx.any() > 0

    def receive(self):
        """Moves the next datagram into `buffer`; its octets, 0 where there is none."""
        if not self.arrived():
            return 0
        n = self.slot.rx.readinto(self.buffer, _DATAGRAM)
        self.octets += n + 28
        return n
