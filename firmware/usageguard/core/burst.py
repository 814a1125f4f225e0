"""A class of traffic that suddenly uses many times what is usual: an endless retry, a device in strange hands.

Usual is learned, in windows of equal length: the mean of the first 8, then a moving mean to which each further window
gives 1/8. Windows without traffic count too.
"""

from usageguard.compat import const

LEARN_WINDOWS = 8
_SUM_MAX = const(536870912)  # a window's sum stays there; with any one count more it is a small int


class Burst:
    """Limits for as many classes as `classes` has: `factor` times the usual, and at least `floor_octets`, in a window.

    A window lasts `window_s` seconds, by the clock of whoever calls `roll`. Nothing is held before 8 windows have
    taught, nor by a limit of 2**29 octets or more. Read only: `window_s`, `passed` (bitmap of the classes beyond their
    limit in this window), `limits` (octets of each class).
    """

    def __init__(self, classes, factor, floor_octets, window_s):
        self._factor = factor
        self._floor = floor_octets
        self.window_s = window_s
        self.passed = 0
        self.limits = [_SUM_MAX for _ in classes]
        self._sums = [0 for _ in classes]
        self._taught = [0 for _ in classes]  # windows, up to LEARN_WINDOWS
        self._usual8 = [0 for _ in classes]  # 8 times the usual: the divisions lose nothing

    def spent(self, index, n):
        """Class `index` spent `n` octets, 0..2**29 - 1; whether just these took it beyond its limit. HOT."""
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

        A class that passed its limit, or whose bit is in `held` as it was stopped for any part of the window, learns
        nothing from it: a burst is not to become the usual, nor is the silence that follows.
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
