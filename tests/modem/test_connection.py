"""What a connection of the modem charges, and when: before it sends, also at its close, and what its loss may hide."""

from types import SimpleNamespace

import pytest
from usageguard.at.channel import FOREVER_MS
from usageguard.modem.connection import CLOSING, ECONNRESET, ENETDOWN, FAILED, FREE, OPEN, OPENING, Connection, Deadline

SIZE = 1460


class Booked:
    """An admission and a listener: writes down what it is asked, and answers with `admits`."""

    def __init__(self):
        self.admits = True
        self.calls = []
        self.connection = None

    def transfer(self, traffic_class, tcp, n):
        self.calls.append(("transfer", traffic_class, tcp, n, self.connection._to_send))
        return self.admits

    def abandoned(self, connection, octets):
        self.calls.append(("abandoned", connection.index))

    def looked_up(self, name_octets):
        pass

    def closed(self, connection):
        self.calls.append(("closed", connection.index))


class Modem(SimpleNamespace):
    def __init__(self):
        super().__init__(online=True, paused=False, poked=False, segment=bytearray(SIZE), segment_owner=None)


class OneConnection(Connection):
    def _connect(self, host, port):
        self.asked = (host, port)

    def _run(self):
        return None


@pytest.fixture
def booked():
    return Booked()


@pytest.fixture
def opened(booked):
    """A connection that is open, in class 2."""
    modem = Modem()
    modem.listener = booked
    connection = OneConnection(modem, 3)
    booked.connection = connection
    connection.open(True, "api", 80)
    connection.state, connection._dirty, connection._opened = OPEN, True, True
    connection.traffic_class = 2
    modem.poked = False
    return connection


def test_what_is_corked_is_charged_before_it_is_sent(opened, booked):
    opened.tx.write(bytes(100), 0, 100)
    assert opened.uncork(booked)
    assert booked.calls == [("transfer", 2, True, 100, 0)]
    assert (opened._to_send, opened.tx_busy, opened.modem.poked) == (100, True, True)


def test_what_is_not_admitted_is_not_sent(opened, booked):
    booked.admits = False
    opened.tx.write(bytes(100), 0, 100)
    assert not opened.uncork(booked)
    assert (opened._to_send, opened.tx_busy) == (0, False)
    opened.finish(booked)
    assert (opened._to_send, opened.state) == (0, CLOSING)


@pytest.mark.parametrize("hindered", ["empty", "busy", "not open", "slowed"])
def test_nothing_is_charged_while_nothing_can_be_sent(opened, booked, hindered):
    if hindered != "empty":
        opened.tx.write(bytes(100), 0, 100)
    opened.tx_busy = hindered == "busy"
    opened.state = OPENING if hindered == "not open" else OPEN
    opened.modem.paused, opened.owner = True, "a socket" if hindered == "slowed" else None
    assert opened.uncork(booked)
    assert (booked.calls, opened._to_send) == ([], 0)


def test_the_guards_own_connection_is_not_slowed(opened, booked):
    opened.modem.paused = True
    opened.tx.write(bytes(100), 0, 100)
    opened.uncork(booked)
    assert len(booked.calls) == 1


def test_a_close_charges_what_was_not_sent_yet_and_only_that(opened, booked):
    opened.tx.write(bytes(100), 0, 100)
    opened.uncork(booked)
    opened.tx.write(bytes(50), 0, 50)
    booked.calls.clear()
    opened.finish(booked)
    assert booked.calls == [("transfer", 2, True, 50, 100)]
    assert (opened._to_send, opened.state, opened.tx_busy) == (150, CLOSING, True)


@pytest.mark.parametrize("state", [OPENING, FAILED])
def test_a_close_before_or_after_the_connection_charges_nothing(opened, booked, state):
    opened.state = state
    opened.tx.write(bytes(50), 0, 50)
    opened.finish(booked)
    assert (booked.calls, opened.state) == ([], CLOSING)


def test_a_close_with_nothing_to_send_charges_nothing(opened, booked):
    opened.finish(booked)
    assert (booked.calls, opened._to_send, opened.tx_busy) == ([], 0, False)


