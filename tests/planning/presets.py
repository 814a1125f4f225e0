"""A month of each preset of `usageguard plan new`, against the carrier that its plan describes:

    python -m tests.planning.presets [NAME …]

Exit status 1: the carrier stopped the SIM, or another expectation did not hold.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from host_tools.planning import new
from host_tools.run.recorder import RunResult
from host_tools.run.run import run_scenario
from host_tools.scenario import file as scenario

ASKED = {
    "allowance": "50MB", "family": "quectel", "activated": "2026-02-15", "cost_cap_fen": 500, "collector": "collector",
    "apn": "cmnet",
}  # fmt: skip
"""What a preset leaves open."""


def plan(name: str, folder: Path) -> Path:
    """The plan that a preset makes, in a file."""
    given = {**ASKED, **new.presets()[name]}
    path = folder / f"{name}.toml"
    path.write_text(new.write(new.answer(given, None, name)), "utf-8")
    return path


def month(path: Path) -> RunResult:
    """The month that `usageguard sim` runs with it."""
    return run_scenario(scenario.load(path), "cpython")


def main(names: list[str]) -> int:
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for name in names or new.presets():
            result = month(plan(name, Path(folder))).to_json()
            failed |= not result["passed"]
            used = result["carrier"]["billed_octets"] / result["carrier"]["allowance_octets"]
            print(f"{name}: {used:.1%} used, {result['failures'] or 'held'}", flush=True)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
