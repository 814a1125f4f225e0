"""Detects a class of traffic that suddenly uses many times its usual amount, such as an endless retry or a stolen SIM.

The usual amount is learned per window of fixed length: the mean of the first 8 windows, then a moving mean with a
weight of 1/8 for each new window. Windows without traffic count too.
"""

from usageguard.compat import const

LEARN_WINDOWS = 8
_SUM_MAX = const(536870912)  # a window's sum stays there; with any one count more it is a small int


class BurstTerms:
    """The table `plan.burst`: the arguments of Burst, and the seconds for which a class is held."""

    def __init__(self, factor, floor_octets, window_s, hold_s):
        self.factor = factor
        self.floor_octets = floor_octets
        self.window_s = window_s
        self.hold_s = hold_s


class Burst:
    """Limits for as many classes as `classes` has: `factor` times the usual, and at least `floor_octets`, in a window.

    The caller ends a window every `window_s` seconds with `roll`. There is no limit before 8 windows have been learned,
    and none of 2**29 octets or more. Read only: `window_s`, `passed` (bitmap of the classes beyond their limit in this
    window), `limits` (octets of each class).
    """

    def __init__(self, classes, factor, floor_octets, window_s):
        self._factor = factor
        self._floor = floor_octets
        self.window_s = window_s
        self.passed = 0
        self.limits = [_SUM_MAX for _ in classes]
        self._sums = [0 for _ in classes]
        self._taught = [0 for _ in classes]  # windows learned, up to LEARN_WINDOWS
        self._usual8 = [0 for _ in classes]  # 8 times the usual: the divisions lose nothing

    def spent(self, index, n):
        """Class `index` spent `n` octets, 0..2**29 - 1; returns whether these took it beyond its limit. HOT."""
        before = self._sums[index]
        after = before + n
        if after > _SUM_MAX:
            after = _SUM_MAX
        self._sums[index] = after
        if before <= self.limits[index] < after:
            self.passed |= 1 << index
            return True
        return False

    def roll(self, held=0):
        """Ends a window and begins the next one. Cold.

        A class that passed its limit, or is in the bitmap `held` as it was stopped during the window, learns nothing
        from it: neither a burst nor the silence after it is usual.
        """
        held |= self.passed
        self.passed = 0
        for i, octets in enumerate(self._sums):
            self._sums[i] = 0
            if held >> i & 1:
                continue
            if self._taught[i] < LEARN_WINDOWS:
                self._taught[i] += 1
            else:
                octets -= self._usual8[i] >> 3
            self._usual8[i] += octets
            if self._taught[i] == LEARN_WINDOWS:
                self.limits[i] = min(_SUM_MAX, max(self._floor, self._factor * (self._usual8[i] >> 3)))
