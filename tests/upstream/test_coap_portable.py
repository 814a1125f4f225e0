from usageguard.upstream.coap import FAILED, REPLY, SEND, WAIT, Coap

from tests.portable import without_heap

CHANGED = 0x44
UNAUTHORIZED = 0x81
CON, NON, ACK, RST = range(4)


def same_octets(n):
    return bytes([0x80] * n)


def exchange(payload=b"report", now=1000):
    """An exchange whose request went out at `now`; its first time-out is 2000 + 1000 * 128 // 255 ms."""
    coap = Coap(same_octets, 40)
    coap.begin(now, payload)
    assert coap.step(now) == SEND, "the request goes at once"
    return coap


def response(coap, kind=ACK, code=CHANGED, token=None, mid=None, rest=b"\xffyes"):
    out = coap.out
    token = bytes(out[4:6]) if token is None else token
    mid = bytes(out[2:4]) if mid is None else mid
    return bytes([0x40 | kind << 4 | len(token), code]) + mid + token + rest


def take(coap, datagram, now=1500):
    return coap.receive(now, datagram, len(datagram))


def test_request():
    coap = exchange(b"report")
    expected = b"\x42\x02\x80\x81\x80\x80\xb1r\xffreport"
    assert bytes(coap.out[: coap.out_n]) == expected, bytes(coap.out[: coap.out_n])
    before = bytes(coap.out[2:4])
    coap.begin(0, b"")
    assert bytes(coap.out[2:4]) == b"\x80\x82" != before, "each exchange has its own message id"


def test_payload_too_long():
    coap = Coap(same_octets, 4)
    coap.begin(0, b"1234")
    try:
        coap.begin(0, b"12345")
    except ValueError:
        return
    raise AssertionError("5 octets were taken into 4")


def test_retransmission():
    """RFC 7252 4.2: five transmissions, the time-out doubles, then it is over; across the wrap of ticks."""
    start = (1 << 30) - 20000
    coap = exchange(now=start)
    at, now = [start], start
    for _ in range(100000):
        now = (now + 1) % (1 << 30)
        said = coap.step(now)
        if said != WAIT:
            at.append(now)
        if said == FAILED:
            break
    waits = [(at[i + 1] - at[i]) % (1 << 30) for i in range(len(at) - 1)]
    assert waits == [2501, 5002, 10004, 20008, 40016], waits
    assert not coap.busy, "over"
    assert coap.step(now) == WAIT, "said once"


def test_due():
    coap = exchange(now=0)
    assert coap.due_ms(501) == 2000, coap.due_ms(501)
    assert coap.due_ms(9000) == 0, "overdue"
    take(coap, response(coap))
    assert coap.due_ms(501) == -1, "idle"


def test_piggybacked():
    coap = exchange()
    assert take(coap, response(coap)) == b"yes"
    assert coap.code == CHANGED
    assert not coap.busy
    assert coap.step(99999) == WAIT, "nothing more to say"


def test_no_payload():
    coap = exchange()
    assert take(coap, response(coap, rest=b"")) == b"", "2.04 with nothing in it"


def test_separate_confirmable():
    coap = exchange()
    assert take(coap, b"\x60\x00" + bytes(coap.out[2:4])) is None, "empty acknowledgement"
    assert coap.step(60000) == WAIT, "no retransmission once the server has the request"
    answer = response(coap, kind=CON, mid=b"\x12\x34")
    assert take(coap, answer) == b"yes"
    assert coap.step(60001) == REPLY
    assert bytes(coap.reply) == b"\x60\x00\x12\x34", "acknowledged"
    assert coap.step(60002) == WAIT
    assert take(coap, answer) is None, "taken once"
    assert coap.step(60003) == REPLY
    assert bytes(coap.reply) == b"\x70\x00\x12\x34", "its repeats are reset"


def test_separate_before_its_acknowledgement():
    coap = exchange()
    assert take(coap, response(coap, kind=NON, mid=b"\x00\x01")) == b"yes"
    assert coap.step(1501) == WAIT, "a response that is not confirmable is not answered"


