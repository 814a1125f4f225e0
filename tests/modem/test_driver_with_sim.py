"""The Quectel driver on the simulated modem: bring-up, payload, stops, SMS, and every fault the modem can have."""

import re
import struct

import pytest
from usageguard.modem.base import (
    NO_SIM,
    REGISTERED,
    SEARCHING,
)
from usageguard.modem.slot import ECONNRESET, ENETDOWN, ETIMEDOUT, FAILED, FREE, OPEN, PEER_CLOSED
from usageguard.modem.sms import FAILED as NOT_SENT
from usageguard.modem.sms import SENT, Messenger

from host_tools.sim.modem.faults import (
    Answer,
    BrownOut,
    EchoOn,
    Garbage,
    HalfOpen,
    Hang,
    HangOn,
    NoCoverage,
    Reboot,
    RebootOn,
    ResponseLost,
    SendFail,
    SimOut,
    Slow,
    StallInside,
    StuckRegistration,
    Unanswered,
    Urc,
    UrcBefore,
    UrcInside,
    UrcLost,
    UrcSplit,
)
from tests.modem.bench import IMSI, Bench


def request(reply, length=100):
    """What the virtual responder answers with `reply` octets."""
    return struct.pack(">2sHI", b"UG", length, reply) + bytes(length - 8)


def answer(octets):
    return bytes(i % 256 for i in range(octets))


def exchange(bench, slot, octets=300):
    assert bench.send(slot, request(octets))
    assert bench.read(slot, octets) == answer(octets)


def sent_commands(bench):
    """The commands since the last call, without their parameters, as a count by name."""
    names = re.findall(r"AT\+[A-Z]+", bench.hal.sent.decode("latin-1"))
    bench.hal.sent.clear()
    return {name: names.count(name) for name in names}


