"""China Mobile OneMO LTE modules: ML307R, ML307A, ML305A and their kin. They have no data counter.

Manuals: OneMO LTE extended AT commands V1.7.4 (AT), OneMO TCP/IP user guide (TCP).
"""

from usageguard.at.digest import OK, int_field, text_field
from usageguard.compat import const
from usageguard.modem.base import CONNECTIONS
from usageguard.modem.cellular import Cellular
from usageguard.modem.mip_connection import MipConnection

_UP = (b"AT+MIPCALL=1,1\r", 40_000, None, 0)  # AT 4.17
_DOWN = (b"AT+MIPCALL=0,1\r", 15_000, None, 0)
_SESSION = (b"AT+MIPCALL?\r", 5_000, b"+MIPCALL:", 0)
_ASKS = const(10)  # whether the session is up, every 2 s
_ASK_MS = const(2_000)
_IMEI = (b"AT+CGSN=1\r", 1_000, b"+CGSN:", 0)  # TS 27.007 5.4; without =1 some answer with their serial number
_MCCID = (b"AT+MCCID\r", 1_000, b"+MCCID:", 0)
# SYN and SYN-ACK 52 each; ACK, and FIN and ACK of both sides, 40 each. The TCP of these modules is lwIP; it offers MSS,
# window scale and SACK, and no timestamps (lwip/opt.h and arch/lwipopts.h of the OpenCPU SDK 1.4.2, ML305A and ML307A).
_OPEN_CLOSE_TCP = const(2 * 52 + 5 * 40)
_NAME_S = const(3_600)  # for which the modem itself keeps an address (TCP 3.16, "cached"); it tells no TTL
_PDP_LOST = const(3)
_OPEN = const(79)  # "O", the fifth octet of +MIPOPEN


class Mip(Cellular):
    """Its listener has `admission`, whose meter learns what a connection of this TCP costs."""

    CONNECTION = MipConnection
    COUNTER = False
    WINDOW = 64_240  # TCP 3.1: fixed, whatever "rcvbuf" says; the ML305U's is 63,920, that of the ML307H 65,535
    SETTINGS = (
        (b"AT+CMEE=1\r", 1_000, None, 0),
        (b"AT+CGEREP=2,1\r", 1_000, None, 0),
        (b"AT+CTZU=1\r", 1_000, None, 0),  # the network's time into the clock, as local time
        (b'AT+MDNSCFG="priority",0\r', 1_000, None, 0),  # TCP 3.16: IPv4 first
    )

    def __init__(self, hal, channel, config, listener):
        super().__init__(hal, channel, config, listener)
        listener.admission.meter.open_close = _OPEN_CLOSE_TCP
        # Every segment that arrives is told of, so that a read that empties the buffer needs no other behind it.
        self.short_read_drains = True
        self.opening = None  # the connection whose AT+MIPOPEN is under way: an error to it does not say whose it is
        channel.on_urc(b"+MATREADY", self._on_ready)
        channel.on_urc(b"+MIPCALL:", self._on_session)
        channel.on_urc(b"+MIPOPEN:", self._on_result)
        channel.on_urc(b"+MIPCLOSE:", self._on_result)
        channel.on_urc(b"+MDNSGIP:", self._on_name)
        channel.on_urc(b"+MIPURC:", self._on_event)
        channel.on_urc(b"+CME ERROR:", self._on_error)

    def _activate(self):
        apn = self.config.apn.encode()
        yield from self.ask((b'AT+CGDCONT=1,"IP","' + apn + b'"\r', 1_000, None, 0))
        if (yield from self._is_active()):  # as a rule it has been since the modem booted
            return True
        if (yield from self.ask(_UP)) == OK:
            for _ in range(_ASKS):  # +MIPCALL tells when it is up, and may get lost
                if (yield from self._is_active()):
                    return True
                yield from self._sleep(_ASK_MS)
        yield from self._refused()
        yield from self._deactivate()
        return False

    def _deactivate(self):
        for connection in self.connections:
            yield from connection.count_unread()
        yield from self.ask(_DOWN)

    def _is_active(self):
        """An answer without a session has no line, or one with the state 0."""
        if (yield from self.ask(_SESSION)) != OK:
            return True
        return self.channel.info_length > 0 and self.channel.number(1) == 1

    def _identify(self):
        self.imei = yield from self._info(_IMEI)
        self.iccid = yield from self._info(_MCCID)

    def _on_session(self, line, length):
        """+MIPCALL: <cid>,<state>[,<address>]"""
        if int_field(line, length, 0) == 1 and int_field(line, length, 1) == 0:
            self._lose_context()

    def _on_result(self, line, length):
        """+MIPOPEN: <id>,<result> or +MIPCLOSE: <id>"""
        index = int_field(line, length, 0)
        if 0 <= index < CONNECTIONS:
            self.connections[index].answer = int_field(line, length, 1) if line[4] == _OPEN else 0

    def _on_name(self, line, length):
        """+MDNSGIP: "<name>"[,"<address>"[,...]]: without an address there is none."""
        pending = self.names.pending
        if pending is not None and text_field(line, length, 0) == pending.encode():
            self.name_found(text_field(line, length, 1), _NAME_S)

    def _on_error(self, line, length):
        """The result of AT+MIPOPEN, without the connection's number."""
        if self.opening:
            self.opening.answer = int_field(line, length, 0)

    def _on_event(self, line, length):
        """HOT.

        "rtcp",<id>,<octets>,<octets that wait>: a segment has arrived. "rudp",<id>,<datagrams that wait>: one has.
        "drop",<id>,<octets>: they have, and the modem had no room.
        "disconn",<id>,<why>: it has ended, 1 by the peer, 2 by an error, 3 with the data session.
        """
        index = int_field(line, length, 1)
        number = int_field(line, length, 2)
        if line.find(b"disconn", 10, length) == 10 and number == _PDP_LOST:
            self._lose_context()
        elif 0 <= index < CONNECTIONS:
            self.connections[index].told(line, length, number)
