"""Board files: each that ships is right and said to be what it is; what is wrong is one clear line."""

import json

import pytest

from host_tools.base import paths
from host_tools.base.errors import UsageError
from host_tools.hardware import boards

GOOD = """
title = "A test V1"
mcu = "esp32"
confirmed = "documentation"
source = ["its manual"]
[micropython]
image = "ESP32_GENERIC-SPIRAM"
least = "1.24.0"
[uart]
id = 1
tx = 26
rx = 27
baud = 115200
[modem]
family = "quectel"
model = "EC200U"
bearers = ["at", "ppp"]
[power]
pin = 12
active = 1
[reset]
pin = 5
active = 0
pulse_ms = 300
[pwrkey]
pin = 4
active = 1
on_ms = 2100
off_ms = 3100
[status]
pin = 34
active = 1
[[hold]]
pin = 25
level = 0
why = "DTR"
"""


def test_the_good_one_compiles_to_what_a_device_takes():
    board = boards.loads(GOOD, "good/board.toml")
    assert board.has_driver
    assert board.device_json() == {
        "uart": 1,
        "tx": 26,
        "rx": 27,
        "baud": 115200,
        "power": 12,
        "power_active": 1,
        "reset": 5,
        "reset_active": 0,
        "reset_pulse_ms": 300,
        "pwrkey": 4,
        "pwrkey_active": 1,
        "on_pulse_ms": 2100,
        "off_pulse_ms": 3100,
        "status": 34,
        "status_active": 1,
        "hold": [[25, 0]],
    }
    without = boards.loads(GOOD.partition("[power]")[0], "good/board.toml").device_json()
    assert without == {"uart": 1, "tx": 26, "rx": 27, "baud": 115200}


def test_a_uart_for_the_reserve():
    assert boards.loads(GOOD.replace(*FREE[0]), "good/board.toml").device_json()["reserve"] == [2, 13, 14]


S3 = ('mcu = "esp32"', 'mcu = "esp32s3"'), ('"ESP32_GENERIC-SPIRAM"', '"ESP32_GENERIC_S3-SPIRAM_OCT"')
C3 = ('mcu = "esp32"', 'mcu = "esp32c3"'), ('"ESP32_GENERIC-SPIRAM"', '"ESP32_GENERIC_C3"')
FREE = [("[power]", "[tls_reserve]\nuart = 2\ntx = 13\nrx = 14\n\n[power]")]
C3_FREE = [*C3, ("tx = 26", "tx = 6"), ("rx = 27", "rx = 7"), *FREE]

