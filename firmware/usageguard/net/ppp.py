"""The driver of a modem that carries data by PPP, and how often it reads the modem's counter.

No code of ours sees what lwIP adds to the payload: headers and acknowledgements, which the model prices, and what is
sent again, which only the counter shows. (LCP does not leave the line, and is no IP.) A reading stops all traffic for
some four seconds. So the next one is due when an eighth of what is left until the next limit or warning has been
charged: of that eighth, what was sent again is the error.
"""

from usageguard.compat import const
from usageguard.modem.ppp import over

_LEAST = const(65_536)  # octets between readings
_LONGEST = const(4_194_304)
# SYN and SYN-ACK 44 each; ACK, and FIN and ACK of both sides, 40 each. MicroPython's lwIP offers no option but the MSS,
# so its peer may not use the longer ones (RFC 7323 2.2, 3.2).
_OPEN_CLOSE_TCP = const(2 * 44 + 5 * 40)


def driver_over(driver):
    """The class of a family's modem with PPP as its bearer. Its listener has `admission` and `policy`."""

    class Paced(over(driver)):
        least = 0

        def __init__(self, hal, channel, config, listener):
            listener.admission.meter.open_close = _OPEN_CLOSE_TCP
            super().__init__(hal, channel, config, listener)

        def admits_datagram(self, connection, n):
            return self.listener.admission.transfer(connection.traffic_class, False, n)

        def count_datagram(self, connection, n):
            self.listener.admission.received(connection.traffic_class, False, n)

        def _counter_read(self):
            super()._counter_read()
            admission, policy = self.listener.admission, self.listener.policy
            self.least = self.least or min(_LEAST, 16 * admission.window_octets)
            left = policy.next_mark.diff(admission.used)
            admission.window_octets = max(self.least, min(_LONGEST, left >> 3))

    return Paced
