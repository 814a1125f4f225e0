from usageguard.at.channel import FOREVER_MS, Channel
from usageguard.at.digest import ABORTED, CME_ERROR, ERROR, OK, PENDING, SEND_FAIL, TIMEOUT

from tests.at.port import Port
from tests.portable import without_heap

CSQ = (b"AT+CSQ\r", 1000, b"+CSQ:", 0)
QIRD = (b"AT+QIRD=0,8\r", 5000, b"+QIRD:", 0)
USOWR = (b"AT+USOWR=3,4\r", 5000, None, 0x40)
USORD = (b"AT+USORD=3,8\r", 5000, b"+USORD:", 0, 1, b',"')
QISEND = (bytearray(b"AT+QISEND=0,4\r60\r"), 5000, None, 0x3E)


class Sink:
    def __init__(self):
        self.octets = bytearray()
        self.told = []

    def announced(self, octets):
        self.told.append(octets)

    def payload(self, buf, at, span):
        self.octets.extend(buf[at : at + span])

    def ready(self, line, length):
        self.told.append("RDY")


def pump(channel, port, until, step=1):
    """Pumps every `step` ms up to the time `until`."""
    while port.now < until:
        port.now += step
        channel.pump(port.now)


def test_command_and_information():
    for max_read in (1, 2, 3, 5, 512):
        port = Port(max_read)
        channel = Channel(port)
        port.script = (b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n",)
        channel.start(CSQ)
        assert channel.busy, "busy until the final result"
        assert channel.result == PENDING, "busy until the final result"
        assert port.sent() == b"AT+CSQ\r"
        pump(channel, port, 30)
        assert not channel.busy, (max_read, channel.result)
        assert channel.result == OK, (max_read, channel.result)
        assert bytes(channel.info[: channel.info_length]) == b"+CSQ: 24,99", max_read


def test_results():
    for answer, result, error in (
        (b"\r\nERROR\r\n", ERROR, 0),
        (b"\r\n+CME ERROR: 177\r\n", CME_ERROR, 177),
        (b"\r\nSEND FAIL\r\n", SEND_FAIL, 0),
    ):
        port = Port()
        channel = Channel(port)
        port.script = (answer,)
        channel.start(CSQ)
        pump(channel, port, 1)
        assert (channel.result, channel.error, channel.info_length) == (result, error, 0), answer


def test_one_at_a_time():
    channel = Channel(Port())
    channel.start(CSQ)
    try:
        channel.start(CSQ)
    except RuntimeError:
        return
    raise AssertionError("a second command was let through")


def test_pause_after_a_final_result():
    port = Port()
    channel = Channel(port)
    channel.pause_ms = 20
    port.script = (b"\r\nOK\r\n", b"\r\nOK\r\n")
    channel.start(CSQ)
    pump(channel, port, 1)
    assert channel.next_ms(1) == FOREVER_MS, "nobody has to wake for a pause with nothing behind it"
    port.sent()
    channel.start(CSQ)
    assert channel.busy, "held back"
    assert port.sent() == b"", "held back"
    assert channel.next_ms(1) == 20
    pump(channel, port, 20)
    assert port.sent() == b"", "still held back"
    pump(channel, port, 21)
    assert port.sent() == b"AT+CSQ\r"
    no_pause = Channel(port)
    no_pause.start(CSQ)
    pump(no_pause, port, 22)
    port.sent()
    no_pause.start(CSQ)
    assert port.sent() == b"AT+CSQ\r", "a modem that needs none"


def test_silence_ends_in_a_time_out():
    port = Port()
    channel = Channel(port)
    for start in (0, (1 << 30) - 500):  # across the wrap of the ticks
        port.now = start
        channel.pump(start)
        channel.timeouts = 0
        channel.start(CSQ)
        assert channel.next_ms(start) == 1000
        channel.pump((start + 999) & 0x3FFFFFFF)
        assert channel.busy, start
        channel.pump((start + 1000) & 0x3FFFFFFF)
        assert not channel.busy, start
        assert channel.result == TIMEOUT, start
        assert channel.timeouts == 1, start
        channel.pump((start + 3000) & 0x3FFFFFFF)
    channel.start(CSQ)
    port.say(b"\r\nOK\r\n")
    port.now = 3000
    channel.pump(3000)
    assert channel.result == OK, "any final result ends the row"
    assert channel.timeouts == 0, "any final result ends the row"


def test_late_answer_is_not_taken_for_the_next():
    port = Port()
    channel = Channel(port)
    channel.start(CSQ)
    pump(channel, port, 1000)
    channel.start(QIRD, None, None, 8)
    port.sent()
    port.say(b"\r\n+CSQ: 1,99\r\n\r\nOK\r\n")
    pump(channel, port, 1999)
    assert channel.busy, "the line stays quiet for a second"
    assert port.sent() == b"", "the line stays quiet for a second"
    pump(channel, port, 2000)
    assert channel.busy
    assert port.sent() == b"AT+QIRD=0,8\r"


def test_answer_in_time_beats_the_deadline():
    """The board was away for longer than the time-out, the answer is in the UART's buffer."""
    port = Port()
    channel = Channel(port)
    channel.start(CSQ)
    port.say(b"\r\nOK\r\n")
    channel.pump(5000)
    assert channel.result == OK


def test_payload_goes_to_the_sink():
    for max_read in (1, 4, 512):
        port = Port(max_read)
        channel = Channel(port)
        port.script = (b"\r\n+QIRD: 8\r\nOK\r\nRDY\r\r\n\r\nOK\r\n",)
        sink = Sink()
        channel.on_urc(b"RDY", sink.ready)
        channel.start(QIRD, sink, None, 8)
        pump(channel, port, 60)
        assert (sink.told, bytes(sink.octets), channel.result) == ([8], b"OK\r\nRDY\r", OK), max_read


def test_payload_cut_short():
    """The modem stops inside a payload, and reboots: its next words are lines again."""
    port = Port()
    channel = Channel(port)
    seen = []
    channel.on_urc(b"RDY", lambda line, length: seen.append("RDY"))
    sink = Sink()
    port.script = (b"\r\n+QIRD: 800\r\nabc",)
    channel.start(QIRD, sink, None, 800)
    pump(channel, port, 5000)
    assert channel.result == TIMEOUT
    assert bytes(sink.octets) == b"abc"
    assert channel.next_ms(5000) == 1000, "somebody has to end the wait for the rest"
    pump(channel, port, 5900)
    port.say(b"def")
    pump(channel, port, 6000)
    port.say(b"\r\nRDY\r\n")
    pump(channel, port, 6001)
    assert seen == ["RDY"], "the late rest goes nowhere"
    assert bytes(sink.octets) == b"abc", "the late rest goes nowhere"


def test_prompt():
    for max_read in (1, 512):
        port = Port(max_read)
        channel = Channel(port)
        port.script = (b"\r\n> ", b"\r\nSEND OK\r\n")
        data = bytearray(b"datamore")
        channel.start(QISEND, None, data, 4)
        pump(channel, port, 30)
        assert port.sent() == b"AT+QISEND=0,4\rdata", max_read
        assert channel.result == OK, max_read


def test_data_waits_behind_the_prompt_where_the_modem_wants_that():
    port = Port()
    channel = Channel(port)
    channel.prompt_ms = 50
    port.script = (b"\r\n@", b"\r\nOK\r\n")
    channel.start(USOWR, None, bytearray(b"abcd"), 4)
    pump(channel, port, 10)
    port.sent()
    assert channel.next_ms(port.now) <= 50
    pump(channel, port, 50)
    assert port.sent() == b""
    pump(channel, port, 52)
    assert port.sent() == b"abcd"
    pump(channel, port, 60)
    assert channel.result == OK
    channel.start(USOWR, None, bytearray(b"abcd"), 4)
    pump(channel, port, 80)
    port.say(b"\r\n@")
    pump(channel, port, 90)
    port.say(b"\r\nERROR\r\n")
    pump(channel, port, 200)
    assert channel.result == ERROR
    assert b"abcd" not in port.sent(), "the command was over before"


def test_payload_behind_a_count_that_is_not_first():
    port = Port()
    channel = Channel(port)
    sink = Sink()
    port.script = (b'\r\n+USORD: 3,4,"ab\r\n"\r\nOK\r\n',)
    channel.start(USORD, sink, None, 8)
    pump(channel, port, 10)
    assert channel.result == OK
    assert (sink.told, bytes(sink.octets)) == ([4], b"ab\r\n")
    assert channel.number(1) == 4


def test_refused_instead_of_prompted():
    port = Port()
    channel = Channel(port)
    port.script = (b"\r\nERROR\r\n",)
    channel.start(QISEND, None, b"data", 4)
    pump(channel, port, 1)
    port.say(b"\r\n> \r\n")
    pump(channel, port, 2)
    assert channel.result == ERROR, "no data without a prompt in its time"
    assert port.sent() == b"AT+QISEND=0,4\r", "no data without a prompt in its time"


def test_abort():
    port = Port()
    channel = Channel(port)
    channel.abort()
    assert not channel.busy, "nothing to abort"
    channel.start(CSQ)
    channel.abort()
    assert not channel.busy
    assert channel.result == ABORTED
    assert channel.timeouts == 0


def test_echo_and_rubbish_are_counted():
    port = Port()
    channel = Channel(port)
    port.script = (b"AT+CSQ\r\r\n+CSQ: 1,99\r\n" + b"x" * 600 + b"\r\n\xff\xfe\r\nOK\r\n",)
    channel.start(CSQ)
    pump(channel, port, 5)
    assert (channel.result, channel.echoes, channel.overlong) == (OK, 1, 1)


def test_allocates_nothing():
    port = Port(100)
    channel = Channel(port)

    class Count:
        def __init__(self):
            self.octets = self.urcs = 0

        def announced(self, octets):
            self.octets += octets

        def payload(self, buf, at, span):
            self.octets += span

        def urc(self, line, length):
            self.urcs += 1

    sink = Count()
    channel.on_urc(b"+QIURC:", sink.urc)
    data = b"data"
    port.script = (
        b"\r\n> ",
        b'\r\nSEND OK\r\n\r\n+QIURC: "recv",0\r\n',
        b"\r\n+QIRD: 300\r\n" + b"\n" * 300 + b"\r\nOK\r\n",
    )

    def run():
        channel.start(QISEND, None, data, 4)
        for now in range(1, 20):
            channel.pump(now)
            channel.next_ms(now)
        channel.start(QIRD, sink, None, 300)
        for now in range(20, 50):
            channel.pump(now)
            channel.next_ms(now)

    without_heap(run)
    assert (channel.result, sink.octets, sink.urcs) == (OK, 600, 1)
