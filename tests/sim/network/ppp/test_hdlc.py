"""Frames against a bit-by-bit check sequence, and through any line."""

from hypothesis import given
from hypothesis import strategies as st

from host_tools.sim.network.ppp import hdlc


def fcs_by_bits(data: bytes) -> int:
    """RFC 1662 C.2, from its polynomial x**0 + x**5 + x**12 + x**16, bit-reversed."""
    fcs = 0xFFFF
    for octet in data:
        for bit in range(8):
            mixed = (fcs ^ octet >> bit) & 1
            fcs = fcs >> 1 ^ (0x8408 if mixed else 0)
    return fcs ^ 0xFFFF


def escaped_by_octets(body: bytes, accm: int) -> bytes:
    out = bytearray()
    for octet in body:
        if octet in (0x7D, 0x7E) or (octet < 32 and accm >> octet & 1):
            out += bytes((0x7D, octet ^ 0x20))
        else:
            out.append(octet)
    return bytes(out)


frames = st.tuples(st.sampled_from((0x21, 0x2D, 0x8021, 0xC021)), st.binary(max_size=64))


@given(frames, st.integers(0, 0xFFFF_FFFF), st.booleans())
def test_a_frame_is_what_the_rfc_says_octet_by_octet(given_frame, accm, short):
    protocol, payload = given_frame
    number = protocol.to_bytes(2, "big")
    head = number.lstrip(b"\0") if short else b"\xff\x03" + number
    body = head + payload
    body += fcs_by_bits(body).to_bytes(2, "little")
    assert hdlc.frame(protocol, payload, accm, short=short) == b"\x7e" + escaped_by_octets(body, accm) + b"\x7e"


@given(st.lists(frames, max_size=5), st.data())
def test_frames_come_out_whole_however_the_line_cuts_them(sent, data):
    line = b"\r\nNO CARRIER\r\n" + b"".join(hdlc.frame(*each) for each in sent)
    deframer, got = hdlc.Deframer(), []
    while line:
        n = data.draw(st.integers(1, len(line)))
        got += deframer.feed(line[:n])
        line = line[n:]
    assert got == sent
    assert deframer.bad == bool(sent)  # the modem's text, once a flag ends it


@given(st.binary(max_size=40), st.data())
def test_a_damaged_frame_is_dropped_and_counted(payload, data):
    line = bytearray(hdlc.frame(0x21, payload))
    at = data.draw(st.integers(1, len(line) - 2))
    line[at] ^= data.draw(st.sampled_from((0x01, 0x40, 0x80)))
    deframer = hdlc.Deframer()
    whole = list(deframer.feed(bytes(line) + hdlc.FLAG))
    assert (0x21, payload) not in whole or line == hdlc.frame(0x21, payload)
    assert deframer.bad or not whole or 0x7E in line[1:-1]


def test_control_characters_that_the_line_put_in_are_dropped():
    sent = hdlc.frame(0x21, b"payload")
    deframer = hdlc.Deframer()
    assert list(deframer.feed(sent[:5] + b"\x11\x13" + sent[5:])) == [(0x21, b"payload")]
    deframer.accm = 0
    assert not list(deframer.feed(sent[:5] + b"\x11" + sent[5:]))


def test_an_escape_before_the_flag_aborts_the_frame():
    deframer = hdlc.Deframer()
    assert not list(deframer.feed(b"\x7e\xff\x7d\x23\x7d\x7e"))
    assert deframer.bad == 1


def test_noise_without_an_end_takes_no_room():
    deframer = hdlc.Deframer()
    for _ in range(100):
        assert not list(deframer.feed(b"x" * 1000))
    assert list(deframer.feed(hdlc.frame(0x21, b"after"))) == [(0x21, b"after")]
