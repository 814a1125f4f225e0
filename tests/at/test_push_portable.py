"""Payloads that come unasked, and final results of a family."""

from usageguard.at.channel import FOREVER_MS, Channel
from usageguard.at.digest import FINAL, INFO, OK, PAYLOAD, PENDING, SEND_FAIL, TIMEOUT, URC
from usageguard.at.push import PushChannel, PushDigest, pushing

from tests.at.port import Port
from tests.at.stream import MAX_LINE, arm, take
from tests.portable import without_heap

DONE = (FINAL, OK, 0)
TORN = (FINAL, OK, 0, True)
CSQ = (b"AT+CSQ\r", 1000, b"+CSQ:", 0)
MIPRD = (b"AT+MIPRD=0,8\r", 5000, b"+MIPRD:", 0, 2, b",")


def digest():
    return PushDigest(MAX_LINE)


def test_payload_that_comes_unasked():
    for prefix, field, on_line, line, header in (
        (b"+RECEIVE,", 1, False, b"+RECEIVE,0,4:\r\n", b"+RECEIVE,0,4:"),
        (b'+QIURC: "recv"', 2, False, b'+QIURC: "recv",0,4\r\n', b'+QIURC: "recv",0,4'),
        (b'+MIPURC: "rtcp"', 2, True, b'+MIPURC: "rtcp",0,4,', b'+MIPURC: "rtcp",0,4,'),
    ):
        for size in range(1, 30):
            made = digest()
            made.pushes(prefix, prefix, field, on_line)
            made.register(b"RDY", b"RDY")
            events = take(made, b"\r\n" + line + b"OK\r\n\r\nRDY\r\n", size, [])
            assert events == [(URC, prefix, header), (PAYLOAD, b"OK\r\n", 0), (URC, b"RDY", b"RDY")], (size, events)
            assert not made.torn
            arm(made, b"", 0, 0)
            events = take(made, b"\r\n" + line + b"OK\r\nRDY\r\nOK\r\n", size, [])
            assert events[1:] == [(PAYLOAD, b"OK\r\n", 0), (URC, b"RDY", b"RDY"), TORN], (size, events)


def test_a_command_that_begins_inside_an_announcement():
    line = b'\r\n+MIPURC: "rtcp",0,13,'
    for at in range(len(line)):
        made = digest()
        made.pushes(b'+MIPURC: "rtcp"', 1, 2, True)
        events = take(made, line[:at], 7, [])
        arm(made, b"+CSQ:", 0, 0)
        take(made, line[at:] + b"OK\r\n+CSQ: 1,9\r\n+CSQ: 1,9\r\nOK\r\n", 7, events)
        assert events[1:] == [(PAYLOAD, b"OK\r\n+CSQ: 1,9", 0), (INFO, True, b"+CSQ: 1,9"), DONE], (at, events)


def test_an_announcement_behind_a_command_whose_answer_has_payload_on_its_line():
    made = digest()
    made.pushes(b'+MIPURC: "rtcp"', 1, 2, True)
    arm(made, b"+MIPRD:", 0, 8, 2, b",")
    assert take(made, b"\r\n+MIPRD: 0,0,2,ab\r\n\r\nOK\r\n", 7, [])[-1] == DONE
    made.disarm()
    events = take(made, b'\r\n+MIPURC: "rtcp",0,4,OK\r\n\r\n', 7, [])
    assert events == [(URC, 1, b'+MIPURC: "rtcp",0,4,'), (PAYLOAD, b"OK\r\n", 0)], events


def test_final_results_of_a_family():
    made = digest()
    finals = {b"SHUT OK": OK, b"0, SEND FAIL": SEND_FAIL}

    def final(line, length):
        made.result = finals.get(bytes(line[:length]), PENDING)
        return made.result != PENDING

    made.final = final
    for line, result in finals.items():
        arm(made, b"", 0, 0)
        assert take(made, line + b"\r\n", 3, []) == [(FINAL, result, 0)]
    arm(made, b"", 0, 0)
    assert take(made, b"SHUT\r\nOK\r\n", 3, []) == [(INFO, True, b"SHUT"), (FINAL, OK, 0)]
    made.disarm()
    assert take(made, b"SHUT OK\r\n", 3, []) == [(URC, None, b"SHUT OK")]


class Sink:
    def __init__(self):
        self.octets = bytearray()
        self.told = []
        self.channel = None

    def announced(self, octets):
        self.told.append(octets)

    def payload(self, buf, at, span):
        self.octets.extend(buf[at : at + span])

    def pushed(self, line, length):
        self.told.append(self.channel.digest.payload_left)
        return self

    def torn(self):
        self.told.append("torn")

    def ready(self, line, length):
        self.told.append("RDY")


def pump(channel, port, until):
    while port.now < until:
        port.now += 1
        channel.pump(port.now)



def pushed(octets):
    port = Port()
    channel = PushChannel(port)
    sink = Sink()
    sink.channel = channel
    channel.digest.pushes(b"+RECEIVE,", sink.pushed, 1)
    channel.on_urc(b"RDY", sink.ready)
    port.say(octets)
    pump(channel, port, 1)
    return port, channel, sink


