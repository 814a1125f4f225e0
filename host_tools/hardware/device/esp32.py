# type: ignore - MicroPython, which pyright takes for CPython
# ruff: noqa: SIM115
"""`esp32` of MicroPython's ESP32 port on the virtual board: the data partition `ledger`, in a file."""

import os

_SECTOR = 4096
_flash = open(os.getenv("BOARD_FLASH"), "r+b")


class Partition:
    """MicroPython's block protocol over NOR flash: programming clears bits, an erase sets a sector's."""

    TYPE_APP, TYPE_DATA = 0, 1

    def __init__(self, octets):
        self._octets = octets

    @classmethod
    def find(cls, type=TYPE_APP, subtype=0xFF, label=None, block_size=_SECTOR):
        if type != cls.TYPE_DATA or label not in (None, "ledger"):
            return []
        return [cls(_flash.seek(0, 2))]

    def info(self):
        return (self.TYPE_DATA, 6, 0x1F0000, self._octets, "ledger", False)

    def readblocks(self, block, buf, off=0):
        _flash.seek(block * _SECTOR + off)
        _flash.readinto(buf)

    def writeblocks(self, block, buf, off=None):
        if off is None:  # as the port does: the form without an offset erases first
            self.ioctl(6, block)
            off = 0
        old = bytearray(len(buf))
        self.readblocks(block, old, off)
        for i, octet in enumerate(bytes(buf)):
            old[i] &= octet
        _flash.seek(block * _SECTOR + off)
        _flash.write(old)

    def ioctl(self, op, arg):
        if op == 4:
            return self._octets // _SECTOR
        if op == 5:
            return _SECTOR
        if op == 6:
            _flash.seek(arg * _SECTOR)
            _flash.write(b"\xff" * _SECTOR)
        return 0
