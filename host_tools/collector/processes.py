"""Several processes that are one server: they begin together, and end together."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from multiprocessing.connection import wait
from typing import Any

from host_tools.base.errors import UsageError
from host_tools.base.terminal import OutputLost


def together(count: int, work: Callable[[int, int], None], begun: Callable[[], None] = lambda: None) -> None:
    """Runs `work` in so many processes that are forked from this one, until one of them ends, or this one gets Ctrl-C
    or SIGTERM; then has all of them end. For the main thread alone.

    `work` is called with the process's number and a descriptor, which can be read from as soon as the process is to
    end: when this one was killed, too, so that none is left behind. `begun` is called here, when all have begun. Raises
    the UsageError or OutputLost that one has raised, and UsageError where one ended in another way than it should.
    """
    context = multiprocessing.get_context("fork")  # of what is large here, such as a million keys, there is one copy
    told, tell = os.pipe()
    errors = context.SimpleQueue()

    def end(*_: Any) -> None:
        nonlocal tell
        if tell >= 0:
            os.close(tell)
            tell = -1

    def run(number: int) -> None:
        end()  # its own copy, which would hold the pipe open for the others
        try:
            work(number, told)
        except (UsageError, OutputLost) as error:
            errors.put(error)

    processes = [context.Process(target=run, args=(number,)) for number in range(count)]
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for each in processes:
            each.start()
        begun()
        wait([each.sentinel for each in processes])
        end()
        for each in processes:
            each.join()
    finally:
        end()
        os.close(told)
        for number, handler in before.items():
            signal.signal(number, handler)
    if not errors.empty():
        raise errors.get()
    for each in processes:
        if each.exitcode:
            problem = f"{_how(each.exitcode)}, so all were ended"
            raise UsageError("--processes", f"process {each.pid}", problem, "start again")


def _how(status: int) -> str:
    return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"has ended with status {status}"
