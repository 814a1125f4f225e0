"""A simulated cellular modem: AT commands in, IP packets out, in virtual time."""

from host_tools.sim.modem.card import SimCard
from host_tools.sim.modem.device import SimModem
from host_tools.sim.modem.models import load
from host_tools.sim.modem.profile import Profile

__all__ = ["Profile", "SimCard", "SimModem", "load"]