def test_what_a_lost_modem_held_is_charged_once(opened, booked):
    opened.lost(ECONNRESET, True)
    assert booked.calls == [("abandoned", 3), ("closed", 3)]
    assert (opened.state, opened.errno) == (FAILED, ECONNRESET)
    opened.lost(ECONNRESET, True)
    assert len(booked.calls) == 2


@pytest.mark.parametrize("case", ["all was read", "never open", "ended"])
def test_nothing_is_charged_for_what_cannot_have_come(opened, booked, case):
    opened._opened = case != "never open"
    opened._dirty = case != "ended"
    opened.lost(ECONNRESET, case != "all was read")
    assert ("abandoned", 3) not in booked.calls


def test_a_connection_that_is_lost_while_it_closes_is_left_to_its_driver(opened, booked):
    opened.tx.write(bytes(50), 0, 50)
    opened.rx.write(bytes(50), 0, 50)
    opened.owner, opened.wanted, opened.readable_hint = "a socket", True, True
    opened.close()
    assert opened.state == CLOSING
    opened.lost(ECONNRESET, True)
    assert (opened.state, opened._dirty, opened.errno, opened.modem.poked) == (CLOSING, False, ECONNRESET, True)
    assert [call[0] for call in booked.calls] == ["abandoned", "closed"]
    opened._free()
    assert (opened.state, opened.owner, opened.wanted, opened.readable_hint) == (FREE, None, False, False)
    assert (opened.rx.any(), opened.tx.any()) == (0, 0)
    assert len(booked.calls) == 2


def test_what_is_being_opened_is_left_to_its_driver_too(opened):
    opened.state, opened._dirty, opened._opened = OPENING, False, False
    opened.close()
    assert opened.state == CLOSING, "the opening is under way: the next one must not begin in the middle of it"


def test_a_failure_forgets_what_was_to_be_sent(opened, booked):
    opened.tx.write(bytes(100), 0, 100)
    opened.uncork(booked)
    assert opened._take_segment()
    opened.flush(0)
    assert opened.tx_busy, "a segment is on its way"
    opened.modem.poked = False
    opened.fail(ENETDOWN)
    assert (opened.state, opened.errno, opened.tx_busy) == (FAILED, ENETDOWN, False)
    assert (opened._segment, opened._to_send) == (0, 0)
    assert (opened.modem.segment_owner, opened.modem.poked) == (None, True)
    opened.fail(ECONNRESET)
    assert opened.errno == ENETDOWN, "the first one"


def test_a_segment_is_one_connections_at_a_time(opened, booked):
    other = OneConnection(opened.modem, 4)
    opened.modem.segment_owner = other
    opened.tx.write(bytes(range(200)), 0, 200)
    opened.flush(200)
    assert not opened._take_segment()
    opened._drop_segment()
    assert opened.modem.segment_owner is other
    other._drop_segment()
    assert opened._take_segment()
    assert (opened._segment, opened._to_send, bytes(opened.modem.segment[:200])) == (200, 0, bytes(range(200)))
    assert opened._take_segment(), "it has it"


def test_a_connection_that_is_offline_fails_at_once_and_one_in_use_is_not_opened():
    modem = Modem()
    modem.online = False
    connection = OneConnection(modem, 0)
    connection.open(False, "api", 80)
    assert (connection.state, connection.errno, connection.tcp, modem.poked) == (FAILED, ENETDOWN, False, True)
    with pytest.raises(OSError, match="in use"):
        connection.open(True, "api", 80)
    modem.online = True
    connection.close()
    assert connection.state == FREE, "the modem has none"
    connection.open(True, "api", 81)
    assert (connection.state, connection.errno, connection.tcp, connection.asked) == (OPENING, 0, True, ("api", 81))


def test_a_deadline():
    deadline = Deadline()
    assert (deadline.due(0), deadline.left(0)) == (False, FOREVER_MS)
    deadline.set(100, 50)
    assert [(deadline.due(now), deadline.left(now)) for now in (100, 149, 150, 151)] == [
        (False, 50), (False, 1), (True, 0), (True, 0),
    ]  # fmt: skip
    deadline.clear()
    assert not deadline.due(151)
