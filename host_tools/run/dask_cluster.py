"""Spreads a fleet over an existing Dask cluster, whose workers have this package. Needs the extra `dask`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from distributed import Client, as_completed

from host_tools.base.errors import UsageError

T = TypeVar("T")
R = TypeVar("R")

_CONNECT_S = 10


class Cluster:
    """The cluster whose scheduler is at `address`."""

    def __init__(self, address: str) -> None:
        self._address = address

    @contextmanager
    def results(self, work: Callable[[T], R], todo: Sequence[T]) -> Iterator[Iterable[R]]:
        """As `host_tools.base.workers.results`, on the cluster's workers. UsageError: there is no scheduler."""
        try:
            client = Client(self._address, timeout=_CONNECT_S)
        except (OSError, ValueError) as error:  # ValueError: not an address
            hint = "give a scheduler's address, as in tcp://10.0.0.5:8786"
            raise UsageError("--dask", self._address, f"cannot be reached: {error}", hint) from None
        with client:
            futures = client.map(work, todo, pure=False)
            yield (future.result() for future in as_completed(futures))
