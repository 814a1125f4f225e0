"""The dialects that have a simulated modem: one module or package each."""

from host_tools.sim.modem.dialect import Dialect
from host_tools.sim.modem.dialects.ca import Ca
from host_tools.sim.modem.dialects.cip import Cip
from host_tools.sim.modem.dialects.cipstart import Cipstart
from host_tools.sim.modem.dialects.generic import Generic
from host_tools.sim.modem.dialects.mip import Mip
from host_tools.sim.modem.dialects.quectel import Quectel
from host_tools.sim.modem.dialects.sequans import Sequans
from host_tools.sim.modem.dialects.usocr import Usocr

DIALECTS: dict[str, type[Dialect]] = {
    "quectel": Quectel,
    "cip": Cip,
    "ca": Ca,
    "mip": Mip,
    "cipstart": Cipstart,
    "usocr": Usocr,
    "sequans": Sequans,
    "generic": Generic,
}
"""By the name that a profile's `dialect` and the firmware's `modem.family` have."""
