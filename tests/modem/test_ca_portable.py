"""The driver of SIMCom's Cat-M modules against a scripted port."""

from usageguard.modem.ca import Ca
from usageguard.modem.ca_connection import BARE, NUMBERED
from usageguard.modem.connection import (
    ECONNRESET,
    ENETDOWN,
    ETIMEDOUT,
    FAILED,
    FREE,
    OPEN,
    OPENING,
    PEER_CLOSED,
)

from tests.modem import dialogue
from tests.modem.dialogue import (
    REPLY,
    REQUEST,
    check_counter_without_heap,
    check_damage,
    check_exchange,
    check_reboot,
    check_unknown_total,
    check_without_heap,
    count_unread,
    run,
    send,
    taken,
)

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
ANSWERS = (
    (b"AT+CPIN?", b"\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    (b"AT+CEREG=3", b"\r\n+CME ERROR: 50\r\n"),
    (b"AT+CEREG?", b'\r\n+CEREG: 2,1,"25F8","06B7C50A",7\r\n\r\nOK\r\n'),
    (b"AT+CGSN", b"\r\n862771047621943\r\n\r\nOK\r\n"),
    (b"AT+CIMI", b"\r\n460001234567890\r\n\r\nOK\r\n"),
    (b"AT+CCID", b"\r\n89860012345678901234\r\n\r\nOK\r\n"),
    (b"AT+CNII=0", b"\r\n+CNII: 0,1500,5000000000,123,40,3,0,0\r\n\r\nOK\r\n"),
    (b"AT+CCLK?", b'\r\n+CCLK: "25/03/04,13:06:07+32"\r\n\r\nOK\r\n'),
    (b"AT+CNACT?", b'\r\n+CNACT: 0,1,"10.0.0.1"\r\n+CNACT: 1,0,"0.0.0.0"\r\n\r\nOK\r\n'),
    (b"AT+CNACT=0,1", b"\r\nOK\r\n\r\n+APP PDP: 0,ACTIVE\r\n"),
    (b"AT+CNACT=0,0", b"\r\nOK\r\n\r\n+APP PDP: 0,DEACTIVE\r\n"),
    (b"AT+CSQ", b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n"),
    (b"AT+CESQ", b"\r\n+CESQ: 99,99,255,255,22,48\r\n\r\nOK\r\n"),
    (b"AT+CACID", b"\r\n+CME ERROR: 100\r\n"),
    (b"AT+CDNSGIP", b'\r\nOK\r\n\r\n+CDNSGIP: 1,"server.example","203.0.113.1","203.0.113.2"\r\n'),
    (b"AT+CAOPEN=2", b"\r\nOK\r\n\r\n+CAOPEN: 2,0\r\n"),
    (b"AT+CAOPEN=3", b"\r\n+CAOPEN: 3,23\r\n\r\nERROR\r\n"),  # the result before its end
    (b"AT+CARECV?", OK),
    (b"AT", OK),
)


def online(answers=(), config=dialogue.Config, ms=3000):
    return dialogue.online(Ca, tuple(answers) + ANSWERS, config, ms)


def opened(numbered=BARE):
    connection, port, listener = dialogue.opened(Ca, ANSWERS)
    connection.modem.numbered = numbered
    return connection, port, listener


def test_bring_up():
    modem, port, listener = online()
    assert modem.online
    assert modem.found_on, "its session was up"
    assert (modem.imei, modem.imsi) == (b"862771047621943", b"460001234567890")
    assert modem.iccid == b"89860012345678901234"
    assert (modem.signal, modem.rsrp, modem.rsrq) == (24, 48, 22)
    assert (modem.time_day, modem.time_second) == (9194, 5 * 3600 + 6 * 60 + 7), "the clock's local time in UTC"
    assert listener.calls[0] == ("counter", 123, 5000000000), "received comes first in the modem's answer"
    sent = port.sent()
    assert b"AT+CEREG=3\r" in sent, "with the cause of a denied registration"
    assert b"AT+CEREG=2\r" in sent, "as this modem knows none"
    at = [sent.find(text) for text in (b'AT+CNCFG=0,1,"cmiot"\r', b"AT+CNACT=0,1\r")]
    assert 0 < at[0] < at[1]
    assert modem.next_ms(port.now) > 100000, "nothing to do until the next evidence"


def test_session_is_told_before_the_ok():
    modem, _, _ = online(((b"AT+CNACT=0,1", b"\r\n+APP PDP: 0,ACTIVE\r\n\r\nOK\r\n"),))
    assert modem.online


def test_lost_news_of_the_session():
    modem, _, listener = online(((b"AT+CNACT=0,1", OK),), ms=15_000)
    assert modem.online, "found by AT+CNACT?"
    none = (b"AT+CNACT?", b'\r\n+CNACT: 0,0,"0.0.0.0"\r\n\r\nOK\r\n')
    modem, port, listener = online((none, (b"AT+CNACT=0,1", OK)), ms=50_000)
    assert not modem.online
    assert not listener.calls.count(("refused", 0)), "it has 60 s"
    run(modem, port, 20_000)
    assert listener.calls.count(("refused", 0)) == 1


def test_refusals():
    for answer, report, cme in (
        (b"\r\n+CME ERROR: 133\r\n", b"", 133),
        (b"\r\nOK\r\n\r\n+APP PDP: 0,DEACTIVE\r\n", b"requested service option not subscribed", 133),
        (b"\r\nOK\r\n\r\n+APP PDP: 0,DEACTIVE\r\n", b'"ESM","8"', 177),
        (b"\r\nERROR\r\n", b"", 0),
    ):
        ceer = (b"AT+CEER", b"\r\n+CEER: " + report + b"\r\n\r\nOK\r\n")
        modem, _, listener = online(((b"AT+CNACT=0,1", answer), ceer))
        assert not modem.online, answer
        assert listener.calls.count(("refused", cme)) == 1, (answer, listener.calls)
        assert modem.ceer == report


def test_the_network_ends_the_session():
    modem, port, listener = online()
    port.say(b"\r\n+APP PDP: 0,DEACTIVE\r\n")
    run(modem, port, 5_000)
    assert listener.calls.count(("served",)) == 2


def test_open():
    modem, port, listener = online()
    connection, other = modem.connections[0], modem.connections[1]
    connection.open(True, "server.example", 1883)
    other.open(False, "10.0.0.1", 5683)
    run(modem, port, 300)
    assert connection.state == OPEN
    assert (other.state, other.errno) == (FAILED, 111)
    sent = port.sent()
    assert b'AT+CDNSGIP="server.example"\r' in sent
    assert b'AT+CACID=2\rAT+CAOPEN=2,0,"TCP","203.0.113.1",1883\r' in sent, sent
    assert b'AT+CAOPEN=3,0,"UDP","10.0.0.1",5683\r' in sent, sent
    assert b"AT+CACLOSE=3\r" in sent
    connection.close()
    other.close()
    run(modem, port, 300)
    assert (connection.state, other.state) == (FREE, FREE)
    assert listener.calls[-3:] == [("looked up", 14), ("opened", 0), ("closed", 0)]


def test_names():
    for answer, errno in (
        (b"\r\nOK\r\n\r\n+CDNSGIP: 0,8\r\n", 113),
        (b"\r\nERROR\r\n", 0),  # the socket may find it
    ):
        modem, port, _ = online(((b"AT+CDNSGIP", answer),))
        connection = modem.connections[0]
        connection.open(True, "server.example", 80)
        run(modem, port, 300)
        assert connection.errno == errno, answer
    assert b'AT+CAOPEN=2,0,"TCP","server.example",80\r' in port.sent()


def test_results_of_opening():
    for result, errno in ((20, 113), (21, ENETDOWN), (23, 111), (27, ETIMEDOUT), (1, 103), (4, 103)):
        modem, port, _ = online(((b"AT+CAOPEN", b"\r\nOK\r\n\r\n+CAOPEN: 2,%d\r\n" % result),))
        connection = modem.connections[0]
        connection.open(True, "10.0.0.1", 80)
        run(modem, port, 300)
        assert (connection.state, connection.errno) == (FAILED, errno), result


def test_number_in_use_is_closed_once():
    modem, port, _ = online(((b"AT+CAOPEN", b"\r\n+CME ERROR: 3\r\n"),))
    connection = modem.connections[0]
    connection.open(True, "10.0.0.1", 80)
    run(modem, port, 500)
    assert (connection.state, connection.errno) == (FAILED, 103)
    assert port.sent().count(b"AT+CAOPEN=2") == 2


def test_lost_result_of_opening():
    modem, port, _ = online(((b"AT+CAOPEN", OK), (b"AT+CASTATE?", b"\r\n+CASTATE: 2,1\r\n\r\nOK\r\n")))
    connection = modem.connections[0]
    connection.open(True, "10.0.0.1", 80)
    run(modem, port, 19_000)
    assert connection.state == OPENING
    run(modem, port, 2_000)
    assert connection.state == OPEN
    modem, port, _ = online(((b"AT+CAOPEN", OK),))
    connection = modem.connections[0]
    connection.open(True, "10.0.0.1", 80)
    run(modem, port, 160_000)
    assert (connection.state, connection.errno) == (FAILED, ETIMEDOUT)


def exchange(mux):
    return (
        b"\r\n>",
        b"\r\nOK\r\n\r\n+CADATAIND: 2\r\n",
        b"\r\n+CARECV: " + mux + b"300," + REPLY + b"\r\n\r\nOK\r\n",
    )


def test_request_and_reply():
    for mux, numbered in ((b"", BARE), (b"2,", NUMBERED)):
        sent = b"AT+CASEND=2,700\r" + REQUEST + b"AT+CARECV=2,1459\r"
        check_exchange(opened, exchange(mux), sent, given=(numbered,))


def test_form_of_the_answer_is_learned():
    for mux, numbered in ((b"", BARE), (b"2,", NUMBERED)):
        for first in (b"\r", b"\n", b"5", b","):
            connection, port, listener = opened(0)
            port.script = (
                b"\r\n+CARECV: " + mux + b"1," + first + b"\r\n\r\nOK\r\n",
                b"\r\n+CARECV: " + mux + b"2,1,\r\n\r\nOK\r\n",
            )
            port.say(b"\r\n+CADATAIND: 2\r\n")
            run(connection.modem, port, 500)
            assert connection.state == OPEN, (mux, first)
            assert connection.modem.numbered == numbered, (mux, first)
            assert (taken(connection), listener.octets) == (first + b"1,", 3), (mux, first)
            assert port.sent() == b"AT+CARECV=2,1\rAT+CARECV=2,1459\r"


def test_nothing_to_read():
    for answer in (b"\r\n+CARECV: 0\r\n\r\nOK\r\n", b"\r\n+CARECV: 2,0\r\n\r\nOK\r\n", b"\r\n+CME ERROR: 3\r\n"):
        connection, port, listener = opened(0)
        port.script = (answer,)
        port.say(b"\r\n+CADATAIND: 2\r\n")
        run(connection.modem, port, 500)
        assert (connection.state, listener.octets, port.writes) == (OPEN, 0, 1), answer


def test_path_allocates_nothing():
    check_without_heap(opened, exchange(b""))


def test_counter_is_read_without_allocating():
    check_counter_without_heap(opened, b"\r\n+CNII: 0,1500,5000000000,123,9,9,0,0\r\n\r\nOK\r\n", 123, 5000000000)


def test_unread_payload_is_counted_at_close_and_once():
    connection, port, listener = opened()
    port.answers = (
        (b"AT+CARECV?", b"\r\n+CARECV: 2,400\r\n+CARECV: 3,7\r\n\r\nOK\r\n"),
        (b"AT+CARECV=", b"\r\n+CARECV: 100," + bytes(100) + b"\r\n\r\nOK\r\n"),
        (b"AT", OK),
    )
    for _ in range(2):
        count_unread(connection, port)
    assert listener.octets == 400
    connection.modem.short_read_drains = True
    port.say(b"\r\n+CADATAIND: 2\r\n")
    run(connection.modem, port, 200)
    assert listener.octets == 400, "it was counted before it was read"
    port.answers = ((b"AT+CARECV?", b"\r\n+CARECV: 2,350\r\n\r\nOK\r\n"), (b"AT", OK))
    connection.close()
    run(connection.modem, port, 300)
    assert (connection.state, listener.octets) == (FREE, 450), "300 of 400 are left, and 50 have come"


def test_lost_answer_to_a_read_is_charged_as_what_was_asked_for():
    connection, port, listener = opened()
    port.answers = ((b"AT+CARECV=", b"\r\n+CARECV: 900,cut"),)
    port.say(b"\r\n+CADATAIND: 2\r\n")
    run(connection.modem, port, 7000)
    assert (connection.state, connection.errno) == (FAILED, ETIMEDOUT)
    assert (listener.octets, listener.perhaps) == (900, 559)
    for answer in (b"\r\nOK\r\n\r\n+CARECV: 1,x\r\n", b"\r\n+CARECV: x,abc\r\n\r\nOK\r\n"):
        connection, port, listener = opened()
        port.answers = ((b"AT+CARECV=", answer),)
        port.say(b"\r\n+CADATAIND: 2\r\n")
        run(connection.modem, port, 1000)
        assert (connection.state, connection.errno) == (FAILED, ECONNRESET), answer
        assert listener.octets + listener.perhaps == 1_459, answer


def test_unread_payload_that_the_modem_does_not_tell_is_what_it_may_hold():
    check_unknown_total(opened)


def test_peer_closes():
    connection, port, listener = opened()
    port.script = (b"\r\n+CARECV: 3,end\r\n\r\nOK\r\n",)
    port.say(b"\r\n+CASTATE: 2,0\r\n")
    run(connection.modem, port, 100)
    assert connection.state == OPEN, "not before what it sent has been read"
    port.say(b"\r\n+CARECV: 0\r\n\r\nOK\r\n")
    run(connection.modem, port, 100)
    assert (connection.state, connection.rx.any(), listener.octets) == (PEER_CLOSED, 3, 3)
    port.answers = ((b"AT+CACLOSE", OK),)
    port.sent()
    connection.close()
    run(connection.modem, port, 100)
    assert port.sent() == b"AT+CACLOSE=2\r", "the modem may not be asked for payload without a connection"


def test_full_modem_buffer():
    connection, port, _ = opened()
    port.script = (b"\r\n+CME ERROR: 3\r\n", b"\r\n>", ERROR, b"\r\n>", OK)
    send(connection, b"hi")
    run(connection.modem, port, 100)
    assert connection.tx_busy
    assert 100 < connection.next_ms(port.now) <= 250
    run(connection.modem, port, 1000)
    assert not connection.tx_busy
    assert port.sent() == b"AT+CASEND=2,2\r" + b"AT+CASEND=2,2\rhi" * 2


def test_damaged_response_fails_the_connection():
    torn = b"\r\n+CARECV: 4,\r\nRDY\r\nabcd\r\n\r\nOK\r\n"
    unlike = (OK, b"\r\n+CARECV: 1460\r\n\r\nOK\r\n", b"\r\n+CARECV: x\r\n\r\nOK\r\n", torn)
    check_damage(opened, b"\r\n+CADATAIND: 2\r\n", unlike)


def test_power_down_and_reboot():
    check_reboot(opened, ANSWERS, (b"NORMAL POWER DOWN", b"RDY", b"+CFUN: 1"))
