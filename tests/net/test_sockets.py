"""What an application may expect of a socket: against virtual hosts, in this process, in virtual time."""

import contextlib
import random
from unittest import mock

import pytest
from usageguard.core.ticks import ticks_add, ticks_diff

from host_tools.run.targets.direct import DirectTarget, sockets
from host_tools.run.world import World
from host_tools.scenario import file as scenario
from host_tools.sim.clock import S
from host_tools.sim.modem import faults
from host_tools.sim.network.hosts import Sink, VirtualHost

HEAD = """
title = "sockets"
modem = "{modem}"
start = 2026-03-02T08:00:00+08:00
duration = "{duration}"
[plan]
allowance_octets = "{allowance}"
[upstream]
host = "collector"
[network]
loss_permille = {loss}
[[host]]
name = "collector"
kind = "collector"
[[host]]
name = "api"
kind = "responder"
"""


class Done(Exception):
    """The application of a test has shown what it was to show."""


class Echo(VirtualHost):
    """Sends back what comes, by TCP and UDP; `heard` are the datagrams."""

    def __init__(self):
        self.heard = []

    def accept(self, connection, syn):
        owed = bytearray()

        def pass_on():
            owed.extend(connection.read())
            del owed[: connection.send(owed)]
            if connection.peer_closed and not owed:
                connection.close()

        connection.on_readable = connection.on_acked = connection.on_peer_closed = pass_on
        return True

    def on_datagram(self, payload, source, port):
        self.heard.append(payload)
        self.stack.send_datagram(port, source, payload)


class Life:
    """One boot of a device, up to the end of `app(life)`."""

    def __init__(self, app, loss=0, duration="6h", seed=1, allowance="30MB", modem="quectel-ec200u"):
        text = HEAD.format(duration=duration, loss=loss, allowance=allowance, modem=modem)
        self.world = World(scenario.loads(text, "test.toml"), seed, {})
        self.echo, self.sink = Echo(), Sink()
        self.world.internet.add_host("echo", self.echo)
        self.world.internet.add_host("sink", self.sink)
        self.app = app
        self.target = DirectTarget(self.world.scenario.device_config(), self.run)
        with pytest.raises(Done):
            self.world.run(self.target.boot)

    def run(self, guard):
        self.guard = guard
        self.app(self)
        raise Done

    def connect(self, host="echo", timeout=60, kind=sockets.SOCK_STREAM):
        sock = sockets.socket(sockets.AF_INET, kind)
        sock.settimeout(timeout)
        sock.connect((host, 7))
        return sock


def errno_of(call, *args):
    with pytest.raises(OSError) as caught:
        call(*args)
    return caught.value.errno


# The cork


@pytest.mark.parametrize("n", [1, 1459, 1460, 1461, 2000, 2920, 5000])
def test_close_sends_all_that_was_written(n):
    def app(life):
        sock = life.connect("sink")
        sock.write(bytes(n))
        sock.close()
        life.guard.sleep(30_000)
        assert life.sink.octets == n

    Life(app)


def test_close_sends_what_was_written_while_a_segment_was_on_its_way():
    def app(life):
        sock = life.connect("sink")
        sock.write(bytes(100))
        sock.poll_ready(1)  # the first part is on its way now
        sock.write(bytes(50))
        sock.close()
        life.guard.sleep(30_000)
        assert life.sink.octets == 150

    Life(app)


@pytest.mark.parametrize("wait", ["sleep", "step_now", "another socket"])
def test_any_wait_sends_what_was_written(wait):
    def app(life):
        sock = life.connect("sink")
        other = life.connect()
        for _ in range(4):
            sock.write(bytes(10))
        assert life.sink.octets == 0
        if wait == "sleep":
            life.guard.sleep(2_000)
        elif wait == "step_now":
            for _ in range(200):
                life.guard.hal.wait(life.guard.hal.ticks_ms() + life.guard.step_now() % 10 + 1)
        else:
            other.write(b"x")
            other.settimeout(5)
            other.read(1)
            errno_of(other.read, 1)
        assert life.sink.octets == 40

    Life(app)


# Datagrams


def test_each_send_is_a_datagram_of_its_own():
    def app(life):
        sock = life.connect(kind=sockets.SOCK_DGRAM)
        for piece in (b"one", b"two", b"three"):
            assert sock.send(piece) == len(piece)
        assert sock.write(b"four") == 4
        life.guard.sleep(2_000)
        assert life.echo.heard == [b"one", b"two", b"three", b"four"]
        assert [sock.recv(100) for _ in range(4)] == life.echo.heard

    Life(app)


