# type: ignore - MicroPython, which pyright takes for CPython
# ruff: noqa: SIM115, SIM105, PLW0603
"""Functions that the tools run at a board's REPL; the file is sent as it is. Paths are absolute. Prints no secrets."""

import binascii
import gc
import hashlib
import os

gc.collect()
gc.threshold(2048)  # avoids fragmentation: unpacking needs 32 KiB in one piece

_stream = None


def digest(path):
    """The SHA-256 of the file, in hexadecimal."""
    made = hashlib.sha256()
    with open(path, "rb") as file:
        block = file.read(512)
        while block:
            made.update(block)
            block = file.read(512)
    return binascii.hexlify(made.digest()).decode()


def survey(folder, found):
    """Adds every file below `folder` with its digest to `found`, and returns it. The folder may be missing.

    Prints each path, as do `copy` and `unpack`: on a slow flash they are silent for one file at the most.
    """
    try:
        entries = list(os.ilistdir(folder))
    except OSError:
        return found
    for entry in entries:
        path = folder + "/" + entry[0]
        if entry[1] & 0x4000:
            survey(path, found)
        else:
            print(path)
            found[path] = digest(path)
    return found


def read(path):
    """The text of a small file; None if it is missing."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def versions():
    """(MicroPython's version, the version of the bytecode that it loads)."""
    import sys

    return tuple(sys.implementation[1]), getattr(sys.implementation, "_mpy", 0) & 255


def machine_name():
    """What MicroPython calls the board and its chip."""
    return os.uname()[4]


def has_partition(label):
    """Whether the board's flash has a data partition named `label`."""
    from esp32 import Partition

    return bool(Partition.find(Partition.TYPE_DATA, label=label))


def has_secrets():
    """The names of the secrets that the board has."""
    import json

    return sorted(json.loads(read("/secrets.json") or "{}"))


def replace(path, text):
    """Writes a small file; a power cut leaves the old or the new content."""
    with open(path + ".new", "w") as file:
        file.write(text)
    put(path)


def put(path):
    """Renames `path`.new to `path`; a power cut leaves the old or the new file."""
    os.rename(path + ".new", path)


def folders(path):
    """Creates the folders above `path`."""
    at = path.find("/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError:  # it exists; otherwise writing the file fails
            pass
        at = path.find("/", at + 1)


def remove(paths):
    for path in paths:
        os.remove(path)


def copy(pairs):
    """Copies files; `pairs` are (source, target)."""
    for source, target in pairs:
        folders(target)
        with open(source, "rb") as old, open(target, "wb") as new:
            block = old.read(512)
            while block:
                new.write(block)
                block = old.read(512)
        print(target)


def begin():
    """Opens the file for an upload: a zlib stream, sent as pieces in base64."""
    global _stream
    _stream = open("/upload", "wb")


def more(text):
    _stream.write(binascii.a2b_base64(text))


def unpack(sizes):
    """Unpacks the uploaded files; `sizes` are (path, octets) in the order of the stream."""
    import deflate

    _stream.close()
    with open("/upload", "rb") as packed:
        data = deflate.DeflateIO(packed, deflate.ZLIB)
        for path, left in sizes:
            folders(path)
            with open(path, "wb") as file:
                while left:
                    block = data.read(min(left, 512))
                    if not block:
                        raise OSError(5)
                    file.write(block)
                    left -= len(block)
            print(path)
            feed()
    os.remove("/upload")


def _romfs():
    from esp32 import Partition

    return Partition.find(Partition.TYPE_DATA, label="romfs")


def rom_octets():
    """The size of the partition whose halves the board's MicroPython mounts as /a and /b; 0 without one."""
    import vfs

    found = _romfs()
    return found[0].ioctl(4, 0) * found[0].ioctl(5, 0) if found and hasattr(vfs, "rom_ioctl") else 0


def rom_digest(at, left):
    """The SHA-256 of `left` octets of that partition from `at` on, which begins a sector, in hexadecimal."""
    (part,) = _romfs()
    made = hashlib.sha256()
    block = bytearray(part.ioctl(5, 0))
    number = at // len(block)
    while left:
        part.readblocks(number, block)
        n = min(left, len(block))
        made.update(memoryview(block)[:n])
        left -= n
        number += 1
    return binascii.hexlify(made.digest()).decode()


def rom_write(at, left):
    """Unpacks the uploaded image of `left` octets to that partition, from `at` on. Its first sector, which says that
    there is an image, is written last: what was torn is none. Prints each sector."""
    import deflate

    (part,) = _romfs()
    size = part.ioctl(5, 0)
    first = number = at // size
    part.ioctl(6, first)
    _stream.close()
    with open("/upload", "rb") as packed:
        data = deflate.DeflateIO(packed, deflate.ZLIB)
        head = None
        while left:
            block = data.read(min(left, size))  # as much, but at the end of what was uploaded
            if len(block) != min(left, size):
                raise OSError(5)
            left -= len(block)
            block += b"\xff" * (size - len(block))
            if head is None:
                head = block
            else:
                part.ioctl(6, number)
                part.writeblocks(number, block, 0)
            print(number)
            number += 1
            feed()
        part.writeblocks(first, head, 0)
    os.remove("/upload")


def feed():
    """Feeds the watchdog of a maintenance boot for another five minutes."""
    import machine

    machine.WDT(timeout=300_000).feed()
