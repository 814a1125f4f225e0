"""Enters the SIM's PIN; loaded where the SIM asks for it.

A third wrong PIN locks the SIM, and each boot asks for it again: so the device remembers which one a card has refused.
"""

from hashlib import sha256

from usageguard.at.digest import CME_ERROR, ERROR
from usageguard.compat import const

_REFUSED = "/pin-refused"
_BUSY = const(14)  # 3GPP TS 27.007 9.2.1: the card has not looked at it


def enter(modem):
    """Generator of the modem's: enters the configured PIN, unless this card has refused it."""
    pin = modem.config.pin.encode()
    yield from modem._identify()  # most cards tell their number also when they are locked
    mark = sha256(pin + modem.iccid).digest()
    if modem.hal.files and _read() == mark:
        modem.hal.event("pin-refused")
        return
    result = yield from modem.ask((b"AT+CPIN=" + pin + b"\r", 5_000, None, 0))
    if modem.hal.files and result in (ERROR, CME_ERROR) and modem.channel.error != _BUSY:
        try:
            with open(_REFUSED, "wb") as file:
                file.write(mark)
        except OSError:  # a file system that is full must not end the modem's dialogue
            pass


def _read():
    try:
        with open(_REFUSED, "rb") as file:
            return file.read()
    except OSError:
        return b""
