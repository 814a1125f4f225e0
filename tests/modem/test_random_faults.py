"""Random use under random faults, from a seed: in the end everything works again and nothing is left open."""

import random
import struct

import pytest
from usageguard.modem.slot import FREE, OPEN
from usageguard.modem.sms import Messenger

from host_tools.sim.modem import faults
from tests.modem.bench import Bench

COMMANDS = ("+QISEND*", "+QIRD*", "+QIOPEN*", "+QICLOSE*", "+QIACT*", "+QIDEACT*", "+C*", "+QGDCNT*", "*")
HOSTS = ("server.example", "echo.example", "nowhere.example", "sink.example")


def fault(rng):
    command = rng.choice(COMMANDS)
    return rng.choice(
        (
            faults.Slow(command=command, ms=rng.choice((10, 1000, 6000, 20_000))),
            faults.Unanswered(command=command, count=rng.choice((1, 1, 2, 4))),
            faults.ResponseLost(command=command),
            faults.Answer(command=command),
            faults.HangOn(command=command),
            faults.RebootOn(command=command),
            faults.UrcBefore(command=command, line='+QIURC: "recv",0'),
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
            faults.HalfOpen(id=rng.randrange(4)),
            faults.NoCoverage(ms=rng.choice((2000, 60_000, 600_000))),
            faults.SimOut(ms=rng.choice((1000, 60_000))),
            faults.StuckRegistration(on=rng.random() < 0.5),
            faults.CounterReset(),
        )
    )


def use(bench, rng, slots, messenger):
    """One thing that an application, or the guard, may do."""
    choice = rng.random()
    if choice < 0.3 or not slots:
        slot = bench.modem.free_slot()
        if slot is not None:
            slot.open(rng.random() < 0.7, rng.choice(HOSTS), 80)
            slots.append(slot)
        bench.run(rng.choice((0, 1, 30)))
    elif choice < 0.8:
        slot = rng.choice(slots)
        if slot.state == OPEN and not slot.tx_busy:
            n = rng.choice((8, 100, 1400))
            slot.tx.write(struct.pack(">2sHI", b"UG", n, rng.choice((0, 10, 3000, 20_000))) + bytes(n - 8), 0, n)
            slot.flush(n)
        slot.wanted = rng.random() < 0.5
        bench.run(rng.choice((0, 1, 10, 200)))
        if rng.random() < 0.7:
            bench.read(slot, rng.choice((10, 4000)), 5)
    else:
        slots.pop(rng.randrange(len(slots))).close()
        bench.run(rng.choice((0, 1, 20)))
    if rng.random() < 0.1:
        bench.modem.data_wanted = not bench.modem.data_wanted
        bench.run(rng.choice((1, 60)))
    if rng.random() < 0.1:
        messenger.send("+8613900000000", b"x" * 20)


@pytest.mark.parametrize("seed", range(25))
def test_recovers(seed):
    rng = random.Random(seed)
    start = rng.choice((0, (1 << 30) - 60_000))
    bench = Bench(seed=seed, chunk=rng.choice((1, 7, 120)), ticks_start=start).online()
    slots = []
    messenger = Messenger(bench.modem)
    for _ in range(rng.randrange(3, 12)):
        for _ in range(rng.choice((0, 1, 1, 2))):
            bench.sim.faults.inject(fault(rng))
        use(bench, rng, slots, messenger)
    bench.no_more_faults()
    for slot in slots:
        slot.close()
    bench.modem.data_wanted = True
    modem = bench.modem
    assert bench.run(4 * 3600, lambda: modem.online and all(slot.state == FREE for slot in modem.slots))
    bench.run(1200)
    assert bench.run(3600, lambda: modem.online)
    assert not bench.sim.sockets.sockets
    slot = bench.connect()
    assert slot.state == OPEN
    assert bench.send(slot, struct.pack(">2sHI", b"UG", 100, 3000) + bytes(92))
    assert bench.read(slot, 3000) == bytes(i % 256 for i in range(3000))
    calls = [call[0] for call in bench.account.calls]
    assert calls.count("opened") == calls.count("closed") + 1
