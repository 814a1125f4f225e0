"""The driver of SIMCom's A76XX and SIM7600 against transcripts of the manuals and of open drivers.

A76: A76XX manual V1.09. 7600: SIM7600 manual V3.00. TG: TinyGSM. AD: RT-Thread's at_device.
"""

from usageguard.modem.cip import Cip
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
    check_damage,
    check_exchange,
    check_reboot,
    check_without_heap,
    run,
    send,
    step,
    taken,
)

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
ANSWERS = (
    (b"AT+CPIN?", b"\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    (b"AT+CEREG?", b"\r\n+CEREG: 2,1,25F8,06B7C50A,7\r\n\r\nOK\r\n"),
    (b"AT+CGSN", b"\r\n862205051234568\r\n\r\nOK\r\n"),
    (b"AT+CIMI", b"\r\n460001234567890\r\n\r\nOK\r\n"),
    (b"AT+CICCID", b"\r\n+ICCID: 89860012345678901234\r\n\r\nOK\r\n"),
    (b"AT+CCLK?", b'\r\n+CCLK: "25/03/04,13:06:07+32"\r\n\r\nOK\r\n'),
    (b"AT+CGACT?", b"\r\n+CGACT: 1,1\r\n+CGACT: 8,0\r\n\r\nOK\r\n"),
    (b"AT+NETOPEN?", b"\r\n+NETOPEN: 1\r\n\r\nOK\r\n"),
    (b"AT+NETOPEN", b"\r\nOK\r\n\r\n+NETOPEN: 0\r\n"),
    (b"AT+NETCLOSE", b"\r\nOK\r\n\r\n+NETCLOSE: 0\r\n"),
    (b"AT+CSQ", b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n"),
    (b"AT+CESQ", b"\r\n+CESQ: 99,99,255,255,22,48\r\n\r\nOK\r\n"),
    (b"AT+CDNSGIP", b'\r\n+CDNSGIP: 1,"server.example","192.0.2.7"\r\n\r\nOK\r\n'),  # A76 11
    (b"AT+CIPOPEN=0", b"\r\nOK\r\n\r\n+CIPOPEN: 0,0\r\n"),
    (b"AT+CIPOPEN=1", b"\r\n+CIPOPEN: 1,0\r\n\r\nOK\r\n"),  # the result before its OK
    (b"AT+CIPCLOSE=0", b"\r\nOK\r\n\r\n+CIPCLOSE: 0,0\r\n"),
    (b"AT+CIPCLOSE=1", b"\r\n+CIPCLOSE: 1,4\r\n\r\nERROR\r\n"),  # it is closed already
    (b"AT", OK),
)


def online(answers=ANSWERS):
    return dialogue.online(Cip, answers)


def with_answers(*first):
    answers = list(first)
    answers.extend(ANSWERS)
    return answers


def opened(tcp=True):
    return dialogue.opened(Cip, ANSWERS, tcp)


def test_bring_up():
    modem, port, listener = online()
    sent = port.sent()
    assert modem.online
    assert (modem.imei, modem.imsi) == (b"862205051234568", b"460001234567890")
    assert modem.iccid == b"89860012345678901234"
    assert (modem.time_day, modem.time_second) == (9194, 5 * 3600 + 6 * 60 + 7), "local time, and its zone"
    assert ("served",) in listener.calls
    order = [
        sent.index(b"AT+" + name) for name in (b"CIPRXGET=1\r", b'CGDCONT=1,"IP","cmiot"', b"CGACT=1,1", b"NETOPEN\r")
    ]
    assert order == sorted(order)
    modem.read_counter()
    run(modem, port, 1000)
    assert not [call for call in listener.calls if call[0] == "counter"], "it has none"
    assert modem.next_ms(port.now) > 100000, "nothing to do until the next evidence"


def test_a_network_that_is_open_already():
    """7600: an ERROR behind a line, and it is open."""
    refusal = b"\r\n+IP ERROR: Network is already opened\r\n\r\nERROR\r\n"
    modem, _, _ = online(with_answers((b"AT+NETOPEN\r", refusal)))
    assert modem.online


def test_a_result_of_the_network_that_got_lost_is_asked_for():
    modem, port, _ = online(with_answers((b"AT+NETOPEN\r", OK)))
    assert not modem.online
    run(modem, port, 20_000)
    assert modem.online


def test_the_cause_of_a_refusal():
    """A76 lists no 177: the report has the cause, or a CME error of the context."""
    shut = (b"AT+NETOPEN?", b"\r\n+NETOPEN: 0\r\n\r\nOK\r\n")
    for context, report, cme in (
        (b"\r\n+CME ERROR: 133\r\n", b"", 133),
        (b"\r\n+CME ERROR: 177\r\n", b"", 177),
        (ERROR, b'\r\n+CEER: "ESM cause 33"\r\n', 133),
        (OK, b"\r\n+CEER: requested service option not subscribed\r\n", 133),
        (b"\r\n+CME ERROR: 148\r\n", b"\r\n+CEER: 8\r\n", 177),
    ):
        answers = with_answers(
            shut,
            (b"AT+CGACT=1,1", context),
            (b"AT+NETOPEN\r", b"\r\nOK\r\n\r\n+NETOPEN: 1\r\n"),
            (b"AT+CEER", report + OK),
        )
        modem, _, listener = online(answers)
        assert (modem.online, modem.cme) == (False, cme), context
        assert ("refused", cme) in listener.calls, context


def test_the_last_pdn_is_given_up_by_leaving_the_network():
    """TS 27.007 9.2.2: 171. The session must be another one afterwards."""
    modem, port, _ = online(with_answers((b"AT+CGACT=0,1", b"\r\n+CME ERROR: 171\r\n")))
    port.sent()
    modem.data_wanted = False
    run(modem, port, 1000)
    sent = port.sent()
    assert sent.index(b"AT+CGATT=0\r") < sent.index(b"AT+CGATT=1\r")


def test_a_clock_without_its_zone():
    """SIM7600: the zone comes unasked (TS 27.007 8.41). Until then the time is UTC, off by a zone."""
    bare = (b"AT+CCLK?", b'\r\n+CCLK: "25/03/04,13:06:07"\r\n\r\nOK\r\n')
    modem, _, _ = online(with_answers(bare))
    assert (modem.time_day, modem.time_second) == (9194, 13 * 3600 + 6 * 60 + 7)
    modem, _, _ = online(with_answers(bare, (b"AT+CTZU=1;+CTZR=1", b"\r\nOK\r\n\r\n+CTZV: +32\r\n")))
    assert (modem.time_day, modem.time_second) == (9194, 5 * 3600 + 6 * 60 + 7)


def test_clocks_that_the_network_has_not_set():
    for text in (b"80/01/06,00:02:11+00", b"70/01/01,00:00:10+00", b"04/01/01,00:00:00", b""):
        modem, _, _ = online(with_answers((b"AT+CCLK?", b'\r\n+CCLK: "' + text + b'"\r\n\r\nOK\r\n')))
        assert (modem.online, modem.time_reading) == (True, 0), text


def test_open():
    modem, port, listener = online()
    connection, other = modem.connections[0], modem.connections[1]
    connection.open(True, "server.example", 1883)
    run(modem, port, 100)
    other.open(False, "10.0.0.1", 5683)
    run(modem, port, 200)
    assert (connection.state, other.state) == (OPEN, OPEN)
    sent = port.sent()
    assert b'AT+CDNSGIP="server.example"\rAT+CIPOPEN=0,"TCP","192.0.2.7",1883\r' in sent, sent
    assert b'AT+CIPOPEN=1,"UDP",,,' in sent, sent
    assert listener.calls.count(("looked up", 14)) == 1, "a lookup is traffic"
    connection.close()
    other.close()
    run(modem, port, 200)
    assert (connection.state, other.state) == (FREE, FREE)
    assert b"AT+CIPCLOSE=0\r" in port.sent()


def test_results_of_opening():
    """A76 11: some come before an ERROR, some behind the OK; what fails is freed."""
    for answer, errno in (
        (b"\r\nOK\r\n\r\n+CIPOPEN: 0,1\r\n", 111),
        (b"\r\n+CIPOPEN: 0,2\r\n\r\nERROR\r\n", ENETDOWN),
        (b"\r\nOK\r\n\r\n+CIPOPEN: 0,10\r\n", ETIMEDOUT),
        (b"\r\nOK\r\n\r\n+CIPOPEN: 0,11\r\n", 113),
        (b"\r\n+CIPOPEN: 0,3\r\n\r\nERROR\r\n", 103),
        (ERROR, 103),
    ):
        modem, port, _ = online(with_answers((b"AT+CIPOPEN=0", answer)))
        connection = modem.free_connection()
        connection.open(True, "10.0.0.1", 80)
        run(modem, port, 1000)
        assert (connection.state, connection.errno) == (FAILED, errno), answer
        connection.close()
        run(modem, port, 100)
        assert connection.state == FREE, answer


def test_a_link_that_an_earlier_life_left_open_is_closed():
    modem, port, _ = online()
    port.script = (
        b"\r\n+CIPOPEN: 0,9\r\n\r\nERROR\r\n",
        b"\r\nOK\r\n\r\n+CIPCLOSE: 0,0\r\n",
        b"\r\nOK\r\n\r\n+CIPOPEN: 0,0\r\n",
    )
    port.answers = ()
    port.writes = 0
    port.sent()
    connection = modem.free_connection()
    connection.open(True, "10.0.0.1", 80)
    run(modem, port, 2000)
    assert connection.state == OPEN
    request = b'AT+CIPOPEN=0,"TCP","10.0.0.1",80\r'
    assert port.sent() == request + b"AT+CIPCLOSE=0\r" + request


def test_a_result_of_opening_that_got_lost_is_asked_for():
    """TG: +CIPCLOSE? tells of each link whether it is open."""
    for states, ends in ((b"0,1,0,0,0,0,0,0,0,0", OPENING), (b"1,0,0,0,0,0,0,0,0,0", OPEN)):
        lost = (b"AT+CIPOPEN=0", OK), (b"AT+CIPCLOSE?", b"\r\n+CIPCLOSE: " + states + b"\r\n\r\nOK\r\n")
        modem, port, _ = online(with_answers(*lost))
        connection = modem.free_connection()
        connection.open(True, "10.0.0.1", 80)
        run(modem, port, 22_000)
        assert connection.state == ends, states


READ = b"\r\n+CIPRXGET: 2,0,300,0\r\n" + REPLY + b"\r\n\r\nOK\r\n"
SENT = (
    b"\r\nOK\r\n\r\n+CIPSEND: 0,700,700\r\n",  # A76XX
    b"\r\n+CIPSEND: 0,700,700\r\n\r\nOK\r\n",  # SIM7600
)


def exchange(result):
    return b"\r\n>", result + b"\r\n+CIPRXGET: 1,0\r\n", READ


def test_request_and_reply():
    """The fourth field says that nothing is left."""
    for result in SENT:
        check_exchange(opened, exchange(result), b"AT+CIPSEND=0,700\r" + REQUEST + b"AT+CIPRXGET=2,0,1460\r")


def test_what_remains_is_read_without_being_told_again():
    connection, port, _ = opened()
    port.script = (b"\r\n+CIPRXGET: 2,0,3,2\r\none\r\n\r\nOK\r\n", b"\r\n+CIPRXGET: 2,0,2,0\r\n23\r\n\r\nOK\r\n")
    port.say(b"\r\n+CIPRXGET: 1,0\r\n")
    run(connection.modem, port, 200)
    assert (taken(connection), port.writes) == (b"one23", 2)


def test_a_full_buffer_is_tried_again_and_a_lost_link_is_not():
    connection, port, _ = opened()
    port.script = (b"\r\n>", b"\r\nOK\r\n\r\n+CIPSEND: 0,2,0\r\n", b"\r\n>", b"\r\nOK\r\n\r\n+CIPSEND: 0,2,2\r\n")
    send(connection, b"hi")
    run(connection.modem, port, 100)
    assert (connection.tx_busy, connection.state) == (True, OPEN)
    run(connection.modem, port, 400)
    assert not connection.tx_busy
    assert port.sent() == b"AT+CIPSEND=0,2\rhi" * 2
    port.script = (b"\r\n>", b"\r\n+CIPSEND: 0,2,-1\r\n\r\nERROR\r\n")
    port.writes = 0
    send(connection, b"hi")
    run(connection.modem, port, 100)
    assert (connection.state, connection.errno) == (FAILED, ECONNRESET)


def test_a_confirmation_that_got_lost_is_taken_from_the_total():
    for total, again in ((2, False), (0, True)):
        connection, port, _ = opened()
        port.script = (
            b"\r\n>",
            OK,
            b"\r\n+CIPACK: %d,0,0\r\n\r\nOK\r\n" % total,
            b"\r\n>",
            b"\r\nOK\r\n\r\n+CIPSEND: 0,2,2\r\n",
        )
        send(connection, b"hi")
        run(connection.modem, port, 4000)
        assert connection.tx_busy
        run(connection.modem, port, 2000)
        assert not connection.tx_busy
        assert port.sent() == b"AT+CIPSEND=0,2\rhiAT+CIPACK=0\r" + (b"AT+CIPSEND=0,2\rhi" if again else b""), total


def test_datagrams_have_the_address_in_each_send():
    """AD: sim76xx."""
    connection, port, _ = opened(tcp=False)
    port.script = (b"\r\n>", b"\r\nOK\r\n\r\n+CIPSEND: 0,700,700\r\n", b"\r\n>", b"\r\nOK\r\n\r\n+CIPSEND: 0,2,2\r\n")
    for data in (b"r" * 700, b"hi"):
        send(connection, data)
        run(connection.modem, port, 100)
    address = b',"192.0.2.7",1883\r'
    assert port.sent() == b"AT+CIPSEND=0,700" + address + b"r" * 700 + b"AT+CIPSEND=0,2" + address + b"hi"


def test_the_peer_closes():
    for line in (b"+IPCLOSE: 0,1", b"+IPCLOSE 0,1"):  # with colon TG, without AD
        connection, port, listener = opened()
        port.script = (b"\r\n+CIPRXGET: 2,0,3,0\r\nend\r\n\r\nOK\r\n", b"\r\n+IP ERROR: No data\r\n\r\nERROR\r\n")
        port.say(b"\r\n" + line + b"\r\n")
        run(connection.modem, port, 200)
        assert (connection.state, taken(connection), listener.octets) == (PEER_CLOSED, b"end", 3), line


def test_an_end_that_nobody_heard_shows_at_the_next_read():
    connection, port, _ = opened()
    port.script = (b"\r\n+CIPERROR: 4\r\n\r\nERROR\r\n",)
    port.say(b"\r\n+CIPRXGET: 1,0\r\n")
    run(connection.modem, port, 100)
    assert connection.state == PEER_CLOSED


def test_no_data_is_no_end():
    connection, port, _ = opened()
    port.script = (b"\r\n+IP ERROR: No data\r\n\r\nERROR\r\n",)
    port.say(b"\r\n+CIPRXGET: 1,0\r\n")
    run(connection.modem, port, 1000)
    assert (connection.state, port.writes) == (OPEN, 1)


def unread(read, rest, total):
    """What is counted at the close of a link that gave `read` octets; None: the modem answers with ERROR."""
    connection, port, listener = opened()
    if read:
        connection.announced(read)
    port.answers = (
        (b"AT+CIPRXGET=4,0", ERROR if rest is None else b"\r\n+CIPRXGET: 4,0,%d\r\n\r\nOK\r\n" % rest),
        (b"AT+CIPACK=0", ERROR if total is None else b"\r\n+CIPACK: 10,10,%d\r\n\r\nOK\r\n" % total),
        (b"AT+CIPCLOSE=0", b"\r\nOK\r\n\r\n+CIPCLOSE: 0,0\r\n"),
    )
    connection.close()
    run(connection.modem, port, 200)
    assert connection.state == FREE
    return listener.octets, listener.calls.count(("abandoned", 0))


def test_unread_payload_is_counted_at_close():
    """The third of +CIPACK may be what arrived or what was read: the manuals do not say."""
    assert unread(100, 400, 500) == (500, 0)
    assert unread(100, 400, 100) == (500, 0)
    assert unread(100, 0, 100) == (100, 0)
    assert unread(100, 0, 160) == (160, 0), "of an answer that was lost"
    assert unread(100, 400, None) == (500, 0)
    assert unread(100, None, None) == (100, 0), "closed, and nothing was left"


def test_what_the_modem_threw_away_is_charged():
    """Payload was announced, and then the link with it was gone."""
    connection, port, listener = opened()
    port.answers = (
        (b"AT+CIPCLOSE=0", b"\r\n+CIPCLOSE: 0,4\r\n\r\nERROR\r\n"),
        (b"AT", b"\r\n+CIPERROR: 4\r\n\r\nERROR\r\n"),
    )
    port.say(b"\r\n+CIPRXGET: 1,0\r\n\r\n+IPCLOSE: 0,1\r\n")
    run(connection.modem, port, 200)
    assert connection.state == PEER_CLOSED
    connection.close()
    run(connection.modem, port, 200)
    assert connection.state == FREE
    assert listener.calls.count(("abandoned", 0)) == 1


def test_an_answer_with_payload_that_was_lost_is_taken_from_the_totals():
    """What waits may be part of the total or not; where neither is certain, it is in the bound."""
    for total, rest, counted, perhaps in ((500, 0, 500, 0), (300, 400, 700, 0), (900, 400, 900, 400)):
        connection, port, listener = opened()
        port.answers = (
            (b"AT+CIPRXGET=2", b""),
            (b"AT+CIPRXGET=4,0", b"\r\n+CIPRXGET: 4,0,%d\r\n\r\nOK\r\n" % rest),
            (b"AT+CIPACK=0", b"\r\n+CIPACK: 10,10,%d\r\n\r\nOK\r\n" % total),
            (b"AT+CIPCLOSE=0", b"\r\nOK\r\n\r\n+CIPCLOSE: 0,0\r\n"),
            (b"AT", OK),
        )
        port.say(b"\r\n+CIPRXGET: 1,0\r\n")
        run(connection.modem, port, 8000)
        assert (connection.state, connection.errno) == (FAILED, ETIMEDOUT)
        connection.close()
        run(connection.modem, port, 500)
        assert (listener.octets, listener.perhaps) == (counted, perhaps), total
        assert ("abandoned", 0) not in listener.calls


def test_damaged_answers_fail_the_connection():
    torn = b"\r\n+CIPRXGET: 2,0,4,0\r\n\r\nRDY\r\nabcd\r\n\r\nOK\r\n"
    unlike = (OK, b"\r\n+CIPRXGET: 2,0,1461,0\r\n\r\nOK\r\n", b"\r\n+CIPRXGET: 2,0,x,0\r\n\r\nOK\r\n", torn)
    check_damage(opened, b"\r\n+CIPRXGET: 1,0\r\n", unlike)


def test_the_network_closes():
    connection, port, _ = opened()
    port.answers = ANSWERS
    port.say(b"\r\n+CIPEVENT: NETWORK CLOSED UNEXPECTEDLY\r\n")
    step(connection.modem, port.now)
    assert (connection.state, connection.errno) == (FAILED, ECONNRESET)
    connection.close()
    run(connection.modem, port, 5000)
    assert connection.modem.online, "and is opened again"


def test_a_reboot_ends_every_connection():
    check_reboot(opened, ANSWERS, (b"*ATREADY: 1", b"RDY"))  # A76XX, SIM7600


def test_lines_of_connections_that_do_not_exist():
    connection, port, _ = opened()
    for line in (
        b"+CIPRXGET: 1,9",
        b"+CIPRXGET: 1,",
        b"+IPCLOSE: 9,1",
        b"+IPCLOSE",
        b"+CIPOPEN: 7,0",
        b"+CIPSEND: 6,1,1",
        b"+CIPCLOSE: 9,0",
    ):
        port.say(b"\r\n" + line + b"\r\n")
        step(connection.modem, port.now)
    assert connection.state == OPEN


def test_path_allocates_nothing():
    for tcp in (True, False):
        check_without_heap(opened, exchange(SENT[0]), given=(tcp,))
