"""Which of the firmware's modules a device needs: those that imports lead to, but for what its plan never does."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from host_tools import paths

BOARD = ("start", "usageguard.hal.esp32")
"""What a board runs; with the driver of its modem, all of the guard is reached from here."""
VALIDATOR = ("usageguard.config", "usageguard.config_limits", "usageguard.config_plan", "usageguard.config_table")
"""What only a device needs that checks its configuration itself."""
ELSEWHERE = ("usageguard.elsewhere",)
"""What only CPython needs."""
_BESIDE = ("slots", "main")  # they lie beside every set of modules


def _with_sms(config: Any) -> bool:
    return config.upstream.sms_number is not None


def _with_orders(config: Any) -> bool:
    return config.upstream.host is not None  # they come with the acknowledgement of a report


_FOR_SOME: dict[str, Callable[[Any], bool]] = {
    "usageguard.at.sms": _with_sms,
    "usageguard.core.burst": lambda config: config.plan.burst is not None,
    "usageguard.core.figure": _with_orders,
    "usageguard.core.forecast": lambda config: config.plan.pace or config.plan.warn_forecast,
    "usageguard.core.life": lambda config: hasattr(config.plan.cycle, "begin_billing"),
    "usageguard.core.money": lambda config: config.plan.balance_fen is not None or config.plan.tariff is not None,
    "usageguard.core.ordered": _with_orders,
    "usageguard.core.pool": lambda config: config.plan.pool is not None,
    "usageguard.holder": lambda config: config.plan.burst is not None,
    "usageguard.modem.sms": _with_sms,
    "usageguard.owner": _with_orders,
    "usageguard.upstream.sms": _with_sms,
}
"""What is imported inside functions, and by which configurations (usageguard.core.settings.Config).

core.bucket is not here: a throttle that was ordered is stored, and stands under whatever configuration comes after.
"""


def driver(family: str) -> str:
    """The module for a modem family."""
    return f"usageguard.modem.{family}"


def unneeded(config: Any) -> list[str]:
    """What a device with this Config never imports, though its modules name it."""
    return [name for name, wanted in _FOR_SOME.items() if not wanted(config)]


def reached(roots: Iterable[str], without: Iterable[str] = ()) -> list[str]:
    """The firmware's modules that `roots` and what they import may import, by name, sorted."""
    left_out = {*without, *_BESIDE}
    found: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        file = source(name)
        if name in found or name in left_out or not file:
            continue
        found.add(name)
        if "." in name:
            pending.append(name.rpartition(".")[0])
        pending += imports(file.read_bytes())
    return sorted(found)


@functools.cache
def imports(text: bytes) -> list[str]:
    """What a source may import; names out of a package as well, for they may be modules."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def source(name: str) -> Path | None:
    """The file of a module of the firmware; None for any other."""
    path = paths.firmware() / name.replace(".", "/")
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)
