"""The driver of a Quectel module behind flow control, against a scripted port."""

from usageguard.modem.connection import ECONNRESET, FAILED, FREE, OPEN, PEER_CLOSED
from usageguard.modem.quectel_push import QuectelPush

from tests.modem import dialogue
from tests.modem.dialogue import run, step, taken
from tests.modem.test_quectel_portable import ANSWERS
from tests.portable import without_heap

OK = b"\r\nOK\r\n"
FULL = b"\r\n+QIRD: 1500\r\n" + bytes(1500) + b"\r\n" + OK
TO_PUSH = b"AT+QISWTMD=0,1\r"
TO_READ = b"AT+QISWTMD=0,0\r"
TOTAL = b"AT+QIRD=0,0\r"
NEWS = b'\r\n+QIURC: "recv",0\r\n'


class Policy:
    room = 1 << 20


def opened(answers=ANSWERS):
    connection, port, listener = dialogue.opened(QuectelPush, answers)
    listener.policy = Policy()
    return connection, port, listener


def pushed(payload, index=0):
    return b'\r\n+QIURC: "recv",%d,%d\r\n' % (index, len(payload)) + payload + b"\r\n"


def read_full(connection, port, times=4):
    """So many reads in a row give all that is asked for; the application takes it."""
    port.say(NEWS)
    for _ in range(times):
        port.answers = ((b"AT+QIRD=0,1500", FULL),)
        port.say(b"")
        while not connection.rx.any():
            run(connection.modem, port, 1)
        port.answers = ()
        run(connection.modem, port, 50)
        assert len(taken(connection)) == 1500


def pushing(answer=OK, **given):
    connection, port, listener = opened(**given)
    read_full(connection, port)
    port.sent()
    port.answers = ((TO_PUSH, answer),)
    run(connection.modem, port, 10)
    port.answers = ()
    return connection, port, listener


def test_the_modem_is_told_to_keep_to_flow_control_and_to_push_a_download():
    _, port, _ = dialogue.online(QuectelPush, ANSWERS)
    told = port.sent()
    assert b"AT+IFC=2,2\r" in told
    assert b'AT+QICFG="recvind",0\r' in told
    connection, port, listener = opened()
    read_full(connection, port, 3)
    assert TO_PUSH not in port.sent()
    connection, port, listener = pushing()
    assert port.sent() == TO_PUSH
    for max_read in (1, 7, 512):
        port.max_read = max_read
        before = listener.octets
        port.say(pushed(b"\r\nOK\r\n" * 50) + pushed(NEWS * 3))
        run(connection.modem, port, 1500)
        assert taken(connection) == b"\r\nOK\r\n" * 50 + NEWS * 3
        assert listener.octets - before == 300 + 3 * len(NEWS)
    assert port.sent() == b"", "without a command"


def test_a_modem_that_does_not_keep_to_flow_control_or_cannot_push_is_read():
    answers = list(ANSWERS)
    answers.insert(0, (b"AT+IFC", b"\r\nERROR\r\n"))
    connection, port, _ = opened(answers)
    read_full(connection, port, 6)
    assert TO_PUSH not in port.sent()
    connection, port, _ = pushing(b"\r\nERROR\r\n")
    run(connection.modem, port, 10)
    assert port.sent() == TO_PUSH + b"AT+QIRD=0,1500\r"
    assert connection.state == OPEN


def test_no_push_near_a_limit_and_none_goes_on():
    connection, port, listener = opened()
    listener.policy.room = 65_535
    read_full(connection, port, 6)
    assert TO_PUSH not in port.sent()
    connection, port, listener = pushing()
    listener.policy.room = 65_535
    port.sent()
    port.answers = ((TO_READ, OK), (TOTAL, b"\r\n+QIRD: 6100,6100,0\r\n" + OK))
    port.say(pushed(bytes(100)))
    run(connection.modem, port, 100)
    assert port.sent() == TO_READ + TOTAL + b"AT+QIRD=0,1500\r"
    assert listener.octets == 6100


def test_nor_while_the_sim_is_slowed_down():
    connection, port, _ = pushing()
    connection.owner = object()
    port.sent()
    port.answers = ((TO_READ, OK), (TOTAL, b"\r\n+QIRD: 7500,6000,1500\r\n" + OK))
    connection.modem.pause(True)
    run(connection.modem, port, 3000)
    assert port.sent() == TO_READ + TOTAL, "and nothing is read"
    port.answers = ()
    connection.modem.pause(False)
    run(connection.modem, port, 10)
    assert port.sent() == b"AT+QIRD=0,1500\r"


