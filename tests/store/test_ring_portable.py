"""The ring of records on both VMs, over flash in memory."""

from usageguard.store.ring import HEAD, RECORD, Ring

from tests.portable import without_heap
from tests.store.memory import Blocks

SLOTS = 16


def opened(blocks):
    ring = Ring(blocks)
    ring.bad = ring.open()
    return ring


def append(ring, n=1):
    for _ in range(n):
        ring.record[HEAD] = ring.sequence & 255
        ring.append()


def test_the_newest_record_is_found_in_every_slot():
    for sectors in (3, 5):
        blocks = Blocks(sectors)
        ring = opened(blocks)
        for n in range(1, 3 * SLOTS * sectors):
            append(ring)
            if n % 7 == 0:
                ring.tidy()
            again = opened(blocks)
            assert (again.bad, again.sequence, again.record[HEAD]) == (0, n, n - 1 & 255), n


def test_the_erase_waits_for_tidy_until_the_last_quarter():
    blocks = Blocks()
    ring = opened(blocks)
    append(ring, 3 * SLOTS // 4)
    assert not blocks.erases, "nobody asked for it"
    append(ring)
    assert (blocks.erases, blocks.last_erased) == (1, 1), blocks.erases
    append(ring, SLOTS // 4)
    ring.tidy()
    ring.tidy()
    assert (blocks.erases, blocks.last_erased) == (2, 2), blocks.erases
    append(ring, SLOTS)
    assert (blocks.erases, blocks.last_erased) == (2, 2), blocks.erases


def test_an_erase_that_no_record_vouches_for_is_done_again():
    blocks = Blocks()
    ring = opened(blocks)
    append(ring, 3)
    ring.tidy()
    opened(blocks).tidy()
    assert (blocks.erases, blocks.last_erased) == (2, 1), blocks.erases
    append(ring)
    opened(blocks).tidy()
    assert (blocks.erases, blocks.last_erased) == (2, 1), blocks.erases


def test_a_blank_sector_that_rots_is_erased_again():
    blocks = Blocks()
    ring = opened(blocks)
    append(ring)
    ring.tidy()
    append(ring)
    blocks.cells[4096 + 77] = 254
    opened(blocks).tidy()
    assert (blocks.erases, blocks.last_erased) == (2, 1), blocks.erases


def test_a_torn_record_counts_as_bad():
    blocks = Blocks()
    append(opened(blocks), 3)
    blocks.litter(3 * RECORD, 5 * RECORD)
    ring = opened(blocks)
    assert (ring.bad, ring.sequence) == (2, 3), ring.bad
    append(ring)
    assert opened(blocks).bad == 0, "bad slots before the newest record"


def test_content_without_a_record_is_told_from_torn_ones():
    for start, stop in ((0, 4096), (4096, 4100), (0, 3 * 4096), (RECORD, 2 * RECORD), (100, 5000)):
        blocks = Blocks()
        blocks.litter(start, stop)
        assert opened(blocks).bad == -1, (start, stop)
    blocks = Blocks()
    blocks.litter(0, RECORD + 100)
    assert opened(blocks).bad == 2, "the first two records ever, torn"


def test_a_loss_is_not_erased_before_it_is_recorded():
    blocks = Blocks()
    blocks.litter(0, 4096)
    ring = opened(blocks)
    append(ring)
    assert not blocks.erases, "the only sign of the loss"
    ring.tidy()
    assert opened(blocks).sequence == 1, "recorded"


def test_a_flash_full_of_other_content_is_taken_over():
    blocks = Blocks()
    blocks.litter(0, 3 * 4096)
    ring = opened(blocks)
    append(ring, 3 * SLOTS)
    again = opened(blocks)
    assert (again.bad, again.sequence) == (0, 3 * SLOTS), again.sequence


def test_a_record_that_does_not_hold_is_an_error():
    blocks = Blocks()
    ring = opened(blocks)
    append(ring)
    blocks.broken = True
    try:
        ring.append()
    except OSError as e:
        code = e.args[0]
    else:
        code = 0
    assert (code, ring.sequence) == (5, 1), code
    blocks.broken = False
    append(ring)
    assert opened(blocks).sequence == ring.sequence, "it works again"


def test_appending_allocates_nothing():
    blocks = Blocks()
    ring = opened(blocks)

    def work():
        for _ in range(4 * SLOTS):
            ring.append()

    without_heap(work)
    assert ring.sequence == 4 * SLOTS, ring.sequence


def test_the_newest_record_is_not_erased_for_want_of_another():
    blocks = Blocks()
    ring = opened(blocks)
    append(ring, 5)
    blocks.broken = True
    for _ in range(6):  # more attempts than the flash has slots
        try:
            ring.append()
        except OSError:
            continue
        raise AssertionError("nothing holds it")
    blocks.broken = False
    assert opened(blocks).sequence == 5, "what was stored before"
    append(ring)
    again = opened(blocks)
    assert (again.bad, again.sequence) == (0, ring.sequence), again.sequence


def test_one_sector_that_takes_nothing_is_passed_over():
    for kind in (Stuck, Refusing):
        for sector in range(3):
            blocks = kind(sector)
            ring = opened(blocks)
            append(ring, 5 * SLOTS)
            again = opened(blocks)
            assert again.sequence == ring.sequence, (sector, again.sequence, ring.sequence)


class Stuck(Blocks):
    """Programs and erases of one sector have no effect."""

    def __init__(self, sector):
        super().__init__()
        self.sector = sector
        self.writeblocks(sector, b"\x00" * 4096)

    def writeblocks(self, block, buf, off=0):
        if block != self.sector or len(buf) > RECORD:
            super().writeblocks(block, buf, off)

    def ioctl(self, op, arg):
        return 0 if op == 6 and arg == self.sector else super().ioctl(op, arg)


class Refusing(Stuck):
    """They are errors."""

    def writeblocks(self, block, buf, off=0):
        if block == self.sector and len(buf) == RECORD:
            raise OSError(5)
        super().writeblocks(block, buf, off)

    def ioctl(self, op, arg):
        if op == 6 and arg == self.sector:
            raise OSError(5)
        return super().ioctl(op, arg)


def test_only_the_sector_after_the_newest_record_is_vouched_for():
    blocks = Blocks()
    ring = opened(blocks)
    append(ring, SLOTS - 1)
    ring.tidy()
    append(ring)  # the last slot of a sector, its next one erased ahead
    blocks.litter(4096, 2 * 4096)
    ring = opened(blocks)
    assert (ring.bad, ring.sequence) == (SLOTS, SLOTS), ring.bad
    erases = blocks.erases
    append(ring)
    assert blocks.erases == erases + 1, "the third sector was used on its looks"


def test_of_a_large_partition_64_sectors_are_used():
    ring = Ring(Blocks(66))
    assert ring._sectors == 64, ring._sectors
