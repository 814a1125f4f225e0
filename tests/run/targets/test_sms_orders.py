"""A device on the VM whose orders come by SMS: its own are applied and acknowledged, all others are counted."""

import json
import re
from datetime import timedelta
from functools import partial

import pytest

from host_tools import cli
from host_tools.collector.order import Order
from host_tools.collector.store import Store
from host_tools.collector.verify import seal_sms_order
from host_tools.run import world as world_module
from host_tools.run.run import run_scenario
from host_tools.scenario import file as scenario
from host_tools.sim.modem import tpdu
from tests.run.targets.conftest import told

TEXT = """
title = "orders by SMS"
start = 2026-03-10T10:00:00+08:00
duration = "5h"
[plan]
allowance_octets = "3MB"
[upstream]
host = "collector"
interval_s = "12h"
sms_number = "+8613800138000"
sms_orders = true
[carrier]
permille = 1000
[[host]]
name = "collector"
kind = "collector"
"""


@pytest.mark.proof
def test_a_stop_and_its_end_by_sms_and_what_is_none_of_its_orders(tmp_path, monkeypatch, capsys):
    db, keys = tmp_path / "reports.sqlite", tmp_path / "keys.toml"
    monkeypatch.setattr(world_module, "Store", partial(Store, db))
    world, sent = None, []

    def deliver(octets, coding=tpdu.OCTETS):
        unit = tpdu.deliver("+8613900000000", coding, octets, world.clock.utc() + timedelta(hours=8))
        assert world.modem.short_messages.deliver(unit)

    def order(what):
        argv = ["order", what, world.device_id, "--db", str(db), "--by", "Li", "--sms", "-", "--keys", str(keys)]
        assert not cli.run(argv)
        printed = "".join(capsys.readouterr().out.split())
        sent.append(bytes.fromhex(re.search(r"octetsof8-bitdata:([0-9A-F]+)", printed)[1]))
        deliver(sent[-1])

    def lies():
        key = bytes.fromhex(world.device_config()["device"]["key"])
        life = world.store.latest(world.device_id).report.life_id
        stop = Order(counter=99, stop=1)
        deliver(sent[0])  # the stop again, which was lifted
        deliver(sent[-1][:-1] + bytes([sent[-1][-1] ^ 1]))
        deliver(seal_sms_order(bytes(32), world.device_id, life, stop))  # without the key
        deliver(seal_sms_order(key, "tracker-002", life, stop))  # another device's
        deliver(seal_sms_order(key, world.device_id, b"else", stop))  # of another life
        deliver(tpdu.to_septets("Your package ends soon"), tpdu.GSM7)

    def start(made):
        nonlocal world
        world = made
        keys.write_text(f'"{world.device_id}" = "{world.device_config()["device"]["key"]}"\n')

        def at(hours, act, *given):
            world.clock.at(world.clock.us_of(world.clock.start + timedelta(hours=hours)), act, *given)

        at(1, order, "stop")
        at(2, order, "resume")
        at(3, lies)
        at(3.5, world.carrier.stop, world_module.IMSI)
        at(4, order, "diagnose")

    result = run_scenario(scenario.loads(TEXT, "test.toml"), "micropython", on_start=start).to_json()
    assert not cli.run(["order", "list", "--db", str(db), "--json", "-"])
    orders = json.loads(capsys.readouterr().out)
    assert [(each["order"], each["state"]) for each in orders] == [
        *(("stop by SMS", "applied"), ("resume by SMS", "applied"), ("diagnose by SMS", "applied")),
    ]
    verdicts = [what for what, *_ in told(result, "verdict-")]
    assert [v for v, before in zip(verdicts, [None, *verdicts], strict=False) if v != before] == [
        *("verdict-open", "verdict-restricted", "verdict-open", "verdict-terminated"),
    ]
    assert [a for _, a, _ in told(result, "sms-refused")] == [1, 2, 3, 4, 5, 6]
    assert not told(result, "order-refused")
    latest = world.store.latest(world.device_id)
    assert (latest.path, latest.report.counter, latest.report.refused) == ("sms", 3, 0)
    assert latest.report.cause > 0, "acknowledged by SMS, with the diagnosis"
    assert not world.modem.short_messages._memories["SM"], "what was read is deleted"
