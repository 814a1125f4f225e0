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


def test_pdu_mode(bench):
    unit = tpdu.submit(tpdu.Message(tpdu.SUBMIT, "+8613800000000", 1, data=tpdu.to_septets("hello")))
    assert bench.send(f"AT+CMGS={len(unit)}") == "\r\n> "
    assert bench.payload(b"00" + unit.hex().encode() + b"\x1a") == "\r\n+CMGS: 0\r\n\r\nOK\r\n"
    assert bench.carrier.sms[-1][1:] == (IMSI, unit)
    assert bench.send(f"AT+CMGS={len(unit)}") == "\r\n> "
    assert bench.payload(b"00\x1b") == "\r\nOK\r\n", "cancelled"
    assert bench.send(f"AT+CMGS={len(unit) + 1}") == "\r\n> "
    assert bench.payload(b"00" + unit.hex().encode() + b"\x1a") == "\r\n+CMS ERROR: 304\r\n"
    assert len(bench.carrier.sms) == 1


def test_eight_bit_message(bench):
    data = bytes(range(100, 240))
    unit = tpdu.submit(tpdu.Message(tpdu.SUBMIT, "10086", 1, coding=tpdu.OCTETS, data=data))
    bench.send(f"AT+CMGS={len(unit)}")
    assert bench.payload(b"00" + unit.hex().encode() + b"\x1a").endswith("OK\r\n")
    assert tpdu.parse(bench.carrier.sms[-1][2]).data == data


def test_sms_goes_on_when_data_is_stopped_but_not_without_coverage(bench):
    bench.send("AT+CMGF=1")
    bench.carrier.stop(IMSI)
    assert bench.send('AT+CMGS="10086"') == "\r\n> "
    assert bench.payload(b"CXLL\x1a") == "\r\n+CMGS: 0\r\n\r\nOK\r\n"
    message = tpdu.parse(bench.carrier.sms[-1][2])
    assert (message.number, message.text()) == ("10086", "CXLL")
    bench.modem.radio.cover(False)
    bench.send('AT+CMGS="10086"')
    assert bench.payload(b"CXLL\x1a") == "\r\n+CMS ERROR: 331\r\n"


def test_line_feed_after_the_command_is_not_text(bench):
    bench.send("AT+CMGF=1")
    bench.write(b'AT+CMGS="10086"\r\n')
    assert bench.run(1) == "\r\n> "
    bench.payload(b"CXLL\x1a")
    assert tpdu.parse(bench.carrier.sms[-1][2]).text() == "CXLL"


def test_text_mode_refuses_what_it_cannot_encode(bench):
    bench.send("AT+CMGF=1")
    bench.send('AT+CMGS="10086"')
    assert bench.payload(b"\xb2\x1a") == "\r\n+CMS ERROR: 305\r\n"
    bench.send('AT+CMGS="10086"')
    assert bench.payload(b"x" * 161 + b"\x1a") == "\r\n+CMS ERROR: 305\r\n"
    bench.send('AT+CMGS="not a number"')
    assert bench.payload(b"x\x1a") == "\r\n+CMS ERROR: 305\r\n"


def arrive(bench, text="75 % used", number="+8613800000000"):
    return bench.modem.sms.deliver(tpdu.deliver(number, tpdu.GSM7, tpdu.to_septets(text), WHEN))


def test_receiving_reading_deleting(bench):
    assert arrive(bench)
    assert bench.run(1) == '\r\n+CMTI: "SM",1\r\n'
    bench.send("AT+CMGF=1")
    header = '"REC {}","+8613800000000",,"25/03/04,13:06:07+32"\r\n75 % used'
    assert bench.send("AT+CMGR=1") == f"\r\n+CMGR: {header.format('UNREAD')}\r\n\r\nOK\r\n"
    assert bench.send('AT+CMGL="REC READ"') == f"\r\n+CMGL: 1,{header.format('READ')}\r\n\r\nOK\r\n"
    assert bench.send('AT+CMGL="REC UNREAD"') == "\r\nOK\r\n"
    bench.send("AT+CMGF=0")
    assert bench.send("AT+CMGL=4").startswith("\r\n+CMGL: 1,1,,28\r\n0891683108200105F004")
    bench.modem.power(False)
    bench.modem.power(True)
    bench.run(10)
    bench.send("ATE0")
    assert bench.send("AT+CPMS?") == '\r\n+CPMS: "SM",1,50,"SM",1,50,"SM",1,50\r\n\r\nOK\r\n'
    assert bench.send("AT+CMGD=1") == "\r\nOK\r\n"
    assert bench.send("AT+CMGR=1") == "\r\n+CMS ERROR: 321\r\n"


def test_direct_delivery_is_a_urc_of_two_lines(bench):
    bench.send("AT+CNMI=2,2,0,0,0")
    arrive(bench, "x")
    header, body = bench.run(1).strip().split("\r\n")
    assert header == "+CMT: ,21"
    assert len(body) == 2 * (21 + 9)
    bench.send("AT+CMGF=1")
    arrive(bench, "x")
    assert bench.run(1) == '\r\n+CMT: "+8613800000000",,"25/03/04,13:06:07+32"\r\nx\r\n'


def test_memory_that_is_full(bench):
    for _ in range(bench.profile.sms.slots):
        assert arrive(bench)
    assert not arrive(bench)
    bench.send("AT+CMGF=1")
    bench.send('AT+CMGW="10086"')
    assert bench.payload(b"x\x1a") == "\r\n+CMS ERROR: 322\r\n"
    bench.send('AT+CPMS="SM","ME","SM"')
    bench.send('AT+CMGW="10086"')
    assert bench.payload(b"x\x1a") == "\r\n+CMGW: 1\r\n\r\nOK\r\n"
    bench.send('AT+CPMS="ME","ME","SM"')
    assert bench.send("AT+CMSS=1") == "\r\n+CMSS: 0\r\n\r\nOK\r\n"
    assert bench.send("AT+CMGD=1,4") == "\r\nOK\r\n"
    assert bench.send("AT+CMGL") == "\r\nOK\r\n"


@pytest.mark.parametrize("line", ["AT+CMGS=x", "AT+CMGS=300", "AT+CMGL=9", 'AT+CPMS="XX"', 'AT+CSCA="xyz"'])
def test_bad_parameters(bench, line):
    assert bench.send(line).startswith("\r\n+CMS ERROR: 3")
