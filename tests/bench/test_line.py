"""What is called the share of a line, and what its sequence would allow."""

from datetime import UTC, datetime

from host_tools.bench.line import Idle, Pauses, shares
from host_tools.sim.clock import MS, Clock
from host_tools.sim.serial import SerialLine


def test_a_pause_that_the_manual_asks_for_is_kept_and_not_the_drivers():
    up = shares("sara-r5")["up"]
    assert up.of_line < 0.2, "50 ms before the data, 20 ms behind each result"
    assert up.of_line < up.bound < 1.1 * up.of_line


def test_the_modems_reply_is_not_the_drivers():
    slow, fast = (shares("quectel-ec200u", reply_ms)["up"] for reply_ms in (20, 1))
    assert slow.bound < fast.bound < 1


def test_a_push_needs_no_command_for_each_piece():
    read, pushed = (shares("quectel-ec200u", flow_control=on)["down"] for on in (False, True))
    assert read.bound < 0.75
    assert pushed.of_line >= 0.9


def test_silence_before_the_host_writes_is_idle_but_for_the_pauses():
    clock = Clock(datetime(2026, 3, 1, tzinfo=UTC))
    line = SerialLine(clock, 10_000)  # an octet takes a millisecond
    idle = Idle(clock, line, Pauses(result_ms=2))
    line.to_modem.write(b"AT\r")
    clock.run_until(20 * MS)
    line.to_host.write(b"OK\r\n")  # the modem took its time: not idle
    clock.run_until(27 * MS)
    line.to_modem.write(b"AT\r")
    assert idle.us == (27 - 24 - 2) * MS
    clock.run_until(40 * MS)
    line.to_modem.write(b"data")
    assert idle.us == (1 + 40 - 30) * MS
