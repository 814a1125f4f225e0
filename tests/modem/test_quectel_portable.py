"""The driver against a scripted port: the path of the octets, and that it allocates nothing."""

from usageguard.at.channel import FOREVER_MS, Channel
from usageguard.modem.quectel import Quectel, cme_of
from usageguard.modem.slot import (
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
from usageguard.modem.sms import Messenger

from tests.at.port import Port
from tests.portable import without_heap

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
    (b"AT+QIOPEN=1,0", b"\r\nOK\r\n\r\n+QIOPEN: 0,0\r\n"),
    (b"AT+QIOPEN=1,1", b"\r\n+QIOPEN: 1,566\r\n\r\nOK\r\n"),  # the result before its OK
    (b"AT", b"\r\nOK\r\n"),
)


class Account:
    def __init__(self):
        self.calls = []
        self.octets = 0

    def opened(self, slot):
        self.calls.append(("opened", slot.index))

    def abandoned(self, slot):
        pass

    def closed(self, slot):
        self.calls.append(("closed", slot.index))

    def received(self, slot, octets):
        self.octets += octets

    def counter(self, tx, rx):
        self.calls.append(("counter", tx.value(), rx.value()))

    def refused(self, cme):
        self.calls.append(("refused", cme))

    def served(self):
        self.calls.append(("served",))


class Config:
    apn = "cmiot"
    pin = None
    counter = True


def run(modem, port, ms):
    """Steps the driver when it wants to be, for `ms`."""
    end = port.now + ms
    while port.now < end:
        modem.step(port.now)
        wait = 1 if modem.channel.busy or port.readable() else modem.next_ms(port.now)
        port.now = min(end, port.now + max(wait, 1))
    modem.step(port.now)


def online(answers=ANSWERS, config=Config):
    port = Port()
    port.answers = answers
    account = Account()
    modem = Quectel(port, Channel(port), config, account)
    modem.data_wanted = True
    run(modem, port, 3000)
    return modem, port, account


def opened():
    modem, port, account = online()
    slot = modem.free_slot()
    slot.open(True, "server.example", 1883)
    run(modem, port, 100)
    assert slot.state == OPEN, slot.state
    port.answers = ()
    port.script = ()
    port.writes = 0
    port.sent()
    return slot, port, account


def test_bring_up():
    modem, port, account = online()
    assert modem.online
    assert modem.registered
    assert modem.found_on
    assert not port.power
    assert (modem.imei, modem.imsi) == (b"866425040123458", b"460001234567890")
    assert modem.iccid == b"89860012345678901234"
    assert (modem.signal, modem.rsrp, modem.rsrq) == (24, 48, 22)
    assert (modem.time_day, modem.time_second) == (9194, 5 * 3600 + 6 * 60 + 7)
    assert account.calls[0] == ("counter", 5000000000, 123), account.calls
    assert ("served",) in account.calls
    assert modem.next_ms(port.now) > 100000, "nothing to do until the next evidence"


def test_insane_network_time():
    for text in (b"", b"1980/01/06,00:00:00+00,0", b"2080/01/06,00:00:00+00,0", b"2025/02/30,00:00:00+32,0"):
        answer = b'\r\n+QLTS: "' + text + b'"\r\n\r\nOK\r\n'
        answers = [(b"AT+QLTS=1", answer)]
        answers.extend(ANSWERS)
        modem, _, _ = online(answers)
        assert modem.online, text
        assert modem.time_reading == 0, text


def test_no_counter_wanted():
    class Without(Config):
        counter = False

    modem, port, account = online(config=Without)
    modem.read_counter()
    run(modem, port, 1000)
    assert b"GDCNT" not in port.sent()
    assert account.calls == [("served",)]


