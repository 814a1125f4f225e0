"""A serial port that answers by a script, without allocating, a few octets at a time if wanted."""

from usageguard.compat import RingIO


class Port:
    """`say` puts octets on the line; what the host writes is kept, and answered by the next of `script`.

    For long dialogues there is `answers` instead: the first (prefix, answer) that fits counts.
    """

    def __init__(self, max_read=512):
        self.max_read = max_read
        self.now = 0
        self.script = ()
        self.answers = ()
        self.writes = 0
        self.power = []
        self.deaf = False
        self.rate = self.modem_rate = 115_200  # what is written at another rate than the modem's gets lost
        self._line = RingIO(8192)
        self._sent = RingIO(8192)

    def say(self, octets):
        assert self._line.write(octets, 0, len(octets)) == len(octets), "the port's buffer is too small"

    def sent(self):
        """What the host wrote since the last call."""
        buf = bytearray(self._sent.any())
        self._sent.readinto(buf, len(buf))
        return bytes(buf)

    def readable(self):
        return self._line.any() > 0 and not self.deaf

    def ticks_ms(self):
        return self.now

    def uart_readinto(self, buf, n):
        return self._line.readinto(buf, min(n, self.max_read)) or 0

    def uart_rate(self, baud):
        self.rate = baud or 115_200
        return 115_200

    def uart_write(self, buf, n):
        self._sent.write(buf, 0, n)
        if self.rate != self.modem_rate:
            return
        if self.answers:
            for prefix, answer in self.answers:
                if buf.startswith(prefix):
                    self.say(answer)
                    break
        elif self.writes < len(self.script):
            self.say(self.script[self.writes])
        self.writes += 1

    def modem_power(self, on):
        self.power.append(on)
        return ()
