"""Flashes MicroPython to a board, with a separate partition for the ledger. Not yet run on hardware.

A stock image has no spare partition, so the end of `vfs` becomes a partition named "ledger", which no file system uses.
esptool writes the image. It runs as a program because its options are stable and its Python API is not.
"""

from __future__ import annotations

import copy
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mp_image_tool_esp32.firmware import Firmware
from mp_image_tool_esp32.partition_table import PART_MAGIC, PART_NAME_LEN, PartitionEntry, PartitionTable
from rich.console import Console

from host_tools.base.errors import UsageError
from host_tools.hardware.boards import Board
from host_tools.hardware.port import resolve

LEDGER_OCTETS = 64 * 4096  # the most sectors that a ledger uses; wear is spread over all 64
LEAST_VFS_OCTETS = 1024 * 1024  # for two sets: littlefs uses 4 KB or more for each of a hundred files
BAUD = 460_800
_DATA, _UNDEFINED = 1, 6  # ESP-IDF's partition type and subtype for data without a known format
_TABLE_AT, _TABLE_OCTETS = 0x8000, 0xC00  # of ESP-IDF's partition table
_BOOTLOADER_AT = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0}  # flash offset by chip (Espressif's ROM)


def with_ledger(image: Path, out: Path, board: Board) -> None:
    """Copies a MicroPython image to `out` and adds the partition if needed. Raises UsageError for a wrong image."""
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
    if not any(part.name == "ledger" for part in table):
        _add_ledger(where, table)
        firmware.update_image(table, firmware.header.copy())
    firmware.file.close()


def _add_ledger(where: str, table: PartitionTable) -> None:
    last = max(table, key=lambda part: part.offset, default=None)
    if last is None or last.name != "vfs" or last.size < LEAST_VFS_OCTETS + LEDGER_OCTETS:
        hint = "use a stock image for 4 MB of flash or more, or add a data partition named ledger"
        raise UsageError(where, "partition table", "does not end with a vfs that is large enough to shrink", hint)
    table.resize_part("vfs", last.size - LEDGER_OCTETS)
    offset = last.offset + last.size - LEDGER_OCTETS
    label = b"ledger".ljust(PART_NAME_LEN, b"\0")
    table.append(PartitionEntry(PART_MAGIC, _DATA, _UNDEFINED, offset, LEDGER_OCTETS, label, 0))
    table.check()


def writing(board: Board, image: Path, erase: bool) -> list[str]:
    """esptool's arguments for writing the image; `erase` erases the whole flash first, including the ledger."""
    return ["write-flash", *(["--erase-all"] if erase else []), hex(_BOOTLOADER_AT[board.mcu]), str(image)]


def reading(out: Path) -> list[str]:
    """esptool's arguments for reading the board's partition table."""
    return ["read-flash", hex(_TABLE_AT), hex(_TABLE_OCTETS), str(out)]


def check_table(port: str, there: bytes, image: bytes, board: Board) -> None:
    """Raises UsageError when the board's partition table differs from the image's.

    MicroPython would stop at a file system that is shorter than its partition, and the ledger would read the data of
    other programs. `there` is the board's table; a new chip has 0xFF in every byte.
    """
    at = _TABLE_AT - _BOOTLOADER_AT[board.mcu]
    wanted = image[at : at + _TABLE_OCTETS]
    if there.strip(b"\xff") and there[: len(wanted)] != wanted:
        hint = "give --erase, which deletes the board's files, its id and key, and its ledger"
        raise UsageError("--port", port, "the board's partition table differs from the image's", hint)


def flash(board: Board, port: str, image: Path, out: Path, console: Console, *, erase: bool = False) -> None:
    """Adds the ledger partition to `image`, saves the result as `out` and writes it to the board.

    The board's files stay unless `erase` is set. Raises UsageError when the image or the board does not fit.
    """
    path = resolve(port)
    with_ledger(image, out, board)
    console.print(f"{out}: {image.name} with a ledger of {LEDGER_OCTETS // 1024} KB", markup=False)
    if not erase:
        with tempfile.TemporaryDirectory() as folder:
            table = Path(folder) / "table.bin"
            _esptool(board, port, path, reading(table))
            check_table(port, table.read_bytes(), out.read_bytes(), board)
    _esptool(board, port, path, writing(board, out, erase))


def _esptool(board: Board, port: str, path: str, words: list[str]) -> None:
    options = ["--chip", board.mcu, "--port", path, "--baud", str(BAUD)]
    if subprocess.run([sys.executable, "-m", "esptool", *options, *words], check=False).returncode:
        hint = "hold BOOT while you press RESET, then try again"
        raise UsageError("--port", port, "esptool failed; its messages are above", hint)
