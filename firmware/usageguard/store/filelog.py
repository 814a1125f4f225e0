"""The newest record in two files, where a board has no partition for a `ring`: littlefs is trusted with it.

littlefs replaces a file's content at once when the file is flushed: a power cut leaves the old record or the new
one. But one flipped bit in the newest metadata of a folder silently brings an older content back. So each record
goes to two files in two folders, whose metadata lie in different blocks: what stands in one of them was stored.
Both folders are entries of the root, which they share: if that rots back to before their making, all is lost.

Every record erases two blocks of the file system, which spreads them over all it has free.
"""

import os
from errno import EEXIST, EIO, ENOENT

from usageguard.store.ring import RECORD, get32, seal, valid


class FileLog:
    """Stands for a `Ring`: the same `record`, `sequence`, `writes`, `erases`, `append`, `tidy` and `open`."""

    backend = "file"

    def __init__(self, folders=("/ledger-a", "/ledger-b"), open_file=open, mkdir=os.mkdir):
        """Keeps a file in each of two `folders`, which are made at need."""
        self.record = bytearray(RECORD)
        self.sequence = 0
        self.writes = self.erases = 0
        self._folders = folders
        self._open_file = open_file
        self._mkdir = mkdir
        self._back = bytearray(RECORD)
        self._tried = 0
        self._first = self._second = None
        self._failed = False

    def append(self):
        """Stores `record` in both files. HOT. OSError if one of them does not hold it, and from then on: after an
        error of its flash a mounted littlefs is not to be trusted."""
        if self._failed:
            raise OSError(EIO, "file system failed before")
        self._failed = True
        self._tried += 1
        seal(self.record, 0, self._tried)
        self._store(self._first)
        self._store(self._second)
        self._failed = False
        self.sequence = self._tried

    def tidy(self):
        """Nothing: the file system erases when it needs to."""

    def open(self):
        """Finds the newest record; returns 1 where the other file holds what no power cut explains, else 0; or -1:
        there is content, but no record. ValueError if a newer firmware wrote it, OSError if the file system fails.
        """
        self._first = self._opened(self._folders[0])
        self._second = self._opened(self._folders[1])
        first = self._load(self._first)
        second = self._load(self._second)
        self._tried = self.sequence
        if not self.sequence:
            return -1 if first or second else 0
        return 1 if first < self.sequence - 1 or second < self.sequence - 1 else 0

    def _opened(self, folder):
        try:
            self._mkdir(folder)
        except OSError as error:
            if error.args[0] != EEXIST:
                raise
        name = folder + "/record"
        try:
            return self._open_file(name, "r+b")
        except OSError as error:
            if error.args[0] != ENOENT:
                raise
            return self._open_file(name, "w+b")

    def _load(self, file):
        """Takes the file's record if it is the newest so far; returns its sequence, 0 for an empty file, -1 for
        other content."""
        back = self._back
        file.seek(0)
        n = file.readinto(back)
        if not n:
            return 0
        if n != RECORD or not valid(back):
            return -1
        sequence = get32(back, 4)
        if sequence > self.sequence:
            self.sequence = sequence
            self.record[:] = back
        return sequence

    def _store(self, file):
        self.writes += 1
        file.seek(0)
        file.write(self.record)
        file.flush()
        file.seek(0)
        if file.readinto(self._back) != RECORD or self._back != self.record:
            raise OSError(EIO, "file does not hold what was written")
