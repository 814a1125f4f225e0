"""The set that a board gets whose modem sleeps lightly, on a 32-bit MicroPython: a class over the family's driver, in a
module of its own, under short names."""

import pytest

from host_tools.bench.heap import board
from host_tools.hardware.boards import Hold

pytestmark = pytest.mark.usefixtures("vm32")
APPLICATION = """
import machine
import socket

def main(guard):
    levels = []
    machine.Pin.value = lambda self, level: levels.append(level)
    while not guard.modem.online:
        guard.sleep(100)
    held = socket.socket()
    held.connect(("broker.example", 1883))
    guard.modem.doze()
    held.write(b"hello")
    print("answer", held.read(4), levels)
    print(0)
    raise SystemExit
"""


@pytest.mark.proof
def test_the_modem_is_woken_before_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(board, "_CONFIG", board._CONFIG.replace("[plan]", "light_sleep = true\n[plan]"))
    files = board.deployed(tmp_path, "quectel", APPLICATION, hold=[Hold(25, 0, "DTR", True)])
    done = board.run(files | {"/modem.py": str(board.HERE / "device/modem.py")}, *board.WITH_MODEM)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "answer b' \\x02\\x00\\x00' [0, 1, 0]" in done.stdout.splitlines()
