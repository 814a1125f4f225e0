"""What the code for a feature keeps of the heap where the configuration does not use the feature.

    python -m host_tools.bench.heap.features

prints it for each; exit status 1 if one costs more than MOST. A build cuts such code out (`host_tools.build.unused`);
this measures the set with it and without.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from unittest import mock

from host_tools.bench.heap import board
from host_tools.build import package
from host_tools.build.unused import unused

FEATURES = {
    "plan.account, plan.overage": ("money", "tariff", "fee_fen"),
    "plan.burst": ("burst", "_burst_guard"),
    "plan.daily": ("daily",),
    "plan.hours, plan.roaming": ("hours", "roaming", "apart"),
    "plan.lifecycle": ("life", "hold_silent"),
    "plan.package": ("package_months", "renew_months"),
    "plan.pool": ("pool", "hold_doubt"),
    "plan.rating": ("per_packet_octets", "margin_permille"),
    "plan.rating.session_round_octets": ("session_round_octets", "session_round"),
    "[[classes]]": ("by_class", "quotas", "quota_octets"),
    "modem.any_sim": ("any_sim",),
    "upstream.mqtt": ("mqtt", "TCP"),
    "upstream.ntp_host": ("ntp_host", "_sntp"),
    "upstream.sms_number, upstream.sms_orders": ("sms_number", "sms_orders", "messenger", "_sms"),
}
"""What a plain quota does not use: the attributes that say so."""
MOST = 300
"""Octets that each may cost."""


def live(*features: str, family: str = "quectel") -> int:
    """The octets that the set of a plain quota keeps with the code for all of FEATURES but these."""
    only = tuple(name for feature in features for name in FEATURES[feature])
    with (
        mock.patch.object(package, "unused", lambda config: replace(unused(config), only=only)),
        tempfile.TemporaryDirectory() as folder,
    ):
        return board.live(Path(folder), family)[0]


def main() -> int:
    whole = live()
    costs = []
    for feature in FEATURES:
        costs.append(whole - live(feature))
        print(f"{costs[-1]:6,}  {feature}", flush=True)
    print(f"{whole - live(*FEATURES):6,}  all of them, of {whole:,}")
    return int(max(costs) > MOST)


if __name__ == "__main__":
    sys.exit(main())
