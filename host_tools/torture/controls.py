"""The controls: ledgers with one defect each, and the trial that must find it."""

from __future__ import annotations

import struct
from typing import Any

from host_tools.torture.device import Subject, field, put
from host_tools.torture.stores import FileLog, Ring


class CountsAfterwards(Subject):
    """Stores the usage every 4 KiB, after it happened."""

    def ensure(self, rated_n: int, carried_n: int) -> None:
        pass

    def spend(self, rated_n: int, carried_n: int) -> None:
        self.rated.add(rated_n)
        self.carried.add(carried_n)
        if self.rated.diff(self._rated.ceil) >= 4096:
            self.close()


class IgnoresTheLease(Subject):
    """Boots with the usage of the last record, not with its ceiling."""

    def _charge(self, rated_lease: int, carried_lease: int, bad: int) -> None:
        self._rated.recover(rated_lease, rated_lease, 0)
        self._carried.recover(carried_lease, carried_lease, 0)


class IgnoresBadSlots(Subject):
    """Takes the newest valid record for the newest one written."""

    def _charge(self, rated_lease: int, carried_lease: int, bad: int) -> None:
        super()._charge(rated_lease, carried_lease, 0)


class UnannouncedLease(Subject):
    """Takes leases of any size without announcing them in the record before."""

    def _extend(self, n: int) -> None:
        announced = self._announced
        self._announced = 1 << 29
        super()._extend(n)
        self._announced = self._announce = min(announced, 1024)


class TrustsRetainedMemoryAfterPowerOn(Subject):
    """Uses retained memory after any reset cause."""

    def open(self) -> None:
        cause, self._hal.cause = self._hal.cause, 3
        super().open()
        self._hal.cause = cause


class TrustsRetainedMemoryOfAnyRecord(Subject):
    """Uses retained memory that belongs to another record."""

    def _restore(self, bad: int) -> None:
        read = self._hal.retained_read

        def relabelled(buf: bytearray) -> None:
            read(buf)
            a, b, c, *pairs = struct.unpack("<iiiiii", buf)
            if pairs == [a ^ b, b ^ c, c ^ a]:
                ring = self._ring
                self._sequence, ring.sequence = ring.sequence, a

        self._sequence = 0
        self._hal.retained_read = relabelled
        super()._restore(bad)
        del self._hal.retained_read
        self._ring.sequence = self._sequence or self._ring.sequence


class OmitsUsageBeyondTheCeiling(Subject):
    """Does not store usage beyond a ceiling in retained memory."""

    def spend(self, rated_n: int, carried_n: int) -> None:
        self.ensure(0, 0)
        self._figures_spend(rated_n, carried_n)

    def _figures_spend(self, rated_n: int, carried_n: int) -> None:
        self.rated.add(rated_n)
        self.carried.add(carried_n)
        left = self._rated.ceil.diff(self.rated), self._carried.ceil.diff(self.carried)
        if min(left) >= 0:
            self._retain(*left)


class TwoRecordsForAnOrder(Subject):
    """Stores an order's effect and its counter in two records."""

    def order(self, counter: int) -> None:
        if counter > field(self, 0):
            self.effect(counter)
            self.commit()
            put(self, 0, counter)
            self.commit()


class CounterFirst(Subject):
    """Stores an order's counter in a record before that of its effect."""

    def order(self, counter: int) -> None:
        if counter > field(self, 0):
            put(self, 0, counter)
            self.commit()
            self.effect(counter)
            self.commit()


class CommitsOnce(Subject):
    """Writes a commit to one record only."""

    def commit(self) -> None:
        self._hold()


class CycleBaseIsTakenLate(Subject):
    """Takes a cycle's base when its beginning is detected, not at the boundary."""

    def new_cycle(self, cycle_id: int, again: bool = False) -> None:
        self.within_cycle()
        super().new_cycle(cycle_id, again)


class BootIdIgnoresBadSlots(Subject):
    """Does not count bad slots as boots."""

    def _restore(self, bad: int) -> None:
        super()._restore(bad)
        self.boot_id -= bad


class TakesLossForBlank(Subject):
    """Takes a partition without valid records for a new one."""

    def open(self) -> None:
        super().open()
        self.lost = False


