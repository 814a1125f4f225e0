from usageguard.at.digest import (
    CME_ERROR,
    CMS_ERROR,
    ECHO,
    ERROR,
    FINAL,
    INFO,
    NEED,
    OK,
    OVERLONG,
    PAYLOAD,
    PROMPT,
    SEND_FAIL,
    URC,
    int_field,
    octets_field,
    put_int,
    text_field,
)
from usageguard.core.octets import Octets

from tests.at.stream import MAX_LINE, URCS, arm, digest, once, take
from tests.portable import without_heap

RECV, CEREG, RDY = URCS
DONE = (FINAL, OK, 0)
TORN = (FINAL, OK, 0, True)
RECV_0 = (URC, RECV, b'+QIURC: "recv",0')

# (what, armed with, stream, events)
CASES = (
    ("final", (), b"\r\nOK\r\n", [(FINAL, OK, 0)]),
    ("error", (), b"\r\nERROR\r\n", [(FINAL, ERROR, 0)]),
    ("CME", (), b"\r\n+CME ERROR: 133\r\n", [(FINAL, CME_ERROR, 133)]),
    ("CME in words", (), b"\r\n+CME ERROR: SIM busy\r\n", [(FINAL, CME_ERROR, -1)]),
    ("CMS", (), b"\r\n+CMS ERROR: 331\r\n", [(FINAL, CMS_ERROR, 331)]),
    ("send ok", (), b"\r\nSEND OK\r\n", [(FINAL, OK, 0)]),
    ("send fail", (), b"\r\nSEND FAIL\r\n", [(FINAL, SEND_FAIL, 0)]),
    ("almost final", (b"",), b"OKAY\r\nOK\r\n", [(INFO, True, b"OKAY"), (FINAL, OK, 0)]),
    (
        "information",
        (b"+CSQ:",),
        b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n",
        [(INFO, True, b"+CSQ: 24,99"), (FINAL, OK, 0)],
    ),
    ("bare digits", (b"",), b"\r\n8664\r\n\r\nOK\r\n", [(INFO, True, b"8664"), (FINAL, OK, 0)]),
    ("not asked for", (b"+CSQ:",), b"+CESQ: 1\r\nOK\r\n", [(INFO, False, b"+CESQ: 1"), (FINAL, OK, 0)]),
    (
        "unsolicited before the response",
        (b"+CSQ:",),
        b'\r\n+QIURC: "recv",0\r\n\r\n+CSQ: 1,99\r\n\r\nOK\r\n',
        [RECV_0, (INFO, True, b"+CSQ: 1,99"), (FINAL, OK, 0)],
    ),
    (
        "unsolicited inside the response",
        (b"",),
        b"\r\n12345\r\n\r\n+CEREG: 1\r\n\r\nOK\r\n",
        [(INFO, True, b"12345"), (URC, CEREG, b"+CEREG: 1"), (FINAL, OK, 0)],
    ),
    ("echo", (), b"AT+X=1\r\r\nOK\r\n", [(ECHO, b"AT+X=1"), (FINAL, OK, 0)]),
    (
        "payload",
        (b"+QIRD:", 0, 1500),
        b"\r\n+QIRD: 9\r\nOK\r\nERROR\r\nOK\r\n",
        [(INFO, True, b"+QIRD: 9"), (PAYLOAD, b"OK\r\nERROR", 0), (FINAL, OK, 0)],
    ),
    (
        "a line inside a payload pushes its end out",
        (b"+QIRD:", 0, 1500),
        b"\r\n+QIRD: 4\r\n\r\nRDY\r\nabcd\r\nOK\r\n",
        [(INFO, True, b"+QIRD: 4"), (PAYLOAD, b"\r\nRD", 0), (INFO, False, b"Y"), (INFO, False, b"abcd"), TORN],
    ),
    (
        "payload of line ends and prompts",
        (b"+QIRD:", 0, 1500),
        b'\r\n+QIRD: 6\r\n\n\r> \nAT\r\n\r\nOK\r\n',
        [(INFO, True, b"+QIRD: 6"), (PAYLOAD, b"\n\r> \nA", 0), (INFO, False, b"T"), (FINAL, OK, 0, True)],
    ),
    (
        "no payload",
        (b"+QIRD:", 0, 1500),
        b"\r\n+QIRD: 0\r\n\r\nOK\r\n",
        [(INFO, True, b"+QIRD: 0"), (FINAL, OK, 0)],
    ),
    (
        "more payload than was asked for",
        (b"+QIRD:", 0, 8),
        b"\r\n+QIRD: 9\r\nOK\r\n",
        [(INFO, True, b"+QIRD: 9"), (FINAL, OK, 0)],
    ),
    (
        "payload of a command that has none",
        (b"+QIRD:",),
        b"\r\n+QIRD: 2\r\nOK\r\n",
        [(INFO, True, b"+QIRD: 2"), (FINAL, OK, 0)],
    ),
    (
        "payload on the line",
        (b"+CARECV:", 0, 1500, 0, b","),
        b"\r\n+CARECV: 5,a,\r\nb\r\n\r\nOK\r\n",
        [(INFO, True, b"+CARECV: 5,"), (PAYLOAD, b"a,\r\nb", 0), (FINAL, OK, 0)],
    ),
    (
        "no payload on the line",
        (b"+CARECV:", 0, 1500, 0, b","),
        b"\r\n+CARECV: 0\r\n\r\nOK\r\n",
        [(INFO, True, b"+CARECV: 0"), (FINAL, OK, 0)],
    ),
    (
        "payload on the line, behind the number of its connection",
        (b"+CARECV:", 0, 1500, 1, b","),
        b"\r\n+CARECV: 2,3,4,5\r\n\r\nOK\r\n",
        [(INFO, True, b"+CARECV: 2,3,"), (PAYLOAD, b"4,5", 0), (FINAL, OK, 0)],
    ),
    (
        "the first number that can be the count",
        (b"+CARECV:", 0, 1, 0, b","),
        b"\r\n+CARECV: 2,1,\r\r\n\r\nOK\r\n",
        [(INFO, True, b"+CARECV: 2,1,"), (PAYLOAD, b"\r", 0), (FINAL, OK, 0)],
    ),
    (
        "payload in quotation marks",
        (b"+USORF:", 0, 1024, 3, b',"'),
        b'\r\n+USORF: 0,"10.1.2.3",21, 3,"",""\r\nOK\r\n',
        [(INFO, True, b'+USORF: 0,"10.1.2.3",21, 3,"'), (PAYLOAD, b'","', 0), (FINAL, OK, 0)],
    ),
    (
        "a number that is not followed by a payload",
        (b"+USORD:", 0, 1024, 0, b',"'),
        b'\r\n+USORD: 3,2,"ab"\r\nOK\r\n',
        [(INFO, True, b'+USORD: 3,2,"'), (PAYLOAD, b"ab", 0), (FINAL, OK, 0)],
    ),
    (
        "nothing in quotation marks",
        (b"+USORD:", 0, 1024, 1, b',"'),
        b'\r\n+USORD: 3,""\r\nOK\r\n',
        [(INFO, True, b'+USORD: 3,""'), (FINAL, OK, 0)],
    ),
    (
        "a line inside a payload on a line pushes its end out",
        (b"+CARECV:", 0, 1500, 0, b","),
        b"\r\n+CARECV: 4,\r\nRDY\r\nabcd\r\nOK\r\n",
        [(INFO, True, b"+CARECV: 4,"), (PAYLOAD, b"\r\nRD", 0), (INFO, False, b"Y"), (INFO, False, b"abcd"), TORN],
    ),
    (
        "an unsolicited line before the payload's",
        (b"+CARECV:", 0, 1500, 0, b","),
        b"\r\nRDY\r\n+CARE\r\n+CARECV: 1,x\r\nOK\r\n",
        [(URC, RDY, b"RDY"), (INFO, False, b"+CARE"), (INFO, True, b"+CARECV: 1,"), (PAYLOAD, b"x", 0), DONE],
    ),
    (
        "payload behind the line, its count not the first field",
        (b"+SQNSRECV:", 0, 1500, 1),
        b"\r\n+SQNSRECV: 3,2\r\nOK\r\nOK\r\n",
        [(INFO, True, b"+SQNSRECV: 3,2"), (PAYLOAD, b"OK", 0), (FINAL, OK, 0)],
    ),
    ("prompt", (None, 0x3E), b"\r\n> \r\nSEND OK\r\n", [(PROMPT, b""), (FINAL, OK, 0)]),
    ("prompt without a space", (None, 0x3E), b"\r\n>\r\nSEND OK\r\n", [(PROMPT, b""), (FINAL, OK, 0)]),
    ("another prompt", (None, 0x40), b"\r\n@OK\r\n", [(PROMPT, b""), (FINAL, OK, 0)]),
    (
        "unsolicited before the prompt",
        (None, 0x3E),
        b'\r\n+QIURC: "recv",0\r\n\r\n> ',
        [RECV_0, (PROMPT, b"")],
    ),
    ("only one prompt", (b"", 0x3E), b"\r\n> > x\r\n", [(PROMPT, b""), (INFO, True, b"> x")]),
    ("no prompt inside a line", (b"", 0x3E), b"a> \r\n", [(INFO, True, b"a> ")]),
    ("line too long", (b"",), b"x" * (MAX_LINE + 1) + b"\r\nOK\r\n", [(OVERLONG, b""), (FINAL, OK, 0)]),
    (
        "line as long as can be",
        (b"",),
        b"x" * MAX_LINE + b"\nOK\n",
        [(INFO, True, b"x" * MAX_LINE), (FINAL, OK, 0)],
    ),
    ("no prompt in a long line", (None, 0x3E), b"x" * 41 + b"> \nOK\n", [(OVERLONG, b""), (FINAL, ERROR, 0)]),
    ("done without the data", (None, 0x3E), b"\r\nOK\r\n", [(FINAL, ERROR, 0)]),
    (
        "a short line after a longer one",
        (b"",),
        b"RDYRDY\r\nRD\r\nOK\r\n",
        [(URC, RDY, b"RDYRDY"), (INFO, True, b"RD"), (FINAL, OK, 0)],
    ),
    ("nor what it left behind", (b"",), b"RDYRDY\nRD\nOK\n", [(URC, RDY, b"RDYRDY"), (INFO, True, b"RD"), DONE]),
    (
        "noise on a line of its own",
        (b"",),
        b"\x00\xff\x80\r\nOK\r\n",
        [(INFO, True, b"\x00\xff\x80"), (FINAL, OK, 0)],
    ),
)


