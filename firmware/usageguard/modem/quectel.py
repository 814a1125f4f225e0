"""Quectel LTE modules with the EC2x command set: EC200U, EC200, EC2x, EG9x, EC800.

Manuals: EC2x&EG9x AT Commands (AT), EC200U&EG915U TCP/IP Application Note (TCP).
"""

from usageguard.at.channel import Command
from usageguard.at.digest import CME_ERROR, OK, int_field, octets_field
from usageguard.compat import const
from usageguard.core.cycle import days_from_civil
from usageguard.core.octets import Octets
from usageguard.modem.base import SLOTS
from usageguard.modem.cellular import Cellular
from usageguard.modem.quectel_slot import QuectelSlot

_CONTEXT_MS = const(150_000)  # TCP 2.1.4: AT+QIACT, the longest
_QIACT = Command(b"AT+QIACT=1", _CONTEXT_MS)
_CONTEXTS = Command(b"AT+QIACT?", 5_000, b"+QIACT:")
_QIDEACT = Command(b"AT+QIDEACT=1", 40_000)  # TCP 2.1.5
_QCCID = Command(b"AT+QCCID", 1_000, b"+QCCID:")
_QGDCNT = Command(b"AT+QGDCNT?", 1_000, b"+QGDCNT:")
# The counter outlives a power cut but for the last minute; more often wears the modem's flash.
_QAUGDCNT = Command(b"AT+QAUGDCNT=60", 1_000)
_QLTS = Command(b"AT+QLTS=1", 1_000, b"+QLTS:")
_CEER = Command(b"AT+CEER", 1_000, b"+CEER:")  # TS 27.007 6.10
_SANE_YEARS = range(2024, 2064)  # unsynchronized clocks show 1980 or 2004, broken ones 2080

# A refused session, as the report of AT+CEER names it (3GPP TS 27.007 9.2.2) and as a CME error.
_REFUSALS = (
    (b"operator determined barring", 177),
    (b"insufficient resources", 126),
    (b"missing or unknown apn", 127),
    (b"unknown pdp", 128),
    (b"user authentication failed", 129),
    (b"activation rejected by", 130),
    (b"activation rejected, unspecified", 131),
    (b"service option not supported", 132),
    (b"service option not subscribed", 133),
    (b"service option temporarily out of order", 134),
)
_BARRED = const(8)  # ESM cause: operator determined barring; other causes are 100 below their CME error


def cme_of(report):
    """The CME error for the text, or else the last number (an ESM cause or a CME error), of +CEER; 0: none."""
    words = report.lower()
    for name, cme in _REFUSALS:
        if name in words:
            return cme
    number = 0
    inside = False
    for octet in report:
        if 48 <= octet <= 57:
            number = (number * 10 if inside else 0) + octet - 48
            inside = True
        else:
            inside = False
    if number == _BARRED:
        return 177
    return number + 100 if 0 < number < 100 else number


class Quectel(Cellular):
    SETTINGS = (
        Command(b"AT+CMEE=1", 1_000),
        Command(b"AT+CEREG=3", 1_000),  # 3: with the cause of a denied registration
        Command(b"AT+CGEREP=2,1", 1_000),
        Command(b"AT+CTZU=1", 1_000),  # the network's time into the clock, as GMT
    )

    def __init__(self, hal, channel, config, account):
        super().__init__(hal, channel, config, account)
        # A stream's read that gives less than asked for empties the modem's buffer, until shown otherwise.
        self.short_read_drains = True
        self._sent = Octets()
        self._received = Octets()
        channel.on_urc(b'+QIURC: "recv"', self._on_recv)
        channel.on_urc(b'+QIURC: "closed"', self._on_closed)
        channel.on_urc(b'+QIURC: "pdpdeact"', self._on_pdp_deactivated)
        channel.on_urc(b"+QIOPEN:", self._on_open)

    def _make_slots(self):
        return [QuectelSlot(self, index) for index in range(SLOTS)]

    def _activate(self):
        apn = self.config.apn.encode()
        yield from self._ask(Command(b'AT+QICSGP=1,1,"' + apn + b'","","",0', 1_000))  # TCP 2.1.1; 1: IPv4
        result = yield from self._ask(_QIACT)
        if result == OK:
            return True
        cme = self.channel.error if result == CME_ERROR else 0
        answered = (yield from self._ask(_CEER)) == OK
        self.ceer = bytes(self.channel.info[6 : self.channel.info_length]).strip() if answered else b""
        self.cme = cme if cme > 0 else cme_of(self.ceer)
        yield from self._deactivate()  # a context that the network broke cannot be activated again before
        return False

    def _deactivate(self):
        for slot in self.slots:
            yield from slot.count_unread()
        yield from self._ask(_QIDEACT)

    def _is_active(self):
        if (yield from self._ask(_CONTEXTS)) != OK:
            return True
        return int_field(self.channel.info, self.channel.info_length, 1) == 1  # <context_state>

    def _identify(self):
        self.iccid = yield from self._info(_QCCID, 0)
        if self.config.counter:
            yield from self._ask(_QAUGDCNT)

    def _start_counter(self):
        if self.config.counter:
            self.channel.start(_QGDCNT)
        return self.config.counter

    def _counter_read(self):
        channel = self.channel
        if (
            channel.result == OK
            and octets_field(channel.info, channel.info_length, 0, self._sent)
            and octets_field(channel.info, channel.info_length, 1, self._received)
        ):
            self.account.counter(self._sent, self._received)

    def _read_time(self):
        """+QLTS: "yyyy/MM/dd,hh:mm:ss+zz,d": GMT although it names a zone; "" before the network told it."""
        text = yield from self._info(_QLTS, 0)
        try:
            year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
            hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
            if year in _SANE_YEARS and hour < 24 and minute < 60 and second < 60:
                self._network_time(days_from_civil(year, month, day), hour * 3600 + minute * 60 + second)
        except ValueError:  # no time, or no such time
            pass

    def _on_recv(self, line, length):
        index = int_field(line, length, 1)
        if 0 <= index < SLOTS:
            self.slots[index].notified()

    def _on_closed(self, line, length):
        index = int_field(line, length, 1)
        if 0 <= index < SLOTS:
            self.slots[index].closed_by_peer()

    def _on_pdp_deactivated(self, line, length):
        self._lose_context()

    def _on_open(self, line, length):
        index = int_field(line, length, 0)
        if 0 <= index < SLOTS:
            self.slots[index].answered(int_field(line, length, 1))
