"""Short messages (3GPP TS 27.005, 23.040). The oracle for PDUs is python-gsmmodem-new's own codec."""

import contextlib
from datetime import UTC, datetime

import pytest
from gsmmodem import pdu as oracle
from hypothesis import example, given
from hypothesis import strategies as st

from host_tools.sim.modem import tpdu

from .conftest import IMSI

# Without "@": the oracle takes one at the end, seven zero bits, for padding.
GSM_TEXT = st.text("abcXYZ 0189£$èéΔΩ¡¿äöñüà\n^{}\\[~]|€", min_size=1, max_size=60)
WHEN = datetime(2025, 3, 4, 13, 6, 7, tzinfo=UTC)


@given(GSM_TEXT, st.sampled_from(["+8613912345678", "10086", "1234567"]))
def test_submit_as_the_oracle_decodes_it(text, number):
    message = tpdu.Message(tpdu.SUBMIT, number, 0x11, 7, validity=167, data=tpdu.to_septets(text))
    unit = tpdu.submit(message)
    decoded = oracle.decodeSmsPdu("00" + unit.hex().upper())
    assert (decoded["type"], decoded["number"], decoded["text"]) == ("SMS-SUBMIT", number, text)
    assert tpdu.parse(unit) == message


@given(GSM_TEXT)
def test_deliver_as_the_oracle_decodes_it(text):
    unit = tpdu.deliver("+8613912345678", tpdu.GSM7, tpdu.to_septets(text), WHEN)
    decoded = oracle.decodeSmsPdu("00" + unit.hex().upper())
    assert (decoded["type"], decoded["number"], decoded["text"]) == ("SMS-DELIVER", "+8613912345678", text)
    assert decoded["time"].isoformat() == "2025-03-04T13:06:07+08:00"
    message = tpdu.parse(unit)
    assert (message.text(), message.stamp) == (text, "25/03/04,13:06:07+32")


@given(st.text("abcXYZ 0189Δ€[\n流量用尽", min_size=1, max_size=400))
@example("[75 % used] " * 30)
def test_what_the_oracle_encodes_in_parts(text):
    texts = []
    for unit in oracle.encodeSmsSubmitPdu("+8613912345678", text, reference=3):
        data = bytes(unit.data)
        message = tpdu.parse(data[data[0] + 1 :])
        assert message.number == "+8613912345678"
        texts.append(message.text())
    assert "".join(texts) == text


def test_at_sign_at_the_end():
    assert (
        tpdu.parse(tpdu.deliver("10086", tpdu.GSM7, tpdu.to_septets("1234567@"), WHEN)).text() == "1234567@"
    )


@given(st.binary(max_size=60))
def test_any_octets_are_a_message_or_a_value_error(data):
    with contextlib.suppress(ValueError):
        tpdu.parse(data).text()


def test_pdu_mode(rig):
    unit = tpdu.submit(tpdu.Message(tpdu.SUBMIT, "+8613800000000", 1, data=tpdu.to_septets("hello")))
    assert rig.send(f"AT+CMGS={len(unit)}") == "\r\n> "
    assert rig.payload(b"00" + unit.hex().encode() + b"\x1a") == "\r\n+CMGS: 0\r\n\r\nOK\r\n"
    assert rig.carrier.sms[-1][1:] == (IMSI, unit)
    assert rig.send(f"AT+CMGS={len(unit)}") == "\r\n> "
    assert rig.payload(b"00\x1b") == "\r\nOK\r\n", "cancelled"
    assert rig.send(f"AT+CMGS={len(unit) + 1}") == "\r\n> "
    assert rig.payload(b"00" + unit.hex().encode() + b"\x1a") == "\r\n+CMS ERROR: 304\r\n"
    assert len(rig.carrier.sms) == 1


def test_eight_bit_message(rig):
    data = bytes(range(100, 240))
    unit = tpdu.submit(tpdu.Message(tpdu.SUBMIT, "10086", 1, coding=tpdu.OCTETS, data=data))
    rig.send(f"AT+CMGS={len(unit)}")
    assert rig.payload(b"00" + unit.hex().encode() + b"\x1a").endswith("OK\r\n")
    assert tpdu.parse(rig.carrier.sms[-1][2]).data == data


def test_sms_goes_on_when_data_is_stopped_but_not_without_coverage(rig):
    rig.send("AT+CMGF=1")
    rig.carrier.stop(IMSI)
    assert rig.send('AT+CMGS="10086"') == "\r\n> "
    assert rig.payload(b"CXLL\x1a") == "\r\n+CMGS: 0\r\n\r\nOK\r\n"
    message = tpdu.parse(rig.carrier.sms[-1][2])
    assert (message.number, message.text()) == ("10086", "CXLL")
    rig.modem.radio.cover(False)
    rig.send('AT+CMGS="10086"')
    assert rig.payload(b"CXLL\x1a") == "\r\n+CMS ERROR: 331\r\n"


