"""The CoAP client against aiocoap's codec."""

import random

import aiocoap
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.options import Options
from aiocoap.optiontypes import OpaqueOption
from hypothesis import given
from hypothesis import strategies as st
from usageguard.upstream.coap import FAILED, REPLY, SEND, WAIT, Coap

ELECTIVE = [12, 14, 28, 60, 258, 2048, 65000]
KINDS = (aiocoap.CON, aiocoap.NON, aiocoap.ACK)


def begun(payload, seed=1):
    coap = Coap(random.Random(seed).randbytes, 140)
    coap.begin(0, payload)
    assert coap.step(0) == SEND
    return coap


def request_of(coap):
    return aiocoap.Message.decode(bytes(coap.out[: coap.out_n]))


def answer(coap, kind, code, payload=b""):
    request = request_of(coap)
    mid = request.mid if kind is aiocoap.ACK else request.mid ^ 0x5555
    return aiocoap.Message(code=code, payload=payload, _mtype=kind, _mid=mid, _token=request.token).encode()


@given(st.binary(min_size=1, max_size=140), st.integers(0, 1000))
def test_request(payload, seed):
    message = request_of(begun(payload, seed))
    assert message.mtype is aiocoap.CON
    assert message.code is aiocoap.POST
    assert message.opt.uri_path == ("r",)
    assert message.payload == payload
    assert len(message.token) == 2


@st.composite
def elective_options(draw):
    numbers = draw(st.lists(st.sampled_from(ELECTIVE), max_size=5))
    return [(number, draw(st.binary(max_size=600))) for number in numbers]


@given(st.sampled_from(KINDS), st.binary(max_size=60), elective_options())
def test_response_whatever_its_options(kind, payload, options):
    coap = begun(b"x")
    datagram = with_options(answer(coap, kind, aiocoap.CHANGED, payload), options)
    assert coap.receive(1, datagram, len(datagram)) == payload
    assert coap.step(1) == (REPLY if kind is aiocoap.CON else WAIT)


def with_options(datagram, options):
    """`datagram` with opaque options put in by aiocoap's own encoder."""
    message = aiocoap.Message.decode(datagram)
    opt = Options()
    for number, value in options:
        opt.add_option(OpaqueOption(OptionNumber(number), value))
    head = datagram[: 4 + len(message.token)]
    return head + opt.encode() + (b"\xff" + message.payload if message.payload else b"")


@given(st.sampled_from([code for code in aiocoap.Code if code.is_response() and not code.is_successful()]))
def test_refusal(code):
    coap = begun(b"x")
    datagram = answer(coap, aiocoap.ACK, code, b"why")
    assert coap.receive(1, datagram, len(datagram)) is None
    assert coap.step(1) == FAILED
    assert coap.code == code


@given(st.binary(max_size=60), st.booleans(), st.booleans())
def test_any_datagram_is_survived(tail, ours, same_token):
    coap = begun(b"x")
    head = bytes(coap.out[:4]) if ours else b""
    head = bytes([head[0] | 0x20, 0x44]) + head[2:] if head else b""
    datagram = head + (bytes(coap.out[4:6]) if same_token else b"") + tail
    got = coap.receive(1, datagram, len(datagram))
    if got is not None:
        assert datagram.endswith(got)


@given(st.sampled_from(KINDS), st.binary(min_size=1, max_size=40), st.data())
def test_a_response_cut_off(kind, payload, data):
    """A datagram that is cut off gives no payload, or a part of the same one."""
    coap = begun(b"x")
    good = answer(coap, kind, aiocoap.CHANGED, payload)
    cut = good[: data.draw(st.integers(0, len(good) - 1))]
    got = coap.receive(1, cut, len(cut))
    assert got is None or payload.startswith(got)


@given(st.integers(0, 255))
def test_first_timeout_is_in_the_standard_range(octet):
    """RFC 7252 4.8: 2 to 3 s."""
    coap = Coap(lambda n: bytes([octet] * n), 10)
    coap.begin(0, b"")
    coap.step(0)
    assert 2000 <= coap.due_ms(0) <= 3000
