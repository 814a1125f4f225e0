"""Flashes MicroPython to a board, with a separate partition for the ledger. Not yet run on hardware.

A stock image has no spare partition. Up to MicroPython 1.25 its table ends with the file system, "vfs", whose end then
becomes a partition named "ledger". Since 1.26 the table has no file system: at each start MicroPython makes one, from
the end of the last partition to the end of the flash, whatever its size (ports/esp32/main.c). There the ledger comes
right behind the last partition, and the file system behind the ledger.

esptool writes the image. It runs as a program because its options are stable and its Python API is not.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

from mp_image_tool_esp32.firmware import Firmware
from mp_image_tool_esp32.partition_table import (
    PART_MAGIC,
    PART_NAME_LEN,
    PartitionEntry,
    PartitionError,
    PartitionTable,
)
from rich.console import Console

from host_tools.base.errors import UsageError
from host_tools.hardware.boards import Board
from host_tools.hardware.port import resolve

LEDGER = "ledger"
_SECTOR = 4096
LEDGER_OCTETS = 64 * _SECTOR  # the most sectors that a ledger uses; wear is spread over all of them
LEAST_LEDGER_OCTETS = 16 * _SECTOR
LEAST_VFS_OCTETS = 896 * 1024  # two sets with everything take 650 KB: littlefs uses 4 KB or more for each file
BAUD = 460_800
_DATA, _UNDEFINED = 1, 6  # ESP-IDF's partition type and subtype for data without a known format
_FILES = ("vfs", "ffat")  # what MicroPython calls the partition of the file system
_TABLE_AT, _TABLE_OCTETS = 0x8000, 0xC00  # of ESP-IDF's partition table
_BOOTLOADER_AT = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0}  # flash offset by chip (Espressif's ROM)


def with_ledger(image: Path, out: Path, board: Board) -> int:
    """Copies a MicroPython image to `out` and adds the partition if needed; returns where in the flash that lies.

    Raises UsageError for a wrong image.
    """
    where = str(image)
    logging.getLogger("mp_image_tool_esp32").setLevel(logging.ERROR)
    try:
        shutil.copyfile(image, out)
        firmware = Firmware(str(out))
        chip = firmware.header.chip_name
        table = copy.copy(firmware.table)
    except OSError as error:
        raise UsageError(where, "", (error.strerror or str(error)).lower(), "name an image file") from None
    except Exception as error:  # the library has no common type for invalid images
        problem = f"is not a MicroPython image for an ESP32: {error}"
        raise UsageError(where, "", problem.splitlines()[0], "download the .bin file of your board") from None
    if chip != board.mcu:
        raise UsageError(where, "", f"is for an {chip}", f"{board.name} needs {board.micropython.image}")
    new = not table.find(LEDGER)
    if new:
        _add_ledger(where, table)
    if _files_octets(table) < LEAST_VFS_OCTETS:
        raise _no_room(where)
    if new:
        firmware.update_image(table, firmware.header.copy())
    firmware.file.close()
    return table.by_name(LEDGER).offset


def _end(part: PartitionEntry) -> int:
    return part.offset + part.size


def _files(table: PartitionTable) -> PartitionEntry | None:
    """The partition of the file system; None where MicroPython makes it at each start."""
    return next(filter(None, map(table.find, _FILES)), None)


def _files_octets(table: PartitionTable) -> int:
    """The size of the file system, on a flash that is no larger than the image says."""
    files = _files(table)
    return files.size if files else table.max_size - max(map(_end, table))


def _no_room(where: str) -> UsageError:
    least = (LEAST_VFS_OCTETS + LEAST_LEDGER_OCTETS) // 1024
    problem = f"leaves no {least} KB behind the program for the ledger and the files"
    return UsageError(where, "partition table", problem, "use a stock image for 4 MB of flash or more")


def _add_ledger(where: str, table: PartitionTable) -> None:
    last = max(table, key=_end)
    files = _files(table)
    octets = min(LEDGER_OCTETS, (_files_octets(table) - LEAST_VFS_OCTETS) // _SECTOR * _SECTOR)
    if octets < LEAST_LEDGER_OCTETS or files not in (None, last):
        raise _no_room(where)
    offset = _end(last)
    if files:
        offset -= octets
        table.resize_part(files.name, files.size - octets)
    label = LEDGER.encode().ljust(PART_NAME_LEN, b"\0")
    table.append(PartitionEntry(PART_MAGIC, _DATA, _UNDEFINED, offset, octets, label, 0))
    table.check()


def keep_table(out: Path, there: bytes) -> bool:
    """Gives the image `out` the board's own table `there`, so that files and ledger stay where they are.

    False, and the image as it was, where the board has no ledger, has its programs elsewhere, or would have no files: a
    MicroPython up to 1.25 finds none that its table does not have.
    """
    image = Firmware(str(out))
    with contextlib.closing(image.file):
        try:
            table = PartitionTable.from_bytes(there, image.header.flash_size)
        except (PartitionError, ValueError, struct.error):  # a blank flash, or another program's
            return False
        programs = {part for part in image.table if part.name not in (LEDGER, *_FILES)}
        if not table.find(LEDGER) or not programs <= set(table) or (_files(image.table) and not _files(table)):
            return False
        header = image.header.copy()
        # The bootloader refuses a table that goes beyond the size in its own header: 4 MB since 1.26, on every flash.
        header.flash_size = max(header.flash_size, _power_of_two(max(map(_end, table))))
        image.update_image(table, header)
    return True


def _power_of_two(octets: int) -> int:
    """The least one that is no smaller."""
    return 1 << (octets - 1).bit_length()


def writing(board: Board, image: Path, erase: bool) -> list[str]:
    """esptool's arguments for writing the image; `erase` erases the whole flash first, including the ledger."""
    return ["write-flash", *(["--erase-all"] if erase else []), hex(_BOOTLOADER_AT[board.mcu]), str(image)]


