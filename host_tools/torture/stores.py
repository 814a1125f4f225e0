"""The backends of the ledger: a ring on raw flash, or two files on a real littlefs on such a flash."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

from littlefs import LittleFS, lfs
from littlefs.context import UserContext
from littlefs.errors import LittleFSError

from host_tools.base import paths
from host_tools.sim.flash import PowerCut
from host_tools.torture.nor import Nor, NorBlocks

paths.use_firmware()

from usageguard.store.filelog import FileLog  # noqa: E402 - found only now
from usageguard.store.ledger import Ledger  # noqa: E402
from usageguard.store.ring import Ring  # noqa: E402


class Store(Protocol):
    """A backend."""

    name: str
    sectors: int

    def prepare(self, nor: Nor) -> None:
        """Initializes `nor` as the flash of a new device."""

    def attach(self, nor: Nor) -> Any:
        """The flash object for a `Ledger` at a boot; objects of earlier boots cannot write any more."""


class RawStore:
    """A flash partition of the ledger's own."""

    name = "log"
    sectors = 3

    def prepare(self, nor: Nor) -> None:
        nor.load(b"\xff" * len(nor.data))

    def attach(self, nor: Nor) -> Any:
        return NorBlocks(nor)


class _Context(UserContext):
    """Connects littlefs to a `Nor`. Exceptions cannot pass through its C code and become error numbers."""

    def __init__(self, nor: Nor) -> None:
        self.nor = nor
        self.detached = False

    def read(self, cfg: Any, block: int, off: int, size: int) -> bytearray:
        at = block * self.nor.sector_size + off
        return self.nor.data[at : at + size]

    def prog(self, cfg: Any, block: int, off: int, data: bytes) -> int:
        return self._try(self.nor.program, block * self.nor.sector_size + off, bytes(data))

    def erase(self, cfg: Any, block: int) -> int:
        return self._try(self.nor.erase, block)

    def sync(self, cfg: Any) -> int:
        return 0

    def _try(self, call: Any, *args: Any) -> int:
        if self.detached or self.nor.dead:
            return LittleFSError.Error.LFS_ERR_IO
        try:
            call(*args)
        except (PowerCut, OSError):
            return LittleFSError.Error.LFS_ERR_IO
        return 0


class _File:
    """A file with the stream methods and errors of MicroPython."""

    def __init__(self, volume: Volume, file: Any) -> None:
        self._volume, self._file = volume, file

    def seek(self, at: int) -> None:
        self._volume.call(lfs.file_seek, self._file, at, 0)

    def readinto(self, buf: bytearray) -> int:
        got = self._volume.call(lfs.file_read, self._file, len(buf))
        buf[: len(got)] = got
        return len(got)

    def write(self, data: bytes) -> None:
        self._volume.call(lfs.file_write, self._file, bytes(data))

    def flush(self) -> None:
        self._volume.call(lfs.file_sync, self._file)


class Volume:
    """A littlefs with the parameters of MicroPython's VfsLfs2, and the calls that `FileLog` makes."""

    def __init__(self, nor: Nor, mount: bool = True) -> None:
        self.context = _Context(nor)
        self.littlefs = LittleFS(
            context=self.context,
            mount=False,
            block_size=nor.sector_size,
            block_count=nor.sectors,
            read_size=32,
            prog_size=32,
            cache_size=128,
            lookahead_size=32,
            block_cycles=100,
        )
        self._files: list[Any] = []
        if mount:
            self.call(lfs.mount, self.littlefs.cfg)

    def call(self, function: Any, *args: Any) -> Any:
        """Calls a littlefs function. PowerCut when power was cut meanwhile, OSError when littlefs failed."""
        try:
            done = function(self.littlefs.fs, *args)
        except LittleFSError as error:
            if self.context.nor.dead:
                raise PowerCut from None
            raise OSError(-error.code, "littlefs") from None
        if self.context.nor.dead:
            raise PowerCut
        return done

    def open(self, name: str, mode: str) -> _File:
        file = self.call(lfs.file_open, name, mode)
        self._files.append(file)
        return _File(self, file)

    def mkdir(self, name: str) -> None:
        self.call(lfs.mkdir, name)

    def detach(self) -> None:
        """Frees the memory after a power cut; nothing is written."""
        self.context.detached = True
        for file in self._files:
            with contextlib.suppress(LittleFSError):
                lfs.file_close(self.littlefs.fs, file)
        self._files.clear()


class FileStore:
    """Two files on a littlefs with other files beside them."""

    name = "file"
    sectors = 24

    def __init__(self) -> None:
        self._volume: Volume | None = None

    def prepare(self, nor: Nor) -> None:
        nor.load(b"\xff" * len(nor.data))
        volume = Volume(nor, mount=False)
        volume.littlefs.format()
        volume.littlefs.mount()
        for name, octets in (("boot.py", 139), ("main.py", 900), ("config.json", 600)):
            with volume.littlefs.open(name, "wb") as file:
                file.write(bytes(range(64, 104)) * (octets // 40))
        volume.detach()

    def attach(self, nor: Nor) -> Any:
        if self._volume:
            self._volume.detach()
        self._volume = volume = Volume(nor)
        return FileLog(open_file=volume.open, mkdir=volume.mkdir)


STORES: dict[str, type[RawStore | FileStore]] = {"log": RawStore, "file": FileStore}
__all__ = ["STORES", "FileLog", "FileStore", "Ledger", "RawStore", "Ring", "Store", "Volume"]
