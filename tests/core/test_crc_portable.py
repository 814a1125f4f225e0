from usageguard.core.crc import crc32_into, crc32_ok

from tests.portable import without_heap

DATA = b"123456789"  # the check input of the CRC catalogue, https://reveng.sourceforge.io/crc-catalogue/


def test_check_values():
    out = bytearray(6)
    crc32_into(DATA, len(DATA), out, 1)
    assert bytes(out) == b"\x00\x26\x39\xf4\xcb\x00", "CRC-32/ISO-HDLC is 0xCBF43926"


def test_no_input():
    out = bytearray(b"\xff" * 4)
    crc32_into(b"", 0, out, 0)
    assert bytes(out) == b"\x00" * 4, "CRC-32 of nothing is 0"


def test_a_sealed_record_holds_until_a_bit_flips():
    record = bytearray(range(64))
    crc32_into(record, 60, record, 60)
    assert crc32_ok(record, 60, 60), "sealed"
    for bit in range(512):
        record[bit >> 3] ^= 1 << (bit & 7)
        assert not crc32_ok(record, 60, 60), bit
        record[bit >> 3] ^= 1 << (bit & 7)


def test_erased_flash_is_no_record():
    assert not crc32_ok(b"\xff" * 64, 60, 60), "erased"
    assert not crc32_ok(b"\x00" * 64, 60, 60), "zeroed"


def test_without_heap():
    record = bytearray(range(64))

    def check():
        crc32_into(record, 60, record, 60)
        return crc32_ok(record, 60, 60)

    assert without_heap(check), "sealed without heap"
