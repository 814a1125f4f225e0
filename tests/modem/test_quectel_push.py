"""Downloads that a simulated Quectel module pushes, while things go wrong: no octet of the stream is handed over out of
its place, and all that arrived is counted."""

import random
from dataclasses import replace

import pytest
from usageguard.modem.connection import FREE
from usageguard.modem.quectel_push import QuectelPush

from host_tools.sim.modem.faults import (
    BrownOut,
    Garbage,
    Hang,
    HangOn,
    NoCoverage,
    Reboot,
    RebootOn,
    ResponseLost,
    ResultLate,
    Slow,
    Unanswered,
    Urc,
)
from tests.modem import matrix
from tests.modem.families import FAMILIES
from tests.modem.rig import DriverRig, Listener
from tests.modem.test_driver_with_sim import FAULTS, answer, request

PUSHED = replace(FAMILIES["quectel"], driver=QuectelPush)
OCTETS = 60_000
SWITCH = "+QISWTMD=*"
HEADER = b'\r\n+QIURC: "recv",0,1500\r\n'

# What happens to the modem within a push.
STRUCK = {
    "reboot": Reboot(),
    "hang": Hang(),
    "brown-out": BrownOut(ms=500),
    "garbage": Garbage(octets=200),
    "no coverage": NoCoverage(ms=5000),
    "RDY was lost": Urc(line="+CFUN: 1"),
    "code between two pushes": Urc(line="+CEREG: 1"),
    "the end of the push is slow": Slow(command=SWITCH, ms=3000),
    "the end of the push is told late": ResultLate(command=SWITCH, ms=7000),
    "the end of the push is not told": ResponseLost(command=SWITCH),
    "the end of the push is not heard": Unanswered(command=SWITCH),
    "reboot at the end of the push": RebootOn(command=SWITCH),
    "hang at the end of the push": HangOn(command=SWITCH),
}
# What the line makes of an announcement and its payload.
DAMAGED = {
    "lost announcement": lambda data: data.replace(HEADER, b""),
    "announcement cut short": lambda data: data.replace(HEADER, HEADER[:14]),
    "announcement without its end": lambda data: data.replace(HEADER, HEADER[:-3]),
    "another number": lambda data: data.replace(b",0,1500", b",7,1500"),
    "a smaller number of octets": lambda data: data.replace(b",1500", b",150"),
    "a larger number of octets": lambda data: data.replace(b",1500", b",15007"),
    "lost octets": lambda data: data[:700] + data[790:],
    "other octets between": lambda data: data[:700] + b"\r\n+CEREG: 1\r\n" + data[700:],
    "no end": lambda data: data[:-2],
}


class Counts(Listener):
    class policy:  # noqa: N801
        room = 1 << 20


class Rig(DriverRig):
    """`arrived()` is what the modem took in of all streams."""

    def __init__(self, seed=1, **options):
        self.rng = random.Random(seed)
        super().__init__(PUSHED, seed=seed, chunk=480, **options)
        self.listener = Counts()
        self.line.flow_control = True
        self.line.set_baud(921_600)
        self.sim.port.set_rate(921_600)
        self.sim.port.nvm.store("+IPR", "921600")
        self.sockets = []
        opened = self.sim.dialect.sockets.opened
        self.sim.dialect.sockets.opened = lambda socket, failure: (self.sockets.append(socket), opened(socket, failure))
        self.pushes = 0
        push = self.sim.port.push
        self.sim.port.push = lambda *given: (setattr(self, "pushes", self.pushes + 1), push(*given))
        self.restart()

    def online(self):
        super().online()
        self.config.counter = False  # from here on nothing that arrives is left to it
        return self

    def arrived(self):
        return sum(each.read_octets + each.unread for each in self.sockets)

    def counted(self):
        return self.listener.received_octets + self.listener.abandoned_octets


def test_a_download_is_pushed():
    rig = Rig().online()
    connection = rig.connect()
    rig.send(connection, request(OCTETS))
    assert rig.read(connection, OCTETS) == answer(OCTETS)
    assert rig.pushes > OCTETS // 1_500 - 10
    assert rig.listener.received_octets == OCTETS
    rig.send(connection, request(300))
    assert rig.read(connection, 300) == answer(300)
    connection.close()
    assert rig.run(30, lambda: connection.state == FREE)
    assert rig.counted() == rig.arrived() == OCTETS + 300


def outcome(rig, harm):
    """Lets `harm(rig)` happen within a download; the octets that the application had, and whether it was told of a
    fault. Whatever it was: the next download works, and all that arrived is counted."""
    rig.online()
    connection = rig.connect()
    rig.send(connection, request(OCTETS))
    got = bytearray()
    more = rig.rng.randrange(3, 12)
    while rig.pushes < more:
        got += rig.read(connection, 500)
    harm(rig)
    got += rig.read(connection, OCTETS - len(got), 80)
    failed = connection.errno != 0
    connection.close()
    assert rig.run(600, lambda: rig.modem.online and connection.state == FREE)
    rig.run(30)
    assert rig.counted() >= rig.arrived()
    connection = rig.connect()
    rig.send(connection, request(OCTETS))
    assert rig.read(connection, OCTETS) == answer(OCTETS)
    connection.close()
    rig.run(30)
    assert rig.counted() >= rig.arrived()
    return bytes(got), failed


def damage(change):
    """Has the line change the next whole push."""

    def harm(rig):
        write = rig.line.to_host.write

        def once(data):
            changed = change(data) if data.startswith(HEADER) else data
            if changed != data:
                rig.line.to_host.write = write
            write(changed)

        rig.line.to_host.write = once

    return harm


def quick(names, *chosen):
    return [pytest.param(name, marks=() if name in chosen else pytest.mark.proof) for name in names]


@pytest.mark.parametrize("name", quick(STRUCK, "reboot", "the end of the push is told late"))
def test_a_fault_within_a_push(name):
    for seed in (1, 2, 3):
        got, failed = outcome(Rig(seed), lambda rig: rig.sim.faults.inject(STRUCK[name]))
        assert failed or got == answer(OCTETS)
        if name not in ("garbage", "RDY was lost"):  # which may fall into a payload
            assert answer(OCTETS).startswith(got)


@pytest.mark.parametrize("name", quick(DAMAGED, "announcement cut short", "lost octets"))
def test_damage_on_the_line(name):
    for seed in (1, 2, 3):
        got, failed = outcome(Rig(seed), damage(DAMAGED[name]))
        assert (failed and len(got) < OCTETS) or got == answer(OCTETS)
        assert failed or name == "no end"


@pytest.mark.parametrize("fault", [pytest.param(fault, marks=pytest.mark.proof) for fault in FAULTS])
def test_every_fault_of_the_family(fault, monkeypatch):
    monkeypatch.setitem(matrix.FAMILIES, "pushed", PUSHED)
    assert all(matrix.trial("pushed", fault, seed).passed for seed in matrix.SEEDS)