def reading(out: Path) -> list[str]:
    """esptool's arguments for reading the board's partition table."""
    return ["read-flash", hex(_TABLE_AT), hex(_TABLE_OCTETS), str(out)]


def check_table(port: str, there: bytes, image: bytes, board: Board) -> None:
    """Raises UsageError when the board's partition table differs from the image's.

    MicroPython stops at a file system that does not begin and end where its partition does, and the ledger would read
    the data of other programs. `there` is the board's table; a new chip has 0xFF in every byte.
    """
    at = _TABLE_AT - _BOOTLOADER_AT[board.mcu]
    wanted = image[at : at + _TABLE_OCTETS]
    if there.strip(b"\xff") and there[: len(wanted)] != wanted:
        hint = "give --erase, which deletes the board's files, its id and key, and its ledger"
        raise UsageError("--port", port, "the board's partition table differs from the image's", hint)


def flash(board: Board, port: str | None, image: Path, out: Path, console: Console, *, erase: bool = False) -> None:
    """Adds the ledger partition to `image`, saves the result as `out` and writes it to the board, if there is a port.

    The board's files and ledger stay unless `erase` is set. Raises UsageError when the image or the board does not fit.
    """
    path = "" if port is None else resolve(port)
    at = with_ledger(image, out, board)
    console.print(f"{out}: {image.name} with its ledger at {at:#x}", markup=False)
    if port is None:
        return
    if not erase:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "table.bin"
            _esptool(board, port, path, reading(table))
            there = table.read_bytes()
        if keep_table(out, there):
            console.print("the board keeps its partition table, its files and its ledger", markup=False)
        check_table(port, there, out.read_bytes(), board)
    _esptool(board, port, path, writing(board, out, erase))


def _esptool(board: Board, port: str, path: str, words: list[str]) -> None:
    options = ["--chip", board.mcu, "--port", path, "--baud", str(BAUD)]
    if subprocess.run([sys.executable, "-m", "esptool", *options, *words], check=False).returncode:
        hint = "hold BOOT while you press RESET, then try again"
        raise UsageError("--port", port, "esptool failed; its messages are above", hint)
