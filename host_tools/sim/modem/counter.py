"""The data-volume counter of the bearer: what it counts and what of it outlives a loss of power."""

from __future__ import annotations

from host_tools.sim.clock import Clock, S
from host_tools.sim.modem import profile
from host_tools.sim.network.packet import Packet

_NONE = profile.Counter("ip", "none", False)  # counts, and no command of the modem's tells


class Counter:
    """`octets` are sent and received; a dialect's commands read and save them."""

    def __init__(self, clock: Clock, model: profile.Counter | None) -> None:
        self.octets = [0, 0]
        self.autosave_s = 0
        self._clock, self._model = clock, model or _NONE
        self._saved = [0, 0]  # in NVM
        self._autosave_due_us = 0
        self._payload_only = self._model.counts == "payload"

    def start(self) -> None:
        """The modem boots: begins with what is in NVM, if the model keeps it there, and without autosave."""
        self.autosave_s = 0
        self.octets = self._saved.copy() if self._model.persist == "nvm" else [0, 0]

    def stop(self) -> None:
        """The modem stops without an orderly power-down."""
        self._autosave()

    def power_down(self) -> None:
        """An orderly power-down: saves, if the model does."""
        if self._model.save_on_power_down:
            self.save()

    def begin_session(self) -> None:
        """A data session begins."""
        if self._model.persist == "session":
            self.octets = [0, 0]

    def add(self, packet: Packet, way: int) -> None:
        """Adds a packet that crosses the bearer; `way` 0 is sent, 1 received."""
        if self.autosave_s and self._clock.now_us >= self._autosave_due_us:
            self._autosave()
        self.octets[way] += len(packet.payload) if self._payload_only else packet.length

    def save(self) -> None:
        """Writes the octets to NVM."""
        self._saved = self.octets.copy()

    def save_every(self, seconds: int) -> None:
        """Saves periodically from now on; 0: no more."""
        self._autosave()
        self.autosave_s = seconds
        self._autosave_due_us = self._clock.now_us + seconds * S

    def _autosave(self) -> None:
        """Catches up with the periodic save: nothing was counted since it was due, so that was saved."""
        period = self.autosave_s * S
        if period and self._clock.now_us >= self._autosave_due_us:
            self.save()
            self._autosave_due_us += ((self._clock.now_us - self._autosave_due_us) // period + 1) * period
