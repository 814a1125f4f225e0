"""What the modem remembers: working settings, the stored profile, and what survives a power-down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Setting(NamedTuple):
    """A command that only keeps parameters.

    `ranges` is the answer to the test form and what a write is checked against. `keep` says what survives a
    power-down: "" nothing, "profile" what AT&W stored, "auto" every write at once.
    """

    name: str
    ranges: str
    default: str
    manual: str
    keep: str = ""


class Nvm:
    """`values` holds each setting's parameters as text, as the read form prints them."""

    def __init__(self, settings: Iterable[Setting], defaults: dict[str, str]) -> None:
        """`defaults` replace the settings' own, by name."""
        self._settings = {setting.name: setting for setting in settings}
        for name, value in defaults.items():
            self._settings[name] = self._settings[name]._replace(default=value)
        self.values: dict[str, str] = {}
        self._numbers: dict[str, int] = {}  # first parameters, as far as they were asked for
        self._auto: dict[str, str] = {}  # written through at once
        self._profile: dict[str, str] = {}  # what AT&W stored
        self.power_up()

    def power_up(self) -> None:
        """Loads what the last power-down left."""
        self.values = {name: setting.default for name, setting in self._settings.items()}
        self.values.update(self._profile)
        self.values.update(self._auto)
        self._numbers.clear()

    def store(self, name: str, value: str) -> None:
        self.values[name] = value
        self._numbers.pop(name, None)
        if self._settings[name].keep == "auto":
            self._auto[name] = value

    def number(self, name: str) -> int:
        """The first parameter as an integer."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = int(self.values[name].partition(",")[0])
        return number

    def save_profile(self) -> None:
        """AT&W."""
        self._profile = {n: v for n, v in self.values.items() if self._settings[n].keep == "profile"}

    def load_profile(self) -> None:
        """ATZ: stored values, defaults for what was never stored."""
        for name, setting in self._settings.items():
            if setting.keep == "profile":
                self.values[name] = self._profile.get(name, setting.default)
        self._numbers.clear()

    def factory(self) -> None:
        """AT&F: defaults, without touching the stored profile."""
        for name, setting in self._settings.items():
            if setting.keep == "profile":
                self.values[name] = setting.default
        self._numbers.clear()
