"""The board's UART at another rate than the modem's: framing errors, until one of them changes."""

import random
import struct
from datetime import UTC, datetime

from host_tools.sim.board import PWRON, Board
from host_tools.sim.clock import Clock
from host_tools.sim.events import EventLog
from host_tools.sim.serial import SerialLine

RATE = 16  # usageguard.hal.host.OP_UART_RATE
READ = 2


def test_a_rate_of_its_own():
    clock = Clock(datetime(2025, 3, 4, tzinfo=UTC))
    line = SerialLine(clock, 115_200)
    board = Board(clock, line, None, None, random.Random(1), EventLog(clock))
    board.boot(PWRON)

    def heard(text):
        line.to_host.write(text)
        clock.run_until(clock.now_us + 1_000_000)
        return board.handle(READ, 0, 512, b"")

    assert heard(b"one") == b"one"
    line.to_host.baud = 9_600  # the modem's
    assert heard(b"two") == b""
    assert board.handle(RATE, 0, 9_600, b"") == struct.pack("<I", 115_200)
    assert line.to_modem.baud == 9_600
    assert heard(b"three") == b"three"
    board.handle(RATE, 0, 0, b"")
    assert line.to_modem.baud == 115_200
    board.handle(RATE, 0, 9_600, b"")
    board.boot(PWRON)
    assert line.to_modem.baud == 115_200, "a boot sets it again"
