"""The carrier: what it counts, how it rates, when it stops a SIM. Written independently of the firmware's own model."""

from host_tools.sim.carrier.account import Enforcement, Rating, SimPlan
from host_tools.sim.carrier.network import Bearer, Carrier

__all__ = ["Bearer", "Carrier", "Enforcement", "Rating", "SimPlan"]
