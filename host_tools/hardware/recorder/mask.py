"""Takes what identifies a person, a card or a place out of a dialogue; what is left has the same form."""

from __future__ import annotations

import re
from collections.abc import Iterable

_IPV4 = re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
_IPV6 = re.compile(r"\b(?:[0-9A-Fa-f]{1,4}:){3,7}[0-9A-Fa-f]{1,4}\b")
_CELL = re.compile(r'("[0-9A-Fa-f]{4,8}")')
_NUMBER = re.compile(r"\+?\d{6,20}")
_ICCID = re.compile(r"\b89\d{16,17}[0-9Ff]?[0-9Ff]?\b")
_ALIKE = re.compile(r"\b\d{15}\b")
_CELLS = ("+CREG", "+CGREG", "+CEREG")
_KEPT_TAC, _KEPT_PLMN, _KEPT_ISSUER, _KEPT_COUNTRY = 8, 5, 6, 3


def imei(digits: str) -> str:
    """An IMEI with the type allocation code of `digits`, serial number 0 and a valid check digit."""
    body = digits[:_KEPT_TAC].ljust(14, "0")
    total = sum(sum(divmod(int(digit) * (1 + at % 2), 10)) for at, digit in enumerate(body))
    return f"{body}{-total % 10}"


class Mask:
    """Learns identities from the answers of the commands that tell them, and replaces them wherever they stand."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self.public = {"0.0.0.0", "255.255.255.0"}
        """Addresses that identify nobody."""

    def learn(self, command: str, lines: Iterable[str]) -> None:
        """Takes the identities out of an answer."""
        for line in lines:
            if command == "+CGSN":
                for found in _ALIKE.findall(line):
                    self._known[found] = imei(found)
            elif command == "+CIMI":
                for found in _ALIKE.findall(line):
                    self._known[found] = found[:_KEPT_PLMN].ljust(len(found), "0")
            elif command == "+CNUM" or command.startswith("+CSCA"):
                for found in _NUMBER.findall(line):
                    self._known[found] = found[:_KEPT_COUNTRY] + "0" * (len(found) - _KEPT_COUNTRY)
            for found in _ICCID.findall(line):
                self._known[found] = found[:_KEPT_ISSUER].ljust(len(found), "0")

    def text(self, text: str) -> str:
        """The text without identities, addresses and cells."""
        for secret, shown in sorted(self._known.items(), key=lambda item: -len(item[0])):
            text = text.replace(secret, shown)
        text = _IPV4.sub(lambda match: match[0] if match[0] in self.public else "10.0.0.1", text)
        text = _IPV6.sub("2001:DB8:0:0:0:0:0:1", text)
        lines = text.split("\n")
        for at, line in enumerate(lines):
            if line.startswith(_CELLS):
                lines[at] = _CELL.sub(lambda match: '"' + "0" * (len(match[0]) - 2) + '"', line)
        return "\n".join(lines)