def test_open():
    modem, port, account = online()
    slot, other = modem.slots[0], modem.slots[1]
    assert modem.free_slot() is slot
    slot.open(True, "server.example", 1883)
    assert slot.state == OPENING
    assert modem.free_slot() is other
    try:
        slot.open(True, "x", 1)
        raise AssertionError("opened twice")
    except OSError:
        pass
    other.open(False, "10.0.0.1", 5683)
    run(modem, port, 200)
    assert slot.state == OPEN
    assert (other.state, other.errno) == (FAILED, 111)
    sent = port.sent()
    assert b'AT+QIOPEN=1,0,"TCP","server.example",1883,0,0\r' in sent, sent
    assert b'AT+QIOPEN=1,1,"UDP","10.0.0.1",5683,0,0\r' in sent, sent
    assert b"AT+QICLOSE=1\r" in sent, "what failed is closed at once, or it would go on receiving"
    slot.close()
    other.close()
    assert (slot.state, other.state) == (CLOSING, FREE)
    run(modem, port, 200)
    assert (slot.state, other.state) == (FREE, FREE)
    assert account.calls[-2:] == [("opened", 0), ("closed", 0)]
    assert b"AT+QICLOSE=0\r" in port.sent()


def test_open_while_offline():
    modem, port, _ = online()
    modem.data_wanted = False
    run(modem, port, 1000)
    assert not modem.online
    assert b"AT+QIDEACT=1\r" in port.sent()
    slot = modem.free_slot()
    slot.open(True, "server.example", 80)
    assert (slot.state, slot.errno) == (FAILED, ENETDOWN)
    slot.close()
    assert slot.state == FREE


def test_unread_payload_is_counted_at_close():
    slot, port, account = opened()
    port.answers = ((b"AT+QIRD=0,0", b"\r\n+QIRD: 500,100,400\r\n\r\nOK\r\n"), (b"AT", b"\r\nOK\r\n"))
    slot.close()
    run(slot.modem, port, 200)
    assert slot.state == FREE
    assert account.octets == 400


def test_peer_closes():
    slot, port, account = opened()
    port.script = (b"\r\n+QIRD: 3\r\nend\r\n\r\nOK\r\n", b"\r\n+QIRD: 0\r\n\r\nOK\r\n")
    port.say(b'\r\n+QIURC: "closed",0\r\n')
    run(slot.modem, port, 15)
    assert slot.state == OPEN, "not before what it sent has been read"
    run(slot.modem, port, 100)
    assert slot.state == PEER_CLOSED
    assert slot.rx.any() == 3
    assert account.octets == 3


def test_read_leaves_no_more_than_fits():
    slot, port, _ = opened()
    slot.rx.write(bytes(900), 0, 900)
    port.say(b'\r\n+QIURC: "recv",0\r\n')
    run(slot.modem, port, 30)
    assert port.sent() == b"AT+QIRD=0,1148\r"


def test_full_ring_holds_reads_back():
    slot, port, _ = opened()
    slot.rx.write(bytes(1100), 0, 1100)
    port.say(b'\r\n+QIURC: "recv",0\r\n')
    run(slot.modem, port, 1000)
    assert port.sent() == b""
    assert slot.readable_hint
    buf = bytearray(100)
    slot.rx.readinto(buf, 100)
    slot.modem.step(port.now)
    assert port.sent() == b"AT+QIRD=0,1048\r"


def test_damaged_response_fails_the_connection():
    torn = b"\r\n+QIRD: 4\r\n\r\nRDY\r\nabcd\r\nOK\r\n"
    for answer in (b"\r\nOK\r\n", b"\r\n+QIRD: 1501\r\n\r\nOK\r\n", b"\r\n+QIRD: x\r\n\r\nOK\r\n", torn):
        slot, port, _ = opened()
        port.script = (answer,)
        port.say(b'\r\n+QIURC: "recv",0\r\n')
        run(slot.modem, port, 100)
        assert (slot.state, slot.errno) == (FAILED, ECONNRESET), answer


