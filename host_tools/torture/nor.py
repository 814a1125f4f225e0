"""NOR flash with weak cells, stuck sectors and limited endurance, besides power cuts."""

from __future__ import annotations

import random

from host_tools.sim.flash import Cut, Flash, FlashBlocks, PowerCut

SECTOR = 4096


def both(a: bytes | bytearray, b: bytes) -> bytes:
    """The bits that are 1 in both."""
    return (int.from_bytes(a, "little") & int.from_bytes(b, "little")).to_bytes(len(b), "little")


def either(a: bytes, b: bytes) -> bytes:
    """The bits that are 1 in one of them."""
    return (int.from_bytes(a, "little") | int.from_bytes(b, "little")).to_bytes(len(b), "little")


class Nor(Flash):
    """A `Flash` with one more effect of a `Cut`, "weak": an operation was cut at its very beginning or end.

    Its cells read as intended (program: as before) at the next boot, and change at the one after. The first `amount`
    octets of a program are completed.
    `stuck` sectors ignore programs and erases, or raise OSError when `raises` is set; a `deaf` flash ignores programs
    but erases. After `endurance` erases a sector is erased only in part.
    """

    def __init__(self, sectors: int) -> None:
        super().__init__(sectors)
        self.stuck: frozenset[int] = frozenset()
        self.raises = self.deaf = False
        self.endurance: int | None = None
        self._weak: list[tuple[int, bytes, int]] = []  # (address, content after the change, boots until it)

    @property
    def dead(self) -> bool:
        """Whether power was cut and the device has not booted since."""
        return self._dead

    @property
    def pending(self) -> bool:
        """Whether the planned cut has still to happen."""
        return self._cut is not None

    def load(self, image: bytes) -> None:
        """Resets the flash to `image`, without weak cells or faults."""
        self.restore(image)
        self._weak.clear()
        self.mend()
        self.sector_erases = [0] * self.sectors
        self.arm(None)

    def mend(self) -> None:
        """Removes all faults."""
        self.stuck, self.raises, self.deaf, self.endurance = frozenset(), False, False, None

    def boot(self, cut: Cut | None = None) -> None:
        """Restores power, plans the next cut, and changes the weak cells that are due."""
        self.arm(cut)
        still = []
        for address, left, boots in self._weak:
            if boots:
                still.append((address, left, boots - 1))
            else:
                end = address + len(left)
                self.data[address:end] = both(self.data[address:end], left)
        self._weak = still

    def erase(self, sector: int) -> None:
        if not self._takes(sector):
            return
        if self.endurance is not None and self.sector_erases[sector] >= self.endurance:
            self._check(sector * self.sector_size, self.sector_size)
            rng = random.Random(sector * 1000 + self.sector_erases[sector])
            self.sector_erases[sector] += 1
            at = sector * self.sector_size
            old = self.data[at : at + self.sector_size]
            kept = rng.randbytes(self.sector_size)
            self.data[at : at + self.sector_size] = bytes(~(~a & k) & 255 for a, k in zip(old, kept, strict=True))
            return
        super().erase(sector)
        at = sector * self.sector_size
        self._weak = [weak for weak in self._weak if not at <= weak[0] < at + self.sector_size]

    def _program_page(self, address: int, data: bytes) -> None:
        if self._takes(address // self.sector_size) and not self.deaf:
            if self.before:
                self.before("program", (address, data))
            self.programs += 1
            self._apply(address, both(self.data[address : address + len(data)], data))

    def _takes(self, sector: int) -> bool:
        if self._dead:
            raise PowerCut
        if sector in self.stuck:
            if self.raises:
                raise OSError(5, "flash")
            return False
        return True

    def _apply(self, address: int, after: bytes) -> None:
        cut = self._cut
        if cut is None or self._until_cut or cut.effect != "weak":
            super()._apply(address, after)
            return
        before = self.read(address, len(after))
        chosen = random.Random(cut.amount).randbytes(len(after))
        if len(after) == self.sector_size:  # an erase: reads as done, then part of the old content returns
            self.data[address : address + len(after)] = after
            left = either(before, chosen)
        else:
            done = min(cut.amount, len(after))
            self.data[address : address + done] = after[:done]
            left = b"\xff" * done + bytes(
                a | c | ~b & 255 for b, a, c in zip(before[done:], after[done:], chosen[done:], strict=True)
            )
        self._weak.append((address, left, 1))
        self._cut = None
        self._dead = True
        raise PowerCut


class NorBlocks(FlashBlocks):
    """`FlashBlocks` with a faster read, as a boot reads every record."""

    def __init__(self, nor: Nor) -> None:
        super().__init__(nor)
        self._data = nor.data
        self._nor = nor

    def readblocks(self, block: int, buf: bytearray, off: int = 0) -> None:
        if self._nor.dead:
            raise PowerCut
        at = block * SECTOR + off
        buf[:] = self._data[at : at + len(buf)]
