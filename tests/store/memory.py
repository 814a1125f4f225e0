"""A board's memory for the ledger's tests on both VMs. Nothing here allocates, so that hot paths can run over it."""

from struct import pack_into


class Blocks:
    """NOR flash as a block device: programming clears bits. `broken` makes programming have no effect."""

    def __init__(self, sectors=3):
        self.sectors = sectors
        self.cells = bytearray(b"\xff" * (4096 * sectors))
        self.erases = 0
        self.last_erased = -1
        self.broken = False

    def readblocks(self, block, buf, off=0):
        at = block * 4096 + off
        for i in range(len(buf)):
            buf[i] = self.cells[at + i]

    def writeblocks(self, block, buf, off=0):
        if not self.broken:
            at = block * 4096 + off
            for i in range(len(buf)):
                self.cells[at + i] &= buf[i]

    def ioctl(self, op, arg):
        if op == 6:
            for i in range(arg * 4096, arg * 4096 + 4096):
                self.cells[i] = 255
            self.erases += 1
            self.last_erased = arg
            return 0
        return self.sectors if op == 4 else 4096 if op == 5 else 0

    def litter(self, start, stop):
        """Content of somebody else."""
        for i in range(start, stop):
            self.cells[i] = i * 7 & 254


class Hal:
    """What the ledger uses of a HAL, with retained memory of 24 octets."""

    def __init__(self, cause=1):
        self.cause = cause
        self.retained = bytearray(24)

    def reset_cause(self):
        return self.cause

    def retained_read(self, buf):
        for i in range(24):
            buf[i] = self.retained[i]

    def retained_write(self, buf):
        for i in range(6):
            pack_into("<i", self.retained, 4 * i, buf[i])

    def random(self, n):
        return bytes(range(1, n + 1))
