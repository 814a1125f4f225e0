"""What the pages and the JSON interface ask for, away from the event loop: the store, the accounts, the index."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from time import monotonic
from typing import TypeVar

from host_tools.collector.database import StoreError
from host_tools.collector.store import Store
from host_tools.fleet.accounts import Accounts
from host_tools.fleet.alerting import Alerting
from host_tools.fleet.alerts import AlertBook
from host_tools.fleet.index import Index, Reader
from host_tools.fleet.rules import Rules
from host_tools.fleet.views import Views
from host_tools.fleet.watch import EXPLAIN_S, Terms, Watch

T = TypeVar("T")
_LEAST_PAUSE_S = 1.0
_PAUSE_FOR = 10  # times as long as a refresh took
_RETRY_S = 5.0


class Desk:
    """The store is used by one thread, which `ask` hands work to; the watch has a store and a thread of its own."""

    def __init__(
        self,
        db: str | Path,
        terms: Terms,
        accounts: Callable[..., Accounts] = Accounts,
        rules: Rules | None = None,
    ) -> None:
        self.terms = terms
        self.store = Store(db, upgrade=False)
        self.accounts = accounts(self.store.database)
        self.alerts = AlertBook(self.store.database)
        self.views = Views(self.store.database)
        self._watched = Store(db, upgrade=False)
        self.index = Index()
        self._watch = Watch(self._watched, self.index, terms)
        self.reader = Reader(self.index)
        self._watched_rows = Reader(self.index)
        rules = rules or Rules(fallback=terms.silent)
        self._alerting = Alerting(self._watched.database, self._watched_rows, rules, terms.keep)
        self._thread = ThreadPoolExecutor(1, "fleet-desk")
        self._watcher = ThreadPoolExecutor(1, "fleet-watch")
        self._subscribers: set[Subscriber] = set()
        self.listeners: list[Callable[[set[str]], None]] = []
        """Each is called with the devices that have changed; "" stands for a new alert."""
        self.ended = False

    async def ask(self, work: Callable[[], T]) -> T:
        """The result of `work`, which may use the store, the accounts and the reader."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def refresh(self, most_s: float = EXPLAIN_S) -> None:
        """Takes over what others have written, and tells the subscribers. `most_s`: see `Watch.refresh`."""
        changed = await asyncio.get_running_loop().run_in_executor(self._watcher, self._looked, most_s)
        for listener in self.listeners:
            listener(changed)
        for each in self._subscribers:
            if changed and (each.device is None or each.device in changed):
                each.event.set()

    def _looked(self, most_s: float) -> set[str]:
        changed = self._watch.refresh(most_s=most_s)
        self._alerting.note(changed)
        with suppress(StoreError):  # what is to be told of is found again
            if self._alerting.look(self.terms.now()):
                changed |= {""}
        return changed

    async def keep_up(self) -> None:
        """Refreshes for ever, the less often the longer it takes."""
        while True:
            begin = monotonic()
            pause = _RETRY_S  # the database is locked or away; what is shown stays
            with suppress(StoreError):
                await self.refresh()
                pause = max(_LEAST_PAUSE_S, _PAUSE_FOR * (monotonic() - begin))
            await asyncio.sleep(pause)

    def subscribe(self, device: str | None) -> Subscriber:
        """Is told of changes of a device, or of any one, until it is closed."""
        subscriber = Subscriber(self._subscribers, device)
        self._subscribers.add(subscriber)
        return subscriber

    @property
    def to_explain(self) -> int:
        """How many devices' bills are to be explained yet."""
        return self._watch.to_explain

    @property
    def subscribers(self) -> int:
        return len(self._subscribers)

    def end(self) -> None:
        """Ends the streams of all subscribers, and lets none begin."""
        self.ended = True
        for each in self._subscribers:
            each.event.set()

    def close(self) -> None:
        self._thread.shutdown()
        self._watcher.shutdown()
        self.reader.close()
        self._watched_rows.close()
        self.index.close()
        self._watched.close()
        self.store.close()


class Subscriber:
    def __init__(self, among: set[Subscriber], device: str | None) -> None:
        self._among = among
        self.device = device
        self.event = asyncio.Event()

    def close(self) -> None:
        self._among.discard(self)
