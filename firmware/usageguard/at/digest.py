"""Octets from a modem in, AT events out: final results, information, unsolicited codes, prompts, payloads.

Pure: no UART, no clock. The events do not depend on how the stream was cut into windows, except that a
payload comes in as many chunks as there were windows. Nothing is ever searched for inside a payload.
Everything but the set-up and `text_field` allocates nothing.
"""

from usageguard.compat import RingIO, const

NEED = const(0)  # the window is used up
FINAL = const(1)  # the command is over: `result`, `error`
INFO = const(2)  # a line that belongs to the running command; `expected` says whether it asked for it
URC = const(3)  # an unsolicited line: `token` is what was registered for it, None where nothing was
PROMPT = const(4)  # the modem waits for the command's data
PAYLOAD = const(5)  # `span` counted octets at window[at]; `payload_left` follow
OVERLONG = const(6)  # a line longer than `max_line` went by and was dropped
ECHO = const(7)  # a command line came back: the modem's echo is on

# Results of a command. The last two are the channel's: no line says them.
PENDING = const(0)
OK = const(1)
ERROR = const(2)
CME_ERROR = const(3)
CMS_ERROR = const(4)
SEND_FAIL = const(5)
TIMEOUT = const(6)
ABORTED = const(7)


_CR = const(13)
_SPACE = const(32)
_QUOTE = const(34)
_COMMA = const(44)
_PLUS = const(43)
_A = const(65)
_M = const(77)
_O = const(79)
_INT_LIMIT = const(99_999_999)  # times ten plus nine is still a small int of 31 bits


