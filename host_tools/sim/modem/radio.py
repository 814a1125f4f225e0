"""Signal, operator and registration (3GPP TS 27.007 clauses 7.2, 7.3, 8.5, 8.69, 10.1.20, 10.1.22)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from host_tools.sim.modem.command import PENDING, CmeError, Part, Reply, Setting, command
from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE

if TYPE_CHECKING:
    from host_tools.sim.modem.device import SimModem

IDLE, HOME, SEARCHING, DENIED, UNKNOWN, ROAMING = range(6)
LTE = 7  # <AcT> E-UTRAN


class Radio(Part):
    """`stat` as +CEREG prints it. Coverage comes and goes with `cover`; the carrier decides who registers."""

    settings = (
        Setting("+CREG", "(0-3)", "0", "TS 27.007 7.2", "profile"),
        Setting("+CGREG", "(0-3)", "0", "TS 27.007 10.1.20", "profile"),
        Setting("+CEREG", "(0-3)", "0", "TS 27.007 10.1.22", "profile"),
    )

    def __init__(self, modem: SimModem) -> None:
        super().__init__(modem)
        radio = self.profile.radio
        self.covered = True
        self.stuck = False  # a registration that never ends, for faults
        self.rsrp_dbm, self.rsrq_db, self.sinr_db = radio.rsrp_dbm, radio.rsrq_db, radio.sinr_db
        self.zone = 32  # quarter hours of the network's time, UTC+8
        self.time_error = timedelta()  # what the network's time is wrong by
        self.stat = IDLE
        self.cause = 0
        self._attempt = 0
        self._cops_mode = 0
        self._cops_format = 0
        self.attached = True

    def start(self) -> None:
        self.stat, self.cause = IDLE, 0
        self._cops_mode = self._cops_format = 0

    def stop(self) -> None:
        self.stat = IDLE

    @property
    def registered(self) -> bool:
        return self.stat in (HOME, ROAMING)

    @property
    def reachable(self) -> bool:
        """Whether an IP packet crosses the air now."""
        return self.covered and self.registered

    # --- registration ---

    def search(self) -> None:
        """Starts looking for the network, if card, function level and selection allow it."""
        if self._cops_mode == 2 or self.modem.general.function != 1 or not self.modem.sim.ready:
            return
        self._attempt += 1
        self._become(SEARCHING)
        self.modem.after(self.profile.radio.register_ms, self._register, self._attempt)

    def _register(self, attempt: int) -> None:
        if attempt != self._attempt or self.registered:
            return
        if not self.covered or self.stuck:
            return
        cause = self.modem.carrier.register(self.modem.card.imsi)
        if cause:
            self.modem.general.note_error(100 + cause)
            self._become(DENIED, cause)
            self.modem.after(self.profile.radio.retry_ms, self._register, attempt)
            return
        self._become(HOME)
        self.modem.data.resume()
        self.tell_time()

    def tell_time(self) -> None:
        """The network's time reaches the modem."""
        self.modem.general.network_time(self.clock.utc() + self.time_error, self.zone)

    def verify(self) -> None:
        """The network has ended a bearer: perhaps it has thrown the device out altogether."""
        if self.reachable:
            cause = self.modem.carrier.register(self.modem.card.imsi)
            if cause:
                self.detach()
                self.search()

    def detach(self) -> None:
        """Leaves the network in order."""
        self._attempt += 1
        self.modem.data.release_all()
        self._become(IDLE)

    def cover(self, covered: bool) -> None:
        """The signal goes or comes back. The bearers stay on the network's side, as while a device sleeps."""
        if covered == self.covered:
            return
        self.covered = covered
        if self.modem.state == 0:
            return
        if not covered and self.registered:
            self._become(SEARCHING)
        elif covered and self.stat == SEARCHING:
            self.search()

    def _become(self, stat: int, cause: int = 0) -> None:
        changed = (stat, cause) != (self.stat, self.cause)
        self.stat, self.cause = stat, cause
        if changed:
            for name in ("+CREG", "+CGREG", "+CEREG"):
                level = self.modem.nvm.number(name)
                if level:
                    self.modem.urc(f"{name}: {self._registration(level)}")

    def _registration(self, level: int) -> str:
        text = str(self.stat)
        if level >= 2 and self.registered:
            text += f',"{self.profile.radio.tac}","{self.profile.radio.cell}",{LTE}'
        elif level == 3 and self.cause:
            text += f",,,,0,{self.cause}"
        return text

    def _read(self, name: str) -> str:
        level = self.modem.nvm.number(name)
        return f"{name}: {level},{self._registration(level)}"

    @command("+CREG", READ)
    def _creg(self, args: tuple[str, ...]) -> Reply:
        return self._read("+CREG")

    @command("+CGREG", READ)
    def _cgreg(self, args: tuple[str, ...]) -> Reply:
        return self._read("+CGREG")

    @command("+CEREG", READ)
    def _cereg(self, args: tuple[str, ...]) -> Reply:
        return self._read("+CEREG")

    # --- attach ---

    @command("+CGATT", READ, test="(0,1)", manual="TS 27.007 10.1.9", sim=True)
    def _is_attached(self, args: tuple[str, ...]) -> Reply:
        return f"+CGATT: {int(self.registered)}"

    @command("+CGATT", WRITE, sim=True)
    def _attach(self, args: tuple[str, ...]) -> Reply:
        if self.modem.integer(args, 0, 0, 1):
            if not self.registered:
                self.search()
                return self._wait_registered(self.profile.radio.register_ms + 100)
        elif self.registered:
            self.modem.data.report("ME DETACH")
            self.detach()
        return None

    def _wait_registered(self, ms: int) -> Reply:
        self.modem.after(ms, self._finish_attach)
        return PENDING

    def _finish_attach(self) -> None:
        if self.registered:
            self.modem.finish()
        else:
            self.modem.fail(CmeError(100 + self.cause if self.cause else 30))

    # --- signal ---

    @property
    def _rssi_dbm(self) -> int:
        return min(self.rsrp_dbm + 28, -51)  # over 12 subcarriers x 50 resource blocks, as modems print it

    @command("+CSQ", EXEC, test="(0-31,99),(0-7,99)", manual="TS 27.007 8.5")
    def _csq(self, args: tuple[str, ...]) -> Reply:
        if not self.covered or self.modem.general.function != 1:
            return "+CSQ: 99,99"
        return f"+CSQ: {max(0, min(31, (self._rssi_dbm + 113) // 2))},99"

    @command(
        "+CESQ",
        EXEC,
        test="(0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255)",
        manual="TS 27.007 8.69",
    )
    def _cesq(self, args: tuple[str, ...]) -> Reply:
        if not self.covered or self.modem.general.function != 1:
            return "+CESQ: 99,99,255,255,255,255"
        rsrq = max(0, min(34, 2 * (self.rsrq_db + 20)))
        return f"+CESQ: 99,99,255,255,{rsrq},{max(0, min(97, self.rsrp_dbm + 140))}"

    @command("+QCSQ", EXEC, test="", manual="EC2x AT: AT+QCSQ")
    def _qcsq(self, args: tuple[str, ...]) -> Reply:
        if not self.covered or self.modem.general.function != 1:
            return '+QCSQ: "NOSERVICE"'
        sinr = max(0, min(250, 5 * (self.sinr_db + 20)))
        return f'+QCSQ: "LTE",{self._rssi_dbm},{self.rsrp_dbm},{sinr},{self.rsrq_db}'

    @command("+QNWINFO", EXEC, test="", manual="EC2x AT: AT+QNWINFO")
    def _network(self, args: tuple[str, ...]) -> Reply:
        if not self.registered or not self.covered:
            return "+QNWINFO: No Service"
        radio = self.profile.radio
        return f'+QNWINFO: "FDD LTE","{self.modem.card.operator_id}","{radio.band}",{radio.channel}'

    @command("+QENG", WRITE, test='"servingcell","neighbourcell"', manual="EC2x AT: AT+QENG")
    def _cell(self, args: tuple[str, ...]) -> Reply:
        if args[0] != "servingcell":
            return None
        if not self.registered:
            return '+QENG: "servingcell","SEARCH"'
        radio, plmn = self.profile.radio, self.modem.card.operator_id
        return (
            f'+QENG: "servingcell","NOCONN","LTE","FDD",{plmn[:3]},{plmn[3:]},{radio.cell},1,'
            f"{radio.channel},3,5,5,{radio.tac},{self.rsrp_dbm},{self.rsrq_db},{self._rssi_dbm},{self.sinr_db},0"
        )

    # --- operator ---

    @command("+COPS", READ, manual="TS 27.007 7.3", sim=True)
    def _operator(self, args: tuple[str, ...]) -> Reply:
        if not self.registered:
            return f"+COPS: {self._cops_mode}"
        card = self.modem.card
        name = (card.operator, card.operator.replace("CHINA MOBILE", "CMCC"), card.operator_id)[
            self._cops_format
        ]
        return f'+COPS: {self._cops_mode},{self._cops_format},"{name}",{LTE}'

    @command("+COPS", WRITE)
    def _select(self, args: tuple[str, ...]) -> Reply:
        mode = self.modem.integer(args, 0, 0, 4)
        layout = self.modem.integer(args, 1, 0, 2, self._cops_format)
        if mode == 3:
            self._cops_format = layout
            return None
        self.modem.sim.require()
        self._cops_format = layout
        if mode == 2:
            self._cops_mode = 2
            self.detach()
            return None
        wanted = args[2] if len(args) > 2 else ""
        card = self.modem.card
        if mode in (1, 4) and wanted not in (card.operator, card.operator_id, "CMCC") and mode == 1:
            raise CmeError(30)
        self._cops_mode = mode
        if self.registered:
            return None
        self.search()
        return self._wait_registered(self.profile.radio.register_ms + 100)

    @command("+COPS", TEST, sim=True)
    def _scan(self, args: tuple[str, ...]) -> Reply:
        card = self.modem.card
        found = f'(2,"{card.operator}","CMCC","{card.operator_id}",{LTE}),' if self.covered else ""
        return f"+COPS: {found},(0-4),(0-2)"
