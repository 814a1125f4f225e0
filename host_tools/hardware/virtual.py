"""A virtual board: the MicroPython VM behind a pseudo-terminal that behaves like an ESP32 on a USB port.

The supervisor sits between the VM's terminal and the port, like the USB bridge and the chip's reset logic. It restarts
the VM after a reset, a soft reset (Ctrl-D) or the watchdog, interrupts it on Ctrl-C, keeps flash and retained memory,
and can lose its port or its power at a given byte. The modules in `device/` replace what the ESP32 port has in C
(`machine`, `esp32`), so the VM runs the same files as a board, including `usageguard.hal.esp32`.

It does not simulate the chip's speed, its 32-bit words, or flash wear.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import signal
import subprocess
import termios
import threading
import time
import tty
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue

from host_tools.base import paths
from host_tools.base.errors import UsageError
from host_tools.build.micropython import micropython
from host_tools.hardware import boards
from host_tools.hardware.lwip import LwipOfABoard

DEVICE_SIDE = Path(__file__).resolve().parent / "device"
HEAP_WORDS = 160 * 1024 + 3000
"""As in `run.targets.process`, plus 23 KB for `device/`, which on a chip is C code and frozen modules."""
LEDGER_OCTETS, VFS_OCTETS = 3 * 4096, 2 * 1024 * 1024  # the file system's size in a stock image
PWRON, HARD, WDT, DEEPSLEEP, SOFT = 1, 2, 3, 4, 5
MACHINE = "Generic {0} module with {0}"  # what MicroPython calls a board without a definition of its own

_CTRL_C, _CTRL_D = 3, 4
_DONE = b"\x04>"  # from the raw REPL at the end of a program
_RAW = b"raw REPL; CTRL-B to exit\r\n>"
_FRIENDLY = b'Type "help()" for more information.\r\n'
_BARE_NEWLINE = re.compile(rb"(?<!\r)\n")
_ONCE = 1024  # bytes passed on at once
_BACKLOG = 65_536  # bytes kept for a host that reads slowly
_RUNS_ON_S = 0.1
_LOOK_S = 0.005  # between two polls of the VM's terminal and of a port that is not open


class VirtualBoard:
    """One board with its flash in `folder`; `path` is the port that a host opens.

    Use it as a context manager, which runs it in a thread, or call `run`. `uart` is the tty of a modem, `mcu` the chip
    that it says it is. With `romfs_octets` it has an image of `boards/_image`, and a partition of that size.
    Raises UsageError when the folder, `repl` or `uart` cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        repl: str | None = None,
        uart: str | None = None,
        mcu: boards.Mcu = boards.USUAL_MCU,
        romfs_octets: int = 0,
    ) -> None:
        self._folder = folder
        self._machine = MACHINE.format(boards.CHIPS[mcu].title)
        self._partitions = "vfs ledger romfs" if romfs_octets else "vfs ledger"
        heap = f"{HEAP_WORDS + romfs_octets}w"  # the partition, which is memory, is in the VM's heap
        self._command = [micropython(), "-X", f"heapsize={heap}", "-i", str(DEVICE_SIDE / "power_on.py")]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._keep("vfs.bin", b"\xff" * VFS_OCTETS)
            self._keep("ledger.bin", b"\xff" * LEDGER_OCTETS)
            if romfs_octets:
                self._keep("romfs.bin", b"\xff" * romfs_octets)
            self._keep("retained.bin", bytes(2))
            self._id = self._keep("id", secrets.token_hex(6).encode()).decode()
        except OSError as error:
            hint = "name a folder that can be written"
            raise UsageError("--dir", str(folder), (error.strerror or str(error)).lower(), hint) from None
        if uart and not os.path.exists(uart):
            raise UsageError("--uart", uart, "is not there", "give the link of `usageguard modem --link`")
        self._silence = -1  # the far end of the UART when no modem is connected
        if not uart:
            self._silence, self._line = os.openpty()
            tty.setraw(self._line)
            uart = os.ttyname(self._line)
        self._uart = uart
        self._link = Path(repl) if repl else None
        self.boots = 0
        self.cut_after: int | None = None  # number of bytes from the host after which `on_cut` is called
        self.on_cut: Callable[[], None] = self.unplug
        self.octets_in = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._lwip: LwipOfABoard | None = None
        self._port = self._terminal = self._control = -1
        self._input = bytearray()  # from the host while a program runs; the REPL reads it afterwards
        self._after_interrupt = bytearray()  # passed on since the last SIGINT, which may end a VM before it reads them
        self._output = bytearray()
        self._requests = b""
        self._tail = b""
        self._before = b""
        self._interruptible = self._raw = self._mute = self._executing = False
        self._bites: float | None = None
        self._wakes: float | None = None  # when a deep sleep ends
        self._asked: float | None = None  # when Ctrl-C arrived for a program at the raw REPL
        self._calls: SimpleQueue[tuple[Callable[[], None], threading.Event]] = SimpleQueue()
        self._wake, self._waker = os.pipe()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self.path = ""
        self._attach()

    def _keep(self, name: str, fresh: bytes) -> bytes:
        path = self._folder / name
        if not path.exists():
            path.write_bytes(fresh)
        return path.read_bytes()

    # The methods below may be called from any thread

    def __enter__(self) -> VirtualBoard:
        self._thread = threading.Thread(target=self.run, name="virtual board", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._thread:
            self._thread.join()
        self.close()

    def stop(self) -> None:
        """Ends `run`. May be called from a signal handler."""
        self._stopped = True
        os.write(self._waker, b"\0")

    def close(self) -> None:
        """Frees what `stop` uses. Call it after `run`."""
        os.close(self._wake)
        os.close(self._waker)

    def unplug(self) -> None:
        """Removes the port; the board has its own supply and keeps running."""
        self._call(self._detach)

    def plug(self) -> None:
        self._call(self._attach)

    def power_off(self) -> None:
        """Cuts the power. The port disappears too, as both use the same cable."""
        self._call(self._lose_power)

    def power_on(self) -> None:
        self._call(self._gain_power)

    def _call(self, action: Callable[[], None]) -> None:
        if threading.current_thread() is self._thread or not self._thread:
            action()
            return
        done = threading.Event()
        self._calls.put((action, done))
        os.write(self._waker, b"\0")
        done.wait()

    # The port

    def _attach(self) -> None:
        self._detach()
        self._port, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(self._port, False)
        name = os.ttyname(slave)
        if self._link:
            try:
                if self._link.is_symlink() and not self._link.exists():
                    self._link.unlink()  # left by a board that was killed
                self._link.symlink_to(name)
            except OSError as error:
                os.close(slave)
                os.close(self._port)
                problem = (error.strerror or str(error)).lower()
                hint = "give a new path in an existing folder"
                raise UsageError("--repl", str(self._link), problem, hint) from None
        os.close(slave)  # so that the master reports when no host has the port open
        self.path = str(self._link or name)

    def _detach(self) -> None:
        if self._port >= 0:
            if self._link and self._link.is_symlink():
                self._link.unlink()
            os.close(self._port)
            self._port = -1
        self._input.clear()
        self._output.clear()

    def _from_host(self) -> None:
        try:
            data = os.read(self._port, 4096)
        except OSError:  # the port is not open: output is lost, as on a real board
            self._output.clear()
            return
        self.octets_in += len(data)
        if self.cut_after is not None:
            data = data[: self.cut_after]
            self.cut_after -= len(data)
        self._input += data
        if self.cut_after == 0:
            self.cut_after = None
            self.on_cut()

    def _to_host(self, data: bytes) -> None:
        seen = self._tail + data
        self._tail = seen[-len(_FRIENDLY) :]  # after a banner too: half of the next one may be in it
        raw_at, friendly_at = seen.rfind(_RAW), seen.rfind(_FRIENDLY)
        if raw_at != friendly_at:  # both are -1 when neither banner was seen
            self._raw = raw_at > friendly_at
        if self._mute:
            if raw_at < 0:
                return
            self._mute = False
            data = seen[raw_at:]
        if seen.endswith(_DONE):
            self._executing, self._asked = False, None
        self._output += data
        del self._output[:-_BACKLOG]
        self._flush()

    def _flush(self) -> None:
        if self._port >= 0 and self._output:
            with contextlib.suppress(BlockingIOError):
                del self._output[: os.write(self._port, self._output)]

    # The chip

    def _gain_power(self) -> None:
        if not self._process:
            (self._folder / "retained.bin").write_bytes(bytes(2))
            self._boot(PWRON)
        if self._port < 0:
            self._attach()

    def _lose_power(self) -> None:
        self._halt()
        self._detach()

    def _halt(self) -> None:
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None
            os.close(self._terminal)
            os.close(self._control)
            if self._lwip:
                self._lwip.close()
                self._lwip = None
        self._bites = self._wakes = self._asked = None
        self._interruptible = self._executing = False
        self._input.clear()

    def _boot(self, cause: int, raw: bool = False, no_main: bool = False) -> None:
        """Starts the VM; `raw` enters the raw REPL, as the ESP32 port does after a soft reset from there."""
        kept = bytes(self._input) if cause == SOFT else b""
        self._halt()
        self._input += kept
        self._terminal, inside = os.openpty()
        tty.setraw(inside)
        attributes = termios.tcgetattr(inside)
        attributes[3] |= termios.ISIG  # off while the REPL reads, see `_pass_input`
        termios.tcsetattr(inside, termios.TCSANOW, attributes)
        self._control, requests = os.pipe()
        self._lwip = lwip = LwipOfABoard(self._uart)
        environment = {
            "MICROPYPATH": f"{DEVICE_SIDE}:.frozen",
            "BOARD_FOLDER": str(self._folder.resolve()),
            "BOARD_PARTITIONS": self._partitions,
            "BOARD_BOOT": str(paths.boards() / "_image" / "boot.py"),
            "BOARD_UART": self._uart,
            "BOARD_ID": self._id,
            "BOARD_MACHINE": self._machine,
            "BOARD_CAUSE": str(cause),
            "BOARD_CONTROL": str(requests),
            "BOARD_LWIP": str(lwip.fd),
        }
        if raw or no_main:
            environment["BOARD_NO_MAIN"] = "1"
        self._requests = self._tail = b""
        self._after_interrupt.clear()
        self._mute = self._raw = raw
        self._process = subprocess.Popen(
            self._command,
            env=environment,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            pass_fds=[requests, lwip.fd],
            start_new_session=True,
        )
        os.close(inside)
        os.close(requests)
        os.close(lwip.fd)
        self.boots += 1
        if raw:
            self._input[:0] = b"\x01"

    def _ended(self) -> None:
        """Handles the end of the VM's process: Ctrl-D at the REPL, or a Ctrl-C just before it."""
        assert self._process
        interrupted = self._process.wait() == -signal.SIGINT
        if interrupted:
            self._input[:0] = self._after_interrupt
        else:
            self._to_host(b"MPY: soft reboot\r\n")
        self._boot(SOFT, self._raw and not interrupted, interrupted)

    def _from_machine(self) -> None:
        """Handles the requests of the VM's `machine` module."""
        self._requests += os.read(self._control, 4096)
        *lines, self._requests = self._requests.split(b"\n")
        for line in lines:
            word, *rest = line.decode().split()
            if word in ("reset", "soft", "sleep"):
                self._drain()
            if word == "sleep":
                self._halt()
                if int(rest[0]):
                    self._wakes = time.monotonic() + int(rest[0]) / 1000
                return None
            if word == "reset":
                return self._boot(HARD)
            if word == "soft":
                self._to_host(b"MPY: soft reboot\r\n")
                return self._boot(SOFT, self._raw)
            if word == "watchdog":
                self._bites = time.monotonic() + int(rest[0]) / 1000
            elif word == "again":  # Ctrl-C arrived in code that must not be interrupted
                self._input[:0] = bytes((_CTRL_C,))
                self._interruptible = True
            else:
                self._interruptible = word == "up"
        return None

    def _drain(self) -> None:
        """Passes on the output from before a reset."""
        while select.select([self._terminal], [], [], 0)[0]:
            self._from_chip()

    def _pass_input(self) -> None:
        """Passes input to the VM: Ctrl-C interrupts a program, everything else waits for the REPL.

        The terminal is in raw mode while the REPL reads, and always while the REPL is the raw one.
        """
        if not self._input or not self._process:
            return
        running = termios.tcgetattr(self._terminal)[3] & termios.ISIG
        held = _CTRL_C in self._input
        if not running and held and self._executing:
            interrupts = self._runs_on()
        elif not running:
            passed = bytes(self._input[:_ONCE])
            passed = passed[: os.write(self._terminal, passed)]
            del self._input[: len(passed)]
            if len(self._after_interrupt) < _ONCE:
                self._after_interrupt += passed
            self._executing |= self._raw and _CTRL_D in passed
            interrupts = False
        else:
            interrupts = held and self._interruptible
        if interrupts:
            del self._input[: self._input.index(_CTRL_C) + 1]
            self._interruptible = False  # the next one is for the REPL
            self._asked = None
            self._after_interrupt.clear()
            self._process.send_signal(signal.SIGINT)

    def _runs_on(self) -> bool:
        """Whether a program at the raw REPL still runs some time after Ctrl-C arrived.

        Between the end of a program and the REPL's next read, a SIGINT would end the VM.
        """
        now = time.monotonic()
        self._asked = self._asked or now
        return now - self._asked >= _RUNS_ON_S

    def _from_chip(self) -> None:
        try:
            data = os.read(self._terminal, 4096)
        except OSError:
            data = b""
        if not data:
            return self._ended()
        before, self._before = self._before, b"\r" if data.endswith(b"\r") else b""
        self._to_host(_BARE_NEWLINE.sub(b"\r\n", before + data)[len(before) :])  # as the ESP32 port does
        return None

    def run(self) -> None:
        """Powers the board on and runs it until `stop`."""
        try:
            self._gain_power()
            while not self._stopped:
                self._turn()
        finally:
            self._halt()
            self._detach()
            while not self._calls.empty():
                self._calls.get()[1].set()
            for fd in (self._silence, self._line) if self._silence >= 0 else ():
                os.close(fd)

    def _turn(self) -> None:
        self._pass_input()
        self._flush()
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        closed = False
        if self._silence >= 0:
            poll.register(self._silence, select.POLLIN)
        if self._process:
            poll.register(self._terminal, select.POLLIN)
            poll.register(self._control, select.POLLIN)
        if self._port >= 0 and len(self._input) < 4096:
            look = select.poll()
            look.register(self._port, select.POLLIN)
            closed = any(event & select.POLLHUP and not event & select.POLLIN for _, event in look.poll(0))
            if closed:
                self._output.clear()
            else:
                poll.register(self._port, select.POLLIN)
        hurry = closed or self._input or self._output or self._bites is not None or self._wakes is not None
        ready = dict(poll.poll(_LOOK_S * 1000 if hurry else 1000))
        if self._wake in ready:
            os.read(self._wake, 4096)
            while not self._calls.empty():
                action, done = self._calls.get()
                action()
                done.set()
            return
        if self._bites is not None and time.monotonic() >= self._bites:
            self._boot(WDT)
        elif self._wakes is not None and time.monotonic() >= self._wakes:
            self._boot(DEEPSLEEP)
        elif ready.get(self._control, 0) & select.POLLIN:
            self._from_machine()
        elif self._terminal in ready:
            self._from_chip()
        elif self._port in ready:
            self._from_host()
        elif self._silence in ready:
            os.read(self._silence, 4096)


def serve(folder: Path, repl: str | None, uart: str | None, mcu: boards.Mcu, announce: Callable[[str], None]) -> None:
    """Runs a board until SIGINT or SIGTERM; calls `announce` with the path of its port. UsageError for bad input."""
    board = VirtualBoard(folder, repl, uart, mcu)
    numbers = (signal.SIGINT, signal.SIGTERM)
    old = [(number, signal.signal(number, lambda *_: board.stop())) for number in numbers]
    try:
        announce(board.path)
        board.run()
    finally:
        for number, handler in old:
            signal.signal(number, handler)
        board.close()
