"""The PDU against another implementation's decoder."""

import pytest
from gsmmodem.pdu import decodeSmsPdu
from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.at.pdu import submit

NUMBERS = st.from_regex(r"\A\+?[0-9]{1,20}\Z")


def test_known_message():
    """3GPP TS 23.040 9.2.2.2, put together by hand."""
    assert submit("+8613800138000", b"\x01\xfe") == (b"0001000D91683108108300F000040201FE", 16)
    assert submit("10086", b"") == (b"00010005810180F6000400", 10)


@settings(derandomize=True)
@given(NUMBERS, st.binary(max_size=140))
def test_decodes_elsewhere(number, octets):
    pdu, length = submit(number, octets)
    assert length == len(pdu) // 2 - 1
    read = decodeSmsPdu(pdu.decode())
    assert (read["type"], read["number"], read["protocol_id"]) == ("SMS-SUBMIT", number, 0)
    assert pdu.endswith(b"0004%02X" % len(octets) + octets.hex().upper().encode())


@pytest.mark.parametrize("number", ["", "+", "12a", "1" * 21, "+1 2", "٣٤"])
def test_bad_number(number):
    with pytest.raises(ValueError, match="SMS number"):
        submit(number, b"")


def test_too_long():
    with pytest.raises(ValueError, match="140"):
        submit("10086", bytes(141))