def publish(slot, port, seconds):
    """One request and its reply; steps every 10 ms."""
    modem = slot.modem
    now = port.now
    port.writes = 0
    slot.tx.write(REQUEST, 0, len(REQUEST))
    slot.flush(len(REQUEST))
    for _ in range(100 * seconds):
        modem.step(now)
        modem.next_ms(now)
        now += 10
    port.now = now


REQUEST = b"r" * 700
REPLY = b"\r\nOK\r\n" * 50
EXCHANGE = (
    b"\r\n> ",
    b'\r\nSEND OK\r\n\r\n+QIURC: "recv",0\r\n',
    b"\r\n+QIRD: 300\r\n" + REPLY + b"\r\nOK\r\n",
)


def test_request_and_reply():
    for max_read in (1, 7, 512):
        slot, port, account = opened()
        port.max_read = max_read
        port.script = EXCHANGE
        slot.tx.write(REQUEST, 0, 700)
        slot.flush(700)
        assert slot.tx_busy
        run(slot.modem, port, 2000)
        assert not slot.tx_busy, max_read
        assert slot.rx.any() == 300, max_read
        assert account.octets == 300, max_read
        assert port.sent() == b"AT+QISEND=0,700\r" + REQUEST + b"AT+QIRD=0,1500\r", max_read
        got = bytearray(300)
        slot.rx.readinto(got, 300)
        assert bytes(got) == REPLY
        assert port.writes == 3, "the modem is asked no more than it must be"


def test_path_allocates_nothing():
    slot, port, account = opened()
    waste = bytearray(300)
    port.script = EXCHANGE

    def twice():
        publish(slot, port, 5)
        slot.rx.readinto(waste, 300)
        publish(slot, port, 5)

    without_heap(twice)
    assert slot.rx.any() == 300
    assert not slot.tx_busy
    assert account.octets == 600
    assert port.writes == 3


def test_counter_is_read_without_allocating():
    """Its figures are beyond the small ints of an ESP32."""
    slot, port, account = opened()
    modem = slot.modem
    seen = [0, 0]

    def counter(tx, rx):
        seen[0] = tx.hi
        seen[1] = rx.lo

    account.counter = counter
    port.script = (b"\r\n+QGDCNT: 5000000000,123\r\n\r\nOK\r\n",)

    def read():
        modem.read_counter()
        for now in range(port.now, port.now + 100):
            modem.step(now)

    without_heap(read)
    assert seen == [5000000000 >> 24, 123]


def test_lost_notification_is_looked_for():
    slot, port, _ = opened()
    late = b"\r\n+QIRD: 4\r\nlate\r\n\r\nOK\r\n"
    port.script = (b"\r\n> ", b"\r\nSEND OK\r\n", late, b"\r\n+QIRD: 0\r\n\r\nOK\r\n")
    slot.tx.write(b"hi", 0, 2)
    slot.flush(2)
    run(slot.modem, port, 10000)
    assert slot.rx.any() == 0, "nobody waits: no hurry"
    slot.wanted = True
    run(slot.modem, port, 100)
    assert slot.rx.any() == 4
    assert not slot.wanted
    assert port.writes == 4, "and such a modem's short reads are not trusted again"
    run(slot.modem, port, 600100)
    assert port.writes > 4, "looked for in the end even if nobody waits"


def test_datagrams_are_read_until_there_is_none():
    modem, port, _ = online()
    slot = modem.free_slot()
    slot.open(False, "10.0.0.1", 5683)
    run(modem, port, 100)
    port.answers = ()
    port.writes = 0
    port.sent()
    none = b"\r\n+QIRD: 0\r\n\r\nOK\r\n"
    port.script = (b"\r\n+QIRD: 3\r\none\r\nOK\r\n", b"\r\n+QIRD: 3\r\ntwo\r\nOK\r\n", none)
    port.say(b'\r\n+QIURC: "recv",0\r\n')
    for text in (b"one", b"two"):
        run(modem, port, 100)
        got = bytearray(slot.rx.any())
        slot.rx.readinto(got, len(got))
        assert bytes(got) == text, got
    run(modem, port, 100)
    assert port.sent() == b"AT+QIRD=0,1500\r" * 3


