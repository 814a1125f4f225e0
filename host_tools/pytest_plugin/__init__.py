"""pytest fixtures for testing an application on a simulated device with the guard: see BENCH.md.

pytest loads this module in every project of the environment in which it is installed, so the imports that cost time
are made only when a fixture or an option is used.
"""

from __future__ import annotations

import argparse
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from host_tools.pytest_plugin.bench import Bench
    from host_tools.pytest_plugin.borrowed import Lender
    from host_tools.pytest_plugin.handles import CarrierHandle, GuardHandle, ModemHandle


@pytest.hookimpl(trylast=True)  # a plugin with its own --target option keeps it
def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("usageguard", "Usage Guard")
    text = "what runs the firmware: cpython, micropython (the default) or board:PORT; repeat it to run tests on each"
    options = {"action": "append", "metavar": "TARGET", "dest": "usageguard_target", "help": text}
    try:
        group.addoption("--guard-target", "--target", **options)
    except (ValueError, argparse.ArgumentError):
        group.addoption("--guard-target", **options)
    text = "with board:PORT: the serial port that is wired to the board's modem UART"
    group.addoption("--modem-port", metavar="PORT", dest="usageguard_modem_port", help=text)
    text = "with board:PORT: the board's name (`usageguard boards`); default: the pins that were deployed to the board"
    group.addoption("--board", metavar="NAME", dest="usageguard_board", help=text)


def pytest_configure(config: pytest.Config) -> None:
    for target in config.getoption("usageguard_target") or ():
        from host_tools.run.targets import names

        if not names.is_known(target):
            known = f"{', '.join(names.SIMULATED)} or {names.BOARD}PORT"
            raise pytest.UsageError(f"--target: {target} is not a target; use {known}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Runs each test that uses the bench once per target when several targets are given."""
    targets = list(dict.fromkeys(metafunc.config.getoption("usageguard_target") or ()))
    if len(targets) > 1 and "usageguard_target" in metafunc.fixturenames:
        metafunc.parametrize("usageguard_target", targets, indirect=True)


@pytest.fixture
def usageguard_target(request: pytest.FixtureRequest) -> str:
    """The target that runs the firmware."""
    from host_tools.run.targets import names

    given = request.config.getoption("usageguard_target") or [names.MICROPYTHON]
    return getattr(request, "param", given[0])


@pytest.fixture
def bench(request: pytest.FixtureRequest, usageguard_target: str) -> Iterator[Bench]:
    """Starts a simulated world, advances its time, and returns the run's outcome."""
    from host_tools.base.errors import UsageError
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
def carrier(bench: Bench) -> CarrierHandle:
    """The carrier and its platform in the present world."""
    return bench.carrier


@pytest.fixture
def modem(bench: Bench) -> ModemHandle:
    """The simulated modem of the present world."""
    return bench.modem


@pytest.fixture
def guard(bench: Bench) -> GuardHandle:
    """The status of the device in the present world."""
    return bench.guard


@pytest.fixture
def simulated_modem(request: pytest.FixtureRequest) -> Iterator[Lender]:
    """Starts simulated modems in real time, for any AT client: `simulated_modem("quectel-ec200u").path`."""
    from host_tools.pytest_plugin.borrowed import Lender

    lender = Lender(Path(request.path).parent)
    yield lender
    lender.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds the end of the event log and of the device's output to the report of a failed test."""
    report = yield
    used = getattr(item, "funcargs", {}).get("bench")
    if used is not None and report.when == "call" and report.failed and hasattr(used, "sections"):
        report.sections += used.sections()
    return report