@pytest.mark.parametrize("chunk", [1, 7, 120])
def test_bring_up_and_exchange(chunk):
    bench = Bench(chunk=chunk).online()
    modem = bench.modem
    assert bench.clock.now_us < 12_000_000
    assert not modem.found_on
    assert (modem.imei, modem.imsi) == (b"866425040123458", IMSI.encode())
    bench.run(10)
    day, second = modem.time_day, modem.time_second
    assert (day, second // 60) == (9194, 5 * 60 + 6)
    slot = bench.connect()
    for octets in (1, 1500, 1501, 20_000):
        exchange(bench, slot, octets)
    assert bench.account.received_octets == 1 + 1500 + 1501 + 20_000


def test_across_the_wrap_of_the_ticks():
    bench = Bench(ticks_start=(1 << 30) - 11_000).online()
    slot = bench.connect()
    for _ in range(5):
        exchange(bench, slot)
        bench.run(1000)
    assert bench.modem.restarts == 0


def test_publish_costs_one_send_and_one_read():
    bench = Bench().online()
    slot = bench.connect()
    bench.run(30)
    sent_commands(bench)
    steps = bench.steps
    for _ in range(14):
        exchange(bench, slot, 4)
        bench.run(60)
    assert sent_commands(bench) == {"AT+QISEND": 14, "AT+QIRD": 14}
    assert (bench.steps - steps) / 14 < 10


def test_idle_hour_is_quiet():
    bench = Bench().online()
    bench.connect()
    bench.run(60)
    steps = bench.steps
    bench.run(3600)
    assert bench.steps - steps < 80


def test_datagrams_keep_their_bounds():
    bench = Bench().online()
    slot = bench.connect("echo.example", 5683, tcp=False)
    for size in (1, 100, 700):
        assert bench.send(slot, bytes(size))
    bench.run(5)
    for size in (1, 100, 700):
        assert slot.rx.any() == size
        assert bench.read(slot, size) == bytes(size)
        bench.run(1)
    assert slot.rx.any() == 0


def test_four_connections_share_the_line():
    bench = Bench().online()
    slots = [bench.connect() for _ in range(4)]
    assert bench.modem.free_slot() is None
    for slot in slots:
        data = request(2000, 1000)
        slot.tx.write(data, 0, len(data))
        slot.flush(len(data))
    for slot in slots:
        assert bench.read(slot, 2000) == answer(2000)
    for slot in slots:
        slot.close()
    bench.run(10)
    assert [slot.state for slot in slots] == [FREE] * 4
    assert not bench.sim.sockets.sockets


def test_unknown_host_and_closed_port():
    bench = Bench().online()
    slot = bench.connect("nowhere.example")
    assert (slot.state, slot.errno) == (FAILED, 113)
    slot.close()
    slot = bench.connect("echo.example")
    assert (slot.state, slot.errno) == (FAILED, 111)


def test_peer_closes():
    bench = Bench().online()
    slot = bench.connect()
    assert bench.send(slot, b"not a request")
    assert bench.run(10, lambda: slot.state != OPEN)
    assert slot.state == PEER_CLOSED
    slot.close()
    bench.run(10)
    assert slot.state == FREE
    assert not bench.sim.sockets.sockets


def test_unread_payload_is_counted():
    bench = Bench().online()
    slot = bench.connect()
    assert bench.send(slot, request(8000))
    bench.run(20)
    assert bench.account.received_octets < 3000, "no more is read than there is room for"
    slot.close()
    bench.run(20)
    assert bench.account.received_octets == 8000


def test_unread_payload_is_counted_when_the_session_is_taken_down():
    bench = Bench().online()
    slots = [bench.connect(), bench.connect()]
    for slot in slots:
        assert bench.send(slot, request(8000))
    bench.run(20)
    bench.modem.data_wanted = False
    bench.run(5)
    assert bench.account.received_octets == 16_000


def test_counter_grows():
    bench = Bench().online()
    slot = bench.connect()
    exchange(bench, slot, 5000)
    bench.modem.read_counter()
    bench.run(2)
    tx, rx = [call[1:] for call in bench.account.calls if call[0] == "counter"][-1]
    assert [tx, rx] == bench.sim.data.octets
    assert rx > 5000


def test_guard_takes_the_session_down():
    bench = Bench().online()
    slot = bench.connect()
    bench.modem.data_wanted = False
    bench.run(5)
    assert (bench.modem.state, bench.modem.online) == (REGISTERED, False)
    assert (slot.state, slot.errno) == (FAILED, ENETDOWN)
    assert bench.carrier.activate(IMSI, print, print), "no bearer of ours is left"
    bench.modem.data_wanted = True
    assert bench.run(10, lambda: bench.modem.online)


def test_carrier_stops_and_serves_again():
    bench = Bench().online()
    slot = bench.connect()
    bench.carrier.stop(IMSI)
    assert bench.run(10, lambda: bench.account.count("refused", 133))
    assert (slot.state, slot.errno) == (FAILED, ECONNRESET)
    assert (bench.modem.state, bench.modem.cme) == (REGISTERED, 133)
    assert b"NW PDN DEACT" in bench.modem.cgev
    bench.run(6 * 3600)
    assert 8 <= bench.account.count("refused", 133) <= 14, "30 s, doubling to an hour"
    bench.carrier.resume(IMSI)
    assert bench.run(3700, lambda: bench.modem.online)
    assert bench.account.count("served") == 2
    exchange(bench, bench.connect())
    refusals = bench.account.count("refused", 133)
    bench.carrier.stop(IMSI)
    bench.run(100)
    assert bench.account.count("refused", 133) == refusals + 3, "the next stop begins with short steps again"


def test_board_resets_and_the_modem_does_not():
    bench = Bench().online()
    bench.connect()
    power = bench.sim.general
    bench.restart()
    bench.online()
    assert bench.modem.found_on
    assert bench.sim.general is power
    assert not bench.sim.sockets.sockets, "what our earlier life left open"
    exchange(bench, bench.connect())


def test_sms_while_stopped():
    bench = Bench().online()
    bench.carrier.stop(IMSI)
    bench.run(60)
    messenger = Messenger(bench.modem)
    assert messenger.send("+8613900001111", b"\x00\x1a\x1b\xff")
    assert not messenger.send("10086", b""), "one at a time"
    assert bench.run(30, lambda: messenger.state == SENT)
    assert [event for event in bench.log.events if "sms" in event["what"]]


def test_sms_refused():
    bench = Bench().online()
    bench.sim.faults.inject(Answer(command="+CMGS*", final="+CMS ERROR: 38"))
    messenger = Messenger(bench.modem)
    messenger.send("10086", b"x")
    assert bench.run(30, lambda: messenger.state == NOT_SENT)
    assert messenger.error == 38
    exchange(bench, bench.connect())


def test_pin():
    bench = Bench(pin="1234", card_pin="1234").online()
    assert bench.modem.sim_state == b"READY"


def test_wrong_pin_is_tried_once():
    bench = Bench(pin="1111", card_pin="1234")
    bench.run(3600)
    assert bench.modem.state == NO_SIM
    assert bench.modem.sim_state == b"SIM PIN"
    assert bytes(bench.hal.sent).count(b"AT+CPIN=") == 1


def test_sim_comes_back():
    bench = Bench().online()
    bench.run(2)
    bench.sim.faults.inject(SimOut(ms=600_000))
    bench.run(10)
    assert bench.modem.state == NO_SIM
    assert bench.run(700, lambda: bench.modem.online)


def test_stuck_registration_toggles_the_radio():
    bench = Bench()
    bench.sim.faults.inject(StuckRegistration())
    bench.run(1000)
    assert bench.modem.state == SEARCHING
    assert 1 <= bytes(bench.hal.sent).count(b"AT+CFUN=0\r") <= 3
    bench.sim.faults.inject(StuckRegistration(on=False))
    assert bench.run(4000, lambda: bench.modem.online)


FAULTS = {
    # fault: (what becomes of the connection: its errno, 0 for survives)
    "slow": (Slow(command="+QISEND*", ms=3000), 0),
    "unanswered send": (Unanswered(command="+QISEND*"), ETIMEDOUT),
    "lost prompt": (ResponseLost(command="+QISEND*"), ETIMEDOUT),
    "refused send": (Answer(command="+QISEND*"), ECONNRESET),
    "hang at send": (HangOn(command="+QISEND*"), ETIMEDOUT),
    "reboot at send": (RebootOn(command="+QISEND*"), ECONNRESET),
    "code before the prompt": (UrcBefore(command="+QISEND*", line='+QIURC: "recv",1'), 0),
    "code inside a read": (UrcInside(command="+QIRD*", line="+CEREG: 1"), ECONNRESET),
    "stall inside a read": (StallInside(command="+QIRD*", after_octets=14, ms=300), 0),
    "buffer full": (SendFail(count=3), 0),
    "buffer stays full": (SendFail(count=9), ETIMEDOUT),
    "unanswered read": (Unanswered(command="+QIRD*"), ETIMEDOUT),
    "reboot at read": (RebootOn(command="+QIRD*"), ECONNRESET),
    "hang at read": (HangOn(command="+QIRD*"), ETIMEDOUT),
    "lost notification": (UrcLost(prefix='+QIURC: "recv"'), 0),
    "split notification": (UrcSplit(prefix="+QIURC", after_octets=9), 0),
    "garbage": (Garbage(octets=200), 0),
    "reboot": (Reboot(), ECONNRESET),
    "hang": (Hang(), ETIMEDOUT),
    "brown-out": (BrownOut(ms=500), ECONNRESET),
    "echo is back": (EchoOn(), ECONNRESET),
    "no coverage": (NoCoverage(ms=5000), 0),
    "RDY was lost": (Urc(line="+CFUN: 1"), ECONNRESET),
}


@pytest.mark.parametrize("name", FAULTS)
def test_fault(name):
    fault, errno = FAULTS[name]
    bench = Bench(seed=3).online()
    slot = bench.connect()
    bench.run(3)
    bench.sim.faults.inject(fault)
    bench.send(slot, request(4))
    got = bench.read(slot, 4, 80)
    assert slot.errno == errno, name
    assert errno or got == answer(4), "nothing lost, nothing added"
    slot.close()
    assert bench.run(120, lambda: bench.modem.online and slot.state == FREE)
    assert not bench.sim.sockets.sockets
    exchange(bench, bench.connect())
    opened = [call for call in bench.account.calls if call[0] in ("opened", "closed")]
    assert opened == [("opened", 0), ("closed", 0), ("opened", 0)], "each connection ends once"


def test_connection_that_would_not_close():
    bench = Bench().online()
    slot = bench.connect()
    bench.sim.faults.inject(Answer(command="+QICLOSE*", count=3))
    slot.close()
    assert bench.run(30, lambda: slot.state == FREE)
    assert bench.sim.sockets.sockets
    exchange(bench, bench.connect())


def test_half_open_connection_can_be_left():
    bench = Bench().online()
    slot = bench.connect()
    bench.sim.faults.inject(HalfOpen(id=0))
    assert bench.send(slot, request(4))
    assert bench.read(slot, 4, 30) == b""
    slot.close()
    assert bench.run(30, lambda: slot.state == FREE)
    exchange(bench, bench.connect())


def test_end_of_session_that_nobody_heard():
    bench = Bench().online()
    bench.run(10)
    bench.sim.faults.inject(UrcLost(count=2))
    bench.carrier.deactivate(IMSI)
    bench.run(1)
    assert bench.modem.online, "it cannot know"
    slot = bench.connect()
    assert (slot.state, slot.errno) == (FAILED, ENETDOWN)
    slot.close()
    assert bench.run(10, lambda: bench.account.count("served") == 2)
    exchange(bench, bench.connect())
    bench.sim.faults.inject(UrcLost(count=2))
    bench.carrier.deactivate(IMSI)
    assert bench.run(1000, lambda: bench.account.count("served") == 3), "without a connection that fails, too"
