"""The firmware inside this process, by direct calls: for property tests, where a subprocess would cost too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from host_tools import paths
from host_tools.sim.board import Board
from host_tools.targets.link import DirectLink

paths.use_firmware()

from usageguard import config  # noqa: E402 - found only now
from usageguard.core.ticks import ticks_add  # noqa: E402
from usageguard.guard import Guard  # noqa: E402
from usageguard.hal.host import HostHal  # noqa: E402
from usageguard.net import sockets  # noqa: E402


class DirectTarget:
    """Runs `app(guard)` on each boot, with `usageguard.net.sockets` as its socket module, and guards on after it.

    `guard` is the one of the present boot. An OSError of the application is its own affair; anything else is a failure.
    """

    def __init__(self, device_config: dict[str, Any], app: Callable[[Guard], None]) -> None:
        self._config = device_config
        self._app = app
        self.guard: Guard | None = None

    def boot(self, board: Board) -> None:
        """One boot, until the board loses power (raises PowerLoss)."""
        self.guard = guard = Guard(HostHal(DirectLink(board)), config.load(self._config))
        sockets.bind_guard(guard)
        self._app(guard)
        while True:
            guard.pump(ticks_add(guard.hal.ticks_ms(), 1 << 28))
