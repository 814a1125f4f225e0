"""Signal, operator and registration (3GPP TS 27.007 clauses 7.2, 7.3, 8.5, 8.69, 10.1.20, 10.1.22)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from host_tools.sim.carrier import Carrier
from host_tools.sim.clock import MS
from host_tools.sim.modem.card import CardReader
from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.errors import CmeError
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE
from host_tools.sim.modem.port import PENDING, Port, Reply

IDLE, HOME, SEARCHING, DENIED, UNKNOWN, ROAMING = range(6)
GSM, LTE, EMTC = 0, 7, 8  # <AcT>: GSM, E-UTRAN, EC-GSM-IoT as TS 27.007 has it and Quectel's eMTC
IDLE_MS = 10_000
"""After so long without traffic the network releases the connection, and calls the modem when it has something."""
_RESUME_MS = 300  # a modem that has stayed registered in PSM finds its cell again
_AVAILABLE, _CURRENT, _FORBIDDEN = 1, 2, 3  # <stat> of AT+COPS=?
_OTHER_NETWORKS = (
    (_FORBIDDEN, "CHN-UNICOM", "UNICOM", "46001", LTE),
    (_FORBIDDEN, "CHN-CT", "CT", "46011", LTE),
    (_AVAILABLE, "CHINA MOBILE", "CMCC", "46000", GSM),
)
"""What else is on the air where the modem is."""


class Radio(Part):
    """`stat` is the registration as +CEREG prints it, `function` the level of AT+CFUN.

    Calls `on_registered` when it has registered, `on_detach` before it leaves the network, and `on_time(utc, zone)`
    when the network tells the time, `zone` in quarter hours.
    """

    settings = (
        Setting("+CREG", "(0-3)", "0", "TS 27.007 7.2", "profile"),
        Setting("+CGREG", "(0-3)", "0", "TS 27.007 10.1.20", "profile"),
        Setting("+CEREG", "(0-3)", "0", "TS 27.007 10.1.22", "profile"),
        Setting("+WS46", "(12,28,30)", "30", "TS 27.007 5.9", "auto"),
    )

    list_gap = ",,"
    """What stands between the networks and the modes of AT+COPS=?; TS 27.007 7.3 has two commas."""

    def __init__(self, port: Port, card_reader: CardReader, carrier: Carrier) -> None:
        super().__init__(port)
        self._card_reader, self._card, self._carrier = card_reader, card_reader.card, carrier
        self.on_registered: Callable[[], None] = _nothing
        self.on_detach: Callable[[], None] = _nothing
        self.on_time: Callable[[datetime, int], None] = _ignore
        radio = self.profile.radio
        self.access = LTE
        self.function = 1
        self.covered = True
        self.lte_gone = False  # only GSM is on the air, for faults
        self.stuck = False  # a registration that never ends, for faults
        self.restart_helps = False  # against that
        self._roaming: frozenset[str] | None = None  # networks that serve the SIM where its own is not; None: it is
        self._selected = ""  # the network that was selected by its number, for roaming
        self.rsrp_dbm, self.rsrq_db, self.sinr_db = radio.rsrp_dbm, radio.rsrq_db, radio.sinr_db
        self.zone = 32  # quarter hours of the network's time, UTC+8
        self.time_error = timedelta()  # what the network's time is wrong by
        self.used_us = 0  # when the last packet crossed
        self.edrx_us = 0  # the cycle in which the network calls; 0: at once
        self.active_time = self.periodic_tau = ""  # of PSM, as the network has granted them
        self.resting = False  # it was registered when it entered PSM, and has been since
        self.stat = IDLE
        self.cause = 0
        self._attempt = 0
        self._cops_mode = 0
        self._cops_format = 0

    def start(self) -> None:
        self.stuck = self.stuck and not self.restart_helps
        self.function = 1
        self.stat, self.cause = IDLE, 0
        self._cops_mode = self._cops_format = 0
        self._selected = ""

    def stop(self) -> None:
        self.stat = IDLE

    @property
    def registered(self) -> bool:
        return self.stat in (HOME, ROAMING)

    @property
    def reachable(self) -> bool:
        """Whether an IP packet crosses the air now."""
        return self.covered and self.registered

    @property
    def detached(self) -> bool:
        """Whether it left the network by order, and does not look for another one."""
        return self.stat == IDLE and self.function == 1 and self._cops_mode != 2

    def paging_us(self) -> int:
        """How long the network waits until it can call the modem."""
        if not self.edrx_us or self.clock.now_us - self.used_us < IDLE_MS * MS:
            return 0
        return self.edrx_us - self.clock.now_us % self.edrx_us

    # --- registration ---

    def search(self) -> None:
        """Starts looking for the network, if card, function level and selection allow it."""
        if self._cops_mode == 2 or self.function != 1 or not self._card_reader.ready:
            return
        self._attempt += 1
        self._become(SEARCHING)
        self.port.after(_RESUME_MS if self.resting else self.profile.radio.register_ms, self._register, self._attempt)

    def _register(self, attempt: int) -> None:
        if attempt != self._attempt or self.registered:
            return
        if not self.covered or self.stuck or (self._roaming is not None and self._selected not in self._roaming):
            return
        cause = self._carrier.register(self._card.imsi)
        if cause:
            self.port.last_error = 100 + cause
            self._become(DENIED, cause)
            self.port.after(self.profile.radio.retry_ms, self._register, attempt)
            return
        self.resting = False
        self._carrier.roam(self._card.imsi, self._roaming is not None)
        self._become(HOME if self._roaming is None else ROAMING)
        self.on_registered()
        self.tell_time()

    def tell_time(self) -> None:
        """The network sends its time."""
        self.on_time(self.clock.utc() + self.time_error, self.zone)

    def verify(self) -> None:
        """Registers again if the network, which has ended a bearer, has also ended the registration."""
        if self.reachable:
            cause = self._carrier.register(self._card.imsi)
            if cause:
                self.detach()
                self.search()

    def detach(self) -> None:
        """Leaves the network in order."""
        self._attempt += 1
        self.resting = False
        self.on_detach()
        self._become(IDLE)

    def cover(self, covered: bool) -> None:
        """The signal goes or comes back. The bearers stay on the network's side, as while a device sleeps."""
        if covered == self.covered:
            return
        self.covered = covered
        if not covered and self.registered:
            self._become(SEARCHING)
        elif covered and self.stat == SEARCHING:
            self.search()

    def fall_back(self, lte_gone: bool) -> None:
        """Only GSM is left on the air, or LTE is back. The modem leaves one and registers with the other."""
        if lte_gone != self.lte_gone:
            self.detach()
            self.lte_gone = lte_gone
            self.search()

    def leave_home(self, roaming: Iterable[str], handover: bool = False) -> None:
        """The card's own network goes off the air; others stay, and serve the SIM where they are in `roaming`. With
        `handover` one of them takes a SIM over that is registered (TS 23.401 5.3.3), as the equivalent of its own."""
        self._roaming = frozenset(roaming)
        if handover and self.registered:
            self._hand_over(ROAMING)
            return
        self.detach()
        self.search()

    def _hand_over(self, stat: int) -> None:
        self._carrier.roam(self._card.imsi, stat == ROAMING)
        self._become(stat)

    def come_home(self, handover: bool = False) -> None:
        """The card's own network is back on the air, and is preferred to any other (TS 23.122 4.4.3.3)."""
        self._roaming = None
        if handover and self.stat == ROAMING:
            self._hand_over(HOME)
        elif self.stat == ROAMING:
            self.detach()
            self.search()
        elif self.stat == SEARCHING:
            self.search()

    def _become(self, stat: int, cause: int = 0) -> None:
        changed = (stat, cause) != (self.stat, self.cause)
        self.stat, self.cause = stat, cause
        if changed:
            for name in ("+CREG", "+CGREG", "+CEREG"):
                level = self.port.nvm.number(name)
                if level:
                    self.port.urc(f"{name}: {self._registration(name, level)}")

    @property
    def serving(self) -> int:
        """<AcT> of the network that is on the air."""
        return GSM if self.lte_gone else self.access

    def _registration(self, name: str, level: int) -> str:
        if self.lte_gone and self.registered and name == "+CEREG":
            return str(UNKNOWN)
        text = str(self.stat)
        if level >= 2 and self.registered:
            text += f',"{self.profile.radio.tac}","{self.profile.radio.cell}",{self.serving}'
        elif level == 3 and self.cause:
            text += f",,,,0,{self.cause}"
        if level == 4 and self.active_time and self.registered:
            text += f',,,"{self.active_time}","{self.periodic_tau}"'
        return text

    def _read(self, name: str) -> str:
        level = self.port.nvm.number(name)
        return f"{name}: {level},{self._registration(name, level)}"

    @command("+CREG", READ)
    def _creg(self, args: tuple[str, ...]) -> Reply:
        return self._read("+CREG")

    @command("+CGREG", READ)
    def _cgreg(self, args: tuple[str, ...]) -> Reply:
        return self._read("+CGREG")

    @command("+CEREG", READ)
    def _cereg(self, args: tuple[str, ...]) -> Reply:
        return self._read("+CEREG")

    def wait_registered(self, then: Callable[[], int] = lambda: 0) -> Reply:
        """Ends the running command after a registration's time, with OK or the reason why it failed. `then` follows a
        registration and returns 0, or the +CME ERROR with which it failed."""
        self.port.after(self.profile.radio.register_ms + 100, self._finish_attach, then)
        return PENDING

    def _finish_attach(self, then: Callable[[], int]) -> None:
        code = then() if self.registered else 100 + self.cause if self.cause else 30
        if code:
            self.port.fail(CmeError(code))
        else:
            self.port.finish()

    def _finish_selection(self) -> None:
        if self.registered:
            self.port.finish()
        else:
            self.port.fail(CmeError(32 if self.covered else 30))  # 32: emergency calls only

    # --- signal ---

    @property
    def rssi_dbm(self) -> int:
        return min(self.rsrp_dbm + 28, -51)  # over 12 subcarriers x 50 resource blocks, as modems print it

    @command("+CSQ", EXEC, test="(0-31,99),(0-7,99)", manual="TS 27.007 8.5")
    def _csq(self, args: tuple[str, ...]) -> Reply:
        if not self.covered or self.function != 1:
            return "+CSQ: 99,99"
        return f"+CSQ: {max(0, min(31, (self.rssi_dbm + 113) // 2))},99"

    @command(
        "+CESQ",
        EXEC,
        test="(0-63,99),(0-7,99),(0-96,255),(0-49,255),(0-34,255),(0-97,255)",
        manual="TS 27.007 8.69",
    )
    def _cesq(self, args: tuple[str, ...]) -> Reply:
        if not self.covered or self.function != 1:
            return "+CESQ: 99,99,255,255,255,255"
        rsrq = max(0, min(34, 2 * (self.rsrq_db + 20)))
        return f"+CESQ: 99,99,255,255,{rsrq},{max(0, min(97, self.rsrp_dbm + 140))}"

    # --- operator ---

    @command("+COPS", READ, manual="TS 27.007 7.3", sim=True)
    def _operator(self, args: tuple[str, ...]) -> Reply:
        if not self.registered:
            return f"+COPS: {self._cops_mode}"
        card = self._card
        names = card.operator, card.operator.replace("CHINA MOBILE", "CMCC"), card.operator_id
        if self.stat == ROAMING:
            names = next((each[1:4] for each in _OTHER_NETWORKS if each[3] == self._selected), (self._selected,) * 3)
        name = names[self._cops_format]
        return f'+COPS: {self._cops_mode},{self._cops_format},"{name}",{self.serving}'

    @command("+COPS", WRITE)
    def _select(self, args: tuple[str, ...]) -> Reply:
        mode = self.port.integer(args, 0, 0, 4)
        layout = self.port.integer(args, 1, 0, 2, self._cops_format)
        if mode == 3:
            self._cops_format = layout
            return None
        self._card_reader.require()
        self._cops_format = layout
        if mode == 2:
            self._cops_mode = 2
            self.detach()
            return None
        wanted = args[2] if len(args) > 2 else ""
        card = self._card
        self._selected = wanted if mode in (1, 4) and wanted in (self._roaming or ()) else ""
        if mode == 1 and not self._selected and wanted not in (card.operator, card.operator_id, "CMCC"):
            raise CmeError(30)
        self._cops_mode = mode
        if self.registered:
            return None
        self.search()
        self.port.after(self.profile.radio.register_ms + 100, self._finish_selection)
        return PENDING

    @command("+COPS", TEST, sim=True)
    def _scan(self, args: tuple[str, ...]) -> Reply:
        card, stat = self._card, _CURRENT if self.registered else _AVAILABLE
        found = []
        if self.covered:
            found = [(stat, card.operator, "CMCC", card.operator_id, self.access)]
            found += [network for network in _OTHER_NETWORKS if network[3:] != (card.operator_id, self.access)]
        rows = [f'({stat},"{name}","{short}","{plmn}",{act})' for stat, name, short, plmn, act in found]
        return f"+COPS: {','.join(rows)}{self.list_gap}(0-4),(0-2)"


def _nothing() -> None:
    pass


def _ignore(utc: datetime, zone: int) -> None:
    pass
