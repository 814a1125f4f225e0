"""The carrier's own figures, and what they and audits have charged: wanted with the first order that has one."""

LEARNED_MAX = 500  # permille: what carriers were seen to add is below 300
_LEAST_TAUGHT = 262144  # octets: a figure of less says more of its rounding than of a ratio
_CHARGES = 8  # remembered: the carriers' figures are hours late, and come hourly at the most
_PAIRS = 4  # of two limbs of 7 octets each are stored: the field `charged`
_LIMB = (1 << 56) - 1


class Figures:
    """Keeps its part of `standing`. `charged` is what is remembered: (lifetime's rated octets before, octets that were
    charged then)."""

    def __init__(self, standing):
        self._standing = standing
        self.charged = []
        number = standing.charged
        while number:
            self.charged.append((number & _LIMB, number >> 56 & _LIMB))
            number >>= 112

    def told(self, value, used, rated):
        """The parts of an order for the present period: what the figure is above ours, in octets, is owed and returned;
        it teaches how much the carrier adds."""
        _, figure, _, _, rated_then = value
        since = max(0, rated.value() - rated_then)
        # What was owed by an earlier figure, and charged after that report, was not used since: it makes good for it.
        own = used.value() - since + sum(owed for before, owed in self.charged if before >= rated_then)
        owed = max(0, figure - min(own, used.value()))
        if owed:
            self.put_right(rated, owed)
        if own >= _LEAST_TAUGHT:
            learned = -(-figure * (1000 + self._standing.learned) // own) - 1000
            self._standing.learned = max(0, min(LEARNED_MAX, learned))
        return owed

    def put_right(self, rated, octets):
        """A word from upstream adds `octets` to this period's usage, or takes them off: they are not used since."""
        charged = self.charged
        charged.append((rated.value(), octets))
        if len(charged) > _CHARGES:
            (before, owed), (_, more) = charged.pop(0), charged.pop(0)
            charged.insert(0, (before, owed + more))  # as the older one: never too little
        number = 0
        for before, owed in reversed(charged[-_PAIRS:]):  # the oldest lowest
            number = (number << 56 | owed) << 56 | before
        self._standing.charged = number
