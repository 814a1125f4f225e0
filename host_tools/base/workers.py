"""Spreads work over processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@contextmanager
def results(work: Callable[[T], R], todo: Iterable[T], processes: int | None = None) -> Iterator[Iterator[R]]:
    """Yields the results of `work` for each of `todo`, in any order. Leaving the context terminates the processes.

    `processes` defaults to the number of cores. The processes ignore Ctrl-C. Their temporary files go when they do.
    """
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="usage-guard-") as folder,
        context.Pool(processes or os.cpu_count(), _begin, (folder,)) as pool,
    ):
        yield pool.imap_unordered(work, todo)


def _begin(folder: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    tempfile.tempdir = folder  # a process that is terminated deletes nothing itself
