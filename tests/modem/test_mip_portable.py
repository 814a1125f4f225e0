"""The driver of the OneMO modules against scripted answers, each as the manuals have it.

Manuals: OneMO TCP/IP user guide (TCP), OneMO LTE extended AT commands V1.7.4 (AT).
"""

from usageguard.modem.connection import (
    CLOSING,
    ECONNRESET,
    ENETDOWN,
    ETIMEDOUT,
    FAILED,
    FREE,
    OPEN,
    OPENING,
    PEER_CLOSED,
)
from usageguard.modem.mip import Mip

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

ANSWERS = (
    (b"AT+CPIN?", b"\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    (b"AT+CEREG?", b'\r\n+CEREG: 3,1,"25F8","06B7C50A",7\r\n\r\nOK\r\n'),
    (b"AT+CGSN=1", b'\r\n+CGSN: "860264050123456"\r\n\r\nOK\r\n'),  # TS 27.007 5.4
    (b"AT+CIMI", b"\r\n460001234567890\r\n\r\nOK\r\n"),
    (b"AT+MCCID", b"\r\n+MCCID: 89860012345678901234\r\n\r\nOK\r\n"),  # AT
    (b"AT+CCLK?", b'\r\n+CCLK: "25/03/04,13:06:07+32"\r\n\r\nOK\r\n'),  # TCP 3.21
    (b"AT+MIPCALL?", b'\r\n+MIPCALL: 1,1,"10.81.41.153"\r\n\r\nOK\r\n'),  # AT 4.17
    (b"AT+CSQ", b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n"),
    (b"AT+CESQ", b"\r\n+CESQ: 99,99,255,255,22,48\r\n\r\nOK\r\n"),
    (b"AT+MIPSTATE=", b'\r\n+MIPSTATE: 0,,,,"INITIAL"\r\n\r\nOK\r\n'),  # TCP 3.8
    (b"AT+MDNSGIP=", b'\r\nOK\r\n\r\n+MDNSGIP: "server.example","203.0.113.1","2409:8060::1"\r\n'),  # TCP 3.17
    (b"AT+MIPOPEN=0", b"\r\nOK\r\n\r\n+MIPOPEN: 0,0\r\n"),  # TCP 3.3
    (b"AT+MIPOPEN=1", b"\r\n+CME ERROR: 557\r\n"),  # TCP 5
    (b"AT+MIPOPEN=2", b"\r\nOK\r\n\r\n+MIPOPEN: 2,0\r\n"),
    (b"AT+MIPCLOSE=0", b"\r\nOK\r\n\r\n+MIPCLOSE: 0\r\n"),  # TCP 3.4
    (b"AT+MIPCLOSE=1", b"\r\n+CME ERROR: 551\r\n"),
    (b"AT", b"\r\nOK\r\n"),
)


def with_answers(*answers):
    return answers + ANSWERS


WITHOUT_CACHE = with_answers(
    (b'AT+MIPOPEN=0,"TCP","203.0.113.1",1883,60,2', b"\r\n+CME ERROR: 50\r\n"),
    (b'AT+MIPOPEN=0,"UDP","203.0.113.1",1883,60,3', b"\r\n+CME ERROR: 50\r\n"),
    (b"AT+MIPRD", b"\r\n+CME ERROR: 100\r\n"),
    (b"AT+MIPSACK=0", b"\r\n+MIPSACK: 10,10,0,500\r\n\r\nOK\r\n"),
)


def online(answers=ANSWERS):
    return dialogue.online(Mip, answers)


def opened(tcp=True, answers=ANSWERS):
    return dialogue.opened(Mip, answers, tcp)


def test_bring_up():
    modem, port, listener = online()
    assert modem.online
    assert modem.found_on
    assert (modem.imei, modem.imsi, modem.iccid) == (
        b"860264050123456", b"460001234567890", b"89860012345678901234",
    )  # fmt: skip
    assert (modem.time_day, modem.time_second) == (9194, 5 * 3600 + 6 * 60 + 7), "the clock shows local time"
    assert listener.calls == [("served",)], "there is no counter"
    sent = port.sent()
    assert b'AT+CGDCONT=1,"IP","cmiot"\r' in sent
    assert b"AT+MIPCALL=1,1\r" not in sent, "as a rule it is up"
    assert modem.next_ms(port.now) > 100000


def test_session_that_is_not_up():
    for down in (b"\r\nOK\r\n", b"\r\n+MIPCALL: 1,0\r\n\r\nOK\r\n", b"\r\n+MIPCALL:1,0\r\n\r\nOK\r\n"):
        modem, port, _ = online(with_answers((b"AT+MIPCALL?", down)))
        assert not modem.online
        assert b"AT+MIPCALL=1,1\r" in port.sent()
        port.answers = ANSWERS
        port.say(b'\r\n+MIPCALL: 1,1,"10.81.41.153"\r\n')
        run(modem, port, 3000)
        assert modem.online, down


def test_refused_session():
    """With the cause, or with the number that says only that it was refused: then +CEER has it."""
    for answer, ceer, cme in (
        (b"\r\n+CME ERROR: 133\r\n", b"\r\nOK\r\n", 133),
        (b"\r\n+CME ERROR: 571\r\n", b"\r\n+CEER: 33\r\n\r\nOK\r\n", 133),
    ):
        answers = ((b"AT+MIPCALL?", b"\r\nOK\r\n"), (b"AT+MIPCALL=1", answer), (b"AT+CEER", ceer))
        _, _, listener = online(answers + ANSWERS)
        assert listener.calls == [("refused", cme)], answer


def test_session_that_ends():
    for line in (b"+MIPCALL: 1,0", b"+MIPCALL:1,0", b'+MIPURC: "disconn",0,3', b"+CGEV: NW PDN DEACT 1"):
        connection, port, listener = opened()
        port.answers = ANSWERS
        port.say(b"\r\n" + line + b"\r\n")
        run(connection.modem, port, 10)
        assert (connection.state, connection.errno) == (FAILED, ECONNRESET), line
        run(connection.modem, port, 5000)
        assert connection.modem.online, line
        assert listener.calls.count(("served",)) == 2, line


def test_open():
    modem, port, listener = online()
    connection, other = modem.connections[0], modem.connections[1]
    connection.open(True, "server.example", 1883)
    other.open(False, "203.0.113.9", 5683)
    run(modem, port, 1000)
    assert connection.state == OPEN
    assert (other.state, other.errno) == (FAILED, 111)
    sent = port.sent()
    for command in (
        b'AT+MDNSGIP="server.example"\r',
        b"AT+MIPSTATE=0\r",
        b'AT+MIPCFG="autofree",0,1\r',
        b'AT+MIPCFG="encoding",0,0,0\r',
        b'AT+MIPOPEN=0,"TCP","203.0.113.1",1883,60,2\r',
        b'AT+MIPOPEN=1,"UDP","203.0.113.9",5683,60,3\r',
    ):
        assert command in sent, (command, sent)
    connection.close()
    other.close()
    run(modem, port, 1000)
    assert (connection.state, other.state) == (FREE, FREE)
    assert listener.calls[-2:] == [("opened", 0), ("closed", 0)]
    assert b"AT+MIPCLOSE=0\r" in port.sent()
    connection.open(True, "server.example", 1883)
    run(modem, port, 500)
    assert b"MDNSGIP" not in port.sent(), "the address is kept"


def test_results_of_opening():
    for answer, errno in (
        (b"\r\nOK\r\n\r\n+MIPOPEN: 0,557\r\n", 111),
        (b"\r\nOK\r\n\r\n+MIPOPEN: 0,558\r\n", ETIMEDOUT),
        (b"\r\nOK\r\n\r\n+MIPOPEN: 0,559\r\n", 103),
        (b"\r\nOK\r\n\r\n+CME ERROR: 570\r\n", ENETDOWN),
        (b"\r\n+CME ERROR: 570\r\n", ENETDOWN),
        (b"\r\n+CME ERROR: 552\r\n", 103),
        (b"\r\nERROR\r\n", 103),
    ):
        modem, port, _ = online(with_answers((b"AT+MIPOPEN=0", answer)))
        connection = modem.connections[0]
        connection.open(True, "203.0.113.1", 1883)
        run(modem, port, 500)
        assert (connection.state, connection.errno) == (FAILED, errno), answer
        run(modem, port, 5000)
        assert modem.opening is None


def test_name_without_an_address():
    modem, port, _ = online(with_answers((b"AT+MDNSGIP", b'\r\nOK\r\n\r\n+MDNSGIP: "server.example"\r\n')))
    connection = modem.connections[0]
    connection.open(True, "server.example", 1883)
    run(modem, port, 500)
    assert (connection.state, connection.errno) == (FAILED, 113)
    assert b"MIPOPEN" not in port.sent()


def test_one_open_at_a_time():
    modem, port, _ = online(with_answers((b"AT+MIPOPEN=", b"\r\nOK\r\n")))
    first, second = modem.connections[:2]
    first.open(True, "203.0.113.1", 1883)
    second.open(True, "203.0.113.1", 1884)
    run(modem, port, 2000)
    assert (first.state, second.state) == (OPENING, OPENING)
    sent = port.sent()
    assert (sent.count(b"AT+MIPOPEN=0"), sent.count(b"AT+MIPOPEN=1")) == (1, 0)
    port.say(b"\r\n+CME ERROR: 559\r\n")
    run(modem, port, 500)
    assert (first.state, second.state) == (FAILED, OPENING), "an error without a number is the only open's"
    assert b"AT+MIPOPEN=1" in port.sent()
    port.say(b"\r\n+MIPOPEN: 1,0\r\n")
    run(modem, port, 500)
    assert second.state == OPEN


def test_an_open_that_is_given_up_lets_the_next_one_go():
    modem, port, _ = online(with_answers((b"AT+MIPOPEN=", b"\r\nOK\r\n")))
    first, second = modem.connections[:2]
    first.open(True, "203.0.113.1", 1883)
    second.open(True, "203.0.113.1", 1884)
    run(modem, port, 1000)
    assert b"AT+MIPOPEN=1" not in port.sent()
    first.close()
    run(modem, port, 2000)
    assert first.state == FREE
    assert b"AT+MIPOPEN=1" in port.sent()


def test_result_of_opening_that_got_lost():
    for state, expected in ((b"CONNECTED", OPEN), (b"CLOSED", FAILED)):
        modem, port, _ = online(with_answers((b"AT+MIPOPEN=0", b"\r\nOK\r\n")))
        connection = modem.connections[0]
        connection.open(True, "203.0.113.1", 1883)
        run(modem, port, 1000)
        answer = b'\r\n+MIPSTATE: 0,"TCP","203.0.113.1",1883,"' + state + b'"\r\n\r\nOK\r\n'
        port.answers = with_answers((b"AT+MIPSTATE=0", answer))
        run(modem, port, 25_000)
        assert connection.state == expected, state


def test_leftover_is_closed_before_an_open():
    left = b'\r\n+MIPSTATE: 0,"TCP","203.0.113.1",1883,"CONNECTED"\r\n\r\nOK\r\n'
    modem, port, _ = online(with_answers((b"AT+MIPSTATE", left), (b"AT+MIPCLOSE=0", b"\r\nOK\r\n")))
    connection = modem.connections[0]
    connection.open(True, "203.0.113.1", 1883)
    run(modem, port, 5000)
    sent = port.sent()
    assert b"AT+MIPCLOSE=0\r" in sent, sent
    assert b"MIPOPEN" not in sent
    port.answers = ANSWERS
    port.say(b"\r\n+MIPCLOSE: 0\r\n")
    run(modem, port, 1000)
    assert connection.state == OPEN


EXCHANGE = (
    b"\r\n>",
    b'\r\nOK\r\n\r\n+MIPURC: "rtcp",0,300,300\r\n',
    b"\r\n+MIPRD: 0,0,300," + REPLY + b"\r\n\r\nOK\r\n",
)


def test_request_and_reply():
    check_exchange(opened, EXCHANGE, b"AT+MIPSEND=0,700\r" + REQUEST + b"AT+MIPRD=0,2048\r")


def test_acknowledgements_of_a_send():
    """TCP 3.5: OK alone behind the prompt, or with the octets that the stack has taken."""
    for answer, state, errno in (
        (b"\r\nOK\r\n", OPEN, 0),
        (b"\r\n+MIPSEND: 0,2\r\n\r\nOK\r\n", OPEN, 0),
        (b"\r\n+MIPSEND: 0,1\r\n\r\nOK\r\n", FAILED, ECONNRESET),
        (b"\r\nERROR\r\n", FAILED, ECONNRESET),
    ):
        connection, port, _ = opened()
        port.script = (b"\r\n> ", answer)
        connection.flush(connection.tx.write(b"hi", 0, 2))
        run(connection.modem, port, 100)
        assert (connection.state, connection.errno) == (state, errno), answer
        assert not connection.tx_busy


def test_send_that_is_not_written_is_tried_again():
    connection, port, _ = opened()
    port.script = (b"\r\n> ", b"\r\n+CME ERROR: 560\r\n", b"\r\n> ", b"\r\nOK\r\n")
    connection.flush(connection.tx.write(b"hi", 0, 2))
    run(connection.modem, port, 1000)
    assert (connection.state, connection.tx_busy) == (OPEN, False)
    assert port.sent() == b"AT+MIPSEND=0,2\rhi" * 2


def test_what_arrives_is_counted_before_it_is_read():
    connection, port, listener = opened()
    connection.rx.write(bytes(1100), 0, 1100)
    port.say(b'\r\n+MIPURC: "rtcp",0,1400,1400\r\n\r\n+MIPURC: "rtcp",0,600,2000\r\n')
    run(connection.modem, port, 100)
    assert listener.octets == 2000
    assert port.sent() == b"", "there is no room for it"


def test_reading_in_pieces():
    connection, port, listener = opened()
    port.script = (
        b"\r\n+MIPRD: 0,952,2048," + bytes(2048) + b"\r\n\r\nOK\r\n",
        b"\r\n+MIPRD: 0,0,952," + bytes(952) + b"\r\n\r\nOK\r\n",
    )
    port.say(b'\r\n+MIPURC: "rtcp",0,1460,1460\r\n\r\n+MIPURC: "rtcp",0,1540,3000\r\n')
    run(connection.modem, port, 300)
    assert (connection.rx.any(), listener.octets) == (2048, 3000)
    assert len(taken(connection)) == 2048
    run(connection.modem, port, 300)
    assert port.sent() == b"AT+MIPRD=0,2048\r" * 2
    assert (connection.rx.any(), listener.octets) == (952, 3000)


def test_lost_notification():
    connection, port, listener = opened()
    port.script = (b"\r\n> ", b"\r\nOK\r\n", b"\r\n+MIPRD: 0,0,4,late\r\n\r\nOK\r\n")
    connection.flush(connection.tx.write(b"hi", 0, 2))
    connection.wanted = True
    run(connection.modem, port, 3000)
    assert (connection.rx.any(), listener.octets) == (4, 4)


def test_nothing_to_read():
    """TCP 3.6: a bare OK."""
    connection, port, listener = opened()
    port.script = (b"\r\n> ", b"\r\nOK\r\n", b"\r\nOK\r\n")
    connection.flush(connection.tx.write(b"hi", 0, 2))
    connection.wanted = True
    run(connection.modem, port, 3000)
    assert (connection.state, listener.octets) == (OPEN, 0)


def test_damaged_answers_fail_the_connection():
    for answer in (
        b"\r\nOK\r\n",  # it told of 4
        b"\r\n+MIPRD: 0,0,2049,abcd\r\n\r\nOK\r\n",
        b"\r\n+MIPRD: 0,0,x,abcd\r\n\r\nOK\r\n",
        b"\r\n+MIPRD: 0,0,4,abc\r\n\r\nOK\r\n",
        b"\r\n+MIPRD: 0,0,4,\r\nRDabcd\r\n\r\nOK\r\n",
    ):
        connection, port, listener = opened()
        port.script = (answer,)
        port.say(b'\r\n+MIPURC: "rtcp",0,4,4\r\n')
        run(connection.modem, port, 100)
        assert (connection.state, connection.errno) == (FAILED, ECONNRESET), answer
        assert listener.octets == 4, "counted all the same"


def test_datagrams_are_read_one_at_a_time():
    connection, port, listener = opened(tcp=False)
    port.script = (b"\r\n+MIPRD: 0,1,3,one\r\n\r\nOK\r\n", b"\r\n+MIPRD: 0,0,3,two\r\n\r\nOK\r\n", b"\r\nOK\r\n")
    port.say(b'\r\n+MIPURC: "rudp",0,1\r\n\r\n+MIPURC: "rudp",0,2\r\n')
    for text in (b"one", b"two"):
        run(connection.modem, port, 100)
        got = bytearray(connection.rx.any())
        connection.rx.readinto(got, len(got))
        assert bytes(got) == text, got
    run(connection.modem, port, 100)
    assert port.sent() == b"AT+MIPRD=0,1\r" * 3
    assert listener.octets == 6


def test_dropped_payload_is_a_counted_loss():
    """TCP 3.20: octets that arrived and found no room."""
    for tcp, state in ((False, OPEN), (True, FAILED)):
        connection, port, listener = opened(tcp)
        port.say(b'\r\n+MIPURC: "drop",0,1000\r\n')
        run(connection.modem, port, 10)
        assert (connection.state, listener.octets) == (state, 1000)


def pushed(payload, name=b"rtcp"):
    return b'\r\n+MIPURC: "%s",0,%d,' % (name, len(payload)) + payload + b"\r\n"


def test_payload_comes_unasked_from_a_modem_that_keeps_none():
    """TCP 3.3: <access_mode> 0."""
    script = (b"\r\n>", b"\r\nOK\r\n" + pushed(REPLY))
    check_exchange(opened, script, b"AT+MIPSEND=0,700\r" + REQUEST, given=(True, WITHOUT_CACHE))
    for kind in (b"TCP", b"UDP"):
        modem, port, _ = online(WITHOUT_CACHE)
        modem.connections[0].open(kind == b"TCP", "server.example", 1883)
        run(modem, port, 500)
        assert port.sent().endswith(b'AT+MIPOPEN=0,"%s","203.0.113.1",1883,60,0\r' % kind)


def test_pushed_datagrams_keep_their_bounds():
    connection, port, listener = opened(False, WITHOUT_CACHE)
    texts = (b"one", b"+MIPURC: \"rudp\",0,4,\r\nOK\r\n", b"three")
    port.say(b"".join([pushed(text, b"rudp") for text in texts]))
    for text in texts:
        run(connection.modem, port, 50)
        assert taken(connection) == text
    assert listener.octets == sum([len(text) for text in texts])


def test_pushed_payload_that_is_lost_is_counted():
    """What the modem had no room for, what lost octets on the line, what came of a connection that is given up."""
    for line, tcp, state, octets in (
        (b'\r\n+MIPURC: "drop",0,800\r\n', True, FAILED, 800),
        (b'\r\n+MIPURC: "drop",0,800\r\n', False, OPEN, 800),
        (b'\r\n+MIPURC: "rtcp",0,800,abc', True, FAILED, 800),
        (b'\r\n+MIPURC: "rtcp",0,800\r\n', True, OPEN, 800),
        (pushed(bytes(1400)) * 2, True, FAILED, 2800),  # more than there is room for
        (b'\r\n+MIPURC: "rtcp",1,3,abc\r\n', True, OPEN, 3),
        (b'\r\n+MIPURC: "rtcp",7,3,abc\r\n', True, OPEN, 0),
    ):
        connection, port, listener = opened(tcp, WITHOUT_CACHE)
        port.answers = WITHOUT_CACHE
        port.say(line)
        run(connection.modem, port, 1500)
        assert (connection.state, listener.octets) == (state, octets), line


def test_end_of_a_connection_to_which_payload_is_pushed():
    connection, port, listener = opened(True, WITHOUT_CACHE)
    port.answers = WITHOUT_CACHE
    port.say(pushed(b"end") + b'\r\n+MIPURC: "disconn",0,1\r\n')
    run(connection.modem, port, 100)
    assert (connection.state, taken(connection)) == (PEER_CLOSED, b"end")
    connection.close()
    run(connection.modem, port, 5000)
    assert (connection.state, listener.octets) == (FREE, 500), "the modem's total has the rest"


def test_command_that_is_not_answered_ends_no_connection_to_which_payload_is_pushed():
    connection, port, _ = opened(True, WITHOUT_CACHE)
    port.answers = ((b"AT+MIPCALL?", b""),) + WITHOUT_CACHE  # noqa: RUF005 - as MicroPython can
    connection.modem.doubt_context()
    run(connection.modem, port, 10_000)
    assert b"MIPRD" not in port.sent()
    port.say(pushed(b"more"))
    run(connection.modem, port, 50)
    assert (connection.state, taken(connection)) == (OPEN, b"more")


def test_connection_with_a_cache_ends_when_the_modem_begins_to_push():
    """What it would be told of looks as if payload followed."""
    connection, port, listener = opened()
    other = connection.modem.connections[1]
    port.answers = with_answers(
        (b'AT+MIPOPEN=1,"UDP","203.0.113.1",1883,60,3', b"\r\n+CME ERROR: 50\r\n"),
        (b"AT+MIPOPEN=1", b"\r\nOK\r\n\r\n+MIPOPEN: 1,0\r\n"),
        (b"AT+MIPSACK=0", b"\r\n+MIPSACK: 10,10,0,500\r\n\r\nOK\r\n"),
        (b"AT+MIPRD=0\r", b"\r\n+MIPRD: 0,0\r\n\r\nOK\r\n"),
    )
    other.open(False, "server.example", 1883)
    run(connection.modem, port, 1000)
    assert (connection.state, connection.errno, other.state) == (FAILED, ECONNRESET, OPEN)
    assert listener.octets == 500, "what it had is counted"
    sent = port.sent()
    assert sent.find(b"AT+MIPCLOSE=0\r") < sent.find(b"60,0\r"), sent


def test_peer_closes():
    for reason in (b"1", b"2"):
        connection, port, listener = opened()
        port.script = (b"\r\n+MIPRD: 0,0,3,end\r\n\r\nOK\r\n", b"\r\n+CME ERROR: 553\r\n")
        port.say(b'\r\n+MIPURC: "disconn",0,' + reason + b"\r\n")
        run(connection.modem, port, 100)
        assert connection.state == PEER_CLOSED
        assert (connection.rx.any(), listener.octets) == (3, 3)


def test_unread_payload_is_counted_at_close():
    """TCP 3.15 and 3.6: the total that has arrived; or what waits, for a connection that has ended."""
    gone = b"\r\n+CME ERROR: 553\r\n"
    for totals, unread, octets in (
        (b"\r\n+MIPSACK: 10,10,0,500\r\n\r\nOK\r\n", b"\r\n+MIPRD: 0,400\r\n\r\nOK\r\n", 500),
        (gone, b"\r\n+MIPRD: 0,400\r\n\r\nOK\r\n", 500),
        (gone, gone, 100),
        (b"\r\n+MIPSACK: 10,10,0,100\r\n\r\nOK\r\n", b"\r\n+MIPRD: 0,400\r\n\r\nOK\r\n", 500),
    ):
        connection, port, listener = opened()
        connection.announced(100)
        port.answers = with_answers((b"AT+MIPSACK=0", totals), (b"AT+MIPRD=0\r", unread))
        connection.close()
        run(connection.modem, port, 200)
        assert (connection.state, listener.octets) == (FREE, octets), (totals, unread)


def test_total_that_does_not_come_is_charged_as_what_the_modem_may_hold():
    check_unknown_total(opened)


def test_a_close_waits_for_its_end():
    connection, port, _ = opened()
    port.answers = ((b"AT", b"\r\nOK\r\n"),)
    connection.close()
    run(connection.modem, port, 5000)
    assert connection.state == CLOSING
    port.say(b"\r\n+MIPCLOSE: 0\r\n")
    run(connection.modem, port, 10)
    assert connection.state == FREE
    connection.modem.connections[1].open(True, "203.0.113.1", 80)
    port.answers = with_answers((b"AT+MIPOPEN=1", b"\r\nOK\r\n\r\n+MIPOPEN: 1,0\r\n"))
    run(connection.modem, port, 500)
    port.answers = ((b"AT", b"\r\nOK\r\n"),)
    connection.modem.connections[1].close()
    run(connection.modem, port, 14_000)
    assert connection.modem.connections[1].state == FREE, "+MIPCLOSE may get lost"


def test_reboot():
    check_reboot(opened, ANSWERS, (b"+MATREADY",))


def test_lines_of_connections_that_do_not_exist():
    connection, port, listener = opened()
    for line in (
        b'+MIPURC: "rtcp",5,4,4',
        b'+MIPURC: "rtcp",',
        b'+MIPURC: "drop",9,4',
        b'+MIPURC: "disconn",7,1',
        b'+MIPURC: "ack",0,700',  # TCP 3.20
        b'+MIPURC: "state",0,1',
        b"+MIPOPEN: 5,0",
        b"+MIPOPEN: x",
        b"+CME ERROR: 559",
        b"+MIPCALL: 2,0",
        b'+MDNSGIP: "other.example","203.0.113.1"',
        b'+MIPURC: "rtcp",0,99999,1',
    ):
        port.say(b"\r\n" + line + b"\r\n")
        step(connection.modem, port.now)
    assert (connection.state, listener.octets) == (OPEN, 0)


def test_what_arrives_on_a_connection_that_was_given_up_is_counted():
    connection, port, listener = opened()
    port.say(b'\r\n+MIPURC: "rtcp",1,700,700\r\n')
    step(connection.modem, port.now)
    assert listener.octets == 700


def test_path_of_what_is_pushed_allocates_nothing():
    check_without_heap(opened, (b"\r\n>", b"\r\nOK\r\n" + pushed(REPLY)), given=(True, WITHOUT_CACHE))


def test_path_allocates_nothing():
    check_without_heap(opened, EXCHANGE)
