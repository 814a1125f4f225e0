"""Reports out of short messages; python-gsmmodem's PDU codec is the oracle for what surrounds them."""

from contextlib import suppress

import pytest
from gsmmodem.pdu import decodeSmsPdu, encodeSmsSubmitPdu
from hypothesis import given
from hypothesis import strategies as st

from host_tools.collector.sms_payload import user_data

NUMBERS = st.from_regex(r"\+?[0-9]{1,15}", fullmatch=True)


def submit(number, data, flags=0x01, dcs=0x04, validity=b""):
    digits = number.lstrip("+")
    kind = 0x91 if number.startswith("+") else 0x81
    return (
        bytes([flags, 0, len(digits), kind]) + semi_octets(digits) + bytes([0, dcs]) + validity
        + bytes([len(data)]) + data
    )  # fmt: skip


def deliver(number, data, dcs=0x04):
    digits = number.lstrip("+")
    return (
        bytes([0x04, len(digits), 0x91]) + semi_octets(digits) + bytes([0, dcs])
        + semi_octets("25060112304523") + bytes([len(data)]) + data
    )  # fmt: skip


def semi_octets(digits):
    digits += "F" * (len(digits) % 2)
    return bytes(int(digits[i + 1] + digits[i], 16) for i in range(0, len(digits), 2))


@given(NUMBERS, st.binary(max_size=140))
def test_submit_and_deliver(number, data):
    assert user_data(submit(number, data)) == data
    assert user_data(deliver(number, data)) == data


@pytest.mark.parametrize(
    ("flags", "validity"),
    [(0x01, b""), (0x11, b"\xaa"), (0x19, bytes(7)), (0x09, bytes(7))],
    ids=["none", "relative", "absolute", "enhanced"],
)
def test_validity_period(flags, validity):
    assert user_data(submit("+8613800000000", b"blob", flags, validity=validity)) == b"blob"


def test_user_data_header_is_skipped():
    assert user_data(submit("10086", b"\x03\x70\x01\x02blob", flags=0x41)) == b"blob"


@pytest.mark.parametrize("dcs", [0x04, 0x14, 0x15, 0xF4, 0xF5, 0xF6])
def test_eight_bit(dcs):
    assert user_data(submit("10086", b"blob", dcs=dcs)) == b"blob"


@pytest.mark.parametrize("dcs", [0x00, 0x08, 0x24, 0xF0, 0xC0, 0xE0])
def test_text_is_refused(dcs):
    with pytest.raises(ValueError, match="8-bit"):
        user_data(submit("10086", b"blob", dcs=dcs))


@given(st.binary(max_size=60))
def test_any_octets_are_survived(tpdu):
    with suppress(ValueError):
        user_data(tpdu)


@given(NUMBERS, st.binary(min_size=1, max_size=140), st.data())
def test_cut_short(number, data, draw):
    tpdu = submit(number, data)
    with pytest.raises(ValueError):
        user_data(tpdu[: draw.draw(st.integers(0, len(tpdu) - 1))])


@pytest.mark.parametrize("number", ["+8613800000000", "+861380000000"])
def test_layout_is_that_of_another_codec(number):
    """The user data is found where python-gsmmodem put it, behind its own coding of the number."""
    (pdu,) = encodeSmsSubmitPdu(number, "A", requestStatusReport=False)
    assert decodeSmsPdu(bytes(pdu.data).hex())["number"] == number
    tpdu = pdu.data[1 + pdu.data[0] :]  # behind the service centre's address
    assert tpdu[-3:] == b"\x00\x01A"  # TP-DCS, TP-UDL, TP-UD
    tpdu[-3] = 0x04
    assert user_data(bytes(tpdu)) == b"A"
