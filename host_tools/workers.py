"""Work spread over processes that end with whoever asked for it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def results(work: Callable[[T], R], todo: Iterable[T], processes: int | None = None) -> Iterator[Iterator[R]]:
    """The results of `work` for each of `todo`, in any order, while the context is open: its end ends the processes.

    As many as there are cores, if not told. Ctrl-C reaches this process only.
    """
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes or os.cpu_count(), signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield pool.imap_unordered(work, todo)
