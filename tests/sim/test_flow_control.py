"""RTS: what the board has no room for stays in the modem, if the modem was told to look."""

import random
from datetime import UTC, datetime

import pytest

from host_tools.sim.board import PWRON, UART_BUFFER, Board
from host_tools.sim.clock import Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.serial import SerialLine

SENT = bytes(range(251)) * 100


class Unpowered:
    def power(self, on):
        pass


@pytest.mark.parametrize(("wired", "obeys", "whole"), [(True, True, True), (True, False, False), (False, True, False)])
def test_nothing_is_lost_where_it_is_wired_and_obeyed(wired, obeys, whole):
    clock = Clock(datetime(2026, 3, 1, tzinfo=UTC))
    line = SerialLine(clock, 921_600, flow_control=wired)
    board = Board(clock, line, None, Unpowered(), random.Random(1), EventLog(clock))
    line.to_host.obeys = lambda: obeys
    board.boot(PWRON)
    line.to_host.write(SENT)
    got = b""
    for _ in range(100):
        clock.run_until(clock.now_us + S // 50)
        assert len(board._rx) <= UART_BUFFER
        got += board._op_uart_read(0, 700, b"")
        line.to_host.write(b"")
    assert (got == SENT) == whole
    assert line.to_host.waits is False


def test_a_modem_that_restarts_has_forgotten_what_waited():
    clock = Clock(datetime(2026, 3, 1, tzinfo=UTC))
    line = SerialLine(clock, 921_600)
    line.to_host.obeys = lambda: True
    got = []
    line.to_host.deliver = got.append
    line.to_host.hold(True)
    line.to_host.write(SENT)
    clock.run_until(S)
    assert line.to_host.waits
    line.to_host.drop()
    line.to_host.hold(False)
    line.to_host.write(b"RDY")
    clock.run_until(2 * S)
    assert got == [b"RDY"]
