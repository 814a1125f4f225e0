"""What makes a dialect one modem model, as data: the tables of a profile."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

import msgspec

from host_tools.base.toml import Table

Count = Annotated[int, msgspec.Meta(ge=1)]
Ms = Annotated[int, msgspec.Meta(ge=0)]
Quirk = bool | int | str


class BootLine(Table, frozen=True):
    """A line that the modem writes after power-on; "sim" stands for the card's state."""

    ms: Ms
    line: str


class Power(Table, frozen=True):
    start: Literal["supply", "key"]  # "key" waits for the PWRKEY pulse
    down_ms: Ms  # from the command until it is off
    psm: bool = False  # whether networks grant it PSM and eDRX: LTE-M and NB-IoT
    told_ms: Ms = 200  # from the command until it says so; clients wait no longer than a second for it
    reset_function: int = 0  # level of AT+CFUN that restarts it, beside AT+CFUN=1,1; 0: there is none


class LightSleep(Table, frozen=True):
    """Sleep while the host keeps DTR away."""

    idle_ms: Ms  # from the end of all that was under way until it sleeps
    wake_ms: Ms  # from DTR until the serial interface is on
    source: str  # of these figures


class Boot(Table, frozen=True):
    uart_ready_ms: Ms  # deaf until then
    lines: tuple[BootLine, ...]
    sim_ready_ms: Ms
    sms_ready_ms: Ms  # SMS commands are refused before


class Radio(Table, frozen=True):
    register_ms: Ms
    retry_ms: Ms  # from a rejected registration to the next attempt
    band: str
    channel: int
    tac: str
    cell: str
    rsrp_dbm: int
    rsrq_db: int
    sinr_db: int


class Errors(Table, frozen=True):
    """The +CME ERROR numbers for what 3GPP leaves to the maker."""

    unknown_command: int
    parameter: int


class RealTimeClock(Table, frozen=True):
    unset: datetime  # what it shows before it is set
    keeps: Literal["utc", "local"] = "utc"  # what AT+CTZU=1 sets it to
    zone: bool = True  # whether AT+CCLK? shows the zone
    century: bool = False  # and four digits of the year


class Counter(Table, frozen=True):
    """The data-volume counter."""

    counts: Literal["ip", "payload"]
    persist: Literal["nvm", "none", "session"]  # "none": an EG800K, zero after every power-on; "session": and with it
    save_on_power_down: bool


class Sockets(Table, frozen=True):
    mtu: Annotated[int, msgspec.Meta(ge=576)]
    count: Count
    receive_octets: Count  # the window that a connection offers its peer, and what datagrams may wait in
    send_octets: Count
    max_send: Count  # of one command
    max_read: Count
    connect_timeout_ms: Ms
    dns_timeout_ms: Ms
    dns_attempts: Count
    close_timeout_ms: Ms
    timestamps: bool = False  # whether its TCP offers them (RFC 7323), of which manuals do not tell
    syn_options: int = 0  # octets of its SYN's options beside these and the MSS

    @property
    def last(self) -> int:
        """The number of the last socket."""
        return self.count - 1


class Ppp(Table, frozen=True):
    """Data calls."""

    vj: bool = True  # whether it takes Van Jacobson compression of TCP headers
    # What the host is told when the network ends the session: LCP's end and NO CARRIER, the latter alone, or nothing
    ending: Literal["terminate", "no-carrier", "silence"] = "terminate"


class Sms(Table, frozen=True):
    slots: Count
    send_ms: Ms


class Profile(Table, frozen=True):
    """One modem model. Times are virtual milliseconds, sizes octets."""

    name: str
    dialect: str  # of `dialects.DIALECTS`
    manufacturer: str
    model: str
    revision: str
    imei: str
    sim_start_ms: Ms  # from AT+CFUN=1 after 0 to what the modem says of the card
    rate_change_ms: Ms  # from the OK of a command that changes the interface to the change
    clock: RealTimeClock
    power: Power
    boot: Boot
    radio: Radio
    errors: Errors
    sockets: Sockets
    sms: Sms
    delay_ms: dict[str, Ms]  # by command name; "*" for the others
    ppp: Ppp = Ppp()
    light_sleep: LightSleep | None = None  # of a modem that has it
    counter: Counter | None = None  # of a modem that has one
    quirks: dict[str, Quirk] = {}  # of the dialect; `load` adds the usual values of the others
    ranges: dict[str, str] = {}  # of settings, as the test form prints them, where they differ from the dialect's
    source: str = ""  # of a recorded profile: what it was recorded from
    answers: dict[str, tuple[str, ...]] = {}  # recorded: lines and final result by what follows AT, in capitals
    settings: dict[str, str] = {}  # defaults that differ from the dialect's, by command, as the read form prints them

    @property
    def registered_ms(self) -> int:
        """From power-on until it is registered, if nothing goes wrong."""
        return self.boot.sim_ready_ms + self.radio.register_ms
