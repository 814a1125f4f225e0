"""Runs the firmware inside this process, by direct calls: for tests with many runs, where a subprocess is too slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from host_tools.base import paths
from host_tools.run.targets.link import DirectLink
from host_tools.sim.board import Board

paths.use_firmware()

from usageguard.config import load as config  # noqa: E402 - found only now
from usageguard.core.ticks import ticks_add  # noqa: E402
from usageguard.guard.guard import Guard  # noqa: E402
from usageguard.hal.host import HostHal  # noqa: E402
from usageguard.net import sockets  # noqa: E402

__all__ = ("DirectTarget", "sockets")


class DirectTarget:
    """Runs `app(guard)` in each boot, with `usageguard.net.sockets` as its socket module, then the guard alone.

    `device_config` is the device's configuration, or gives it at each boot. `guard` is the one of the present boot.
    Exceptions of the application and the firmware pass through.
    """

    def __init__(
        self, device_config: dict[str, Any] | Callable[[], dict[str, Any]], app: Callable[[Guard], None]
    ) -> None:
        self._config = device_config
        self._app = app
        self.guard: Guard | None = None

    def boot(self, board: Board) -> None:
        """One boot, until the board is reset or loses power (raises PowerLoss)."""
        given = self._config() if callable(self._config) else self._config
        self.guard = guard = Guard(HostHal(DirectLink(board)), config.load(given))
        guard.bind_sockets()
        self._app(guard)
        while True:
            guard.pump(ticks_add(guard.hal.ticks_ms(), 1 << 28))
