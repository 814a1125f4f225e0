"""Light sleep by DTR: the modem stays registered and its sockets open, and its serial interface is off."""

from __future__ import annotations

from collections.abc import Callable

from host_tools.sim.modem.command import Part
from host_tools.sim.modem.port import Port


class LightSleep(Part):
    """Sleeps while the host keeps DTR away, `allowed()` says that the host has asked for it, and nothing is under way.

    What it is sent asleep is lost, also until the profile's `wake_ms` have passed since the host gave DTR. A word of
    its own to the host wakes it; it sleeps again after `idle_ms`. A model without `light_sleep` never sleeps.
    """

    def __init__(self, port: Port, allowed: Callable[[], bool]) -> None:
        super().__init__(port)
        self._allowed = allowed
        self._model = self.profile.light_sleep
        self._dtr = True
        self._watch = 0
        self._since_us = 0
        self._slept_us = 0
        port.on_rest, port.on_word = self._rest, self._speak

    @property
    def slept_us(self) -> int:
        """How long it has slept in all."""
        return self._slept_us + (self.clock.now_us - self._since_us if self.port.asleep else 0)

    def stop(self) -> None:
        self._watch += 1
        self._get_up()

    def dtr(self, on: bool) -> None:
        """The host gives DTR, or takes it away."""
        if on == self._dtr:
            return
        self._dtr = on
        self._watch += 1
        if not on:
            self._rest()
        elif self.port.asleep and self._model is not None:
            self.port.after(self._model.wake_ms, self._wake, self._watch)

    def _wake(self, watch: int) -> None:
        if watch == self._watch:
            self._get_up()

    def _rest(self) -> None:
        if self._model is not None and not self._dtr and not self.port.asleep and self._allowed():
            self._watch += 1
            self.port.after(self._model.idle_ms, self._fall_asleep, self._watch)

    def _fall_asleep(self, watch: int) -> None:
        if watch == self._watch and self.port.resting:
            self.port.log.add("modem", "asleep")
            self.port.asleep, self._since_us = True, self.clock.now_us

    def _speak(self) -> None:
        self._get_up()
        self._rest()

    def _get_up(self) -> None:
        if self.port.asleep:
            self._slept_us = self.slept_us
            self.port.asleep = False
            self.port.log.add("modem", "awake")
