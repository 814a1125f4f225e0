"""What the bench makes of a world's parts."""

import cbor2
import pytest
from aiocoap import CON, POST, Message

from host_tools.run.world import World, cycle_id
from host_tools.scenario import file as scenario
from host_tools.sim.board import PWRON, SOFT, WDT, PowerLoss
from host_tools.sim.clock import S
from tests.collector.sealed import sealed

MARCH = 9556
"""Days from 2000-01-01 to 2026-03-01."""

SCENARIO = """
title = "A test"
start = 2026-03-10T00:00:00+08:00
duration = "1d"
[device]
id = "tracker-001"
[plan]
allowance_octets = "1MB"
[upstream]
host = "collector"
[[host]]
name = "collector"
kind = "collector"
"""


def world(more):
    return World(scenario.loads(SCENARIO + more, "test.toml"), 1, {})


@pytest.mark.parametrize(
    ("label", "number"),
    [("test", 1), ("silent", 2), ("2000-01-17", 16), ("2026-03-01", MARCH), ("2026-04-01", MARCH + 31)],
)
def test_the_devices_number_of_a_cycle(label, number):
    assert cycle_id(label) == number


@pytest.mark.parametrize(
    ("fault", "cause", "off_s", "logged"),
    [
        ('kind = "power_cut"\noff = "45s"', PWRON, 45, ("bench", "power-cut")),
        ('kind = "reset"', WDT, 0, ("bench", "reset")),
        ('kind = "reset"\ncause = "soft"', SOFT, 0, ("bench", "reset")),
    ],
)
def test_faults_of_the_board_strike_at_their_time(fault, cause, off_s, logged):
    here = world(f'[[fault]]\nat = "1h"\n{fault}\n')
    here.board.boot(PWRON)
    here.clock.run_until(3600 * S - 1)
    here.board.handle(0, 0, 0, b"")
    here.clock.run_until(3600 * S)
    with pytest.raises(PowerLoss) as caught:
        here.board.handle(0, 0, 0, b"")
    assert (caught.value.cause, caught.value.off_us) == (cause, off_s * S)
    assert [(e["who"], e["what"]) for e in here.log.events] == [("device", "boot"), logged]


def test_faults_of_the_modem_strike_at_their_time():
    here = world('[[fault]]\nat = "1h"\nkind = "slow"\nms = 5\n[[fault]]\nat = "2h"\nkind = "hang"\n')
    here.clock.run_until(3600 * S - 1)
    assert not here.modem.faults.armed
    here.clock.run_until(3600 * S)
    assert here.modem.faults.armed
    assert not here.modem.port.hung
    here.clock.run_until(7200 * S)
    assert here.modem.port.hung
    assert [(e["what"], e["kind"]) for e in here.log.events] == [("fault", "slow"), ("fault", "hang")]


def test_a_report_is_answered_with_what_the_owner_and_the_platform_say():
    here = world(
        '[carrier.account]\nbalance_fen = 900\n[owner]\npush = ["balance"]\n'
        '[[order]]\nat = "2h"\nlimit_octets = "10KB"\n[[platform]]\nat = "150m"\naction = "recharge"\nfen = 100\n'
    )
    key = bytes.fromhex(here.scenario.device_config()["device"]["key"])

    def told(hours, seq, counter):
        here.clock.run_until(hours * 3600 * S)
        blob = sealed(key=key, boot_id=1, seq=seq, cycle_id=MARCH, counter=counter)
        request = Message(code=POST, payload=blob, uri_path=("r",), _mtype=CON, _mid=seq, _token=b"ab")
        reply = Message.decode(here.collector.coap(request.encode()))
        return cbor2.loads(cbor2.loads(reply.payload)[2])[3:]

    assert told(1, 0, counter=0) == [1, {5: [MARCH, 900, 0]}]
    assert told(2, 1, counter=0) == [1, {5: [MARCH, 900, 0]}], "until the device has it"
    assert told(3, 2, counter=1) == [2, {2: 10 << 10, 5: [MARCH, 1000, 0]}]
    assert told(4, 3, counter=2) == []
    assert here.owner.sent == 2
    orders = [(e["counter"], e["keys"]) for e in here.log.events if e["who"] == "owner"]
    assert orders == [(1, "balance"), (2, "limit balance")]
