"""A device that reports by way of a real broker, Mosquitto, to a real collector behind it."""

import asyncio
import contextlib
import json
import threading
from datetime import timedelta

import pytest
from aiomqtt import Client
from usageguard.config.load import MQTT_OCTETS

from host_tools import cli
from host_tools.collector.intake import NOT_REPORTS, Collector
from host_tools.collector.mqtt import Broker, receive
from host_tools.collector.store import Store
from host_tools.collector.writer import Writer
from host_tools.run.run import run_scenario
from host_tools.scenario import file as scenario
from host_tools.sim.network.bridge import BridgeHost
from tests.collector.servers import mosquitto
from tests.run.targets.conftest import serving

PATIENCE_S = 30

TEXT = """
title = "MQTT"
start = 2026-03-10T10:00:00+08:00
duration = "3h"
[plan]
allowance_octets = "3MB"
[upstream]
host = "broker"
interval_s = "30m"
mqtt = {{ prefix = "fleet" }}
[[host]]
name = "broker"
kind = "bridge"
to = "{address}"
"""


@contextlib.contextmanager
def collecting(port, db, world):
    """A collector behind the broker, in a thread of its own, with the simulated world's time. It is heard, and has
    counted what was no report."""

    async def story(stop):
        writer = Writer(collector)
        task = asyncio.create_task(receive(Broker.parse(f"mqtt://127.0.0.1:{port}/fleet"), collector, writer, print))
        async with Client("127.0.0.1", port) as client:
            while not collector.refusals[NOT_REPORTS]:
                await client.publish("fleet/r/x", b"no report", qos=1)
                await asyncio.sleep(0.05)
        heard.set()
        await stop.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await writer.close()

    keys = {world.device_id: bytes.fromhex(world.device_config()["device"]["key"])}
    with contextlib.closing(Store(db)) as store:
        collector = Collector(store, keys, world.clock.utc)
        loop, stop, heard = asyncio.new_event_loop(), asyncio.Event(), threading.Event()
        thread = threading.Thread(target=loop.run_until_complete, args=(story(stop),))
        thread.start()
        try:
            assert heard.wait(PATIENCE_S)
            yield store
        finally:
            loop.call_soon_threadsafe(stop.set)
            thread.join()
            loop.close()


def at_once(port):
    """A connection to the broker whose answers come in one piece, as virtual time stands still for one."""

    async def handle(reader, writer):
        broker, to_broker = await asyncio.open_connection("127.0.0.1", port)
        to_broker.write(await reader.read(4096))
        said = b""
        while b"fleet/a/" not in said and (data := await broker.read(4096)):
            said += data
        writer.write(said)
        to_broker.write(await reader.read(4096))
        for each in (to_broker, writer):
            each.close()

    return handle


@pytest.mark.realtime
@pytest.mark.proof
def test_reports_and_orders_by_way_of_a_broker(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(BridgeHost.__init__, "__defaults__", (PATIENCE_S,))
    db = tmp_path / "reports.sqlite"
    with mosquitto() as broker, serving(at_once(broker.port)) as address, contextlib.ExitStack() as stack:
        stores, devices = [], []

        def order(what):
            assert not cli.run(["order", what, devices[0], "--db", str(db), "--by", "Li"])

        def start(world):
            devices.append(world.device_id)
            stores.append(stack.enter_context(collecting(broker.port, db, world)))
            for hours, what in ((1, "stop"), (2, "resume")):
                world.clock.at(world.clock.us_of(world.clock.start + timedelta(hours=hours)), order, what)

        text = TEXT.format(address=address)
        result = run_scenario(scenario.loads(text, "test.toml"), "micropython", on_start=start).to_json()
        history = stores[0].history(devices[0])
    capsys.readouterr()
    assert not cli.run(["order", "list", "--db", str(db), "--json", "-"])
    orders = json.loads(capsys.readouterr().out)
    assert [(each["order"], each["state"]) for each in orders] == [("stop", "applied"), ("resume", "applied")]
    assert {each.path for each in history} == {"mqtt"}
    reports = [each.report for each in history]
    assert [each.seq for each in reports] == list(range(len(reports))), "none is lost, none comes twice"
    assert len(reports) >= 8
    device, carrier = result["device"], result["carrier"]
    assert 0 <= device["carried_octets"] - carrier["ip_octets"] <= device["error_bound_octets"]
    print(carrier["ip_octets"] // len(reports), "octets for a report")
    assert carrier["ip_octets"] <= MQTT_OCTETS * len(reports), "by which the configuration is checked"