def test_after_a_time_out_the_modem_is_asked_first():
    slot, port, _ = opened()
    modem = slot.modem
    other = modem.slots[2]
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
    assert (slot.state, slot.errno) == (FAILED, ETIMEDOUT)
    assert port.sent() == b"AT+QIRD=0,1500\r", "quiet for a second"
    port.answers = (
        (b"AT+QISEND=2", b"\r\n> "),
        (b"hi", b"\r\nSEND OK\r\n"),
        (b"AT+QIRD=2", b"\r\n+QIRD: 3\r\nabc\r\nOK\r\n"),
        (b"AT", b"\r\nOK\r\n"),
    )
    run(modem, port, 1000)
    sent = port.sent()
    assert sent.startswith(b"AT\r"), sent
    assert not other.tx_busy
    assert other.rx.any() == 3, "read unasked"


def test_full_modem_buffer():
    slot, port, _ = opened()
    port.script = (b"\r\n> ", b"\r\nSEND FAIL\r\n", b"\r\n> ", b"\r\nSEND OK\r\n")
    slot.tx.write(b"hi", 0, 2)
    slot.flush(2)
    run(slot.modem, port, 100)
    assert slot.tx_busy
    assert slot.state == OPEN
    assert 100 < slot.next_ms(port.now) <= 250
    run(slot.modem, port, 300)
    assert not slot.tx_busy
    assert port.sent() == b"AT+QISEND=0,2\rhi" * 2


def test_reboot_ends_every_connection():
    slot, port, account = opened()
    slot.tx.write(b"hi", 0, 2)
    slot.flush(2)
    slot.modem.step(port.now)
    port.answers = ANSWERS
    port.say(b"\r\nRDY\r\n")
    slot.modem.step(port.now)
    assert (slot.state, slot.errno, slot.tx_busy) == (FAILED, ECONNRESET, False)
    slot.close()
    assert slot.state == FREE
    assert account.calls[-1] == ("closed", 0)
    epoch = slot.modem.counter_epoch
    run(slot.modem, port, 3000)
    assert slot.modem.online, epoch
    assert slot.modem.counter_epoch == 1, epoch
    assert not slot.modem.found_on, epoch


def test_silent_modem_is_switched_off_and_on():
    modem, port, account = online()
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
    assert account.calls.count(("served",)) == 2


def test_no_modem_at_all():
    port = Port()
    modem = Quectel(port, Channel(port), Config(), Account())
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
    modem, port, _ = online()
    slot = modem.free_slot()
    messenger = Messenger(modem)
    asks = (
        lambda: slot.open(True, "server.example", 80),
        lambda: slot.flush(slot.tx.write(b"hi", 0, 2)),
        lambda: slot.fail(ENETDOWN),
        modem.read_counter,
        lambda: messenger.send("10086", b"x"),
        lambda: setattr(modem, "data_wanted", False),
    )
    for i, ask in enumerate(asks):
        run(modem, port, 5000)
        assert modem.next_ms(port.now) > 0, i
        ask()
        assert modem.next_ms(port.now) == 0, i
        modem.step(port.now)
        assert modem.channel.busy, i


def test_hints_of_slots_that_do_not_exist():
    slot, port, _ = opened()
    lines = (b'+QIURC: "recv",9', b'+QIURC: "recv",', b'+QIURC: "closed",77', b"+QIOPEN: 5,0", b"+QIOPEN: x")
    for line in lines:
        port.say(b"\r\n" + line + b"\r\n")
        slot.modem.step(port.now)
    assert slot.state == OPEN
    assert slot.modem.next_ms(port.now) < FOREVER_MS
