# type: ignore - MicroPython, which pyright takes for CPython
# ruff: noqa: SIM115, SIM105, PLW0603
"""What the tools have a board do at its REPL, sent as it stands. Paths are absolute; nothing here prints secrets."""

import binascii
import gc
import hashlib
import os

gc.collect()
gc.threshold(2048)  # the heap stays whole: unpacking wants 32 KiB in one piece

_stream = None


def digest(path):
    """The file's SHA-256 as hexadecimal digits."""
    made = hashlib.sha256()
    with open(path, "rb") as file:
        block = file.read(512)
        while block:
            made.update(block)
            block = file.read(512)
    return binascii.hexlify(made.digest()).decode()


def survey(folder, found):
    """Enters every file below `folder` with its digest into `found`; a folder that is missing has none."""
    try:
        entries = list(os.ilistdir(folder))
    except OSError:
        return found
    for entry in entries:
        path = folder + "/" + entry[0]
        if entry[1] & 0x4000:
            survey(path, found)
        else:
            found[path] = digest(path)
    return found


def read(path):
    """A small text file; None where it is missing."""
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def versions():
    """(MicroPython's version, the version of the bytecode that it loads)."""
    import sys

    return tuple(sys.implementation[1]), getattr(sys.implementation, "_mpy", 0) & 255


def has_partition(label):
    """Whether the board's flash has a data partition of that name."""
    from esp32 import Partition

    return bool(Partition.find(Partition.TYPE_DATA, label=label))


def has_secrets():
    """Which secrets the board has, by name."""
    import json

    return sorted(json.loads(read("/secrets.json") or "{}"))


def replace(path, text):
    """Writes a small file so that a power cut leaves the old one or the new one."""
    with open(path + ".new", "w") as file:
        file.write(text)
    put(path)


def put(path):
    """Puts what was sent as `path`.new in its place: a power cut leaves the old one or the new one."""
    os.rename(path + ".new", path)


def folders(path):
    """Makes the folders above `path`."""
    at = path.find("/", 1)
    while at > 0:
        try:
            os.mkdir(path[:at])
        except OSError:  # it is there; if not, writing the file tells
            pass
        at = path.find("/", at + 1)


def remove(paths):
    for path in paths:
        os.remove(path)


def copy(pairs):
    """Copies files: (from, to) each."""
    for source, target in pairs:
        folders(target)
        with open(source, "rb") as old, open(target, "wb") as new:
            block = old.read(512)
            while block:
                new.write(block)
                block = old.read(512)


def begin():
    """Opens the file that takes what is sent: zlib's format, base64 in pieces."""
    global _stream
    _stream = open("/upload", "wb")


def more(text):
    _stream.write(binascii.a2b_base64(text))


def unpack(sizes):
    """Takes the files out of what was sent, in this order: (path, octets) each."""
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
    os.remove("/upload")


def feed():
    """Keeps the watchdog of a maintenance boot quiet for another five minutes."""
    import machine

    machine.WDT(timeout=300_000).feed()
