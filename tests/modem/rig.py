"""A driver, the simulated modem and the world behind it, under one virtual clock, with no board between."""

import random
from datetime import UTC, datetime
from types import SimpleNamespace

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

    files = False

    def __init__(self, clock, line, sim, ticks_start):
        self._clock = clock
        self._line = line
        self._sim = sim
        self._start = ticks_start
        self._in = bytearray()
        self.deaf = False
        self.sent = bytearray()
        self.events = []
        line.to_host.deliver = self._deliver

    def ticks_ms(self):
        return (self._start + self._clock.now_us // MS) % (1 << 30)

    def readable(self):
        return bool(self._in) and not self.deaf

    def uart_readinto(self, buf, n):
        n = min(n, len(self._in))
        buf[:n] = self._in[:n]
        del self._in[:n]
        return n

    def _deliver(self, data):
        if self._line.to_host.baud == self._line.to_modem.baud:  # else framing errors
            self._in.extend(data)

    def uart_rate(self, baud):
        self._line.to_modem.baud = baud or 115_200
        return 115_200

    def uart_write(self, buf, n):
        assert n <= len(buf)
        self.sent += buf[:n]
        self._line.to_modem.write(bytes(buf[:n]))

    def event(self, code, a=0, b=0):
        self.events.append(code)

    def modem_dtr(self):
        return self._sim.dtr

    def modem_power(self, on):
        self._sim.power(on)
        return ()


class Listener:
    """What the driver told, in order."""

    def __init__(self):
        self.calls = []
        self.admission = SimpleNamespace(meter=SimpleNamespace())
        self.received_octets = self.abandoned_octets = 0

    def opened(self, connection):
        self.calls.append(("opened", connection.index))

    def abandoned(self, connection, octets):
        self.abandoned_octets += octets or connection.modem.WINDOW

    def looked_up(self, name_octets):
        pass

    def closed(self, connection):
        self.calls.append(("closed", connection.index))

    def received(self, connection, octets):
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
    saving = operator = None


class DriverRig:
    """`family` gives the simulated modem and, unless `driver` is given, the driver."""

    def __init__(
        self, family, seed=1, chunk=120, ticks_start=0, pin=None, card_pin="", allowance=30 << 20, driver=None
    ):
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
        self.sim = SimModem(self.clock, self.line, load(family.profile), self.carrier, card, rng, self.log)
        self.hal = Hal(self.clock, self.line, self.sim, ticks_start)
        self.listener = Listener()
        self.config = Config()
        self._driver = driver or family.driver
        self.config.pin = pin
        self.config.counter = self._driver.COUNTER  # as the guard does
        self.steps = 0
        self.restart()

    def restart(self):
        """The board resets; the modem does not."""
        self.modem = self._driver(self.hal, self._driver.CHANNEL(self.hal), self.config, self.listener)
        self.modem.data_wanted = True

    def no_more_faults(self):
        """Disarms the faults that still wait to happen."""
        self.sim.faults.clear()
        self.sim.radio.stuck = False

    def run(self, seconds, until=None):
        """Steps the driver through `seconds`, or until `until()`; returns whether that came true."""
        end_us = self.clock.now_us + int(seconds * S)
        modem = self.modem
        idle = 0
        while True:
            now = self.hal.ticks_ms()
            modem.now = now
            modem.channel.pump(now)
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
        connection = self.modem.free_connection()
        connection.open(tcp, host, port)
        self.run(160, lambda: connection.state != 1)
        return connection

    def send(self, connection, data):
        assert connection.tx.write(data, 0, len(data)) == len(data)
        connection.flush(len(data))
        return self.run(120, lambda: not connection.tx_busy)

    def read(self, connection, n, seconds=60):
        """Up to `n` octets, fewer if the time is over or the connection has ended."""
        out = bytearray()
        buf = bytearray(256)

        def enough():
            while connection.rx.any() and len(out) < n:
                got = connection.rx.readinto(buf, min(len(buf), n - len(out)))
                out.extend(buf[:got])
            return len(out) >= n or (connection.state != 2 and not connection.rx.any())

        connection.wanted = True
        self.run(seconds, enough)
        return bytes(out)
