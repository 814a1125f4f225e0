"""A modem that has 3GPP's commands and no others."""

from __future__ import annotations

from host_tools.sim.modem.dialect import Dialect


class Generic(Dialect):
    """No sockets, no counter."""
