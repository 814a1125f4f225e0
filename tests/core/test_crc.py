"""Check sums against zlib."""

import zlib

from hypothesis import given
from hypothesis import strategies as st
from usageguard.core.crc import crc32_into, crc32_ok

from tests.core.small import SmallBuffer


@given(st.binary(max_size=200))
def test_against_the_standard_library(data):
    buf = SmallBuffer(data)
    out = bytearray(4)
    crc32_into(buf, len(data), out, 0)
    assert out == zlib.crc32(data).to_bytes(4, "little")
    assert crc32_ok(bytes(data + out), len(data), len(data))


@given(st.binary(min_size=5, max_size=80), st.data())
def test_a_part_of_a_buffer(data, draw):
    n = draw.draw(st.integers(0, len(data) - 4))
    out = bytearray(4)
    crc32_into(data, n, out, 0)
    assert out == zlib.crc32(data[:n]).to_bytes(4, "little")
    assert crc32_ok(data, n, n) == (data[n : n + 4] == out)
