"""Millisecond ticks: integers modulo 2**30 on every HAL, as on an ESP32.

Compare only through `ticks_diff`. The horizon is below 2**29 ms (6.2 days): a longer time-out is kept as
calendar time, or counted down in steps.
"""

_MASK = (1 << 30) - 1
# Half a period more or less, modulo the period, is the top bit turned over: no sum leaves the small ints of an ESP32.
_HALF = 1 << 29


def ticks_add(ticks, delta_ms):
    """`ticks` moved by `delta_ms` (|delta_ms| < 2**29), in [0, 2**30)."""
    return ((ticks - _HALF + delta_ms) & _MASK) ^ _HALF


def ticks_diff(end, start):
    """Signed milliseconds from `start` to `end`, in [-2**29, 2**29)."""
    return (((end - start) & _MASK) ^ _HALF) - _HALF
