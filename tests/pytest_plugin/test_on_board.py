"""The target board:… through a virtual board: in real time, over its REPL and a cable for the modem."""

import pytest

pytest_plugins = ["pytester"]
pytestmark = [pytest.mark.realtime, pytest.mark.proof]

TEST = """
import pytest
from host_tools.base.errors import UsageError

def test_app(bench, carrier, guard):
    run = bench.run("app.py", hosts={"api.example": "responder"}, duration="25s")
    assert run.passed
    assert guard.boots == 1
    assert run.find("device", "asked")
    assert {event["a"] for event in run.find("device", "asked")} == {500}
    assert 500 < carrier.billed_octets < 20_000

def test_power_and_stops(bench, carrier, guard):
    bench.start("app.py", hosts={"api.example": "responder"}, duration="1m")
    bench.wait_until(lambda: carrier.billed_octets, within="25s", step="1s")
    carrier.stop()
    with pytest.raises(UsageError, match="by faults of the scenario only"):
        bench.reset()
    bench.cut_power("1s")
    bench.advance("10s")
    assert carrier.stops() == ["manual"]
    assert guard.boots == 2
"""
APP = """
import socket

def main(guard):
    while True:
        guard.sleep(2000)
        sock = socket.socket()
        try:
            sock.settimeout(20)
            sock.connect(("api.example", 7000))
            sock.write(b"UG" + bytes((0, 8)) + (500).to_bytes(4, "big"))
            got = 0
            while got < 500:
                got += len(sock.read(500 - got))
            guard.hal.event("asked", got)
        except OSError as error:
            print("no:", error)
        finally:
            sock.close()
"""


def test_an_application_is_tested_on_a_board(pytester):
    pytester.makepyfile(TEST, app=APP)
    pytester.runpytest_subprocess("--target=board:virtual").assert_outcomes(passed=2)
