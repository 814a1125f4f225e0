"""The ESP32's adapter against faked modules: the order, levels and lengths of what it does to pins, and its edges."""

import json

import pytest

from host_tools.hardware import boards
from tests.hal.hardware import TICKS, BoardRig

UART = {"uart": 1, "tx": 26, "rx": 27, "baud": 115200}
POWER = {"power": 12, "power_active": 1}
RESET = {"reset": 5, "reset_active": 1, "reset_pulse_ms": 2600}
KEY = {"pwrkey": 4, "pwrkey_active": 1, "on_pulse_ms": 100, "off_pulse_ms": 3000}
STATUS = {"status": 34, "status_active": 1}


def pulse(pin, active, ms):
    return [("pin", pin, 1 - active), ("pin", pin, active), ("for", ms, None), ("pin", pin, 1 - active)]


def of(pin, level):
    return ("pin", pin, level)


def boot(board, monkeypatch, rig=None):
    rig = rig or BoardRig()
    return rig, rig.adapter(monkeypatch).Hal(board)


def switch(rig, hal, on):
    for ms in hal.modem_power(on):
        rig.log.append(("for", ms, None))


def inverted(board):
    return {key: 1 - value if key.endswith("_active") else value for key, value in board.items()}


SEQUENCES = {
    "nothing to switch": ({}, {}, [], [], []),
    "supply, hold, reset and key": (
        POWER | RESET | KEY | {"hold": [[25, 0], [32, 1]]},
        {},
        [of(12, 1), of(25, 0), of(32, 1)],
        [of(12, 1), of(25, 0), of(32, 1), *pulse(5, 1, 2600), *pulse(4, 1, 100)],
        [*pulse(4, 1, 3000), of(12, 0)],
    ),
    "active low": (
        inverted(POWER | RESET | KEY),
        {},
        [of(12, 0)],
        [of(12, 0), *pulse(5, 0, 2600), *pulse(4, 0, 100)],
        [*pulse(4, 0, 3000), of(12, 1)],
    ),
    "a null is a lack": (RESET | {"reset": None}, {}, [], [], []),
    "reset alone": (RESET, {}, [], pulse(5, 1, 2600), []),
    "it is on": (KEY | STATUS, {34: 1}, [], [], pulse(4, 1, 3000)),
    "it is off": (KEY | STATUS, {34: 0}, [], pulse(4, 1, 100), []),
    "it is on, by a low status": (KEY | inverted(STATUS), {34: 0}, [], [], pulse(4, 1, 3000)),
}


@pytest.mark.parametrize(("board", "inputs", "booted", "on", "off"), SEQUENCES.values(), ids=SEQUENCES)
def test_pins_are_driven_in_order(board, inputs, booted, on, off, monkeypatch):
    rig, hal = boot(UART | board, monkeypatch)
    rig.inputs = inputs
    assert rig.log == booted
    for switch_on, wanted in ((True, on), (False, off)):
        rig.log.clear()
        switch(rig, hal, switch_on)
        assert rig.log == wanted


@pytest.mark.parametrize("name", boards.names())
def test_each_board_is_left_as_it_should_be(name, monkeypatch):
    board = boards.load(name)
    rig, hal = boot(json.loads(json.dumps(board.device_json())), monkeypatch)
    driven = {pin for path, pin, drives in board.pins() if drives and not path.startswith((".uart", ".axp2101"))}
    rest = {table.pin: 1 - table.active for table in (board.reset, board.pwrkey) if table}
    held = {hold.pin: hold.level for hold in board.hold}
    supply = {board.power.pin: board.power.active} if board.power else {}
    assert rig.levels() == supply | held
    switch(rig, hal, True)
    assert rig.levels() == supply | held | rest
    assert set(rig.levels()) == driven
    switch(rig, hal, False)
    assert rig.levels() == {pin: 1 - level for pin, level in supply.items()} | held | rest
    uart = rig.uarts[0]
    assert (uart.number, uart.settings["tx"], uart.settings["rx"]) == (board.uart.id, board.uart.tx, board.uart.rx)
    assert (uart.settings.get("flow", 0) == 3) == (board.uart.rts is not None)


