"""One AT command at a time over the HAL's UART, time-outs by ticks, unsolicited codes to who wants them.

A command, as its manual declares it, is a tuple: its text with the final CR; milliseconds from the last octet handed
over to the final result; `expect` and `prompt` as in `Digest.arm`; where a payload's count is not the first field of
the information, or the payload on its line, `count` and `lead` as there. What stands behind the CR is not sent: the
text of a command whose number changes is a bytearray with room for the number, and rewritten in place.
"""

from usageguard.at.digest import (
    ABORTED,
    ECHO,
    FINAL,
    INFO,
    LINE_OCTETS,
    OVERLONG,
    PAYLOAD,
    PENDING,
    PROMPT,
    TIMEOUT,
    URC,
    Digest,
    int_field,
)
from usageguard.compat import const
from usageguard.core.ticks import ticks_add, ticks_diff

FOREVER_MS = const(0x0FFFFFFF)  # "no deadline" in every next_ms(); far inside the horizon of the ticks
_SCRATCH = const(512)
# Between a time-out and the next command: a late answer passes by and is not taken for the next one's.
_QUIET_MS = const(1000)


class Channel:
    """The modem's UART as a dialogue. `pump` reads, `start` writes; nothing here waits.

    `on_urc(prefix, handler)` calls handler(line, length) for each unsolicited line that starts with `prefix`, inside
    `pump`. `busy` is True from `start` to the final result, which then stands in `result` and `error`;
    `info[:info_length]` is the last expected line of information. The channel never sends a command again:
    most are unsafe to repeat. `pause_ms`: between a final result and the next command; `prompt_ms`: between the modem's
    prompt and the data that it asks for.
    """

    DIGEST = Digest
    echoes = overlong = 0

    def __init__(self, hal, max_line=LINE_OCTETS):
        self.digest = self.DIGEST(max_line)
        self.on_urc = self.digest.register
        self.busy = False
        self.result = PENDING
        self.error = 0
        self.info = bytearray(max_line + 1)
        self.info_length = 0
        self.timeouts = 0  # in a row; any final result ends the row
        self._hal = hal
        self.pause_ms = self.prompt_ms = 0
        self._prompted = False
        self._scratch = bytearray(_SCRATCH)
        self._now = 0
        self._command = None
        self._sink = None
        self._data = None
        self._octets = 0
        self._pausing = self._late = False  # late: behind a time-out
        self._due = 0  # end of the pause while pausing, else the running command's deadline

    def start(self, command, sink=None, data=None, n=0):
        """Sends `command`, after the pause that the last one left behind.

        `sink` gets announced(count) when the response has told its payload's size, then
        payload(buf, at, span) for each chunk; they must not raise. data[0:n] is written when the modem
        prompts for it, and must stay as it is until the command is over. Without data, `n` is the most
        octets that a payload in the response may have.
        """
        if self.busy:
            raise RuntimeError("the AT channel is busy")
        self.busy = True
        self.result = PENDING
        self.error = 0
        self.info_length = 0
        self._command = command
        self._sink = sink
        self._data = data
        self._octets = n
        if not self._pausing:
            self._write()

    def pause(self, now, ms):
        """Sends nothing for so long; what is started meanwhile waits."""
        self._pausing = True
        self._due = ticks_add(now, ms)

    def number(self, index):
        """Field `index` of the information as an unsigned decimal, as `int_field`."""
        return int_field(self.info, self.info_length, index)

    def abort(self):
        """Ends the running command with ABORTED: the modem that would have answered is gone."""
        self.digest.resync()
        if self.busy:
            self._finish(ABORTED, 0)

    def pump(self, now):
        """Takes what the UART has, calls who waits for it, and sees to the deadlines; whether there was anything."""
        self._now = now
        heard = n = self._hal.uart_readinto(self._scratch, _SCRATCH)
        while n:
            self.digest.feed(self._scratch, n)
            self._dispatch()
            n = self._hal.uart_readinto(self._scratch, _SCRATCH) if n == _SCRATCH else 0
        if self._pausing:
            if ticks_diff(now, self._due) >= 0:
                self._pausing = False
                if self._late:
                    self.digest.resync()
                if self.busy:
                    self._write()
        elif self.busy and ticks_diff(now, self._due) >= 0:
            if self._prompted:
                self._write_data()
            else:
                self.timeouts += 1
                self._finish(TIMEOUT, 0)
        return heard

    def next_ms(self, now):
        """Milliseconds until `pump` has something to do without input."""
        if self.busy or self.digest.payload_left:  # a pause with nothing behind it needs nobody
            return max(ticks_diff(self._due, now), 0)
        return FOREVER_MS

    def _write(self):
        command = self._command
        self.digest.arm(command, self._octets if self._data is None else 0)
        self._hal.uart_write(command[0], command[0].find(b"\r") + 1)
        self._due = ticks_add(self._now, command[1])

    def _write_data(self):
        self._prompted = False
        self._hal.uart_write(self._data, self._octets)
        self._due = ticks_add(self._now, self._command[1])

    def _dispatch(self):
        digest = self.digest
        for event in digest.found:
            if not event:  # NEED
                break
            if event == PAYLOAD:
                self._payload(digest, self._scratch)
            elif event == URC:
                if digest.token is not None:
                    self._unsolicited(digest)
            elif event == FINAL:
                self.timeouts = 0
                self._finish(digest.result, digest.error)
            elif event == INFO:
                if digest.expected:
                    if digest.payload_left and self._sink is not None:
                        self._sink.announced(digest.payload_left)
                    # The two line buffers change places: keeping the line costs neither a copy nor an allocation.
                    digest.line, self.info = self.info, digest.line
                    self.info_length = digest.length
            elif event == PROMPT:
                if self.prompt_ms:
                    self._prompted = True
                    self._due = ticks_add(self._now, self.prompt_ms)
                else:
                    self._write_data()
            elif event == ECHO:
                self.echoes += 1
            elif event == OVERLONG:
                self.overlong += 1

    def _payload(self, digest, window):
        if self._sink is not None:
            self._sink.payload(window, digest.at, digest.span)

    def _unsolicited(self, digest):
        digest.token(digest.line, digest.length)

    def _finish(self, result, error):
        self.busy = self._prompted = False
        self.result = result
        self.error = error
        self.digest.disarm()
        self._sink = None
        self._data = None
        self._late = result == TIMEOUT
        pause_ms = _QUIET_MS if self._late else self.pause_ms
        self._pausing = pause_ms > 0
        self._due = ticks_add(self._now, pause_ms)
