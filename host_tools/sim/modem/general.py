"""Identity, V.250 settings, function level and the real-time clock (ITU-T V.250, 3GPP TS 27.007)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from host_tools.sim.modem.card import CardReader
from host_tools.sim.modem.command import Part, Writer, command
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, WRITE
from host_tools.sim.modem.port import NO_CARRIER, PENDING, Port, Power, Reply
from host_tools.sim.modem.radio import Radio

_RATES = "(0,4800,9600,19200,38400,57600,115200,230400,460800,921600)"


class General(Part):
    """Commands about the modem itself rather than SIM or network."""

    settings = (
        Setting("E", "(0,1)", "1", "V.250 6.2.4", "profile"),
        Setting("Q", "(0,1)", "0", "V.250 6.2.5", "profile"),
        Setting("V", "(0,1)", "1", "V.250 6.2.6", "profile"),
        Setting("X", "(0-4)", "4", "V.250 6.2.7", "profile"),
        Setting("L", "(0-9)", "0", "V.250 6.3.13"),
        Setting("M", "(0-9)", "0", "V.250 6.3.14"),
        Setting("&C", "(0,1)", "1", "V.250 6.2.8", "profile"),
        Setting("&D", "(0-2)", "0", "V.250 6.2.9", "profile"),
        Setting("S0", "(0-255)", "0", "V.250 6.3.8", "profile"),
        Setting("S3", "(0-127)", "13", "V.250 6.2.1"),
        Setting("S4", "(0-127)", "10", "V.250 6.2.2"),
        Setting("S5", "(0-127)", "8", "V.250 6.2.3"),
        Setting("S7", "(0-255)", "0", "V.250 6.3.10", "profile"),
        Setting("+CMEE", "(0-2)", "1", "TS 27.007 9.1", "profile"),
        Setting("+CSCS", '("GSM","IRA","UCS2","HEX","PCCP936")', '"GSM"', "TS 27.007 5.5", "profile"),
        Setting("+IFC", "(0,2),(0,2)", "0,0", "V.250 6.2.12", "profile"),
        Setting("+ICF", "(3),(0-3)", "3,3", "V.250 6.2.11", "profile"),
        Setting("+IPR", _RATES, "115200", "V.250 6.2.10", "auto"),
        Setting("+CTZU", "(0,1,3)", "1", "TS 27.007 8.40", "auto"),
        Setting("+CTZR", "(0-2)", "0", "TS 27.007 8.41", "auto"),
        Setting("+CLIP", "(0,1)", "0", "TS 27.007 7.6"),
        Setting("+CRC", "(0,1)", "0", "TS 27.007 6.11"),
        Setting("+CVHU", "(0,1)", "0", "TS 27.007 6.20"),
    )

    def __init__(self, port: Port, card_reader: CardReader, radio: Radio, power: Power) -> None:
        super().__init__(port)
        self._card_reader, self._radio, self._power = card_reader, radio, power
        self._ahead = timedelta()  # RTC minus true UTC
        self._zone = 0  # quarter hours
        self.synced: datetime | None = None  # UTC as the network told it last, at `synced_us`
        self.synced_us = 0
        self._store_rate = Writer(port, next(s for s in self.settings if s.name == "+IPR"))
        self.forget_time()

    # --- settings ---

    @command("Z", EXEC, manual="V.250 6.1.1")
    def _z(self, args: tuple[str, ...]) -> Reply:
        self.port.nvm.load_profile()
        return None

    @command("&F", EXEC, manual="V.250 6.1.2")
    def _f(self, args: tuple[str, ...]) -> Reply:
        self.port.nvm.factory()
        return None

    @command("&W", EXEC, manual="EC2x AT: AT&W")
    def _w(self, args: tuple[str, ...]) -> Reply:
        self.port.nvm.save_profile()
        return None

    @command("&V", EXEC, manual="EC2x AT: AT&V")
    def _v(self, args: tuple[str, ...]) -> Reply:
        values = self.port.nvm.values
        return [f"{name}: {values[name]}" for name in ("&C", "&D", "E", "Q", "V", "X", "S0", "S3", "S4", "S5", "S7")]

    @command("&K", EXEC, manual="flow control, kept for hosts that send it")
    def _k(self, args: tuple[str, ...]) -> Reply:
        return None

    @command("+IPR", WRITE)
    def _set_rate(self, args: tuple[str, ...]) -> Reply:
        self._store_rate(args)
        rate = int(args[0] or 0)
        if rate:
            # The OK still goes at the old rate (V.250 6.2.10).
            self.port.after(self.profile.rate_change_ms, self.port.set_rate, rate)
        return None

    @command("A", EXEC, manual="V.250 6.3.5")
    def _answer_call(self, args: tuple[str, ...]) -> Reply:
        self.port.finish(None, NO_CARRIER)
        return PENDING

    # --- identity ---

    @command("I", EXEC, manual="V.250 6.1.3")
    def _identify(self, args: tuple[str, ...]) -> Reply:
        p = self.profile
        return [p.manufacturer, p.model, f"Revision: {p.revision}"]

    @command("+GMI", EXEC, test="", manual="V.250 6.1.4")
    @command("+CGMI", EXEC, test="", manual="TS 27.007 5.1")
    def _manufacturer(self, args: tuple[str, ...]) -> Reply:
        return self.profile.manufacturer

    @command("+GMM", EXEC, test="", manual="V.250 6.1.5")
    @command("+CGMM", EXEC, test="", manual="TS 27.007 5.2")
    def _model(self, args: tuple[str, ...]) -> Reply:
        return self.profile.model

    @command("+GMR", EXEC, test="", manual="V.250 6.1.6")
    @command("+CGMR", EXEC, test="", manual="TS 27.007 5.3")
    def _revision(self, args: tuple[str, ...]) -> Reply:
        return self.profile.revision

    @command("+GSN", EXEC, test="", manual="V.250 6.1.7")
    @command("+CGSN", EXEC, test="(0-3)", manual="TS 27.007 5.4")
    def _imei(self, args: tuple[str, ...]) -> Reply:
        return self.profile.imei

    @command("+CGSN", WRITE)
    def _serial(self, args: tuple[str, ...]) -> Reply:
        kind = self.port.integer(args, 0, 0, 3)
        imei = self.profile.imei
        return (imei, f'+CGSN: "{imei}"', f'+CGSN: "{imei[:14]}00"', '+CGSN: "00"')[kind]

    @command("+GCAP", EXEC, test="", manual="V.250 6.1.9")
    def _capabilities(self, args: tuple[str, ...]) -> Reply:
        return "+GCAP: +CGSM"

    # --- function level, power ---

    @command("+CFUN", READ, test="(0,1,4),(0,1)", manual="TS 27.007 8.2")
    def _function(self, args: tuple[str, ...]) -> Reply:
        return f"+CFUN: {self._radio.function}"

    @command("+CFUN", WRITE)
    def _set_function(self, args: tuple[str, ...]) -> Reply:
        reset = self.profile.power.reset_function
        function = self.port.integer(args, 0, 0, reset or 4)
        restart = self.port.integer(args, 1, 0, 1, 0)
        if function not in (0, 1, 4, reset) or (restart and function != 1):
            raise self.port.bad_parameter()
        if restart or function == reset != 0:
            self.port.after(self.profile.rate_change_ms, self._power.reboot)
            return None
        radio, card_reader = self._radio, self._card_reader
        before, radio.function = radio.function, function
        if function == 1 and before != 1:
            if before == 0:
                card_reader.power(True)
            radio.search()
        elif function != 1 and before == 1:
            radio.detach()
        if function == 0:
            card_reader.power(False)
        return None

    @command("+CPAS", EXEC, test="(0,2-4)", manual="TS 27.007 8.1")
    def _activity(self, args: tuple[str, ...]) -> Reply:
        return "+CPAS: 0"

    @command("+CEER", EXEC, test="", manual="TS 27.007 6.10")
    def _extended_error(self, args: tuple[str, ...]) -> Reply:
        return f"+CEER: {self.port.cme_texts.get(self.port.last_error, 'No cause information available')}"

    @command("+CBC", EXEC, test="(0-2),(1-100),(3300-4300)", manual="TS 27.007 8.4")
    def _battery(self, args: tuple[str, ...]) -> Reply:
        return "+CBC: 0,85,3912"

    # --- clock ---

    def forget_time(self) -> None:
        """Resets the real-time clock, which has lost its supply."""
        self._ahead = self.profile.clock.unset.replace(tzinfo=UTC) - self.clock.utc()
        self._zone = 0
        self.synced = None

    def network_time(self, utc: datetime, zone: int) -> None:
        """NITZ (TS 24.301 EMM INFORMATION): `zone` in quarter hours."""
        mode = self.port.nvm.number("+CTZU")
        self.synced, self.synced_us = utc, self.clock.now_us
        if mode:
            local = timedelta(minutes=15 * zone) if mode == 3 or self.profile.clock.keeps == "local" else timedelta()
            self._ahead = utc + local - self.clock.utc()
            self._zone = zone
        report = self.port.nvm.number("+CTZR")
        if report == 1:
            self.port.urc(f"+CTZV: {zone:+03}")
        elif report == 2:
            self.port.urc(f'+CTZE: "{zone:+03}",0,"{utc:%Y/%m/%d,%H:%M:%S}"')

    def set_utc(self, utc: datetime) -> None:
        """Sets the clock, as NTP does; the network's zone stays."""
        self._ahead = utc + timedelta(minutes=15 * self._zone) - self.clock.utc()

    @command("+CCLK", READ, test="", manual="TS 27.007 8.15")
    def _clock(self, args: tuple[str, ...]) -> Reply:
        now = self.clock.utc() + self._ahead
        year = "%Y" if self.profile.clock.century else "%y"
        zone = f"{self._zone:+03}" if self.profile.clock.zone else ""
        return f'+CCLK: "{now.strftime(year)}/{now:%m/%d,%H:%M:%S}{zone}"'

    @command("+CCLK", WRITE)
    def _set_clock(self, args: tuple[str, ...]) -> Reply:
        text = args[0]
        zone = text[17:]
        try:
            value = datetime.strptime(text[:17], "%y/%m/%d,%H:%M:%S").replace(tzinfo=UTC)
            quarters = int(zone) if zone else 0
        except ValueError:
            raise self.port.bad_parameter() from None
        if abs(quarters) > 96:
            raise self.port.bad_parameter()
        self._ahead, self._zone = value - self.clock.utc(), quarters
        return None