def test_every_case_in_every_fragmentation():
    for what, armed, stream, expected in CASES:
        for size in range(1, len(stream) + 1):
            got = once(stream, size, *armed)
            assert got == expected, (what, size, got)


def test_idle_lines_are_unsolicited():
    for size in (1, 7, 100):
        got = once(b'\r\nOK\r\n\r\nRDY\r\n+X: 1\r\n> \r\n', size, armed=False)
        assert got == [(URC, None, b"OK"), (URC, RDY, b"RDY"), (URC, None, b"+X: 1"), (URC, None, b"> ")], got


def test_payload_survives_a_disarm():
    """After a time-out the rest of a payload still comes: it must not be read as lines."""
    made = digest()
    arm(made, b"+QIRD:", 0, 1500)
    events = take(made, b"+QIRD: 20\r\n12345", 3, [])
    made.disarm()
    take(made, b"\r\nRDY\r\n12345678\r\nRDY\r\n", 3, events)
    assert events[1:] == [(PAYLOAD, b"12345\r\nRDY\r\n12345678", 0), (URC, RDY, b"RDY")], events


def test_resync_gives_a_payload_up():
    made = digest()
    arm(made, b"+QIRD:", 0, 1500)
    events = take(made, b"+QIRD: 1000\r\n12345", 4, [])
    made.disarm()
    made.resync()
    take(made, b"\r\nRDY\r\n", 4, events)
    assert events[-1] == (URC, RDY, b"RDY"), events


