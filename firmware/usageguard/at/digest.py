"""Octets from a modem in, AT events out: final results, information, unsolicited codes, prompts, payloads.

Pure: no UART, no clock. `feed` takes a window, and each turn of a loop over `found` gives an event, NEED at last. The
events do not depend on how the stream was cut into windows, except that a payload comes in as many chunks as there were
windows. Nothing is ever searched for inside a payload.
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

LINE_OCTETS = const(511)  # buffers of one more fill blocks of the heap

# Results of a command. The last two are the channel's: no line says them.
PENDING = const(0)
OK = const(1)
ERROR = const(2)
CME_ERROR = const(3)
CMS_ERROR = const(4)
SEND_FAIL = const(5)
TIMEOUT = const(6)
ABORTED = const(7)


_LINE = const(-1)
_LF = const(10)
_CR = const(13)
_SPACE = const(32)
_QUOTE = const(34)
_COMMA = const(44)
_PLUS = const(43)
_A = const(65)
_M = const(77)
_O = const(79)
# Where a command has them: `arm`
_EXPECT = const(2)
_PROMPT = const(3)
_COUNT = const(4)
_LEAD = const(5)
_SPACE_MAY = const(-1)
_BEGUN = const(1)
_OVERLONG = const(2)
_INT_LIMIT = const(99_999_999)  # times ten plus nine is still a small int of 31 bits


class Digest:
    """One modem's stream. `line[:length]` is the line of the last INFO, URC or ECHO event."""

    def __init__(self, max_line=LINE_OCTETS):
        self.max_line = max_line
        self.line = bytearray(max_line + 1)  # a CR or a NUL ends it: a prefix never meets older octets
        self.length = 0
        self.final = None  # final(line, length) sets `result` for a final result of a family's own, without a plus
        self.result = PENDING
        self.error = 0  # of a CME or CMS error; -1 where the modem gave no number
        self.token = None
        self.expected = False
        self.at = 0
        self.span = 0
        self.payload_left = 0
        self.torn = False  # a payload since it was asked for was not followed by an end of line: its octets are not it
        self._urcs = []
        self._ring = RingIO(max_line)  # the line so far
        self._window = b""
        self._next = self._end = 0
        self.found = self._run()
        self._odd = False  # what comes may be something else than a whole line; True is never wrong
        self._command = None  # that is on its way
        self._prompt = 0  # _SPACE_MAY: behind one
        self._payload_max = 0
        self._shape = None  # as a command's: of the payload that lines may have on them
        self._most = 0  # octets of that
        self._matched = -1  # octets of its prefix that this line has; -1: it does not have them, or no one asks
        self._field = self._number = 0  # where the line stands, and its number so far
        self._led = 0  # octets of `lead` behind the number
        self._partial = 0  # the line began in an earlier window: _BEGUN or _OVERLONG
        self._behind_payload = False

    def register(self, prefix, token):
        """Lines that start with `prefix` are unsolicited; the event carries `token`. The first match wins."""
        self._urcs.append((prefix, token))

    def arm(self, command, payload_max):
        """A command is on its way: a tuple of its text, a time, and

        `expect`, the prefix of its information lines (b"": any line that is not unsolicited, None: it has none);
        `prompt`, the octet with which the modem asks for data (0: it does not). There may follow
        `count`, else 0, and `lead`, else None, of a payload: its size is field `count` of an expected line. It follows
        the line; with `lead` (b"," or b',"') it is on the line itself, behind the first number from field `count` on
        that can be the size, and `lead`.

        `payload_max`: the most octets that the size may announce (0: no payload follows).
        """
        self._command = command
        self._payload_max = payload_max
        self._prompt = prompt = command[_PROMPT]
        if prompt:
            self._odd = True
        if payload_max or self._shape:
            self.torn = False
            self._begin_line()
            if self._partial:
                self._matched = -1

    def disarm(self):
        """The command is over, or given up. What is left of its payload is still taken as payload."""
        self._command = None
        self._prompt = 0

    def resync(self):
        """Gives up a payload that did not come to its end: lines from here on."""
        self.payload_left = 0
        self._behind_payload = False

    def feed(self, buf, n):
        """Takes the window buf[0:n]. It stays the caller's, and in place, until `found` said NEED."""
        if self._end:  # an exception ended the last one
            self.found = self._run()
        self._window = buf
        self._end = n

    def _run(self):
        """The events of one window after the other. In a generator locals cost a third of attributes, and no stack."""
        ring = self._ring
        max_line = self.max_line
        command = expect = None
        while True:
            window = self._window
            at = 0
            stop = self._end
            near = stop - 4
            long = stop > max_line
            while at < stop:
                if self._odd:
                    self._next = at
                    event = self._piece()
                    at = self._next
                    self._odd = (
                        self.payload_left or self._prompt or self._partial or self._behind_payload or self._shape
                    )
                    if event != _LINE:
                        if event:
                            yield event
                        continue
                    line = self.line
                    length = self.length
                    begins = line[0]
                else:  # most lines are whole, and nothing but a line can come
                    begins = window[at]
                    if begins == _CR and at <= near and window[at + 1] == _LF:
                        at += 2  # nothing between two line ends: every other line of a modem
                        begins = window[at]
                    if begins == _O and at <= near and window.startswith(b"OK\r\n", at) and self._command:
                        at += 4  # how most commands end: seen without a copy
                        self.result = OK
                        self.error = 0
                        yield FINAL
                        continue
                    end = window.find(b"\n", at, stop)
                    length = end - at
                    if end < 0 or (long and length > max_line):
                        self._odd = True
                        continue
                    ring.write(window, at, length)
                    line = self.line
                    ring.readinto(line, max_line)
                    at = end + 1
                    end = length - 1
                    if line[end] == _CR:
                        while line[end - 1] == _CR:  # line[-1] is a NUL
                            end -= 1
                        length = end
                    else:
                        line[length] = 0
                    if not length:
                        continue
                    self.length = length
                if self._command is not command:
                    command = self._command
                    expect = command and command[_EXPECT]
                asked = expect and line.startswith(expect)
                if begins == _PLUS:
                    if not asked and line[2] == _M and command and self._final(line, length):  # +CME or +CMS
                        yield FINAL
                        continue
                elif begins == _A and line.startswith(b"AT"):
                    yield ECHO
                    continue
                elif command and self._final(line, length):
                    yield FINAL
                    continue
                if asked:
                    self.expected = True
                    if self._payload_max:
                        self._announce(line, length)
                    yield INFO
                    continue
                for prefix, token in self._urcs:
                    if line.startswith(prefix):
                        self.token = token
                        yield URC
                        break
                else:
                    self.token = None
                    self.expected = expect == b""
                    if self.expected and self._payload_max:
                        self._announce(line, length)
                    yield INFO if command else URC
            self._end = 0
            yield NEED

    def _piece(self):
        """Takes from `_next` on what is not a line that begins and ends in the window: an event; _LINE: `line[:length]`
        is one that has ended; NEED: nothing to be told."""
        window = self._window
        at = self._next
        stop = self._end
        if self.payload_left:
            self.at = at
            self.span = min(self.payload_left, stop - at)
            self._next = at + self.span
            self.payload_left -= self.span
            self._behind_payload = True
            return PAYLOAD
        if self._prompt < 0:
            self._prompt = 0
            if window[at] == _SPACE:
                self._next = at + 1
                return NEED
        if not self._partial:
            if not self._behind_payload and window[at] == _CR and window.find(b"\n", at, stop) == at + 1:
                self._next = at + 2
                return NEED
            if self._prompt and window[at] == self._prompt:
                self._prompt = _SPACE_MAY
                self._next = at + 1
                return PROMPT
            if self._shape and not self._behind_payload:
                self._begin_line()
        end = window.find(b"\n", at, stop)
        if self._matched >= 0:
            at = self._payload_at(window, at, stop if end < 0 else end)
            if at:
                self._collect(self._next, at)
                self._matched = -1
                return self._ended()
            at = self._next
        self._collect(at, stop if end < 0 else end)
        if end < 0:
            return NEED
        self._next = end + 1
        return self._ended()

    def _begin_line(self):
        command = self._command
        if command and self._payload_max and len(command) > _LEAD and command[_LEAD] and command[_EXPECT]:
            self._look_for(command, self._payload_max)
        else:
            self._shape = None
            self._matched = -1

    def _look_for(self, shape, most):
        """The line may be one of that `shape`, with a payload of up to `most` octets on it."""
        self._shape = shape
        self._most = most
        self._matched = self._field = self._number = self._led = 0
        self._odd = True

    def _payload_at(self, window, at, end):
        """Follows a line to the payload that it announces on itself; where that begins, 0: not before `end`."""
        expect = self._shape[_EXPECT]
        lead = self._shape[_LEAD]
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
            counts = self._field >= self._shape[_COUNT] and 0 < self._number <= self._most
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
        room = self.max_line - self._ring.any()
        if span > room:
            self._partial = _OVERLONG
            span = room
        elif span:
            self._partial = self._partial or _BEGUN
        self._ring.write(self._window, at, span)

    def _end_payload(self, length):
        """Judges what a payload has behind it on its line: a CR alone, or behind the mark that ends a quoted one."""
        self._behind_payload = False
        line = self.line
        quoted = length == 2 and line[0] == _QUOTE and self._shape and self._shape[_LEAD][-1] == _QUOTE
        self.torn = line[length - 1] != _CR or not (length == 1 or quoted)

    def _ended(self):
        """The line has ended: _LINE, OVERLONG, or NEED for an empty one."""
        line = self.line
        length = self._ring.readinto(line, self.max_line) or 0
        overlong = self._partial == _OVERLONG
        self._partial = 0
        if overlong:
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
        return _LINE if length else NEED

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
        command = self._command
        if self._shape is command:
            count = self._number if self._led else 0
        else:
            count = int_field(line, length, command[_COUNT] if len(command) > _COUNT else 0)
        if 0 < count <= self._payload_max:
            self.payload_left = count
            self._odd = True


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