def test_unsolicited_payload_goes_to_its_sink():
    port, channel, sink = pushed(b"\r\n+RECEIVE,0,8:\r\nOK\r\n")
    assert sink.told == [8]
    assert channel.next_ms(1) == 1000
    port.script = (b"RDY\n\r\n\r\n+CSQ: 1,99\r\n\r\nOK\r\n",)
    channel.start(CSQ)
    pump(channel, port, 30)
    assert (sink.told, bytes(sink.octets), channel.result) == ([8], b"OK\r\nRDY\n", OK)
    assert channel.next_ms(30) == FOREVER_MS
    port.say(b"\r\n+RECEIVE,0,1:\r\nx\r\n+RECEIVE,0,2:\r\nyz")
    pump(channel, port, 31)
    assert (sink.told, bytes(sink.octets[8:])) == ([8, 1, 2], b"xyz"), "without an end of line behind it"
    pump(channel, port, 2000)
    assert sink.told == [8, 1, 2]


def test_a_channel_that_begins_to_take_pushes_goes_on_where_it_was():
    line = b"RDY\r\n+RECEIVE,0,8:\r\nOK\r\nRDY\n\r\nRDY\r\n"
    for at in range(5, 20):  # after the first line, before the payload
        port = Port()
        sink = Sink()
        plain = Channel(port)
        plain.on_urc(b"RDY", sink.ready)
        plain.timeouts = 2
        port.say(line[:at])
        pump(plain, port, 1)
        sink.channel = channel = pushing(port, plain)
        channel.digest.pushes(b"+RECEIVE,", sink.pushed, 1)
        port.say(line[at:])
        pump(channel, port, 2)
        assert sink.told == ["RDY", 8, "RDY"], at
        assert bytes(sink.octets) == b"OK\r\nRDY\n"
        assert channel.timeouts == 2


def test_unsolicited_payload_of_nobody():
    port, channel, sink = pushed(b"")
    channel.digest.pushes(b"+OTHER:", lambda line, length: None, 0)
    port.say(b"\r\n+OTHER: 5\r\nRDY\r\n\r\nRDY\r\n")
    pump(channel, port, 2)
    assert sink.told == ["RDY"]


def test_unsolicited_payload_that_lost_octets():
    port, channel, sink = pushed(b"\r\n+RECEIVE,0,8:\r\nabc")
    pump(channel, port, 900)
    port.say(b"d")
    pump(channel, port, 1800)
    assert sink.told == [8]
    pump(channel, port, 1950)
    assert sink.told == [8, "torn"]
    port.say(b"\r\nRDY\r\n")
    pump(channel, port, 2000)
    assert (sink.told[2:], bytes(sink.octets)) == (["RDY"], b"abcd")
    port.say(b"\r\n+RECEIVE,0,8:\r\nabcdefg\r\nRDY\r\n")
    pump(channel, port, 2001)
    assert sink.told[3:] == [8, "torn", "RDY"]


def test_unsolicited_payload_behind_a_time_out():
    port, channel, sink = pushed(b"")
    channel.start(CSQ)
    pump(channel, port, 1990)
    port.say(b"\r\n+RECEIVE,0,8:\r\nab")
    pump(channel, port, 2000)
    assert (channel.result, sink.told) == (TIMEOUT, [8])
    pump(channel, port, 2010)
    assert sink.told == [8, "torn"], "what follows the pause is read as lines"


def test_unsolicited_payload_in_the_pause():
    port, channel, sink = pushed(b"")
    port.script = (b"\r\nOK\r\n\r\n+RECEIVE,0,8:\r\nab",)
    channel.start(CSQ)
    pump(channel, port, 60)
    port.say(b"cdefgh\r\n")
    pump(channel, port, 61)
    assert (sink.told, bytes(sink.octets)) == ([8], b"abcdefgh")


def test_an_abort_forgets_an_unsolicited_payload():
    port, channel, sink = pushed(b"\r\n+RECEIVE,0,8:\r\nab")
    channel.abort()
    port.say(b"\r\nRDY\r\n")
    pump(channel, port, 2000)
    assert (sink.told, bytes(sink.octets)) == ([8, "RDY"], b"ab")


def test_payload_of_a_response_beside_one_that_comes_unasked():
    for max_read in (1, 7, 512):
        port, channel, sink = pushed(b"")
        port.max_read = max_read
        port.script = (b"\r\n+RECEIVE,0,3:\r\nxyz\r\n+MIPRD: 0,9,4,OK\r\n\r\n\r\nOK\r\n",)
        read = Sink()
        channel.start(MIPRD, read, None, 8)
        pump(channel, port, 200)
        assert (sink.told, bytes(sink.octets)) == ([3], b"xyz"), max_read
        assert (read.told, bytes(read.octets), channel.result) == ([4], b"OK\r\n", OK), max_read


def test_allocates_nothing():
    port = Port(100)
    channel = PushChannel(port)
    counts = [0, 0]

    class Count:
        def announced(self, octets):
            counts[0] += octets

        def payload(self, buf, at, span):
            counts[0] += span

        def pushed(self, line, length):
            counts[1] += 1
            return self

        def torn(self):
            counts[1] = 99

    sink = Count()
    channel.digest.pushes(b"+RECEIVE,", sink.pushed, 1)
    port.script = (
        b"\r\n+MIPRD: 0,0,300," + b"," * 300 + b"\r\n\r\nOK\r\n\r\n+RECEIVE,0,100:\r\n" + b"\n" * 100 + b"\r\n",
    )

    def run():
        channel.start(MIPRD, sink, None, 300)
        for now in range(1, 50):
            channel.pump(now)
            channel.next_ms(now)

    without_heap(run)
    assert channel.result == OK
    assert counts == [700, 1]
