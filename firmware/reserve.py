"""Native memory that is kept for TLS handshakes, where `board.json` names a UART that nothing is connected to.

On a chip without PSRAM, Python's heap and mbedTLS share one memory. The heap doubles as it grows, and beyond some
108 KB it leaves no block that a handshake needs (16.7 KB, 28 KB in all), although half of it may be free. The buffers
of a UART's driver are native memory, which a script can hold by no other means. `start` holds them before the guard is
loaded; a handshake gets them, and they are taken back as soon as they can be had again. Not yet run on hardware.

`state` is "held"; "lent", also while a session keeps what it was lent; "plenty" where a block is larger than any of the
chip's own memory; or "refused".
"""

import esp32
import machine

_OCTETS = 20_000  # in each direction
_PLENTY = 1 << 20

state = "refused"
_settings = ()
_uart = None


def hold(number, tx, rx):
    """Takes the memory by UART `number`, which drives `tx` and reads `rx`."""
    global state, _settings
    if max(region[2] for region in esp32.idf_heap_info(esp32.HEAP_DATA)) >= _PLENTY:
        state = "plenty"
        return
    _settings = (number, tx, rx)
    take()


def lend():
    """Gives the memory to what asks for some next."""
    global state, _uart
    if _uart is not None:
        _uart.deinit()
        _uart = None
        state = "lent"


def take():
    """Takes the memory back, if it was lent and is free."""
    global state, _uart
    if _settings and _uart is None:
        number, tx, rx = _settings
        try:
            _uart = machine.UART(number, tx=tx, rx=rx, rxbuf=_OCTETS, txbuf=_OCTETS)
        except (OSError, MemoryError):
            return
        state = "held"
