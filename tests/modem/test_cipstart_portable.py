"""The driver of SIM7000 and Air780E against scripted answers, each as the manuals and open drivers have it.

Manuals: SIM7000 Series AT Commands V1.06 (AT), Luat LTE AT commands (LUAT).
"""

from usageguard.modem.cipstart import Cipstart
from usageguard.modem.connection import (
    CLOSING,
    ECONNRESET,
    ENETDOWN,
    ETIMEDOUT,
    FAILED,
    FREE,
    OPEN,
    PEER_CLOSED,
)

from tests.modem import dialogue
from tests.modem.dialogue import (
    REPLY,
    REQUEST,
    check_exchange,
    check_reboot,
    check_unknown_total,
    check_without_heap,
    run,
    step,
    taken,
)

SIM7000 = (
    (b"AT+CPIN?", b"\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    (b"AT+CEREG?", b'\r\n+CEREG: 2,1,"25F8","06B7C50A",7\r\n\r\nOK\r\n'),
    (b"AT+CGSN", b"\r\n869951030123456\r\n\r\nOK\r\n"),
    (b"AT+CIMI", b"\r\n460001234567890\r\n\r\nOK\r\n"),
    (b"AT+CCID", b"\r\n89860012345678901234\r\n\r\nOK\r\n"),
    (b"AT+CCLK?", b'\r\n+CCLK: "25/03/04,13:06:07+32"\r\n\r\nOK\r\n'),
    (b"AT+CSQ", b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n"),
    (b"AT+CESQ", b"\r\n+CESQ: 99,99,255,255,22,48\r\n\r\nOK\r\n"),
    (b"AT+CIPSHUT", b"\r\nSHUT OK\r\n"),
    (b"AT+CIFSR;E0", b"\r\n10.81.41.153\r\n\r\nOK\r\n"),
    (b"AT+CDNSGIP=", b'\r\nOK\r\n\r\n+CDNSGIP: 1,"server.example","203.0.113.1"\r\n'),
    (b"AT+CIPSTART=0", b"\r\nOK\r\n\r\n0, CONNECT OK\r\n"),
    (b"AT+CIPSTART=1", b"\r\nOK\r\n\r\n1, CONNECT FAIL\r\n"),
    (b"AT+CIPCLOSE=0", b"\r\n0, CLOSE OK\r\n"),
    (b"AT+CIPCLOSE=1", b"\r\n1, CLOSE OK\r\n"),
    (b"AT+CIPRXGET=4,0", b"\r\n+CIPRXGET: 4,0,0\r\n\r\nOK\r\n"),
    (b"AT", b"\r\nOK\r\n"),
)


def with_answers(*answers):
    return answers + SIM7000


AIR780E = with_answers(
    (b"AT+CIPRXGET", b"\r\nERROR\r\n"),
    (b"AT+CCID", b"\r\nERROR\r\n"),
    (b"AT+ICCID", b"\r\n+ICCID: 89860012345678901234\r\n\r\nOK\r\n"),
    (b"AT+CCLK?", b'\r\n+CCLK: "2025/03/04,13:06:07+32"\r\n\r\nOK\r\n'),
)


def online(answers=SIM7000):
    return dialogue.online(Cipstart, answers)


def opened(answers=SIM7000, tcp=True):
    return dialogue.opened(Cipstart, answers, tcp)


def test_bring_up():
    for answers, pushes in ((SIM7000, False), (AIR780E, True)):
        modem, port, listener = online(answers)
        assert modem.online
        assert modem.found_on
        assert (modem.imei, modem.iccid) == (b"869951030123456", b"89860012345678901234")
        assert (modem.time_day, modem.time_second) == (9194, 5 * 3600 + 6 * 60 + 7)
        assert listener.calls == [("served",)], "there is no counter"
        assert modem.pushes == pushes
        sent = port.sent()
        at = 0
        for command in (
            b"AT+CIPSHUT\r",
            b"AT+CIPMUX=1\r",
            b"AT+CIPQSEND=1\r",
            b"AT+CIPRXGET=1\r",
            b'AT+CSTT="cmiot"\r',
            b"AT+CIICR\r",
            b"AT+CIFSR;E0\r",
        ):
            at = sent.find(command, at)
            assert at >= 0, (command, sent)


def test_refused_session():
    for command, answer in ((b"AT+CIICR", b"\r\n+CME ERROR: 133\r\n"), (b"AT+CIICR", b"\r\nERROR\r\n")):
        answers = with_answers((command, answer), (b"AT+CEER", b"\r\n+CEER: 33\r\n\r\nOK\r\n"))
        _, port, listener = online(answers)
        assert listener.calls == [("refused", 133)], answer
        assert port.sent().count(b"AT+CIPSHUT\r") >= 2, "the order begins anew"


def test_session_whose_settings_got_lost_is_begun_anew():
    """No connection could be opened in it, or be read."""
    for command in (b"AT+CIPMUX=1", b"AT+CIPRXGET=1"):
        modem, port, _ = online(with_answers((command, b"")))
        run(modem, port, 5000)
        assert not modem.online, command
        port.answers = SIM7000
        run(modem, port, 60_000)
        assert modem.online, command


def test_session_that_ends():
    connection, port, listener = opened()
    port.answers = SIM7000
    port.say(b"\r\n+PDP: DEACT\r\n")
    run(connection.modem, port, 10)
    assert (connection.state, connection.errno) == (FAILED, ECONNRESET)
    run(connection.modem, port, 5000)
    assert connection.modem.online
    assert listener.calls.count(("served",)) == 2


def test_open():
    modem, port, listener = online()
    connection, other = modem.connections[:2]
    connection.open(True, "server.example", 1883)
    other.open(False, "203.0.113.9", 5683)
    run(modem, port, 1000)
    assert connection.state == OPEN
    assert (other.state, other.errno) == (FAILED, 111)
    sent = port.sent()
    assert b'AT+CDNSGIP="server.example"\r' in sent
    assert b'AT+CIPSTART=0,"TCP","203.0.113.1",1883\r' in sent
    assert b'AT+CIPSTART=1,"UDP","203.0.113.9",5683\r' in sent
    connection.close()
    other.close()
    run(modem, port, 500)
    assert (connection.state, other.state) == (FREE, FREE)
    assert b"AT+CIPCLOSE=0\r" in port.sent()
    assert listener.calls[-2:] == [("opened", 0), ("closed", 0)]


def test_results_of_opening():
    for answer, errno in (
        (b"\r\nOK\r\n\r\n0, CONNECT FAIL\r\n", 111),
        (b"\r\nOK\r\n\r\n0, CLOSED\r\n", 111),
        (b"\r\n+CME ERROR: 3\r\n", ENETDOWN),
        (b"\r\nERROR\r\n", ENETDOWN),
    ):
        modem, port, _ = online(with_answers((b"AT+CIPSTART=0", answer)))
        connection = modem.connections[0]
        connection.open(True, "203.0.113.1", 1883)
        run(modem, port, 500)
        assert (connection.state, connection.errno) == (FAILED, errno), answer


def test_number_that_is_in_use():
    modem, port, _ = online(with_answers((b"AT+CIPSTART=0", b"\r\nOK\r\n\r\n0, ALREADY CONNECT\r\n")))
    connection = modem.connections[0]
    connection.open(True, "203.0.113.1", 1883)
    while b"AT+CIPCLOSE=0\r" not in port.sent():
        run(modem, port, 1)
    port.answers = SIM7000
    run(modem, port, 500)
    assert connection.state == OPEN


def test_name_without_an_address():
    modem, port, _ = online(with_answers((b"AT+CDNSGIP", b"\r\nOK\r\n\r\n+CDNSGIP: 0,8\r\n")))
    connection = modem.connections[0]
    connection.open(True, "server.example", 1883)
    run(modem, port, 500)
    assert (connection.state, connection.errno) == (FAILED, 113)


def test_result_of_opening_that_got_lost():
    for state, expected in ((b"CONNECTED", OPEN), (b"CLOSED", FAILED)):
        answer = b'\r\n+CIPSTATUS: 0,0,"TCP","203.0.113.1","1883","' + state + b'"\r\n\r\nOK\r\n'
        modem, port, _ = online(with_answers((b"AT+CIPSTART=0", b"\r\nOK\r\n"), (b"AT+CIPSTATUS=0", answer)))
        connection = modem.connections[0]
        connection.open(True, "203.0.113.1", 1883)
        run(modem, port, 25_000)
        assert connection.state == expected, state


EXCHANGE = (
    b"\r\n> ",
    b"\r\nDATA ACCEPT:0,700\r\n\r\n+CIPRXGET: 1,0\r\n",
    b"\r\n+CIPRXGET: 2,0,300,0\r\n" + REPLY + b"\r\nOK\r\n",
)
PUSHED = (b"\r\n> ", b"\r\nDATA ACCEPT:0,700\r\n\r\n+RECEIVE,0,300:\r\n" + REPLY + b"\r\n")


def test_request_and_reply():
    for answers, script, read in ((SIM7000, EXCHANGE, b"AT+CIPRXGET=2,0,1460\r"), (AIR780E, PUSHED, b"")):
        check_exchange(opened, script, b"AT+CIPSEND=0,700\r" + REQUEST + read, given=(answers,))


def test_acknowledgements_of_a_send():
    for answer, state, errno in (
        (b"\r\nDATA ACCEPT:0,2\r\n", OPEN, 0),
        (b"\r\nDATA ACCEPT: 0,2\r\n", OPEN, 0),
        (b"\r\n0, SEND OK\r\n", OPEN, 0),
        (b"\r\nDATA ACCEPT:0,1\r\n", FAILED, ECONNRESET),
        (b"\r\n+CME ERROR: 3\r\n", FAILED, ECONNRESET),
    ):
        connection, port, _ = opened()
        port.script = (b"\r\n> ", answer)
        connection.flush(connection.tx.write(b"hi", 0, 2))
        run(connection.modem, port, 100)
        assert (connection.state, connection.errno) == (state, errno), answer
        assert not connection.tx_busy


def test_full_modem_buffer():
    connection, port, _ = opened()
    port.script = (b"\r\n> ", b"\r\n0, SEND FAIL\r\n", b"\r\n> ", b"\r\n0, SEND OK\r\n")
    connection.flush(connection.tx.write(b"hi", 0, 2))
    run(connection.modem, port, 1000)
    assert (connection.state, connection.tx_busy) == (OPEN, False)
    assert port.sent() == b"AT+CIPSEND=0,2\rhi" * 2


def test_reading_in_pieces():
    connection, port, listener = opened()
    port.script = (
        b"\r\n+CIPRXGET: 2,0,3,2\r\nabc\r\nOK\r\n",  # the fourth field is what remains
        b"\r\n+CIPRXGET: 2,0,2,0\r\nde\r\nOK\r\n",
    )
    port.say(b"\r\n+CIPRXGET: 1,0\r\n")
    run(connection.modem, port, 200)
    assert port.sent() == b"AT+CIPRXGET=2,0,1460\r" * 2
    assert (connection.rx.any(), listener.octets) == (5, 5)


def test_nothing_to_read():
    connection, port, listener = opened()
    port.script = (b"\r\n+CIPRXGET: 2,0,0,0\r\n\r\nOK\r\n",)
    port.say(b"\r\n+CIPRXGET: 1,0\r\n")
    run(connection.modem, port, 200)
    assert (connection.state, listener.octets) == (OPEN, 0)


def test_what_a_lost_answer_may_have_had_is_charged():
    """The modem keeps no total of what a connection received."""
    cut = b"\r\n+CIPRXGET: 2,0,4,0\r\nabc\r\nOK\r\n"
    for answer, octets, perhaps in ((b"", 0, 1460), (b"\r\nOK\r\n", 0, 1460), (cut, 4, 0)):
        connection, port, listener = opened()
        port.script = (answer,)
        port.say(b"\r\n+CIPRXGET: 1,0\r\n")
        run(connection.modem, port, 6000)
        assert connection.state == FAILED, answer
        assert (listener.octets, listener.perhaps) == (octets, perhaps), answer


def test_unread_payload_is_counted_at_close():
    connection, port, listener = opened()
    port.answers = with_answers((b"AT+CIPRXGET=4,0", b"\r\n+CIPRXGET: 4,0,400\r\n\r\nOK\r\n"))
    connection.close()
    run(connection.modem, port, 300)
    assert (connection.state, listener.octets) == (FREE, 400)


def test_total_that_does_not_come_is_charged_as_what_the_modem_may_hold():
    check_unknown_total(opened)


def test_peer_closes():
    connection, port, listener = opened()
    port.script = (b"\r\n+CIPRXGET: 2,0,3,0\r\nend\r\nOK\r\n", b"\r\n+CIPRXGET: 2,0,0,0\r\n\r\nOK\r\n")
    port.say(b"\r\n0, CLOSED\r\n")
    run(connection.modem, port, 200)
    assert connection.state == PEER_CLOSED
    assert (connection.rx.any(), listener.octets) == (3, 3)
    connection, port, listener = opened(AIR780E)
    port.say(b"\r\n+RECEIVE,0,3:\r\nend\r\n0, CLOSED\r\n")
    run(connection.modem, port, 5)
    assert connection.state == PEER_CLOSED
    assert (connection.rx.any(), port.sent()) == (3, b"")


def test_pushed_payload_that_lost_octets_is_charged_as_announced():
    for line in (b"\r\n+RECEIVE,0,800:\r\nabc", b"\r\n+RECEIVE,0,8:\r\nabcdefg\r\n+CEREG: 1\r\n"):
        connection, port, listener = opened(AIR780E)
        port.say(line)
        run(connection.modem, port, 2000)
        assert (connection.state, connection.errno) == (FAILED, ECONNRESET), line
        assert listener.octets == (800 if b"800" in line else 8)


class Uncounted(dialogue.Config):
    counter = False


def test_command_that_is_not_answered_ends_no_connection_to_which_payload_is_pushed():
    connection, port, _ = opened(AIR780E)
    port.answers = ((b"AT+CIFSR", b""),) + AIR780E  # noqa: RUF005 - MicroPython unpacks no tuple there
    connection.modem.doubt_context()
    run(connection.modem, port, 10_000)
    assert b"AT+CIFSR" in port.sent()
    assert connection.state == OPEN
    port.say(b"\r\n+RECEIVE,0,4:\r\nOK\r\n\r\n")
    run(connection.modem, port, 50)
    assert taken(connection) == b"OK\r\n"


def test_what_is_on_its_way_at_a_close_is_waited_for():
    for pieces, octets, abandoned in ((1, 100, 0), (200, 16_000, 1)):
        connection, port, listener = opened(AIR780E)
        connection.modem.config = Uncounted
        port.answers = AIR780E
        connection.close()
        for _ in range(pieces):
            port.say(b"\r\n+RECEIVE,0,100:\r\n" + bytes(100) + b"\r\n")
            run(connection.modem, port, 100)
            taken(connection)
        run(connection.modem, port, 5000)
        assert connection.state == FREE
        assert listener.octets >= octets
        assert listener.calls.count(("abandoned", 0)) == abandoned


def test_application_that_reads_too_slowly_loses_the_connection():
    connection, port, listener = opened(AIR780E)
    port.say(b"\r\n+RECEIVE,0,2100:\r\n" + bytes(2100) + b"\r\n")
    run(connection.modem, port, 10)
    assert (connection.state, connection.errno) == (FAILED, ECONNRESET)
    port.answers = AIR780E
    connection.close()
    run(connection.modem, port, 300)
    assert listener.octets == 2100


def test_pushed_datagrams_keep_their_bounds():
    connection, port, listener = opened(AIR780E, False)
    texts = (b"one", bytes(range(256)) * 4, b"three", bytes(1200))
    for text in texts:
        port.say(b"\r\n+RECEIVE,0,%d:\r\n" % len(text) + text + b"\r\n")
    run(connection.modem, port, 50)
    assert listener.octets == sum([len(text) for text in texts])
    for text in texts[:3]:
        assert taken(connection) == text
        assert connection.modem.next_ms(port.now) == 0 or text == b"three"
        run(connection.modem, port, 5)
    assert connection.rx.any() == 0, "there was no room for the last one"
    assert connection.state == OPEN


def test_reboot():
    check_reboot(opened, SIM7000, (b"RDY", b"NORMAL POWER DOWN"))


def test_send_that_is_not_answered():
    connection, port, _ = opened()
    port.script = (b"\r\n> ",)
    connection.flush(connection.tx.write(b"hi", 0, 2))
    run(connection.modem, port, 6000)
    assert (connection.state, connection.errno) == (FAILED, ETIMEDOUT)


def test_lines_of_connections_that_do_not_exist():
    connection, port, listener = opened(AIR780E)
    for line in (
        b"+CIPRXGET: 1,7",
        b"+RECEIVE,5,4:\r\nabcd",
        b"1, CLOSED",
        b"9, CLOSED",
        b"2, CONNECT OK",
        b'+CDNSGIP: 1,"other.example","203.0.113.1"',
    ):
        port.say(b"\r\n" + line + b"\r\n")
        step(connection.modem, port.now)
    assert (connection.state, listener.octets) == (OPEN, 0)
    assert connection.modem.connections[1].state != CLOSING


def test_what_arrives_on_a_connection_that_was_given_up_is_counted():
    connection, port, listener = opened(AIR780E)
    port.say(b"\r\n+RECEIVE,1,4:\r\nabcd\r\n")
    step(connection.modem, port.now)
    assert (listener.octets, connection.modem.connections[1].rx.any()) == (4, 0)


def test_path_allocates_nothing():
    for answers, script in ((SIM7000, EXCHANGE), (AIR780E, PUSHED)):
        check_without_heap(opened, script, given=(answers,))
