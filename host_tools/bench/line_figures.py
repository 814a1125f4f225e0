"""How much of a fast serial line each family's driver uses, up and down."""

from __future__ import annotations

import functools
from collections.abc import Callable

from host_tools.bench.figures import Measured, figure
from host_tools.bench.line import Share, shares
from host_tools.sim.modem import models

FAST = "quectel-ec200u"
WAYS = ("up", "down")
LEAST_OF_LINE = 71.0
LEAST_PUSHED = 90.0
LEAST_OF_BOUND = 95.0

_shares = functools.cache(shares)


def _of_line(modem: str, way: str, flow_control: bool = False) -> Callable[[], Measured]:
    def measure() -> Measured:
        share = _shares(modem, flow_control=flow_control)[way]
        return Measured(100 * share.of_line, {"its sequence allows": 100 * share.bound})

    return measure


def _of_bound(modem: str, way: str) -> Callable[[], Measured]:
    def measure() -> Measured:
        share: Share = _shares(modem)[way]
        return Measured(100 * share.of_line / share.bound, {"of the line": 100 * share.of_line})

    return measure


for way in WAYS:
    figure(f"line.{way}", "% of the line, EC200U at 921,600 baud", least=LEAST_OF_LINE)(_of_line(FAST, way))
figure("line.pushed", "% of the line down, EC200U at 921,600 baud with RTS and CTS", least=LEAST_PUSHED)(
    _of_line(FAST, "down", True)
)
for modem in models.with_sockets():
    for way in WAYS:
        figure(f"line.{modem}.{way}", "% of what its sequence allows", least=LEAST_OF_BOUND)(_of_bound(modem, way))
