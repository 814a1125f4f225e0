"""Host names and their addresses, so that connections to the same host cost one lookup for as long as its TTL says."""

from usageguard.compat import const
from usageguard.core.ticks import ticks_add, ticks_diff
from usageguard.modem.connection import Deadline

_MOST = const(4)
_LONGEST_S = const(86_400)


class Names:
    """Also which lookup is under way, for modems whose answers do not name the host: `pending`, None for none."""

    def __init__(self):
        self._known = {}  # name: (address, ticks until which it is used)
        self.pending = None
        self._due = Deadline()

    def address(self, host, now):
        """The IPv4 address of `host` as text: itself if it is one; None where it has to be looked up."""
        if host.replace(".", "").isdigit():
            return host
        address, until = self._known.get(host, (None, now))
        return address if ticks_diff(until, now) > 0 else None

    def begin(self, host, now, ms):
        """Looks `host` up: `answered` is called within `ms`, or nobody answers."""
        self.pending = host
        self._due.set(now, ms)

    def left(self, now):
        """Milliseconds until nobody answers any more; 0 if no lookup is under way."""
        return self._due.left(now) if self.pending is not None else 0

    def answered(self, address, ttl_s, now):
        """The lookup gave this address, for `ttl_s` seconds: a day at most, a second at least; None: no such name."""
        if address is not None:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[self.pending] = address, ticks_add(now, max(1, min(ttl_s, _LONGEST_S)) * 1000)
        self.pending = None

    def drop(self, host):
        """Has that name looked up again: its address was of no use."""
        self._known.pop(host, None)

    def forget(self):
        """Has every name looked up again: another data session has other name servers."""
        self._known.clear()
        self.pending = None
