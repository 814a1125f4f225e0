"""Compares the carrier's figure with the device's own and charges the difference. Loaded with the first such order."""

LEARNED_MAX = 500  # permille; carriers are known to add less than 300
_LEAST_TAUGHT = 262144  # octets; in a smaller figure the carrier's rounding hides the ratio
_CHARGES = 8  # remembered; figures are hours late, and arrive once per hour at most
_PAIRS = 3  # stored in the field `charged`, each of two counts of 7 octets
_LIMB = (1 << 56) - 1
_MOST = 1 << 50  # octets that an order may state


class Figures:
    """`charged` is a list of (lifetime's rated octets before, octets charged then), the oldest first; the newest ones
    are stored in `standing`."""

    def __init__(self, standing):
        self._standing = standing
        self.charged = []
        number = standing.charged
        while number:
            owed = number >> 56 & _LIMB
            if 0 < owed <= _MOST:  # else a plan with account.quotas has stored something else there
                self.charged.append((number & _LIMB, owed))
            number >>= 112

    def told(self, value, used, rated, doubts=()):
        """Takes the parts of the order `carrier_used` for the present period, and updates the ratio that the carrier
        adds. `doubts` are those of net.doubts.Doubts.each.

        Returns two counts of octets by which the carrier's figure is above the device's: those that are to be charged,
        and those that were charged, in doubt, and were used.
        """
        _, figure, _, _, rated_then = value
        later = sum([octets for behind, octets in doubts if behind > rated_then])
        in_doubt = sum([octets for _, octets in doubts]) - later
        since = max(0, rated.value() - rated_then - later)
        # What an earlier figure charged after that report was not used since, and counts as known to this figure.
        own = used.value() - since + sum(owed for before, owed in self.charged if before >= rated_then)
        owed = max(0, figure - min(own, used.value()))
        confirmed = min(owed, in_doubt)
        owed -= confirmed
        own += confirmed
        if owed:
            self.put_right(rated, owed)
        if own >= _LEAST_TAUGHT:
            learned = -(-figure * (1000 + self._standing.learned) // own) - 1000
            self._standing.learned = max(0, min(LEARNED_MAX, learned))
        return owed, confirmed

    def put_right(self, rated, octets):
        """Remembers that an order has changed this period's usage by so many octets, up or down."""
        charged = self.charged
        charged.append((rated.value(), octets))
        if len(charged) > _CHARGES:
            (before, owed), (_, more) = charged.pop(0), charged.pop(0)
            charged.insert(0, (before, owed + more))  # at the older one's place, so that never too little is charged
        number = 0
        for before, owed in reversed(charged[-_PAIRS:]):  # the oldest lowest
            number = (number << 56 | owed) << 56 | before
        self._standing.charged = number
