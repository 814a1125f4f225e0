"""MicroPython's `network.PPP` on the modem's UART: when it may have the line, and what it says of itself.

It is lwIP's. Transmitting runs on a thread of lwIP's own and takes the UART directly, so no Python may be in between.
What arrives is taken from the UART by `poll`: in each step, and by the UART's interrupt while the application computes.
It takes the default route, which a Wi-Fi connection beside it takes back. So each socket is bound to its address, by
which ESP-IDF's lwIP routes first.
"""

from usageguard.compat import const

# `network.PPP.status()`: 0 inactive, 1 active, 3 connecting, 4 connected, below 0 an error
_INACTIVE = const(0)
UP = const(4)
FAILED = const(-1)


class Link:
    """One PPP link, over and over again. `octets` counts what it has taken from the line."""

    # TCP receive window of ESP-IDF's lwIP, CONFIG_LWIP_TCP_WND_DEFAULT: what may arrive before it is read.
    WINDOW = 5_760

    def __init__(self, hal):
        self._parts = parts = hal.ppp()
        self._ppp = parts.ppp
        self.watch = parts.watch
        self.dtr = hal.modem_dtr()
        self._heard = self._input  # bound once
        self.octets = 0
        self.dns = None  # the name server's address, "0.0.0.0" for none

    def connect(self):
        """Begins LCP as the client; whether lwIP has the memory for it. `status` must be 0."""
        self._ppp.config(stream=self._parts.uart)
        try:
            self._ppp.connect()
        except OSError:
            return False
        self._parts.listen(self._heard)
        return True

    def disconnect(self):
        """Ends LCP, or forgets what has failed; `status` becomes 0."""
        if self._ppp.status() != _INACTIVE:
            self._ppp.disconnect()

    def suspend(self):
        """Leaves the line: what lwIP transmits is dropped."""
        self._ppp.config(stream=None)

    def resume(self):
        self._ppp.config(stream=self._parts.uart)
        self._parts.listen(self._heard)

    def _input(self, uart):
        self.poll()

    def poll(self):
        """Gives lwIP what the line has brought; how many octets. HOT."""
        n = self._ppp.poll()
        if n and n > 0:
            self.octets = (self.octets + n) & 0x3FFFFFFF
            return n
        return 0

    def status(self):
        """0, UP with an address, FAILED, or anything else while it negotiates. HOT."""
        status = self._ppp.status()
        return FAILED if status < 0 else status

    def idle(self):
        return self._ppp.status() == _INACTIVE

    def settled(self):
        """Whether it is up with an address, or has failed: lwIP says "connected" after a failed IPCP too."""
        status = self._ppp.status()
        if status != UP:
            return status < 0 or status == _INACTIVE
        self.dns = self._ppp.ifconfig()[3]  # lwIP has one for all links: Wi-Fi would replace it
        return self.address() != "0.0.0.0"

    def address(self):
        return self._ppp.ifconfig()[0]

    def socket(self, tcp):
        """A new socket of lwIP's, not blocking, which sends by this link alone; OSError where there is none."""
        sockets = self._parts.socket
        made = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM if tcp else sockets.SOCK_DGRAM)
        made.setblocking(False)
        made.bind((self.address(), 0))
        return made

    def ready(self, socket, events):
        """Which of `events` would not wait now, with POLLERR and POLLHUP."""
        poll = self._parts.select.poll()
        poll.register(socket, events)
        for each in poll.poll(0):
            return each[1]
        return 0
