"""A rig: one modem, its carrier and internet, and a host that types."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

import pytest

from host_tools.sim.carrier import Carrier, Enforcement, Rating, SimPlan
from host_tools.sim.clock import MS, Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.modem import SimCard, SimModem, load
from host_tools.sim.network.hosts import Responder
from host_tools.sim.network.internet import Internet
from host_tools.sim.serial import SerialLine

IMSI = "460001234567890"
FINALS = (
    b"OK\r\n",
    b"ERROR\r\n",
    b"SEND OK\r\n",
    b"SEND FAIL\r\n",
    b"NO CARRIER\r\n",
    b"CONNECT\r\n",
    b"\r\n> ",
    b"\r\n>",
)


class ModemRig:
    """`send` types a line and gives what came back up to the final result; `run` lets time pass."""

    def __init__(
        self, *, boot: bool = True, profile: Any = None, card: SimCard | None = None, seed: int = 1
    ) -> None:
        self.clock = Clock(datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC))
        self.log = EventLog(self.clock)
        rng = random.Random(seed)
        self.internet = Internet(self.clock, rng)
        self.responder = Responder()
        self.responder_ip = self.internet.add_host("server.example", self.responder)
        self.carrier = Carrier(self.clock, self.internet, Rating(), Enforcement(), self.log)
        self.carrier.add_sim(IMSI, SimPlan(allowance_octets=30 * 1024 * 1024))
        self.line = SerialLine(self.clock)
        self.out = bytearray()
        self.line.to_host.deliver = self.out.extend
        self.card = card or SimCard(iccid="89860012345678901234", imsi=IMSI, msisdn="+8613912345678")
        self.profile = profile or load("quectel-ec200u")
        self.modem = SimModem(self.clock, self.line, self.profile, self.carrier, self.card, rng, self.log)
        if boot:
            self.modem.power(True)
            self.run(12)
            assert self.send("ATE0").endswith("OK\r\n")

    def run(self, seconds: float) -> str:
        """What the modem says meanwhile."""
        self.clock.run_until(self.clock.now_us + int(seconds * S))
        return self.take()

    def take(self) -> str:
        text = self.out.decode("latin-1")
        self.out.clear()
        return text

    def write(self, data: bytes) -> None:
        self.line.to_modem.write(data)

    def _ended(self) -> bool:
        return self.out.endswith(FINALS) or b"+CME ERROR" in self.out or b"+CMS ERROR" in self.out

    def send(self, line: str, timeout_s: float = 200) -> str:
        self.out.clear()
        self.write(line.encode("latin-1") + b"\r")
        self.clock.run_until(self.clock.now_us + int(timeout_s * S), self._ended)
        self.clock.run_until(self.clock.now_us + 1 * MS)
        return self.take()

    def payload(self, data: bytes, timeout_s: float = 60) -> str:
        self.out.clear()
        self.write(data)
        self.clock.run_until(self.clock.now_us + int(timeout_s * S), self._ended)
        return self.take()

    def online(self) -> None:
        """Context 1 up."""
        assert self.send('AT+QICSGP=1,1,"cmiot","","",0') == "\r\nOK\r\n"
        assert self.send("AT+QIACT=1") == "\r\nOK\r\n"

    def open(
        self, number: int = 0, kind: str = "TCP", host: str = "server.example", port: int = 80, mode: int = 0
    ) -> str:
        reply = self.send(f'AT+QIOPEN=1,{number},"{kind}","{host}",{port},0,{mode}')
        return reply + self.run(2)

    def exchange(self, number: int, data: bytes) -> str:
        """AT+QISEND with the data; the result."""
        assert self.send(f"AT+QISEND={number},{len(data)}") == "\r\n> "
        return self.payload(data)


@pytest.fixture
def rig() -> ModemRig:
    return ModemRig()


@pytest.fixture
def make_bench() -> type[ModemRig]:
    return ModemRig
