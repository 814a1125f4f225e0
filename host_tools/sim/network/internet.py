"""What lies beyond the carrier: latency, loss, names and addresses."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from typing import Protocol

from host_tools.sim.clock import MS, Clock
from host_tools.sim.network import dns
from host_tools.sim.network.packet import UDP, Packet, udp

DNS_SERVER = "198.51.100.53"  # the carrier's; TEST-NET-2, RFC 5737
PUBLIC_DNS_SERVER = "223.5.5.5"
HOST_NETWORK = "203.0.113"  # TEST-NET-3


class Host(Protocol):
    """Something with an address; `join` is called once, then `deliver` for every packet to it."""

    def join(self, internet: Internet, ip: str) -> None: ...

    def deliver(self, packet: Packet) -> None: ...

    def settle(self) -> None: ...

    def close(self) -> None: ...


class Internet:
    """Carries packets by destination address; one way takes `latency_ms`, `loss_permille` of them vanish.

    `on_unknown(name, ip)` may add the host that a device looks up or, with an `ip`, sends to, and nobody has.
    """

    def __init__(
        self, clock: Clock, rng: random.Random, latency_ms: int = 40, loss_permille: int = 0
    ) -> None:
        if latency_ms < 0:
            raise ValueError(f"latency_ms {latency_ms} is negative")
        if not 0 <= loss_permille <= 1000:
            raise ValueError(f"loss_permille {loss_permille} is not in 0..1000")
        self.clock = clock
        self.latency_us = latency_ms * MS
        self.loss_permille = loss_permille
        self.lost = 0
        self.names: dict[str, str] = {}
        self.on_unknown: Callable[[str, str | None], None] = _nobody
        self._rng = rng
        self._routes: dict[str, Callable[[Packet], None]] = {}
        self._hosts: dict[str, Host] = {}  # by address
        self._addresses = itertools.count(1)
        self.attach(DNS_SERVER, self._answer_name)
        self.attach(PUBLIC_DNS_SERVER, self._answer_name)

    def add_host(self, name: str, host: Host, ip: str | None = None) -> str:
        """Connects `host` under `name` and gives its address; without `ip` the next free one is taken."""
        if name.lower() in self.names:
            raise ValueError(f"host {name!r} exists already")
        ip = ip or self._free_address()
        self.attach(ip, host.deliver)
        if name:
            self.names[name.lower()] = ip
        self._hosts[ip] = host
        host.join(self, ip)
        return ip

    def move_host(self, name: str) -> str:
        """Gives the host `name` another address, which it returns. The old one leads nowhere; connections are gone."""
        return self.add_host(name, self.remove_host(name))

    def remove_host(self, name: str) -> Host:
        """Takes the host `name`, which it returns, off the network; its name has no address any more."""
        host = self._hosts.pop(self.names[name.lower()])
        self.detach(self.names.pop(name.lower()))
        return host

    def _free_address(self) -> str:
        return f"{HOST_NETWORK}.{next(self._addresses)}"

    def resolve(self, name: str) -> str | None:
        """The address of a name in any case, or None."""
        name = name.lower().rstrip(".")
        if name not in self.names:
            self.on_unknown(name, None)
        return self.names.get(name)

    def attach(self, ip: str, deliver: Callable[[Packet], None]) -> None:
        """Packets to `ip` go to `deliver` from now on."""
        if ip in self._routes:
            raise ValueError(f"address {ip} is taken")
        self._routes[ip] = deliver

    def detach(self, ip: str) -> None:
        """Packets to `ip` are dropped from now on, those under way too."""
        self._routes.pop(ip, None)

    def send(self, packet: Packet) -> None:
        """Takes a packet for delivery after the latency."""
        if self.loss_permille and self._rng.randrange(1000) < self.loss_permille:
            self.lost += 1
            return
        self.clock.after(self.latency_us, self._arrive, packet)

    def settle(self) -> None:
        """Lets what real peers have said into the world; call it whenever virtual time is about to move."""
        for host in self._hosts.values():
            host.settle()

    def close(self) -> None:
        """Lets bridged hosts close their real sockets; the world ends here."""
        for host in self._hosts.values():
            host.close()

    def _answer_name(self, packet: Packet) -> None:
        if packet.proto == UDP and packet.dst[1] == dns.PORT:
            response = dns.respond(packet.payload, self.resolve)
            if response is not None:
                self.send(udp(packet.dst, packet.src, response))

    def _arrive(self, packet: Packet) -> None:
        deliver = self._routes.get(packet.dst[0])
        if deliver is None:
            self.on_unknown("", packet.dst[0])
            deliver = self._routes.get(packet.dst[0])
        if deliver is not None:
            deliver(packet)


def _nobody(_: str, __: str | None) -> None:
    pass
