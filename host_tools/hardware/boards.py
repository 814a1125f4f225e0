"""Reads `board.toml`, the pins, levels and pulses of a board revision, and makes a device's `board.json` from it."""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from rich.markup import escape

from host_tools.base import files, paths, toml
from host_tools.base.errors import UsageError
from host_tools.base.terminal import Column, Listing
from host_tools.base.toml import Table
from host_tools.base.units import quote
from host_tools.sim.modem import models

Mcu = Literal["esp32", "esp32s3", "esp32c3"]
Bearer = Literal["at", "ppp"]

USUAL_MCU: Mcu = "esp32"
FILE = "board.toml"
LEAST = (1, 24, 0)  # MicroPython's version, as in `usageguard.hal.esp32`
NOT_RUN = "Not yet run on hardware, unless marked"
LEAST_OF_BEARER = {"at": LEAST, "ppp": (1, 26, 0)}  # as in `usageguard.hal.esp32_ppp`
DRIVEN: tuple[Bearer, ...] = ("at", "ppp")
"""The bearers that the firmware can use."""

Gpio = Annotated[int, msgspec.Meta(ge=0, le=48)]
Level = Literal[0, 1]
PulseMs = Annotated[int, msgspec.Meta(ge=1, le=20_000)]
"""Not above 20 s: the modem is not asked anything during a pulse, so the device stays offline that much longer."""
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=160)]


@dataclass(frozen=True)
class Chip:
    """The pins of a microcontroller (Espressif's data sheets; in modules, some pins are used by the flash)."""

    title: str
    gpios: frozenset[int]
    taken: dict[int, str]
    images: dict[str, dict[int, str]]
    """MicroPython's images for it, with the pins that each one reserves."""
    uarts: tuple[int, ...]
    """The UARTs without a console."""
    input_only: frozenset[int] = frozenset()


def _each(pins: range, what: str) -> dict[int, str]:
    return dict.fromkeys(pins, what)


CHIPS: dict[str, Chip] = {
    "esp32": Chip(
        "ESP32",
        frozenset(range(40)) - {20, 24, 28, 29, 30, 31},
        _each(range(6, 12), "the flash's") | {1: "the console's", 3: "the console's"},
        {
            "ESP32_GENERIC": {},
            "ESP32_GENERIC-D2WD": {},
            "ESP32_GENERIC-OTA": {},
            "ESP32_GENERIC-SPIRAM": _each(range(16, 18), "the PSRAM's"),
            "ESP32_GENERIC-UNICORE": {},
        },
        (1, 2),
        frozenset(range(34, 40)),
    ),
    "esp32s3": Chip(
        "ESP32-S3",
        frozenset(range(49)) - {22, 23, 24, 25},
        _each(range(26, 33), "the flash's") | _each(range(43, 45), "the console's"),
        {"ESP32_GENERIC_S3": {}, "ESP32_GENERIC_S3-SPIRAM_OCT": _each(range(33, 38), "the octal PSRAM's")},
        (1, 2),
    ),
    "esp32c3": Chip(
        "ESP32-C3",
        frozenset(range(22)),
        _each(range(12, 18), "the flash's") | _each(range(20, 22), "the console's"),
        {"ESP32_GENERIC_C3": {}},
        (1,),
    ),
}


class MicroPython(Table, frozen=True):
    """The image's name in MicroPython's downloads, and the oldest version that works."""

    image: Text
    least: Text


class Uart(Table, frozen=True):
    """The UART, seen from the ESP32: `tx` and `rts` are outputs. `rts` and `cts` turn on hardware flow control."""

    id: Annotated[int, msgspec.Meta(ge=0, le=2)]
    tx: Gpio
    rx: Gpio
    baud: Annotated[int, msgspec.Meta(ge=9_600, le=3_000_000)]
    rts: Gpio | None = None
    cts: Gpio | None = None


class TlsReserve(Table, frozen=True):
    """A UART that nothing is connected to: its buffers are native memory, kept for TLS (firmware/reserve.py)."""

    uart: Annotated[int, msgspec.Meta(ge=1, le=2)]
    tx: Gpio
    rx: Gpio


class Modem(Table, frozen=True):
    """`family` names the firmware's driver; `bearers` are those of the modem: AT sockets, PPP. `psm`: it has PSM and
    eDRX."""

    family: Text
    model: Text
    bearers: list[Bearer]
    psm: bool = False


