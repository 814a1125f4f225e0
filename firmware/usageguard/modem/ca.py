"""SIMCom SIM7080G, SIM7070 and SIM7090: data session by AT+CNACT, sockets by AT+CA..., counter by AT+CNII.

Manual: SIM7070_SIM7080_SIM7090 Series AT Commands (AT).
"""

from usageguard.at.digest import OK, int_field, octets_field, text_field
from usageguard.compat import const
from usageguard.core.octets import Octets
from usageguard.modem.base import CONNECTIONS
from usageguard.modem.ca_connection import FIRST_ID, UNKNOWN, CaConnection
from usageguard.modem.cellular import Cellular

# The session of index 0 runs over the context of <cid> 1.
_UP_MS = const(60_000)  # +APP PDP comes within 60 s
_DOWN_MS = const(5_000)
_POLL_MS = const(10_000)
_UP = (b"AT+CNACT=0,1\r", _UP_MS, None, 0)
_DOWN = (b"AT+CNACT=0,0\r", _UP_MS, None, 0)
_STATES = (b"AT+CNACT?\r", 5_000, None, 0)  # a line for each index, taken as an unsolicited one
_CCID = (b"AT+CCID\r", 1_000, b"", 0)
_CNII = (b"AT+CNII=0\r", 1_000, b"+CNII:", 0)
_A = const(65)  # letters
_D = const(68)
_O = const(79)
_R = const(82)
_S = const(83)
_T = const(84)


class Ca(Cellular):
    CONNECTION = CaConnection
    WINDOW = 10_240  # assumed: the manual does not say; the counter shows what is beyond
    SETTINGS = (
        (b"AT+CMEE=1\r", 1_000, None, 0),
        (b"AT+CGEREP=2,1\r", 1_000, None, 0),
        (b"AT+CLTS=1\r", 1_000, None, 0),  # the network's time into the clock, as local time
    )

    def __init__(self, hal, channel, config, listener):
        super().__init__(hal, channel, config, listener)
        # A stream's read that gives less than asked for empties the modem's buffer, until shown otherwise.
        self.short_read_drains = True
        self.numbered = UNKNOWN
        self._up = -1  # whether the session is; -1: not told
        self._awaited = False
        self._sent = Octets()
        self._received = Octets()
        channel.on_urc(b"NORMAL POWER DOWN", self._on_ready)
        channel.on_urc(b"+APP PDP: 0,", self._on_session)
        channel.on_urc(b"+CNACT:", self._on_state)
        channel.on_urc(b"+CDNSGIP:", self._on_name)
        channel.on_urc(b"+CA", self._on_socket)

    def _activate(self):
        apn = self.config.apn.encode()
        yield from self.ask((b'AT+CGDCONT=1,"IP","' + apn + b'"\r', 1_000, None, 0))
        yield from self.ask((b'AT+CNCFG=0,1,"' + apn + b'"\r', 1_000, None, 0))  # 1: IPv4
        self._up = -1
        if (yield from self.ask(_UP)) == OK:
            for _ in range(0, _UP_MS, _POLL_MS):  # +APP PDP may get lost
                yield from self._await(_POLL_MS)
                if self._up >= 0:
                    break
                yield from self._is_active()
                if self._up == 1:
                    break
                self._up = -1
        if self._up == 1:
            yield from self._read_now()  # it may have begun with the session: before the first octet
            return True
        yield from self._refused()
        yield from self._deactivate()
        return False

    def _await(self, ms):
        """Until the modem tells of the session."""
        self._awaited = True
        if self._up < 0:
            yield from self._sleep(ms)
        self._awaited = False

    def _deactivate(self):
        for connection in self.connections:
            yield from connection.count_unread()
        yield from self._read_now()  # it may begin anew with the next session
        self._up = -1
        if (yield from self.ask(_DOWN)) == OK:
            yield from self._await(_DOWN_MS)
        else:  # the network ended the session, and the modem keeps its sockets until they are closed
            for connection in self.connections:
                yield from connection._quit_connection()

    def _is_active(self):
        self._up = -1
        return (yield from self.ask(_STATES)) != OK or self._up == 1

    def _identify(self):
        self.iccid = yield from self._info(_CCID)

    def _start_counter(self):
        if self.config.counter:
            self.channel.start(_CNII)
        return self.config.counter

    def _counter_read(self):
        """+CNII: <index>,<mtu>,<received>,<sent>,... in octets of IP."""
        channel = self.channel
        if (
            channel.result == OK
            and octets_field(channel.info, channel.info_length, 2, self._received)
            and octets_field(channel.info, channel.info_length, 3, self._sent)
        ):
            self.listener.counter(self._sent, self._received)

    def _on_session(self, line, length):
        """+APP PDP: 0,ACTIVE or +APP PDP: 0,DEACTIVE"""
        self._up = 1 if line[12] == _A else 0
        if self._awaited:
            self._pause.set(self.now, 0)
        if not self._up:
            self._lose_context()

    def _on_state(self, line, length):
        """+CNACT: <index>,<state>,<address>"""
        if int_field(line, length, 0) == 0:
            self._up = int_field(line, length, 1)

    def _on_name(self, line, length):
        """+CDNSGIP: 1,<name>,<address>[,<address>], or 0,<error>"""
        self.name_found(text_field(line, length, 2) if int_field(line, length, 0) == 1 else b"")

    def _on_socket(self, line, length):
        """+CADATAIND: <cid>; +CAOPEN: <cid>,<result>; +CASTATE: <cid>,<state>; +CARECV: <cid>,<octets waiting>. HOT"""
        index = int_field(line, length, 0) - FIRST_ID
        if 0 <= index < CONNECTIONS:
            connection = self.connections[index]
            kind = line[3]
            number = int_field(line, length, 1)
            if kind == _D:
                connection.readable_hint = True
            elif kind == _O:
                connection.answer = number
            elif kind == _R:
                connection.unread = number
            elif kind == _S and line[4] == _T:
                connection.told_state(number)
