"""The one log of what happened in a world, by whom and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from host_tools.sim.clock import Clock


@dataclass(slots=True)
class EventLog:
    """Ordered events: `who` ("device", "carrier", …), `what` as a short ASCII code, and integer or ASCII fields."""

    clock: Clock
    events: list[dict[str, Any]] = field(default_factory=list)
    listeners: list[Callable[[dict[str, Any]], None]] = field(default_factory=list)

    def add(self, who: str, what: str, **fields: Any) -> None:
        event = {"t": self.clock.utc().isoformat(), "who": who, "what": what, **fields}
        self.events.append(event)
        for listener in self.listeners:
            listener(event)
