"""The `simulated_modem` fixture: modems in real time for whatever client is under test, without the guard."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from host_tools.sim.modem import load, tpdu
from host_tools.sim.modem.pty import LinkedPty, parse_relays
from host_tools.sim.modem.served.far_end import TcpPort
from host_tools.sim.modem.served.modem import BOOT_S, ServedModem

FAST_BAUD = 921_600


class SimulatedModem:
    """A modem that runs in a thread. `path` is a pseudo-terminal, or a socket:// URL with `address` if it is on TCP."""

    def __init__(self, modem: ServedModem, end: LinkedPty | TcpPort, log: io.StringIO) -> None:
        self._modem, self._log = modem, log
        self.path = end.where
        self.address: tuple[str, int] | None = end.address if isinstance(end, TcpPort) else None
        self._thread = threading.Thread(target=modem.run, name="simulated modem", daemon=True)
        self._thread.start()

    def do(self, action: str) -> str:
        """Does what `usageguard modem ctl` does, such as "sim out". ValueError for what is no action."""
        return self._modem.ask(action)

    @property
    def dialogue(self) -> str:
        """The log of the dialogue so far."""
        return self._log.getvalue()

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened: `t`, `who` (modem, carrier or bench), `what`, and the event's fields."""
        return self._modem.log.events

    @property
    def sms(self) -> list[tuple[str, str]]:
        """Number and text of each short message that the client has sent."""
        messages = [tpdu.parse(unit) for _, _, unit in self._modem.carrier.sms]
        return [(message.number, message.text()) for message in messages]

    def close(self) -> None:
        self._modem.stop()
        self._thread.join(10)
        self._modem.close()


class Lender:
    """Starts modems; `close` ends them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lent: list[SimulatedModem] = []

    def __call__(
        self,
        profile: str = "quectel-ec200u",
        *,
        tcp: bool = False,
        baud: int = FAST_BAUD,
        booted: bool = True,
        relays: Mapping[str, str] | None = None,
        do: Iterable[str] = (),
        seed: int = 1,
    ) -> SimulatedModem:
        """Starts a modem of a profile that ships, or of a TOML file beside the test.

        `tcp` puts it on a port of 127.0.0.1; `booted` begins when it has registered, else with its power on. `relays`
        maps host names to services of this machine ("127.0.0.1:1883"), `do` are actions at the start. UsageError or
        ValueError for what is wrong.
        """
        model = load(str(self._folder / profile) if profile.endswith(".toml") else profile)
        known = parse_relays(f"{name}={to}" for name, to in (relays or {}).items())
        end = TcpPort("127.0.0.1", 0) if tcp else LinkedPty(None)
        log = io.StringIO()
        modem = ServedModem(model, end, baud=baud, relays=known, seed=seed, log=log)
        if booted:
            modem.do(f"skip {BOOT_S}s")
        for action in do:
            modem.do(action)
        self._lent.append(SimulatedModem(modem, end, log))
        return self._lent[-1]

    def close(self) -> None:
        while self._lent:
            self._lent.pop().close()
