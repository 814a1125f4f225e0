"""The dialect of Quectel's LTE modules: EC200U, EC200, EC2x, EG9x, EC800, EC801E, BG95, BG96."""

from __future__ import annotations

import random
from typing import ClassVar

from host_tools.sim.modem.dialect import Dialect, Standard
from host_tools.sim.modem.dialects.quectel.commands import Commands
from host_tools.sim.modem.dialects.quectel.files import Files
from host_tools.sim.modem.dialects.quectel.network_tools import NetworkTools
from host_tools.sim.modem.dialects.quectel.sockets import QuectelSockets
from host_tools.sim.modem.dialects.quectel.tls import Tls
from host_tools.sim.modem.port import Port, Power
from host_tools.sim.modem.profile import Quirk
from host_tools.sim.modem.radio import EMTC, LTE


class Quectel(Dialect):
    """Sockets by AT+QI..., the counter by AT+QGDCNT."""

    errors: ClassVar[dict[int, str]] = {58: "invalid command line"}
    quirks: ClassVar[dict[str, tuple[Quirk, ...]]] = {
        # Defining the APN of an active context: an error since EC200UCNAAR03A14M08, says its release note.
        "apn_of_active": ("refused", "taken"),
        # What stands before the modes in AT+COPS=?: of a real EC200U one comma, of a real BG95 two.
        "cops_gap": (",", ",,"),
        # What AT+QCSQ, AT+QNWINFO and AT+QENG call the radio; +CEREG and +COPS have 7 for LTE and 8 for eMTC.
        "technology": ("LTE", "eMTC"),
    }
    powered_down = "POWERED DOWN"
    part_types = (Commands, QuectelSockets, NetworkTools, Files, Tls)
    commands: ClassVar[dict[str, str]] = {
        "open": "+QIOPEN=*", "send": "+QISEND=*", "read": "+QIRD=*", "close": "+QICLOSE=*",
        "up": "+QIACT=*", "down": "+QIDEACT=*", "counter": "+QGDCNT?",
    }  # fmt: skip
    light_sleep = ("+QSCLK", 1)
    news = "+QIURC"

    def __init__(self, port: Port, standard: Standard, power: Power, rng: random.Random) -> None:
        super().__init__(port, standard, power, rng)
        quirks = port.profile.quirks
        standard.data.keeps_active = quirks["apn_of_active"] == "refused"
        standard.radio.list_gap = str(quirks["cops_gap"])
        standard.radio.access = LTE if quirks["technology"] == "LTE" else EMTC
        self.sockets = QuectelSockets(port, standard.card_reader, standard.data, rng, standard.call.resume)
        files = Files(port)
        self._tls = Tls(port, self.sockets, files, rng)
        self._commands = Commands(port, standard, power)
        self.parts = (self._commands, self.sockets, NetworkTools(port, self.sockets, standard), files, self._tls)

    def says_at_boot(self, line: str) -> bool:
        """RDY is not written under autobaud: the modem does not know the rate yet."""
        return line != "RDY" or self._port.nvm.number("+IPR") != 0

    def card_moved(self, inserted: bool) -> None:
        self._commands.card_moved(inserted)

    def context_down(self, cid: int, forget: bool) -> None:
        super().context_down(cid, forget)
        self._tls.context_down(cid, forget)

    def context_broken(self, cid: int) -> None:
        self._port.urc(f'+QIURC: "pdpdeact",{cid}')
