"""Where the sources disagree on what a modem does, its driver gets along with either way."""

from dataclasses import replace

import pytest

from host_tools.sim.modem.dialects import DIALECTS
from host_tools.sim.modem.models import load
from tests.modem.families import FAMILIES, with_quirk
from tests.modem.rig import IMSI, DriverRig
from tests.modem.test_driver_with_sim import answer, exchange, request

CASES = [
    (name, quirk, value)
    for name, family in FAMILIES.items()
    if not family.variant
    for quirk, values in DIALECTS[load(family.profile).dialect].quirks.items()
    for value in values
]


@pytest.mark.parametrize(("name", "quirk", "value"), CASES)
def test_a_driver_lives_with_each_quirk(tmp_path, name, quirk, value):
    family = FAMILIES[name]
    rig = DriverRig(replace(family, profile=str(with_quirk(tmp_path, family.profile, quirk, value)))).online()
    connections = [rig.connect(), rig.connect()]
    for connection in connections:
        for octets in (1, 12, 3000):
            exchange(rig, connection, octets)
    assert rig.send(connections[1], request(8000))
    rig.run(20)
    connections[1].close()
    rig.run(10)
    assert rig.listener.received_octets == 2 * 3013 + 8000
    assert rig.send(connections[0], b"not a request")
    assert rig.run(10, lambda: connections[0].state != 2)
    connections[0].close()
    rig.run(10)
    refused = rig.connect("nowhere.example")
    assert refused.errno == 113
    refused.close()
    datagrams = rig.connect("echo.example", 5683, tcp=False)
    for size in (2, 700):
        assert rig.send(datagrams, answer(size))
        assert rig.read(datagrams, size) == answer(size)
    rig.carrier.stop(IMSI)
    assert rig.run(100, lambda: rig.listener.count("refused", 133)), rig.listener.calls
    rig.carrier.resume(IMSI)
    assert rig.run(300, lambda: rig.modem.online)
    exchange(rig, rig.connect(), 300)