def test_the_rest_of_a_datagram_that_was_too_long_is_dropped():
    def app(life):
        sock = life.connect(kind=sockets.SOCK_DGRAM)
        sock.sendto(b"0123456789", ("echo", 7))
        sock.sendto(b"abc", ("echo", 7))
        assert sock.recvfrom(4) == (b"0123", ("echo", 7))
        assert sock.recvfrom(4) == (b"abc", ("echo", 7))

    Life(app)


MODEMS = ("quectel-ec200u", "air780e")  # one has datagrams read, the other hands them over


@pytest.mark.parametrize("modem", MODEMS)
@pytest.mark.parametrize("octets_at_a_time", [7, 120])
def test_a_datagram_is_whole_however_it_comes_over_the_line(modem, octets_at_a_time):
    def app(life):
        life.world.modem.port.line.to_host.chunk = octets_at_a_time
        sock = life.connect(kind=sockets.SOCK_DGRAM)
        sent = [bytes([n]) * 700 for n in range(3)]
        for datagram in sent:
            sock.send(datagram)
        assert [sock.recv(1_000) for _ in sent] == sent

    Life(app, modem=modem)


@pytest.mark.parametrize("modem", MODEMS)
def test_a_part_of_a_datagram_is_none(modem):
    def app(life):
        sock = life.connect(kind=sockets.SOCK_DGRAM)
        sock.send(bytes(700))
        line = life.world.modem.port.line.to_host
        deliver = line.deliver
        line.chunk = 100

        def lose(data):  # for 5 s, from the middle of the datagram on
            if not any(data):
                line.deliver = lambda data: None
                life.world.clock.after(5 * S, setattr, line, "deliver", deliver)
            deliver(data)

        line.deliver = lose
        assert errno_of(sock.recv, 1_000) in (sockets.ECONNRESET, sockets.ETIMEDOUT)

    Life(app, modem=modem)


def test_a_datagram_that_no_segment_holds_is_refused():
    def app(life):
        sock = life.connect(kind=sockets.SOCK_DGRAM)
        assert errno_of(sock.sendto, bytes(1461), ("echo", 7)) == sockets.EMSGSIZE
        assert sock.sendto(bytes(1460), ("echo", 7)) == 1460

    Life(app)


def test_a_datagram_is_refused_when_the_connection_is_gone():
    def app(life):
        sock = life.connect(kind=sockets.SOCK_DGRAM, timeout=None)
        sock.sendto(b"one", ("echo", 7))
        life.world.modem.reset()
        life.guard.sleep(20_000)
        assert errno_of(sock.sendto, b"two", ("echo", 7)) == sockets.ECONNRESET

    Life(app)


def test_a_datagram_does_not_wait_for_one_that_failed():
    def app(life):
        sock = life.connect(kind=sockets.SOCK_DGRAM, timeout=None)
        sock.sendto(b"one", ("echo", 7))
        sock._connection.fail(sockets.ECONNRESET)
        assert errno_of(sock.sendto, b"two", ("echo", 7)) == sockets.ECONNRESET

    Life(app, duration="2h")


def test_a_peer_that_cannot_be_reached_does_not_cost_the_socket():
    def app(life):
        sock = life.connect(kind=sockets.SOCK_DGRAM)
        assert errno_of(sock.sendto, b"x", ("nowhere.example", 7))
        assert sock.sendto(b"y", ("echo", 7)) == 1
        assert sock.recv(10) == b"y"

    Life(app)


# Streams


@pytest.mark.parametrize("lost", [1, 8, 200])  # with 8, what ends the answer fills the gap
def test_octets_that_the_line_loses_leave_no_gap_in_a_stream(lost):
    def app(life):
        line = life.world.modem.port.line.to_host
        line.chunk = 1
        deliver, passed = line.deliver, 0

        def lose(data):  # in the second piece
            nonlocal passed
            passed += len(data)
            if not 2_500 <= passed < 2_500 + lost:
                deliver(data)

        sock = life.connect("api")
        sock.write(b"UG" + (8).to_bytes(2, "big") + (4_000).to_bytes(4, "big"))
        line.deliver = lose
        got = bytearray()

        def receive():
            while len(got) < 4_000:
                got.extend(sock.recv(100))

        assert errno_of(receive) in (sockets.ECONNRESET, sockets.ETIMEDOUT)
        assert len(got) >= 1_500
        assert got == bytes(i % 256 for i in range(len(got)))

    Life(app)


