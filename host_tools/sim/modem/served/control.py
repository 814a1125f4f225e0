"""The control socket of a served modem: one line in, what it says about it out."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

_TIMEOUT_S = 5.0
_FAILED = "error: "


def folder() -> Path:
    """Where the sockets of this user's modems are; nobody else gets in."""
    path = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"usageguard-modems-{os.getuid()}"
    path.mkdir(mode=0o700, exist_ok=True)
    if path.lstat().st_uid != os.getuid():
        raise ValueError(f"{path} is another user's; set XDG_RUNTIME_DIR")
    return path


def running() -> dict[str, dict[str, str]]:
    """The modems that run: by name, their profile and where they are. Removes what dead ones have left."""
    found = {}
    for path in sorted(folder().glob("*.ctl")):
        about = _about(path)
        if about is None:
            path.unlink(missing_ok=True)
        else:
            found[path.stem] = about
    return found


def ask(name: str, line: str) -> str:
    """Has the modem `name` do an action; what it says. ValueError with one clear line if it cannot."""
    try:
        answer = _exchange(folder() / f"{name}.ctl", line)
    except OSError:
        names = ", ".join(running()) or "none"
        raise ValueError(f"no modem {name!r} runs; there are {names}") from None
    if answer.startswith(_FAILED):
        raise ValueError(answer.removeprefix(_FAILED))
    return answer


def _about(path: Path) -> dict[str, str] | None:
    try:
        return json.loads(_exchange(path, ""))
    except (OSError, ValueError):
        return None


def _exchange(path: Path, line: str) -> str:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as there:
        there.settimeout(_TIMEOUT_S)
        there.connect(str(path))
        there.sendall(line.encode() + b"\n")
        answer = bytearray()
        while piece := there.recv(65_536):
            answer += piece
    return answer.decode()


class ControlSocket:
    """Listens under a name; "" is a line that asks what this modem is."""

    def __init__(self, wanted: str, about: dict[str, str]) -> None:
        """Takes the name `wanted`, with a number behind it if a modem has it already."""
        self._about = about
        names = running()
        self.name = next(n for n in (wanted, *(f"{wanted}-{i}" for i in range(2, 1000))) if n not in names)
        self._path = folder() / f"{self.name}.ctl"
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._listener.setblocking(False)

    def readers(self) -> list[int]:
        return [self._listener.fileno()]

    def serve(self, ready: Iterable[int], do: Callable[[str], str]) -> None:
        if self._listener.fileno() not in ready:
            return
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            with client:
                client.settimeout(_TIMEOUT_S)
                line = bytearray()
                while not line.endswith(b"\n"):
                    piece = client.recv(4096)
                    if not piece:
                        return
                    line += piece
                client.sendall(self._answer(line.decode("utf-8", "replace").strip(), do).encode())

    def _answer(self, line: str, do: Callable[[str], str]) -> str:
        if not line:
            return json.dumps(self._about)
        try:
            return do(line)
        except ValueError as error:
            return f"{_FAILED}{error}"

    def close(self) -> None:
        self._listener.close()
        self._path.unlink(missing_ok=True)
