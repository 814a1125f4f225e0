"""lwIP's parts on an ESP32: the UART's settings, a refusal where `network.PPP` is too old, who hears of sockets."""

import importlib.util
import sys
from types import SimpleNamespace

import pytest

from host_tools.base import paths


class Uart:
    def __init__(self):
        self.settings = {}

    def init(self, **settings):
        self.settings |= settings

    def irq(self, handler, trigger):
        self.interrupt = handler, trigger


class Poll:
    def __init__(self):
        self.of = {}

    def register(self, socket, events):
        self.of[socket] = events

    def unregister(self, socket):
        del self.of[socket]


class Ppp:
    """As of 1.26."""

    def __init__(self, stream):
        self.stream = stream

    def poll(self):
        return 0


class OldPpp:
    """As of 1.25: it has `active`, and no `poll`."""

    def active(self, on):
        pass


def parts(monkeypatch, ppp):
    network = SimpleNamespace()
    if ppp is not None:
        network.PPP = ppp
    monkeypatch.setitem(sys.modules, "network", network)
    monkeypatch.setitem(sys.modules, "machine", SimpleNamespace(UART=SimpleNamespace(IRQ_RXIDLE=4096)))
    spec = importlib.util.spec_from_file_location("esp32_ppp", paths.firmware() / "usageguard/hal/esp32_ppp.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    uart, poll = Uart(), Poll()
    return module.Parts(uart, poll), uart, poll


def test_the_uart_itself_is_the_stream_without_a_time_out_and_with_room_for_a_frame(monkeypatch):
    made, uart, _ = parts(monkeypatch, Ppp)
    assert made.ppp.stream is made.uart is uart, "a stream in Python crashes the chip when lwIP's thread transmits"
    assert uart.settings == {"txbuf": 4096, "timeout": 0, "timeout_char": 0}


@pytest.mark.parametrize("ppp", [OldPpp, None])
def test_an_old_micropython_is_refused_in_one_line(monkeypatch, ppp):
    with pytest.raises(RuntimeError, match=r'^modem.bearer: "ppp" needs network.PPP of MicroPython 1.26 or later'):
        parts(monkeypatch, ppp)


def test_a_socket_is_heard_of_while_it_is_watched(monkeypatch):
    made, _, poll = parts(monkeypatch, Ppp)
    made.watch("socket", 1)
    made.watch("socket", 5)
    assert poll.of == {"socket": 5}
    made.watch("socket", 0)
    assert poll.of == {}


def test_the_interrupt_is_ours(monkeypatch):
    made, uart, _ = parts(monkeypatch, Ppp)
    made.listen("handler")
    assert uart.interrupt == ("handler", 4096)