def test_line_feed_after_the_command_is_not_text(rig):
    rig.send("AT+CMGF=1")
    rig.write(b'AT+CMGS="10086"\r\n')
    assert rig.run(1) == "\r\n> "
    rig.payload(b"CXLL\x1a")
    assert tpdu.parse(rig.carrier.sms[-1][2]).text() == "CXLL"


def test_text_mode_refuses_what_it_cannot_encode(rig):
    rig.send("AT+CMGF=1")
    rig.send('AT+CMGS="10086"')
    assert rig.payload(b"\xb2\x1a") == "\r\n+CMS ERROR: 305\r\n"
    rig.send('AT+CMGS="10086"')
    assert rig.payload(b"x" * 161 + b"\x1a") == "\r\n+CMS ERROR: 305\r\n"
    rig.send('AT+CMGS="not a number"')
    assert rig.payload(b"x\x1a") == "\r\n+CMS ERROR: 305\r\n"


def arrive(rig, text="75 % used", number="+8613800000000"):
    return rig.modem.short_messages.deliver(tpdu.deliver(number, tpdu.GSM7, tpdu.to_septets(text), WHEN))


def test_receiving_reading_deleting(rig):
    assert arrive(rig)
    assert rig.run(1) == '\r\n+CMTI: "SM",1\r\n'
    rig.send("AT+CMGF=1")
    header = '"REC {}","+8613800000000",,"25/03/04,13:06:07+32"\r\n75 % used'
    assert rig.send("AT+CMGR=1") == f"\r\n+CMGR: {header.format('UNREAD')}\r\n\r\nOK\r\n"
    assert rig.send('AT+CMGL="REC READ"') == f"\r\n+CMGL: 1,{header.format('READ')}\r\n\r\nOK\r\n"
    assert rig.send('AT+CMGL="REC UNREAD"') == "\r\nOK\r\n"
    rig.send("AT+CMGF=0")
    assert rig.send("AT+CMGL=4").startswith("\r\n+CMGL: 1,1,,28\r\n0891683108200105F004")
    rig.modem.power(False)
    rig.modem.power(True)
    rig.run(10)
    rig.send("ATE0")
    assert rig.send("AT+CPMS?") == '\r\n+CPMS: "SM",1,50,"SM",1,50,"SM",1,50\r\n\r\nOK\r\n'
    assert rig.send("AT+CMGD=1") == "\r\nOK\r\n"
    assert rig.send("AT+CMGR=1") == "\r\n+CMS ERROR: 321\r\n"


def test_direct_delivery_is_a_urc_of_two_lines(rig):
    rig.send("AT+CNMI=2,2,0,0,0")
    arrive(rig, "x")
    header, body = rig.run(1).strip().split("\r\n")
    assert header == "+CMT: ,21"
    assert len(body) == 2 * (21 + 9)
    rig.send("AT+CMGF=1")
    arrive(rig, "x")
    assert rig.run(1) == '\r\n+CMT: "+8613800000000",,"25/03/04,13:06:07+32"\r\nx\r\n'


def test_memory_that_is_full(rig):
    for _ in range(rig.profile.sms.slots):
        assert arrive(rig)
    assert not arrive(rig)
    rig.send("AT+CMGF=1")
    rig.send('AT+CMGW="10086"')
    assert rig.payload(b"x\x1a") == "\r\n+CMS ERROR: 322\r\n"
    rig.send('AT+CPMS="SM","ME","SM"')
    rig.send('AT+CMGW="10086"')
    assert rig.payload(b"x\x1a") == "\r\n+CMGW: 1\r\n\r\nOK\r\n"
    rig.send('AT+CPMS="ME","ME","SM"')
    assert rig.send("AT+CMSS=1") == "\r\n+CMSS: 0\r\n\r\nOK\r\n"
    assert rig.send("AT+CMGD=1,4") == "\r\nOK\r\n"
    assert rig.send("AT+CMGL") == "\r\nOK\r\n"


@pytest.mark.parametrize("line", ["AT+CMGS=x", "AT+CMGS=300", "AT+CMGL=9", 'AT+CPMS="XX"', 'AT+CSCA="xyz"'])
def test_bad_parameters(rig, line):
    assert rig.send(line).startswith("\r\n+CMS ERROR: 3")
