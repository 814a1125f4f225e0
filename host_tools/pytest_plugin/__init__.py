"""pytest fixtures with which a project tests its own application against the guard: see BENCH.md.

pytest loads this module in every project in whose environment it is installed; all else is imported by those tests
that use a fixture.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from host_tools.pytest_plugin.bench import Bench
    from host_tools.pytest_plugin.sides import CarrierSide, GuardSide, ModemSide

DEFAULT_TARGET = "micropython"
SIMULATED = ("cpython", "micropython")
BOARD = "board:"


@pytest.hookimpl(trylast=True)  # so that a plugin with a --target of its own keeps it
def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("usageguard", "Usage Guard")
    says = "what runs the firmware: cpython, micropython (the default) or board:PORT; repeat it to run tests on each"
    options = {"action": "append", "metavar": "TARGET", "dest": "usageguard_target", "help": says}
    try:
        group.addoption("--guard-target", "--target", **options)
    except (ValueError, argparse.ArgumentError):
        group.addoption("--guard-target", **options)
    says = "with board:PORT: the serial port, or tty, that is wired to the board's modem UART"
    group.addoption("--modem-port", metavar="PORT", dest="usageguard_modem_port", help=says)
    says = "with board:PORT: its name, as `usageguard boards` lists it; without, the board knows its own pins"
    group.addoption("--board", metavar="NAME", dest="usageguard_board", help=says)


def pytest_configure(config: pytest.Config) -> None:
    for target in config.getoption("usageguard_target") or ():
        if target not in SIMULATED and not target.startswith(BOARD):
            raise pytest.UsageError(f"--target: {target} is no target; use {', '.join(SIMULATED)} or {BOARD}PORT")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs the tests that use a bench once on each target, where several are given."""
    targets = list(dict.fromkeys(metafunc.config.getoption("usageguard_target") or ()))
    if len(targets) > 1 and "usageguard_target" in metafunc.fixturenames:
        metafunc.parametrize("usageguard_target", targets, indirect=True)


@pytest.fixture
def usageguard_target(request: pytest.FixtureRequest) -> str:
    """What runs the firmware."""
    given = request.config.getoption("usageguard_target") or [DEFAULT_TARGET]
    return getattr(request, "param", given[0])


@pytest.fixture
def bench(request: pytest.FixtureRequest, usageguard_target: str) -> Iterator[Bench]:
    """The bench: starts worlds, lets their time pass, says how it went."""
    from host_tools.errors import UsageError
    from host_tools.pytest_plugin.bench import Bench
    from host_tools.pytest_plugin.target import Target

    option = request.config.getoption
    try:
        target = Target(usageguard_target, option("usageguard_modem_port"), option("usageguard_board"))
    except UsageError as missing:
        pytest.skip(str(missing))
    with Bench(target, Path(request.path).parent) as made:
        yield made


@pytest.fixture
def carrier(bench: Bench) -> CarrierSide:
    """The carrier's side of the present world."""
    return bench.carrier


@pytest.fixture
def modem(bench: Bench) -> ModemSide:
    """The simulated modem of the present world."""
    return bench.modem


@pytest.fixture
def guard(bench: Bench) -> GuardSide:
    """What the device tells of itself in the present world."""
    return bench.guard


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the end of the event log, and of what the device printed, with a test that failed."""
    report = yield
    used = getattr(item, "funcargs", {}).get("bench")
    if used is not None and report.when == "call" and report.failed and hasattr(used, "sections"):
        report.sections += used.sections()
    return report