BROKEN = {
    "not TOML": [("[uart]", "[uart"), "line 9, column 6: not valid TOML: "],
    "unknown key": [("off_ms", "of_ms"), 'pwrkey.of_ms: no such field; did you mean "off_ms"?'],
    "unknown table": [("[status]", "[led]"), "led: no such field; there are "],
    "no title": [('title = "A test V1"\n', ""), "title: is missing; name it, as in "],
    "no rate": [("baud = 115200\n", ""), "uart.baud: is missing; give the modem's rate, as in baud = 115200"],
    "no level": [("level = 0\n", ""), "hold #1, level: is missing; give one"],
    "another chip": [('mcu = "esp32"', 'mcu = "esp8266"'), 'mcu: "esp8266" is not known here; use "esp32'],
    "level 2": [("active = 0", "active = 2"), "reset.active: 2 is not known here; use 0 or 1"],
    "text for a pin": [("tx = 26", 'tx = "26"'), 'uart.tx: "26" is not a whole number; give a whole number'],
    "a long pulse": [("300", "30000"), "reset.pulse_ms: 30000 is out of range; give 20000 or less"],
    "no pulse": [("= 300", "= 0"), "reset.pulse_ms: 0 is out of range; give 1 or more"],
    "no pin 24": [("pin = 25", "pin = 24"), "hold #1, pin: the ESP32 has no GPIO 24; give another one"],
    "flash": [("pin = 12", "pin = 7"), "power.pin: GPIO 7 is the flash's on an ESP32 with ESP32_GENERIC-SPIRAM; give"],
    "console": [("pin = 5", "pin = 1"), "reset.pin: GPIO 1 is the console's on an ESP32 with "],
    "PSRAM": [("rx = 27", "rx = 16"), "uart.rx: GPIO 16 is the PSRAM's on an ESP32 with ESP32_GENERIC-SPIRAM; "],
    "input only": [("pin = 4", "pin = 35"), "pwrkey.pin: GPIO 35 of an ESP32 is input-only; give another one"],
    "used twice": [("pin = 34", "pin = 12"), "status.pin: GPIO 12 is already power.pin; give another one"],
    "tx is rx": [("rx = 27", "rx = 26"), "uart.rx: GPIO 26 is already uart.tx; give another one"],
    "flash of an S3": [*S3, "uart.tx: GPIO 26 is the flash's on an ESP32-S3 with ESP32_GENERIC_S3-SPIRAM_OCT; give"],
    "no pin 25": [*S3, ("tx = 26", "tx = 25"), "uart.tx: the ESP32-S3 has no GPIO 25; give another one"],
    "octal": [*S3, ("tx = 26", "tx = 35"), "uart.tx: GPIO 35 is the octal PSRAM's on an ESP32-S3 with "],
    "console of an S3": [*S3, ("tx = 26", "tx = 43"), "uart.tx: GPIO 43 is the console's on an ESP32-S3 with "],
    "console of a C3": [*C3, ("tx = 26", "tx = 21"), "uart.tx: GPIO 21 is the console's on an ESP32-C3 with "],
    "no pin 26": [*C3, "uart.tx: the ESP32-C3 has no GPIO 26; give another one"],
    "C3's UARTs": [*C3, ("id = 1", "id = 2"), "uart.id: UART 2 of an ESP32-C3 is not free for a modem; use 1"],
    "console's UART": [("id = 1", "id = 0"), "uart.id: UART 0 of an ESP32 is not free for a modem; use 1 or 2"],
    "the modem's own UART": [
        *FREE,
        ("uart = 2", "uart = 1"),
        "tls_reserve.uart: UART 1 of an ESP32 is not free beside",
    ],
    "a C3 has no other": [
        *C3_FREE,
        "tls_reserve.uart: UART 2 of an ESP32-C3 is not free beside the modem's; leave the",
    ],
    "a pin of the modem's": [*FREE, ("tx = 13", "tx = 26"), "tls_reserve.tx: GPIO 26 is already uart.tx; give another"],
    "half a flow": [("baud", "rts = 21\nbaud"), "uart.cts: is missing; give rts and cts, or neither"],
    "another's image": [(S3[1]), 'micropython.image: "ESP32_GENERIC_S3-SPIRAM_OCT" is not an image for ESP32; use '],
    "no version": [('"1.24.0"', '"v1.24"'), 'micropython.least: "v1.24" is not a version; write it as in "1.24.0"'],
    "old": [('"1.24.0"', '"1.9.4"'), 'micropython.least: "1.9.4" is too old for the firmware; give 1.24.0 or newer'],
    "a slip": [('"quectel"', '"quectl"'), 'modem.family: "quectl" is not known here; did you mean "quectel"?'],
    "a maker": [('"quectel"', '"Quectel"'), 'modem.family: "Quectel" is not a family\'s name; use lower-case'],
    "no bearer": [('["at", "ppp"]', "[]"), 'modem.bearers: is empty; list them, as in bearers = ["at"]'],
    "twice": [('["at", "ppp"]', '["at", "at"]'), "modem.bearers: has one twice; "],
    "another bearer": [('"ppp"', '"ndis"'), 'modem.bearers #2: "ndis" is not known here; use "at" or "ppp"'],
    "no source": [('["its manual"]', "[]"), "source: is empty; name the documents"],
    "no title's text": [('"A test V1"', '""'), 'title: "" has 0 characters; give 1 or more'],
}


