"""Quectel LTE modules with the EC2x command set: EC200U, EC200, EC2x, EG9x, EC800.

Manuals: EC2x&EG9x AT Commands (AT), EC200U&EG915U TCP/IP Application Note (TCP).
"""

from usageguard.at.digest import CME_ERROR, OK, int_field, octets_field
from usageguard.compat import const
from usageguard.core.cycle import days_from_civil
from usageguard.core.octets import Octets
from usageguard.modem.base import SLOTS
from usageguard.modem.cellular import Cellular
from usageguard.modem.quectel_slot import QuectelSlot

_CONTEXT_MS = const(150_000)  # TCP 2.1.4: AT+QIACT, the longest
_QIACT = (b"AT+QIACT=1\r", _CONTEXT_MS, None, 0)
_CONTEXTS = (b"AT+QIACT?\r", 5_000, b"+QIACT:", 0)
_QIDEACT = (b"AT+QIDEACT=1\r", 40_000, None, 0)  # TCP 2.1.5
_QCCID = (b"AT+QCCID\r", 1_000, b"+QCCID:", 0)
_QGDCNT = (b"AT+QGDCNT?\r", 1_000, b"+QGDCNT:", 0)
# The counter outlives a power cut but for the last minute; more often wears the modem's flash.
_QAUGDCNT = (b"AT+QAUGDCNT=60\r", 1_000, None, 0)
_QLTS = (b"AT+QLTS=1\r", 1_000, b"+QLTS:", 0)
_CEER = (b"AT+CEER\r", 1_000, b"+CEER:", 0)  # TS 27.007 6.10
_SANE_YEARS = range(2024, 2064)  # unsynchronized clocks show 1980 or 2004, broken ones 2080

# A refused session, as the report of AT+CEER names it: the CME errors 126 to 134, and that of an operator's barring
# (3GPP TS 27.007 9.2.2).
_REFUSALS = (
    b"insufficient resources",
    b"missing or unknown apn",
    b"unknown pdp",
    b"user authentication failed",
    b"activation rejected by",
    b"activation rejected, unspecified",
    b"service option not supported",
    b"service option not subscribed",
    b"service option temporarily out of order",
    b"operator determined barring",
)
_FIRST_REFUSAL = const(126)
_BARRING = const(177)
_BARRED = const(8)  # ESM cause: operator determined barring; other causes are 100 below their CME error


def cme_of(report):
    """The CME error for the text, or else the last number (an ESM cause or a CME error), of +CEER; 0: none."""
    words = report.lower()
    for cme, name in enumerate(_REFUSALS, _FIRST_REFUSAL):
        if name in words:
            return cme if name is not _REFUSALS[-1] else _BARRING
    number = 0
    inside = False
    for octet in report:
        if 48 <= octet <= 57:
            number = (number * 10 if inside else 0) + octet - 48
            inside = True
        else:
            inside = False
    if number == _BARRED:
        return _BARRING
    return number + 100 if 0 < number < 100 else number


class Quectel(Cellular):
    SLOT = QuectelSlot
    SETTINGS = (
        (b"AT+CMEE=1\r", 1_000, None, 0),
        (b"AT+CEREG=3\r", 1_000, None, 0),  # 3: with the cause of a denied registration
        (b"AT+CGEREP=2,1\r", 1_000, None, 0),
        (b"AT+CTZU=1\r", 1_000, None, 0),  # the network's time into the clock, as GMT
    )

    def __init__(self, hal, channel, config, account):
        super().__init__(hal, channel, config, account)
        # A stream's read that gives less than asked for empties the modem's buffer, until shown otherwise.
        self.short_read_drains = True
        self._sent = Octets()
        self._received = Octets()
        channel.on_urc(b'+QIURC: "recv"', self._on_recv)
        channel.on_urc(b'+QIURC: "closed"', self._on_closed)
        channel.on_urc(b'+QIURC: "pdpdeact"', self._lose_context)
        channel.on_urc(b"+QIOPEN:", self._on_open)

    def _activate(self):
        apn = self.config.apn.encode()
        define = (b'AT+QICSGP=1,1,"' + apn + b'","","",0\r', 1_000, None, 0)  # TCP 2.1.1; 1: IPv4
        yield from self.ask(define)
        result = yield from self.ask(_QIACT)
        if result == OK:
            return True
        cme = self.channel.error if result == CME_ERROR else 0
        answered = (yield from self.ask(_CEER)) == OK
        self.ceer = bytes(self.channel.info[6 : self.channel.info_length]).strip() if answered else b""
        self.cme = cme if cme > 0 else cme_of(self.ceer)
        yield from self._deactivate()  # a context that the network broke cannot be activated again before
        return False

    def _deactivate(self):
        for slot in self.slots:
            yield from slot.count_unread()
        yield from self.ask(_QIDEACT)

    def _is_active(self):
        if (yield from self.ask(_CONTEXTS)) != OK:
            return True
        return self.channel.number(1) == 1  # <context_state>

    def _identify(self):
        self.iccid = yield from self._info(_QCCID)
        if self.config.counter:
            yield from self.ask(_QAUGDCNT)

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
        text = yield from self._info(_QLTS)
        try:
            year, month, day = int(text[0:4]), int(text[5:7]), int(text[8:10])
            hour, minute, second = int(text[11:13]), int(text[14:16]), int(text[17:19])
            if year in _SANE_YEARS and hour < 24 and minute < 60 and second < 60:
                self._network_time(days_from_civil(year, month, day), hour * 3600 + minute * 60 + second)
        except ValueError:  # no time, or no such time
            pass

    def _slot(self, line, length, field):
        """The connection whose number a line gives; None where it names none."""
        index = int_field(line, length, field)
        return self.slots[index] if 0 <= index < SLOTS else None

    def _on_recv(self, line, length):
        slot = self._slot(line, length, 1)
        if slot:
            slot.readable_hint = True

    def _on_closed(self, line, length):
        slot = self._slot(line, length, 1)
        if slot:
            slot.closed_by_peer()

    def _on_open(self, line, length):
        slot = self._slot(line, length, 0)
        if slot:
            slot.answer = int_field(line, length, 1)
