"""The driver of Sequans' GM02S against a scripted port."""

from usageguard.modem.connection import ETIMEDOUT, FAILED, FREE, OPEN, PEER_CLOSED
from usageguard.modem.sequans import Sequans

from tests.modem import dialogue
from tests.modem.dialogue import (
    REPLY,
    REQUEST,
    check_damage,
    check_exchange,
    check_reboot,
    check_without_heap,
    count_unread,
    run,
    send,
)

OK = b"\r\nOK\r\n"
ERROR = b"\r\n+CME ERROR: 3\r\n"
ANSWERS = (
    (b"AT+CPIN?", b"\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    (b"AT+CEREG?", b'\r\n+CEREG: 2,1,"25F8","06B7C50A",7\r\n\r\nOK\r\n'),
    (b"AT+CGSN", b"\r\n355025930012344\r\n\r\nOK\r\n"),
    (b"AT+CIMI", b"\r\n460001234567890\r\n\r\nOK\r\n"),
    (b"AT+SQNCCID", b'\r\n+SQNCCID: "89860012345678901234",""\r\n\r\nOK\r\n'),
    (b"AT+CCLK?", b'\r\n+CCLK: "25/03/04,13:06:07+32"\r\n\r\nOK\r\n'),
    (b"AT+CGACT?", b"\r\n+CGACT: 1,1\r\n\r\nOK\r\n"),
    (b"AT+CSQ", b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n"),
    (b"AT+CESQ", b"\r\n+CESQ: 99,99,255,255,22,48\r\n\r\nOK\r\n"),
    (b"AT+SQNDNSLKUP", b'\r\n+SQNDNSLKUP: "server.example","203.0.113.1"\r\n\r\nOK\r\n'),
    (b"AT+SQNSI", b"\r\n+SQNSI: 1,0,0,0,0\r\n\r\nOK\r\n"),
    (b"AT", OK),
)


def online(answers=(), ms=3000):
    return dialogue.online(Sequans, tuple(answers) + ANSWERS, ms=ms)


def opened(tcp=True):
    return dialogue.opened(Sequans, ANSWERS, tcp)


def test_bring_up():
    modem, port, listener = online()
    assert modem.online
    assert modem.found_on
    assert (modem.imei, modem.imsi) == (b"355025930012344", b"460001234567890")
    assert modem.iccid == b"89860012345678901234"
    assert (modem.time_day, modem.time_second) == (9194, 5 * 3600 + 6 * 60 + 7)
    assert listener.calls == [("served",)], "it has no counter"
    sent = port.sent()
    assert b"AT+CFUN=1\r" in sent
    assert b"AT+CGACT=1,1\r" in sent


def test_refusal():
    _, _, listener = online(((b"AT+CGACT=1,1", b"\r\n+CME ERROR: 133\r\n"),))
    assert listener.calls == [("refused", 133)]


def test_open():
    modem, port, listener = online()
    connection, other = modem.connections[0], modem.connections[1]
    connection.open(True, "server.example", 1883)
    other.open(False, "10.0.0.1", 5683)
    run(modem, port, 500)
    assert (connection.state, other.state) == (OPEN, OPEN)
    sent = port.sent()
    assert b'AT+SQNDNSLKUP="server.example",0\r' in sent
    order = [
        b"AT+SQNSCFG=1,1,300,0,600,50\r",
        b"AT+SQNSCFGEXT=1,1,0,0,0,0\r",
        b'AT+SQNSD=1,0,1883,"203.0.113.1",0,0,1\r',
    ]
    places = [sent.find(text) for text in order]
    assert places == sorted(places), sent
    assert places[0] > 0, sent
    assert b'AT+SQNSD=2,1,5683,"10.0.0.1",0,0,1\r' in sent
    assert ("looked up", 14) in listener.calls
    connection.close()
    run(modem, port, 300)
    assert connection.state == FREE
    assert b"AT+SQNSH=1\r" in port.sent()
    assert listener.calls[-1] == ("closed", 0)


def test_failures_of_opening():
    for answer in (ERROR, b"\r\nERROR\r\n", b"\r\nNO CARRIER\r\n"):
        modem, port, _ = online(((b"AT+SQNSD", answer),))
        connection = modem.connections[0]
        connection.open(True, "10.0.0.1", 80)
        run(modem, port, 1000)
        assert (connection.state, connection.errno) == (FAILED, 111), answer
        assert modem.online, answer
    modem, port, _ = online(((b"AT+SQNDNSLKUP", ERROR),))
    connection = modem.connections[0]
    connection.open(True, "nowhere.example", 80)
    run(modem, port, 500)
    assert (connection.state, connection.errno) == (FAILED, 113)
    assert b"AT+SQNSD" not in port.sent(), "no second lookup, which nobody would have paid"


EXCHANGE = (
    b"\r\n> ",
    b"\r\nOK\r\n\r\n+SQNSRING: 1,300\r\n",
    b"\r\n+SQNSRECV: 1,300\r\n" + REPLY + b"\r\n\r\nOK\r\n",
)


def test_request_and_reply():
    check_exchange(opened, EXCHANGE, b"AT+SQNSSENDEXT=1,700\r" + REQUEST + b"AT+SQNSRECV=1,1500\r")


def test_path_allocates_nothing():
    check_without_heap(opened, EXCHANGE)


def test_nothing_to_read():
    for answer in (ERROR, b"\r\n+SQNSRECV: 1,0\r\n\r\nOK\r\n"):
        connection, port, listener = opened()
        port.script = (answer,)
        port.say(b"\r\n+SQNSRING: 1\r\n")
        run(connection.modem, port, 500)
        assert (connection.state, listener.octets, port.writes) == (OPEN, 0, 1), answer


def test_full_modem_buffer():
    connection, port, _ = opened()
    port.script = (b"\r\n> ", ERROR, b"\r\n> ", OK)
    send(connection, b"hi")
    run(connection.modem, port, 100)
    assert connection.tx_busy
    run(connection.modem, port, 500)
    assert not connection.tx_busy
    assert port.sent() == b"AT+SQNSSENDEXT=1,2\rhi" * 2


def test_unread_payload_is_counted_whatever_the_total_has():
    for total in (400, 100):  # with what waits, or without
        connection, port, listener = opened()
        connection.announced(100)
        port.answers = ((b"AT+SQNSI=1", b"\r\n+SQNSI: 1,9,%d,300,0\r\n\r\nOK\r\n" % total), (b"AT", OK))
        for _ in range(2):
            count_unread(connection, port)
            assert listener.octets == 400, total
        connection.close()
        run(connection.modem, port, 300)
        assert (connection.state, listener.octets) == (FREE, 400)


def test_lost_answer_is_taken_from_the_total():
    """What waits may be part of the total or not; where neither is certain, it is in the bound."""
    for total, waits, counted, perhaps in ((900, 0, 900, 0), (300, 400, 700, 0), (900, 400, 900, 400)):
        connection, port, listener = opened()
        port.answers = (
            (b"AT+SQNSRECV", b"\r\n"),
            (b"AT+SQNSI", b"\r\n+SQNSI: 1,0,%d,%d,0\r\n\r\nOK\r\n" % (total, waits)),
            (b"AT", OK),
        )
        port.say(b"\r\n+SQNSRING: 1,900\r\n")
        run(connection.modem, port, 10_000)
        assert (connection.state, connection.errno) == (FAILED, ETIMEDOUT)
        assert (listener.octets, listener.perhaps) == (counted, perhaps), total


def test_total_that_does_not_come_is_charged_as_what_the_modem_may_hold():
    connection, port, listener = opened()
    port.answers = ((b"AT+SQNSI", ERROR), (b"AT", OK))
    connection.close()
    run(connection.modem, port, 500)
    assert listener.calls.count(("abandoned", 0)) == 1


def test_peer_closes():
    connection, port, listener = opened()
    port.script = (b"\r\n+SQNSRECV: 1,3\r\nend\r\n\r\nOK\r\n", ERROR)
    port.say(b"\r\n+SQNSH: 1\r\n")
    run(connection.modem, port, 100)
    assert (connection.state, connection.rx.any(), listener.octets) == (PEER_CLOSED, 3, 3)


def test_damaged_response_fails_the_connection():
    torn = b"\r\n+SQNSRECV: 1,4\r\n\r\nRDY\r\nabcd\r\n\r\nOK\r\n"
    check_damage(opened, b"\r\n+SQNSRING: 1,4\r\n", (OK, torn))


def test_boot_and_shutdown():
    check_reboot(opened, ANSWERS, (b"+SYSSTART", b"+SHUTDOWN"))