class Switch(Table, frozen=True):
    """The modem's supply (`active` switches it on), or the pin that shows that the modem is on."""

    pin: Gpio
    active: Level


class Reset(Table, frozen=True):
    pin: Gpio
    active: Level
    pulse_ms: PulseMs


class PowerKey(Table, frozen=True):
    """`active` is the ESP32's level that presses the key; most boards invert it before the modem."""

    pin: Gpio
    active: Level
    on_ms: PulseMs
    off_ms: PulseMs


class Axp2101(Table, frozen=True):
    """A power management chip whose DC3 feeds the modem, and BLDO1 its level shifters; on I2C."""

    sda: Gpio
    scl: Gpio
    dc3_mv: Annotated[int, msgspec.Meta(ge=1_600, le=3_400, multiple_of=100)]
    bldo1_mv: Annotated[int, msgspec.Meta(ge=500, le=3_500, multiple_of=100)]


class Hold(Table, frozen=True):
    """A pin that the modem needs at a fixed level. `dtr`: it is the modem's DTR."""

    pin: Gpio
    level: Level
    why: Text
    dtr: bool = False


class Board(Table, frozen=True, kw_only=True):
    """One board revision. `needs` is a step that the firmware does not do and the board needs first."""

    name: str = ""  # the folder's, unless given
    title: Text
    mcu: Mcu
    confirmed: Literal["documentation", "source", "wiring", "hardware"]
    """The source of the pins: the maker's documents or source code, your own wiring, or a test on hardware."""
    source: list[Text]
    needs: Text | None = None
    micropython: MicroPython
    uart: Uart
    modem: Modem
    power: Switch | None = None
    axp2101: Axp2101 | None = None
    reset: Reset | None = None
    pwrkey: PowerKey | None = None
    status: Switch | None = None
    hold: list[Hold] = []
    tls_reserve: TlsReserve | None = None

    @property
    def chip(self) -> Chip:
        return CHIPS[self.mcu]

    @property
    def has_driver(self) -> bool:
        return self.modem.family in families()

    @property
    def bearers(self) -> list[Bearer]:
        """The modem's bearers that the firmware can use."""
        return [bearer for bearer in self.modem.bearers if bearer in DRIVEN]

    def pins(self) -> Iterator[tuple[str, int, bool]]:
        """(place in the file, GPIO, whether the ESP32 drives it) of each pin that the board uses."""
        uart = self.uart
        yield ".uart.tx", uart.tx, True
        yield ".uart.rx", uart.rx, False
        if uart.rts is not None:
            yield ".uart.rts", uart.rts, True
        if uart.cts is not None:
            yield ".uart.cts", uart.cts, False
        if self.axp2101 is not None:
            yield ".axp2101.sda", self.axp2101.sda, True
            yield ".axp2101.scl", self.axp2101.scl, True
        for name in ("power", "reset", "pwrkey", "status"):
            table = getattr(self, name)
            if table is not None:
                yield f".{name}.pin", table.pin, name != "status"
        if self.tls_reserve:
            yield ".tls_reserve.tx", self.tls_reserve.tx, True
            yield ".tls_reserve.rx", self.tls_reserve.rx, False
        for index, hold in enumerate(self.hold):
            yield f".hold[{index}].pin", hold.pin, True

    def device_json(self) -> dict[str, Any]:
        """The device's `board.json`, as `usageguard.hal.esp32` reads it, without keys for what the board lacks."""
        out: dict[str, Any] = {"uart": self.uart.id, "tx": self.uart.tx, "rx": self.uart.rx, "baud": self.uart.baud}
        if self.uart.rts is not None:
            out |= {"rts": self.uart.rts, "cts": self.uart.cts}
        if self.power:
            out |= {"power": self.power.pin, "power_active": self.power.active}
        if self.axp2101:
            chip = self.axp2101
            out["axp2101"] = [chip.sda, chip.scl, chip.dc3_mv, chip.bldo1_mv]
        if self.reset:
            out |= {"reset": self.reset.pin, "reset_active": self.reset.active, "reset_pulse_ms": self.reset.pulse_ms}
        if self.pwrkey:
            out |= {"pwrkey": self.pwrkey.pin, "pwrkey_active": self.pwrkey.active}
            out |= {"on_pulse_ms": self.pwrkey.on_ms, "off_pulse_ms": self.pwrkey.off_ms}
        if self.status:
            out |= {"status": self.status.pin, "status_active": self.status.active}
        if self.hold:
            out["hold"] = [[hold.pin, hold.level] for hold in self.hold]
        for hold in self.hold:
            if hold.dtr:
                out["dtr"] = [hold.pin, hold.level]
        if self.tls_reserve:
            out["reserve"] = [self.tls_reserve.uart, self.tls_reserve.tx, self.tls_reserve.rx]
        return out


