"""The targets `cpython` and `micropython`: the device's program runs as a subprocess, a new one for each boot."""

from __future__ import annotations

import functools
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from host_tools.base import paths
from host_tools.build import device_config, modules
from host_tools.build.image import Image
from host_tools.build.micropython import micropython
from host_tools.run.apps import bench_json
from host_tools.run.targets import names, vm
from host_tools.run.targets.link import Crashed, Stalled, serve
from host_tools.run.targets.target import OnOutput, OnStart, Program
from host_tools.run.world import World
from host_tools.scenario.file import Scenario
from host_tools.sim.board import Board

HEAP = "160wK"
"""The heap that a stock ESP32 without PSRAM gives to Python, 160 KB, in words of the VM."""
OUTPUT_OCTETS = 20_000
"""How much of a boot's output is kept: its end."""

_LINK = "USAGEGUARD_FD"
"""The variable by which `device.py` knows the link's descriptor."""
_TRACEBACK_S = 2.0
_FRAME = re.compile(r'^  File "([^"]+)", line (\d+)', re.MULTILINE)
_MAIN = "import device; device.main()"
_PACK = "import gc; gc.threshold(16384)"
"""As in `firmware/main.py`: the imports' garbage is collected before long-lived objects are allocated behind it. Less
often than there, where sources may have to be compiled: of bytecode the heap is left in as large a piece, and a boot
takes a seventh less."""


class DeviceProcess:
    """Runs the program of `image`, one process for each boot.

    `on_output` gets the end of what the program printed in a boot, when that boot is over.
    """

    def __init__(self, target: str, image: Image, on_output: OnOutput | None = None) -> None:
        self._image = image
        self._on_output = on_output
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MICROPY"))}
        if target == names.MICROPYTHON:
            program = micropython()
            self._forks = vm.can_fork(program)
            self._command = [program, "-X", f"heapsize={HEAP}", "-c", f"{_PACK}; {_MAIN}"]
            self._traceback_signal = signal.SIGINT  # KeyboardInterrupt
            self._environment["MICROPYPATH"] = ":".join(map(str, (*image.path, ".frozen")))
        else:
            self._forks = False
            self._command = [sys.executable, "-S", "-B", "-u", "-X", "faulthandler", "-c", _MAIN]
            self._traceback_signal = signal.SIGABRT  # faulthandler prints even what an `except:` would hide
            self._environment["PYTHONPATH"] = os.pathsep.join(map(str, image.path))

    def boot(self, board: Board) -> None:
        """One boot, until the board is reset or loses power (raises PowerLoss; the process is killed at once)."""
        bench, device = socket.socketpair()
        with bench, device, tempfile.TemporaryFile() as output:
            process = self._start(device.fileno(), output)
            device.close()
            try:
                serve(board, bench, process)
            except Stalled:
                board.hang(self._place(process, output))
            except Crashed as error:
                process.kill()
                printed = _end_of(output)[-2000:]
                raise Crashed(f"{error}; it printed:\n{printed}" if printed else str(error)) from None
            finally:
                process.kill()
                process.wait()
                if self._on_output:
                    self._on_output(_end_of(output))

    def _start(self, link: int, output: IO[bytes]) -> subprocess.Popen[bytes] | vm.Vm:
        root = self._image.root
        if self._forks:
            return vm.start(self._command, root, self._environment | {_LINK: str(vm.LINK)}, link, output)
        return subprocess.Popen(
            self._command,
            cwd=root,
            env=self._environment | {_LINK: str(link)},
            pass_fds=[link],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def _place(self, process: subprocess.Popen[bytes] | vm.Vm, output: IO[bytes]) -> str:
        """Ends a program that computes on, and finds out where it was, from the traceback that it prints then."""
        before = output.seek(0, os.SEEK_END)
        process.send_signal(self._traceback_signal)
        try:
            process.wait(_TRACEBACK_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        output.seek(before)
        printed = output.read().decode(errors="replace")
        _, _, current = printed.rpartition("Current thread")  # CPython's other threads come first
        frames = _FRAME.findall(current)
        if "most recent call last" in printed:
            frames.reverse()
        outside = [frame for frame in frames if "usageguard/" not in frame[0]]
        for file, line in outside or frames:
            return f"{Path(file).name}:{line}"
        return "unknown"


class ProcessTarget:
    """Runs a world's device on CPython or on the MicroPython VM."""

    board: type[Board] = Board

    def __init__(self, name: str, on_output: OnOutput | None = None) -> None:
        self._name = name
        self._on_output = on_output

    def run(self, world: World, program: Program, on_start: OnStart | None) -> None:
        """See `Target`."""
        scenario = world.scenario
        firmware = _firmware(Image, self._name == names.MICROPYTHON, frozenset(_unneeded(scenario)), paths.firmware())
        with firmware.beside() as image:
            image.add_libraries(program.libraries)
            if program.source:
                image.add(program.source, f"{program.module}.py")
            for name, content in program.files.items():
                (image.root / name).write_bytes(content)
            process = DeviceProcess(self._name, image, self._on_output)

            def boot(board: Board) -> None:
                image.write_json("config.json", world.device_config())
                image.write_json("bench.json", bench_json(world, program.module))
                process.boot(board)

            if on_start:
                on_start(world)
            world.run(boot)


@functools.lru_cache(maxsize=128)
def _firmware(kind: type[Image], mpy: bool, without: frozenset[str], sources: Path) -> Image:
    """The modules of a simulated device, which this process makes once: writing them takes longer than a short run."""
    return _whole_firmware(kind, mpy, sources).without(without)


@functools.lru_cache(maxsize=4)
def _whole_firmware(kind: type[Image], mpy: bool, sources: Path) -> Image:
    return kind(mpy)


def _unneeded(scenario: Scenario) -> set[str]:
    """The modules that none of the device's configurations needs."""
    plans = [scenario.plan, *(deploy.plan for deploy in scenario.deploys)]
    configs = [device_config.check(scenario.device_config(plan), "scenario") for plan in plans]
    return set.intersection(*(set(modules.unneeded(config)) for config in configs))


def _end_of(output: IO[bytes]) -> str:
    output.seek(max(0, output.seek(0, os.SEEK_END) - OUTPUT_OCTETS))
    return output.read().decode(errors="replace").strip()
