"""What one modem model does, as data: `profiles/*.toml`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from host_tools import files, strict
from host_tools.errors import UsageError

_HERE = Path(__file__).parent / "profiles"
Ms = Annotated[int, msgspec.Meta(ge=0)]


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class BootLine(_Struct, frozen=True):
    """A line the modem prints by itself after power-on; "sim" stands for what the SIM's state makes of it."""

    ms: Ms
    line: str


class Power(_Struct, frozen=True):
    start: Literal["supply", "key"]  # "key" waits for the PWRKEY pulse
    down_ms: Ms  # AT+QPOWD until POWERED DOWN


class Boot(_Struct, frozen=True):
    uart_ready_ms: Ms  # deaf until then
    lines: tuple[BootLine, ...]
    sim_ready_ms: Ms
    sms_ready_ms: Ms  # SMS commands are refused before


class Radio(_Struct, frozen=True):
    register_ms: Ms
    retry_ms: Ms  # from a rejected registration to the next attempt
    band: str
    channel: int
    tac: str
    cell: str
    rsrp_dbm: int
    rsrq_db: int
    sinr_db: int


class Errors(_Struct, frozen=True):
    """+CME ERROR numbers of the family for what the standard leaves open."""

    unknown_command: int
    parameter: int


class Counter(_Struct, frozen=True):
    counts: Literal["ip", "payload"]
    persist: Literal["nvm", "none"]  # "none": an EG800K, zero after every power-on
    save_on_power_down: bool


class Sockets(_Struct, frozen=True):
    mtu: int
    receive_octets: int
    send_octets: int
    connect_timeout_ms: Ms
    dns_timeout_ms: Ms
    dns_attempts: int
    close_timeout_ms: Ms


class Sms(_Struct, frozen=True):
    slots: int
    send_ms: Ms


class Profile(_Struct, frozen=True):
    """One modem model. Times are virtual milliseconds, sizes octets."""

    name: str
    manufacturer: str
    model: str
    revision: str
    imei: str
    port: str  # AT port name in +QISTATE
    unset_clock: str  # what the real-time clock starts from
    sim_start_ms: Ms  # from AT+CFUN=1 after 0 to what the modem says of the card
    rate_change_ms: Ms  # from the OK of a command that changes the interface to the change
    power: Power
    boot: Boot
    radio: Radio
    errors: Errors
    counter: Counter
    sockets: Sockets
    sms: Sms
    delay_ms: dict[str, Ms]  # by command name; "*" for the others
    settings: dict[str, str] = {}  # defaults of the family, by command name, as the read form prints them


def names() -> list[str]:
    return sorted(path.stem for path in _HERE.glob("*.toml"))


def load(name: str) -> Profile:
    """Reads a shipped profile by name or a TOML file by path.

    Raises ValueError with one line that names the file and the field.
    """
    path = _HERE / f"{name}.toml"
    if not path.is_file():
        path = Path(name)
    hint = f"known are {', '.join(names())}, or give a .toml file"
    if not path.exists() and path.suffix != ".toml":
        raise ValueError(f"modem profile {name!r} is unknown; {hint}")
    try:
        return strict.convert(strict.parse(files.text(path, hint), str(path)), Profile, str(path), {})
    except UsageError as error:
        raise ValueError(str(error)) from None
