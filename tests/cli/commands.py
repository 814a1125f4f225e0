"""The real `usageguard` as a process: on a terminal of some width, in pipes, or on both at once."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass

_COMMAND = (sys.executable, "-c", "from host_tools.cli import main; main()")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass
class Ran:
    status: int
    out: str  # "" where it went to the terminal
    seen: str  # on the terminal, with its escapes

    @property
    def lines(self):
        return [_ESCAPES.sub("", line).rstrip("\r") for line in self.seen.split("\n")]


def on_terminal(*arguments, columns=80, redirected=False):
    """Stdin and stderr are the terminal, and stdout too, unless it is redirected."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [*_COMMAND, *arguments], stdin=slave, stdout=subprocess.PIPE if redirected else slave, stderr=slave,
        env=environment, start_new_session=True,
    )  # fmt: skip
    os.close(slave)
    seen = bytearray()
    while True:
        try:
            data = os.read(master, 65_536)
        except OSError:  # the last one to hold the terminal has left
            data = b""
        if not data:
            break
        seen += data
    out = process.communicate(timeout=60)[0] if redirected else b""
    os.close(master)
    return Ran(process.wait(60), (out or b"").decode(), seen.decode())


def in_pipes(*arguments, **environment):
    """Status, stdout and stderr."""
    done = subprocess.run(
        [*_COMMAND, *arguments], capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def into(stdout, *arguments):
    """Status and stderr, with `stdout` a file or a descriptor."""
    done = subprocess.run(
        [*_COMMAND, *arguments], stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr
