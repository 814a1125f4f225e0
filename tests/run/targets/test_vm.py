"""VMs that are forked: as if each had been started by itself."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from host_tools.build.image import Image
from host_tools.build.micropython import micropython
from host_tools.run.targets import vm, vm_parent

SUMS = """
import binascii, struct
from device import _crc32_into
out = bytearray(4)
for n in range(400):
    buf = bytearray(b"%16d" % n)
    _crc32_into(buf, len(buf), out, 0)
    assert struct.unpack("<I", out)[0] == binascii.crc32(buf), n
    _crc32_into(buf, 8, out, 0)
    assert struct.unpack("<I", out)[0] == binascii.crc32(buf[:8]), n
    del buf
"""


@pytest.fixture
def program():
    found = micropython()
    if not vm.can_fork(found):
        pytest.skip("no VM of the wheel, or not on Linux")
    yield found
    vm.end_idle()


class Started:
    """A VM that runs `code`, the bench's end of its link, and what it prints."""

    def __init__(self, program, code, folder, **environment):
        self.link, theirs = socket.socketpair()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `ended`
        with theirs:
            command = [program, "-X", "heapsize=160wK", "-c", code]
            self.process = vm.start(command, folder, environment, theirs.fileno(), self._output)

    def ended(self):
        """The exit status, and what it printed."""
        with self.link, self._output:
            status = self.process.wait()
            self._output.seek(0)
            return status, self._output.read().decode().strip()


def test_it_has_its_folder_environment_and_link_and_nothing_else(program, tmp_path):
    (tmp_path / "own.py").write_text("print('imported')")
    with open(os.devnull) as another:  # of the bench's
        code = (
            "import own, os; print(os.getenv('A'), os.getenv('HOME'), os.getcwd());"
            f"print(sorted(int(n) for n, *_ in os.ilistdir('/proc/self/fd')), {another.fileno()});"
            "open(3, 'r+b', 0).write(b'hello')"
        )
        started = Started(program, code, tmp_path, A="1", MICROPYPATH=str(tmp_path))
        assert started.link.recv(16) == b"hello"
        status, printed = started.ended()
    first, second, third = printed.splitlines()
    assert (status, first, second) == (0, "imported", f"1 None {tmp_path}")
    assert third.startswith("[0, 1, 2, 3, 4]"), "4 is the directory that it lists"


def test_it_tells_how_it_ended(program, tmp_path):
    assert Started(program, "import sys; sys.exit(7)", tmp_path).ended() == (7, "")
    waits = Started(program, "open(3, 'rb').read()", tmp_path)
    with pytest.raises(subprocess.TimeoutExpired):
        waits.process.wait(0.01)
    waits.process.kill()
    assert waits.ended()[0] == -signal.SIGKILL
    waits.process.kill()  # has no effect: the number may be another's by now


def test_what_ctrl_c_has_ended_already_can_be_killed(program, tmp_path):
    waits = Started(program, "open(3, 'rb').read()", tmp_path)
    os.kill(waits.process.pid, signal.SIGKILL)
    select.select([waits.process._socket], [], [])  # its status is there, and the process is none any more
    waits.process.kill()
    assert waits.ended()[0] == -signal.SIGKILL


def test_a_bench_that_goes_without_an_answer_is_no_error(program, tmp_path):
    folder = str(Path(find_spec("micropython_run").origin).parent)
    command = [sys.executable, "-I", "-S", vm_parent.__file__, folder]
    bench, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs, tempfile.TemporaryFile() as output:
        parent = subprocess.Popen(command, stdin=theirs.fileno(), stderr=subprocess.PIPE)
        request = {"arguments": [program, "-c", ""], "folder": str(tmp_path), "environment": {}}
        socket.send_fds(bench, [json.dumps(request).encode()], [theirs.fileno(), output.fileno()])
        bench.recv(32)  # its number; what it ended with is not read
        select.select([bench], [], [])
    bench.close()
    assert (parent.communicate()[1], parent.returncode) == (b"", 0)


def test_a_vm_that_computes_ends_with_the_bench(program, tmp_path):
    computes = Started(program, "open(3, 'r+b', 0).write(b'.')\nwhile True: pass", tmp_path)
    ended = os.pidfd_open(computes.process.pid)
    with computes.link, computes._output:
        computes.link.recv(1)
        computes.process._socket.close()
        assert select.select([ended], [], [], 10)[0], "it computes on and on"
    os.close(ended)
    assert computes.process._parent.wait() == 0


def test_a_signal_interrupts_it(program, tmp_path):
    computes = Started(program, "open(3, 'r+b', 0).write(b'.')\nwhile True: pass", tmp_path)
    computes.link.recv(1)
    computes.process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in computes.ended()[1]


def test_two_run_at_a_time_and_the_next_ones_need_no_other_processes(program, tmp_path):
    first, second = (Started(program, "open(3, 'rb').read()", tmp_path) for _ in range(2))
    assert first.process is not second.process
    kept = {first.process, second.process}
    for each in kept:
        each.kill()
    assert first.ended()[0] == second.ended()[0] == -signal.SIGKILL
    third = Started(program, "print(3)", tmp_path)
    assert third.process in kept
    assert third.ended() == (0, "3")


def test_a_simulated_device_sums_what_a_buffer_holds_now(program):
    """Buffers come and go, and one may lie where another one lay."""
    with Image(mpy=True) as image:
        path = ":".join(map(str, (*image.path, ".frozen")))
        assert Started(program, SUMS, image.root, MICROPYPATH=path).ended() == (0, "")
