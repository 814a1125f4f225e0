"""The reserve for TLS in the very set that a board gets, on the 32-bit VM, over a simulated native heap."""

import json

from host_tools.bench.heap import board
from host_tools.hardware import boards

# The modem's UART is made when the guard is there: Python's heap has grown over all native memory by then.
NATIVE = """
import errno
import sys
import esp32
import machine

free = 90_000
quiet = machine.UART

class UART(quiet):
    def __init__(self, number, rxbuf=0, txbuf=0, **settings):
        global free
        if rxbuf + txbuf > free:
            raise OSError(errno.ENOMEM)
        free = free - rxbuf - txbuf if number == 2 else 0
        self.taken = rxbuf + txbuf

    def deinit(self):
        global free
        free += self.taken

class SSLContext:
    def wrap_socket(self, sock):
        global free
        if free < 27_800:
            raise OSError(errno.ENOMEM)
        if sock == "refused":
            raise ValueError(sock)
        free -= 20_900
        return "secure " + sock

machine.UART = UART
esp32.HEAP_DATA = 4
esp32.idf_heap_info = lambda kind: [(free, free, free, free)]
sys.modules["ssl"] = sys.modules["native"]
"""
APPLICATION = """
def main(guard):
    import ssl
    for sock in ("refused", "peer", "another"):
        try:
            print("tls", ssl.SSLContext().wrap_socket(sock))
        except Exception as error:
            print("tls", type(error).__name__, error.args[0])
        guard.activate()  # a change, so that the status is told
        guard.step_now()
    ssl.free = 41_000
    guard.activate()
    guard.step_now()
    raise SystemExit
"""
STEPS = [board.BUILT_IN, "import native", "try:\n    import main\nexcept SystemExit:\n    pass"]


def lives(tmp_path, **parts):
    """What the application printed, and the state of the reserve in each status."""
    files = board.deployed(tmp_path, application=APPLICATION, **parts)
    (tmp_path / "native.py").write_text(NATIVE)
    done = board.run(files | {"/native.py": str(tmp_path / "native.py")}, *STEPS)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    told = [json.loads(line[3:])["tls_reserve"] for line in lines if line.startswith("ug {")]
    return [line[4:] for line in lines if line.startswith("tls ")], told


def test_a_handshake_gets_the_memory_and_gives_it_back(tmp_path):
    said, told = lives(tmp_path, tls_reserve=boards.TlsReserve(2, 4, 5))
    assert said == ["ValueError refused", "secure peer", "OSError 12"], "one session at a time"
    assert told == ["held", "lent", "lent", "held"]


def test_without_it_none_finds_room(tmp_path):
    said, told = lives(tmp_path)
    assert said == ["OSError 12"] * 3
    assert {*told} == {"off"}


def test_a_board_without_such_a_uart_gets_none_of_its_code(tmp_path):
    with_it = board.deployed(tmp_path, tls_reserve=boards.TlsReserve(2, 4, 5))
    without = board.deployed(tmp_path)
    assert {*with_it} - {*without} == {"/a/reserve.mpy", "/a/usageguard/guard/lending.mpy"}
