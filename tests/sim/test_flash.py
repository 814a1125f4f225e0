"""The simulated flash: what it lets through, counts, and loses with its power."""

import pytest

from host_tools.sim.flash import Cut, Flash, FlashBlocks, PowerCut


def programmed(cut: Cut | None) -> tuple[Flash, bool]:
    """A flash on which six octets were to become 0x0F, and whether power was cut."""
    flash = Flash(1)
    flash.arm(cut)
    try:
        flash.program(10, b"\x0f" * 6)
    except PowerCut:
        return flash, True
    return flash, False


def test_programming_clears_bits_and_an_erase_sets_them():
    flash = Flash(2)
    flash.program(4096, b"\xf0")
    flash.program(4096, b"\x3c")
    assert flash.read(4095, 2) == b"\xff\x30"
    flash.erase(1)
    assert flash.read(4095, 2) == b"\xff\xff"
    assert (flash.programs, flash.erases, flash.sector_erases) == (2, 1, [0, 1])


@pytest.mark.parametrize(
    ("cut", "expected"),
    [
        (Cut(0, "nothing"), b"\xff" * 6),
        (Cut(0, "all"), b"\x0f" * 6),
        (Cut(0, "prefix", 2), b"\x0f" * 2 + b"\xff" * 4),
    ],
)
def test_a_cut_lets_through_what_it_says(cut, expected):
    flash, cut_off = programmed(cut)
    assert cut_off
    with pytest.raises(PowerCut):
        flash.read(0, 1)
    flash.arm(None)
    assert flash.read(10, 6) == expected


def test_random_bits_are_between_before_and_after_and_replay():
    first, second = programmed(Cut(0, "bits", 5))[0], programmed(Cut(0, "bits", 5))[0]
    first.arm(None)
    stored = first.read(10, 6)
    assert all(octet & 0x0F == 0x0F for octet in stored), "a bit that was not to change"
    assert stored not in (b"\xff" * 6, b"\x0f" * 6)
    assert stored == second.save()[10:16]


def test_a_partial_erase():
    flash = Flash(1)
    flash.program(0, bytes(256))
    flash.arm(Cut(0, "prefix", 100))
    with pytest.raises(PowerCut):
        flash.erase(0)
    assert flash.save()[:256] == b"\xff" * 100 + bytes(156)


def test_the_cut_waits_for_its_operation():
    flash = Flash(1)
    flash.arm(Cut(2))
    flash.program(0, b"\x00")
    flash.erase(0)
    with pytest.raises(PowerCut):
        flash.program(0, b"\x00")
    assert flash.save()[0] == 0xFF


def test_a_page_is_one_operation():
    flash = Flash(1)
    seen = []
    flash.before = lambda op, args: seen.append((op, args[0], len(args[1])))
    flash.arm(Cut(1))
    with pytest.raises(PowerCut):
        flash.program(250, bytes(300))
    assert seen == [("program", 250, 6), ("program", 256, 256)]
    assert flash.save()[249:257] == b"\xff" + bytes(6) + b"\xff"


def test_images_and_rot():
    flash, other = Flash(1), Flash(2)
    flash.flip(7, 3)
    assert flash.save()[7] == 0xF7
    with pytest.raises(ValueError, match="4096 octets, this flash 8192"):
        other.restore(flash.save())
    with pytest.raises(ValueError, match="beyond 4096"):
        flash.program(4090, bytes(7))


def test_as_a_block_device():
    blocks = FlashBlocks(Flash(3))
    assert (blocks.ioctl(4, 0), blocks.ioctl(5, 0), blocks.ioctl(3, 0)) == (3, 4096, None)
    blocks.writeblocks(2, b"abc", 5)
    buf = bytearray(4)
    blocks.readblocks(2, buf, 4)
    assert buf == b"\xffabc"
    assert blocks.ioctl(6, 2) == 0
    blocks.readblocks(2, buf, 4)
    assert buf == b"\xff" * 4
