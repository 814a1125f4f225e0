"""The errors that end a command, and their codes (3GPP TS 27.007 clause 9.2, TS 27.005 clause 3.2.5)."""

from __future__ import annotations

from collections.abc import Mapping

ERROR = "ERROR"


class AtError(Exception):
    """Ends a command with ERROR."""

    def final(self, level: int, texts: Mapping[int, str]) -> str:
        """The final result code at the +CMEE level; `texts` are the modem's for +CME ERROR."""
        return ERROR


class CmeError(AtError):
    """Ends a command with +CME ERROR, or with ERROR at level 0."""

    def __init__(self, code: int) -> None:
        self.code = code

    def final(self, level: int, texts: Mapping[int, str]) -> str:
        if level == 0:
            return ERROR
        return f"+CME ERROR: {texts.get(self.code, 'unknown') if level == 2 else self.code}"


class CmsError(AtError):
    """Ends a command with +CMS ERROR: as text at level 2, else as a number."""

    def __init__(self, code: int) -> None:
        self.code = code

    def final(self, level: int, texts: Mapping[int, str]) -> str:
        return f"+CMS ERROR: {CMS.get(self.code, 'unknown error') if level == 2 else self.code}"


# 3GPP TS 27.007 clause 9.2, without "requested" where the makers leave it out; a dialect adds its own.
CME = {
    0: "phone failure",
    3: "operation not allowed",
    4: "operation not supported",
    10: "SIM not inserted",
    11: "SIM PIN required",
    12: "SIM PUK required",
    13: "SIM failure",
    14: "SIM busy",
    15: "SIM wrong",
    16: "incorrect password",
    20: "memory full",
    21: "invalid index",
    22: "not found",
    25: "invalid characters in text string",
    30: "no network service",
    31: "network timeout",
    32: "network not allowed - emergency calls only",
    50: "incorrect parameters",
    100: "unknown",
    103: "illegal MS",
    106: "illegal ME",
    107: "GPRS services not allowed",
    111: "PLMN not allowed",
    112: "Location area not allowed",
    113: "Roaming not allowed in this location area",
    126: "insufficient resources",
    127: "missing or unknown APN",
    128: "unknown PDP address or PDP type",
    129: "user authentication failed",
    130: "activation rejected by GGSN, Serving GW or PDN GW",
    131: "activation rejected, unspecified",
    132: "service option not supported",
    133: "requested service option not subscribed",
    134: "service option temporarily out of order",
    148: "unspecified GPRS error",
    149: "PDP authentication failure",
    171: "last PDN disconnection not allowed",
    177: "operator determined barring",
}

# 3GPP TS 27.005 clause 3.2.5.
CMS = {
    38: "Network out of order",
    300: "ME failure",
    301: "SMS service of ME reserved",
    302: "operation not allowed",
    303: "operation not supported",
    304: "invalid PDU mode parameter",
    305: "invalid text mode parameter",
    310: "SIM not inserted",
    311: "SIM PIN required",
    312: "PH-SIM PIN required",
    313: "SIM failure",
    314: "SIM busy",
    316: "SIM PUK required",
    320: "memory failure",
    321: "invalid memory index",
    322: "memory full",
    330: "SMSC address unknown",
    331: "no network service",
    332: "network timeout",
    500: "unknown error",
}
