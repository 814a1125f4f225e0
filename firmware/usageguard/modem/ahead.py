"""A buffered connection that counts payload before it is read, where the modem tells what waits."""

from usageguard.at.digest import TIMEOUT
from usageguard.modem.buffered import BufferedConnection


class AheadConnection(BufferedConnection):
    """For modems whose own total, if they have one, does not serve as that of a BufferedConnection."""

    def __init__(self, modem, index):
        super().__init__(modem, index)
        self._ahead = 0  # octets that were counted and not read yet
        self._doubtful = False  # an answer that had payload may have got lost

    def announced(self, octets):
        self._arrived = octets
        known = min(octets, self._ahead)
        self._ahead -= known
        self._count(octets - known)
        self.continues = self.tcp and not known and octets == self._asked

    def _begin(self, host, port):
        self._ahead = 0
        self._doubtful = False
        BufferedConnection._begin(self, host, port)

    def _was_read(self, channel):
        if channel.result == TIMEOUT:
            self._doubtful = True
        BufferedConnection._was_read(self, channel)  # on MicroPython super() allocates

    def _count_total(self, total, unread):
        """`total` have arrived: with the `unread` ones that wait, or without them, as the manuals do not say."""
        more = total - self._counted
        if more + self._ahead < unread:
            more += unread
        elif unread and self._doubtful:  # what got lost may be as much: then the total is without the unread
            self.modem.listener.abandoned(self, unread)
        self._doubtful = False
        self._count(more)
        self._ahead = unread
