"""Random use under random faults, from a seed: in the end everything works again and nothing is left open."""

import random
import struct

import pytest
from usageguard.modem.connection import FREE, OPEN
from usageguard.modem.messenger import Messenger

from host_tools.sim.modem import faults
from host_tools.sim.modem.sockets import State

HOSTS = ("server.example", "echo.example", "nowhere.example", "sink.example")


def fault(rng, family):
    command = rng.choice([*family.commands.values(), "+C*", "*"])
    return rng.choice(
        (
            faults.Slow(command=command, ms=rng.choice((10, 1000, 6000, 20_000))),
            faults.Unanswered(command=command, count=rng.choice((1, 1, 2, 4))),
            faults.ResponseLost(command=command),
            faults.Answer(command=command),
            faults.HangOn(command=command),
            faults.RebootOn(command=command),
            faults.UrcBefore(command=command, line=family.received.format(0)),
            faults.UrcInside(command=command, line="+CEREG: 2"),
            faults.StallInside(command=command, after_octets=rng.randrange(1, 30), ms=rng.choice((50, 2000, 7000))),
            faults.SendFail(count=rng.choice((1, 3, 12))),
            faults.UrcLost(count=rng.choice((1, 2, 5))),
            faults.UrcSplit(after_octets=rng.randrange(1, 12), ms=300),
            faults.Garbage(octets=rng.choice((1, 20, 300, 3000))),
            faults.Reboot(),
            faults.Hang(),
            faults.BrownOut(ms=rng.choice((10, 3000))),
            faults.EchoOn(),
            faults.HalfOpen(id=family.first + rng.randrange(4)),
            faults.NoCoverage(ms=rng.choice((2000, 60_000, 600_000))),
            faults.SimOut(ms=rng.choice((1000, 60_000))),
            faults.StuckRegistration(on=rng.random() < 0.5),
            faults.CounterReset(),
        )
    )


def use(rig, rng, connections, messenger):
    """One thing that an application, or the guard, may do."""
    choice = rng.random()
    if choice < 0.3 or not connections:
        connection = rig.modem.free_connection()
        if connection is not None:
            connection.open(rng.random() < 0.7, rng.choice(HOSTS), 80)
            connections.append(connection)
        rig.run(rng.choice((0, 1, 30)))
    elif choice < 0.8:
        connection = rng.choice(connections)
        if connection.state == OPEN and not connection.tx_busy:
            n = rng.choice((8, 100, 1400))
            connection.tx.write(struct.pack(">2sHI", b"UG", n, rng.choice((0, 10, 3000, 20_000))) + bytes(n - 8), 0, n)
            connection.flush(n)
        connection.wanted = rng.random() < 0.5
        rig.run(rng.choice((0, 1, 10, 200)))
        if rng.random() < 0.7:
            rig.read(connection, rng.choice((10, 4000)), 5)
    else:
        connections.pop(rng.randrange(len(connections))).close()
        rig.run(rng.choice((0, 1, 20)))
    if rng.random() < 0.1:
        rig.modem.data_wanted = not rig.modem.data_wanted
        rig.run(rng.choice((1, 60)))
    if rng.random() < 0.1:
        messenger.send("+8613900000000", b"x" * 20)


@pytest.mark.parametrize("seed", range(8))
def test_recovers(make, family, seed):
    rng = random.Random(seed)
    start = rng.choice((0, (1 << 30) - 60_000))
    rig = make(seed=seed, chunk=rng.choice((1, 7, 120)), ticks_start=start).online()
    connections = []
    messenger = Messenger(rig.modem)
    for _ in range(rng.randrange(3, 12)):
        for _ in range(rng.choice((0, 1, 1, 2))):
            rig.sim.faults.inject(fault(rng, family))
        use(rig, rng, connections, messenger)
    rig.no_more_faults()
    for connection in connections:
        connection.close()
    rig.modem.data_wanted = True
    modem = rig.modem
    assert rig.run(4 * 3600, lambda: modem.online and all(each.state == FREE for each in modem.connections))
    rig.run(1200)
    assert rig.run(3600, lambda: modem.online)
    left = rig.sim.dialect.sockets.sockets.values()  # what ended with a session may stay until its number is used again
    assert all(each.state is State.CLOSING for each in left)
    connection = rig.connect()
    assert connection.state == OPEN
    assert rig.send(connection, struct.pack(">2sHI", b"UG", 100, 3000) + bytes(92))
    assert rig.read(connection, 3000) == bytes(i % 256 for i in range(3000))
    calls = [call[0] for call in rig.listener.calls]
    assert calls.count("opened") == calls.count("closed") + 1
