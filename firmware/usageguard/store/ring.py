"""A ring of records on raw flash, each of them the full state: the newest valid one is what counts.

A record is programmed into a slot that was blank and read back. Records fill one sector after the other, the
next of which is erased ahead of need, so that no power cut leaves less than one whole record. Slots between
the newest valid record and the blank ones are bad: torn by a power cut, or rotted. The flash must read 0xFF
where erased, so its partition stays unencrypted.

An erase stalls an ESP32 for some 50 ms with its cache off, in which a busy UART overruns: call `tidy` while
the line is quiet. `append` erases by itself only when that was put off until the last quarter of a sector.
"""

from errno import EIO
from struct import pack_into, unpack_from

from usageguard.compat import const
from usageguard.core.crc import crc32_into, crc32_ok

RECORD = const(256)  # a flash page: a record is programmed in one step
HEAD = const(8)  # a record's content lies between the head and the CRC
CRC = const(252)

_HEAD = "<HBBi"  # magic, version, flags, sequence
_MAGIC = const(0x4755)  # "UG"
_VERSION = const(1)
_SECTOR = const(4096)
_SLOTS = const(16)  # in a sector
_LATE = const(12)
_ATTEMPTS = const(20)  # slots to try before the flash counts as broken: more than a sector has
_AHEAD = const(1)  # flag: the sector after this record's was blank, its erase complete
# With 64 sectors of 100,000 erases a sequence stays below 2**30, a small int on every board.
_SECTORS_MAX = const(64)


def put32(buf, at, n):
    """Stores -2**30 <= n < 2**30 in 4 octets at buf[at:], little-endian, two's complement."""
    pack_into("<i", buf, at, n)


def get32(buf, at):
    """What `put32` stored. Allocates."""
    return unpack_from("<i", buf, at)[0]


def seal(record, flags, sequence):
    """Makes the content of `record` a record: head and CRC."""
    pack_into(_HEAD, record, 0, _MAGIC, _VERSION, flags, sequence)
    crc32_into(record, CRC, record, CRC)


def valid(record):
    """Whether `record` is one. ValueError if a newer firmware wrote it."""
    magic, version, _, _ = unpack_from(_HEAD, record)
    if magic != _MAGIC or not crc32_ok(record, CRC, CRC):
        return False
    if version != _VERSION:
        raise ValueError("records of version %d" % version)
    return True


class Ring:
    """`flash` is a block device by MicroPython's protocol: `readblocks`, `writeblocks` with an offset,
    `ioctl`.

    `record` is the buffer of the record to append, to be filled in [HEAD, CRC); after `open` it holds the
    newest one. Read only: `sequence` of the newest record (0: none), `writes` and `erases` since `open`.
    """

    backend = "log"

    def __init__(self, flash):
        """ValueError for a flash of fewer than 3 blocks, or of blocks that are not 4096 octets."""
        # Two would do while nothing fails; with three, an erase ahead never hits the sector of the newest
        # record, even where bad slots have filled all the sector after it.
        if flash.ioctl(4, 0) < 3 or flash.ioctl(5, 0) != _SECTOR:
            raise ValueError("a ring needs 3 or more blocks of 4096 octets")
        self.record = bytearray(RECORD)
        self.sequence = 0
        self.writes = self.erases = 0
        self._flash = flash
        self._sectors = min(flash.ioctl(4, 0), _SECTORS_MAX)
        self._total = self._sectors * _SLOTS
        self._tried = 0  # newest sequence that may be on the flash
        self._at = 0  # next slot
        self._newest = -_SLOTS  # slot of the newest record: its sector is never erased
        self._ahead = True  # the sector after that of the slot before `_at` is blank
        self._failed = False  # or its erase failed
        self._back = bytearray(RECORD)

    def append(self):
        """Programs `record`. HOT. OSError(EIO) if the flash does not hold it, in any of 20 slots."""
        record = self.record
        for _ in range(_ATTEMPTS):
            newest = self._newest
            if self._at <= newest and self._at // _SLOTS == newest // _SLOTS:
                # Once around without success: once more over the sectors that hold nothing.
                self._at = (newest // _SLOTS + 1) * _SLOTS % self._total
                self._ahead = self._failed = False
            place = self._at % _SLOTS
            if place == 0 or place >= _LATE:
                self.tidy()
            if place == 0:
                self._ahead = self._failed = False
            at = self._at
            # Slot and sequence are used up even if the attempt fails: part of it may stand on the flash.
            self._at = (at + 1) % self._total
            self._tried += 1
            seal(record, _AHEAD if self._ahead else 0, self._tried)
            self.writes += 1
            try:
                self._flash.writeblocks(at // _SLOTS, record, place * RECORD)
                self._read(at)
            except OSError:
                continue
            if self._back == record:
                self.sequence = self._tried
                self._newest = at
                return
        raise OSError(EIO, "flash does not hold what was written")

    def tidy(self):
        """Erases the next sector if that is due. HOT, but all else stands still meanwhile.

        Whether it worked, the records that go there will show.
        """
        if not (self._ahead or self._failed):
            sector = ((self._at - 1) // _SLOTS + 1) % self._sectors
            if sector != self._newest // _SLOTS:
                self.erases += 1
                try:
                    self._failed = bool(self._flash.ioctl(6, sector))
                except OSError:
                    self._failed = True
                self._ahead = not self._failed

    def open(self):
        """Finds the newest record; returns how many bad slots follow it, or -1: the flash holds something,
        but no record. ValueError if a newer firmware wrote it.

        Erases nothing: `append` a record first, then `tidy`.
        """
        total = self._total
        filled = [0] * self._sectors  # slots that are not blank
        newest = total - 1  # of a blank flash: the next slot is the first
        for at in range(total - 1, -1, -1):
            if self._read(at):
                filled[at // _SLOTS] += 1
                if get32(self._back, 4) > self.sequence and valid(self._back):
                    newest = self._newest = at
                    self.sequence = get32(self._back, 4)
                    self.record[:] = self._back
        bad = 0
        self._at = (newest + 1) % total
        while bad < total and self._read(self._at) and not valid(self._back):
            bad += 1
            self._at = (self._at + 1) % total
        if not self.sequence and (sum(filled) != bad or bad >= _SLOTS):
            # Begin in a blank sector, where there is one: to erase the only other one would hide the loss.
            self._at = filled.index(0) * _SLOTS if 0 in filled else 0
            self._ahead = 0 in filled
            return -1
        self._tried = self.sequence + bad
        # Blank to the eye may be half erased: only a record that was written after the erase vouches for it, and
        # only for the sector after its own.
        last = (self._at - 1) % total // _SLOTS
        vouched = self.record[3] & _AHEAD and last == newest // _SLOTS if self.sequence else True
        self._ahead = bool(vouched and not filled[(last + 1) % self._sectors])
        return bad

    def _read(self, at):
        """Reads a slot; False where it is blank."""
        self._flash.readblocks(at // _SLOTS, self._back, at % _SLOTS * RECORD)
        return self._back.count(b"\xff") < RECORD
