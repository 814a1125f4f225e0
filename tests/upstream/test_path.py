"""The path of reports: what becomes of it when nothing gets through."""

from types import SimpleNamespace

import pytest
from usageguard.modem.connection import FAILED, FREE, OPEN, OPENING
from usageguard.modem.names import Names
from usageguard.upstream.path import ReportPath

from tests.upstream.world import DAY, HOUR


class Connection:
    def __init__(self):
        self.state = FREE
        self.opened = 0
        self.tx_busy = False
        self.tx = SimpleNamespace(write=lambda *_: None)

    def open(self, tcp, host, port):
        self.opened += 1
        self.state = OPENING

    def close(self):
        self.state = FREE

    def flush(self, n):
        pass


class Rig:
    """`opens`: whether a connection opens; each second `ready` is called."""

    def __init__(self):
        self.opens = True
        self.renewed = 0
        self.connection = Connection()
        self.modem = SimpleNamespace(
            now=0,
            online=True,
            connections=[self.connection],
            renew_session=self.renew_session,
            names=Names(),
            name_octets=len,
        )
        admission = SimpleNamespace(reserve=0, open=lambda *_: True, transfer=lambda *_: self.admits)
        self.admits = True
        upstream = SimpleNamespace(host="collector", port=5683, sms_number=None, sms_orders=False)
        self.path = ReportPath(self.modem, admission, SimpleNamespace(upstream=upstream))

    def renew_session(self):
        self.renewed += 1

    def run(self, ms):
        until = self.modem.now + ms
        while self.modem.now < until:
            ready = self.path.ready()
            if self.connection.state == OPENING:
                self.connection.state = OPEN if self.opens else FAILED
            self.modem.now += 2_000
        return ready

    def fail(self, exchanges):
        for _ in range(exchanges):
            assert self.run(10_000)
            self.path.send(bytes(100), 100)
            self.path.renew()


def test_a_name_that_does_not_resolve_is_not_looked_up_all_the_time():
    rig = Rig()
    rig.opens = False
    rig.run(DAY)
    assert rig.connection.opened <= 7 + 24
    assert rig.renewed == 3, "after 4, 8 and 16 failures"
    rig.opens = True
    rig.run(HOUR)
    rig.path.answered()
    rig.opens = False
    rig.path.renew()
    before = rig.connection.opened
    rig.run(60_000)
    assert rig.connection.opened - before == 2, "from the start"


def test_the_session_is_renewed_with_back_off_and_at_least_daily():
    rig = Rig()
    found = []
    for n in range(1, 100):
        rig.fail(1)
        if rig.renewed > len(found):
            found.append(n)
    assert found == [4, 8, 16, 32, 56, 80]
    rig.path.answered()
    rig.fail(3)
    assert rig.renewed == len(found)
    rig.fail(1)
    assert rig.renewed == len(found) + 1


def test_a_session_that_serves_an_application_is_kept():
    rig = Rig()
    for _ in range(10):
        rig.path.alive = True
        rig.fail(1)
    assert rig.renewed == 0


@pytest.mark.parametrize("why", ["not admitted", "offline"])
def test_what_was_never_sent_proves_nothing(why):
    rig = Rig()
    if why == "offline":
        rig.modem.online = False
        rig.run(DAY)
    else:
        rig.admits = False
        rig.fail(10)
    assert rig.renewed == 0
