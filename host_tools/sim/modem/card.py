"""The SIM card and the commands that read it (3GPP TS 27.007)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.errors import CmeError
from host_tools.sim.modem.parser import EXEC, READ, WRITE
from host_tools.sim.modem.port import Port, Reply

READY, PIN, PUK = "READY", "SIM PIN", "SIM PUK"
PIN_TRIES, PUK_TRIES = 3, 10  # ETSI TS 102 221 9.5


@dataclass(slots=True)
class SimCard:
    """A card's contents and condition. `pin` "" means no PIN lock."""

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


class CardReader(Part):
    """The card's states: absent, faulty, starting, locked, ready.

    Calls `on_ready` when the card is ready, `on_removed` when it is gone, and before either `on_moved(inserted)`.
    """

    def __init__(self, port: Port, card: SimCard) -> None:
        super().__init__(port)
        self.card = card
        self.on_moved: Callable[[bool], None] = _ignore
        self.on_ready: Callable[[], None] = _nothing
        self.on_removed: Callable[[], None] = _nothing
        self._started = False
        self._unlocked = False
        self._overlooked = False  # the card is in, and the modem has not noticed

    def start(self) -> None:
        self._started = self._unlocked = self._overlooked = False
        self.port.after(self.profile.boot.sim_ready_ms, self._start_card)

    def _start_card(self) -> None:
        self._started = True
        if self.ready:
            self.on_ready()

    def power(self, on: bool) -> None:
        """Switches the card's supply: AT+CFUN=0 switches it off, 1 on."""
        self._started = on
        self._unlocked = False
        if on:
            self._overlooked = False
            self.port.after(self.profile.sim_start_ms, self.announce)

    def announce(self) -> None:
        """Writes the card's state, as the modem does at boot and after a PIN."""
        card = self.card
        if not self._seen:
            self.port.urc("+CPIN: NOT INSERTED")
        elif card.faulty:
            self.port.urc("+CPIN: NOT READY")
        else:
            self.port.urc(f"+CPIN: {self.lock}")

    @property
    def _seen(self) -> bool:
        return self.card.inserted and not self._overlooked

    def insert(self, inserted: bool, noticed: bool = True) -> None:
        """Puts the card in or takes it out while the modem runs. One whose coming in is not `noticed` stays absent to
        the modem until its supply is switched on again, by AT+CFUN or a restart."""
        self.card.inserted = inserted
        self._overlooked = inserted and not noticed
        if self._overlooked:
            return
        self._unlocked = False
        self.on_moved(inserted)
        self.announce()
        if inserted:
            self._start_card()
        else:
            self.on_removed()

    def lock_with(self, pin: str) -> None:
        """Gives the card a PIN, and has it asked for."""
        self.card.pin = pin
        self._unlocked = False
        self.announce()

    @property
    def lock(self) -> str:
        card = self.card
        if card.pin_tries == 0:
            return PUK
        return READY if self._unlocked or not card.pin else PIN

    @property
    def ready(self) -> bool:
        return self._started and self._seen and not self.card.faulty and self.lock == READY

    def require(self) -> None:
        """Raises the CmeError of a card that is not ready."""
        self.require_card()
        lock = self.lock
        if lock != READY:
            raise CmeError(11 if lock == PIN else 12)

    def require_card(self) -> None:
        """Raises the CmeError of a card that cannot be read; a locked one can."""
        if not self._seen:
            raise CmeError(10)
        if self.card.faulty:
            raise CmeError(13)
        if not self._started:
            raise CmeError(14)

    @command("+CPIN", READ, test="", manual="TS 27.007 8.3")
    def _pin_state(self, args: tuple[str, ...]) -> Reply:
        self.require_card()
        return f"+CPIN: {self.lock}"

    @command("+CPIN", WRITE)
    def _enter_pin(self, args: tuple[str, ...]) -> Reply:
        self.require_card()
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
        self.port.after(0, self.announce)
        self.on_ready()
        return None

    @command("+CIMI", EXEC, test="", manual="TS 27.007 5.6", sim=True)
    def _imsi(self, args: tuple[str, ...]) -> Reply:
        return self.card.imsi

    @command("+CNUM", EXEC, test="", manual="TS 27.007 7.1", sim=True)
    def _number(self, args: tuple[str, ...]) -> Reply:
        number = self.card.msisdn
        return f'+CNUM: "","{number}",{145 if number.startswith("+") else 129}' if number else None

    @command("+CLCK", WRITE, test='("SC")', manual="TS 27.007 7.4", sim=True)
    def _facility(self, args: tuple[str, ...]) -> Reply:
        if args[0] != "SC":
            raise CmeError(4)
        mode = self.port.integer(args, 1, 0, 2)
        card = self.card
        if mode == 2:
            return f"+CLCK: {int(bool(card.pin))}"
        password = args[2] if len(args) > 2 else ""
        if not password or (card.pin and password != card.pin):
            raise CmeError(16)
        card.pin = password if mode else ""
        self._unlocked = True
        return None


def _nothing() -> None:
    pass


def _ignore(inserted: bool) -> None:
    pass
