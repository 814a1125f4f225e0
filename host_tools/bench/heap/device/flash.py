# type: ignore - MicroPython
"""A blank NOR flash in RAM, as the block device that the ledger lives on. Nothing allocates: it would be measured."""


class Flash:
    def __init__(self, sectors):
        self.sectors = sectors
        self.cells = bytearray(b"\xff" * (4096 * sectors))

    def readblocks(self, block, buf, off=0):
        at = block * 4096 + off
        for i in range(len(buf)):
            buf[i] = self.cells[at + i]

    def writeblocks(self, block, buf, off=0):
        at = block * 4096 + off
        for i in range(len(buf)):
            self.cells[at + i] &= buf[i]

    def ioctl(self, op, arg):
        if op == 6:
            for i in range(arg * 4096, arg * 4096 + 4096):
                self.cells[i] = 255
            return 0
        return self.sectors if op == 4 else 4096 if op == 5 else 0