class Digest:
    """One modem's stream. `line[:length]` is the line of the last INFO, URC or ECHO event."""

    final = None  # of a family with final results of its own: final(line, length) sets `result` for one

    def __init__(self, max_line=512):
        self.max_line = max_line
        self.line = bytearray(max_line + 1)  # a NUL ends it: a prefix never meets older octets
        self.length = 0
        self.result = PENDING
        self.error = 0  # of a CME or CMS error; -1 where the modem gave no number
        self.token = None
        self.expected = False
        self.at = 0
        self.span = 0
        self.payload_left = 0
        self.torn = False  # since `arm`: a payload was not followed by an end of line, so its octets are not it
        self._urcs = []
        self._ring = RingIO(max_line)  # the line so far
        self._window = b""
        self._next = 0
        self._end = 0
        self._active = False
        self._expect = None
        self._prompt = 0
        self._payload_max = 0
        self._count = 0
        self._lead = None
        self._matched = -1  # octets of `expect` that this line has; -1: it does not have them, or no one asks
        self._field = self._number = 0  # where the line stands, and its number so far
        self._led = 0  # octets of `lead` behind the number
        self._skip_space = False
        self._overlong = False
        self._behind_payload = False
        self._partial = False  # the line began in an earlier window
        self._follows = False  # lines may have a payload on them

    def register(self, prefix, token):
        """Lines that start with `prefix` are unsolicited; the event carries `token`. The first match wins."""
        self._urcs.append((prefix, token))

    def arm(self, expect, prompt, payload_max, count=0, lead=None):
        """A command is on its way.

        `expect` is the prefix of its information lines (b"": any line that is not unsolicited, None: it has
        none), `prompt` the octet with which the modem asks for data (0: it does not), `payload_max` the most
        octets that the count in an expected line may announce (0: no payload follows). The count is field `count`.
        The payload follows the line; with `lead` (b"," or b',"') it is on the line itself, behind the first number
        from field `count` on that can be the count, and `lead`.
        """
        self._active = True
        self._expect = expect
        self._prompt = prompt
        self._payload_max = payload_max
        self._count = count
        self._lead = lead
        if lead is not None or self._follows:
            self._begin_line()
            if self._partial:
                self._matched = -1
        self.torn = False

    def disarm(self):
        """The command is over, or given up. What is left of its payload is still taken as payload."""
        self._active = False
        self._prompt = 0

    def resync(self):
        """Gives up a payload that did not come to its end: lines from here on."""
        self.payload_left = 0
        self._behind_payload = False

    def feed(self, buf, n):
        """Takes the window buf[0:n]. It stays the caller's, and in place, until `next` said NEED."""
        self._window = buf
        self._next = 0
        self._end = n

    def next(self):
        """The next event in the window, NEED when there is none left."""
        window = self._window
        stop = self._end
        while self._next < stop:
            at = self._next
            if self.payload_left:
                self.at = at
                self.span = min(self.payload_left, stop - at)
                self._next = at + self.span
                self.payload_left -= self.span
                self._behind_payload = True
                return PAYLOAD
            if self._skip_space:
                self._skip_space = False
                if window[at] == _SPACE:
                    self._next = at + 1
                    continue
            if not self._partial:
                if not self._behind_payload and at + 1 < stop and window.startswith(b"\r\n", at):
                    at += 2  # nothing between two line ends: every other line of a modem
                    if at == stop:
                        self._next = at
                        break
                if self._prompt:
                    if window[at] == self._prompt:
                        self._prompt = 0
                        self._skip_space = True
                        self._next = at + 1
                        return PROMPT
                elif (
                    window[at] == _O
                    and window.startswith(b"OK\r\n", at)
                    and at + 4 <= stop
                    and self._active
                    and not self._behind_payload
                ):  # how most commands end: seen without a copy
                    self._next = at + 4
                    self.result = OK
                    self.error = self.length = 0
                    return FINAL
            end = window.find(b"\n", at, stop)
            if self._matched >= 0:
                self._next = at  # kept there: another local would take the stack from the heap
                at = self._payload_at(window, at, stop if end < 0 else end)
                if at:
                    self._collect(self._next, at)
                    self._matched = -1
                    return self._line()
                at = self._next
            if end < 0:
                self._collect(at, stop)
                break
            if self._partial or end - at > self.max_line:
                self._collect(at, end)
            elif end > at:
                self._ring.write(window, at, end - at)
            self._next = end + 1
            end = self._line()
            if self._follows:
                self._begin_line()
            if end:
                return end
        return NEED

    def _begin_line(self):
        self._follows = self._active and self._expect and self._lead and self._payload_max
        self._matched = 0 if self._follows else -1
        self._field = self._number = self._led = 0

    def _payload_at(self, window, at, end):
        """Follows a line to the payload that it announces on itself; where that begins, 0: not before `end`."""
        expect = self._expect
        lead = self._lead
        while at < end:
            octet = window[at]
            at += 1
            if self._matched < len(expect):
                if octet != expect[self._matched]:
                    self._matched = -1
                    return 0
                self._matched += 1
                continue
            if self._led and octet != lead[self._led]:  # the comma in front was not the lead's
                self._field += 1
                self._number = self._led = 0
            counts = self._field >= self._count and 0 < self._number <= self._payload_max
            if octet == lead[self._led] and (self._led or counts):
                self._led += 1
                if self._led == len(lead):
                    return at
            elif octet == _COMMA:
                self._field += 1
                self._number = self._led = 0
            elif 48 <= octet <= 57:
                self._number = min(self._number * 10 + octet - 48, _INT_LIMIT)
        return 0

    def _collect(self, at, end):
        """Takes the window's octets up to `end` as part of the line."""
        self._next = end
        span = end - at
        room = self.max_line - self._ring.any() if self._partial else self.max_line
        if span > room:
            self._overlong = True
            span = room
        if span:
            self._partial = True
            self._ring.write(self._window, at, span)

    def _end_payload(self, length):
        """Judges what a payload has behind it on its line: a CR alone, or behind the mark that ends a quoted one."""
        self._behind_payload = False
        line = self.line
        quoted = length == 2 and line[0] == _QUOTE and self._lead and self._lead[-1] == _QUOTE
        self.torn = line[length - 1] != _CR or not (length == 1 or quoted)

    def _line(self):
        """Classifies the line that has just ended; NEED for an empty one."""
        line = self.line
        self._partial = False
        length = self._ring.readinto(line, self.max_line) or 0
        if self._overlong:
            self._overlong = False
            self.length = line[0] = 0
            return OVERLONG
        if self._behind_payload:
            self._end_payload(length)
            if not self.torn:
                return NEED
        while length and line[length - 1] == _CR:
            length -= 1
        line[length] = 0
        self.length = length
        if not length:
            return NEED
        begins = line[0]
        if begins == _A and line.startswith(b"AT"):
            return ECHO
        if self._active:
            # Of those that begin with a plus, only +CME and +CMS are final, and what a family adds.
            if (begins != _PLUS or line[2] == _M or self.final is not None) and self._final(line, length):
                return FINAL
            if self._expect and line.startswith(self._expect):
                self.expected = True
                if self._payload_max:
                    self._announce(line, length)
                return INFO
        if self._unasked(line):
            return URC
        if self._active:
            self.expected = self._expect == b""
            if self.expected and self._payload_max:
                self._announce(line, length)
            return INFO
        return URC

    def _unasked(self, line):
        """Whether it is a registered unsolicited line, whose `token` it sets."""
        for prefix, token in self._urcs:
            if line.startswith(prefix):
                self.token = token
                return True
        self.token = None
        return False

    def _final(self, line, length):
        result = PENDING
        if length == 2 and line.startswith(b"OK"):
            result = ERROR if self._prompt else OK  # it did without the data
        elif length == 5 and line.startswith(b"ERROR"):
            result = ERROR
        elif length == 7 and line.startswith(b"SEND OK"):
            result = ERROR if self._prompt else OK
        elif length == 9 and line.startswith(b"SEND FAIL"):
            result = SEND_FAIL
        if result:
            self.error = 0
        else:
            if line.startswith(b"+CME ERROR:"):  # 3GPP TS 27.007 9.1
                result = CME_ERROR
            elif line.startswith(b"+CMS ERROR:"):  # 3GPP TS 27.005 3.2.5
                result = CMS_ERROR
            else:
                return self.final is not None and self.final(line, length)
            self.error = int_field(line, length, 0)
        self.result = result
        return True

    def _announce(self, line, length):
        """Has the payload follow that the line announces."""
        count = int_field(line, length, self._count) if self._lead is None else self._number if self._led else 0
        if 0 < count <= self._payload_max:
            self.payload_left = count


