"""lwIP on an ESP32, for PPP as the bearer: stock MicroPython's `network.PPP`, `socket` and `select`, before the guard's
own take the place of the last two. Loaded for that bearer alone. Not yet run on hardware."""

import select
import socket

import machine
import network

_TX_OCTETS = 4096  # a whole frame: 1,500 octets, most of which may be escaped, and the one before it


class Parts:
    """`ppp` is the link, not connected; `uart` its stream; `socket` and `select` are the modules."""

    def __init__(self, uart, poll):
        if not hasattr(getattr(network, "PPP", None), "poll"):
            raise RuntimeError('modem.bearer: "ppp" needs network.PPP of MicroPython 1.26 or later; use "at"')
        # Without a time-out: `poll` reads until nothing comes. A frame that finds no room in the buffer is cut.
        uart.init(txbuf=_TX_OCTETS, timeout=0, timeout_char=0)
        self.uart = uart
        self.ppp = network.PPP(uart)  # pyright: ignore[reportAttributeAccessIssue]
        self.socket = socket
        self.select = select
        self._poll = poll

    def listen(self, handler):
        """`network.PPP` sets the interrupt itself, each time when it gets the stream: so this comes after that."""
        self.uart.irq(handler, machine.UART.IRQ_RXIDLE)

    def watch(self, socket, events):
        if events:
            self._poll.register(socket, events)
        else:
            self._poll.unregister(socket)
