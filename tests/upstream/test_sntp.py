"""SNTP on a connection that is played here; questions and answers as scapy reads and writes them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.ntp import NTP, NTPHeader
from usageguard.modem.connection import CLOSING, FAILED, FREE, OPEN, OPENING
from usageguard.upstream.sntp import Sntp

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
NTP_EPOCH = datetime(1900, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 3, 10, 4, 5, 6, tzinfo=UTC)
NONCE = bytes(range(1, 9))
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


class Ring:
    def __init__(self):
        self.held = b""

    def any(self):
        return len(self.held)

    def write(self, buf, at, n):
        self.held += bytes(buf[at : at + n])

    def readinto(self, buf, n):
        buf[:n], self.held = self.held[:n], b""


class Device:
    """One connection, an admission that takes everything, a clock that wants to know."""

    reserve = 2
    online = True

    def __init__(self, host=None, ntp_host="ntp.example"):
        self.now = 0
        self.state, self.traffic_class = FREE, 0
        self.rx, self.tx = Ring(), Ring()
        self.wanted, self.admits, self.incoming = True, True, False
        self.spent, self.times, self.events, self.opened = [], [], [], []
        self.refuses = False
        upstream = type("Upstream", (), {"host": host, "ntp_host": ntp_host})
        self.sntp = Sntp(self, self, self, upstream, self, 0)

    # The modem, and its connection
    def name_octets(self, host):
        return len(host)

    def free_connection(self, first):
        assert first == 1, "the first one is the collector's"
        return self if self.state == FREE else None

    def close(self):
        self.state = FREE
        self.rx.held = self.tx.held = b""

    def flush(self, n):
        assert n == len(self.tx.held)

    # The admission: to open, also the connection's
    def open(self, *args):
        if len(args) == 3 and args[0] == self.reserve:
            self.spent.append(args)
            return self.admits
        self.opened.append(args)
        self.state = OPENING
        return None

    def transfer(self, traffic_class, tcp, n):
        self.spent.append((traffic_class, tcp, n))
        return self.admits

    # The clock
    def wants_ntp(self, now):
        return self.wanted

    def ntp(self, day, second, now):
        self.times.append(EPOCH + timedelta(days=day, seconds=second))

    # The hardware
    def random(self, n):
        return NONCE[:n]

    def event(self, *what):
        self.events.append(what)

    def run(self, ms):
        """Steps for so long, as often as it wants; returns how often it opened a connection."""
        before, end = len(self.opened), self.now + ms
        while self.now < end:
            due = self.sntp.step(self.now & 0x3FFFFFFF)
            assert 0 < due <= HOUR
            self.now += min(due, end - self.now)
        return len(self.opened) - before

    def asked(self):
        """Steps until the question was sent; returns it."""
        self.run(1_000)
        self.state = OPEN
        self.run(1_000)
        return self.tx.held

    def answer(self, octets):
        self.rx.held = octets
        self.run(1_000)


def answer(sent=NOW, **fields):
    seconds = (sent - NTP_EPOCH).total_seconds() % (1 << 32)
    packet = NTPHeader(**{"mode": "server", "version": 4, "stratum": 2, "sent": seconds} | fields)
    octets = bytearray(bytes(packet))
    octets[24:32] = NONCE
    return bytes(octets)


def test_a_question_and_its_answer():
    device = Device()
    question = NTP(device.asked())
    assert (question.version, question.mode, question.stratum) == (4, 3, 0)
    assert bytes(question)[40:48] == NONCE
    assert device.opened == [(False, "ntp.example", 123)]
    assert device.spent == [(2, False, len("ntp.example")), (2, False, 48)], "in the class that may use the reserve"
    assert device.traffic_class == 2
    device.answer(answer())
    assert device.times == [NOW]
    assert device.state == FREE


@pytest.mark.parametrize("year", [2026, 2035, 2036, 2037, 2044])
def test_the_era_of_2036(year):
    device = Device()
    device.asked()
    device.answer(answer(NOW.replace(year=year)))
    assert device.times == [NOW.replace(year=year)]


@pytest.mark.parametrize(
    "wrong", [{"mode": "client"}, {"mode": "broadcast"}, {"leap": 3}, {"stratum": 16}, {"sent": NTP_EPOCH}]
)
def test_an_answer_that_says_nothing(wrong):
    device = Device()
    device.asked()
    device.answer(answer(**wrong))
    assert not device.times
    assert device.state == FREE


def test_an_answer_to_another_question():
    device = Device()
    device.asked()
    device.answer(answer()[:24] + bytes(8) + answer()[32:])
    assert not device.times


@given(st.binary(max_size=100))
@settings(derandomize=True, deadline=None)
def test_any_octets(octets):
    device = Device()
    device.asked()
    device.answer(octets)
    assert not device.times


def test_it_is_asked_less_and_less_often():
    device = Device()
    assert 11 <= device.run(DAY) <= 12, "a minute, doubled to a day"
    assert device.run(30 * DAY) <= 30
    assert device.run(10 * DAY) <= 10
    device.wanted = False
    assert device.run(20 * DAY) == 0
    device.wanted = True
    device.state = FREE
    assert device.run(HOUR) >= 2, "from the beginning"


def test_questions_that_are_lost_leave_time_for_two_answers_in_an_hour():
    device = Device()
    assert device.run(10 * MINUTE) == 3
    device.asked()
    device.answer(answer())
    assert device.run(10 * MINUTE) == 0, "an answer after less does not count"
    assert device.run(2 * MINUTE) == 1


def test_a_kiss_of_death_ends_the_questions_for_a_day():
    device = Device()
    device.asked()
    device.answer(answer(stratum=0))
    assert not device.times
    assert device.events == [("ntp-refused",)]
    assert device.run(DAY - HOUR) == 0
    assert device.run(2 * HOUR) == 1


def test_the_collector_comes_first():
    device = Device(host="collector.example")
    assert device.run(599_000) == 0
    assert device.run(3_000) == 1


@pytest.mark.parametrize("state", [FAILED, CLOSING])
def test_a_connection_that_fails_is_closed(state):
    device = Device()
    device.asked()
    device.state = state
    device.run(1_000)
    assert device.state == FREE
    assert device.run(HOUR) >= 1


def test_a_server_that_is_silent_holds_no_connection():
    device = Device()
    device.asked()
    device.run(61_000)
    assert device.state == FREE


def test_without_quota_or_data_session_nothing_is_opened():
    device = Device()
    device.admits = False
    assert device.run(HOUR) == 0
    device.admits, device.online = True, False
    assert device.run(HOUR) == 0
    device.online = True
    assert device.run(1_000) == 1
    device.admits, device.state = False, OPEN
    device.run(2_000)
    assert device.state == FREE, "an open connection without quota for the question"
