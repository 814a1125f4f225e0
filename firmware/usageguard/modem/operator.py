"""Another operator where the SIM's own does not serve the device. Loaded where the configuration names one, and with an
order for one."""

from usageguard.compat import const

_SELECT_MS = const(180_000)  # the longest that makers give for a selection
_OWN = (b"AT+COPS=0\r", _SELECT_MS, None, 0)  # 3GPP TS 27.007 7.3: the modem chooses
_CEREG = (b"AT+CEREG?\r", 1_000, None, 0)
_DENIED = const(3)  # <stat> of +CEREG
# EMM causes of a denied registration that leave another operator to try (diagnose.causes): none told, PLMN, tracking
# area or roaming not allowed, no suitable cells.
_ELSEWHERE = (0, 11, 12, 13, 15)


def order(modem, number):
    """Has the modem try the operator of this number at once, and from now on instead of the one that is configured; 0:
    it is to choose by itself."""
    modem.config.operator = (number,)
    modem._stuck_due.set(modem.now, 0)
    modem.poked = True


def select(modem):
    """Generator of the modem's, which has not been registered for a while, or has got an order: has it try the operator
    that is ordered or configured, and then again what it finds itself. Whether it is registered."""
    cause = modem.reject_cause
    if not cause and modem.registration == _DENIED and modem.cme > 100:
        cause = modem.cme - 100  # of a model that tells it by AT+CEER
    if cause not in _ELSEWHERE:
        return False
    operator = modem.config.operator
    if type(operator) is tuple:
        # 4: or another one if that fails. The modem may remember it longer than the device does.
        (number,) = operator
        select = b'AT+COPS=4,2,"%05d"\r' % number
    else:
        number = int(operator)
        select = b'AT+COPS=1,2,"' + operator.encode() + b'"\r'
    modem.hal.event("operator", number)
    for command in ((select, _SELECT_MS, None, 0), _OWN):
        if command is _OWN or number:
            yield from modem.ask(command)
            yield from modem.ask(_CEREG)
            if modem.registered:
                return True
    return False
