"""Power saving: PSM while the board sleeps deeply, and eDRX, which the modem agrees on with the network; light sleep.

Loaded where the configuration asks for one of them. A modem in PSM is as good as off: nothing reaches it, and only its
power key or the end of T3412 wakes it. So it is asked for just before the board sleeps, and given up after the wake.
"""

from usageguard.at.digest import OK
from usageguard.compat import const
from usageguard.core.ticks import ticks_add, ticks_diff

_ANSWER_MS = const(10_000)
_RADIOS = (4, 5)  # <AcT-type> of AT+CEDRXS (TS 27.007 7.40): LTE-M, NB-IoT
_NO_PSM = (b"AT+CPSMS=0\r", _ANSWER_MS, None, 0)  # 3GPP TS 27.007 7.38
_MOST = const(31)  # units in five bits
# Seconds of a unit, and its three bits: of T3324 (3GPP TS 24.008 10.5.7.4), of the extended T3412 (10.5.7.4a). Each is
# a multiple of the one before, so that the first that reaches far enough is the closest.
_T3324 = ((2, 0), (60, 1), (360, 2))
_T3412 = ((2, 3), (30, 4), (60, 5), (600, 0), (3_600, 1), (36_000, 2), (1_152_000, 6))
# Cycles of 20.48 s, and twice as long each time: those that both LTE-M and NB-IoT have (TS 24.008 10.5.5.32).
_EDRX_MS = const(20_480)
_EDRX = ("0010", "0011", "0101", "1001", "1010", "1011", "1100", "1101")


def _timer(seconds, units):
    for unit, code in units:
        n = (seconds + unit - 1) // unit
        if n <= _MOST:
            return bin(0x100 | code << 5 | n)[3:]
    return bin(0x100 | units[-1][1] << 5 | _MOST)[3:]


def active_timer(seconds):
    """T3324 in eight binary digits: the least that is no shorter, 3 h 6 min at the most."""
    return _timer(seconds, _T3324)


def periodic_timer(seconds):
    """The extended T3412, likewise: 413 days at the most."""
    return _timer(seconds, _T3412)


def edrx_cycle(seconds):
    """The eDRX cycle in four binary digits: the least that is no shorter, 43 min at the most."""
    at = 0
    while at < len(_EDRX) - 1 and _EDRX_MS << at < seconds * 1000:
        at += 1
    return _EDRX[at]


def resume(modem):
    """Generator of the modem's, when it answers after a reset of it or of the board."""
    active_s, _, edrx_s, light = modem.config.saving
    if active_s:
        if modem.rested and modem.found_on:
            modem.hal.event("psm-not-entered")  # the network did not grant it, or the sleep was short
        yield from modem.ask(_NO_PSM)
    if edrx_s:
        name = "SQNEDRX" if modem.config.family == "sequans" else "CEDRXS"
        for radio in _RADIOS:
            command = 'AT+%s=1,%d,"%s"\r' % (name, radio, edrx_cycle(edrx_s))
            yield from modem.ask((command.encode(), _ANSWER_MS, None, 0))
    if light:
        yield from modem.ask(modem.SLEEPS)


def rest(modem):
    """Asks for PSM, and waits for the answer. Nothing else may be under way, and nothing follows but the sleep."""
    hal, channel = modem.hal, modem.channel
    active_s, periodic_s, _, _ = modem.config.saving
    periodic = '"%s"' % periodic_timer(periodic_s) if periodic_s else ""
    command = 'AT+CPSMS=1,,,%s,"%s"\r' % (periodic, active_timer(active_s))
    now = hal.ticks_ms()
    until = ticks_add(now, 2 * _ANSWER_MS)  # with the pause that the last command may have left
    channel.start((command.encode(), _ANSWER_MS, None, 0))
    while channel.busy and ticks_diff(until, now) > 0:
        now = hal.ticks_ms()
        hal.wait(ticks_add(now, channel.next_ms(now)))
        channel.pump(hal.ticks_ms())
    if channel.result != OK:
        hal.event("psm-refused", channel.error)
