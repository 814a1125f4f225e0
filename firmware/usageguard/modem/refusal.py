"""Why the network refused a data session; loaded when it does."""

from usageguard.at.digest import CME_ERROR, OK
from usageguard.compat import const

_CEER = (b"AT+CEER\r", 1_000, b"+CEER:", 0)  # 3GPP TS 27.007 6.10
# A refused session, as the report of AT+CEER names it: the CME errors 126 to 134, and that of an operator's barring
# (3GPP TS 27.007 9.2.2).
_REFUSALS = (
    b"insufficient resources",
    b"missing or unknown apn",
    b"unknown pdp",
    b"user authentication failed",
    b"activation rejected by",
    b"activation rejected, unspecified",
    b"service option not supported",
    b"service option not subscribed",
    b"service option temporarily out of order",
    b"operator determined barring",
)
_FIRST_REFUSAL = const(126)
_BARRING = const(177)
_BARRED = const(8)  # ESM cause: operator determined barring; other causes are 100 below their CME error
# CME errors that say nothing of the cause: none, operation not allowed or not supported, unknown, unspecified.
_OWN = const(500)  # from there on they are the maker's, of TCP/IP
_VAGUE = (-1, 0, 3, 4, 100, 148)


def cme_of(report):
    """The CME error for the text, or else the last number (an ESM cause or a CME error), of +CEER; 0: none."""
    words = report.lower()
    for cme, name in enumerate(_REFUSALS, _FIRST_REFUSAL):
        if name in words:
            return cme if name is not _REFUSALS[-1] else _BARRING
    number = 0
    inside = False
    for octet in report:
        if 48 <= octet <= 57:
            number = (number * 10 if inside else 0) + octet - 48
            inside = True
        else:
            inside = False
    if number == _BARRED:
        return _BARRING
    return number + 100 if 0 < number < 100 else number


def explain(modem):
    """Generator of the modem's, after the command that failed: sets its `cme` and `ceer`."""
    channel = modem.channel
    cme = channel.error if channel.result == CME_ERROR else 0
    answered = (yield from modem.ask(_CEER)) == OK
    modem.ceer = bytes(channel.info[6 : channel.info_length]).strip() if answered else b""
    vague = cme in _VAGUE or cme >= _OWN
    modem.cme = cme_of(modem.ceer) or max(cme, 0) if vague else cme
