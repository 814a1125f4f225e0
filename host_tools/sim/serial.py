"""A serial line between a host (the ESP32's UART) and a modem, paced at a baud rate in virtual time."""

from __future__ import annotations

from collections import deque
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
        self.obeys: Callable[[], bool] = bool  # whether the writer stops while the reader holds it back
        self._held = False
        self._free_us = 0
        self._waiting: deque[bytes] = deque()  # what it was to send meanwhile
        self._going_on = False
        self._pass = self._lose = 0  # octets that arrive before those that are lost, and these

    def lose(self, after: int, octets: int) -> None:
        """Behind the next `after` octets so many do not arrive, as when nobody empties a receiver's FIFO in time."""
        self._pass, self._lose = after, octets

    def _heard(self, piece: bytes) -> bytes:
        """What of the piece is not lost."""
        first = min(self._pass, len(piece))
        lost = min(self._lose, len(piece) - first)
        self._pass -= first
        self._lose -= lost
        return piece[:first] + piece[first + lost :]

    def write(self, data: bytes) -> None:
        """Sends `data` after what is already on the wire."""
        chunk = self.chunk
        pieces = [data] if 0 < len(data) <= chunk else [data[at : at + chunk] for at in range(0, len(data), chunk)]
        start = max(self._free_us, self.clock.now_us)
        for piece in pieces:
            start += self._on_wire_us(piece)
            self.clock.at(start, self._arrive, piece)
        self._free_us = start

    def _on_wire_us(self, piece: bytes) -> int:
        return len(piece) * BITS_PER_OCTET * 1_000_000 // self.baud

    def hold(self, on: bool) -> None:
        """The reader holds the writer back (RTS), or lets it go on."""
        self._held = on
        self._resume()

    @property
    def waits(self) -> bool:
        """Whether the writer was to send what it still has."""
        return bool(self._waiting)

    def drop(self) -> None:
        """The writer has forgotten what it was to send."""
        self._waiting.clear()

    def _arrive(self, piece: bytes) -> None:
        if self._lose:
            piece = self._heard(piece)
        if self._waiting or (self._held and self.obeys()):
            self._waiting.append(piece)
        else:
            self.deliver(piece)

    def _resume(self) -> None:
        if self._waiting and not self._going_on and not (self._held and self.obeys()):
            self._going_on = True
            self.clock.after(self._on_wire_us(self._waiting[0]), self._go_on)

    def _go_on(self) -> None:
        self._going_on = False
        if self._waiting:
            self.deliver(self._waiting.popleft())
            self._resume()


class SerialLine:
    """`to_host` carries the modem's octets, `to_modem` the host's; set each `deliver`, call each `write`. With
    `flow_control` RTS is wired, by which the host holds the modem back."""

    def __init__(self, clock: Clock, baud: int = 115_200, chunk: int = 480, flow_control: bool = False) -> None:
        self.flow_control = flow_control
        # Four fillings of the FIFO threshold that the ESP32 driver wakes at (120, ESP-IDF uart.h): a fair wake-up rate.
        self.to_host = Direction(clock, baud, chunk)
        self.to_modem = Direction(clock, baud, chunk)

    def set_baud(self, baud: int) -> None:
        self.to_host.baud = self.to_modem.baud = baud


def _nobody(_: bytes) -> None:
    """What arrives where nobody listens is lost, as on a wire."""