def test_a_modem_that_holds_the_line_does_not_stop_the_board(monkeypatch):
    rig, hal = boot(UART | {"rts": 21, "cts": 47}, monkeypatch)
    hal.uart_write(b"AT\r...", 3)
    rig.line_held = True
    hal.uart_write(b"lost", 4)
    rig.line_held = False
    hal.uart_write(b"ATE0\r", 5)
    assert rig.sent == b"AT\rATE0\r"


@pytest.mark.parametrize(("cause", "told"), [(0, 2), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)])
def test_reset_causes_are_the_interfaces(cause, told, monkeypatch):
    assert boot(UART, monkeypatch, BoardRig(cause))[1].reset_cause() == told


def test_the_ledger_lies_on_its_partition_or_may_lie_in_a_file(monkeypatch):
    hal = boot(UART, monkeypatch, BoardRig(partitions=("nvs", "ledger")))[1]
    assert hal.flash == "ledger"
    hal = boot(UART, monkeypatch, BoardRig(partitions=("nvs",)))[1]
    assert hal.flash is None
    assert hal.files


@pytest.mark.parametrize(
    ("now", "until", "polled"), [(10, 15, [5]), (TICKS - 3, 4, [7]), (15, 15, []), (15, 10, []), (4, TICKS - 3, [])]
)
def test_waits_for_what_is_left(now, until, polled, monkeypatch):
    rig, hal = boot(UART, monkeypatch)
    rig.polls.clear()
    rig.ticks = now
    hal.wait(until)
    assert rig.polls == polled


def test_reads_what_there_is(monkeypatch):
    rig, hal = boot(UART, monkeypatch)
    buf = bytearray(b"....")
    assert hal.uart_readinto(buf, 4) == 0
    rig.received = b"abc"
    assert hal.uart_readinto(buf, 2) == 2
    assert hal.uart_readinto(buf, 2) == 1
    assert buf == b"cb.."


@pytest.mark.parametrize("stored", [b"", b"\x07", b"\x01\x02\x03\x04", b"\x01\x02\x03\x04\x05\x06"])
def test_retained_memory_fills_what_it_has(stored, monkeypatch):
    rig, hal = boot(UART, monkeypatch)
    rig.memory = stored
    buf = bytearray(4)
    hal.retained_read(buf)
    assert buf == (stored[:4] + bytes(4))[:4]
    hal.retained_write(b"\x09\x08")
    assert rig.memory == b"\x09\x08"


def test_sets_the_clock_from_day_0_of_2000(monkeypatch):
    rig, hal = boot(UART, monkeypatch)
    hal.set_utc(0, 0)
    assert rig.utc == (2000, 1, 1, 5, 0, 0, 0, 0)  # a Saturday
    hal.set_utc(366 + 31 + 28, 86_399)
    assert rig.utc == (2001, 3, 1, 3, 23, 59, 59, 0)  # a Thursday


def test_one_watchdog_is_fed(monkeypatch):
    rig, hal = boot(UART, monkeypatch)
    hal.watchdog_feed(300_000)
    hal.watchdog_feed(300_000)
    assert (rig.watchdogs, rig.fed) == ([300_000], 2)


def test_a_deep_sleep_holds_what_the_modem_needs(monkeypatch):
    rig, hal = boot(UART | POWER | RESET | {"hold": [[25, 0], [32, 1]]}, monkeypatch)
    rig.log.clear()
    hal.deep_sleep(5_000)
    assert rig.log == [("hold", 12, True), ("hold", 25, True), ("hold", 32, True), ("hold", "all", True),
                       ("sleep", 5_000, None)]  # fmt: skip


def test_a_board_without_such_pins_sleeps(monkeypatch):
    rig, hal = boot(UART, monkeypatch)
    hal.deep_sleep(0)
    assert rig.log[-1] == ("sleep", 0, None)


def test_dtr_is_taken_away_by_the_other_level(monkeypatch):
    rig, hal = boot(UART | {"hold": [[25, 0]], "dtr": [25, 0]}, monkeypatch)
    dtr = hal.modem_dtr()
    dtr(False)
    dtr(True)
    assert rig.log == [of(25, level) for level in (0, 0, 1, 0)]


def test_a_board_without_dtr_says_so(monkeypatch):
    _, hal = boot(UART, monkeypatch)
    assert hal.modem_dtr() is None
