"""An active PDN connection at the carrier's gateway."""

from __future__ import annotations

from collections.abc import Callable

from host_tools.sim.carrier.shaper import Shaper
from host_tools.sim.clock import Clock
from host_tools.sim.network.internet import DNS_SERVER, Internet
from host_tools.sim.network.packet import Packet


class Bearer:
    """`ip` is the device's address, `dns` the name server given with it.

    `charge(octets)` is called for each packet that passes, `released()` when the bearer ends for any reason.
    `deliver(packet)` gets the packets to the device; `deactivated()` tells it that the network ended the bearer.
    `watch`, settable, gets each packet that is charged, before it goes on.
    While a rate is set, packets wait in a queue in each direction; packets that the queue drops are not charged.
    """

    def __init__(
        self,
        clock: Clock,
        internet: Internet,
        ip: str,
        *,
        burst_octets: int,
        queue_octets: int,
        charge: Callable[[int], None],
        released: Callable[[], None],
        deliver: Callable[[Packet], None],
        deactivated: Callable[[], None],
    ) -> None:
        self.ip = ip
        self.dns = DNS_SERVER
        self.active = True
        self._cut = False
        self.watch: Callable[[Packet], None] | None = None
        self.barred = False  # nothing passes but questions to the carrier's own name server
        self._internet = internet
        self._charge = charge
        self._released = released
        self._deliver = deliver
        self._deactivated = deactivated
        self._up = Shaper(clock, self._uplink, burst_octets, queue_octets)
        self._down = Shaper(clock, self._downlink, burst_octets, queue_octets)
        internet.attach(ip, self._down.offer)

    @property
    def dropped(self) -> int:
        """Packets that found no room in the queues."""
        return self._up.dropped + self._down.dropped

    def set_rate(self, octets_per_s: int | None) -> None:
        """Limits each direction to this rate; None lifts the limit."""
        self._up.set_rate(octets_per_s)
        self._down.set_rate(octets_per_s)

    def send(self, packet: Packet) -> None:
        """Takes a packet from the device; one sent after the bearer ended is dropped and not charged."""
        if self.active:
            self._up.offer(packet)

    def cut(self) -> None:
        """Something behind the gateway, such as a NAT, forgets the session, and nobody is told.

        What the device sends is charged and lost; nothing gets back to the gateway.
        """
        if self.active:
            self._cut = True
            self._internet.detach(self.ip)

    def close(self) -> None:
        """Ends the session from the device's side; queued packets are dropped."""
        if self.active:
            self.active = False
            self._internet.detach(self.ip)
            self._up.clear()
            self._down.clear()
            self._released()

    def deactivate(self) -> None:
        """Ends the session from the network's side and notifies the device."""
        if self.active:
            self.close()
            self._deactivated()

    def _uplink(self, packet: Packet) -> None:
        if self.barred and packet.dst[0] != self.dns:
            return
        self._count(packet)
        if not self._cut:
            self._internet.send(packet)

    def _downlink(self, packet: Packet) -> None:
        if self.barred and packet.src[0] != self.dns:
            return
        self._count(packet)
        self._deliver(packet)

    def _count(self, packet: Packet) -> None:
        self._charge(packet.length)
        if self.watch:
            self.watch(packet)
