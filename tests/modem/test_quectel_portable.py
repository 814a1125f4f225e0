"""The driver against a scripted port: the path of the octets, and that it allocates nothing."""

from usageguard.at.channel import FOREVER_MS, Channel
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
from usageguard.modem.messenger import Messenger
from usageguard.modem.quectel import Quectel
from usageguard.modem.refusal import cme_of

from tests.at.port import Port
from tests.modem import dialogue
from tests.modem.dialogue import (
    REPLY,
    REQUEST,
    Config,
    check_counter_without_heap,
    check_damage,
    check_exchange,
    check_unknown_total,
    check_without_heap,
    run,
    step,
)

NAMED = b'\r\nOK\r\n\r\n+QIURC: "dnsgip",0,2,300\r\n' + b"".join(
    [b'\r\n+QIURC: "dnsgip","' + address + b'"\r\n' for address in (b"192.0.2.7", b"192.0.2.8")]
)
OK = b"\r\nOK\r\n"
ANSWERS = (
    (b"AT+CPIN?", b"\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    (b"AT+CEREG?", b'\r\n+CEREG: 3,1,"25F8","06B7C50A",7\r\n\r\nOK\r\n'),
    (b"AT+CGSN", b"\r\n866425040123458\r\n\r\nOK\r\n"),
    (b"AT+CIMI", b"\r\n460001234567890\r\n\r\nOK\r\n"),
    (b"AT+QCCID", b"\r\n+QCCID: 89860012345678901234\r\n\r\nOK\r\n"),
    (b"AT+QGDCNT?", b"\r\n+QGDCNT: 5000000000,123\r\n\r\nOK\r\n"),
    (b"AT+QLTS=1", b'\r\n+QLTS: "2025/03/04,05:06:07+32,0"\r\n\r\nOK\r\n'),
    (b"AT+QIACT?", b'\r\n+QIACT: 1,1,1,"10.0.0.1"\r\n\r\nOK\r\n'),
    (b"AT+CSQ", b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n"),
    (b"AT+CESQ", b"\r\n+CESQ: 99,99,255,255,22,48\r\n\r\nOK\r\n"),
    (b"AT+QIDNSGIP=1", NAMED),
    (b"AT+QIOPEN=1,0", b"\r\nOK\r\n\r\n+QIOPEN: 0,0\r\n"),
    (b"AT+QIOPEN=1,1", b"\r\n+QIOPEN: 1,566\r\n\r\nOK\r\n"),  # the result before its OK
    (b"AT", b"\r\nOK\r\n"),
)


def online(answers=ANSWERS, config=Config):
    return dialogue.online(Quectel, answers, config)


def opened(tcp=True):
    return dialogue.opened(Quectel, ANSWERS, tcp)


def test_bring_up():
    modem, port, listener = online()
    assert modem.online
    assert modem.registered
    assert modem.found_on
    assert not port.power
    assert (modem.imei, modem.imsi) == (b"866425040123458", b"460001234567890")
    assert modem.iccid == b"89860012345678901234"
    assert (modem.signal, modem.rsrp, modem.rsrq) == (24, 48, 22)
    assert (modem.time_day, modem.time_second) == (9194, 5 * 3600 + 6 * 60 + 7)
    assert listener.calls[0] == ("counter", 5000000000, 123), listener.calls
    assert ("served",) in listener.calls
    assert modem.next_ms(port.now) > 100000, "nothing to do until the next evidence"


def test_insane_network_time():
    for text in (b"", b"1980/01/06,00:00:00+00,0", b"2080/01/06,00:00:00+00,0", b"2025/02/30,00:00:00+32,0", b"2025"):
        answer = b'\r\n+QLTS: "' + text + b'"\r\n\r\nOK\r\n'
        answers = [(b"AT+QLTS=1", answer)]
        answers.extend(ANSWERS)
        modem, _, _ = online(answers)
        assert modem.online, text
        assert modem.time_reading == 0, text


def test_no_counter_wanted():
    class Without(Config):
        counter = False

    modem, port, listener = online(config=Without)
    modem.read_counter()
    run(modem, port, 1000)
    assert b"GDCNT" not in port.sent()
    assert listener.calls == [("served",)]


def test_the_counter_is_read_every_quarter_of_an_hour_unless_traffic_has_had_it_read():
    for asked, most in ((False, 4), (True, 6)):
        modem, port, _ = online()
        for _ in range(6):
            if asked:
                modem.read_counter()
            for _minute in range(10):
                port.sent()
                run(modem, port, 60_000)
                most -= port.sent().count(b"AT+QGDCNT?")
        assert most == 0, asked


def test_open():
    modem, port, listener = online()
    connection, other = modem.connections[0], modem.connections[1]
    assert modem.free_connection() is connection
    connection.open(True, "server.example", 1883)
    assert connection.state == OPENING
    assert modem.free_connection() is other
    try:
        connection.open(True, "x", 1)
        raise AssertionError("opened twice")
    except OSError:
        pass
    other.open(False, "10.0.0.1", 5683)
    run(modem, port, 200)
    assert connection.state == OPEN
    assert (other.state, other.errno) == (FAILED, 111)
    sent = port.sent()
    assert b'AT+QIDNSGIP=1,"server.example"\r' in sent, sent
    assert b'AT+QIOPEN=1,0,"TCP","192.0.2.7",1883,0,0\r' in sent, sent
    assert b'AT+QIOPEN=1,1,"UDP","10.0.0.1",5683,0,0\r' in sent, sent
    assert b"AT+QICLOSE=1\r" in sent, "what failed is closed at once, or it would go on receiving"
    connection.close()
    other.close()
    assert (connection.state, other.state) == (CLOSING, FREE)
    run(modem, port, 200)
    assert (connection.state, other.state) == (FREE, FREE)
    assert listener.calls[-2:] == [("opened", 0), ("closed", 0)]
    assert b"AT+QICLOSE=0\r" in port.sent()


def test_session_that_may_not_have_ended_is_ended_again():
    modem, port, _ = online()
    port.sent()
    port.answers = ((b"AT+QIDEACT", b""),) + ANSWERS  # noqa: RUF005 - MicroPython unpacks no tuple
    modem.data_wanted = False
    run(modem, port, 90_000)
    assert port.sent().count(b"AT+QIDEACT=1\r") == 2


def test_open_while_offline():
    modem, port, _ = online()
    modem.data_wanted = False
    run(modem, port, 1000)
    assert not modem.online
    assert b"AT+QIDEACT=1\r" in port.sent()
    connection = modem.free_connection()
    connection.open(True, "server.example", 80)
    assert (connection.state, connection.errno) == (FAILED, ENETDOWN)
    connection.close()
    assert connection.state == FREE


def test_unread_payload_is_counted_at_close():
    connection, port, listener = opened()
    port.answers = ((b"AT+QIRD=0,0", b"\r\n+QIRD: 500,100,400\r\n\r\nOK\r\n"), (b"AT", b"\r\nOK\r\n"))
    connection.close()
    run(connection.modem, port, 200)
    assert connection.state == FREE
    assert listener.octets == 500, "100 of them in an answer that was lost"


def test_payload_that_was_read_is_not_counted_again_at_close():
    connection, port, listener = opened()
    connection.announced(100)
    port.answers = ((b"AT+QIRD=0,0", b"\r\n+QIRD: 500,100,400\r\n\r\nOK\r\n"), (b"AT", b"\r\nOK\r\n"))
    connection.close()
    run(connection.modem, port, 200)
    assert listener.octets == 500


def test_a_total_that_does_not_come_is_charged_as_what_the_modem_may_hold():
    check_unknown_total(opened)


def test_peer_closes():
    connection, port, listener = opened()
    port.script = (b"\r\n+QIRD: 3\r\nend\r\n\r\nOK\r\n",)
    port.say(b'\r\n+QIURC: "closed",0\r\n')
    run(connection.modem, port, 100)
    assert connection.state == OPEN, "not before what it sent has been read"
    port.say(b"\r\n+QIRD: 0\r\n\r\nOK\r\n")
    run(connection.modem, port, 100)
    assert connection.state == PEER_CLOSED
    assert connection.rx.any() == 3
    assert listener.octets == 3


def test_read_leaves_no_more_than_fits():
    connection, port, _ = opened()
    connection.rx.write(bytes(900), 0, 900)
    port.say(b'\r\n+QIURC: "recv",0\r\n')
    run(connection.modem, port, 30)
    assert port.sent() == b"AT+QIRD=0,1148\r"


def test_full_ring_holds_reads_back():
    connection, port, _ = opened()
    connection.rx.write(bytes(1100), 0, 1100)
    port.say(b'\r\n+QIURC: "recv",0\r\n')
    run(connection.modem, port, 1000)
    assert port.sent() == b""
    assert connection.readable_hint
    buf = bytearray(100)
    connection.rx.readinto(buf, 100)
    step(connection.modem, port.now)
    assert port.sent() == b"AT+QIRD=0,1048\r"


def test_damaged_response_fails_the_connection():
    torn = b"\r\n+QIRD: 4\r\n\r\nRDY\r\nabcd\r\nOK\r\n"
    unlike = (OK, b"\r\n+QIRD: 1501\r\n\r\nOK\r\n", b"\r\n+QIRD: x\r\n\r\nOK\r\n", torn)
    check_damage(opened, b'\r\n+QIURC: "recv",0\r\n', unlike)


EXCHANGE = (
    b"\r\n> ",
    b'\r\nSEND OK\r\n\r\n+QIURC: "recv",0\r\n',
    b"\r\n+QIRD: 300\r\n" + REPLY + b"\r\nOK\r\n",
)


def test_request_and_reply():
    check_exchange(opened, EXCHANGE, b"AT+QISEND=0,700\r" + REQUEST + b"AT+QIRD=0,1500\r")


def test_path_allocates_nothing():
    check_without_heap(opened, EXCHANGE)


def test_counter_is_read_without_allocating():
    check_counter_without_heap(opened, b"\r\n+QGDCNT: 5000000000,123\r\n\r\nOK\r\n", 5000000000, 123)


def test_lost_notification_is_looked_for():
    connection, port, _ = opened()
    late = b"\r\n+QIRD: 4\r\nlate\r\n\r\nOK\r\n"
    port.script = (b"\r\n> ", b"\r\nSEND OK\r\n", late, b"\r\n+QIRD: 0\r\n\r\nOK\r\n")
    connection.tx.write(b"hi", 0, 2)
    connection.flush(2)
    run(connection.modem, port, 10000)
    assert connection.rx.any() == 0, "nobody waits: no hurry"
    connection.wanted = True
    run(connection.modem, port, 100)
    assert connection.rx.any() == 4
    assert not connection.wanted
    assert port.writes == 4, "and such a modem's short reads are not trusted again"
    run(connection.modem, port, 600100)
    assert port.writes > 4, "looked for in the end even if nobody waits"


def test_an_empty_read_is_followed_by_another_only_after_long():
    connection, port, _ = opened()
    nothing = b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
    port.script = (b"\r\n> ", b"\r\nSEND OK\r\n", nothing, nothing)
    connection.tx.write(b"hi", 0, 2)
    connection.flush(2)
    run(connection.modem, port, 100)
    connection.readable_hint = True  # as a notification does
    run(connection.modem, port, 10)
    assert port.writes == 3, port.writes
    connection.wanted = True
    run(connection.modem, port, 2_000)
    assert port.writes == 3, "what was looked for was not there"


def test_datagrams_are_read_until_there_is_none():
    modem, port, _ = online()
    connection = modem.free_connection()
    connection.open(False, "10.0.0.1", 5683)
    run(modem, port, 100)
    port.answers = ()
    port.writes = 0
    port.sent()
    none = b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
    port.script = (b"\r\n+QIRD: 3\r\none\r\nOK\r\n", b"\r\n+QIRD: 3\r\ntwo\r\nOK\r\n", none)
    port.say(b'\r\n+QIURC: "recv",0\r\n')
    for text in (b"one", b"two"):
        run(modem, port, 100)
        got = bytearray(connection.rx.any())
        connection.rx.readinto(got, len(got))
        assert bytes(got) == text, got
    run(modem, port, 100)
    assert port.sent() == b"AT+QIRD=0,1500\r" * 3


def test_after_a_time_out_the_modem_is_asked_first():
    connection, port, _ = opened()
    modem = connection.modem
    other = modem.connections[2]
    port.answers = ((b"AT+QIOPEN", b"\r\nOK\r\n\r\n+QIOPEN: 2,0\r\n"),)
    other.open(True, "10.0.0.1", 80)
    run(modem, port, 100)
    assert other.state == OPEN
    port.sent()
    port.answers = ((b"AT+QIRD=0", b"\r\n+QIRD: 900\r\ncut"),)
    port.say(b'\r\n+QIURC: "recv",0\r\n')
    run(modem, port, 4000)
    port.say(b'\r\n+QIURC: "recv",2\r\n')  # lost: taken for payload
    other.flush(other.tx.write(b"hi", 0, 2))
    run(modem, port, 1900)
    assert (connection.state, connection.errno) == (FAILED, ETIMEDOUT)
    assert port.sent() == b"AT+QIRD=0,1500\r", "quiet for a second"
    port.answers = (
        (b"AT+QISEND=2", b"\r\n> "),
        (b"hi", b"\r\nSEND OK\r\n"),
        (b"AT+QIRD=2", b"\r\n+QIRD: 3\r\nabc\r\nOK\r\n"),
        (b"AT", b"\r\nOK\r\n"),
    )
    run(modem, port, 1000)
    sent = port.sent()
    assert sent.startswith(b"ATE0Q0V1\r"), sent
    assert not other.tx_busy
    assert other.rx.any() == 3, "read unasked"


def test_full_modem_buffer():
    connection, port, _ = opened()
    port.script = (b"\r\n> ", b"\r\nSEND FAIL\r\n", b"\r\n> ", b"\r\nSEND OK\r\n")
    connection.tx.write(b"hi", 0, 2)
    connection.flush(2)
    run(connection.modem, port, 100)
    assert connection.tx_busy
    assert connection.state == OPEN
    assert 100 < connection.next_ms(port.now) <= 250
    run(connection.modem, port, 300)
    assert not connection.tx_busy
    assert port.sent() == b"AT+QISEND=0,2\rhi" * 2


def test_reboot_ends_every_connection():
    for line in (b"RDY", b"APP RDY"):  # of an EC200U, of a BG95
        check_reboot(line)


def check_reboot(line):
    connection, port, listener = opened()
    connection.tx.write(b"hi", 0, 2)
    connection.flush(2)
    step(connection.modem, port.now)
    port.answers = ANSWERS
    port.say(b"\r\n" + line + b"\r\n")
    step(connection.modem, port.now)
    assert (connection.state, connection.errno, connection.tx_busy) == (FAILED, ECONNRESET, False)
    connection.close()
    assert connection.state == FREE
    assert listener.calls[-1] == ("closed", 0)
    epoch = connection.modem.counter_epoch
    run(connection.modem, port, 3000)
    assert connection.modem.online, epoch
    assert connection.modem.counter_epoch == 1, epoch
    assert not connection.modem.found_on, epoch


def test_silent_modem_is_switched_off_and_on():
    modem, port, listener = online()
    port.answers = ()
    port.script = ()
    modem.read_counter()
    run(modem, port, 20000)
    assert port.power[:2] == [False, True]
    assert not modem.online
    assert modem.power_cycles == 1
    run(modem, port, 120000)
    assert 2 <= modem.power_cycles <= 4, "not too often"
    port.answers = ANSWERS
    run(modem, port, 120000)
    assert modem.online
    assert listener.calls.count(("served",)) == 2


def test_no_modem_at_all():
    port = Port()
    modem = Quectel(port, Channel(port), Config(), dialogue.Listener())
    run(modem, port, 24 * 3600 * 1000)
    assert not modem.online
    assert port.power[0] is True, "asked first, then switched on"
    assert len(port.power) < 80, len(port.power)


def test_cause_of_a_refusal():
    for report, cme in (
        (b"requested service option not subscribed", 133),
        (b"Operator determined barring", 177),
        (b'"ESM","33"', 133),
        (b"0,8", 177),
        (b"177", 177),
        (b"No cause information available", 0),
        (b"0", 0),
        (b"", 0),
    ):
        assert cme_of(report) == cme, report


def test_next_ms_knows_what_was_asked_for():
    answers = [(b"AT+QISEND", b"\r\n> "), (b"hi", b"\r\nSEND OK\r\n")]
    answers.extend(ANSWERS)
    modem, port, _ = online(answers)
    connection = modem.free_connection()
    messenger = Messenger(modem)
    asks = (
        lambda: connection.open(True, "server.example", 80),
        lambda: connection.flush(connection.tx.write(b"hi", 0, 2)),
        lambda: connection.fail(ENETDOWN),
        modem.read_counter,
        lambda: messenger.send("10086", b"x"),
        lambda: setattr(modem, "data_wanted", False),
    )
    for i, ask in enumerate(asks):
        run(modem, port, 5000)
        assert modem.next_ms(port.now) > 0, i
        ask()
        assert modem.next_ms(port.now) == 0, i
        step(modem, port.now)
        assert modem.channel.busy, i


def test_hints_of_connections_that_do_not_exist():
    connection, port, _ = opened()
    lines = (b'+QIURC: "recv",9', b'+QIURC: "recv",', b'+QIURC: "closed",77', b"+QIOPEN: 5,0", b"+QIOPEN: x")
    for line in lines:
        port.say(b"\r\n" + line + b"\r\n")
        step(connection.modem, port.now)
    assert connection.state == OPEN
    assert connection.modem.next_ms(port.now) < FOREVER_MS


NAME = b"AT+QIDNSGIP=1"


def looked_up_as(answer):
    answers = [(NAME, answer)]
    answers.extend(ANSWERS)
    return answers


def closed_again(connection, port):
    connection.close()
    run(connection.modem, port, 200)
    assert connection.state == FREE


def test_a_name_is_looked_up_once_while_its_address_holds():
    modem, port, listener = online()
    connection = modem.connections[0]
    assert modem.name_octets("server.example") == 14
    connection.open(True, "server.example", 80)
    run(modem, port, 200)
    assert listener.calls.count(("looked up", 14)) == 1
    closed_again(connection, port)
    port.sent()
    assert modem.name_octets("server.example") == 0
    connection.open(True, "server.example", 80)
    run(modem, port, 200)
    assert connection.state == OPEN
    assert NAME not in port.sent()
    closed_again(connection, port)
    run(modem, port, 301_000)
    assert modem.name_octets("server.example") == 14
    connection.open(True, "server.example", 80)
    run(modem, port, 200)
    assert listener.calls.count(("looked up", 14)) == 2


def test_a_name_that_nobody_knows_or_answers():
    for answer, ms in ((b'\r\nOK\r\n\r\n+QIURC: "dnsgip",565\r\n', 200), (b"\r\nOK\r\n", 66_000), (b"", 6_000)):
        modem, port, listener = online(looked_up_as(answer))
        connection = modem.connections[0]
        connection.open(True, "server.example", 80)
        run(modem, port, ms)
        assert (connection.state, connection.errno) == (FAILED, 113), answer
        assert ("looked up", 14) not in listener.calls
        closed_again(connection, port)


def test_a_modem_that_looks_up_nothing_opens_by_name():
    modem, port, listener = online(looked_up_as(b"\r\n+CME ERROR: 58\r\n"))
    connection = modem.connections[0]
    connection.open(True, "server.example", 80)
    run(modem, port, 200)
    assert connection.state == OPEN
    assert b'AT+QIOPEN=1,0,"TCP","server.example",80,0,0\r' in port.sent()
    assert ("looked up", 14) not in listener.calls


def test_a_lookup_that_is_refused_keeps_no_other_name_waiting():
    modem, port, _ = online(looked_up_as(b"\r\n+CME ERROR: 58\r\n"))
    for name in ("server.example", "other.example"):
        connection = modem.free_connection()
        connection.open(True, name, 80)
        run(modem, port, 200)
        assert b'"' + name.encode() + b'"' in port.sent(), name


def test_a_late_answer_is_taken_for_no_other_name():
    modem, port, _ = online(looked_up_as(b"\r\nOK\r\n"))
    connection, other = modem.connections[:2]
    connection.open(True, "one.example", 80)
    run(modem, port, 200)
    connection.close()
    run(modem, port, 1)
    assert connection.state == FREE
    port.answers = ANSWERS
    connection.open(True, "two.example", 80)
    other.open(True, "three.example", 80)
    run(modem, port, 1000)
    assert b"two" not in port.sent(), "its answer could not be told from the first one's"
    port.say(b'\r\n+QIURC: "dnsgip",0,1,300\r\n\r\n+QIURC: "dnsgip","192.0.2.1"\r\n')
    run(modem, port, 1000)
    sent = port.sent()
    assert b'"two.example"' in sent
    assert b'"three.example"' in sent
    assert b'AT+QIOPEN=1,0,"TCP","192.0.2.7",80' in sent
    assert modem.names.address("one.example", port.now) == "192.0.2.1"


def test_an_address_that_is_of_no_use_is_looked_up_again():
    modem, port, _ = online()
    other = modem.connections[1]
    other.open(True, "server.example", 80)
    run(modem, port, 200)
    assert (other.state, other.errno) == (FAILED, 111)
    assert modem.name_octets("server.example") == 14


def test_another_data_session_asks_another_name_server():
    modem, port, _ = online()
    connection = modem.connections[0]
    connection.open(True, "server.example", 80)
    run(modem, port, 200)
    port.say(b'\r\n+QIURC: "pdpdeact",1\r\n')
    run(modem, port, 1000)
    assert modem.name_octets("server.example") == 14


def test_a_modem_that_another_program_left_without_words():
    """Its AT is answered with 0 and a CR, or not at all: ATV0, ATQ1 and AT&W (V.250 6.2.5, 6.2.6)."""
    for numeric in (True, False):
        port = Port()
        answers = [(b"AT\r", b"0\r" if numeric else b"")]
        answers.extend(ANSWERS)
        port.answers = answers
        if numeric:
            port.say(b"0\r")  # of an earlier command
        modem = Quectel(port, Channel(port), Config, dialogue.Listener())
        modem.data_wanted = True
        run(modem, port, 4000)
        assert modem.online
        assert not port.power


def test_a_modem_whose_serial_line_another_program_set_to_another_rate():
    port = Port()
    port.modem_rate = 9_600
    mended = []

    def write(buf, n, plain=port.uart_write):
        if port.rate == port.modem_rate and buf.startswith(b"ATE0Q0V1+IPR="):
            mended.append(bytes(buf[:n]))
            port.say(OK)
            port.modem_rate = 115_200
            return
        plain(buf, n)

    port.uart_write = write
    port.answers = ANSWERS
    modem = Quectel(port, Channel(port), Config, dialogue.Listener())
    modem.data_wanted = True
    run(modem, port, 60_000)
    assert mended == [b"ATE0Q0V1+IPR=115200\r"]
    assert (modem.online, port.rate) == (True, 115_200)
    assert modem.power_cycles == 0


def test_registration_is_reported_as_the_modem_takes_it():
    """EC200U: AT+CEREG=? -> (0-2); BG770A (0-2,4)."""
    for refused, sent in ((), 1), ((3,), 2), ((3, 2), 3), ((3, 2, 1), 3):
        answers = [(b"AT+CEREG=%d" % n, b"\r\nERROR\r\n") for n in refused]
        answers.extend(ANSWERS)
        modem, port, _ = online(answers)
        assert modem.online
        assert port.sent().count(b"AT+CEREG=") == sent, refused


def test_a_vague_error_of_a_refusal_is_explained_by_its_report():
    for error, report, cme in (
        (b"+CME ERROR: 100", b"33", 133),
        (b"+CME ERROR: 148", b"requested service option not subscribed", 133),
        (b"+CME ERROR: 3", b"8", 177),
        (b"ERROR", b"27", 127),
        (b"+CME ERROR: 100", b"No cause information available", 100),
        (b"+CME ERROR: 30", b"33", 30),
    ):
        answers = [
            (b"AT+QIACT=1", b"\r\n" + error + b"\r\n"),
            (b"AT+CEER", b"\r\n+CEER: " + report + b"\r\n\r\nOK\r\n"),
        ]
        answers.extend(ANSWERS)
        modem, _, listener = online(answers)
        assert (modem.online, modem.cme, modem.ceer) == (False, cme, report), error
        assert ("refused", cme) in listener.calls


def test_a_result_of_opening_that_got_lost_is_asked_for():
    for state, ends in ((1, OPENING), (2, OPEN), (0, FAILED), (None, FAILED)):
        row = b'\r\n+QISTATE: 0,"TCP","203.0.113.1",80,49153,%d,1,0,0,"uart1"\r\n' % (state or 0)
        answers = [
            (b"AT+QIOPEN=1,0", OK),
            (b"AT+QISTATE=1,0", (row if state is not None else b"") + OK),
        ]
        answers.extend(ANSWERS)
        modem, port, _ = online(answers)
        connection = modem.free_connection()
        connection.open(True, "server.example", 80)
        run(modem, port, 19_000)
        assert connection.state == OPENING
        run(modem, port, 3_000)
        assert connection.state == ends, state
        if state == 1:
            run(modem, port, 150_000)
            assert (connection.state, connection.errno) == (FAILED, ETIMEDOUT)
