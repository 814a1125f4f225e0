"""The modem as a whole: power and boot, and what it is composed of."""

from __future__ import annotations

import random

from host_tools.sim.carrier import Carrier
from host_tools.sim.clock import Clock, S, Timer
from host_tools.sim.events import EventLog
from host_tools.sim.modem.call import Call
from host_tools.sim.modem.card import CardReader, SimCard
from host_tools.sim.modem.card_files import CardFiles
from host_tools.sim.modem.command import Part
from host_tools.sim.modem.data import Data
from host_tools.sim.modem.dialect import Standard
from host_tools.sim.modem.dialects import DIALECTS
from host_tools.sim.modem.errors import CME
from host_tools.sim.modem.faults import Faults
from host_tools.sim.modem.general import General
from host_tools.sim.modem.light_sleep import LightSleep
from host_tools.sim.modem.phone import Phone
from host_tools.sim.modem.power_saving import PowerSaving
from host_tools.sim.modem.profile import Profile
from host_tools.sim.modem.radio import Radio
from host_tools.sim.modem.serial_port import SerialPort
from host_tools.sim.modem.short_messages import ShortMessages
from host_tools.sim.serial import SerialLine

OFF, BOOTING, ON, GOING_DOWN, IN_PSM = range(5)


class SimModem:
    """One modem on one serial line.

    `port` is its serial interface. The 3GPP parts and the profile's dialect declare the commands; `faults` overrides
    what they do. The parts know the port and the parts below them; what a part reports upwards is connected here.
    """

    def __init__(
        self,
        clock: Clock,
        line: SerialLine,
        profile: Profile,
        carrier: Carrier,
        card: SimCard,
        rng: random.Random,
        log: EventLog,
    ) -> None:
        self.clock, self.profile, self.rng, self.log = clock, profile, rng, log
        self.state = OFF
        self._supply = False
        self._alarm: Timer | None = None  # by which it leaves PSM
        self.faults = Faults(self)
        self.port = port = SerialPort(clock, line, profile, log, self.faults)
        self.card_reader = CardReader(port, card)
        self.radio = Radio(port, self.card_reader, carrier)
        self.power_saving = PowerSaving(port, self.radio)
        self.data = Data(port, self.card_reader, self.radio, carrier)
        self.call = Call(port, self.data, rng)
        self.short_messages = ShortMessages(port, self.card_reader, self.radio, carrier)
        self.general = General(port, self.card_reader, self.radio, self)
        standard = Standard(
            self.general, self.card_reader, self.radio, self.data, self.short_messages, self.call, self.power_saving
        )
        self.dialect = DIALECTS[profile.dialect](port, standard, self, rng)
        self.light_sleep = LightSleep(port, lambda: self.dialect.sleeps_without_dtr)
        self._connect()
        self.parts: tuple[Part, ...] = (
            self.general,
            self.card_reader,
            CardFiles(port, self.card_reader),
            self.radio,
            self.power_saving,
            self.light_sleep,
            self.data,
            self.call,
            self.short_messages,
            Phone(port, self.card_reader, self.radio, self.short_messages),
            *self.dialect.parts,
        )
        port.declare(self.parts, CME | self.dialect.errors, self.card_reader.require)

    def _connect(self) -> None:
        self.card_reader.on_moved = self.dialect.card_moved
        self.card_reader.on_ready = self.radio.search
        self.card_reader.on_removed = self.radio.detach
        self.radio.on_registered = self._registered
        self.radio.on_time = self.general.network_time
        self.radio.on_detach = self.data.release_all
        self.power_saving.on_sleep = self.enter_psm
        self.data.on_down = self._context_down
        self.data.on_broken = self.dialect.context_broken

    def _context_down(self, cid: int, forget: bool) -> None:
        self.dialect.context_down(cid, forget)
        self.call.context_down(cid)

    def _registered(self) -> None:
        self.power_saving.registered()
        self.data.resume()
        self.dialect.registered()

    @property
    def working(self) -> bool:
        """Whether it has booted and does not hang."""
        return self.port.open and not self.port.hung

    def power(self, on: bool) -> None:
        """Connects or cuts the supply. A cut is not orderly: nothing is saved, the network is not told. A board that
        switches on what has its supply pulses PWRKEY, which wakes a modem in PSM."""
        if on == self._supply:
            if on and self.state == IN_PSM:
                self._start()
            return
        self._supply = on
        if on:
            self.log.add("modem", "supply-on")
            if self.profile.power.start == "supply":
                self._start()
        else:
            self.log.add("modem", "supply-off")
            self._stop()
            self.radio.resting = False
            self.general.forget_time()

    def power_key(self) -> None:
        """A PWRKEY pulse: on when off, an orderly power-down when on."""
        if self._supply and self.state in (OFF, IN_PSM):
            self._start()
        elif self.working:
            self.power_down()

    def dtr(self, on: bool) -> None:
        """The host gives DTR, or takes it away."""
        self.call.dtr(on)
        self.light_sleep.dtr(on)

    def reset(self) -> None:
        """RESET_N, or a crash: reboots at once, nothing is saved."""
        if self._supply:
            self._stop()
            self._start()

    def power_down(self) -> None:
        """Leaves the network, says that it is off, goes off."""
        self.state, self.port.open = GOING_DOWN, False
        self._leave()
        power = self.profile.power
        self.port.after(min(power.told_ms, power.down_ms), self._say_powered_down)
        self.port.after(power.down_ms, self._stop)

    def reboot(self) -> None:
        """AT+CFUN=1,1: orderly."""
        self._leave()
        self.reset()

    def enter_psm(self, seconds: int) -> None:
        """Off but for the clock and the registration, for so long or until PWRKEY is pulsed."""
        self.log.add("modem", "psm")
        self._stop()
        self.state, self.radio.resting = IN_PSM, True
        self._alarm = self.clock.after(seconds * S, self._start)

    def _leave(self) -> None:
        self.radio.detach()
        self.data.counter.power_down()

    def _say_powered_down(self) -> None:
        if self.dialect.powered_down:
            self.port.write(self.port.frame(self.dialect.powered_down))

    def _start(self) -> None:
        boot, port = self.profile.boot, self.port
        self._end_alarm()
        self.state = BOOTING
        self.log.add("modem", "boot")
        port.start()
        for part in self.parts:
            part.start()
        port.after(boot.uart_ready_ms, self._ready)
        for line in boot.lines:
            port.after(line.ms, self._boot_line, line.line)

    def _stop(self) -> None:
        self._end_alarm()
        self.state = OFF
        self.port.stop()
        for part in self.parts:
            part.stop()

    def _end_alarm(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None

    def _ready(self) -> None:
        self.state, self.port.open = ON, True

    def _boot_line(self, line: str) -> None:
        if line == "sim":
            self.card_reader.announce()
        elif self.dialect.says_at_boot(line):
            self.port.urc(line)
