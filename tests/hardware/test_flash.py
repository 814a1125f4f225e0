"""Flashing: what MicroPython's images of every kind become, by a reader of the tests' own, and what stays on a board.

The tables are those of MicroPython's ports/esp32/partitions-*.csv. The rules for reading them are ESP-IDF's (Partition
Tables) and MicroPython's (ports/esp32/main.c and modules/flashbdev.py).
"""

import hashlib
import io
import struct
from pathlib import Path

import pytest
from rich.console import Console

from host_tools import cli
from host_tools.base.errors import UsageError
from host_tools.hardware import boards, flash

MB = 1 << 20
APP, DATA = 0, 1
HEAD = ((DATA, 2, 0x9000, 0x6000, "nvs"), (DATA, 1, 0xF000, 0x1000, "phy_init"))
STOCK = (*HEAD, (APP, 0, 0x10000, 0x1F0000, "factory"))
ROMFS = (*HEAD, (APP, 0, 0x10000, 0x1D0000, "factory"), (DATA, 0x8F, 0x1E0000, 0x20000, "romfs"))
SMALL = (*HEAD, (APP, 0, 0x10000, 0x160000, "factory"))
TWO_HEAD = ((DATA, 2, 0x9000, 0x4000, "nvs"), (DATA, 0, 0xD000, 0x2000, "otadata"), HEAD[1])


def two(octets):
    """Room for two programs (OTA)."""
    return (*TWO_HEAD, (APP, 0x10, 0x10000, octets, "ota_0"), (APP, 0x11, 0x10000 + octets, octets, "ota_1"))


def with_vfs(table, flash_mb, label="vfs"):
    """Up to MicroPython 1.25 the table has the file system."""
    _, _, at, octets, _ = table[-1]
    return (*table, (DATA, 0x81, at + octets, flash_mb * MB - at - octets, label))


CHIPS = {"esp32": (0, 0x1000), "esp32s3": (9, 0), "esp32c3": (5, 0)}  # chip id in an image; where it is written
SIZE_IDS = {2: 1, 4: 2, 8: 3, 16: 4}
BOARDS = {mcu: boards.load(f"own-{mcu}-quectel") for mcu in CHIPS}


def encoded(table):
    """A table as ESP-IDF writes it: its rows, their MD5, blank."""
    rows = b"".join(struct.pack("<HBBII16sI", 0x50AA, *numbers, name.encode(), 0) for *numbers, name in table)
    return (rows + b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(rows).digest()).ljust(0xC00, b"\xff")


def image(folder, table, mcu="esp32", flash_mb=4):
    """A MicroPython image whose bootloader and program are as small as can be."""
    chip, at = CHIPS[mcu]
    head = bytes([0xE9, 1, 2, SIZE_IDS[flash_mb] << 4]) + bytes(8) + struct.pack("<H", chip) + bytes(9) + b"\1"
    program = head + struct.pack("<II", 0x3F400020, 16) + bytes(range(16)) + bytes(15) + b"\xef"
    program += hashlib.sha256(program).digest()
    parts = (program, 0x8000 - at), (encoded(table), 0x8000), (program, 0x1000)
    path = folder / f"{mcu}.bin"
    path.write_bytes(b"".join(part.ljust(octets, b"\xff") for part, octets in parts))
    return path