def test_a_payload_that_lost_an_octet_is_torn():
    made = digest()
    arm(made, b"+QIRD:", 0, 1500)
    assert take(made, b"\r\n+QIRD: 4\r\nabx\r\n\r\nOK\r\n", 3, [])[1:] == [(PAYLOAD, b"abx\r", 0), TORN]


def test_an_exception_costs_no_more_than_its_window():
    made = digest()
    made.feed(b"RDY\r\n+CEREG: 1\r\n", 16)
    for event in made.found:
        assert event == URC
        break  # as when who takes the event raises
    assert take(made, b"\r\nRDY\r\n", 9, []) == [(URC, RDY, b"RDY")]

    def final(line, length):
        raise MemoryError

    made.final = final
    arm(made)
    made.feed(b"BUSY\r\nRDY\r\n", 11)
    try:
        for _ in made.found:
            raise AssertionError("nothing was said before the exception")
    except MemoryError:
        made.final = None
    assert take(made, b"\r\nRDY\r\nOK\r\n", 20, []) == [(URC, RDY, b"RDY"), DONE]


def test_fields():
    line = b'+X: 12,"a,b:c",-7,,99999999999,x9, 5'
    length = len(line)
    numbers = [int_field(line, length, i) for i in range(8)]
    assert numbers == [12, -1, -1, -1, 0x3FFFFFFF, -1, 5, -1], numbers
    texts = [text_field(line, length, i) for i in range(8)]
    assert texts == [b"12", b"a,b:c", b"-7", b"", b"99999999999", b"x9", b"5", b""], texts
    assert int_field(b"8664,1", 6, 1) == 1, "a line without a prefix"
    assert int_field(b"+QIRD: 15", 8, 0) == 1, "not beyond the line's length"
    assert text_field(b'+X: "ab', 7, 0) == b"ab", "a quote that never ends"
    assert [int_field(b"+RECEIVE,3,40:", 14, i) for i in range(3)] == [3, 40, -1], "fields before the colon"
    assert int_field(b"", 0, 0) == -1, "nothing there"
    assert int_field(b"+X:", 3, 0) == -1, "nothing there"


