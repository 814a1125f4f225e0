"""The carrier: what it counts, how it rates, when it stops a SIM. Shares no code with the firmware."""

from host_tools.sim.carrier.account import Enforcement, Rating, SimPlan
from host_tools.sim.carrier.carrier import Bearer, Carrier

__all__ = ["Bearer", "Carrier", "Enforcement", "Rating", "SimPlan"]