def partitions(content, flash_octets):
    """(type, subtype, begin, end) of each partition by its name, from the whole content of a flash that can be started.

    The bootloader wants its own digest to be right, and a table within the flash size that its own header has.
    """
    loader = content[content.index(b"\xe9") :]
    assert hashlib.sha256(loader[:64]).digest() == loader[64:96]
    flash_octets = min(flash_octets, next(mb for mb in SIZE_IDS if SIZE_IDS[mb] == loader[3] >> 4) * MB)
    rows = content[0x8000:0x8C00]
    count = next(at for at in range(0, len(rows), 32) if rows[at : at + 2] != b"\xaa\x50") // 32
    assert rows[count * 32 : count * 32 + 16] == b"\xeb\xeb" + b"\xff" * 14
    assert rows[count * 32 + 16 : count * 32 + 32] == hashlib.md5(rows[: count * 32]).digest()
    assert not rows[count * 32 + 32 :].strip(b"\xff")
    found, before = {}, 0x9000
    for _, kind, sub, at, octets, name, flags in struct.iter_unpack("<HBBII16sI", rows[: count * 32]):
        name = name.rstrip(b"\0").decode()
        assert before <= at, f"{name} overlaps what is before it"
        assert at % (0x10000 if kind == APP else 0x1000) == octets % 0x1000 == flags == 0, name
        assert name not in found
        before = at + octets
        found[name] = kind, sub, at, before
    assert before <= flash_octets, "the last one ends behind the flash"
    return found


def file_system(found, flash_octets):
    """(begin, end) of the file system: from 1.26 on of one that no table has."""
    for label in ("vfs", "ffat"):
        if label in found:
            return found[label][2:]
    begin = max(end for _, _, _, end in found.values())
    return (begin, flash_octets) if begin < flash_octets else None


def flashed(path, mcu, flash_octets):
    """The flash of a new board that esptool has written the image to."""
    at = CHIPS[mcu][1]
    content = path.read_bytes()
    return (b"\xff" * at + content).ljust(flash_octets, b"\xff")


# MicroPython's version, and the flash of the board. Up to 1.25 there is an image for each; 1.28 has the table of 1.26.
KINDS = [(version, flash_mb) for version in ("1.24", "1.26", "1.28") for flash_mb in (4, 8, 16)]


@pytest.mark.parametrize("mcu", CHIPS)
@pytest.mark.parametrize(("version", "flash_mb"), KINDS)
def test_ledger_and_files_are_where_they_must_be(version, flash_mb, mcu, tmp_path):
    in_table = version == "1.24"
    stock = image(tmp_path, with_vfs(STOCK, flash_mb) if in_table else STOCK, mcu, flash_mb if in_table else 4)
    before, octets = stock.read_bytes(), flash_mb * MB
    ledger = flash.with_ledger(stock, tmp_path / "out.bin", BOARDS[mcu])
    assert stock.read_bytes() == before
    found = partitions(flashed(tmp_path / "out.bin", mcu, octets), octets)
    kind, sub, begin, end = found["ledger"]
    assert (kind, sub, begin, end - begin) == (DATA, 6, ledger, 256 * 1024)
    files = file_system(found, octets)
    if in_table:
        assert (files, (begin, end)) == ((0x200000, octets - 0x40000), (octets - 0x40000, octets))
    else:
        assert ((begin, end), files) == ((0x200000, 0x240000), (0x240000, octets))
    assert {name: found[name][2:] for name in ("nvs", "phy_init", "factory")} == {
        "nvs": (0x9000, 0xF000), "phy_init": (0xF000, 0x10000), "factory": (0x10000, 0x200000),
    }  # fmt: skip
    made, table = (tmp_path / "out.bin").read_bytes(), slice(0x8000 - CHIPS[mcu][1], 0x8C00 - CHIPS[mcu][1])
    assert (made[: table.start], made[table.stop :]) == (before[: table.start], before[table.stop :])
    flash.with_ledger(tmp_path / "out.bin", tmp_path / "again.bin", BOARDS[mcu])
    assert (tmp_path / "again.bin").read_bytes() == made, "it has its ledger"


