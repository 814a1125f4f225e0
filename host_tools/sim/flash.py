"""NOR flash of a simulated board: programming clears bits, an erase sets a sector; power may go at any
operation."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass


class PowerCut(BaseException):
    """The power went inside a flash operation. No `except Exception` of the device's program may catch it."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where power goes: in the `at`-th program or erase from `Flash.arm` on, 0 being the next one, and its
    effect.

    `effect` is "nothing", "all", "prefix" (the first `amount` octets) or "bits" (a random half of the bits
    that should have changed; `amount` is the seed), of a program and of an erase alike.
    """

    at: int
    effect: str = "nothing"
    amount: int = 0


class Flash:
    """`sectors` of `sector_size` octets, all erased.

    `before(op, args)` sees each operation: ("program", (address, data)) or ("erase", (sector,)). A program
    that spans pages is one operation per page, as on the chip. `programs`, `erases` and `sector_erases` count
    those begun.
    """

    def __init__(self, sectors: int, sector_size: int = 4096, page_size: int = 256) -> None:
        self.sectors, self.sector_size, self.page_size = sectors, sector_size, page_size
        self.data = bytearray(b"\xff" * (sectors * sector_size))
        self.programs = self.erases = 0
        self.sector_erases = [0] * sectors
        self.before: Callable[[str, tuple[object, ...]], None] | None = None
        self._cut: Cut | None = None
        self._until_cut = 0
        self._dead = False

    def read(self, address: int, n: int) -> bytes:
        self._check(address, n)
        return bytes(self.data[address : address + n])

    def program(self, address: int, data: bytes) -> None:
        self._check(address, len(data))
        done = 0
        while done < len(data):
            room = self.page_size - (address + done) % self.page_size
            self._program_page(address + done, bytes(data[done : done + room]))
            done += room

    def erase(self, sector: int) -> None:
        self._check(sector * self.sector_size, self.sector_size)
        if self.before:
            self.before("erase", (sector,))
        self.erases += 1
        self.sector_erases[sector] += 1
        self._apply(sector * self.sector_size, b"\xff" * self.sector_size)

    def arm(self, cut: Cut | None) -> None:
        """Plans the next power cut, or none, and gives power back after one."""
        self._cut = cut
        self._until_cut = cut.at if cut else 0
        self._dead = False

    def flip(self, address: int, bit: int) -> None:
        """Rots one bit, 0..7, in either direction."""
        self._check(address, 1)
        self.data[address] ^= 1 << bit

    def save(self) -> bytes:
        return bytes(self.data)

    def restore(self, image: bytes) -> None:
        """Takes over an image of `save`; ValueError if it is of another size."""
        if len(image) != len(self.data):
            raise ValueError(f"flash image has {len(image)} octets, this flash {len(self.data)}")
        self.data[:] = image

    def _check(self, address: int, n: int) -> None:
        if self._dead:
            raise PowerCut
        if address < 0 or address + n > len(self.data):
            raise ValueError(f"flash access at {address} of {n} octets, beyond {len(self.data)}")

    def _program_page(self, address: int, data: bytes) -> None:
        if self.before:
            self.before("program", (address, data))
        self.programs += 1
        both = int.from_bytes(self.read(address, len(data)), "little") & int.from_bytes(data, "little")
        self._apply(address, both.to_bytes(len(data), "little"))

    def _apply(self, address: int, after: bytes) -> None:
        """Brings `after` into the cells, or what a power cut lets through of it."""
        if self._cut is None:
            self.data[address : address + len(after)] = after
            return
        if self._until_cut:
            self._until_cut -= 1
            self.data[address : address + len(after)] = after
            return
        self.data[address : address + len(after)] = torn(self.read(address, len(after)), after, self._cut)
        self._cut = None
        self._dead = True
        raise PowerCut


def torn(before: bytes, after: bytes, cut: Cut) -> bytes:
    """What stands in a memory whose change from `before` to `after` was cut short."""
    if cut.effect == "nothing":
        return before
    if cut.effect == "all":
        return after
    if cut.effect == "prefix":
        return after[: cut.amount] + before[cut.amount :]
    if cut.effect == "bits":
        chosen = random.Random(cut.amount).randbytes(len(after))
        return bytes(b ^ ((b ^ a) & c) for b, a, c in zip(before, after, chosen, strict=True))
    raise ValueError(f"unknown effect of a power cut: {cut.effect}")


class FlashBlocks:
    """A `Flash` by MicroPython's block-device protocol; as on an `esp32.Partition`, no write erases."""

    def __init__(self, flash: Flash) -> None:
        self.flash = flash

    def readblocks(self, block: int, buf: bytearray, off: int = 0) -> None:
        buf[:] = self.flash.read(block * self.flash.sector_size + off, len(buf))

    def writeblocks(self, block: int, buf: bytes, off: int = 0) -> None:
        self.flash.program(block * self.flash.sector_size + off, bytes(buf))

    def ioctl(self, op: int, arg: int) -> int | None:
        """4 block count, 5 block size, 6 erase a block (MicroPython's vfs.AbstractBlockDev)."""
        if op == 4:
            return self.flash.sectors
        if op == 5:
            return self.flash.sector_size
        if op == 6:
            self.flash.erase(arg)
            return 0
        return None
