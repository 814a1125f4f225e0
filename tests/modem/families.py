"""The modem families whose drivers run the same tests: one entry each."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from usageguard.modem.ca import Ca
from usageguard.modem.cip import Cip
from usageguard.modem.cipstart import Cipstart
from usageguard.modem.connection import ECONNRESET, ETIMEDOUT
from usageguard.modem.mip import Mip
from usageguard.modem.quectel import Quectel
from usageguard.modem.sequans import Sequans
from usageguard.modem.usocr import Usocr

from host_tools.sim.modem import models
from host_tools.sim.modem.dialects import DIALECTS
from host_tools.sim.modem.models import _HERE as PROFILES


@dataclass(frozen=True)
class Family:
    """A driver and the profile of a simulated modem, and how the dialect names what the tests speak of."""

    profile: str
    driver: type
    received: str
    """The URC that payload has arrived for connection {}."""
    opened: str
    """How the URC begins that a connection was opened."""
    exchange: dict[str, int]
    """How often each command is sent for one message and its answer."""
    first: int = 0
    """The modem's number for the first connection."""
    lost_session: int = 2
    """URCs that tell of a data session that the network ended, without those of connections."""
    online_s: int = 12
    """The longest time from power-on until it is online."""
    imei: bytes = b""
    tells_arrivals: bool = False
    """Whether payload is counted before it is read."""
    variant: bool = False
    """Whether it is another model of a driver's that runs the tests already: of the quick ones it runs one."""
    faults: dict[str, int] = field(default_factory=dict)
    """Where a connection's fate after a fault of `test_fault` differs: its errno."""

    @property
    def commands(self) -> dict[str, str]:
        """The commands of `Dialect.commands`."""
        return DIALECTS[models.load(self.profile).dialect].commands


def with_quirk(folder: Path, profile: str, quirk: str, value: bool | str) -> Path:
    """A file in `folder` with a profile that ships, and one quirk changed."""
    text = (PROFILES / f"{profile}.toml").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith(f"{quirk} = ")]
    if "[quirks]" not in lines:
        lines.append("[quirks]")
    shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
    lines.insert(lines.index("[quirks]") + 1, f"{quirk} = {shown}")
    path = folder / f"{profile}-{quirk}-{str(value).lower()}.toml"
    path.write_text("\n".join(lines))
    return path


# It boots for longer than a command may take, so that this has failed before the boot is heard.
_SLOW_BOOT = dict.fromkeys(("reboot at send", "reboot at read", "reboot", "brown-out"), ETIMEDOUT)

FAMILIES = {
    "quectel": Family(
        "quectel-ec200u",
        Quectel,
        '+QIURC: "recv",{}',
        "+QIOPEN:",
        {"AT+QISEND": 1, "AT+QIRD": 1},
    ),
    "ca": Family(
        "sim7080g",
        Ca,
        "+CADATAIND: {}",
        "+CAOPEN:",
        {"AT+CASEND": 1, "AT+CARECV": 1},
        first=2,
        faults={"refused send": 0, "code inside a read": 0},
    ),
    "mip": Family(
        "ml307r",
        Mip,
        '+MIPURC: "rtcp",{}',
        "+MIPOPEN:",
        {"AT+MIPSEND": 1, "AT+MIPRD": 1},
        imei=b"860264050123455",
        tells_arrivals=True,
        # The payload stands on the first line; the modem sends what it was given in ten seconds, so nothing; and for so
        # long a result is waited for.
        faults={"code inside a read": 0, "lost prompt": ECONNRESET, "late result of a send": 0},
    ),
    "cip": Family(
        "a7670e",
        Cip,
        "+CIPRXGET: 1,{}",
        "+CIPOPEN:",
        {"AT+CIPSEND": 1, "AT+CIPRXGET": 1},
        online_s=30,
        faults=_SLOW_BOOT,
    ),
    "cipstart": Family(
        "sim7000g",
        Cipstart,
        "+CIPRXGET: 1,{}",
        "{}, CONNECT",
        {"AT+CIPSEND": 1, "AT+CIPRXGET": 1},
    ),
    "cipstart-pushed": Family(
        "air780e",
        Cipstart,
        "+RECEIVE,{}",
        "{}, CONNECT",
        {"AT+CIPSEND": 1},
        tells_arrivals=True,
        faults=dict.fromkeys(  # there is none
            ("code inside a read", "result before the payload", "unanswered read", "reboot at read", "hang at read"), 0
        ),
    ),
    "sequans": Family(
        "gm02s",
        Sequans,
        "+SQNSRING: {}",
        "+SQNSD:",
        {"AT+SQNSSENDEXT": 1, "AT+SQNSRECV": 1},
        first=1,
        lost_session=1,
        faults={"refused send": 0},
    ),
    "usocr": Family(
        "sara-r5",
        Usocr,
        "+UUSORD: {},4",
        "+UUSOCO:",
        {"AT+USOWR": 1, "AT+USORD": 1},
        online_s=15,
        faults={"refused send": 0, "code inside a read": 0, "late result of a send": 0},
    ),
}  # fmt: skip
FAMILIES |= {
    "bg95": replace(FAMILIES["quectel"], profile="bg95-m3", online_s=18, variant=True),
    "sim7600": replace(FAMILIES["cip"], profile="sim7600e", online_s=40, variant=True),
    "ec801e": replace(FAMILIES["quectel"], profile="ec801e", variant=True),
}
