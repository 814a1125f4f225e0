"""The demonstration's fleet: what it lived shows on its page, and an order that is given there reaches its device."""

import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from host_tools.demo.devices import FATES, scenario
from tests.fleet.site import Client

ROOT = Path(__file__).parents[2]
FEW = """
from datetime import timedelta
from functools import partial
from host_tools.demo.devices import BEGIN, FATES, Fleet
from host_tools.demo.page import Page

few = {"fine": FATES["fine-3"], "stopped": {"rx": "2KB", "orders": {1: "stop"}}}
with Page(partial(Fleet, fates=few, pace=20_000, until=BEGIN + timedelta(days=3))) as page:
    page.start()
    page.serve(lambda text: print(text, flush=True))
print("over")
"""


class Site:
    """A page that somebody else serves."""

    def __init__(self, port):
        self.port = port
        self.address = f"http://127.0.0.1:{port}"


def first_login(link):
    port, code = re.search(r"http://127\.0\.0\.1:(\d+)/first#(\S+)", link).groups()
    client = Client(Site(int(port)))
    assert client.post("/first", {"code": code, "name": "me", "password": "made-up password"}).status == 303
    client.csrf = re.search(r'name="csrf" value="(\w+)"', client.get("/").text)[1]
    return client


def states(client):
    found = re.findall(r'<a href="/devices/([\w-]+)">.*?class="state s(\d)"', client.get("/").text, re.S)
    return {device: int(state) for device, state in found}


@pytest.mark.realtime
@pytest.mark.proof
def test_an_order_that_is_given_on_the_page_reaches_its_device():
    with subprocess.Popen([sys.executable, "-c", FEW], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = [process.stdout.readline() for _ in range(3)]
            assert "Ctrl-C ends it" in said[0]
            client = first_login(said[2])
            assert states(client) == {"fine": 6, "stopped": 2}
            for what, device, state in (("stop", "fine", 2), ("resume", "stopped", 6)):
                assert client.post(f"/devices/{device}/orders", {"what": what}).status == 303
                end = time.monotonic() + 120
                while states(client)[device] != state:
                    assert time.monotonic() < end, client.get(f"/devices/{device}").text
                    time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == ("over\n", None)
        finally:
            process.kill()
    assert process.returncode == 0


def test_each_fate_is_a_scenario():
    assert {scenario(name, fate, random.Random(1)).device["id"] for name, fate in FATES.items()} == {*FATES}
