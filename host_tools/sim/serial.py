"""A serial line between a host (the ESP32's UART) and a modem, paced at a baud rate in virtual time."""

from __future__ import annotations

from collections.abc import Callable

from host_tools.sim.clock import Clock

BITS_PER_OCTET = 10  # 8N1: a start bit and a stop bit


class Direction:
    """One way: octets are delivered when their last bit has passed, `chunk` of them at the most at a time."""

    def __init__(self, clock: Clock, baud: int, chunk: int) -> None:
        self.clock = clock
        self.baud = baud
        self.chunk = chunk
        self.deliver: Callable[[bytes], None] = _nobody
        self._free_us = 0

    def write(self, data: bytes) -> None:
        """Sends `data` after what is already on the wire."""
        start = max(self._free_us, self.clock.now_us)
        for at in range(0, len(data), self.chunk):
            piece = data[at : at + self.chunk]
            start += len(piece) * BITS_PER_OCTET * 1_000_000 // self.baud
            self.clock.at(start, self._arrive, piece)
        self._free_us = start

    def _arrive(self, piece: bytes) -> None:
        self.deliver(piece)


class SerialLine:
    """`to_host` carries the modem's octets, `to_modem` the host's; set each `deliver`, call each `write`."""

    def __init__(self, clock: Clock, baud: int = 115_200, chunk: int = 480) -> None:
        # Four fillings of the FIFO threshold that the ESP32 driver wakes at (120, ESP-IDF uart.h): a fair wake-up rate.
        self.to_host = Direction(clock, baud, chunk)
        self.to_modem = Direction(clock, baud, chunk)

    def set_baud(self, baud: int) -> None:
        self.to_host.baud = self.to_modem.baud = baud


def _nobody(_: bytes) -> None:
    """What arrives where nobody listens is lost, as on a wire."""