def test_a_lost_announcement_fails_the_stream_and_is_counted():
    connection, port, listener = pushing()
    port.say(bytes(1400).replace(b"\0", b"x") + b"\r\n")
    port.answers = ((TO_READ, OK), (TOTAL, b"\r\n+QIRD: 7400,7400,0\r\n" + OK))
    connection.wanted = True
    run(connection.modem, port, 3000)
    assert (connection.state, connection.errno, listener.octets) == (FAILED, ECONNRESET, 7400)


def test_a_total_without_what_was_pushed_fails_nothing():
    connection, port, listener = pushing()
    port.say(pushed(bytes(1000)))
    port.answers = ((TO_READ, OK), (TOTAL, b"\r\n+QIRD: 6000,6000,0\r\n" + OK))
    connection.wanted = True
    run(connection.modem, port, 3000)
    assert (connection.state, listener.octets) == (OPEN, 7000)


def test_a_torn_push_fails_the_stream_and_is_counted_whole():
    for rest in (b"", b'\r\n+QIURC: "recv",0,5\r\n12345\r\n'):
        connection, port, listener = pushing()
        port.say(pushed(bytes(1000))[:-200] + rest)
        run(connection.modem, port, 3000)
        assert (connection.state, connection.errno) == (FAILED, ECONNRESET)
        assert listener.octets >= 7000
        assert not connection.modem.pushes


def test_what_waits_is_there_before_the_end():
    connection, port, _ = pushing()
    port.answers = (
        (TO_READ, b"\r\nERROR\r\n"),
        (TOTAL, b"\r\n+QIRD: 7500,6100,1400\r\n" + OK),
        (b"AT+QIRD=0,", b"\r\n+QIRD: 1400\r\n" + bytes(1400) + b"\r\n" + OK),
    )
    port.say(pushed(b"x" * 100) + b'\r\n+QIURC: "closed",0\r\n')
    run(connection.modem, port, 20)
    assert connection.state == OPEN
    port.answers = ((b"AT+QIRD=0,", b"\r\n+QIRD: 0\r\n" + OK),)
    run(connection.modem, port, 20)
    assert taken(connection) == b"x" * 100 + bytes(1400)
    run(connection.modem, port, 20)
    assert connection.state == PEER_CLOSED


def test_a_full_ring_holds_the_line_and_a_slow_application_is_read_for():
    connection, port, listener = pushing()
    port.sent()
    port.say(pushed(bytes(1500)) * 3)
    run(connection.modem, port, 499)
    assert port.deaf
    assert connection.rx.any() > 1024
    assert port.sent() == b""
    run(connection.modem, port, 2)
    assert port.sent() == TO_READ
    got = b""
    port.say(OK)
    port.answers = ((TOTAL, b"\r\n+QIRD: 10500,10500,0\r\n" + OK), (b"AT+QIRD=0,", b"\r\n+QIRD: 0\r\n" + OK))
    for _ in range(9):
        run(connection.modem, port, 5_000)  # the result is behind: no time-out
        got += taken(connection)
    assert got == bytes(4500)
    assert not port.deaf
    assert connection.state == OPEN
    assert listener.octets == 6000 + 4500


def test_an_application_that_stopped_reading_loses_its_connection_and_no_more():
    connection, port, listener = pushing()
    port.say(pushed(bytes(1500)) * 3)
    run(connection.modem, port, 9_990)
    assert connection.state == OPEN
    run(connection.modem, port, 20)
    assert (connection.state, connection.errno) == (FAILED, ECONNRESET)
    assert (port.deaf, listener.octets) == (False, 6000 + 4500)


def test_closed_in_a_push_it_counts_what_arrived():
    connection, port, listener = pushing()
    port.sent()
    port.answers = ((TO_READ, pushed(bytes(700)) + OK), (TOTAL, b"\r\n+QIRD: 9000,6700,2300\r\n" + OK), (b"AT", OK))
    connection.close()
    run(connection.modem, port, 100)
    assert port.sent() == TO_READ + TOTAL + b"AT+QICLOSE=0\r"
    assert (connection.state, listener.octets) == (FREE, 9000)
    assert connection.modem.channel.gate.pushed is None


def test_pushing_allocates_nothing():
    connection, port, listener = pushing()
    modem = connection.modem
    waste = bytearray(2048)
    news = pushed(bytes(1500)) * 2
    port.answers = ((TO_READ, OK), (TOTAL, b"\r\n+QIRD: 1,1,0\r\n" + OK), (TO_PUSH, OK))

    def download():
        now = port.now
        port.say(news)
        for _ in range(30):
            step(modem, now)
            modem.next_ms(now)
            now += 10
        assert port.deaf
        connection.rx.readinto(waste, 2048)
        for _ in range(30):
            step(modem, now)
            modem.next_ms(now)
            now += 10
        connection.rx.readinto(waste, 2048)
        port.now = now

    def twice():
        download()
        download()

    without_heap(twice)
    assert (connection.state, listener.octets) == (OPEN, 6000 + 6000)