@pytest.mark.parametrize("changes", BROKEN.values(), ids=BROKEN)
def test_what_is_wrong_is_one_line(changes):
    *replacements, line = changes
    text = GOOD
    for old, new in replacements:
        assert text.count(old) >= 1, f"{old} is not in the file"
        text = text.replace(old, new, 1)
    with pytest.raises(UsageError) as error:
        boards.loads(text, "some/board.toml")
    assert str(error.value).startswith(f"some/board.toml: {line}")
    assert "\n" not in str(error.value)


def test_a_board_of_another_family_needs_no_code():
    board = boards.loads(GOOD.replace('"quectel"', '"new-maker"').replace("ESP32_GENERIC-SPIRAM", "MY_OWN"), "b")
    assert not board.has_driver


# (tx, rx, pwrkey, reset, DTR) as collected from the makers' pages, apart from the files.
PINS = {
    "lilygo-t-a7670": (26, 27, 4, 5, 25),
    "lilygo-t-a7608x": (26, 27, 4, 5, 25),
    "lilygo-t-a7608x-s3": (17, 18, 15, 16, 7),
    "lilygo-t-call-a7670-v1.0": (26, 25, 4, 27, 14),
    "lilygo-t-call-a7670-v1.1": (27, 26, 4, 5, 32),
    "lilygo-t-pcie-a7670": (27, 26, 4, None, 32),
    "lilygo-t-pcie-sim7000g": (27, 26, 4, None, 32),
    "lilygo-t-pcie-sim7080g": (27, 26, 4, None, 32),
    "lilygo-t-pcie-sim7600": (27, 26, 4, None, 32),
    "lilygo-t-pcie-sim7670g": (27, 26, 4, None, 32),
    "lilygo-t-sim7000g": (27, 26, 4, None, 25),
    "lilygo-t-sim7080g-s3": (5, 4, 41, None, 42),
    "lilygo-t-sim7600": (27, 26, 4, None, 32),
    "lilygo-t-sim7670g-s3": (11, 10, 18, 17, 9),
    "alientek-dnesp32s3m-4g": (45, 21, None, None, None),
    "kevin-box-2": (6, 5, None, None, None),
    "m5stack-core2-unit-cat1-cn": (32, 33, None, None, None),
    "m5stack-cores3-unit-cat1-cn": (17, 18, None, None, None),
    "minsi-k08-dual": (12, 11, None, None, None),
    "xiaozhi-bread-compact-ec801e": (12, 11, None, None, None),
    "xiaozhi-bread-compact-ml307": (12, 11, None, None, None),
    "xingzhi-abs-2.0": (12, 11, None, None, None),
    "xingzhi-cube-ml307": (12, 11, None, None, None),
    "xmini-c3-4g": (2, 0, None, None, 1),
    "yunliao-s3": (15, 16, None, None, None),
    "zhengchen-1.54tft-ml307": (12, 11, None, None, None),
    "makerfabs-esp32s3-a7670x-v1.2": (48, 47, 4, None, None),
    "walter": (48, 14, None, 45, None),
}
PULSES = {"A7670": (100, 3000), "SIM7670G": (100, 3000), "SIM7600": (500, 3000), "SIM7080G": (1000, 1300)}
PULSES |= {"SIM7000G": (1000, 1300), "A7608E": (1000, 3000)}


@pytest.mark.parametrize("name", boards.names())
def test_each_board_that_ships(name):
    board = boards.load(name)
    assert board.name == name
    note = (paths.boards() / name / "README.md").read_text(encoding="utf-8")
    assert note.startswith(f"# {board.title}\n")
    assert (board.confirmed == "hardware") == ("Seen on hardware" in note)
    assert json.loads(json.dumps(board.device_json())) == board.device_json()
    if name in PINS:
        dtr = board.device_json().get("dtr")
        key, reset = board.pwrkey and board.pwrkey.pin, board.reset and board.reset.pin
        assert (board.uart.tx, board.uart.rx, key, reset, dtr[0] if dtr else None) == PINS[name]
    if board.pwrkey:
        model = next(model for model in PULSES if board.modem.model.startswith(model))
        assert (board.pwrkey.on_ms, board.pwrkey.off_ms) == PULSES[model]


