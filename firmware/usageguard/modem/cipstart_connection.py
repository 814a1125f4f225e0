"""One connection by AT+CIPSTART, whose payload waits for AT+CIPRXGET, or comes unasked by +RECEIVE from modems that do
not know that command (SIM7000 Series AT Commands V1.06 8.2, Luat LTE AT commands)."""

from usageguard.at.digest import CME_ERROR, ERROR, OK, TIMEOUT
from usageguard.compat import const
from usageguard.modem.buffered import BufferedConnection
from usageguard.modem.connection import ENETDOWN, ETIMEDOUT, OPEN, OPENING

_OPEN_MS = const(165_000)  # AT 8.2.2: 160 s
_COMMAND_MS = const(5_000)
_CLOSE_MS = const(15_000)
_OPENED = const(0)  # `answer`
_FAILED = const(1)
_IN_USE = const(2)
_REFUSED = const(3)
_SILENT = const(4)
_ERRNO = (0, 111, 103, ENETDOWN, ETIMEDOUT)
# One command is under way at a time: the connections share these, and each puts its number in.
_SEND = (bytearray(b"AT+CIPSEND=0,1460\r"), _COMMAND_MS, None, 0x3E)
_READ = (bytearray(b"AT+CIPRXGET=2,0,1460\r"), _COMMAND_MS, b"+CIPRXGET: 2", 0, 2, None)
_UNREAD = (bytearray(b"AT+CIPRXGET=4,0\r"), _COMMAND_MS, b"+CIPRXGET: 4", 0)
_STATE = (bytearray(b"AT+CIPSTATUS=0\r"), _COMMAND_MS, b"+CIPSTATUS:", 0)
_QUIT = (bytearray(b"AT+CIPCLOSE=0\r"), _CLOSE_MS, None, 0)


class CipstartConnection(BufferedConnection):
    READ_OCTETS = 1_460
    LOOKUP = b'AT+CDNSGIP="%s"\r'  # AT 8.2.14
    inbox = None  # of what comes unasked

    def __init__(self, modem, index):
        super().__init__(modem, index)
        self._passed = 0  # octets that the modem has handed over, read or unasked

    # Called by the modem's unsolicited codes and by the channel

    def told(self, line, length):
        """<n>, CONNECT OK, CONNECT FAIL, ALREADY CONNECT or CLOSED."""
        if line.find(b"CONNECT OK", 3, length) == 3:
            self.answer = _OPENED
        elif line.find(b"CONNECT FAIL", 3, length) == 3:
            self.answer = _FAILED
        elif line.find(b"ALREADY", 3, length) == 3:
            self.answer = _IN_USE
        elif line.find(b"CLOSED", 3, length) == 3:
            if self.state == OPENING:
                self.answer = _FAILED
            else:
                self.closed_by_peer()

    def pushed(self, octets):
        """Payload comes unasked: counted here, also of a connection that is given up. Returns what takes it. HOT."""
        if not self._opened:
            self.modem.listener.received(self, octets)
            return None
        self._passed += octets
        if not self.inbox:
            self._count(octets)
            return None
        self.inbox.count(octets, octets)
        return self.inbox.sink(octets)

    def _connect(self, host, port):
        self._begin(host, port)
        self._passed = 0
        if self.inbox:
            self.inbox.begin()

    def _ask(self, command, at):
        """Starts a command with the connection's number at `at`."""
        command[0][at] = 48 + self.index
        self.modem.channel.start(command)

    # HOT

    def _start_send(self):
        modem = self.modem
        modem.accepted = -1
        self._lay_out(_SEND, 11, self.index, self._segment)
        modem.channel.start(_SEND, None, modem.segment, self._segment)

    def _sent(self, result):
        accepted = self.modem.accepted
        if result == OK and accepted >= 0 and accepted != self._segment:
            result = ERROR  # octets were lost on the way to the modem
        BufferedConnection._sent(self, result)

    def _start_read(self):
        self._lay_out(_READ, 14, self.index, self._asked)
        self.modem.channel.start(_READ, self, None, self._asked)

    def _told(self, channel):
        return channel.number(2)

    def announced(self, octets):
        self._passed += octets
        BufferedConnection.announced(self, octets)

    def _was_read(self, channel):
        asked = self._asked
        lost = not self._arrived and channel.number(2) != 0 and channel.result not in (ERROR, CME_ERROR)
        BufferedConnection._was_read(self, channel)
        if lost:  # the modem has handed so much over at most, and keeps no total
            self.modem.listener.abandoned(self, asked)
        elif self._arrived and self.state == OPEN:  # the answer says what is left
            self.readable_hint = self.readable_hint or channel.number(3) > 0

    # Opening and closing

    def _open(self):
        channel = self.modem.channel
        if self._dirty:
            yield from self._quit_connection()
        if not (yield from self._find_address()):
            return
        kind = b"TCP" if self.tcp else b"UDP"
        text = b'AT+CIPSTART=%d,"%s","%s",%d\r' % (self.index, kind, self._address.encode(), self._port)
        for _ in range(2):
            self._dirty = True
            self.answer = -1
            channel.start((text, _COMMAND_MS, None, 0))
            yield True
            if channel.result == OK:
                yield from self._await(_OPEN_MS)
                if self.answer < 0:
                    self.answer = _SILENT
            elif self.answer < 0:
                self.answer = _SILENT if channel.result == TIMEOUT else _REFUSED
            if self.state != OPENING or self.answer != _IN_USE:
                break
            yield from self._quit_connection()
        self._settle(_ERRNO[self.answer])

    def _ask_state(self):
        channel = self.modem.channel
        self._ask(_STATE, 13)
        yield True
        if channel.result == OK and channel.info_length and self.answer < 0:
            text = bytes(channel.info[: channel.info_length])
            if b'"CONNECTING"' not in text:
                self.answer = _OPENED if b'"CONNECTED"' in text else _FAILED

    def count_unread(self):
        """What waits in the modem. In one that hands payload over nothing does, unless it lost the session meanwhile:
        then nobody knows what it still had."""
        if self._opened and self._dirty:
            if self.inbox:
                if self.modem._context_lost:
                    self.modem.listener.abandoned(self, 0)
                return
            channel = self.modem.channel
            self._ask(_UNREAD, 14)
            yield True
            if channel.result != OK:
                self.modem.listener.abandoned(self, 0)
                self._peer_closed = True
            else:
                self._count(self._passed + channel.number(2) - self._counted)

    def _start_quit(self):
        self._ask(_QUIT, 12)
