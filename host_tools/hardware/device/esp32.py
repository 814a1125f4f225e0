# type: ignore - MicroPython, which pyright takes for CPython
# ruff: noqa: SIM115
"""The virtual board's replacement for the ESP32 port's `esp32`: data partitions, each in a file.

`power_on` imports it in each boot, while the host's files are still accessible.
"""

import os

import machine

_SECTOR = 4096


class Partition:
    """MicroPython's block protocol over NOR flash: programming clears bits, an erase sets all bits of a sector."""

    TYPE_APP, TYPE_DATA = 0, 1
    _all = []

    def __init__(self, label, path):
        self._label = label
        self._file = open(path, "r+b")
        self._octets = self._file.seek(0, 2)
        self._all.append(self)

    @classmethod
    def find(cls, type=TYPE_APP, subtype=0xFF, label=None, block_size=_SECTOR):
        return [each for each in cls._all if type == cls.TYPE_DATA and label in (None, each._label)]

    def readblocks(self, block, buf, off=0):
        return _whole(self._read, block * _SECTOR + off, buf)

    def writeblocks(self, block, buf, off=None):
        if off is None:  # as in the port, the form without an offset erases first
            self.ioctl(6, block)
            off = 0
        return _whole(self._program, block * _SECTOR + off, buf)

    def ioctl(self, op, arg):
        if op == 4:
            return self._octets // _SECTOR
        if op == 5:
            return _SECTOR
        if op == 6:
            return _whole(self._write, arg * _SECTOR, b"\xff" * _SECTOR)
        return 0

    def _read(self, at, buf):
        self._file.seek(at)
        self._file.readinto(buf)

    def _program(self, at, buf):
        self._file.seek(at)
        old = int.from_bytes(self._file.read(len(buf)), "little")
        self._write(at, (old & int.from_bytes(buf, "little")).to_bytes(len(buf), "little"))

    def _write(self, at, data):
        self._file.seek(at)
        self._file.write(data)


def gpio_deep_sleep_hold(on):
    """Has no effect: no pin is connected."""


def _whole(action, at, buf):
    """Completes `action` in spite of Ctrl-C; in the ESP32 port this is C code, which Ctrl-C does not interrupt."""
    interrupted = False
    while True:
        try:
            action(at, buf)
            break
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        machine.notify("again")
    return 0


for _label in os.getenv("BOARD_PARTITIONS").split():
    Partition(_label, os.getenv("BOARD_FOLDER") + "/" + _label + ".bin")
