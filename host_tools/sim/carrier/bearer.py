"""An active PDN connection at the carrier's gateway."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from host_tools.sim.carrier.shaper import Shaper
from host_tools.sim.network.internet import DNS_SERVER, Internet
from host_tools.sim.network.packet import Packet

if TYPE_CHECKING:
    from host_tools.sim.carrier.sim import Sim


class Bearer:
    """`ip` is the device's address, `dns` the name server given with it.

    A throttled SIM's packets wait in a queue each way. What the queue drops is not counted: it never passed.
    """

    def __init__(
        self,
        sim: Sim,
        internet: Internet,
        ip: str,
        deliver: Callable[[Packet], None],
        deactivated: Callable[[], None],
    ) -> None:
        self.ip = ip
        self.dns = DNS_SERVER
        self.active = True
        self._sim = sim
        self._internet = internet
        self._deliver = deliver
        self._deactivated = deactivated
        shape = sim.carrier.enforcement
        self._up = Shaper(sim.carrier.clock, self._uplink, shape.burst_octets, shape.queue_octets)
        self._down = Shaper(sim.carrier.clock, self._downlink, shape.burst_octets, shape.queue_octets)
        self.set_rate(sim.slowed_to)
        internet.attach(ip, self._down.offer)

    @property
    def dropped(self) -> int:
        """Packets that found no room in the queues."""
        return self._up.dropped + self._down.dropped

    def set_rate(self, octets_per_s: int | None) -> None:
        """Slows both directions to this rate each; None lifts it."""
        self._up.set_rate(octets_per_s)
        self._down.set_rate(octets_per_s)

    def send(self, packet: Packet) -> None:
        """Takes a packet from the device; one sent after the bearer is gone is lost, uncounted."""
        if self.active:
            self._up.offer(packet)

    def close(self) -> None:
        """Ends the session from the device's side; what waits in the queues is lost."""
        if self.active:
            self.active = False
            self._internet.detach(self.ip)
            self._up.clear()
            self._down.clear()
            self._sim.released()

    def deactivate(self) -> None:
        """Ends the session from the network's side, and tells the device."""
        if self.active:
            self.close()
            self._deactivated()

    def _uplink(self, packet: Packet) -> None:
        self._sim.charge(packet.length)
        self._internet.send(packet)

    def _downlink(self, packet: Packet) -> None:
        self._sim.charge(packet.length)
        self._deliver(packet)
