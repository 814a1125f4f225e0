"""Runs the firmware inside this process, by direct calls: for tests with many runs, where a subprocess is too slow."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from host_tools import build
from host_tools.base import paths
from host_tools.run.apps import bench_json
from host_tools.run.targets.link import DirectLink
from host_tools.run.targets.target import OnStart, Program
from host_tools.run.world import World
from host_tools.sim.board import Board

paths.use_firmware()

from usageguard.config import load as config  # noqa: E402 - found only now
from usageguard.guard.guard import Guard  # noqa: E402
from usageguard.hal.host import HostHal  # noqa: E402
from usageguard.net import sockets  # noqa: E402

__all__ = ("DirectTarget", "WorkloadTarget", "sockets")


class WorkloadTarget:
    """Runs a world's device with the built-in workload in this process, without a supervisor: for one that does not
    crash. One boot at a time may run in a process, or several that take turns and call `take_over` when one begins."""

    board: type[Board] = Board

    def __init__(self) -> None:
        self._direct: DirectTarget | None = None

    def run(self, world: World, program: Program, on_start: OnStart | None) -> None:
        """See `Target`."""
        workload = _workload()

        def main(guard: Guard) -> None:
            workload.live(guard, workload.request, bench_json(world, program.module))

        self._direct = DirectTarget(world.device_config, main)
        if on_start:
            on_start(world)
        world.run(self._direct.boot)

    def take_over(self) -> None:
        """From now on the sockets that are made in this process are this device's."""
        if self._direct and self._direct.guard:
            self._direct.guard.bind_sockets()


@cache
def _workload() -> ModuleType:
    """The built-in application, with the guard's sockets."""
    spec = spec_from_file_location("usageguard_workload", Path(build.__file__).with_name("device") / "workload.py")
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module)["socket"] = sockets
    return module


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
            guard.sleep(1 << 28)