def field_at(line, length, index):
    """Where the comma-separated field `index` behind a line's ":" starts; -1: it has none.

    In a line as "+RECEIVE,0,5:" the fields begin behind the first comma.
    """
    at = line.find(b":", 0, length) + 1
    mark = line.find(b",", 0, at)
    if mark > 0 and line[0] == _PLUS:
        at = mark + 1
    quoted = False
    while index and at < length:
        mark = line[at]
        if mark == _QUOTE:
            quoted = not quoted
        elif mark == _COMMA and not quoted:
            index -= 1
        at += 1
    while at < length and line[at] == _SPACE:
        at += 1
    return at if not index and at < length else -1


def int_field(line, length, index):
    """Field `index` as an unsigned decimal; -1 if it is none. Saturates below 2**30."""
    at = field_at(line, length, index)
    number = -1
    while 0 <= at < length:
        digit = line[at] - 48
        if not 0 <= digit <= 9:
            break
        if number > _INT_LIMIT:
            return 0x3FFFFFFF
        number = digit if number < 0 else number * 10 + digit
        at += 1
    return number


def octets_field(line, length, index, octets):
    """Reads field `index`, an unsigned decimal of any size, into an `Octets`; False if it is none.

    Works in two limbs: a modem's counter passes 2**30, where the small ints of an ESP32 end. Saturates as
    `Octets` does.
    """
    at = field_at(line, length, index)
    if at < 0 or not 48 <= line[at] <= 57:
        return False
    hi = lo = 0
    while at < length and 48 <= line[at] <= 57:
        if hi > 99_999_999:
            hi = 0x3FFFFFFF
            lo = 0xFFFFFF
            break
        lo = lo * 10 + line[at] - 48
        hi = hi * 10 + (lo >> 24)
        lo &= 0xFFFFFF
        at += 1
    octets.hi = hi
    octets.lo = lo
    return True


def text_field(line, length, index):
    """Field `index` as bytes without its quotes, b"" if there is none. Allocates."""
    at = field_at(line, length, index)
    if at < 0:
        return b""
    mark = b","
    if line[at] == _QUOTE:
        at += 1
        mark = b'"'
    end = line.find(mark, at, length)
    return bytes(line[at : length if end < 0 else end])


def put_int(buf, at, number):
    """Writes an unsigned decimal at buf[at:]; returns where it ended."""
    digits = 1
    rest = number
    while rest > 9:
        rest //= 10
        digits += 1
    end = at + digits
    spot = end
    while digits:
        spot -= 1
        buf[spot] = 48 + number % 10
        number //= 10
        digits -= 1
    return end
