"""Short messages that arrive, beside those that are sent; loaded where orders may come by them."""

from binascii import unhexlify

from usageguard.at.digest import OK
from usageguard.compat import const
from usageguard.modem.connection import Deadline
from usageguard.modem.messenger import QUEUED, Messenger

_LOOK_MS = const(900_000)  # a notice may be lost, or a message have come before the boot
_MOST = const(10)  # at one look: a flood of messages does not hold the modem up

# TS 27.005: 3.2.3 PDU mode, 3.2.2 one memory for all, 3.4.1 a notice of each that is stored
_SETTINGS = (
    (b"AT+CMGF=0\r", 1_000, None, 0),
    (b'AT+CPMS="SM","SM","SM"\r', 5_000, None, 0),
    (b"AT+CNMI=2,1\r", 1_000, None, 0),
)
_LIST = (b"AT+CMGL=4\r", 20_000, b"+CMGL:", 0)  # 3.4.2; the last one's number stays


class Mailbox(Messenger):
    """Reads each message, deletes it, and calls `take(octets)` with its user data where it is one of 8-bit data, or of
    text in the default alphabet; `take` must not raise. Read only: `refused`, which `take` may count up."""

    def __init__(self, modem):
        super().__init__(modem)
        self.take = None
        self.refused = 0
        self._look = Deadline()
        self._look.set(modem.now, 0)
        modem.channel.on_urc(b"+CMTI:", self._came)

    @property
    def waiting(self):
        return self.state == QUEUED or self._look.due(self._modem.now)

    def run(self):
        if self._look.due(self._modem.now):
            self._look.set(self._modem.now, _LOOK_MS)
            yield from self._read()
        else:
            yield from super().run()

    def gone(self):
        super().gone()
        self._look.set(self._modem.now, 0)

    def _came(self, line, length):
        self._look.set(self._modem.now, 0)
        self._modem.poked = True

    def _read(self):
        modem = self._modem
        channel = modem.channel
        for command in _SETTINGS:
            yield from modem.ask(command)
        for _ in range(_MOST):
            if (yield from modem.ask(_LIST)) != OK or not channel.info_length:
                return
            index = channel.number(0)
            if (yield from modem.ask((b"AT+CMGR=%d\r" % index, 5_000, b"", 0))) == OK:  # 3.4.3: last comes the PDU
                try:
                    octets = user_data(unhexlify(bytes(channel.info[: channel.info_length])))
                except (ValueError, IndexError):
                    self.refused += 1
                else:
                    self.take(octets)
            # Behind what it led to: after a power cut it comes again, and is known by its number.
            yield from modem.ask((b"AT+CMGD=%d\r" % index, 5_000, None, 0))  # 3.5.4


def user_data(pdu):
    """The user data of an SMS-DELIVER in a single part (3GPP TS 23.040 9.2.2.1) behind the service centre's address: as
    it is, or text as ASCII. ValueError or IndexError for anything else."""
    at = 1 + pdu[0]
    first = pdu[at]
    at += 3 + (pdu[at + 1] + 1) // 2
    coding = pdu[at + 1]
    n = pdu[at + 9]
    data = pdu[at + 10 :]
    if first & 0x43:  # TP-MTI, TP-UDHI
        raise ValueError("SMS: of another type")
    if coding & 0xEC == 0x04 or coding & 0xF4 == 0xF4:  # TS 23.038 4: 8-bit data
        if len(data) != n:
            raise ValueError("SMS: of another length")
        return data
    if coding & 0xEC and coding & 0xF4 != 0xF0:
        raise ValueError("SMS: neither octets nor text")
    text = bytearray()
    bits = held = 0
    for octet in data:  # 6.1.2.1: septets, from the low bits on
        bits |= octet << held
        held += 8
        while held >= 7:
            text.append(bits & 0x7F)
            bits >>= 7
            held -= 7
    return bytes(text[:n])