def test_octets_field():
    octets = Octets()
    top = (1 << 54) - 1
    for number in (0, 9, (1 << 24) - 1, 1 << 24, (1 << 30) - 1, 1 << 30, (1 << 32) + 5, 10**15, top):
        line = b"+QGDCNT: 7," + str(number).encode() + b"\r"
        assert octets_field(line, len(line), 1, octets), number
        assert octets.value() == number, (number, octets.value())
    line = b"+QGDCNT: 99999999999999999999999"
    assert octets_field(line, len(line), 0, octets), "saturates"
    assert octets.value() == (1 << 54) - 1
    for bad in (b"+QGDCNT: ", b"+QGDCNT: x", b'+QGDCNT: "1"'):
        assert not octets_field(bad, len(bad), 0, octets), bad
    assert octets.value() == (1 << 54) - 1, "unchanged where there is no number"


def test_put_int():
    for number in (0, 9, 10, 99, 100, 1459, 1460, (1 << 30) - 1):
        buf = bytearray(b"n=..........")
        end = put_int(buf, 2, number)
        assert bytes(buf[2:end]) == str(number).encode(), number


def test_allocates_nothing():
    made = digest()
    text = b'\r\n+QIURC: "recv",0\r\n\r\n> \r\n+QIRD: 9\r\n123456789\r\nx\r\nOK\r\n'
    stream = bytearray(text + b"y" * 60 + b"\n")
    octets = Octets()
    counter = b"+QGDCNT: 5000000000,6000000000"
    seen = [0] * 8
    arm(made, b"+QIRD:", 0x3E, 20)

    def run():
        made.feed(stream, len(stream))
        for event in made.found:
            if event == NEED:
                break
            seen[event] += 1
        octets_field(counter, 30, 1, octets)
        int_field(counter, 30, 1)
        put_int(stream, 0, 1460)

    without_heap(run)
    assert seen == [0, 1, 2, 1, 1, 1, 1, 0], seen
