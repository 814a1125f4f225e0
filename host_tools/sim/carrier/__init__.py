"""The carrier: metering, rating, billing cycles, stops. Shares no code with the firmware."""

from host_tools.sim.carrier.bearer import Bearer
from host_tools.sim.carrier.carrier import Carrier, News
from host_tools.sim.carrier.plan import (
    Daily,
    Enforcement,
    Funds,
    Hours,
    Lifecycle,
    Package,
    Rating,
    SimPlan,
    Tier,
    VirtualMembers,
)

__all__ = [
    "Bearer",
    "Carrier",
    "Daily",
    "Enforcement",
    "Funds",
    "Hours",
    "Lifecycle",
    "News",
    "Package",
    "Rating",
    "SimPlan",
    "Tier",
    "VirtualMembers",
]
