"""Finds a modem whose serial line another program has set to another rate; loaded when one does not answer."""

from usageguard.at.digest import OK

_RATES = (9_600, 115_200, 57_600, 38_400, 19_200, 230_400, 460_800, 921_600)  # ITU-T V.250 6.2.10
_PROBE_MS = 200


def mend(hal, channel):
    """Generator of the modem's: True once a modem has answered at some rate and was set to the board's."""
    own = hal.uart_rate(0)
    for rate in _RATES:
        hal.uart_rate(rate)
        channel.start((b"ATE0Q0V1+IPR=%d\r" % own, _PROBE_MS, None, 0))
        yield True
        if channel.result == OK:
            break
    hal.uart_rate(0)
    return channel.result == OK
