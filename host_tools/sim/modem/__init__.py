"""A simulated modem of the Quectel EC200U / EC2x class: AT commands in, IP packets out, in virtual time."""

from host_tools.sim.modem.device import SimModem
from host_tools.sim.modem.profile import Profile, load
from host_tools.sim.modem.sim import SimCard

__all__ = ["Profile", "SimCard", "SimModem", "load"]
