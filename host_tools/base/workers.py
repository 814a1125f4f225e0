"""Spreads work over processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.pool import AsyncResult, Pool
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def results(work: Callable[[T], R], todo: Iterable[T], processes: int | None = None) -> Iterator[Iterator[R]]:
    """Yields the results of `work` for each of `todo`, in any order. Leaving the context terminates the processes.

    `processes` defaults to the number of cores. The processes ignore Ctrl-C. Their temporary files go when they do.
    For the main thread alone.
    """
    with _pool(processes) as pool:
        yield pool.imap_unordered(work, todo)


@contextmanager
def beside(work: Callable[[T], R], argument: T) -> Iterator[AsyncResult[R]]:
    """As `results`, of one piece of work that goes on in a process while the caller does something else."""
    with _pool(1) as pool:
        yield pool.apply_async(work, (argument,))


@contextmanager
def _pool(processes: int | None) -> Iterator[Pool]:
    with tempfile.TemporaryDirectory(prefix="usage-guard-") as folder:
        # A process begins with the signals ignored that this one ignores: it is not interrupted while it imports.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            pool = multiprocessing.get_context("spawn").Pool(processes or os.cpu_count(), _begin, (folder,))
        finally:
            signal.signal(signal.SIGINT, before)
        with pool:
            yield pool


def _begin(folder: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tempfile.tempdir = folder  # a process that is terminated deletes nothing itself
