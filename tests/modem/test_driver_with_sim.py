"""The drivers on the simulated modems: bring-up, payload, stops, SMS, and every fault the modem can have."""

import re
import struct

import msgspec
import pytest
from usageguard.modem import pin
from usageguard.modem.base import (
    NO_SIM,
    REGISTERED,
    SEARCHING,
)
from usageguard.modem.connection import ECONNRESET, ENETDOWN, ETIMEDOUT, FAILED, FREE, OPEN, PEER_CLOSED
from usageguard.modem.messenger import FAILED as NOT_SENT
from usageguard.modem.messenger import SENT, Messenger

from host_tools.sim.modem.faults import (
    Answer,
    BrownOut,
    DeadSession,
    EchoOn,
    Garbage,
    HalfOpen,
    Hang,
    HangOn,
    NoCoverage,
    NoLte,
    Reboot,
    RebootOn,
    ResponseLost,
    ResultFirst,
    ResultLate,
    SendFail,
    SimOut,
    Slow,
    StallInside,
    StuckRegistration,
    StuckSession,
    Unanswered,
    Urc,
    UrcBefore,
    UrcInside,
    UrcLost,
    UrcSplit,
)
from host_tools.sim.modem.models import load
from tests.modem.families import FAMILIES
from tests.modem.rig import IMSI, DriverRig

EHOSTUNREACH = 113


def request(reply, length=100):
    """What the virtual responder answers with `reply` octets."""
    return struct.pack(">2sHI", b"UG", length, reply) + bytes(length - 8)


def answer(octets):
    return bytes(i % 256 for i in range(octets))


def exchange(rig, connection, octets=300):
    assert rig.send(connection, request(octets))
    assert rig.read(connection, octets) == answer(octets)


def sent_commands(rig):
    """The commands since the last call, without their parameters, as a count by name."""
    names = re.findall(r"AT\+[A-Z]+", rig.hal.sent.decode("latin-1"))
    rig.hal.sent.clear()
    return {name: names.count(name) for name in names}


