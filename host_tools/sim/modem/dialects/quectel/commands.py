"""What Quectel adds to 3GPP's commands for card, radio, contexts, counter, time and power (EC2x AT manual)."""

from __future__ import annotations

from datetime import timedelta

from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.data import CONTEXTS, TYPES, Definition
from host_tools.sim.modem.dialect import Standard
from host_tools.sim.modem.dialects.quectel.options import SETTINGS
from host_tools.sim.modem.errors import CmeError
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE
from host_tools.sim.modem.port import Port, Power, Reply

_QURCCFG = "EC2x AT: AT+QURCCFG"
_TYPE_NAMES = {number: name for name, number in TYPES.items()}


class Commands(Part):
    """Commands that read or change the 3GPP parts."""

    settings = (
        Setting("+QSIMDET", "(0,1),(0,1)", "0,0", "EC2x AT: AT+QSIMDET", "auto"),
        Setting("+QSIMSTAT", "(0,1)", "0", "EC2x AT: AT+QSIMSTAT"),
        Setting("+QURCCFG", '("urcport"),("usbat","usbmodem","uart1","all")', '"urcport","uart1"', _QURCCFG, "auto"),
        Setting("+QSCLK", "(0-2)", "0", "EC2x AT: AT+QSCLK"),
        Setting("+QSCLKEX", "(0,1),(1-50),(1-50)", "0,1,1", "EC800&EC801 AT: AT+QSCLKEX"),
    )

    def __init__(self, port: Port, standard: Standard, power: Power) -> None:
        super().__init__(port)
        self._standard, self._power = standard, power
        self._settings: dict[str, list[int]] = {}  # of AT+QCFG, in NVM

    # --- card ---

    def card_moved(self, inserted: bool) -> None:
        """The card was put in or taken out."""
        if self.port.nvm.number("+QSIMSTAT"):
            self.port.urc(f"+QSIMSTAT: 1,{int(inserted)}")

    @command("+QSIMSTAT", READ)
    def _card_state(self, args: tuple[str, ...]) -> Reply:
        inserted = int(self._standard.card_reader.card.inserted)
        return f"+QSIMSTAT: {self.port.nvm.number('+QSIMSTAT')},{inserted}"

    @command("+QPINC", EXEC, test='("SC","P2")', manual="EC2x AT: AT+QPINC", sim=False)
    @command("+QPINC", READ)
    def _tries(self, args: tuple[str, ...]) -> Reply:
        card = self._standard.card_reader.card
        return f'+QPINC: "SC",{card.pin_tries},{card.puk_tries}'

    @command("+QCCID", EXEC, test="", manual="EC2x AT: AT+QCCID")
    def _iccid(self, args: tuple[str, ...]) -> Reply:
        self._standard.card_reader.require_card()
        return f"+QCCID: {self._standard.card_reader.card.iccid}"

    @command("+ICCID", EXEC, test="", manual="EC200U AT: AT+ICCID")
    def _iccid_alias(self, args: tuple[str, ...]) -> Reply:
        self._standard.card_reader.require_card()
        return f"+ICCID: {self._standard.card_reader.card.iccid}"

    @command("+QINISTAT", EXEC, test="(0-7)", manual="EC2x AT: AT+QINISTAT")
    def _progress(self, args: tuple[str, ...]) -> Reply:
        # 1 CPIN ready, 2 SMS ready, 4 phone book ready
        ready = 7 if self._standard.short_messages.ready else 1
        return f"+QINISTAT: {ready if self._standard.card_reader.ready else 0}"

    # --- radio ---

    @command("+QCSQ", EXEC, test="", manual="EC2x AT: AT+QCSQ")
    def _signal(self, args: tuple[str, ...]) -> Reply:
        radio = self._standard.radio
        if not radio.covered or radio.function != 1:
            return '+QCSQ: "NOSERVICE"'
        sinr = max(0, min(250, 5 * (radio.sinr_db + 20)))
        return f'+QCSQ: "{self.profile.quirks["technology"]}",{radio.rssi_dbm},{radio.rsrp_dbm},{sinr},{radio.rsrq_db}'

    @command("+QNWINFO", EXEC, test="", manual="EC2x AT: AT+QNWINFO")
    def _network(self, args: tuple[str, ...]) -> Reply:
        if not self._standard.radio.reachable:
            return "+QNWINFO: No Service"
        model, plmn = self.profile.radio, self._standard.card_reader.card.operator_id
        technology = self.profile.quirks["technology"]
        name = "FDD LTE" if technology == "LTE" else technology
        return f'+QNWINFO: "{name}","{plmn}","{model.band}",{model.channel}'

    @command("+QSPN", EXEC, test="", manual="EC2x AT: AT+QSPN", sim=True)
    def _names(self, args: tuple[str, ...]) -> Reply:
        if not self._standard.radio.registered:
            raise CmeError(30)
        card = self._standard.card_reader.card
        short = card.operator.replace("CHINA MOBILE", "CMCC")
        return f'+QSPN: "{card.operator}","{short}","",0,"{card.operator_id}"'

    @command("+QENG", WRITE, test='"servingcell","neighbourcell"', manual="EC2x AT: AT+QENG")
    def _cell(self, args: tuple[str, ...]) -> Reply:
        if args[0] != "servingcell":
            return None
        technology = self.profile.quirks["technology"]
        radio = self._standard.radio
        if not radio.registered:
            return '+QENG: "servingcell","SEARCH"'
        model, plmn = self.profile.radio, self._standard.card_reader.card.operator_id
        return (
            f'+QENG: "servingcell","NOCONN","{technology}","FDD",{plmn[:3]},{plmn[3:]},{model.cell},1,'
            f"{model.channel},3,5,5,{model.tac},{radio.rsrp_dbm},{radio.rsrq_db},{radio.rssi_dbm},{radio.sinr_db},0"
        )

    # --- contexts ---

    @command(
        "+QICSGP",
        WRITE,
        test=f"(1-{CONTEXTS}),(1-3),<APN>,<username>,<password>,(0-2)",
        manual="TCP/IP 2.4.2",
    )
    def _configure(self, args: tuple[str, ...]) -> Reply:
        cid = self.port.integer(args, 0, 1, CONTEXTS)
        if len(args) == 1:
            d = self._standard.data.definitions.get(cid, Definition())
            return f'+QICSGP: {TYPES[d.kind]},"{d.apn}","{d.user}","{d.password}",{d.authentication}'
        kind = _TYPE_NAMES[self.port.integer(args, 1, 1, 3)]
        apn, user, password = (*args[2:5], "", "", "")[:3]
        authentication = self.port.integer(args, 5, 0, 2, 0)
        self._standard.data.define(cid, Definition(kind, apn, user, password, authentication))
        return None

    @command("+QCFG", TEST, manual="EC2x AT: AT+QCFG")
    def _known(self, args: tuple[str, ...]) -> Reply:
        return [f'+QCFG: "{name}",{",".join(map(str, allowed))}' for name, allowed in SETTINGS.items()]

    @command("+QCFG", WRITE)
    def _set_up(self, args: tuple[str, ...]) -> Reply:
        """Keeps what is set; the last parameter of most says whether it takes effect at once, and is not shown."""
        name = args[0].lower()
        allowed = SETTINGS.get(name)
        if allowed is None or len(args) > len(allowed) + 1:
            raise self.port.bad_parameter()
        values = self._settings.setdefault(name, [parameter.default for parameter in allowed])
        if len(args) == 1:
            shown = values[:1] if len(values) == 2 else values
            return f'+QCFG: "{name}",{",".join(map(str, shown))}'
        given = [self.port.integer(args, i, p.low, p.high, values[i - 1]) for i, p in enumerate(allowed, 1)]
        self._settings[name] = given
        return None

    # --- the counter ---

    @command("+QGDCNT", READ, test="(0,1)", manual="EC2x AT: AT+QGDCNT")
    def _counter(self, args: tuple[str, ...]) -> Reply:
        sent, received = self._standard.data.counter.octets
        return f"+QGDCNT: {sent},{received}"

    @command("+QGDCNT", WRITE)
    def _set_counter(self, args: tuple[str, ...]) -> Reply:
        counter = self._standard.data.counter
        if self.port.integer(args, 0, 0, 1):
            counter.save()
        else:
            counter.octets = [0, 0]
        return None

    @command("+QAUGDCNT", READ, test="(0,30-65535)", manual="EC2x AT: AT+QAUGDCNT")
    def _autosave_period(self, args: tuple[str, ...]) -> Reply:
        return f"+QAUGDCNT: {self._standard.data.counter.autosave_s}"

    @command("+QAUGDCNT", WRITE)
    def _set_autosave(self, args: tuple[str, ...]) -> Reply:
        seconds = self.port.integer(args, 0, 0, 65_535)
        if 0 < seconds < 30:
            raise self.port.bad_parameter()
        self._standard.data.counter.save_every(seconds)
        return None

    # --- time, power ---

    @command("+QLTS", EXEC, test="(0-2)", manual="EC2x AT: AT+QLTS")
    def _latest_time(self, args: tuple[str, ...]) -> Reply:
        return self._network_clock(0)

    @command("+QLTS", WRITE)
    def _network_time(self, args: tuple[str, ...]) -> Reply:
        return self._network_clock(self.port.integer(args, 0, 0, 2))

    def _network_clock(self, mode: int) -> str:
        """0: the last synchronization; 1: now in GMT, though the zone is printed; 2: now, local."""
        general, zone = self._standard.general, self._standard.radio.zone
        if general.synced is None:
            return '+QLTS: ""'
        time = general.synced
        if mode:
            time += timedelta(microseconds=self.clock.now_us - general.synced_us)
        if mode == 2:
            time += timedelta(minutes=15 * zone)
        return f'+QLTS: "{time:%Y/%m/%d,%H:%M:%S}{zone:+03},0"'

    @command("+QPOWD", EXEC, test="(0,1)", manual="EC2x AT: AT+QPOWD")
    @command("+QPOWD", WRITE)
    def _power_down(self, args: tuple[str, ...]) -> Reply:
        self.port.after(self.profile.rate_change_ms, self._power.power_down)
        return None
