"""The modem's files, in which certificates lie (Quectel EC2x&EG9x FILE Application Note)."""

from __future__ import annotations

from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.errors import CmeError
from host_tools.sim.modem.parser import EXEC, WRITE
from host_tools.sim.modem.port import Port, Reply

_CAPACITY = 1 << 20  # octets; assumed
_MAX_NAME = 80
_TIMEOUT_S = 5
_NOT_FOUND, _NO_ROOM, _EXISTS, _TIMEOUT, _BAD_NAME = 405, 403, 407, 421, 400  # FILE chapter 5


class Files(Part):
    """`contents` by name, without the "UFS:" that may stand before it. They survive power-downs."""

    def __init__(self, port: Port) -> None:
        super().__init__(port)
        self.contents: dict[str, bytes] = {}

    def find(self, name: str) -> bytes | None:
        """A file's octets, or None."""
        return self.contents.get(_bare(name))

    @command("+QFUPL", WRITE, test="<filename>,(1-1048576),(1-65535),(0,1)", manual="FILE 2.3")
    def _upload(self, args: tuple[str, ...]) -> Reply:
        name = _bare(args[0])
        free = _CAPACITY - sum(map(len, self.contents.values()))
        size = self.port.integer(args, 1, 1, _CAPACITY, free)
        timeout_s = self.port.integer(args, 2, 1, 65_535, _TIMEOUT_S)
        if not name or len(name) > _MAX_NAME:
            raise CmeError(_BAD_NAME)
        if name in self.contents:
            raise CmeError(_EXISTS)
        if size > free:
            raise CmeError(_NO_ROOM)
        return self.port.prompt(
            lambda data: self._uploaded(name, data), length=size, timeout_ms=timeout_s * 1000, text=b"\r\nCONNECT\r\n"
        )

    def _uploaded(self, name: str, data: bytes | None) -> None:
        if data is None:
            raise CmeError(_TIMEOUT)
        self.contents[name] = data
        self.port.finish(f"+QFUPL: {len(data)},{_checksum(data):x}")

    @command("+QFDWL", WRITE, test="<filename>", manual="FILE 2.4")
    def _download(self, args: tuple[str, ...]) -> Reply:
        data = self._file(args[0])
        self.port.write(b"\r\nCONNECT\r\n" + data)
        return f"+QFDWL: {len(data)},{_checksum(data):x}"

    @command("+QFLST", EXEC, test="<name_pattern>", manual="FILE 2.2")
    @command("+QFLST", WRITE)
    def _list(self, args: tuple[str, ...]) -> Reply:
        wanted = _bare(args[0]) if args else "*"
        found = sorted(self.contents) if wanted == "*" else [wanted] if wanted in self.contents else []
        return [f'+QFLST: "UFS:{name}",{len(self.contents[name])}' for name in found] or None

    @command("+QFDEL", WRITE, test="<filename>", manual="FILE 2.5")
    def _delete(self, args: tuple[str, ...]) -> Reply:
        if _bare(args[0]) == "*":
            self.contents.clear()
            return None
        self._file(args[0])
        del self.contents[_bare(args[0])]
        return None

    def _file(self, name: str) -> bytes:
        data = self.find(name)
        if data is None:
            raise CmeError(_NOT_FOUND)
        return data


def _bare(name: str) -> str:
    return name.removeprefix("UFS:")


def _checksum(data: bytes) -> int:
    """The exclusive or of the 16-bit words, the last one padded with zero (FILE 2.3)."""
    words = (int.from_bytes(data[i : i + 2].ljust(2, b"\0"), "big") for i in range(0, len(data), 2))
    checksum = 0
    for word in words:
        checksum ^= word
    return checksum
