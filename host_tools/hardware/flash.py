"""Puts MicroPython on a board, with a partition of its own for the ledger. Not yet run on hardware.

A stock image has no spare partition: `vfs` gives up its end to one named "ledger", which no file system ever touches.
esptool writes the image; it is run as a program, for its options are kept stable and its Python API is not.
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

from host_tools.boards import Board
from host_tools.errors import UsageError
from host_tools.hardware.port import resolve

LEDGER_OCTETS = 64 * 4096  # the most sectors that a ledger uses: each is erased 64 times less often than one would be
LEAST_VFS_OCTETS = 1024 * 1024  # two sets: littlefs takes a block of 4 KB or more for each of a hundred files
BAUD = 460_800
_DATA, _UNDEFINED = 1, 6  # ESP-IDF's partition type and subtype for data of no known form
_TABLE_AT, _TABLE_OCTETS = 0x8000, 0xC00  # where ESP-IDF has the table of partitions
_BOOTLOADER_AT = {"esp32": 0x1000, "esp32s3": 0, "esp32c3": 0}  # in flash, by chip (Espressif's ROM)


def with_ledger(image: Path, out: Path, board: Board) -> None:
    """Copies a MicroPython image to `out` and gives it the partition, if it has none. UsageError: it cannot be done."""
    where = str(image)
    logging.getLogger("mp_image_tool_esp32").setLevel(logging.ERROR)
    try:
        shutil.copyfile(image, out)
        firmware = Firmware(str(out))
        chip = firmware.header.chip_name
        table = copy.copy(firmware.table)
    except OSError as error:
        raise UsageError(where, "", (error.strerror or str(error)).lower(), "name an image file") from None
    except Exception as error:  # the library has no one type for what is no image
        problem = f"is no image of MicroPython for an ESP32: {error}"
        raise UsageError(where, "", problem.splitlines()[0], "download the .bin file of your board") from None
    if chip != board.mcu:
        raise UsageError(where, "", f"is for an {chip}", f"{board.name} wants {board.micropython.image}")
    if not any(part.name == "ledger" for part in table):
        _add_ledger(where, table)
        firmware.update_image(table, firmware.header.copy())
    firmware.file.close()


def _add_ledger(where: str, table: PartitionTable) -> None:
    last = max(table, key=lambda part: part.offset, default=None)
    if last is None or last.name != "vfs" or last.size < LEAST_VFS_OCTETS + LEDGER_OCTETS:
        hint = "take a stock image for 4 MB of flash or more, or add a data partition named ledger"
        raise UsageError(where, "partition table", "has no vfs at its end that could be made smaller", hint)
    table.resize_part("vfs", last.size - LEDGER_OCTETS)
    offset = last.offset + last.size - LEDGER_OCTETS
    label = b"ledger".ljust(PART_NAME_LEN, b"\0")
    table.append(PartitionEntry(PART_MAGIC, _DATA, _UNDEFINED, offset, LEDGER_OCTETS, label, 0))
    table.check()


def writing(board: Board, image: Path, erase: bool) -> list[str]:
    """What esptool is to do; `erase` blanks the whole flash first, a ledger that is there included."""
    return ["write-flash", *(["--erase-all"] if erase else []), hex(_BOOTLOADER_AT[board.mcu]), str(image)]


def reading(out: Path) -> list[str]:
    """What esptool is to do for the table of partitions that a board has."""
    return ["read-flash", hex(_TABLE_AT), hex(_TABLE_OCTETS), str(out)]


def check_table(port: str, there: bytes, image: bytes, board: Board) -> None:
    """UsageError where a board's flash is divided in another way than an image wants: MicroPython would find a file
    system that is not as long as its partition and stop there, and the ledger what other programs left.

    `there` is the table of the board; all of a new chip's octets are 0xFF.
    """
    at = _TABLE_AT - _BOOTLOADER_AT[board.mcu]
    wanted = image[at : at + _TABLE_OCTETS]
    if there.strip(b"\xff") and there[: len(wanted)] != wanted:
        hint = "give --erase: the board's files go, with its identity and its ledger"
        raise UsageError("--port", port, "its flash is divided in another way than this image wants", hint)


def flash(board: Board, port: str, image: Path, out: Path, console: Console, *, erase: bool = False) -> None:
    """Writes `image`, changed into `out`, to the board; its files stay where it had the same partitions, unless all is
    to be `erase`d. UsageError when it cannot be done."""
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
        hint = "hold BOOT while you press RESET, then start again"
        raise UsageError("--port", port, "esptool did not succeed; it says why above", hint)
