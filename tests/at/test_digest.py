"""Whatever the octets, however cut: the same events, no exception, a bounded line, and sense again after."""

from hypothesis import given, settings
from hypothesis import strategies as st
from usageguard.at.digest import FINAL, OK, PAYLOAD, URC

from tests.at.stream import MAX_LINE, arm, digest, once, take

PIECES = (
    b"\r\n", b"\r", b"\n", b"OK", b"ERROR", b"SEND OK", b"+QIRD: 5", b"+QIRD: 17", b"+QIRD: 0", b"+QIRD",
    b"+QIRD: 9999999999999", b"> ", b">", b" ", b'+QIURC: "recv",3', b"+CEREG: 1", b"RDY", b"AT+QIRD=0,5",
    b"+QIRD: 3,", b'+QIRD: 2,17,"', b"+CME ERROR: 177", b"+CME ERROR: ", b"abcde",
    b"\x00", b"\xff\xfe", b"x" * 45, b'"', b",", b"+",
)  # fmt: skip
STREAMS = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=12)), max_size=25).map(b"".join)
CUTS = st.lists(st.integers(1, 30), min_size=1, max_size=20)
ARMED = st.tuples(
    st.sampled_from([None, b"", b"+QIRD:"]),
    st.sampled_from([0, 0x3E, 0x40]),
    st.sampled_from([0, 5, 1500]),
    st.integers(0, 2),
    st.sampled_from([None, b",", b',"']),
)


@settings(derandomize=True, max_examples=300)
@given(STREAMS, CUTS, ARMED, st.booleans())
def test_same_events_however_cut(stream, cuts, armed, active):
    whole = once(stream, max(len(stream), 1), *armed, armed=active)
    assert once(stream, cuts, *armed, armed=active) == whole
    assert once(stream, 1, *armed, armed=active) == whole


@settings(derandomize=True, max_examples=300)
@given(st.binary(max_size=300), CUTS, ARMED)
def test_garbage_is_bounded_and_passes(stream, cuts, armed):
    made = digest()
    arm(made, *armed)
    events = take(made, stream, cuts, [])
    assert all(len(e[-1]) <= MAX_LINE for e in events if e[0] != PAYLOAD and isinstance(e[-1], bytes))
    assert made._ring.any() <= MAX_LINE
    assert len(made.line) == MAX_LINE + 1
    made.disarm()
    made.resync()
    after = take(made, b"\n\r\nRDY\r\n", cuts, [])
    assert after[-1] == (URC, b"RDY", b"RDY")
    arm(made, None, 0, 0)
    assert take(made, b"\r\nOK\r\n", cuts, []) == [(FINAL, OK, 0)]


@settings(derandomize=True, max_examples=200)
@given(st.binary(min_size=1, max_size=200), CUTS)
def test_payload_is_transparent(payload, cuts):
    stream = b"\r\n+QIRD: %d\r\n%b\r\n\r\nOK\r\n" % (len(payload), payload)
    events = once(stream, cuts, b"+QIRD:", 0, 1500)
    assert [e[0] for e in events[1:]] == [PAYLOAD, FINAL]
    assert events[1][1] == payload


@settings(derandomize=True, max_examples=200)
@given(st.binary(min_size=1, max_size=200), CUTS, st.booleans())
def test_payload_on_its_line_is_transparent(payload, cuts, quoted):
    mark = b'"' if quoted else b""
    stream = b"\r\n+USORD: 3,%d,%b%b%b\r\n\r\nOK\r\n" % (len(payload), mark, payload, mark)
    events = once(stream, cuts, b"+USORD:", 0, 1024, 1, b"," + mark)
    assert [e[0] for e in events[1:]] == [PAYLOAD, FINAL]
    assert events[1][1] == payload
    assert len(events[2]) == 3, "not torn"
