"""The driver by 3GPP's commands alone, against a scripted port."""

from usageguard.modem.connection import FAILED, FREE
from usageguard.modem.generic import Generic
from usageguard.modem.messenger import SENT, Messenger

from tests.modem import dialogue
from tests.modem.dialogue import run

ANSWERS = (
    (b"AT+CPIN?", b"\r\n+CPIN: READY\r\n\r\nOK\r\n"),
    (b"AT+CEREG?", b'\r\n+CEREG: 3,1,"25F8","06B7C50A",7\r\n\r\nOK\r\n'),
    (b"AT+CGSN", b"\r\n350123451234560\r\n\r\nOK\r\n"),
    (b"AT+CIMI", b"\r\n460001234567890\r\n\r\nOK\r\n"),
    (b"AT+CRSM=176,12258", b'\r\n+CRSM: 144,0,"98680021436587092143"\r\n\r\nOK\r\n'),
    (b"AT+CCLK?", b'\r\n+CCLK: "25/03/04,01:06:07+32"\r\n\r\nOK\r\n'),
    (b"AT+CGACT?", b"\r\n+CGACT: 1,1\r\n+CGACT: 2,0\r\n\r\nOK\r\n"),
    (b"AT+CSQ", b"\r\n+CSQ: 24,99\r\n\r\nOK\r\n"),
    (b"AT+CESQ", b"\r\n+CESQ: 99,99,255,255,22,48\r\n\r\nOK\r\n"),
    (b"AT+CMGS", b"\r\n> "),
    (b"00", b"\r\n+CMGS: 5\r\n\r\nOK\r\n"),
    (b"AT", b"\r\nOK\r\n"),
)


def online(answers=(), ms=3000):
    return dialogue.online(Generic, tuple(answers) + ANSWERS, ms=ms)


def test_bring_up():
    modem, port, listener = online()
    assert modem.online
    assert modem.found_on
    assert modem.iccid == b"89860012345678901234"
    assert (modem.signal, modem.rsrp, modem.rsrq) == (24, 48, 22)
    assert (modem.time_day, modem.time_second) == (9193, 17 * 3600 + 6 * 60 + 7), "the day before, in UTC"
    assert listener.calls == [("served",)]
    modem.read_counter()
    run(modem, port, 1000)
    assert listener.calls == [("served",)], "it has no counter"
    assert b'AT+CGDCONT=1,"IP","cmiot"\rAT+CGACT=1,1\r' in port.sent()


def test_iccid_of_19_digits():
    modem, _, _ = online(((b"AT+CRSM", b'\r\n+CRSM: 144,0,"986800214365870921F4"\r\n\r\nOK\r\n'),))
    assert modem.iccid == b"8986001234567890124"
    modem, _, _ = online(((b"AT+CRSM", b"\r\n+CRSM: 106,130\r\n\r\nOK\r\n"),))
    assert (modem.iccid, modem.online) == (b"", True), "no such file"


def test_refusal_is_evidence():
    modem, _, listener = online(((b"AT+CGACT=1,1", b"\r\n+CME ERROR: 133\r\n"),))
    assert not modem.online
    assert listener.calls == [("refused", 133)]


def test_end_of_the_session_that_nobody_heard():
    modem, port, _ = online()
    down = (b"AT+CGACT?", b"\r\n+CGACT: 1,0\r\n+CGACT: 2,1\r\n\r\nOK\r\n")
    port.answers = (down,) + ANSWERS  # noqa: RUF005 - MicroPython unpacks no tuple
    port.sent()
    modem.doubt_context()
    modem.poked = True
    run(modem, port, 3000)
    assert modem.online
    assert b"AT+CGACT=1,1\r" in port.sent(), "asked for again"


def test_no_connection():
    modem, port, _ = online()
    connection = modem.free_connection()
    connection.open(True, "server.example", 80)
    run(modem, port, 100)
    assert (connection.state, connection.errno) == (FAILED, 95)
    connection.close()
    assert connection.state == FREE


def test_short_message():
    modem, port, _ = online()
    messenger = Messenger(modem)
    messenger.send("10086", b"x")
    run(modem, port, 1000)
    assert messenger.state == SENT
