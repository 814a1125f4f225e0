# type: ignore - MicroPython
"""A UART with an EC200U that is online within a second, and a server behind it that answers each send with ANSWER."""

import io

ANSWER = b"\x20\x02\x00\x00"  # MQTT's CONNACK
_ANSWERS = (
    (b"AT+CPIN?", b"\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    (b"AT+CEREG?", b'\r\n+CEREG: 2,1,"25F8","06B7C50A",7\r\n\r\nOK\r\n'),
    (b"AT+CGSN", b"\r\n869951030123456\r\n\r\nOK\r\n"),
    (b"AT+CIMI", b"\r\n460001234567890\r\n\r\nOK\r\n"),
    (b"AT+QCCID", b"\r\n+QCCID: 89860012345678901234\r\n\r\nOK\r\n"),
    (b"AT+QLTS=1", b'\r\n+QLTS: "2026/03/04,05:06:07+32,0"\r\n\r\nOK\r\n'),
    (b"AT+CSQ", b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n"),
    (b"AT+CESQ", b"\r\n+CESQ: 99,99,255,255,22,48\r\n\r\nOK\r\n"),
    (b"AT+QGDCNT?", b"\r\n+QGDCNT: 5000,4000\r\n\r\nOK\r\n"),
    (b"AT+QIDNSGIP", b'\r\nOK\r\n\r\n+QIURC: "dnsgip",0,1,600\r\n\r\n+QIURC: "dnsgip","203.0.113.1"\r\n'),
)


class UART(io.IOBase):
    def __init__(self, number, **settings):
        self._in = b""
        self._waiting = [b""] * 12
        self._data_for = -1

    def ioctl(self, op, arg):
        return 1 if op == 3 and self._in else 0

    def init(self, **settings):
        pass

    def any(self):
        return len(self._in)

    def readinto(self, buf, n):
        n = min(n, len(self._in))
        buf[:n] = self._in[:n]
        self._in = self._in[n:]
        return n or None

    def write(self, buf, n):
        if self._data_for >= 0:
            self._in += b'\r\nSEND OK\r\n\r\n+QIURC: "recv",%d\r\n' % self._data_for
            self._waiting[self._data_for] = ANSWER
            self._data_for = -1
            return n
        text = bytes(buf[:n])
        name, _, given = text.partition(b"=")
        if name == b"AT+QIOPEN":
            self._in += b"\r\nOK\r\n\r\n+QIOPEN: %d,0\r\n" % int(given.split(b",")[1])
        elif name == b"AT+QISEND":
            self._data_for = int(given.split(b",")[0])
            self._in += b"\r\n> "
        elif name == b"AT+QIRD":
            number, room = (int(each) for each in given.split(b","))
            data, self._waiting[number] = self._waiting[number], b""
            head = b"%d\r\n" % len(data) + data if room else b"%d,%d,0" % (len(ANSWER), len(ANSWER))
            self._in += b"\r\n+QIRD: " + head + b"\r\n\r\nOK\r\n"
        else:
            for start, answer in _ANSWERS:
                if text.startswith(start):
                    self._in += answer
                    return n
            self._in += b"\r\nOK\r\n"
        return n
