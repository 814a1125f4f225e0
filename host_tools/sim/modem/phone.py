"""What a modem has of a telephone: phone book, calls, USSD and indicators (3GPP TS 27.007 clauses 7 and 8)."""

from __future__ import annotations

from dataclasses import dataclass

from host_tools.sim.modem.card import CardReader
from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.errors import CmeError
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE
from host_tools.sim.modem.port import Port, Reply
from host_tools.sim.modem.radio import ROAMING, Radio
from host_tools.sim.modem.short_messages import ShortMessages

_BOOKS = {"SM": 250, "ME": 100, "ON": 1}
"""Entries of each phone book; ON has the card's own number."""
_NUMBER_OCTETS, _NAME_OCTETS = 40, 14
_NOT_SUPPORTED = 4  # <m> of +CUSD, TS 27.007 7.15


@dataclass(frozen=True, slots=True)
class _Entry:
    number: str
    kind: int  # 145 international, 129 other
    name: str


class Phone(Part):
    """Phone books in SIM and modem; no calls, and a network without USSD, as a data SIM finds it."""

    settings = (
        Setting("+FCLASS", "(0)", "0", "TS 27.007 C.2.1, T.31"),
        Setting("+CMER", "(0-3),(0),(0),(0-2),(0,1)", "0,0,0,0,0", "TS 27.007 8.10"),
    )

    def __init__(self, port: Port, card_reader: CardReader, radio: Radio, short_messages: ShortMessages) -> None:
        super().__init__(port)
        self._card, self._radio, self._short_messages = card_reader.card, radio, short_messages
        self._books: dict[str, dict[int, _Entry]] = {"SM": {}, "ME": {}}
        self._chosen = "SM"
        self._ussd = 0

    def start(self) -> None:
        self._chosen, self._ussd = "SM", 0

    # --- phone books ---

    @property
    def _book(self) -> dict[int, _Entry]:
        if self._chosen != "ON":
            return self._books[self._chosen]
        number = self._card.msisdn
        return {1: _Entry(number, 145 if number.startswith("+") else 129, "")} if number else {}

    @command("+CPBS", TEST, manual="TS 27.007 8.11")
    def _books_known(self, args: tuple[str, ...]) -> Reply:
        names = ",".join(f'"{name}"' for name in _BOOKS)
        return f"+CPBS: ({names})"

    @command("+CPBS", READ, sim=True)
    def _book_chosen(self, args: tuple[str, ...]) -> Reply:
        return f'+CPBS: "{self._chosen}",{len(self._book)},{_BOOKS[self._chosen]}'

    @command("+CPBS", WRITE, sim=True)
    def _choose(self, args: tuple[str, ...]) -> Reply:
        if args[0] not in _BOOKS:
            raise self.port.bad_parameter()
        self._chosen = args[0]
        return None

    def _line(self, name: str, index: int, entry: _Entry) -> str:
        return f'{name}: {index},"{entry.number}",{entry.kind},"{entry.name}"'

    @command("+CPBR", TEST, manual="TS 27.007 8.12")
    def _indexes(self, args: tuple[str, ...]) -> Reply:
        return f"+CPBR: (1-{_BOOKS[self._chosen]}),{_NUMBER_OCTETS},{_NAME_OCTETS}"

    @command("+CPBR", WRITE, sim=True)
    def _read(self, args: tuple[str, ...]) -> Reply:
        size = _BOOKS[self._chosen]
        first = self.port.integer(args, 0, 1, size)
        last = self.port.integer(args, 1, 1, size, first)
        return [
            self._line("+CPBR", i, entry) for i, entry in sorted(self._book.items()) if first <= i <= last
        ] or None

    @command("+CPBF", TEST, manual="TS 27.007 8.13")
    def _sizes(self, args: tuple[str, ...]) -> Reply:
        return f"+CPBF: {_NUMBER_OCTETS},{_NAME_OCTETS}"

    @command("+CPBF", WRITE, sim=True)
    def _find(self, args: tuple[str, ...]) -> Reply:
        begin = args[0].lower()
        found = [(i, entry) for i, entry in sorted(self._book.items()) if entry.name.lower().startswith(begin)]
        return [self._line("+CPBF", i, entry) for i, entry in found] or None

    @command("+CPBW", TEST, manual="TS 27.007 8.14")
    def _limits(self, args: tuple[str, ...]) -> Reply:
        return f"+CPBW: (1-{_BOOKS[self._chosen]}),{_NUMBER_OCTETS},(129,145,161),{_NAME_OCTETS}"

    @command("+CPBW", WRITE, sim=True)
    def _write(self, args: tuple[str, ...]) -> Reply:
        if self._chosen == "ON":
            raise CmeError(3)
        size, book = _BOOKS[self._chosen], self._books[self._chosen]
        if len(args) == 1:
            book.pop(self.port.integer(args, 0, 1, size), None)
            return None
        free = next((i for i in range(1, size + 1) if i not in book), 0)
        index = self.port.integer(args, 0, 1, size, free)
        if not index:
            raise CmeError(20)
        number, name = args[1], args[3] if len(args) > 3 else ""
        if len(number) > _NUMBER_OCTETS or len(name) > _NAME_OCTETS:
            raise CmeError(24 if len(name) > _NAME_OCTETS else 26)
        kind = self.port.integer(args, 2, 128, 255, 145 if number.startswith("+") else 129)
        book[index] = _Entry(number, kind, name)
        return None

    # --- calls, USSD ---

    @command("+CLCC", EXEC, test="", manual="TS 27.007 7.18")
    def _calls(self, args: tuple[str, ...]) -> Reply:
        return None

    @command("+CUSD", READ, test="(0-2)", manual="TS 27.007 7.15")
    def _ussd_reports(self, args: tuple[str, ...]) -> Reply:
        return f"+CUSD: {self._ussd}"

    @command("+CUSD", WRITE, sim=True)
    def _ask_ussd(self, args: tuple[str, ...]) -> Reply:
        mode = self.port.integer(args, 0, 0, 2)
        if mode < 2:
            self._ussd = mode
        if len(args) > 1 and args[1]:
            if not self._radio.reachable:
                raise CmeError(30)
            if mode == 1:
                self.port.after(self.profile.sms.send_ms, self.port.urc, f"+CUSD: {_NOT_SUPPORTED}")
        return None

    # --- indicators ---

    @command("+CIND", READ, manual="TS 27.007 8.9")
    def _indicators(self, args: tuple[str, ...]) -> Reply:
        radio = self._radio
        heard = radio.covered and radio.function == 1
        signal = max(0, min(5, (radio.rsrp_dbm + 125) // 10)) if heard else 0
        values = (5, signal, int(radio.registered), 0, int(radio.stat == ROAMING), int(self._short_messages.full))
        return f"+CIND: {','.join(map(str, values))}"

    @command("+CIND", TEST)
    def _indicators_known(self, args: tuple[str, ...]) -> Reply:
        levels = ",".join(f'("{name}",(0-5))' for name in ("battchg", "signal"))
        switches = ",".join(f'("{name}",(0,1))' for name in ("service", "call", "roam", "smsfull"))
        return f"+CIND: {levels},{switches}"

    @command("+CIND", WRITE)
    def _set_indicators(self, args: tuple[str, ...]) -> Reply:
        return None  # which of them +CMER reports: none changes without a command that asks for it
