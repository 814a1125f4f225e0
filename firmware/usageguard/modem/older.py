"""Registration with GSM or UMTS, of which +CEREG tells nothing; loaded where the modem is not registered with LTE."""

from usageguard.at.digest import OK

_CGREG = (b"AT+CGREG?\r", 1_000, b"+CGREG:", 0)  # 3GPP TS 27.007 10.1.20
_TELL = (b"AT+CGREG=1\r", 1_000, None, 0)


def look(modem):
    """Generator of the modem's: takes the registration of +CGREG where that of +CEREG is none. No effect where the
    modem has no such command."""
    channel = modem.channel
    if (yield from modem.ask(_CGREG)) != OK or not channel.info_length:
        return
    stat = channel.number(1)
    if stat < 0:  # that was unsolicited
        return
    modem.covered = registered = stat in (1, 5)
    if not registered:
        if modem.older:
            modem.older = False
            modem.registration = stat
        return
    modem.registration = stat
    if not modem.older:
        if modem.older is None:
            channel.on_urc(b"+CGREG:", lambda line, length: modem._registration_due.set(modem.now, 0))
        modem.older = True
        yield from modem.ask(_TELL)
