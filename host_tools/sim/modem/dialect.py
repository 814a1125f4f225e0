"""What a maker's family of modems adds to 3GPP's commands: the interface of `dialects`."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, ClassVar

from host_tools.sim.modem.call import Call
from host_tools.sim.modem.card import CardReader
from host_tools.sim.modem.card_files import CardFiles
from host_tools.sim.modem.command import Part
from host_tools.sim.modem.data import Data
from host_tools.sim.modem.general import General
from host_tools.sim.modem.light_sleep import LightSleep
from host_tools.sim.modem.phone import Phone
from host_tools.sim.modem.port import Port, Power
from host_tools.sim.modem.power_saving import PowerSaving
from host_tools.sim.modem.profile import Quirk
from host_tools.sim.modem.radio import Radio
from host_tools.sim.modem.short_messages import ShortMessages
from host_tools.sim.modem.sockets import Sockets

STANDARD_PARTS: tuple[type[Part], ...] = (
    General, CardReader, CardFiles, Radio, PowerSaving, LightSleep, Data, Call, ShortMessages, Phone,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Standard:
    """The 3GPP parts of a modem, which a dialect may use."""

    general: General
    card_reader: CardReader
    radio: Radio
    data: Data
    short_messages: ShortMessages
    call: Call
    power_saving: PowerSaving


class Dialect:
    """A subclass makes `parts`, one of each of `part_types`, whose commands are added to the 3GPP ones.

    `dialects.DIALECTS` lists the dialects.
    """

    errors: ClassVar[dict[int, str]] = {}
    """Texts of +CME ERROR beyond 3GPP's."""
    quirks: ClassVar[dict[str, tuple[Quirk, ...]]] = {}
    """What models of the family do differently, by name: the values that a profile may give, the usual one first."""
    powered_down: ClassVar[str] = ""
    """The line before it switches off; empty: none."""
    part_types: ClassVar[tuple[type[Part], ...]] = ()
    commands: ClassVar[dict[str, str]] = {}
    """Patterns, as a fault has them, of the commands that "open" a socket, "send", "read", "close", bring the session
    "up" and "down", and show the "counter", if there is one."""
    light_sleep: ClassVar[tuple[str, int] | None] = None
    """The setting, and its value with which the modem sleeps while it has no DTR."""
    news: ClassVar[str] = ""
    """How the unsolicited code begins that payload has arrived."""

    def __init__(self, port: Port, standard: Standard, power: Power, rng: random.Random) -> None:
        self._port = port
        self.parts: tuple[Part, ...] = ()
        self.sockets: Sockets[Any] | None = None

    @property
    def sleeps_without_dtr(self) -> bool:
        """Whether the host has asked the modem to sleep while it has no DTR."""
        return self.light_sleep is not None and self._port.nvm.number(self.light_sleep[0]) == self.light_sleep[1]

    def says_at_boot(self, line: str) -> bool:
        """Whether this line of the profile's boot messages is written."""
        return True

    def card_moved(self, inserted: bool) -> None:
        """The card was put in or taken out."""

    def context_down(self, cid: int, forget: bool) -> None:
        """A context is about to end. Its sockets end; with `forget` the host has asked for it."""
        if self.sockets is not None:
            self.sockets.context_down(cid, forget)

    def context_broken(self, cid: int) -> None:
        """The network has ended a context: tells the host."""

    def registered(self) -> None:
        """The modem has registered with the network."""

    # What faults do

    def refuse_sends(self, count: int) -> None:
        """`count` more sends find the buffer full; 0: none does."""
        if self.sockets is not None:
            self.sockets.refused_sends = self.sockets.refused_sends + count if count else 0

    def lose_path(self, number: int) -> None:
        """No packet of socket `number` gets through from now on, either way."""
        if self.sockets is not None:
            self.sockets.lose_path(number)
