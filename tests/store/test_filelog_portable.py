"""The ledger on files: on MicroPython a real littlefs over flash in memory, on CPython the system's own files."""

import os
import sys

from usageguard.store.filelog import FileLog
from usageguard.store.ledger import Ledger

from tests.portable import without_heap
from tests.store.memory import Blocks, Hal

VM = sys.implementation.name == "micropython"


class Place:
    """A file system of its own, to be mounted anew at each boot."""

    def __init__(self):
        if VM:
            import vfs

            self.blocks = Blocks(24)
            vfs.VfsLfs2.mkfs(self.blocks)
        else:
            import tempfile

            self.folder = tempfile.mkdtemp()

    def log(self):
        if VM:
            import vfs

            fs = vfs.VfsLfs2(self.blocks)
            return FileLog(("/a", "/b"), fs.open, fs.mkdir)
        return FileLog((self.folder + "/a", self.folder + "/b"), unbuffered, os.mkdir)

    def spoil(self, name, at):
        """One octet of a file rots."""
        log = self.log()
        if VM:
            file = log._open_file("/" + name + "/record", "r+b")
        else:
            file = log._open_file(self.folder + "/" + name + "/record", "r+b")
        file.seek(at)
        octet = bytearray(1)
        file.readinto(octet)
        octet[0] ^= 16
        file.seek(at)
        file.write(octet)
        file.close()


    def empty(self, name):
        """A file has lost its content."""
        path = "/" + name + "/record"
        self.log()._open_file(path if VM else self.folder + path, "wb").close()


def unbuffered(name, mode):
    return open(name, mode, buffering=0)


def boot(place, hal):
    ledger = Ledger(hal, place.log())
    ledger.open()
    return ledger


def test_a_new_device():
    ledger = boot(Place(), Hal())
    got = (ledger.backend, ledger.recovered, ledger.boot_id, ledger.lost)
    assert got == ("file", "blank", 1, False), got


def test_power_loss_charges_the_lease():
    place, hal = Place(), Hal()
    ledger = boot(place, hal)
    ledger.new_cycle(300)
    ledger.commit()
    ledger.orders[5] = 9
    ledger.commit()
    ledger.ensure(100, 60)
    ledger.spend(100, 60)
    again = boot(place, hal)
    got = (again.recovered, again.rated.value(), again.cycle_id, again.orders[5], again.boot_id)
    assert got == ("ceiling", 1024, 300, 9, 2), got


def test_retained_memory_is_exact():
    place, hal = Place(), Hal(3)
    ledger = boot(place, hal)
    ledger.ensure(1000, 700)
    ledger.spend(317, 210)
    again = boot(place, hal)
    assert (again.recovered, again.rated.value(), again.carried.value()) == ("exact", 317, 210), again.recovered


def test_either_file_will_do():
    for name in ("a", "b"):
        place, hal = Place(), Hal()
        ledger = boot(place, hal)
        ledger.ensure(5000, 4000)
        ledger.spend(5000, 4000)
        place.spoil(name, 100)
        again = boot(place, hal)
        assert again.recovered == "ceiling+lease", (name, again.recovered)
        assert again.rated.value() >= 5000, (name, again.rated.value())
        assert boot(place, hal).recovered == "exact", "mended"


def test_content_without_a_record_is_a_loss():
    place, hal = Place(), Hal()
    boot(place, hal)
    place.spoil("a", 3)
    place.spoil("b", 200)
    assert boot(place, hal).lost, "both are spoilt"


def test_content_in_one_file_and_none_in_the_other_is_a_loss():
    for spoilt, emptied in (("a", "b"), ("b", "a")):
        place, hal = Place(), Hal()
        boot(place, hal)
        place.spoil(spoilt, 3)
        place.empty(emptied)
        assert boot(place, hal).lost, spoilt


def test_records_are_numbered_on_through_boots():
    place = Place()
    for n in range(1, 4):
        log = place.log()
        assert (log.open(), log.sequence, log.writes) == (0, 2 * n - 2, 0), n
        log.append()
        log.append()
        assert (log.sequence, log.writes, log.erases) == (2 * n, 4, 0), n


def append_until(log, n):
    """Appends a record; power is cut when the `n`-th file is to be written."""
    store, files = log._store, []

    def cut(file):
        files.append(file)
        if len(files) == n:
            raise OSError(5)
        store(file)

    log._store = cut
    failed = False
    try:
        log.append()
    except OSError:
        failed = True
    assert failed, "no cut"


def test_a_power_cut_between_the_files_is_no_rot():
    for n in (1, 2):
        place = Place()
        log = place.log()
        log.open()
        log.append()
        append_until(log, n)
        again = place.log()
        assert (again.open(), again.sequence) == (0, n), n


def test_a_failed_file_system_is_not_asked_again():
    ledger = boot(Place(), Hal())
    log = ledger._ring
    store = log._store

    def refuse(file):
        raise OSError(28)

    log._store = refuse
    for number in (28, 5):
        got = 0
        try:
            ledger.commit()
        except OSError as error:
            got = error.args[0]
        assert got == number, got
        log._store = store


def test_appending_allocates_nothing():
    place, hal = Place(), Hal()
    ledger = boot(place, hal)

    def spend():
        for _ in range(30):
            ledger.ensure(1400, 1000)
            ledger.spend(1400, 1000)
            ledger.commit()

    without_heap(spend)
    assert boot(place, hal).rated.value() >= 1400 * 30, "recovered below what was spent"