# Waiting, or not


def test_a_socket_that_does_not_wait_says_so_as_stock_ones_do():
    def app(life):
        sock = life.connect()
        sock.setblocking(False)
        assert sock.readline() is None
        assert sock.read(5) is None
        assert errno_of(sock.recv, 5) == sockets.EAGAIN
        done = 0
        while done < 4000:
            got = sock.write(bytes(4000 - done))
            if got is None:
                break
            done += got
        assert 1460 <= done < 4000
        assert errno_of(sock.send, b"x") == sockets.EAGAIN

    Life(app)


def test_nothing_is_read_at_once():
    def app(life):
        sock = life.connect()
        assert sock.recv(0) == b""
        assert sock.read(0) == b""
        assert sock.readinto(bytearray(0)) == 0

    Life(app)


def test_a_time_out_beyond_the_ticks_horizon_does_not_end_at_once():
    def app(life):
        sock = life.connect(timeout=700_000)
        sock.write(b"x")
        assert sock.read(1) == b"x"

    Life(app)


def test_a_poll_tells_a_refusal_and_the_next_call_raises_it():
    def app(life):
        sock = life.connect("sink")
        sock.write(b"x")
        life.guard.admission.broken = True
        assert sock.ioctl(3, 5) & 8
        assert errno_of(sock.write, b"x") == sockets.EDQUOT

    Life(app)


# Connecting


@pytest.mark.parametrize("host", ['a"b', "a\rb", "a b", "", "x" * 256, "\u00e9"])
def test_a_host_that_is_no_name_never_reaches_the_modem(host):
    def app(life):
        assert errno_of(sockets.socket().connect, (host, 80)) == sockets.EINVAL
        life.connect().close()

    Life(app)


@pytest.mark.parametrize("port", ["80", -1, 65_536, None])
def test_a_port_that_is_none_does_no_harm(port):
    def app(life):
        with pytest.raises((OSError, TypeError, ValueError)):
            sockets.socket().connect(("echo", port))
        for _ in range(3):
            life.connect()

    Life(app)


def test_connections_that_are_still_being_closed_are_waited_for():
    def app(life):
        for _ in range(12):
            sock = life.connect()
            sock.write(b"x")
            assert sock.read(1) == b"x"
            life.world.modem.faults.arm(faults.Slow(command="+QICLOSE=*", ms=8_000))
            sock.close()

    Life(app)


def test_an_application_cannot_take_the_connection_of_the_reports():
    def app(life):
        life.guard.sleep(60_000)
        life.guard.path.connection.fail(sockets.ECONNRESET)
        held = [life.connect() for _ in range(3)]
        assert errno_of(life.connect) == sockets.ENOBUFS
        told = life.guard.outbox.reports_acked
        life.guard.sleep(7_200_000)
        assert life.guard.outbox.reports_acked >= told + 1
        assert len(held) == 3

    Life(app)


def test_a_socket_of_a_life_that_crashed_is_dead():
    def app(life):
        old = life.connect()
        life.guard.crashed(1)
        life.guard.sleep(30_000)
        new = life.connect()
        assert errno_of(old.write, b"old") == sockets.EBADF
        old.close()
        new.write(b"new")
        assert new.read(3) == b"new"

    Life(app)


# The end of a stream


def test_a_stream_whose_last_octets_could_not_be_read_does_not_just_end():
    def app(life):
        sock = life.connect("api")
        sock.write(b"UG" + (8).to_bytes(2, "big") + (3000).to_bytes(4, "big"))
        assert len(sock.read(1)) == 1
        sock._connection.closed_by_peer()
        life.world.modem.faults.arm(faults.ResponseLost(command="+QIRD=*"))
        sock.settimeout(None)
        assert errno_of(sock.read) == sockets.ETIMEDOUT

    Life(app)


# A guard that cannot go on


def out_of_memory():
    """A generator in which the application's greed shows."""
    raise MemoryError
    yield


