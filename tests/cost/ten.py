"""Ten applications as people write them, each for a day: that they run, and what their octets are for.

    python -m tests.cost.ten [NAME …]

prints a line for each target that has what the application imports. Exit status 1: one crashes, or less than 95 % of
what the carrier billed is explained.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from host_tools.cost import measure
from host_tools.cost.project import month
from host_tools.run.targets.names import CPYTHON, MICROPYTHON
from tests import certificate
from tests.cost import servers

FOLDER = Path(__file__).parent / "apps"
LEAST_EXPLAINED = 0.95


class Ten(NamedTuple):
    """`server` is a handler for the host `host`; without one the host is made up. `targets` are those that have what
    the application imports."""

    host: str = ""
    server: Any = None
    tls: bool = False
    targets: tuple[str, ...] = (CPYTHON, MICROPYTHON)


APPLICATIONS = {
    "umqtt_reconnects": Ten(),
    "requests_polling": Ten(targets=(MICROPYTHON,)),
    "ota_ranges": Ten("files.example", servers.Ranges),
    "websocket_app": Ten("live.example", servers.WebSocket),
    "udp_beacons": Ten(),
    "two_tasks": Ten(targets=(MICROPYTHON,)),
    "tls_per_message": Ten("tls.example", servers.Line, True, (MICROPYTHON,)),
    "pictures": Ten(),
    "sleepy_tracker": Ten(),
    "chatty_log": Ten(),
}


@contextlib.contextmanager
def hosts(ten: Ten) -> Iterator[list[str]]:
    """Runs the application's server; yields what `--host` gets."""
    if ten.server is None:
        yield []
        return
    with tempfile.TemporaryDirectory() as folder:
        pem = certificate.write(Path(folder))[1] if ten.tls else None
        with servers.serving(ten.server, pem) as address:
            yield [f"{ten.host}={address}"]


def day(name: str, target: str) -> tuple[measure.Measured, dict[str, Any]]:
    """A day of the application on the usual network, and what it makes of a month."""
    path = FOLDER / f"{name}.py"
    with hosts(APPLICATIONS[name]) as given:
        scenario, sold = measure.compose(str(path), None, given)
        modules, libraries = measure.imports(path)
        assert not modules
        run = measure.measure(measure.Job(scenario, target, 1, measure.QUALITIES[1], 1, {}, tuple(libraries)))
    return run, month([run], sold)


def main(names: list[str]) -> int:
    failed = False
    for name in names or APPLICATIONS:
        for target in APPLICATIONS[name].targets:
            run, found = day(name, target)
            bad = run.crashes or run.hangs or found["explained"] < LEAST_EXPLAINED
            failed |= bool(bad)
            print(
                f"{'FAILED ' if bad else ''}{name} on {target}: {run.billed_octets:,} octets, "
                f"{100 * found['explained']:.1f} % explained, {found['causes']}",
                flush=True,
            )
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
