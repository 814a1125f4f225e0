"""The demonstration's last part: the fleet's page on loopback, with devices that go on until Ctrl-C."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from host_tools.demo.devices import PACE, Fleet
from host_tools.fleet import serve
from host_tools.fleet.watch import Terms


class Page:
    """A context. `start` lets the devices live in a thread; `serve` waits for them, and returns after Ctrl-C."""

    def __init__(self, fleet: Callable[[Path], Fleet] = Fleet) -> None:
        self._make = fleet
        self._folder = tempfile.TemporaryDirectory(prefix="usageguard-demo-")
        self._db = Path(self._folder.name, "reports.sqlite")
        self._fleet: Fleet | None = None

    def __enter__(self) -> Page:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._fleet is not None:
            self._fleet.close()
        self._folder.cleanup()

    def start(self) -> None:
        self._fleet = self._make(self._db)

    def serve(self, say: Callable[[str], None]) -> None:
        if self._fleet is None:
            self.start()
        assert self._fleet is not None
        self._fleet.ready()
        say(f"A small fleet goes on: a minute is {PACE // 60} hours there. Its page takes orders; Ctrl-C ends it.")
        with suppress(KeyboardInterrupt):
            serve.serve(str(self._db), serve.Listen(port=0), Terms(now=self._fleet.now), say)
