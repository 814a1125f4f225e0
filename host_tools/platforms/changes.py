"""When a SIM was last changed: platforms refuse a second change within an interval, some with all of its batch."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from host_tools.base.errors import UsageError


class ChangeTimes:
    """The last changes, kept in `file` for other processes and restarts; without one, for this object alone."""

    def __init__(self, interval: timedelta, file: Path | None = None) -> None:
        self._interval = interval
        self._file = file
        self._times: dict[str, datetime] = {}
        if file is not None and file.exists():
            try:
                stored = json.loads(file.read_text("utf-8"))
                self._times = {sim: datetime.fromtimestamp(at, UTC) for sim, at in stored.items()}
            except (OSError, ValueError, TypeError, AttributeError, OverflowError):
                raise UsageError(str(file), "", "is not a list of changes", "remove it an hour from now") from None

    def free_at(self, sim: str, now: datetime) -> datetime | None:
        """When the SIM may be changed again; None if that is now."""
        last = self._times.get(sim)
        until = last + self._interval if last is not None else None
        return until if until is not None and until > now else None

    def put(self, sims: Iterable[str], now: datetime) -> None:
        """The SIMs are changed now, or may be."""
        self._times = {sim: at for sim, at in self._times.items() if at + self._interval > now}
        self._times |= dict.fromkeys(sims, now)
        self._store()

    def forget(self, sims: Iterable[str]) -> None:
        """The SIMs were not changed after all."""
        for sim in sims:
            self._times.pop(sim, None)
        self._store()

    def _store(self) -> None:
        if self._file is None:
            return
        handle, new = tempfile.mkstemp(dir=self._file.parent, prefix=f".{self._file.name}.")
        try:
            with open(handle, "w", encoding="utf-8") as file:
                json.dump({sim: at.timestamp() for sim, at in self._times.items()}, file)
            os.replace(new, self._file)
        except BaseException:
            os.unlink(new)
            raise
