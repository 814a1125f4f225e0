"""A driver, the simulated modem and the world behind it, under one virtual clock, with no board between."""

import random
from datetime import UTC, datetime

from usageguard.at.channel import Channel
from usageguard.modem.quectel import Quectel

from host_tools.sim.carrier import Carrier, Enforcement, Rating, SimPlan
from host_tools.sim.clock import MS, Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.modem import SimCard, SimModem, load
from host_tools.sim.network.hosts import Responder, Sink, UdpHandlerHost
from host_tools.sim.network.internet import Internet
from host_tools.sim.serial import SerialLine

IMSI = "460001234567890"


class Hal:
    """The UART and the modem's power; ticks start where a test says, to cross their wrap."""

    def __init__(self, clock, line, sim, ticks_start):
        self._clock = clock
        self._line = line
        self._sim = sim
        self._start = ticks_start
        self._in = bytearray()
        self.sent = bytearray()
        line.to_host.deliver = self._in.extend

    def ticks_ms(self):
        return (self._start + self._clock.now_us // MS) % (1 << 30)

    def readable(self):
        return bool(self._in)

    def uart_readinto(self, buf, n):
        n = min(n, len(self._in))
        buf[:n] = self._in[:n]
        del self._in[:n]
        return n

    def uart_write(self, buf, n):
        assert n <= len(buf)
        self.sent += buf[:n]
        self._line.to_modem.write(bytes(buf[:n]))

    def modem_power(self, on):
        self._sim.power(on)


class Account:
    """What the driver told, in order."""

    def __init__(self):
        self.calls = []
        self.received_octets = 0

    def opened(self, slot):
        self.calls.append(("opened", slot.index))

    def abandoned(self, slot):
        pass

    def closed(self, slot):
        self.calls.append(("closed", slot.index))

    def received(self, slot, octets):
        self.received_octets += octets

    def counter(self, tx, rx):
        self.calls.append(("counter", tx.value(), rx.value()))

    def refused(self, cme):
        self.calls.append(("refused", cme))

    def served(self):
        self.calls.append(("served",))

    def count(self, *call):
        return self.calls.count(call)


class Config:
    apn = "cmiot"
    pin = None
    counter = True


class Bench:
    def __init__(self, seed=1, chunk=120, ticks_start=0, pin=None, card_pin="", allowance=30 << 20):
        self.clock = Clock(datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC))
        self.log = EventLog(self.clock)
        rng = random.Random(seed)
        self.internet = Internet(self.clock, rng)
        self.responder, self.sink = Responder(), Sink()
        self.internet.add_host("server.example", self.responder)
        self.internet.add_host("sink.example", self.sink)
        self.echo = UdpHandlerHost(lambda payload, source: payload)
        self.internet.add_host("echo.example", self.echo)
        self.carrier = Carrier(self.clock, self.internet, Rating(), Enforcement(), self.log)
        self.carrier.add_sim(IMSI, SimPlan(allowance_octets=allowance))
        self.line = SerialLine(self.clock, chunk=chunk)
        card = SimCard(iccid="89860012345678901234", imsi=IMSI, msisdn="+8613912345678", pin=card_pin)
        self.sim = SimModem(self.clock, self.line, load("quectel-ec200u"), self.carrier, card, rng, self.log)
        self.hal = Hal(self.clock, self.line, self.sim, ticks_start)
        self.account = Account()
        self.config = Config()
        self.config.pin = pin
        self.steps = 0
        self.restart()

    def restart(self):
        """The board resets; the modem does not."""
        self.modem = Quectel(self.hal, Channel(self.hal), self.config, self.account)
        self.modem.data_wanted = True

    def no_more_faults(self):
        """Puts a new set of faults, none of them armed, in the place of what still waits to happen."""
        self.sim.faults = type(self.sim.faults)(self.sim)
        self.sim.sockets.refused_sends = 0
        self.sim.radio.stuck = False

    def run(self, seconds, until=None):
        """Steps the driver through `seconds`, or until `until()`; returns whether that came true."""
        end_us = self.clock.now_us + int(seconds * S)
        modem = self.modem
        idle = 0
        while True:
            now = self.hal.ticks_ms()
            modem.step(now)
            self.steps += 1
            if until is not None and until():
                return True
            ms = modem.next_ms(now)
            idle = 0 if ms or modem.channel.busy else idle + 1
            assert idle < 10, "a deadline that nobody serves stops the clock"
            if self.clock.now_us >= end_us:
                return False
            wake_us = (self.clock.now_us // MS + ms) * MS
            if modem.channel.busy:
                wake_us = max(wake_us, self.clock.now_us + MS)
            self.clock.run_until(min(end_us, wake_us), self.hal.readable)

    def online(self):
        assert self.run(120, lambda: self.modem.online), self.log.events
        return self

    def connect(self, host="server.example", port=80, tcp=True):
        slot = self.modem.free_slot()
        slot.open(tcp, host, port)
        self.run(160, lambda: slot.state != 1)
        return slot

    def send(self, slot, data):
        assert slot.tx.write(data, 0, len(data)) == len(data)
        slot.flush(len(data))
        return self.run(120, lambda: not slot.tx_busy)

    def read(self, slot, n, seconds=60):
        """Up to `n` octets, fewer if the time is over or the connection has ended."""
        out = bytearray()
        buf = bytearray(256)

        def enough():
            while slot.rx.any() and len(out) < n:
                got = slot.rx.readinto(buf, min(len(buf), n - len(out)))
                out.extend(buf[:got])
            return len(out) >= n or (slot.state != 2 and not slot.rx.any())

        slot.wanted = True
        self.run(seconds, enough)
        return bytes(out)