def test_separate_never_comes():
    coap = exchange(now=1000)
    take(coap, b"\x60\x00" + bytes(coap.out[2:4]), now=2000)
    assert coap.step(2000 + 92999) == WAIT
    assert coap.step(2000 + 93000) == FAILED


def test_reset():
    coap = exchange()
    assert take(coap, b"\x70\x00" + bytes(coap.out[2:4])) is None
    assert coap.step(1501) == FAILED
    assert not coap.busy


def test_refused():
    coap = exchange()
    assert take(coap, response(coap, code=UNAUTHORIZED, rest=b"")) is None
    assert coap.code == UNAUTHORIZED
    assert coap.step(1501) == FAILED


def test_not_ours():
    coap = exchange()
    for datagram in (
        b"",
        b"\x62\x44\x80",  # cut short
        b"\xa2" + response(coap)[1:],  # version 2
        response(coap, mid=b"\x00\x00"),
        response(coap, token=b"\x80\x81"),
        response(coap, token=b"\x80"),
        response(coap, token=b"\x80\x80\x80"),
        response(coap, rest=b"")[:5],  # the token is cut short
        b"\x60\x00\x00\x00",  # acknowledges another message
        b"\x70\x00\x00\x00",  # resets another message
        response(coap, code=0x02),  # a request in an acknowledgement
        response(coap, rest=b"\xff"),  # a marker and no payload
        response(coap, rest=b"\x11"),  # an option without its value
        response(coap, rest=b"\xf0\xff1"),  # a reserved delta
        response(coap, rest=b"\x0f\xff1"),  # a reserved length
        response(coap, rest=b"\xd0"),  # an extended delta that is not there
        response(coap, rest=b"\x10\xffyes"),  # option 1 is critical
        response(coap, rest=b"\xd0\x0a\xffyes"),  # option 23, Block2, is critical
        response(coap, kind=RST),
    ):
        assert take(coap, datagram) is None, datagram
        assert coap.busy, datagram
        assert coap.step(1501) == WAIT, datagram
    assert take(coap, response(coap)) == b"yes", "still waiting for the right one"


def test_options_are_skipped():
    for rest in (
        b"\xc1\x2a\xffyes",  # 12 Content-Format
        b"\xd1\x01\x3c\xffyes",  # 14 Max-Age
        b"\xc0\x2d\x01" + bytes(14) + b"\xffyes",  # 12, then 14 with an extended length
        b"\xe0\x00\x01\xffyes",  # option 270, an extended delta of two octets
        b"\xee\x00\x01\x00\x02" + bytes(271) + b"\xffyes",
    ):
        coap = exchange()
        assert take(coap, response(coap, rest=rest)) == b"yes", rest


def test_strange_confirmables_are_reset():
    coap = Coap(same_octets, 40)
    for datagram in (b"\x40\x00\x00\x07", b"\x40\x01\x00\x07", b"\x42\x44\x00\x07\x80\x80\xffyes"):
        assert take(coap, datagram) is None
        assert coap.due_ms(1500) == 0
        assert coap.step(1500) == REPLY
        assert bytes(coap.reply) == b"\x70\x00\x00\x07", bytes(coap.reply)
    assert take(coap, b"\x50\x01\x00\x07") is None
    assert coap.step(1500) == WAIT, "NON is ignored"


def test_abort():
    coap = exchange()
    late = response(coap)
    coap.abort()
    assert not coap.busy
    assert coap.step(99999) == WAIT
    assert take(coap, late) is None
    assert coap.step(99999) == WAIT, "nothing is sent for a late acknowledgement"


def test_stepping_allocates_nothing():
    coap = exchange(now=0)

    def run():
        sends = 0
        for now in range(0, 80000, 7):
            coap.due_ms(now)
            if coap.step(now) == SEND:
                sends += 1
        return sends

    assert without_heap(run) == 4


def test_a_ping_that_has_our_message_id_is_no_acknowledgement():
    coap = exchange()
    assert take(coap, b"\x40\x00" + bytes(coap.out[2:4])) is None
    assert coap.step(1500) == REPLY
    assert coap.step(5000) == SEND, "retransmission goes on"
