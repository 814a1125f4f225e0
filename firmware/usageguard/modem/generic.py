"""A modem by 3GPP's commands alone: data session, SMS and evidence, but no connections and no counter."""

from usageguard.at.digest import OK, int_field, text_field
from usageguard.compat import const
from usageguard.modem.cellular import Cellular
from usageguard.modem.generic_connection import GenericConnection

_CONTEXT_MS = const(150_000)
_PAUSE_MS = const(20)  # as the manuals of Telit (2.2.5) and u-blox (2.2.5.1) advise
# Clauses of 3GPP TS 27.007.
_UP = (b"AT+CGACT=1,1\r", _CONTEXT_MS, None, 0)  # 10.1.10
_DOWN = (b"AT+CGACT=0,1\r", _CONTEXT_MS, None, 0)
_STATES = (b"AT+CGACT?\r", 5_000, None, 0)  # a line for each context, taken as an unsolicited one
_EF_ICCID = (b"AT+CRSM=176,12258,0,0,10\r", 5_000, b"+CRSM:", 0)  # 8.18: READ BINARY of EF ICCID (TS 31.102)


class Generic(Cellular):
    """Also the base of families whose data session is a context of 3GPP's."""

    CONNECTION = GenericConnection
    COUNTER = False
    SETTINGS = (
        (b"AT+CMEE=1\r", 1_000, None, 0),  # 9.1
        (b"AT+CGEREP=2,1\r", 1_000, None, 0),  # 10.1.19
        (b"AT+CTZU=1\r", 1_000, None, 0),  # 8.40: the network's time into the clock
    )

    def __init__(self, hal, channel, config, listener):
        super().__init__(hal, channel, config, listener)
        channel.pause_ms = _PAUSE_MS
        self._context_state = -1  # -1: not told
        channel.on_urc(b"+CGACT:", self._on_context)

    def _activate(self):
        apn = self.config.apn.encode()
        yield from self.ask((b'AT+CGDCONT=1,"IP","' + apn + b'"\r', 1_000, None, 0))  # 10.1.1
        if (yield from self.ask(_UP)) == OK:
            return True
        yield from self._refused()
        return False

    def _deactivate(self):
        """On LTE the last context stays as long as the modem is attached (CME ERROR 171), with nobody to use it."""
        yield from self.ask(_DOWN)

    def _is_active(self):
        self._context_state = -1
        return (yield from self.ask(_STATES)) != OK or self._context_state == 1

    def _identify(self):
        """+CRSM: <sw1>,<sw2>,<response>: digits in pairs, of each the first in the low nibble."""
        yield from self.ask(_EF_ICCID)
        digits = text_field(self.channel.info, self.channel.info_length, 2)
        swapped = bytearray()
        for i in range(1, len(digits), 2):
            swapped.append(digits[i])
            swapped.append(digits[i - 1])
        self.iccid = bytes(swapped).replace(b"F", b"")

    def _on_context(self, line, length):
        """+CGACT: <cid>,<state>"""
        if int_field(line, length, 0) == 1:
            self._context_state = int_field(line, length, 1)
