"""The power management chip of LilyGO's T-SIM7080G-S3, on a faked I2C bus."""

import pytest

from host_tools.hardware import boards
from tests.hal.hardware import BoardRig

BOARD = boards.load("lilygo-t-sim7080g-s3").device_json()
DC_PROTECTION, DC_ON, DC3, LDO_ON, BLDO1 = 0x23, 0x80, 0x84, 0x90, 0x96
POWERED_UP = {DC_PROTECTION: 0x3F, DC_ON: 0x13, DC3: 0x80 | 106, LDO_ON: 0x80, BLDO1: 0xE0}


@pytest.fixture
def rig():
    rig = BoardRig()
    rig.registers = bytearray(256)
    for register, value in POWERED_UP.items():
        rig.registers[register] = value
    return rig


def written(rig):
    return [entry[1:] for entry in rig.log if entry[0] == "register"]


def test_supply_is_set_up_before_it_is_switched_on(rig, monkeypatch):
    rig.adapter(monkeypatch).Hal(BOARD)
    assert rig.bus == (15, 7)
    assert written(rig) == [
        (BLDO1, 0xE0 | 28),  # 3.3 V, and the upper bits as they were
        (LDO_ON, 0x90),
        (DC3, 0x80 | 102),  # 3.0 V
        (DC_PROTECTION, 0x3B),
        (DC_ON, 0x17),  # DC1 feeds the ESP32
    ]


def test_what_is_set_up_is_not_written_again(rig, monkeypatch):
    module = rig.adapter(monkeypatch)
    module.Hal(BOARD)
    rig.log.clear()
    module.Hal(BOARD)
    assert written(rig) == []


def test_off_and_on(rig, monkeypatch):
    hal = rig.adapter(monkeypatch).Hal(BOARD)
    rig.log.clear()
    assert list(hal.modem_power(False)) == [1300]
    assert rig.log[-1] == ("register", DC_ON, 0x13), "after the key's pulse, and the level shifters stay on"
    rig.log.clear()
    assert list(hal.modem_power(True)) == [1000]
    assert rig.log[0] == ("register", DC_ON, 0x17)


def test_chip_that_does_not_answer_stops_nothing(rig, monkeypatch, capsys):
    rig.registers = None
    hal = rig.adapter(monkeypatch).Hal(BOARD)
    assert list(hal.modem_power(True)) == [1000]
    assert capsys.readouterr().out == "ug axp2101 19 0\n" * 2
