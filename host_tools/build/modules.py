"""Finds the firmware's modules that a device needs: those it can import, without those its plan never uses."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from host_tools.base import paths

BOARD = ("start", "usageguard.hal.esp32")
"""The modules that a board starts with; together with the modem's driver they import everything else."""
LOADED = ("usageguard.app", "usageguard.hal.esp32", "usageguard.guard.guard", "usageguard.guard.waits")
"""What every boot imports, before the modem's driver."""
VALIDATOR = ("usageguard.config.load", "usageguard.config.limits", "usageguard.config.plan", "usageguard.config.table")
"""Needed only by a device that checks its configuration itself."""
ELSEWHERE = ("usageguard.cpython",)
"""Needed only on CPython."""
_BESIDE = ("slots", "main")  # installed outside the sets


def _with_sms(config: Any) -> bool:
    return config.upstream.sms_number is not None or config.upstream.sms_orders


def _with_sms_orders(config: Any) -> bool:
    return config.upstream.sms_orders


def _with_ntp(config: Any) -> bool:
    return config.upstream.ntp_host is not None


def _with_ppp(config: Any) -> bool:
    return config.modem.bearer == "ppp"


def _sleeps_lightly(config: Any) -> bool:
    return config.modem.saving is not None and config.modem.saving[3]


def _with_days(config: Any) -> bool:
    return config.plan.daily is not None


def _with_quotas(config: Any) -> bool:
    return config.plan.quotas


def _with_counters(config: Any) -> bool:
    return config.plan.apart


def _by_class(config: Any) -> bool:
    return config.by_class or _with_quotas(config)


def _with_host(config: Any) -> bool:
    return config.upstream.host is not None


def _with_orders(config: Any) -> bool:
    return _with_host(config) or config.upstream.sms_orders  # they come with acknowledgements too


_FOR_SOME: dict[str, Callable[[Any], bool]] = {
    "usageguard.at.pdu": _with_sms,
    "usageguard.core.burst": lambda config: config.plan.burst is not None,
    "usageguard.core.account.allowance": _with_orders,
    "usageguard.core.account.counters": _with_counters,
    "usageguard.core.account.daily": _with_days,
    "usageguard.core.account.figures": _with_orders,
    "usageguard.core.account.orders": _with_orders,
    "usageguard.core.account.quotas": _with_quotas,
    "usageguard.corroborated": _with_ntp,
    "usageguard.guard.reserve_pace": _with_host,
    "usageguard.guard.way_in": _with_host,
    "usageguard.guard.burst_guard": lambda config: config.plan.burst is not None,
    "usageguard.guard.counters": _with_counters,
    "usageguard.guard.daily": _with_days,
    "usageguard.hal.esp32_ppp": _with_ppp,
    "usageguard.modem.light_sleep": _sleeps_lightly,
    "usageguard.modem.mailbox": _with_sms_orders,
    "usageguard.modem.messenger": _with_sms,
    "usageguard.modem.quectel_push": lambda config: config.modem.family == "quectel",
    "usageguard.modem.operator": lambda config: config.modem.operator is not None or _with_orders(config),
    "usageguard.modem.power_saving": lambda config: config.modem.saving is not None,
    "usageguard.modem.ppp": _with_ppp,
    "usageguard.modem.ppp_connection": _with_ppp,
    "usageguard.modem.ppp_link": _with_ppp,
    "usageguard.modem.ppp_names": _with_ppp,
    "usageguard.net.by_class": _by_class,
    "usageguard.net.by_counter": _with_counters,
    "usageguard.net.by_quota": _with_quotas,
    "usageguard.net.ppp": _with_ppp,
    "usageguard.guard.order_handler": _with_orders,
    "usageguard.store.apart": _with_counters,
    "usageguard.upstream.mqtt": lambda config: config.upstream.mqtt is not None,
    "usageguard.upstream.sms": lambda config: config.upstream.sms_number is not None,
    "usageguard.upstream.sms_orders": _with_sms_orders,
    "usageguard.upstream.sntp": _with_ntp,
}
"""Modules that are imported inside functions, each with the configurations (core.settings.Config) that use it.

core.bucket is not listed: an ordered throttle is stored, and stays in force under the device's next configuration.
"""
_ACCOUNT_PARTS = (
    "usageguard.core.account.life",
    "usageguard.core.account.money",
    "usageguard.core.account.pool",
    "usageguard.core.forecast",
)
"""Modules that core.account.account.Account imports for plans that need them."""
_BY_CLASS = ("usageguard.net.by_class",)
_DAILY = ("usageguard.core.account.daily", "usageguard.guard.daily")
_COUNTERS = (
    "usageguard.core.account.counters", "usageguard.guard.counters", "usageguard.net.by_counter",
    "usageguard.store.apart",
)  # fmt: skip
_PPP = ("usageguard.hal.esp32_ppp", "usageguard.net.ppp")
_QUOTAS = ("usageguard.core.account.quotas", "usageguard.net.by_quota")
"""What the start imports for that bearer, and above for classes of one's own and such a plan."""


def driver(family: str) -> str:
    """The module for a modem family."""
    return f"usageguard.modem.{family}"


def unneeded(config: Any) -> list[str]:
    """The modules that a device with this Config never imports, though the firmware refers to them."""
    made = _account_parts(config)
    without = [name for name, wanted in _FOR_SOME.items() if not wanted(config)]
    return without + [name for name in _ACCOUNT_PARTS if name not in made]


def without_parts(board: dict[str, Any]) -> list[str]:
    """The modules for parts that a board with this `board.json` does not have."""
    without = [] if "axp2101" in board else ["usageguard.hal.axp2101"]
    if board.get("rts") is None or board.get("cts") is None:
        without.append("usageguard.modem.quectel_push")
    return without if "reserve" in board else [*without, "reserve", "usageguard.guard.lending"]


def parts(config: Any) -> list[str]:
    """The modules that a device with this Config imports at its start for what its plan has."""
    made = _account_parts(config) & {*_ACCOUNT_PARTS}
    made |= {*_PPP} if _with_ppp(config) else set()
    made |= {*_DAILY} if _with_days(config) else set()
    made |= {*_QUOTAS} if _with_quotas(config) else set()
    made |= {*_COUNTERS} if _with_counters(config) else set()
    return sorted(made | {*_BY_CLASS} if _by_class(config) else made)


def _account_parts(config: Any) -> set[str]:
    """The modules of the parts of Account for this Config. Account chooses them, so one is constructed to find out."""
    paths.use_firmware()
    from usageguard.core.account.account import Account
    from usageguard.core.account.quotas import with_quotas
    from usageguard.core.policy import Policy
    from usageguard.store.ledger import ORDERS_OCTETS

    make = with_quotas(Policy) if _with_quotas(config) else Policy
    account = Account(config.plan, make(config.plan, config.classes), bytearray(ORDERS_OCTETS))
    return {type(part).__module__ for part in vars(account).values()}


def reached(roots: Iterable[str], without: Iterable[str] = ()) -> list[str]:
    """The names of the firmware's modules that `roots` import directly or indirectly, sorted."""
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
    """The modules that a source may import, including names imported from a package, as they may be modules."""
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def source(name: str) -> Path | None:
    """The file of a firmware module; None for any other module."""
    path = paths.firmware() / name.replace(".", "/")
    return next((each for each in (path.with_suffix(".py"), path / "__init__.py") if each.is_file()), None)