def test_the_makers_boards_are_all_there():
    assert {name for name in boards.names() if not name.startswith("own-")} == set(PINS)


def test_a_board_is_found_by_name_folder_and_file(tmp_path):
    folder = tmp_path / "mine-v2"
    folder.mkdir()
    (folder / "board.toml").write_text(GOOD)
    for given in (folder, str(folder), folder / "board.toml"):
        assert boards.load(given).name == "mine-v2"
    assert boards.load("walter").title.endswith("Walter")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ("waltr", 'board: "waltr" is not known; did you mean "walter"?'),
        ("zzzz", 'board: "zzzz" is not known; `usageguard boards` lists them; or give a board.toml'),
        ("no/such/b.toml", "no/such/b.toml: no such file; name a board that ships, or a folder with a board.toml"),
    ],
)
def test_what_is_not_found_is_one_line(given, line):
    with pytest.raises(UsageError) as error:
        boards.load(given)
    assert str(error.value) == line


def test_a_file_of_another_encoding_is_one_line(tmp_path):
    (tmp_path / "board.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(UsageError, match=r"board\.toml: is not UTF-8 text; save it as UTF-8"):
        boards.load(tmp_path)


def test_the_list_says_what_runs():
    listed = {board["name"]: board for board in boards.to_json()}
    assert set(listed) == set(boards.names())
    assert listed["own-esp32-quectel"]["has_driver"]
    assert all(board["has_driver"] for board in listed.values())
    assert {tuple(board["bearers"]) for board in listed.values()} == {("at",), ("at", "ppp")}
    assert listed["lilygo-t-a7670"]["tried"] == {"hardware": False, "simulated": ["a7670e", "sim7600e"]}
    assert json.loads(json.dumps(listed)) == listed
    table = boards.table()
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, (cell.plain for cell in row), strict=True)) for row in table.rows]
    drivers = {row["board"]: row["driver"] for row in rows}
    assert len(rows) == len(drivers) == len(listed)
    assert drivers["own-esp32-quectel"] == "quectel"
    assert drivers["walter"] == "sequans"
    assert str(table.caption).startswith("Not yet run on hardware")
    run = {name for name in boards.names() if boards.load(name).confirmed == "hardware"}
    assert {row["board"] for row in rows if "hardware" in row["tried with"]} == run
    assert {row["bearer"] for row in rows} == {"at", "at, ppp"}
    assert {row["board"]: row["tried with"] for row in rows}["walter"] == "gm02s"


@pytest.mark.parametrize(
    ("machine", "chip"),
    [
        ("Generic ESP32 module with ESP32", "ESP32"),
        ("Generic ESP32 module with SPIRAM with ESP32", "ESP32"),
        ("Generic ESP32 module with ESP32-UNICORE", "ESP32"),
        ("TinyPICO with ESP32-PICO-D4", "ESP32"),
        ("Generic ESP32S3 module with Octal-SPIRAM with ESP32S3", "ESP32-S3"),
        ("Generic ESP32S3 module with ESP32-S3", "ESP32-S3"),
        ("TinyS3 with ESP32-S3-FN8", "ESP32-S3"),
        ("ESP32C3 module with ESP32C3", "ESP32-C3"),
        ("LOLIN C3 mini with ESP32-C3FH4", "ESP32-C3"),
        ("LOLIN S2 mini with ESP32-S2FN4R2", "ESP32-S2"),
        ("ESP32P4 module with ESP32-P4", "ESP32-P4"),
        ("my own", ""),
        ("linux [GCC 14.2.1] version", ""),
    ],
)
def test_what_micropython_calls_a_board_names_its_chip(machine, chip):
    """The texts are those of MicroPython 1.24 to 1.29."""
    assert boards.chip_of(machine) == chip