@pytest.mark.parametrize(
    ("table", "flash_mb", "begins", "ledger_kb"),
    [
        (ROMFS, 4, 0x200000, 256),
        (two(0x180000), 4, 0x310000, 64),
        (with_vfs(two(0x180000), 4), 4, 0x3F0000, 64),
        (two(0x270000), 8, 0x4F0000, 256),
        (with_vfs(two(0x270000), 8), 8, 0x7C0000, 256),
        (with_vfs(STOCK, 4, "ffat"), 4, 0x3C0000, 256),
    ],
    ids=["romfs", "OTA", "OTA and vfs", "OTA of 8 MB", "OTA of 8 MB and vfs", "ffat"],
)
def test_images_of_other_kinds(table, flash_mb, begins, ledger_kb, tmp_path):
    flash.with_ledger(image(tmp_path, table, flash_mb=flash_mb), tmp_path / "out.bin", BOARDS["esp32"])
    octets = flash_mb * MB
    found = partitions(flashed(tmp_path / "out.bin", "esp32", octets), octets)
    begin, end = found["ledger"][2:]
    assert (begin, end) == (begins, begins + 1024 * ledger_kb)
    first, last = file_system(found, octets)
    assert last - first >= 896 * 1024
    assert last <= begin or end <= first, "the file system lies in the ledger"


LAST = (DATA, 6, 0x3C0000, 0x40000, "ledger")


@pytest.mark.parametrize(
    ("table", "flash_mb"),
    [
        (SMALL, 2),
        (with_vfs(SMALL, 2), 2),
        ((*STOCK, LAST), 4),
        ((*with_vfs(STOCK, 4)[:-1], (DATA, 0x81, 0x200000, 0x100000, "vfs"), (DATA, 6, 0x300000, 0x100000, "more")), 4),
    ],
    ids=["2 MB", "2 MB and vfs", "a ledger at the end", "something behind vfs"],
)
def test_an_image_without_room_is_refused(table, flash_mb, tmp_path):
    stock = image(tmp_path, table, flash_mb=flash_mb)
    with pytest.raises(UsageError, match=r"esp32.bin: partition table: leaves no 960 KB .* or more$") as error:
        flash.with_ledger(stock, tmp_path / "out.bin", BOARDS["esp32"])
    assert "\n" not in str(error.value)


def test_what_is_no_image_or_another_chips_is_refused(tmp_path):
    other = tmp_path / "image.bin"
    other.write_bytes(b"not an image" * 10_000)
    with pytest.raises(UsageError, match=r"image.bin: is not a MicroPython image") as error:
        flash.with_ledger(other, tmp_path / "out.bin", BOARDS["esp32"])
    assert "\n" not in str(error.value)
    with pytest.raises(UsageError, match=r"is for an esp32s3; own-esp32-quectel needs ESP32_GENERIC$"):
        flash.with_ledger(image(tmp_path, STOCK, "esp32s3"), tmp_path / "out.bin", BOARDS["esp32"])


