"""What AT+QICFG and AT+QCFG configure: the parameters of each, their ranges and defaults."""

from __future__ import annotations

from typing import NamedTuple


class Parameter(NamedTuple):
    """A parameter from `low` to `high`; as text it is the range that a test form prints."""

    low: int
    high: int
    default: int

    def __str__(self) -> str:
        return f"({self.low}{',' if self.high == self.low + 1 else '-'}{self.high})"


_OFF = Parameter(0, 1, 0)
_ON = Parameter(0, 1, 1)

# TCP/IP 2.4.1; "pdp/retry", "send/auto" and "recv/ignore" of a real EC200U, ranges assumed
OPTIONS: dict[str, tuple[Parameter, ...]] = {
    "transpktsize": (Parameter(1, 1460, 1024),),
    "transwaittm": (Parameter(0, 20, 2),),
    "dataformat": (_OFF, _OFF),
    "viewmode": (_OFF,),
    "udp/sendmode": (_OFF,),
    "udp/readmode": (_OFF,),
    "tcp/accept": (_ON,),
    "passiveclosed": (_OFF,),
    "tcp/twrecycle": (_OFF,),
    "close/mode": (_OFF,),
    "recvind": (_OFF,),
    "sendinfo": (_OFF,),
    "tcp/keepalive": (_OFF, Parameter(1, 7200, 7200), Parameter(1, 75, 75), Parameter(1, 10, 9)),
    "tcp/retranscfg": (Parameter(1, 20, 8), Parameter(5, 1000, 6)),
    "formatcfg": (_OFF,),
    "qisend/timeout": (Parameter(0, 3600, 5),),
    "pdp/retry": (_OFF, Parameter(1, 3600, 60), Parameter(0, 65_535, 0)),
    "send/auto": (Parameter(0, 11, 0), Parameter(0, 3600, 0)),
    "recv/ignore": (Parameter(0, 11, 0), _OFF),
}

# EC2x AT and BG95 QCFG: what hosts set before anything else. Nothing but a kept value hangs on them here.
SETTINGS: dict[str, tuple[Parameter, ...]] = {
    "nwscanmode": (Parameter(0, 8, 0), _ON),
    "nwscanseq": (Parameter(0, 999_999, 0), _ON),
    "iotopmode": (Parameter(0, 2, 0), _ON),
    "servicedomain": (Parameter(0, 2, 2), _ON),
    "roamservice": (Parameter(1, 255, 255), _ON),
    "celevel": (Parameter(0, 2, 0),),
    "psm/urc": (_OFF,),
    "risignaltype": (_ON,),
    "urc/delay": (_OFF,),
    "usbnet": (Parameter(0, 3, 0),),
    "nat": (_ON,),
    "ims": (Parameter(0, 2, 0),),
    "apready": (_OFF, _OFF, Parameter(100, 3000, 500)),
    "fast/poweroff": (_OFF,),
}
