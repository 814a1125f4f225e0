"""What the modem's counter shows and the device's own traffic cannot explain: a wrong reading, or another user of the
data session. Loaded with the first such octets.

They are charged, so that the count is never too low, and are part of the error bound. No limit counts them until the
carrier's figure or an order says what of them was used.
"""

from usageguard.compat import const
from usageguard.core.octets import Octets

_MOST = const(8)  # told apart
_PIECE = const(1 << 28)  # below what the ledger takes at once


class Doubts:
    """`each` has (lifetime's rated octets behind it, its rated octets) of each doubt in this period, as far as this
    boot knows."""

    def __init__(self, hal, ledger):
        self.each = []
        self._hal = hal
        self._ledger = ledger
        self.merge()

    def merge(self):
        """Takes all doubts as one, which is the newest: the ledger keeps only their sum."""
        doubt = self._ledger.doubt.value()
        self.each = [(self._ledger.rated.value(), doubt)] if doubt else []

    def charge(self, octets, meter, spend):
        """Charges `octets`, 0..meter.MOST, by `spend(carried, rated)`."""
        self._hal.event("count-doubt", octets)
        meter.slack += octets
        rated = left = meter.worst(octets)
        while octets or left:
            spend(min(octets, _PIECE), min(left, _PIECE))
            octets -= min(octets, _PIECE)
            left -= min(left, _PIECE)
        self._ledger.doubt.add_octets(Octets(rated))
        self.each.append((self._ledger.rated.value(), rated))
        if len(self.each) > _MOST:
            self.merge()

    def settle(self, rated_then, confirmed):
        """Ends the doubts known to a figure that belongs to the lifetime's rated octets `rated_then`: `confirmed` of
        their octets were used, the others were not."""
        ledger = self._ledger
        left = [doubt for doubt in self.each if doubt[0] > rated_then]
        ended = sum([octets for _, octets in self.each]) - sum([octets for _, octets in left])
        refuted = max(0, ended - confirmed)
        ledger.doubt.sub(Octets(ended))
        if refuted:
            ledger.correct(ledger.rated.value() - ledger.rated_base.value() - refuted)
        self.each = left
        self._hal.event("doubt-settled", (ended - refuted) & 0x3FFFFFFF, refuted & 0x3FFFFFFF)
