# type: ignore - MicroPython, which pyright takes for CPython
"""A boot of the virtual board, from reset to REPL: what the ESP32 port does in C before and after `main.py`."""

import asyncio  # noqa: F401 - the scheduler in C reads the host's clock, so its Python half keeps to that one
import os
import os as _os
import sys
import time as _time

import esp32
import machine
import network

_UNIT = 128  # bytes; the port uses 32, which would be four times as many calls of this block device in Python
_PERIOD = 1 << 30
_EPOCH = 946_684_800  # the ESP32 port counts from 2000-01-01


class _Time:
    """`time` as on an ESP32: epoch 2000-01-01, ticks modulo 2**30."""

    def __getattr__(self, name):
        return getattr(_time, name)

    def time(self):
        return int(_time.time()) - _EPOCH

    def gmtime(self, seconds=None):
        return _time.gmtime(_time.time() if seconds is None else seconds + _EPOCH)

    localtime = gmtime

    def mktime(self, when):
        return int(_time.mktime(when)) - _EPOCH

    def ticks_ms(self):
        return _time.ticks_ms() & (_PERIOD - 1)

    def ticks_add(self, ticks, delta):
        return (ticks + delta) & (_PERIOD - 1)

    def ticks_diff(self, end, start):
        return ((end - start + _PERIOD // 2) & (_PERIOD - 1)) - _PERIOD // 2


class _Os:
    """`os` with the `uname` of an ESP32; the REPL's `os` is this one, so it keeps the other by another name."""

    def __getattr__(self, name):
        return getattr(_os, name)

    def uname(self):
        release = ".".join(str(number) for number in sys.implementation[1][:3])
        return ("esp32", "esp32", release, "v" + release, _os.getenv("BOARD_MACHINE"))


def _run(name):
    """Runs a file if it exists; returns False when Ctrl-C ended it."""
    try:
        os.stat(name)
    except OSError:
        return True
    try:
        execfile(name, {"__name__": "__main__"})  # noqa: F821 - the unix port's
    except KeyboardInterrupt as error:
        sys.print_exception(error)
        return False
    except SystemExit:
        machine.soft_reset()
    except BaseException as error:
        sys.print_exception(error)
    return True


def _mount():
    """Mounts littlefs as the root, as the port's `_boot.py` does; formats an empty partition."""
    flash = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="vfs")[0]
    try:
        disk = os.VfsLfs2(flash, readsize=_UNIT, progsize=_UNIT)
    except OSError:
        os.VfsLfs2.mkfs(flash, readsize=_UNIT, progsize=_UNIT)
        disk = os.VfsLfs2(flash, readsize=_UNIT, progsize=_UNIT)
    os.umount("/")
    os.mount(disk, "/")
    os.chdir("/")


class _Vfs:
    """`vfs` of an image with ROMFS, where the partition is memory."""

    def __init__(self, part):
        import vfs

        self._vfs = vfs
        self._memory = bytearray(part.ioctl(4, 0) * part.ioctl(5, 0))
        part.readblocks(0, self._memory)

    def __getattr__(self, name):
        return getattr(self._vfs, name)

    def rom_ioctl(self, op, *segment):
        return 1 if op == 1 else self._memory


def _boot():
    no_main = os.getenv("BOARD_NO_MAIN")
    rom = esp32.Partition.find(esp32.Partition.TYPE_DATA, label="romfs")
    if rom:
        sys.modules["vfs"] = _Vfs(rom[0])
        with open(os.getenv("BOARD_BOOT")) as file:
            frozen = file.read()
    _mount()
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.modules["time"] = _Time()
    sys.modules["os"] = _Os()
    sys.modules["socket"] = network  # lwIP's, not the host's
    machine.notify("up")
    if rom:
        exec(frozen, {})
    if _run("boot.py") and not no_main:
        _run("main.py")
    machine.notify("repl")


_boot()
