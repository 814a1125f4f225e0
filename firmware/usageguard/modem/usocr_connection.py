"""One socket of u-blox's (SARA-R5 series AT commands manual, internet protocol transport layer)."""

from usageguard.at.digest import CME_ERROR, ERROR, OK, TIMEOUT
from usageguard.compat import const
from usageguard.modem.ahead import AheadConnection
from usageguard.modem.connection import ENETDOWN, ETIMEDOUT, OPENING

SOCKETS = const(7)

_COMMAND_MS = const(10_000)
_CONNECT_MS = const(125_000)  # AT+USOCO answers within 120 s
_CLOSE_MS = const(65_000)
_ECONNABORTED = const(103)
_EMSGSIZE = const(90)
_AT_SIGN = const(0x40)
_CREATE_TCP = (b"AT+USOCR=6\r", _COMMAND_MS, b"+USOCR:", 0)
_CREATE_UDP = (b"AT+USOCR=17\r", _COMMAND_MS, b"+USOCR:", 0)
_USOER = (b"AT+USOER\r", 1_000, b"+USOER:", 0)
# One command is under way at a time: the connections share these, and each puts its number in.
_SEND = (bytearray(b"AT+USOWR=0,1024\r"), _COMMAND_MS, b"+USOWR:", _AT_SIGN)
_READ_TCP = (bytearray(b"AT+USORD=0,1024\r"), _COMMAND_MS, b"+USORD:", 0, 1, b',"')
_READ_UDP = (bytearray(b"AT+USORF=0,1024\r"), _COMMAND_MS, b"+USORF:", 0, 3, b',"')
_TOTAL = (bytearray(b"AT+USOCTL=0,3\r"), _COMMAND_MS, b"+USOCTL:", 0)
_QUIT = (bytearray(b"AT+USOCL=0\r"), _CLOSE_MS, None, 0)


class UsocrConnection(AheadConnection):
    READ_OCTETS = 1_024
    SEND_OCTETS = 1_024
    FULL = (ERROR, CME_ERROR)  # a socket that has ended says so by +UUSOCL
    LOOKUP = b'AT+UDNSRN=0,"%s"\r'
    LOOKUP_MS = 75_000
    LOOKUP_DECIDES = True

    def __init__(self, modem, index):
        super().__init__(modem, index)
        self.socket = -1  # the modem's number for it

    def _connect(self, host, port):
        self._begin(host, port)

    def _ended(self):
        self.socket = -1
        AheadConnection._ended(self)

    # HOT

    def _take_segment(self):
        if not self.tcp and self._to_send > self.SEND_OCTETS:
            self.fail(_EMSGSIZE)
            return False
        return AheadConnection._take_segment(self)

    def _start_send(self):
        modem = self.modem
        self._lay_out(_SEND, 9, self.socket, self._segment)
        modem.channel.start(_SEND, None, modem.segment, self._segment)

    def _sent(self, result):
        """+USOWR: <socket>,<taken>; firmware has been seen that leaves it out."""
        left = 0
        channel = self.modem.channel
        if result == OK and channel.info_length and channel.number(1) >= 0:
            left = self._segment - channel.number(1)
        if left > 0:
            segment = self.modem.segment
            taken = self._segment - left
            for at in range(left):
                segment[at] = segment[at + taken]
            self._segment = left
            result = ERROR
        AheadConnection._sent(self, result)

    def _start_read(self):
        command = _READ_TCP if self.tcp else _READ_UDP
        self._lay_out(command, 9, self.socket, self._asked)
        self.modem.channel.start(command, self, None, self._asked)

    def _told(self, channel):
        """+USORD: <socket>,<octets>,"...", or +USORF with the sender in front of the octets; without them: nothing."""
        if not channel.info_length:
            return -1
        return max(channel.number(1 if self.tcp else 3), 0)

    # Opening and closing

    def _open(self):
        modem = self.modem
        channel = modem.channel
        if self._dirty:
            yield from self._quit_connection()
        if not (yield from self._find_address()):
            return
        for _ in range(2):
            channel.start(_CREATE_TCP if self.tcp else _CREATE_UDP)
            yield True
            if channel.result == OK or channel.result == TIMEOUT or self.state != OPENING:
                break
            yield from modem.close_strays()  # all are in use: of an earlier life of ours
        if channel.result != OK or channel.number(0) < 0:
            yield from self._explain()
            return
        self.socket = channel.number(0)
        self._dirty = True
        if self.state != OPENING:
            return
        text = b'AT+USOCO=%d,"%s",%d\r' % (self.socket, self._address.encode(), self._port)
        channel.start((text, _CONNECT_MS, None, 0))
        yield True
        if channel.result == OK:
            self._settle(0)
        else:
            yield from self._explain()

    def _explain(self):
        """AT+USOER gives an errno as BSD numbers them, where it has one."""
        channel = self.modem.channel
        errno = ETIMEDOUT
        if channel.result != TIMEOUT and self.state == OPENING:
            channel.start(_USOER)
            yield True
            errno = channel.number(0)
            if not ENETDOWN <= errno < 128:
                errno = _ECONNABORTED
                self.modem.doubt_context()
        self._settle(errno)

    def count_unread(self):
        if self._opened and self._dirty:
            channel = self.modem.channel
            command = _READ_TCP if self.tcp else _READ_UDP
            self._lay_out(command, 9, self.socket, 0)
            channel.start(command)  # of 0 octets: what waits
            yield True
            unread = channel.number(1)
            if channel.result == OK and self._dirty:
                _TOTAL[0][10] = 48 + self.socket
                channel.start(_TOTAL)
                yield True
            total = channel.number(2)
            if channel.result == OK and total >= 0 and unread >= 0:
                self._count_total(total, unread)
            elif self._opened:
                self.modem.listener.abandoned(self, 0)

    def _start_quit(self):
        _QUIT[0][9] = 48 + self.socket
        self.modem.channel.start(_QUIT)