_EXAMPLES = {
    "title": 'name it, as in title = "Maker Board V1.2"',
    "mcu": f'write it as in mcu = "{get_args(Mcu)[0]}"',
    "confirmed": 'give the source of the pins, as in confirmed = "documentation"',
    "source": "name the documents or repositories that list the pins",
    "micropython": 'add [micropython] with image = "ESP32_GENERIC" and least = "1.24.0"',
    "image": 'name the image, as in image = "ESP32_GENERIC"',
    "least": 'give the oldest version that works, as in least = "1.24.0"',
    "uart": "add [uart] with id, tx, rx and baud",
    "modem": "add [modem] with family, model and bearers",
    "family": 'name the driver, as in family = "quectel"',
    "bearers": 'list them, as in bearers = ["at"]',
    "baud": "give the modem's rate, as in baud = 115200",
    "active": "give the level, 0 or 1, at which the pin is active",
    "why": "say what the level does",
}


def families() -> tuple[str, ...]:
    """The modem families for which the firmware has a driver."""
    paths.use_firmware()
    from usageguard.config.load import FAMILIES

    return FAMILIES


@functools.cache
def simulated(family: str) -> list[str]:
    """The simulated modems of a family: what its driver was tried with."""
    return [name for name in models.names() if models.table(name)["dialect"] == family]


def chip_of(machine: str) -> str:
    """The chip in a board's own description (`os.uname().machine`), spelt as `Chip.title`; "" where it names none.

    MicroPython writes "BOARD with CHIP", where CHIP is "ESP32", "ESP32S3" (up to 1.28), "ESP32-S3" (since), or longer:
    "ESP32-S3-FN8", "ESP32-S2FN4R2", "ESP32-PICO-D4".
    """
    named = re.match(r"ESP32(?:([SCHP]\d))?", machine.rpartition(" with ")[2].replace("-", ""))
    return "-".join(filter(None, ("ESP32", named[1]))) if named else ""


def names() -> list[str]:
    """The names of the boards that ship, sorted."""
    return sorted(path.parent.name for path in paths.boards().glob(f"*/{FILE}"))


def load(name_or_path: str | Path) -> Board:
    """Loads a board by its name, folder or file. Raises UsageError for bad input."""
    path = Path(name_or_path)
    if str(name_or_path) in names():
        path = paths.boards() / path / FILE
    elif path.is_dir():
        path /= FILE
    elif path.suffix != ".toml":
        near = difflib.get_close_matches(str(name_or_path), names(), n=1)
        hint = f'did you mean "{near[0]}"?' if near else "`usageguard boards` lists them; or give a board.toml"
        raise UsageError("board", "", f"{quote(str(name_or_path))} is not known", hint)
    where = str(Path(path.parent.name, path.name))
    board = loads(files.text(path, "name a board that ships, or a folder with a board.toml"), where)
    return msgspec.structs.replace(board, name=board.name or path.resolve().parent.name)


def loads(text: str, where: str) -> Board:
    """Reads a board from text; `where` names it in messages."""
    board = toml.convert(toml.parse(text, where), Board, where, _EXAMPLES)
    _check(where, board)
    return board


@dataclass
class _Places:
    """The pins that a board uses, checked one by one."""

    board: Board
    where: str
    taken: dict[int, str] = field(default_factory=dict)

    def take(self, path: str, pin: int, drives: bool) -> None:
        chip, image, place = self.board.chip, self.board.micropython.image, toml.place(path)
        owner = chip.taken.get(pin) or chip.images.get(image, {}).get(pin)
        if pin not in chip.gpios:
            problem = f"the {chip.title} has no GPIO {pin}"
        elif owner:
            problem = f"GPIO {pin} is {owner} on an {chip.title} with {image}"
        elif drives and pin in chip.input_only:
            problem = f"GPIO {pin} of an {chip.title} is input-only"
        elif pin in self.taken:
            problem = f"GPIO {pin} is already {self.taken[pin]}"
        else:
            self.taken[pin] = place
            return
        raise UsageError(self.where, place, problem, "give another one")


