"""One socket of a SIM7080G (SIM7070_SIM7080_SIM7090 Series AT Commands, TCP/UDP application)."""

from usageguard.at.digest import CME_ERROR, ERROR, OK, TIMEOUT
from usageguard.compat import const
from usageguard.modem.ahead import AheadConnection
from usageguard.modem.connection import ENETDOWN, ETIMEDOUT, OPEN, OPENING

FIRST_ID = const(2)  # <cid> of the first connection: not 1, see `numbered`

# `Ca.numbered`: whether the answer to AT+CARECV begins with the connection's number, as the manual has it, or with the
# number of octets, as firmware in the field does (TinyGSM). Not known before a read of one octet has shown it.
UNKNOWN = const(0)
BARE = const(1)
NUMBERED = const(2)

_COMMAND_MS = const(5_000)
_CLOSE_MS = const(15_000)
_OPEN_MS = const(155_000)
_CONNECTED = const(1)  # <state> of +CASTATE; 0: closed by the peer, or by an error

# Results of AT+CAOPEN as errno; others are ECONNABORTED.
_ERRNO = {
    -1: ETIMEDOUT,  # it did not come
    0: 0,
    20: 113,  # DNS failed: EHOSTUNREACH
    21: ENETDOWN,
    23: 111,  # ECONNREFUSED
    27: ETIMEDOUT,
}
_ECONNABORTED = const(103)
# One command is under way at a time: the connections share these, and each puts its number in.
_ID = (bytearray(b"AT+CACID=0\r"), _COMMAND_MS, None, 0)
_SEND = (bytearray(b"AT+CASEND=0,1460\r"), _COMMAND_MS, None, 0x3E)
_TEXT = bytearray(b"AT+CARECV=0,1459\r")
_READ = (_TEXT, _COMMAND_MS, b"+CARECV:", 0, 0, b",")
_READS = (_READ, _READ, (_TEXT, _COMMAND_MS, b"+CARECV:", 0, 1, b","))
_UNREAD = (b"AT+CARECV?\r", _COMMAND_MS, None, 0)  # +CARECV: <cid>,<octets>, taken as unsolicited lines
_STATES = (b"AT+CASTATE?\r", _COMMAND_MS, None, 0)
_QUIT = (bytearray(b"AT+CACLOSE=0\r"), _CLOSE_MS, None, 0)


class CaConnection(AheadConnection):
    LOOKUP = b'AT+CDNSGIP="%s"\r'
    READ_OCTETS = 1_459
    FULL = (ERROR, CME_ERROR)  # a socket that has ended says so by +CASTATE
    EMPTY = (ERROR, CME_ERROR)

    def __init__(self, modem, index):
        super().__init__(modem, index)
        self.unread = 0  # octets in the modem, as it told last

    def told_state(self, state):
        if state == _CONNECTED:
            if self.state == OPENING:
                self.answer = 0  # +CAOPEN was lost
        elif self.state == OPEN:
            self.closed_by_peer()

    def _connect(self, host, port):
        self._begin(host, port)

    # HOT

    def _start_send(self):
        modem = self.modem
        self._lay_out(_SEND, 10, self.index + FIRST_ID, self._segment)
        modem.channel.start(_SEND, None, modem.segment, self._segment)

    def _start_read(self):
        modem = self.modem
        if modem.numbered == UNKNOWN:
            self._asked = 1  # then the first field that is 1 is the count
        command = _READS[modem.numbered]
        self._lay_out(command, 10, self.index + FIRST_ID, self._asked)
        modem.channel.start(command, self, None, self._asked)

    def _told(self, channel):
        modem = self.modem
        first = channel.number(0)
        if first == 0:  # no connection of ours has this number
            return 0
        if modem.numbered == UNKNOWN and self._arrived:
            modem.numbered = BARE if first == 1 else NUMBERED
        return first if modem.numbered == BARE else channel.number(1)

    def _was_read(self, channel):
        lost = self._asked - self._arrived
        untold = channel.result == TIMEOUT or (channel.result == OK and channel.number(0) < 0)
        if untold and lost:
            self.modem.listener.abandoned(self, lost)  # an answer that was lost may have had as much
        AheadConnection._was_read(self, channel)  # on MicroPython super() allocates

    # Opening and closing

    def _open(self):
        channel = self.modem.channel
        if self._dirty:
            yield from self._quit_connection()
        if not (yield from self._find_address()):
            return
        kind = b"TCP" if self.tcp else b"UDP"
        # Without <recv_mode>, which some firmware refuses: payload is read by AT+CARECV.
        text = b'AT+CAOPEN=%d,0,"%s","%s",%d\r' % (FIRST_ID + self.index, kind, self._address.encode(), self._port)
        for _ in range(2):
            self.answer = -1
            self._dirty = True
            _ID[0][9] = 48 + FIRST_ID + self.index
            channel.start(_ID)  # older firmware wants it; an ERROR is no failure
            yield True
            if self.state != OPENING:
                return
            channel.start((text, _COMMAND_MS, None, 0))
            yield True
            if channel.result == OK:
                yield from self._await(_OPEN_MS)
                break
            if self.state != OPENING or self.answer >= 0 or channel.result == TIMEOUT:
                break
            yield from self._quit_connection()  # of an earlier life of ours, or its end was not heard
        else:
            self.answer = 1  # refused without a reason
        self._settle(_ERRNO.get(self.answer, _ECONNABORTED))

    def _ask_state(self):
        self.modem.channel.start(_STATES)
        yield True

    def count_unread(self):
        """Counts what waits in the modem: it has no total."""
        if self._opened and self._dirty and not (self._peer_closed and not self.readable_hint):
            channel = self.modem.channel
            self.unread = 0
            channel.start(_UNREAD)
            yield True
            if channel.result == OK:
                self._count(self.unread - self._ahead)
                self._ahead = self.unread
            else:
                self.modem.listener.abandoned(self, 0)

    def _start_quit(self):
        _QUIT[0][11] = 48 + FIRST_ID + self.index
        self.modem.channel.start(_QUIT)
