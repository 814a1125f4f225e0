"""The SIM card and the commands that ask it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from host_tools.sim.modem.command import CmeError, Part, Reply, Setting, command
from host_tools.sim.modem.parser import EXEC, READ, WRITE

if TYPE_CHECKING:
    from host_tools.sim.modem.device import SimModem

READY, PIN, PUK = "READY", "SIM PIN", "SIM PUK"
PIN_TRIES, PUK_TRIES = 3, 10  # ETSI TS 102 221 9.5


@dataclass(slots=True)
class SimCard:
    """What is in the slot. `pin` "" is a card without PIN lock."""

    iccid: str
    imsi: str
    msisdn: str
    smsc: str = "+8613800210500"
    operator: str = "CHINA MOBILE"
    operator_id: str = "46000"
    pin: str = ""
    puk: str = "12345678"
    inserted: bool = True
    faulty: bool = False
    pin_tries: int = PIN_TRIES
    puk_tries: int = PUK_TRIES


class Sim(Part):
    """Card state: absent, faulty, starting, locked, ready."""

    settings = (
        Setting("+QSIMDET", "(0,1),(0,1)", "0,0", "EC2x AT: AT+QSIMDET", "auto"),
        Setting("+QSIMSTAT", "(0,1)", "0", "EC2x AT: AT+QSIMSTAT"),
    )

    def __init__(self, modem: SimModem) -> None:
        super().__init__(modem)
        self.card = modem.card
        self._started = False
        self._unlocked = False

    def start(self) -> None:
        self._started = self._unlocked = False
        self.modem.after(self.profile.boot.sim_ready_ms, self._start_card)

    def _start_card(self) -> None:
        self._started = True
        if self.ready:
            self.modem.radio.search()

    def power(self, on: bool) -> None:
        """AT+CFUN=0 takes the card's supply away, 1 gives it back."""
        self._started = on
        self._unlocked = False
        if on:
            self.modem.after(self.profile.sim_start_ms, self.announce)

    def announce(self) -> None:
        """What the modem says of the card at boot and after a PIN."""
        card = self.card
        if not card.inserted:
            self.modem.urc("+CPIN: NOT INSERTED")
        elif card.faulty:
            self.modem.urc("+CPIN: NOT READY")
        else:
            self.modem.urc(f"+CPIN: {self.lock}")

    def insert(self, inserted: bool) -> None:
        """Puts the card in or takes it out while the modem runs."""
        self.card.inserted = inserted
        self._unlocked = False
        if self.modem.nvm.number("+QSIMSTAT"):
            self.modem.urc(f"+QSIMSTAT: 1,{int(inserted)}")
        self.announce()
        if inserted:
            self._start_card()
        else:
            self.modem.radio.detach()

    @property
    def lock(self) -> str:
        card = self.card
        if card.pin_tries == 0:
            return PUK
        return READY if self._unlocked or not card.pin else PIN

    @property
    def ready(self) -> bool:
        return self._started and self.card.inserted and not self.card.faulty and self.lock == READY

    def require(self) -> None:
        """Raises the CmeError of a card that is not ready."""
        self._require_card()
        lock = self.lock
        if lock != READY:
            raise CmeError(11 if lock == PIN else 12)

    def _require_card(self) -> None:
        if not self.card.inserted:
            raise CmeError(10)
        if self.card.faulty:
            raise CmeError(13)
        if not self._started:
            raise CmeError(14)

    @command("+CPIN", READ, test="", manual="TS 27.007 8.3")
    def _pin_state(self, args: tuple[str, ...]) -> Reply:
        self._require_card()
        return f"+CPIN: {self.lock}"

    @command("+CPIN", WRITE)
    def _enter_pin(self, args: tuple[str, ...]) -> Reply:
        self._require_card()
        card, lock = self.card, self.lock
        if lock == READY:
            raise CmeError(3)
        if lock == PUK:
            if args[0] != card.puk or len(args) < 2:
                card.puk_tries = max(0, card.puk_tries - 1)
                raise CmeError(16 if card.puk_tries else 13)
            card.pin, card.pin_tries, card.puk_tries = args[1], PIN_TRIES, PUK_TRIES
        elif args[0] != card.pin:
            card.pin_tries -= 1
            raise CmeError(16 if card.pin_tries else 12)
        card.pin_tries = PIN_TRIES
        self._unlocked = True
        self.modem.after(0, self.announce)
        self.modem.radio.search()
        return None

    @command("+QPINC", EXEC, test='("SC","P2")', manual="EC2x AT: AT+QPINC", sim=False)
    @command("+QPINC", READ)
    def _tries(self, args: tuple[str, ...]) -> Reply:
        return f'+QPINC: "SC",{self.card.pin_tries},{self.card.puk_tries}'

    @command("+CIMI", EXEC, test="", manual="TS 27.007 5.6", sim=True)
    def _imsi(self, args: tuple[str, ...]) -> Reply:
        return self.card.imsi

    @command("+QCCID", EXEC, test="", manual="EC2x AT: AT+QCCID")
    def _iccid(self, args: tuple[str, ...]) -> Reply:
        self._require_card()
        return f"+QCCID: {self.card.iccid}"

    @command("+ICCID", EXEC, test="", manual="EC200U AT: AT+ICCID")
    def _iccid_alias(self, args: tuple[str, ...]) -> Reply:
        self._require_card()
        return f"+ICCID: {self.card.iccid}"

    @command("+CNUM", EXEC, test="", manual="TS 27.007 7.1", sim=True)
    def _number(self, args: tuple[str, ...]) -> Reply:
        number = self.card.msisdn
        return f'+CNUM: "","{number}",{145 if number.startswith("+") else 129}' if number else None

    @command("+QINISTAT", EXEC, test="(0-7)", manual="EC2x AT: AT+QINISTAT")
    def _progress(self, args: tuple[str, ...]) -> Reply:
        # 1 CPIN ready, 2 SMS ready, 4 phone book ready
        return f"+QINISTAT: {(7 if self.modem.sms.ready else 1) if self.ready else 0}"

    @command("+CLCK", WRITE, test='("SC")', manual="TS 27.007 7.4", sim=True)
    def _facility(self, args: tuple[str, ...]) -> Reply:
        if args[0] != "SC":
            raise CmeError(4)
        mode = self.modem.integer(args, 1, 0, 2)
        card = self.card
        if mode == 2:
            return f"+CLCK: {int(bool(card.pin))}"
        password = args[2] if len(args) > 2 else ""
        if not password or (card.pin and password != card.pin):
            raise CmeError(16)
        card.pin = password if mode else ""
        self._unlocked = True
        return None
