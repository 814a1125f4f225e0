"""Starts MicroPython VMs by a fork: the wheel's program starts CPython for each, which takes as long as the boot of a
simulated device."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from host_tools.run.targets import vm_parent
from host_tools.run.targets.vm_parent import LINK

__all__ = ("LINK", "Vm", "can_fork", "end_idle", "start")

_MODULE = "micropython_run"
_ANSWER_OCTETS = 32
_idle: list[Vm] = []


def can_fork(program: str) -> bool:
    """Whether `program` is the wheel's, and this is Linux: elsewhere a process must not go on after a fork."""
    beside = Path(program).parent == Path(sys.executable).parent
    return beside and sys.platform == "linux" and find_spec(_MODULE) is not None


def start(
    command: Sequence[str], folder: Path, environment: Mapping[str, str], link: int, output: IO[bytes]
) -> Vm:
    """Runs the VM with the arguments of `command` in `folder`; it has the descriptor `link` by the number LINK."""
    vm = _idle.pop() if _idle else Vm()
    vm.begin(command, folder, environment, link, output)
    return vm


@atexit.register
def end_idle() -> None:
    """Ends the processes that wait for the next VM: only then their processor time is this process's children's."""
    while _idle:
        _idle.pop().end()


class Vm:
    """One VM after the other. Of the present one it has what is used of `subprocess.Popen`."""

    def __init__(self) -> None:
        spec = find_spec(_MODULE)
        assert spec is not None
        assert spec.origin is not None
        self.pid = 0
        self._status: int | None = None
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = [sys.executable, "-I", "-S", vm_parent.__file__, str(Path(spec.origin).parent)]
        with theirs:
            self._parent = subprocess.Popen(program, stdin=theirs.fileno())

    def begin(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], link: int, output: IO[bytes]
    ) -> None:
        """See `start`."""
        request = {"arguments": list(command), "folder": str(folder), "environment": dict(environment)}
        socket.send_fds(self._socket, [json.dumps(request).encode()], [link, output.fileno()])
        self._status = None
        self.pid = self._answer()

    def _answer(self) -> int:
        said = self._socket.recv(_ANSWER_OCTETS)
        if not said:
            raise RuntimeError("the process that forks for MicroPython VMs has ended")
        return int(said)

    def wait(self, timeout: float | None = None) -> int:
        """The exit status, or the signal that ended it, negative. TimeoutExpired after `timeout` seconds."""
        if self._status is None:
            self._socket.settimeout(timeout)
            try:
                self._status = self._answer()
            except TimeoutError:
                raise subprocess.TimeoutExpired(_MODULE, timeout or 0) from None
            finally:
                self._socket.settimeout(None)
            _idle.append(self)
        return self._status

    def send_signal(self, number: int) -> None:
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):  # Ctrl-C has ended it as well, and its status waits
                os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def end(self) -> None:
        """Ends the process that forks, which has no VM at present."""
        self._socket.close()
        self._parent.wait()
