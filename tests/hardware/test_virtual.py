"""The virtual board against tools that know nothing of it, and against what the ESP32 port's documentation says."""

import signal
import subprocess
import sys
import time

import pytest
import serial
from mpremote.transport_serial import SerialTransport

from host_tools.base.errors import UsageError
from host_tools.hardware.virtual import DEEPSLEEP, HARD, PWRON, SOFT, WDT, VirtualBoard

pytestmark = pytest.mark.realtime


FRIENDLY = b'MicroPython v1\r\nType "help()" for more information.\r\n>>> '
RAW = b"\r\nraw REPL; CTRL-B to exit\r\n>"


@pytest.mark.parametrize(
    "banners", [FRIENDLY + RAW, RAW + FRIENDLY, RAW + FRIENDLY + RAW], ids=["to raw", "back", "both"]
)
def test_banners_are_known_in_any_two_pieces(tmp_path, banners):
    """A supervisor that is late reads the end of one banner with the beginning of the next."""
    board = VirtualBoard(tmp_path / "board", str(tmp_path / "port"))
    for cut in range(len(banners) + 1):
        for piece in (banners[:cut], banners[cut:]):
            board._to_host(piece)
        assert board._raw == banners.endswith(RAW), cut


def test_what_follows_a_ctrl_c_that_comes_as_a_program_ends_is_not_lost(board):
    """SIGINT meets the VM at its REPL, which it ends, with input that it has not read."""
    with serial.Serial(board.path, timeout=10) as link:
        link.write(b"\r")
        assert link.read_until(b">>> ").endswith(b">>> ")

        def strike():
            board._process.send_signal(signal.SIGSTOP)
            board._process.send_signal(signal.SIGINT)
            board._input += b"\r\x01"
            board._pass_input()
            board._process.send_signal(signal.SIGCONT)

        board._call(strike)
        assert link.read_until(RAW).endswith(RAW)
    assert board.boots == 2


def mpremote(board, *words):
    command = [sys.executable, "-m", "mpremote", "connect", board.path, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def board(tmp_path):
    with VirtualBoard(tmp_path / "board", str(tmp_path / "port")) as board:
        yield board


def test_mpremote_copies_runs_and_resets(board, tmp_path):
    """The stock tool with its own defaults: a soft reset before each command."""
    (tmp_path / "hello.py").write_text("print('hello')\n")
    assert mpremote(board, "cp", str(tmp_path / "hello.py"), ":hello.py").returncode == 0
    done = mpremote(board, "exec", "import hello, machine; print(machine.reset_cause())")
    assert (done.returncode, done.stdout.split()) == (0, ["hello", str(SOFT)]), done.stderr
    boots = board.boots
    assert mpremote(board, "reset").returncode == 0
    while board.boots < boots + 2:  # the soft reset that goes before, and the one that was asked for
        time.sleep(0.01)
    done = mpremote(board, "resume", "exec", "import machine; print(machine.reset_cause())")
    assert done.stdout.split()[-1] == str(HARD), done.stderr


class Repl:
    def __init__(self, board):
        self.link = SerialTransport(board.path, timeout=10)
        self.link.enter_raw_repl(soft_reset=False)

    def run(self, code):
        return self.link.exec(code).decode().split()

    def after_reset(self, code):
        """What main.py says in the boot that `code` leads to."""
        self.link.exec_raw_no_follow(code)
        self.link.read_until(1, b"main.py: ")
        said = self.link.read_until(1, b"\n").decode().split()
        self.link.enter_raw_repl(soft_reset=False)
        return said


MAIN = """
import machine, time
memory = machine.RTC().memory()
print("main.py:", machine.reset_cause(), memory)
while True:
    time.sleep_ms(10)
"""


def test_resets_and_what_survives_them(board):
    repl = Repl(board)
    repl.run(f"with open('main.py', 'w') as f: f.write({MAIN!r})")
    repl.run("import machine; machine.RTC().memory(b'kept')")
    assert repl.after_reset("import machine; machine.reset()") == [str(HARD), "b'kept'"]
    started = time.monotonic()
    assert repl.after_reset("import machine; machine.deepsleep(150)") == [str(DEEPSLEEP), "b'kept'"]
    assert time.monotonic() - started >= 0.15
    repl.link.exec_raw_no_follow("import machine; machine.WDT(timeout=50)")
    repl.link.read_until(1, b"main.py: ")
    assert repl.link.read_until(1, b"\n").decode().split() == [str(WDT), "b'kept'"]
    repl.link.close()
    board.power_off()
    board.power_on()
    repl = Repl(board)
    assert repl.run("import machine; print(machine.reset_cause(), machine.RTC().memory())") == [str(PWRON), "b''"]
    repl.link.close()


def test_flash_is_nor_and_is_kept(board):
    repl = Repl(board)
    repl.run("from esp32 import Partition as P; f = P.find(P.TYPE_DATA, label='ledger')[0]")
    program = "f.writeblocks(1, bytes((%d,)), 7)"
    repl.run(program % 0b1100)
    repl.run(program % 0b0110)
    repl.run("b = bytearray(2); f.readblocks(1, b, 7)")
    assert repl.run("print(list(b))") == ["[4,", "255]"]
    repl.link.exec_raw_no_follow("import machine; machine.reset()")
    repl.link.read_until(1, b">>> ")
    repl.link.enter_raw_repl(soft_reset=False)
    repl.run("from esp32 import Partition as P; f = P.find(P.TYPE_DATA, label='ledger')[0]")
    repl.run("f.ioctl(6, 0); b = bytearray(2); f.readblocks(1, b, 7)")
    assert repl.run("print(list(b))") == ["[4,", "255]"], "another sector's erase"
    repl.run("f.ioctl(6, 1); f.readblocks(1, b, 7)")
    assert repl.run("print(list(b))") == ["[255,", "255]"]
    repl.link.close()


def test_time_is_an_esp32s(board):
    repl = Repl(board)
    said = repl.run(
        "import time; p = 1 << 30; print(0 <= time.ticks_ms() < p, time.ticks_add(p - 1, 2), time.ticks_diff(1, p - 1),"
        "time.gmtime(0)[:3], time.gmtime()[:1] == time.gmtime(time.time())[:1])"
    )
    assert said == ["True", "1", "2", "(2000,", "1,", "1)", "True"]
    repl.link.close()


def test_a_lost_port_is_seen_and_the_board_runs_on(board):
    repl = Repl(board)
    repl.run("kept = 42")
    board.unplug()
    with pytest.raises((OSError, serial.SerialException)):
        repl.run("print(kept)")
    board.plug()
    again = Repl(board)
    assert again.run("print(kept)") == ["42"]
    again.link.close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"repl": "/nowhere/port"}, "--repl: /nowhere/port: no such file or directory; give a new path"),
        ({"uart": "/nowhere/modem"}, "--uart: /nowhere/modem: is not there; give the link of"),
    ],
)
def test_bad_paths_are_one_line(tmp_path, options, words):
    with pytest.raises(UsageError, match=words):
        VirtualBoard(tmp_path / "board", **options)
