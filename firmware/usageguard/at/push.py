"""Payloads that come unasked."""

from usageguard.at.channel import FOREVER_MS, Channel
from usageguard.at.digest import LINE_OCTETS, URC, Digest, int_field
from usageguard.compat import const
from usageguard.core.ticks import ticks_add, ticks_diff

_MOST = const(8_192)  # octets of a payload that comes unasked: a count beyond is no count
_LOST_MS = const(1_000)  # without an octet of such a payload: it lost some on its way

# Methods of the base are called by their class: on MicroPython super() allocates.


class PushDigest(Digest):
    """Adds `pushes`. `sink`: whose the payload is that comes unasked, None between payloads."""

    def __init__(self, max_line=LINE_OCTETS):
        super().__init__(max_line)
        self.sink = None
        self._pushes = ()  # (prefix, field of the count)
        self._on_line = None  # (token, None, prefix, 0, field of the count, b","): the payload follows on the line

    def pushes(self, prefix, token, count, on_line=False):
        """Unsolicited lines that start with `prefix` announce in field `count` the payload that follows them, or with
        `on_line` that follows the count and a comma on the line itself. Only one prefix may be of that kind, and it is
        not looked for while a command runs whose answer has payload on its line."""
        if on_line:
            self._on_line = (token, None, prefix, 0, count, b",")
            self._begin_line()
        else:
            self.register(prefix, token)
            self._pushes += ((prefix, count),)

    def _run(self):
        return self._with_pushes(Digest._run(self))  # made here: nothing is allocated once octets come

    def _with_pushes(self, events):
        for event in events:
            if event == URC and not self.payload_left:
                self._pushed()
            yield event

    def _pushed(self):
        line = self.line
        for prefix, field in self._pushes:
            if line.startswith(prefix):
                count = int_field(line, self.length, field)
                self.payload_left = count if 0 < count <= _MOST else 0
                self._odd = True

    def arm(self, command, payload_max):
        matched = self._matched if self._following() and self._partial else -1  # an announcement is coming in
        field = self._field
        number = self._number
        Digest.arm(self, command, payload_max)
        if matched >= 0:
            self._look_for(self._on_line, _MOST)
            self._matched = matched
            self._field = field
            self._number = number

    def disarm(self):
        Digest.disarm(self)
        if not self._ring.any():
            self._begin_line()

    def resync(self):
        sink = self.sink
        self.sink = None
        if sink is not None and self.payload_left:
            sink.torn()
        Digest.resync(self)

    def _end_payload(self, length):
        Digest._end_payload(self, length)
        sink = self.sink
        self.sink = None
        if sink is not None and self.torn:
            sink.torn()

    def _begin_line(self):
        Digest._begin_line(self)
        if self._on_line is not None and self._shape is None:
            self._look_for(self._on_line, _MOST)

    def _following(self):
        """Whether the line may be an announcement with its payload on it."""
        return self._on_line is not None and self._shape is self._on_line

    def _ended(self):
        return self._header() if self._led and self._following() else Digest._ended(self)

    def _header(self):
        """The payload begins here."""
        self._partial = 0
        self.length = length = self._ring.readinto(self.line, self.max_line)
        self.line[length] = 0
        if self._behind_payload:
            self._end_payload(length)
        self.token = self._on_line[0]
        self.payload_left = self._number
        self._led = 0
        return URC


class _Nobody:
    """Takes a payload that no connection expects."""

    def payload(self, buf, at, span):
        pass

    def torn(self):
        pass


_NOBODY = _Nobody()


class PushChannel(Channel):
    """A handler registered with `digest.pushes` returns the sink of its payload, or None, and finds the payload's size
    in `digest.payload_left`. The sink gets payload(buf, at, span) as a command's, and torn() if octets were lost.
    `inboxes`, which can be set, have kept payload: once one waits(), take() is called.
    """

    DIGEST = PushDigest

    def __init__(self, hal, max_line=LINE_OCTETS):
        super().__init__(hal, max_line)
        self._lost_at = 0
        self.inboxes = ()

    def abort(self):
        self.digest.sink = None
        Channel.abort(self)

    def pump(self, now):
        heard = Channel.pump(self, now)
        digest = self.digest
        if digest.sink is not None and ticks_diff(now, self._lost_at) >= 0:
            digest.resync()
        for inbox in self.inboxes:
            if inbox.waits():
                inbox.take()
        return heard

    def next_ms(self, now):
        for inbox in self.inboxes:
            if inbox.waits():
                return 0
        digest = self.digest
        ms = FOREVER_MS if digest.sink is not None and not self.busy else Channel.next_ms(self, now)
        return ms if digest.sink is None else min(ms, max(ticks_diff(self._lost_at, now), 0))

    def _payload(self, digest, window):
        if digest.sink is None:
            Channel._payload(self, digest, window)
        else:
            digest.sink.payload(window, digest.at, digest.span)
            self._lost_at = ticks_add(self._now, _LOST_MS)

    def _unsolicited(self, digest):
        sink = digest.token(digest.line, digest.length)
        if digest.payload_left:
            digest.sink = _NOBODY if sink is None else sink
            self._lost_at = ticks_add(self._now, _LOST_MS)


def pushing(hal, channel):
    """A PushChannel that goes on where `channel` is, which must not be busy any more."""
    made = PushChannel(hal)
    digest = made.digest
    _go_on(digest, channel.digest)
    digest.found = digest._run()
    _go_on(made, channel)
    made.digest = digest
    made.on_urc = digest.register
    return made


def _go_on(made, before):
    for name, value in before.__dict__.items():
        setattr(made, name, value)