class StoresLossOnce(Subject):
    """Stores a loss in one record before the data that showed it is erased."""

    def close(self) -> None:
        if not (self.lost and self._ring.writes):
            super().close()


class _RingControl(Subject):
    """A ledger with a defective ring."""

    ring: type[Ring] = Ring

    def __init__(self, hal: Any, flash: Any, lease_max: int) -> None:
        super().__init__(hal, flash, lease_max)
        self._ring.__class__ = self.ring


class _Unread(Ring):
    def _read(self, at: int) -> bool:
        found = super()._read(at)
        if self._written:
            self._back[:] = self.record
        return found

    _written = False

    def append(self) -> None:
        self._written = True
        super().append()
        self._written = False


class DoesNotReadBack(_RingControl):
    """Does not read a record back after writing it."""

    ring = _Unread


class _Trusting(Ring):
    def open(self) -> int:
        bad = super().open()
        last = (self._at - 1) % self._total // 16
        self._back[:] = b"\xff" * 256
        blank = all(not self._read((last + 1) % self._sectors * 16 + slot) for slot in range(16))
        self._ahead = blank
        return bad


class TrustsWeakErase(_RingControl):
    """Does not erase a sector that reads as erased."""

    ring = _Trusting


class _Reusing(Ring):
    def open(self) -> int:
        bad = super().open()
        if self.sequence:
            self._at = (self._newest + 1) % self._total
            self._tried = self.sequence
        return bad


class ReusesBadSlots(_RingControl):
    """Writes to the slot after the newest valid record, whatever it contains."""

    ring = _Reusing


class _Circling(Ring):
    def append(self) -> None:
        newest = self._newest
        self._newest = -16
        try:
            super().append()
        finally:
            self._newest = max(self._newest, newest) if self._newest < 0 else self._newest


class ErasesTheNewestRecord(_RingControl):
    """Erases the sector of the newest record when all other sectors failed."""

    ring = _Circling


class _OneFile(FileLog):
    def _store(self, file: Any) -> None:
        if file is self._first:
            super()._store(file)

    def _load(self, file: Any) -> int:
        return super()._load(self._first)


class OneFile(Subject):
    """Keeps one file instead of two."""

    def __init__(self, hal: Any, flash: Any, lease_max: int) -> None:
        super().__init__(hal, flash, lease_max)
        flash.__class__ = _OneFile


class _Unflushed(FileLog):
    def _store(self, file: Any) -> None:
        self.writes += 1
        file.seek(0)
        file.write(self.record)


class DoesNotFlush(Subject):
    """Does not flush a record to the flash."""

    def __init__(self, hal: Any, flash: Any, lease_max: int) -> None:
        super().__init__(hal, flash, lease_max)
        flash.__class__ = _Unflushed


CONTROLS: dict[str, list[tuple[type[Subject], str]]] = {
    "log": [
        (CountsAfterwards, "cuts"),
        (IgnoresTheLease, "cuts"),
        (IgnoresBadSlots, "rot"),
        (UnannouncedLease, "rot"),
        (TrustsRetainedMemoryAfterPowerOn, "cuts"),
        (TrustsRetainedMemoryOfAnyRecord, "rot"),
        (OmitsUsageBeyondTheCeiling, "cuts"),
        (TwoRecordsForAnOrder, "cuts"),
        (CounterFirst, "cuts"),
        (CommitsOnce, "rot"),
        (CycleBaseIsTakenLate, "cuts"),
        (BootIdIgnoresBadSlots, "rot"),
        (TakesLossForBlank, "foreign"),
        (StoresLossOnce, "foreign"),
        (DoesNotReadBack, "sectors"),
        (TrustsWeakErase, "fading"),
        (ReusesBadSlots, "cuts"),
        (ErasesTheNewestRecord, "sectors"),
    ],
    "file": [
        (CountsAfterwards, "cuts"),
        (IgnoresTheLease, "cuts"),
        (TwoRecordsForAnOrder, "cuts"),
        (CounterFirst, "cuts"),
        (CycleBaseIsTakenLate, "cuts"),
        (DoesNotFlush, "cuts"),
        (OneFile, "rot"),
    ],
}
