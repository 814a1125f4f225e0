"""What usage beyond the plan costs, in fen (1/100 yuan), and how much usage a sum pays for.

Set-up only: integers here may be big ints on a 32-bit board.
"""


class Tariff:
    """Prices of one billing period's usage beyond its plan.

    `tiers` are (from_octets, block_octets, fen_per_block): beyond the plan by more than `from_octets`, each started
    block of `block_octets` (1 or more) costs `fen_per_block` (0 or more). The first begins at 0, each other one higher
    than the one before; a tier's last block may be cut short by the next tier, at the full price. Else ValueError.

    `cost_cap_fen` is the most that one period may cost, None for no cap. It is not a price: more usage is not free.
    Both are attributes too.
    """

    def __init__(self, tiers, cost_cap_fen=None):
        last = -1
        for start, block, fen in tiers:
            if start <= last or (start and last < 0) or block < 1 or fen < 0:
                raise ValueError("not a tariff")
            last = start
        if last < 0:
            raise ValueError("not a tariff")
        self.tiers = tiers
        self.cost_cap_fen = cost_cap_fen

    def cost(self, beyond):
        """Fen for `beyond` octets (0 or more) beyond the plan; never falls as they rise."""
        total = 0
        end = beyond
        for start, block, fen in reversed(self.tiers):
            if end > start:
                total += -(-(end - start) // block) * fen
                end = start
        return total

    def octets_for(self, fen):
        """The most octets beyond the plan that cost `fen` or less; None for no limit. ValueError below 0."""
        for start, block, price in reversed(self.tiers):
            left = fen - self.cost(start)
            if left >= 0:  # the first such tier from above: the sum ends inside it
                return start + left // price * block if price else None
        raise ValueError("fen below zero")

    def cap_octets(self):
        """Octets beyond the plan at which the cost reaches `cost_cap_fen`; None if it never does."""
        return None if self.cost_cap_fen is None else self.octets_for(self.cost_cap_fen)