class Chip:
    """A board's flash at a port, behind esptool's commands as `flash` gives them."""

    def __init__(self, folder, monkeypatch, mcu="esp32", flash_mb=4):
        self.octets = flash_mb * MB
        self.flash = bytearray(b"\xff" * self.octets)
        self._board, self._folder = BOARDS[mcu], folder
        self.said = io.StringIO()
        self.port = folder / "port"
        self.port.touch()
        monkeypatch.setattr(flash, "_esptool", self._esptool)

    def _esptool(self, board, port, path, words):
        name, *options = words
        if options[0] == "--erase-all":
            self.flash[:] = b"\xff" * self.octets
            del options[0]
        if name == "read-flash":
            at, octets = int(options[0], 16), int(options[1], 16)
            Path(options[2]).write_bytes(self.flash[at : at + octets])
        else:
            assert name == "write-flash"
            content = Path(options[1]).read_bytes()
            at = int(options[0], 16)
            self.flash[at : at + len(content)] = content

    def take(self, stock, erase=False):
        out = self._folder / "out.bin"
        flash.flash(self._board, str(self.port), stock, out, Console(file=self.said, width=200), erase=erase)

    def used(self):
        """The file system and the ledger have something in every sector."""
        found = partitions(bytes(self.flash), self.octets)
        for begin, end in (file_system(found, self.octets), found["ledger"][2:]):
            self.flash[begin:end] = b"used" * ((end - begin) // 4)
        return found


OLD, NEW = with_vfs(STOCK, 4), STOCK


@pytest.mark.parametrize("mcu", CHIPS)
@pytest.mark.parametrize("flash_mb", [4, 8, 16])
@pytest.mark.parametrize(("first", "then"), [("1.25", "1.25"), ("1.28", "1.28"), ("1.25", "1.28")])
def test_files_and_ledger_outlive_a_newer_micropython(first, then, flash_mb, mcu, tmp_path, monkeypatch):
    def stock(version):
        in_table = version == "1.25"
        return image(tmp_path, with_vfs(STOCK, flash_mb) if in_table else STOCK, mcu, flash_mb if in_table else 4)

    chip = Chip(tmp_path, monkeypatch, mcu, flash_mb)
    chip.take(stock(first))
    found = chip.used()
    before = bytes(chip.flash)
    chip.take(stock(then))
    assert partitions(bytes(chip.flash), chip.octets) == found
    assert bytes(chip.flash[0x200000:]) == before[0x200000:]
    assert "the board keeps its partition table" in chip.said.getvalue()


@pytest.mark.parametrize(
    ("there", "then"),
    [
        (encoded(OLD), OLD),
        (encoded(NEW), NEW),
        (b"\0" * 0xC00, NEW),
        (encoded((*NEW, (DATA, 6, 0x200000, 0x40000, "ledger"))), OLD),  # 1.25 would find no files
        (encoded((*two(0x180000), (DATA, 6, 0x310000, 0x40000, "ledger"))), NEW),
    ],
    ids=["stock 1.25", "stock 1.28", "foreign", "1.28 to 1.25", "programs elsewhere"],
)
def test_a_flash_that_is_divided_otherwise_is_not_written_over(there, then, tmp_path, monkeypatch):
    chip = Chip(tmp_path, monkeypatch)
    chip.flash[0x8000:0x8C00] = there
    before = bytes(chip.flash)
    with pytest.raises(UsageError, match=r"--port: .*port: the board's partition table differs .*; give --erase"):
        chip.take(image(tmp_path, then))
    assert chip.flash == before
    chip.take(image(tmp_path, then), erase=True)
    found = partitions(bytes(chip.flash), chip.octets)
    begin, end = file_system(found, chip.octets)
    assert not chip.flash[begin:end].strip(b"\xff"), "MicroPython makes a file system where nothing is"


@pytest.mark.parametrize("words", [flash.writing(BOARDS["esp32"], Path(__file__), True), flash.reading(Path("t.bin"))])
def test_esptool_knows_its_orders(words, tmp_path, capfd):
    """It gets as far as the port, which is none."""
    with pytest.raises(UsageError, match=r"^--port: here: esptool failed; its messages are above; hold BOOT while"):
        flash._esptool(BOARDS["esp32"], "here", str(tmp_path / "port"), words)
    said = "".join(capfd.readouterr())
    assert str(tmp_path / "port") in said, said
    assert "Usage" not in said, said


def test_without_a_port_the_image_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    image(tmp_path, STOCK)
    assert cli.run(["flash", "--board", "own-esp32-quectel", "--image", "esp32.bin", "--out", "out.bin"]) in (0, None)
    assert capsys.readouterr().out == "out.bin: esp32.bin with its ledger at 0x200000\n"
    assert partitions(flashed(tmp_path / "out.bin", "esp32", 4 * MB), 4 * MB)["ledger"][2] == 0x200000


def test_what_esptool_is_to_do():
    path = Path("image.bin")
    assert flash.writing(BOARDS["esp32"], path, erase=True) == ["write-flash", "--erase-all", "0x1000", "image.bin"]
    assert flash.writing(BOARDS["esp32s3"], path, erase=False) == ["write-flash", "0x0", "image.bin"]
    assert flash.reading(path) == ["read-flash", "0x8000", "0xc00", "image.bin"]
