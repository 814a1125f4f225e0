"""The driver of u-blox's SARA-R5 against a scripted port."""

from usageguard.modem.connection import ENETDOWN, ETIMEDOUT, FAILED, FREE, OPEN, PEER_CLOSED
from usageguard.modem.usocr import Usocr

from tests.modem import dialogue
from tests.modem.dialogue import (
    REQUEST,
    check_counter_without_heap,
    check_damage,
    check_exchange,
    check_reboot,
    check_without_heap,
    count_unread,
    run,
    send,
    taken,
)

OK = b"\r\nOK\r\n"
ERROR = b"\r\n+CME ERROR: 3\r\n"
ANSWERS = (
    (b"AT+CPIN?", b"\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    (b"AT+CEREG?", b'\r\n+CEREG: 3,1,"25F8","06B7C50A",7\r\n\r\nOK\r\n'),
    (b"AT+CGSN", b"\r\n352709570012343\r\n\r\nOK\r\n"),
    (b"AT+CIMI", b"\r\n460001234567890\r\n\r\nOK\r\n"),
    (b"AT+CCID", b"\r\n+CCID: 89860012345678901234\r\n\r\nOK\r\n"),
    (b"AT+UGCNTRD", b"\r\n+UGCNTRD: 1,5,6,5000000000,123\r\n\r\nOK\r\n"),
    (b"AT+CCLK?", b'\r\n+CCLK: "25/03/04,13:06:07+32"\r\n\r\nOK\r\n'),
    (b"AT+UPSND=0,8", b"\r\n+UPSND: 0,8,1\r\n\r\nOK\r\n"),
    (b"AT+UPSDA=0,3", b'\r\nOK\r\n\r\n+UUPSDA: 0,"10.0.0.1"\r\n'),
    (b"AT+CSQ", b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n"),
    (b"AT+CESQ", b"\r\n+CESQ: 99,99,255,255,22,48\r\n\r\nOK\r\n"),
    (b"AT+UDNSRN", b'\r\n+UDNSRN: "203.0.113.1"\r\n\r\nOK\r\n'),
    (b"AT+USOCR=6", b"\r\n+USOCR: 2\r\n\r\nOK\r\n"),
    (b"AT+USOCR=17", b"\r\n+USOCR: 5\r\n\r\nOK\r\n"),
    (b"AT", OK),
)


def online(answers=(), ms=3000):
    return dialogue.online(Usocr, tuple(answers) + ANSWERS, ms=ms)


def opened(tcp=True):
    return dialogue.opened(Usocr, ANSWERS, tcp)


def test_bring_up():
    modem, port, listener = online()
    assert modem.online
    assert modem.found_on
    assert (modem.imei, modem.imsi) == (b"352709570012343", b"460001234567890")
    assert modem.iccid == b"89860012345678901234"
    assert (modem.time_day, modem.time_second) == (9194, 5 * 3600 + 6 * 60 + 7)
    assert listener.calls[0] == ("counter", 5000000000, 123), listener.calls
    sent = port.sent()
    assert b'AT+CSGT=1,"RDY"\r' in sent, "its greeting shows a reboot"
    order = [b"AT+CGACT=1,1\r", b"AT+UPSD=0,0,0\r", b"AT+UPSD=0,100,1\r", b"AT+UPSDA=0,3\r"]
    places = [sent.find(text) for text in order]
    assert places == sorted(places)
    assert places[0] > 0


def test_lost_news_of_the_session():
    modem, _, _ = online(((b"AT+UPSDA=0,3", OK),), ms=9000)
    assert modem.online
    down = (b"AT+UPSND=0,8", b"\r\n+UPSND: 0,8,0\r\n\r\nOK\r\n")
    modem, _, listener = online((down, (b"AT+UPSDA=0,3", OK)), ms=9000)
    assert not modem.online
    assert listener.calls.count(("refused", 0)) == 1


def test_refusals():
    _, port, listener = online(((b"AT+CGACT=1,1", b"\r\n+CME ERROR: 133\r\n"),))
    assert listener.calls.count(("refused", 133)) == 1
    assert b"AT+UPSDA=0,3" not in port.sent()
    ceer = (b"AT+CEER", b'\r\n+CEER: "ESM","8"\r\n\r\nOK\r\n')
    _, _, listener = online(((b"AT+UPSDA=0,3", b"\r\nERROR\r\n"), ceer))
    assert listener.calls.count(("refused", 177)) == 1


def test_the_network_ends_the_session():
    modem, port, listener = online()
    port.say(b"\r\n+UUPSDD: 0\r\n")
    run(modem, port, 5_000)
    assert listener.calls.count(("served",)) == 2


def test_counter_of_our_context_or_of_the_only_one():
    for lines, reading in (
        (b"+UGCNTRD: 31,2704,1819,2724,1839\r\n", ("counter", 2724, 1839)),
        (b"+UGCNTRD: 1,1,2,3,4\r\n+UGCNTRD: 31,5,6,7,8\r\n", ("counter", 3, 4)),
        (b"+UGCNTRD: 31,5,6,7,8\r\n+UGCNTRD: 1,1,2,3,4\r\n", ("counter", 3, 4)),
        (b"", None),
    ):
        _, _, listener = online(((b"AT+UGCNTRD", b"\r\n" + lines + b"\r\nOK\r\n"),))
        readings = [call for call in listener.calls if call[0] == "counter"]
        assert readings[:1] == [reading][: 1 if reading else 0], lines


def test_open():
    modem, port, listener = online()
    connection, other = modem.connections[0], modem.connections[1]
    connection.open(True, "server.example", 1883)
    other.open(False, "10.0.0.1", 5683)
    run(modem, port, 300)
    assert (connection.state, other.state) == (OPEN, OPEN)
    assert (connection.socket, other.socket) == (2, 5)
    sent = port.sent()
    assert b'AT+UDNSRN=0,"server.example"\r' in sent
    assert b'AT+USOCO=2,"203.0.113.1",1883\r' in sent, sent
    assert b'AT+USOCR=17\rAT+USOCO=5,"10.0.0.1",5683\r' in sent, sent
    assert ("looked up", 14) in listener.calls
    nothing = (b"AT+USORD", b"\r\n+USORD: 2,0\r\n\r\nOK\r\n")
    total = (b"AT+USOCTL=", b"\r\n+USOCTL: 2,3,0\r\n\r\nOK\r\n")
    port.answers = (total, nothing) + ANSWERS  # noqa: RUF005 - MicroPython unpacks no tuple
    connection.close()
    run(modem, port, 300)
    assert (connection.state, connection.socket) == (FREE, -1)
    assert b"AT+USOCL=2\r" in port.sent()
    assert listener.calls[-1] == ("closed", 0)


def test_failures_of_opening():
    for error, errno in ((111, 111), (100, ENETDOWN), (0, 103)):
        answers = ((b"AT+USOCO", ERROR), (b"AT+USOER", b"\r\n+USOER: %d\r\n\r\nOK\r\n" % error))
        modem, port, _ = online(answers)
        connection = modem.connections[0]
        connection.open(True, "10.0.0.1", 80)
        run(modem, port, 500)
        assert (connection.state, connection.errno) == (FAILED, errno), error
        assert b"AT+USOCL=2\r" in port.sent()
    modem, port, _ = online(((b"AT+UDNSRN", ERROR),))
    connection = modem.connections[0]
    connection.open(True, "nowhere.example", 80)
    run(modem, port, 500)
    assert (connection.state, connection.errno) == (FAILED, 113)
    assert b"AT+USOCR" not in port.sent(), "no second lookup, which nobody would have paid"


def test_sockets_of_an_earlier_life_are_closed():
    modem, port, _ = online(((b"AT+USOCR", ERROR),))
    connection = modem.connections[0]
    connection.open(True, "10.0.0.1", 80)
    run(modem, port, 2000)
    assert connection.state == FAILED
    sent = port.sent()
    assert all(b"AT+USOCL=%d\r" % number in sent for number in range(7))
    assert sent.count(b"AT+USOCR=6\r") == 2


REPLY = b'\r\nOK\r\n"' * 40
EXCHANGE = (
    b"\r\n@",
    b"\r\n+USOWR: 2,700\r\n\r\nOK\r\n\r\n+UUSORD: 2,280\r\n",
    b'\r\n+USORD: 2,280,"' + REPLY + b'"\r\n\r\nOK\r\n',
)


def test_request_and_reply():
    check_exchange(opened, EXCHANGE, b"AT+USOWR=2,700\r" + REQUEST + b"AT+USORD=2,1024\r", REPLY)


def test_path_allocates_nothing():
    check_without_heap(opened, EXCHANGE, len(REPLY))


def test_counter_is_read_without_allocating():
    check_counter_without_heap(opened, b"\r\n+UGCNTRD: 1,5,6,5000000000,123\r\n\r\nOK\r\n", 5000000000, 123)


def test_long_segment_takes_two_sends():
    connection, port, _ = opened()
    data = bytes(i % 251 for i in range(1400))
    port.script = (b"\r\n@", b"\r\n+USOWR: 2,1024\r\n\r\nOK\r\n", b"\r\n@", b"\r\n+USOWR: 2,376\r\n\r\nOK\r\n")
    send(connection, data)
    run(connection.modem, port, 500)
    assert not connection.tx_busy
    assert port.sent() == b"AT+USOWR=2,1024\r" + data[:1024] + b"AT+USOWR=2,376\r" + data[1024:]


def test_long_datagram_is_refused():
    connection, port, _ = opened(False)
    send(connection, bytes(1025))
    run(connection.modem, port, 100)
    assert (connection.state, connection.errno) == (FAILED, 90)
    assert b"USOWR" not in port.sent()


def test_what_the_modem_did_not_take_is_sent_again():
    connection, port, _ = opened()
    full = b"\r\n+USOWR: 2,0\r\n\r\nOK\r\n"
    port.script = (b"\r\n@", b"\r\n+USOWR: 2,2\r\n\r\nOK\r\n", b"\r\n@", full, ERROR, b"\r\n@", OK)
    send(connection, b"hello")
    run(connection.modem, port, 200)
    assert connection.tx_busy
    run(connection.modem, port, 3000)
    assert not connection.tx_busy, "a bare OK is an OK"
    assert port.sent() == b"AT+USOWR=2,5\rhello" + b"AT+USOWR=2,3\rllo" + b"AT+USOWR=2,3\r" + b"AT+USOWR=2,3\rllo"


def test_datagrams():
    connection, port, listener = opened(False)
    port.script = (
        b'\r\n+USORF: 5,"203.0.113.1",5683, 3,"one"\r\n\r\nOK\r\n',
        b'\r\n+USORF: 5,"203.0.113.1",5683,3,"",""\r\n\r\nOK\r\n',
        b'\r\n+USORF: 5,""\r\n\r\nOK\r\n',
    )
    port.say(b"\r\n+UUSORD: 5,3\r\n\r\n+UUSORF: 5,3\r\n")
    for text in (b"one", b'","'):
        run(connection.modem, port, 100)
        assert taken(connection) == text
    run(connection.modem, port, 100)
    assert port.sent() == b"AT+USORF=5,1024\r" * 3
    assert listener.octets == 6


def test_closed_while_the_modem_makes_the_socket():
    """Nothing else is opened in the middle of it, and the socket does not stay."""
    modem, port, listener = online()
    connection = modem.connections[0]
    connection.open(True, "203.0.113.1", 80)
    port.answers = ((b"AT+USOCR", b""), (b"AT", OK))
    run(modem, port, 100)
    assert b"AT+USOCR=6\r" in port.sent()
    connection.close()
    assert modem.free_connection() is not connection
    port.say(b"\r\n+USOCR: 2\r\n\r\nOK\r\n")
    run(modem, port, 500)
    assert connection.state == FREE
    assert port.sent() == b"AT+USOCL=2\r"
    assert ("opened", 0) not in listener.calls


def test_unread_payload_is_counted_whatever_the_total_has():
    for total in (400, 100):  # with what waits, or without
        connection, port, listener = opened()
        connection.announced(100)
        port.answers = (
            (b"AT+USORD=2,0", b"\r\n+USORD: 2,300\r\n\r\nOK\r\n"),
            (b"AT+USOCTL=2,3", b"\r\n+USOCTL: 2,3,%d\r\n\r\nOK\r\n" % total),
            (b"AT", OK),
        )
        for _ in range(2):
            count_unread(connection, port)
            assert listener.octets == 400, total
        connection.close()
        run(connection.modem, port, 300)
        assert (connection.state, listener.octets) == (FREE, 400)


def test_lost_answer_is_taken_from_the_total():
    connection, port, listener = opened()
    port.answers = (
        (b"AT+USORD=2,1024", b"\r\n"),
        (b"AT+USORD=2,0", b"\r\n+USORD: 2,0\r\n\r\nOK\r\n"),
        (b"AT+USOCTL=2,3", b"\r\n+USOCTL: 2,3,900\r\n\r\nOK\r\n"),
        (b"AT", OK),
    )
    port.say(b"\r\n+UUSORD: 2,900\r\n")
    run(connection.modem, port, 15_000)
    assert (connection.state, connection.errno, listener.octets) == (FAILED, ETIMEDOUT, 900)


def test_total_that_does_not_come_is_charged_as_what_the_modem_may_hold():
    connection, port, listener = opened()
    port.answers = ((b"AT+USORD", ERROR), (b"AT", OK))
    connection.close()
    run(connection.modem, port, 1000)
    assert listener.calls.count(("abandoned", 0)) == 1


def test_peer_closes():
    connection, port, listener = opened()
    port.script = (b'\r\n+USORD: 2,3,"end"\r\n\r\nOK\r\n', b'\r\n+USORD: 2,""\r\n\r\nOK\r\n')
    port.say(b"\r\n+UUSOCL: 2\r\n")
    run(connection.modem, port, 100)
    assert (connection.state, connection.rx.any(), listener.octets) == (PEER_CLOSED, 3, 3)


def test_damaged_response_fails_the_connection():
    torn = b'\r\n+USORD: 2,4,"\r\nRDY\r\nabcd"\r\n\r\nOK\r\n'
    check_damage(opened, b"\r\n+UUSORD: 2,4\r\n", (OK, torn))


def test_greeting_is_a_reboot():
    check_reboot(opened, ANSWERS, (b"RDY",))
