"""The escape from a data mode: "+++" with silence before and behind it (V.250 leaves it to the maker; all have it)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from host_tools.sim.clock import MS, S
from host_tools.sim.modem.port import Port

GUARD_US: Final = 1 * S  # silence around "+++"
_SEQUENCE: Final = b"+++"


class Escape:
    """Passes what the host writes to `forward(octets)`; on the sequence leaves the data mode and says OK."""

    def __init__(self, port: Port, forward: Callable[[bytes], None]) -> None:
        self._port, self._forward = port, forward
        self._held = b""  # plus signs that may become the sequence
        self._last_us = -GUARD_US

    def take(self, data: bytes) -> None:
        """Takes what the host wrote: payload, or the sequence with silence before and after it."""
        now = self._port.clock.now_us
        quiet = now - self._last_us >= GUARD_US
        self._last_us = now
        data = self._held + data
        if (quiet or self._held) and len(data) <= len(_SEQUENCE) and data == _SEQUENCE[: len(data)]:
            self._held = data
            self._port.after(GUARD_US // MS, self._decide, now)
        else:
            self._held = b""
            self._forward(data)

    def _decide(self, since_us: int) -> None:
        if self._last_us != since_us or not self._port.streaming:
            return
        held, self._held = self._held, b""
        if held == _SEQUENCE:
            self._port.leave_stream()
            self._port.write(self._port.frame("OK"))
        else:
            self._forward(held)