def _check(where: str, board: Board) -> None:
    """Checks that go beyond the types of the fields. Raises UsageError."""

    def wrong(path: str, problem: str, hint: str) -> UsageError:
        return UsageError(where, toml.place(path), problem, hint)

    if not board.source:
        raise wrong(".source", "is empty", _EXAMPLES["source"])
    chip, image, least = board.chip, board.micropython.image, board.micropython.least
    if image not in chip.images and image.startswith("ESP32_GENERIC"):
        raise wrong(
            ".micropython.image", f"{quote(image)} is not an image for {chip.title}", f"use {' or '.join(chip.images)}"
        )
    version = re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", least)
    if not version:
        raise wrong(".micropython.least", f"{quote(least)} is not a version", 'write it as in "1.24.0"')
    if tuple(map(int, version.groups())) < LEAST:
        shortest = ".".join(map(str, LEAST))
        raise wrong(".micropython.least", f"{quote(least)} is too old for the firmware", f"give {shortest} or newer")
    if board.uart.id not in chip.uarts:
        usable = " or ".join(map(str, chip.uarts))
        raise wrong(".uart.id", f"UART {board.uart.id} of an {chip.title} is not free for a modem", f"use {usable}")
    if board.tls_reserve and board.tls_reserve.uart not in {*chip.uarts} - {board.uart.id}:
        problem = f"UART {board.tls_reserve.uart} of an {chip.title} is not free beside the modem's"
        others = " or ".join(str(each) for each in chip.uarts if each != board.uart.id)
        raise wrong(".tls_reserve.uart", problem, f"use {others}" if others else "leave the table out")
    if (board.uart.rts is None) != (board.uart.cts is None):
        lacking = "rts" if board.uart.rts is None else "cts"
        raise wrong(f".uart.{lacking}", "is missing", "give rts and cts, or neither")
    family, bearers = board.modem.family, board.modem.bearers
    if not re.fullmatch(r"[a-z0-9-]+", family):
        raise wrong(".modem.family", f"{quote(family)} is not a family's name", "use lower-case letters, digits and -")
    near = difflib.get_close_matches(family, families(), n=1, cutoff=0.8)
    if near and near[0] != family:
        raise wrong(".modem.family", f"{quote(family)} is not known here", f'did you mean "{near[0]}"?')
    if not bearers or len(set(bearers)) < len(bearers):
        raise wrong(".modem.bearers", "is empty" if not bearers else "has one twice", _EXAMPLES["bearers"])
    places = _Places(board, where)
    for path, pin, drives in board.pins():
        places.take(path, pin, drives)


def to_json() -> list[dict[str, Any]]:
    """The boards that ship, for `--json`."""
    return [
        {
            "name": board.name,
            "title": board.title,
            "mcu": board.mcu,
            "image": board.micropython.image,
            "modem": {"family": board.modem.family, "model": board.modem.model, "bearers": board.modem.bearers},
            "has_driver": board.has_driver,
            "bearers": board.bearers,
            "tried": {"hardware": board.confirmed == "hardware", "simulated": simulated(board.modem.family)},
            "needs": board.needs,
            "confirmed": board.confirmed,
            "source": board.source,
            "board_json": board.device_json(),
        }
        for board in map(load, names())
    ]


def table() -> Listing:
    """The boards that ship as a table; those with a driver come first."""
    out = Listing(
        [
            Column("board"),
            Column("MCU"),
            Column("modem", least=16),
            Column("driver", least=16),
            Column("bearer"),
            Column("tried with", least=16),
        ],
        caption=f"{NOT_RUN}: the drivers were tried with the simulated modems named here. The bearers are those of the "
        "modem that the firmware can use. The source of the pins is in --json and in the board's README.md.",
    )
    for board in sorted(map(load, names()), key=lambda board: (not board.has_driver, board.name)):
        driver = board.modem.family if board.has_driver else f"no driver yet ({board.modem.family})"
        tried = ["hardware"] * (board.confirmed == "hardware") + simulated(board.modem.family)
        out.add(
            f"[bold]{escape(board.name)}[/]",
            board.chip.title,
            escape(board.modem.model),
            escape(f"{driver}; needs {board.needs}" if board.needs else driver),
            ", ".join(board.bearers) or "none yet",
            escape(", ".join(tried)),
        )
    return out