@pytest.mark.parametrize("chunk", [1, 7, 120])
def test_bring_up_and_exchange(make, family, chunk):
    rig = make(chunk=chunk).online()
    modem = rig.modem
    assert rig.clock.now_us < family.online_s * 1_000_000
    assert not modem.found_on
    assert (modem.imei, modem.imsi) == (load(family.profile).imei.encode(), IMSI.encode())
    rig.run(10)
    day, second = modem.time_day, modem.time_second
    assert (day, second // 60) == (9194, 5 * 60 + 6)
    connection = rig.connect()
    for octets in (1, 1500, 1501, 20_000):
        exchange(rig, connection, octets)
    assert rig.listener.received_octets == 1 + 1500 + 1501 + 20_000


def test_across_the_wrap_of_the_ticks(make):
    rig = make(ticks_start=(1 << 30) - 11_000).online()
    connection = rig.connect()
    for _ in range(5):
        exchange(rig, connection)
        rig.run(1000)
    assert rig.modem.restarts == 0


def test_publish_costs_one_send_and_one_read(make, family):
    rig = make().online()
    connection = rig.connect()
    exchange(rig, connection, 4)  # it may find out how the modem answers
    rig.run(30)
    sent_commands(rig)
    steps = rig.steps
    for _ in range(14):
        exchange(rig, connection, 4)
        rig.run(60)
    assert sent_commands(rig) == {name: 14 * count for name, count in family.exchange.items()}
    assert (rig.steps - steps) / 14 < 10


def test_idle_hour_is_quiet(make):
    rig = make().online()
    rig.connect()
    rig.run(60)
    steps = rig.steps
    rig.run(3600)
    assert rig.steps - steps < 80


def test_datagrams_keep_their_bounds(make):
    rig = make().online()
    connection = rig.connect("echo.example", 5683, tcp=False)
    for size in (1, 100, 700):
        assert rig.send(connection, bytes(size))
    rig.run(5)
    for size in (1, 100, 700):
        assert connection.rx.any() == size
        assert rig.read(connection, size) == bytes(size)
        rig.run(1)
    assert connection.rx.any() == 0


def test_four_connections_share_the_line(make):
    rig = make().online()
    connections = [rig.connect() for _ in range(4)]
    assert rig.modem.free_connection() is None
    for connection in connections:
        data = request(2000, 1000)
        connection.tx.write(data, 0, len(data))
        connection.flush(len(data))
    for connection in connections:
        assert rig.read(connection, 2000) == answer(2000)
    for connection in connections:
        connection.close()
    rig.run(10)
    assert [connection.state for connection in connections] == [FREE] * 4
    assert not rig.sim.dialect.sockets.sockets


def test_unknown_host_and_closed_port(make):
    rig = make().online()
    connection = rig.connect("nowhere.example")
    assert (connection.state, connection.errno) == (FAILED, 113)
    connection.close()
    connection = rig.connect("echo.example")
    assert (connection.state, connection.errno) == (FAILED, 111)


def test_peer_closes(make):
    rig = make().online()
    connection = rig.connect()
    assert rig.send(connection, b"not a request")
    assert rig.run(10, lambda: connection.state != OPEN)
    assert connection.state == PEER_CLOSED
    connection.close()
    rig.run(10)
    assert connection.state == FREE
    assert not rig.sim.dialect.sockets.sockets


def test_unread_payload_is_counted(make, family):
    rig = make().online()
    connection = rig.connect()
    assert rig.send(connection, request(8000))
    rig.run(20)
    octets = rig.listener.received_octets
    assert octets == 8000 if family.tells_arrivals else octets < 3000, "no more is read than there is room for"
    connection.close()
    rig.run(20)
    assert rig.listener.received_octets == 8000


def test_unread_payload_of_each_use_of_a_connection_is_counted_once(make):
    rig = make().online()
    for n in (1, 2):
        connection = rig.connect()
        assert rig.send(connection, request(8000))
        rig.run(20)
        for _ in range(2):
            for busy in connection.count_unread():
                assert busy
                assert rig.run(5, lambda: not rig.modem.channel.busy)
            assert rig.listener.received_octets == 8000 * n
        connection.close()
        rig.run(20)
        assert (connection.state, rig.listener.received_octets) == (FREE, 8000 * n)


@pytest.mark.parametrize("ms", [60, 150, 700])
def test_what_arrives_behind_a_close_is_counted_where_no_counter_shows_it(make, ms):
    rig = make()
    rig.config.counter = False
    rig.online()
    connection = rig.connect()
    before = rig.sim.data.counter.octets[1]
    data = request(200_000)
    connection.flush(connection.tx.write(data, 0, len(data)))
    rig.run(ms / 1000)
    connection.close()
    assert rig.run(60, lambda: connection.state == FREE)
    rig.run(60)
    crossed = rig.sim.data.counter.octets[1] - before
    headers = 40 * (crossed // 1000 + 3)
    charged = rig.listener.received_octets + rig.listener.abandoned_octets
    assert crossed - headers <= charged <= 2 * crossed


def test_what_waits_in_the_modem_for_a_lost_segment_is_counted_where_no_counter_shows_it(make):
    """The third of six, and what its peer sends again for three seconds: no total has the three behind it before."""
    rig = make()
    rig.config.counter = False
    rig.online()
    emit, segments = rig.responder.stack.emit, []

    def lose(packet):
        if len(packet.payload) > 1000:
            segments.append((packet.seq, rig.clock.now_us))
            third = len(segments) > 2 and packet.seq == segments[2][0]
            if third and rig.clock.now_us < segments[0][1] + 3_000_000:
                return
        emit(packet)

    rig.responder.stack.emit = lose
    connection = rig.connect()
    data = request(8000)
    connection.flush(connection.tx.write(data, 0, len(data)))
    rig.run(0.7)
    connection.close()
    assert rig.run(60, lambda: connection.state == FREE)
    assert len(segments) > 6, "it was sent again"
    assert rig.listener.received_octets + rig.listener.abandoned_octets == 8000


def test_unread_payload_is_counted_when_the_session_is_taken_down(make):
    rig = make().online()
    connections = [rig.connect(), rig.connect()]
    for connection in connections:
        assert rig.send(connection, request(8000))
    rig.run(20)
    rig.modem.data_wanted = False
    rig.run(5)
    assert rig.listener.received_octets == 16_000


def test_counter_grows(make, family):
    if "counter" not in family.commands:
        pytest.skip("the modem has no counter")
    rig = make().online()
    connection = rig.connect()
    exchange(rig, connection, 5000)
    rig.modem.read_counter()
    rig.run(2)
    tx, rx = [call[1:] for call in rig.listener.calls if call[0] == "counter"][-1]
    assert [tx, rx] == rig.sim.data.counter.octets
    assert rx > 5000


def test_guard_takes_the_session_down(make):
    rig = make().online()
    connection = rig.connect()
    rig.modem.data_wanted = False
    rig.run(8)  # without a counter it waits for what still arrives
    assert (rig.modem.state, rig.modem.online) == (REGISTERED, False)
    assert (connection.state, connection.errno) == (FAILED, ENETDOWN)
    assert rig.carrier.activate(IMSI, print, print), "no bearer of ours is left"
    rig.modem.data_wanted = True
    assert rig.run(10, lambda: rig.modem.online)


def test_carrier_stops_and_serves_again(make):
    rig = make().online()
    connection = rig.connect()
    rig.carrier.stop(IMSI)
    assert rig.run(10, lambda: rig.listener.count("refused", 133))
    assert (connection.state, connection.errno) == (FAILED, ECONNRESET)
    assert (rig.modem.state, rig.modem.cme) == (REGISTERED, 133)
    assert b"NW PDN DEACT" in rig.modem.cgev
    rig.run(6 * 3600)
    assert 8 <= rig.listener.count("refused", 133) <= 14, "30 s, doubling to an hour"
    assert rig.modem.restarts == 0, "it is not the modem that refuses"
    rig.carrier.resume(IMSI)
    assert rig.run(3700, lambda: rig.modem.online)
    assert rig.listener.count("served") == 2
    exchange(rig, rig.connect())
    refusals = rig.listener.count("refused", 133)
    rig.carrier.stop(IMSI)
    rig.run(100)
    assert rig.listener.count("refused", 133) == refusals + 3, "the next stop begins with short steps again"


def test_board_resets_and_the_modem_does_not(make):
    rig = make().online()
    rig.connect()
    power = rig.sim.general
    rig.restart()
    rig.online()
    assert rig.modem.found_on
    assert rig.sim.general is power
    assert not rig.sim.dialect.sockets.sockets, "what our earlier life left open"
    exchange(rig, rig.connect())


def test_sms_while_stopped(make):
    rig = make().online()
    rig.carrier.stop(IMSI)
    rig.run(60)
    messenger = Messenger(rig.modem)
    assert messenger.send("+8613900001111", b"\x00\x1a\x1b\xff")
    assert not messenger.send("10086", b""), "one at a time"
    assert rig.run(30, lambda: messenger.state == SENT)
    assert [event for event in rig.log.events if "sms" in event["what"]]


def test_sms_refused(make):
    rig = make().online()
    rig.sim.faults.inject(Answer(command="+CMGS*", final="+CMS ERROR: 38"))
    messenger = Messenger(rig.modem)
    messenger.send("10086", b"x")
    assert rig.run(30, lambda: messenger.state == NOT_SENT)
    assert messenger.error == 38
    exchange(rig, rig.connect())


def test_pin(make):
    rig = make(pin="1234", card_pin="1234").online()
    assert rig.modem.sim_state == b"READY"


def test_wrong_pin_is_tried_once(make):
    rig = make(pin="1111", card_pin="1234")
    rig.run(3600)
    assert rig.modem.state == NO_SIM
    assert rig.modem.sim_state == b"SIM PIN"
    assert bytes(rig.hal.sent).count(b"AT+CPIN=") == 1


def test_wrong_pin_does_not_lock_the_sim_of_a_board_that_boots_often(make, monkeypatch, tmp_path):
    monkeypatch.setattr(pin, "_REFUSED", str(tmp_path / "pin-refused"))
    rig = make(pin="1111", card_pin="1234")
    rig.hal.files = True
    for _ in range(5):
        rig.run(60)
        rig.restart()
    assert rig.sim.card_reader.card.pin_tries == 2
    rig.config.pin = "1234"
    rig.online()


def test_wrong_pin_that_cannot_be_remembered_ends_nothing(make, monkeypatch, tmp_path):
    monkeypatch.setattr(pin, "_REFUSED", str(tmp_path))  # cannot be written
    rig = make(pin="1111", card_pin="1234")
    rig.hal.files = True
    rig.run(120)
    assert rig.modem.sim_state == b"SIM PIN"


def test_pin_is_entered_again_after_a_restart(make):
    rig = make(pin="1234", card_pin="1234").online()
    rig.sim.faults.inject(Reboot())
    assert rig.run(10, lambda: not rig.modem.online)
    assert rig.run(120, lambda: rig.modem.online)


def test_sim_whose_return_the_modem_does_not_notice(make):
    rig = make(pin="1234", card_pin="1234").online()
    rig.run(2)
    rig.sim.faults.inject(SimOut(ms=60_000, noticed=False))
    rig.run(120)
    assert rig.modem.state == NO_SIM
    assert rig.run(180, lambda: rig.modem.online)


def test_sim_comes_back(make):
    rig = make().online()
    rig.run(2)
    rig.sim.faults.inject(SimOut(ms=600_000))
    rig.run(10)
    assert rig.modem.state == NO_SIM
    assert rig.run(700, lambda: rig.modem.online)


def test_stuck_registration_toggles_the_radio(make):
    rig = make()
    rig.sim.faults.inject(StuckRegistration())
    rig.run(1000)
    assert rig.modem.state == SEARCHING
    assert 1 <= bytes(rig.hal.sent).count(b"AT+CFUN=0\r") <= 3
    rig.sim.faults.inject(StuckRegistration(on=False))
    assert rig.run(4000, lambda: rig.modem.online)


def test_where_gsm_alone_is_on_the_air_it_is_registered_with_that(make):
    rig = make().online()
    rig.sim.faults.inject(NoLte())
    rig.run(5)
    assert rig.run(120, lambda: rig.modem.online)
    exchange(rig, rig.connect())
    rig.run(24 * 60)
    assert rig.modem.registered
    assert rig.modem.online
    rig.sim.faults.inject(NoCoverage())
    rig.run(30)
    assert rig.modem.state == SEARCHING
    assert not rig.modem.covered
    rig.sim.radio.cover(True)
    assert rig.run(120, lambda: rig.modem.online)
    rig.sim.faults.inject(NoLte(on=False))
    rig.run(5)
    assert rig.run(120, lambda: rig.modem.online)
    assert not rig.modem.older
    assert b"CFUN=0" not in bytes(rig.hal.sent)
    exchange(rig, rig.connect())


def test_modem_that_hangs_inside_is_restarted(make):
    rig = make().online()
    rig.sim.faults.inject(StuckRegistration(restart=True))
    rig.sim.radio.detach()
    rig.run(60)
    assert rig.modem.state == SEARCHING
    assert rig.run(900, lambda: rig.modem.online)
    assert bytes(rig.hal.sent).count(b"AT+CFUN=0\r") == bytes(rig.hal.sent).count(b"AT+CFUN=1,1\r") == 1
    exchange(rig, rig.connect())


def test_modem_that_opens_no_session_is_restarted(make):
    rig = make().online()
    rig.sim.faults.inject(StuckSession())
    rig.run(60)
    assert rig.modem.state == REGISTERED
    assert rig.run(1800, lambda: rig.modem.online)
    assert len([call for call in rig.listener.calls if call[0] == "refused"]) <= 8
    exchange(rig, rig.connect())


def test_modem_that_no_restart_helps_loses_its_supply(make):
    rig = make().online()
    rig.sim.faults.inject(StuckRegistration())
    rig.sim.faults.inject(Answer(command="+CFUN=1,1", count=9))
    rig.sim.radio.detach()
    rig.run(1400)
    assert bytes(rig.hal.sent).count(b"AT+CFUN=1,1\r") == 1
    supplied = [event["what"] for event in rig.log.events if event["who"] == "modem" and "supply" in event["what"]]
    assert supplied == ["supply-on", "supply-off", "supply-on"]
    rig.run(24 * 3600)
    assert rig.modem.restarts < 33, "one attempt an hour, in the end"


FAULTS = {
    # `send`, `read` and `received` stand for the family's own.
    # fault: (what becomes of the connection: its errno, 0 for survives)
    "slow": (Slow(command="send", ms=3000), 0),
    "unanswered send": (Unanswered(command="send"), ETIMEDOUT),
    "lost prompt": (ResponseLost(command="send"), ETIMEDOUT),
    "late result of a send": (ResultLate(command="send", ms=7000), ETIMEDOUT),
    "refused send": (Answer(command="send"), ECONNRESET),
    "hang at send": (HangOn(command="send"), ETIMEDOUT),
    "reboot at send": (RebootOn(command="send"), ECONNRESET),
    "code before the prompt": (UrcBefore(command="send", line="received 1"), 0),
    "code inside a read": (UrcInside(command="read", line="+CEREG: 1"), ECONNRESET),
    "result before the payload": (ResultFirst(command="read"), ECONNRESET),
    "stall inside a read": (StallInside(command="read", after_octets=14, ms=300), 0),
    "buffer full": (SendFail(count=3), 0),
    "buffer stays full": (SendFail(count=9), ETIMEDOUT),
    "unanswered read": (Unanswered(command="read"), ETIMEDOUT),
    "reboot at read": (RebootOn(command="read"), ECONNRESET),
    "hang at read": (HangOn(command="read"), ETIMEDOUT),
    "lost notification": (UrcLost(prefix="received "), 0),
    "split notification": (UrcSplit(prefix="received", after_octets=9), 0),
    "garbage": (Garbage(octets=200), 0),
    "reboot": (Reboot(), ECONNRESET),
    "hang": (Hang(), ETIMEDOUT),
    "brown-out": (BrownOut(ms=500), ECONNRESET),
    "echo is back": (EchoOn(), ECONNRESET),
    "no coverage": (NoCoverage(ms=5000), 0),
    "RDY was lost": (Urc(line="+CFUN: 1"), ECONNRESET),
}


def spelled(fault, family):
    """The fault with the family's commands and notification."""
    changes = {}
    if hasattr(fault, "command"):
        changes["command"] = family.commands.get(fault.command, fault.command)
    for name in ("line", "prefix"):
        value = getattr(fault, name, "")
        if value.startswith("received"):
            changes[name] = family.received.format(value[9:])
    return msgspec.structs.replace(fault, **changes)


def test_session_without_an_answer_is_renewed_where_no_report_tells(make):
    rig = make().online()
    rig.modem.unanswered = 0
    rig.sim.faults.inject(DeadSession())
    for _ in range(4):
        assert rig.modem.online
        connection = rig.connect()
        assert connection.state == FAILED
        connection.close()
        rig.run(30)
    assert rig.hal.events == ["session-renewed"]
    exchange(rig, rig.connect())
    assert rig.modem.unanswered == 0


def test_a_datagram_socket_proves_no_session(make):
    rig = make().online()
    rig.modem.unanswered = 2
    assert rig.connect(tcp=False).state == OPEN
    assert rig.modem.unanswered == 2


def restarted_unheard(rig):
    """Another program has stored that echo is off, and no line of the boot arrives: 9,000 octets were on their way to a
    connection, which is returned."""
    rig.config.counter = False
    rig.online()
    ours = rig.sim.port.nvm.values["+CEREG"]
    rig.sim.port.nvm.values["+CEREG"] = "0"
    rig.sim.port.nvm.save_profile()
    rig.sim.port.nvm.values["+CEREG"] = ours
    rig.run(5)
    connection = rig.connect()
    assert rig.send(connection, request(9_000))
    rig.run(5)
    rig.sim.faults.inject(UrcLost(count=30))
    rig.sim.faults.inject(Reboot())
    rig.run(20)
    return connection


def test_restart_that_nothing_tells_of(make, family):
    rig = make()
    connection = restarted_unheard(rig)
    assert rig.run(1_000, lambda: rig.modem.restarts == 1)
    rig.no_more_faults()
    counted = rig.listener.received_octets + rig.listener.abandoned_octets
    assert 9_000 <= counted <= 9_000 + family.driver.WINDOW
    connection.close()
    rig.online()
    exchange(rig, rig.connect(), 3_000)


@pytest.mark.parametrize("name", ["quectel", "cipstart"])
def test_connection_that_a_restarted_modem_does_not_know_is_charged_once(name):
    rig = DriverRig(FAMILIES[name])
    restarted_unheard(rig).close()
    rig.run(60)
    assert rig.modem.restarts == 0
    assert rig.listener.abandoned_octets == rig.modem.WINDOW


@pytest.mark.parametrize("name", FAULTS)
def test_fault(make, family, name):
    fault, errno = FAULTS[name]
    errno = family.faults.get(name, errno)
    rig = make(seed=3).online()
    connection = rig.connect()
    rig.run(3)
    rig.sim.faults.inject(spelled(fault, family))
    rig.send(connection, request(4))
    got = rig.read(connection, 4, 80)
    assert connection.errno == errno, name
    assert errno or got == answer(4), "nothing lost, nothing added"
    connection.close()
    assert rig.run(120, lambda: rig.modem.online and connection.state == FREE)
    rig.run(2)
    assert not rig.sim.dialect.sockets.sockets
    exchange(rig, rig.connect())
    opened = [call for call in rig.listener.calls if call[0] in ("opened", "closed")]
    assert opened == [("opened", 0), ("closed", 0), ("opened", 0)], "each connection ends once"


def test_connection_that_would_not_close(make, family):
    rig = make().online()
    connection = rig.connect()
    rig.sim.faults.inject(Answer(command=family.commands["close"], count=3))
    connection.close()
    assert rig.run(30, lambda: connection.state == FREE)
    assert rig.sim.dialect.sockets.sockets
    exchange(rig, rig.connect())


def test_half_open_connection_can_be_left(make, family):
    rig = make().online()
    connection = rig.connect()
    rig.sim.faults.inject(HalfOpen(id=family.first))
    assert rig.send(connection, request(4))
    assert rig.read(connection, 4, 30) == b""
    connection.close()
    assert rig.run(30, lambda: connection.state == FREE)
    exchange(rig, rig.connect())


def test_end_of_session_that_nobody_heard(make, family):
    rig = make().online()
    rig.run(10)
    rig.sim.faults.inject(UrcLost(count=family.lost_session))
    rig.carrier.deactivate(IMSI)
    rig.run(1)
    assert rig.modem.online, "it cannot know"
    connection = rig.connect()
    assert connection.state == FAILED
    assert connection.errno in (ENETDOWN, EHOSTUNREACH), "the name's lookup may fail first"
    connection.close()
    assert rig.run(10, lambda: rig.listener.count("served") == 2)
    exchange(rig, rig.connect())
    rig.sim.faults.inject(UrcLost(count=family.lost_session))
    rig.carrier.deactivate(IMSI)
    assert rig.run(1000, lambda: rig.listener.count("served") == 3), "without a connection that fails, too"


@pytest.mark.parametrize("stored", ["ATV0", "ATQ1", "ATE1V0", "AT+IPR=9600", "AT+IPR=0"])
def test_a_modem_that_another_program_has_set_up(make, stored):
    rig = make()
    rig.sim.power(True)
    rig.clock.run_until(rig.clock.now_us + 15_000_000)
    rig.line.to_modem.write(stored.encode() + b"\r")
    rig.clock.run_until(rig.clock.now_us + 1_000_000)
    rig.line.to_modem.write(b"AT&W\r")
    rig.clock.run_until(rig.clock.now_us + 1_000_000)
    rig.hal.uart_readinto(bytearray(1000), 1000)
    rig.online()
    exchange(rig, rig.connect())


@pytest.mark.parametrize("model", ["quectel", "ec801e"])
def test_sockets_that_another_program_has_set_up(model):
    """As the voice assistants' program leaves an EC801E (github.com/78/esp-ml307)."""
    rig = DriverRig(FAMILIES[model]).online()
    line = '+QICFG="close/mode",1;+QICFG="viewmode",1;+QICFG="sendinfo",1;+QICFG="dataformat",0,1'
    rig.line.to_modem.write(f"AT{line}\r".encode())
    rig.clock.run_until(rig.clock.now_us + 1_000_000)
    rig.hal.uart_readinto(bytearray(1000), 1000)
    rig.restart()
    rig.online()
    exchange(rig, rig.connect())


def test_a_result_of_opening_that_got_lost(make, family):
    rig = make().online()
    rig.run(3)
    rig.sim.faults.inject(UrcLost(prefix=family.opened))
    connection = rig.connect()
    assert connection.state == OPEN
    assert rig.clock.now_us < 60_000_000
    exchange(rig, connection)
