"""Runs tests against a mutant: in a fork of this process, in which the import system gives the mutant's code.

Nothing is written to the tree, and what the tests import of other people's is imported once.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any

from tests.mutation.subjects import FIRMWARE, ROOT, Subject

STAGES = ("own", "more", "soak")
CPU_S = {"own": 90, "more": 400, "soak": 400}
"""CPU seconds, several times what the unchanged firmware takes: a mutant that uses them up loops, and is caught."""
LIVES = range(101, 201)
"""Seeds of the soak's runs."""
WARM = (
    "aiocoap", "cbor2", "cryptography", "hypothesis.strategies", "littlefs", "msgspec", "pytest",
    "rich.progress", "scapy.packet", "tomli_w", "typer", "xml.etree.ElementTree",
)  # fmt: skip
_context = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`by`: the stage that caught the mutant, "" if none did; `test`: the first test that failed in it."""

    by: str
    test: str = ""


class _Finder(importlib.abc.MetaPathFinder, importlib.machinery.SourceFileLoader):
    def __init__(self, file: str, code: str) -> None:
        path = FIRMWARE / "usageguard" / file
        name = f"usageguard/{file}".removesuffix(".py").replace("/", ".")
        importlib.machinery.SourceFileLoader.__init__(self, name, str(path))
        self._mutated = code

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> Any:
        return compile(self._mutated, self.path, "exec")


class _First:
    """Remembers the first test or module that failed."""

    def __init__(self) -> None:
        self.name = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.name:
            self.name = report.nodeid

    pytest_collectreport = pytest_runtest_logreport


def warm() -> None:
    """Imports what most tests import, and nothing of the project."""
    for name in WARM:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _run_tests(tests: Iterable[str]) -> Verdict | None:
    import pytest
    from hypothesis import Phase, settings

    # The same examples each time, and none of the search for the smallest.
    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutants", deadline=None, derandomize=True, database=None, phases=phases)
    settings.load_profile("mutants")
    first = _First()
    # pytest's rewriting of assertions would load a module from its file, past `_Finder`.
    quiet = ("-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=no", "--assert=plain")
    status = pytest.main([*quiet, *tests], plugins=[first])
    if status in (pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.USAGE_ERROR):
        return Verdict("", f"pytest {status.name}: {' '.join(tests)}")
    return Verdict("", first.name or status.name) if status else None


def _run_soak() -> Verdict | None:
    from host_tools.soak import soak

    for seed in LIVES:
        (outcome,) = soak.work([seed])
        if outcome.invariant:
            return Verdict("", f"soak, seed {seed}: {outcome.invariant}")
    return None


def _child(subject: Subject, file: str, code: str, stage: str, told: Any) -> None:
    os.setpgid(0, 0)
    os.chdir(ROOT)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nowhere, fd)
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S[stage], CPU_S[stage] + 5))
    resource.setrlimit(resource.RLIMIT_DATA, (3 << 30, 3 << 30))
    sys.path[:0] = [str(FIRMWARE), str(ROOT)]
    for name in [*sys.modules]:  # where the caller is itself a test, the firmware is imported already
        if name.partition(".")[0] in ("usageguard", "host_tools", "tests"):
            del sys.modules[name]
    if code:
        sys.meta_path.insert(0, _Finder(file, code))
    try:
        failed = _run_soak() if stage == "soak" else _run_tests(getattr(subject, stage))
        told.send(failed.test if failed else "")
    except BaseException as error:
        told.send(f"{type(error).__name__}: {error}"[:200])
    os._exit(0)


@dataclass(slots=True)
class _Running:
    process: Any
    told: Any
    began: float
    stage: str
    job: Any


def run(
    jobs: Iterable[tuple[Subject, str, str, Any]], stages: tuple[str, ...] = STAGES, processes: int | None = None
) -> Iterator[tuple[Any, Verdict]]:
    """Yields (what, verdict) for each job (subject, file, mutated code, what): what the first stage catches first.

    A job without code runs the unchanged firmware.
    """
    warm()
    waiting = deque((job, stages[0]) for job in jobs)
    running: list[_Running] = []
    count = processes or os.cpu_count() or 1
    try:
        while True:
            while len(running) < count and waiting:
                running.append(_start(*waiting.popleft()))
            if not running:
                return
            wait([each.told for each in running], timeout=5)
            for each in [*running]:
                said = _said(each)
                if said is None:
                    continue
                running.remove(each)
                place = stages.index(each.stage)
                if said:
                    yield each.job[3], Verdict(each.stage, said)
                elif place + 1 < len(stages):
                    waiting.append((each.job, stages[place + 1]))
                else:
                    yield each.job[3], Verdict("")
    finally:
        for each in running:
            _end(each.process)


def _start(job: tuple[Subject, str, str, Any], stage: str) -> _Running:
    ours, theirs = _context.Pipe(duplex=False)
    process = _context.Process(target=_child, args=(*job[:3], stage, theirs))
    process.start()
    theirs.close()
    return _Running(process, ours, time.monotonic(), stage, job)


def _said(each: _Running) -> str | None:
    """What a child said, "" that all passed; None while it still runs."""
    if not each.told.poll():
        if time.monotonic() - each.began < 10 * CPU_S[each.stage]:
            return None
        _end(each.process)
        return "it hangs"
    try:
        said = each.told.recv()
    except EOFError:  # killed at its limit
        said = "it loops, or ends the process"
    _end(each.process)
    return said


def _end(process: Any) -> None:
    """Ends a child with whatever it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.join()