@pytest.mark.parametrize("turn", range(5))
def test_a_driver_whose_generator_found_no_memory_begins_again(turn):
    def app(life):
        modem = life.guard.modem
        sock = life.connect()
        modem._tasks[turn] = out_of_memory()
        life.guard.sleep(1_000)
        assert errno_of(sock.write, b"x") == 104  # ECONNRESET
        sock.close()
        sock = life.connect()
        sock.write(b"back")
        assert sock.read(4) == b"back"
        assert life.world.board.boots == 1

    Life(app)


def test_a_report_that_finds_no_memory_does_not_end_the_guard():
    def app(life):
        guard = life.guard
        with mock.patch.object(guard.outbox, "step", side_effect=MemoryError):
            life.guard.sleep(600_000)
            sock = life.connect()
            sock.write(b"back")
            assert sock.read(4) == b"back"
        assert life.world.board.boots == 1

    Life(app)


def test_a_refusal_without_waits_lets_the_guard_work_and_says_why():
    def app(life):
        guard = life.guard
        guard.sleep(60_000)
        guard.admission.broken = True
        refused = 0
        while guard.policy.names() != ["LEDGER_FAULT"] or guard.modem.data_wanted:
            with contextlib.suppress(OSError):
                life.connect()
            refused += 1
            assert refused < 100, "the guard never steps"
        with pytest.raises(OSError, match="LEDGER_FAULT") as caught:
            life.connect()
        assert caught.value.args[0] == sockets.EDQUOT
        before = guard.hal.ticks_ms()
        sock = sockets.socket()
        for _ in range(100):
            assert errno_of(sock.write, b"x") == 107  # ENOTCONN
        assert guard.hal.ticks_ms() > before

    Life(app)


def test_an_unknown_traffic_class_is_answered_with_the_known_ones():
    def app(life):
        with pytest.raises(KeyError, match=r"nonsense.*telemetry"):
            life.guard.traffic("nonsense")

    Life(app)


def fail(now):
    raise ZeroDivisionError


def test_the_watchdog_is_not_fed_by_a_guard_that_fails_at_each_step():
    def app(life):
        if life.world.board.boots == 1:
            life.guard.modem.step = fail
            while True:
                with contextlib.suppress(ZeroDivisionError):
                    life.guard.sleep(10_000)
                life.guard.hal.wait(life.guard.hal.ticks_ms() + 10_000)

    assert Life(app).world.board.boots == 2


# Whatever happens


def torture(life, rng):
    """Writes and reads at random; what comes back is what was sent."""
    sock = life.connect(timeout=120)
    sent, back = bytearray(), bytearray()
    buffer = bytearray(4000)
    for _ in range(60):
        act = rng.randrange(6)
        sock.settimeout(rng.choice([0, 0.05, 5, 120]))
        try:
            if act < 3 and len(sent) - len(back) < 6000:
                data = rng.randbytes(rng.choice([1, 7, 100, 1459, 1460, 1461, 3000]))
                before = sock._connection.tx.any()
                assert before <= 1460
                if sock._timeout > 0:
                    sock.settimeout(120)
                sent += data[: sock.write(data) or 0]
            elif act == 3:
                back += sock.read(rng.randrange(1, 40)) or b"" if not sock._timeout else b""
            elif act == 4:
                n = sock.readinto(buffer, rng.randrange(1, 4000))
                back += buffer[: n or 0]
            else:
                life.guard.sleep(rng.randrange(1, 3000))
        except TimeoutError:  # ETIMEDOUT
            pass
    sock.settimeout(120)
    while len(back) < len(sent):
        n = sock.readinto(buffer)
        assert n, "an end of file in the middle"
        back += buffer[:n]
    assert back == sent
    sock.close()


@pytest.mark.parametrize("seed", range(8))
def test_a_stream_comes_back_as_it_was_sent(seed):
    def app(life):
        rng = random.Random(seed)
        for _ in range(4):
            torture(life, rng)

    Life(app, loss=20 * (seed % 3), seed=seed)


def test_a_wait_that_began_with_work_ends_soon():
    """What is waited for may have come in the step before it, and nothing else comes to end it."""
    took = {True: [], False: []}

    def app(life):
        guard, hal = life.guard, life.guard.hal
        guard.sleep(120_000)
        for work in [True, False] * 20:
            guard.work = work
            began = hal.ticks_ms()
            guard.pump(ticks_add(began, 50_000))
            took[work].append(ticks_diff(hal.ticks_ms(), began))

    Life(app)
    assert max(took[True]) <= 200
    assert max(took[False]) > 1000
