"""Ledgers that break one rule each, and the trial that has to find it out: if one passes, the torture has no teeth."""

from __future__ import annotations

from typing import Any

from host_tools.torture.life import Subject, field, put
from host_tools.torture.stores import FileLog, Ring, crc32_ok, get32


class AfterTheFact(Subject):
    """Counts first, and stores what was used every 4 KiB."""

    def ensure(self, rated_n: int, carried_n: int) -> None:
        pass

    def spend(self, rated_n: int, carried_n: int) -> None:
        self.rated.add(rated_n)
        self.carried.add(carried_n)
        if self.rated.diff(self._rated.ceil) >= 4096:
            self.close()


class ForgetsTheLease(Subject):
    """Boots with what was used when the record was written, not with its ceiling."""

    def _charge(self, rated_lease: int, carried_lease: int, bad: int) -> None:
        self._rated.recover(rated_lease, rated_lease, 0)
        self._carried.recover(carried_lease, carried_lease, 0)


class TakesBadSlotsForNothing(Subject):
    """Takes the newest valid record for the newest one."""

    def _charge(self, rated_lease: int, carried_lease: int, bad: int) -> None:
        super()._charge(rated_lease, carried_lease, 0)


class Unannounced(Subject):
    """Takes a lease of any size without announcing it."""

    def _extend(self, n: int) -> None:
        announced = self._announced
        self._announced = 1 << 29
        super()._extend(n)
        self._announced = self._announce = min(announced, 1024)


class BelievesRetainedMemoryAfterPowerOn(Subject):
    """Retained memory counts whatever the reset was."""

    def open(self) -> None:
        cause, self._hal.cause = self._hal.cause, 3
        super().open()
        self._hal.cause = cause


class BelievesRetainedMemoryOfAnyRecord(Subject):
    """Retained memory counts whatever record it belongs to."""

    def _restore(self, bad: int) -> None:
        read = self._hal.retained_read

        def relabelled(buf: bytearray) -> None:
            read(buf)
            if crc32_ok(buf, 12, 12):
                ring = self._ring
                self._sequence, ring.sequence = ring.sequence, get32(buf, 0)

        self._sequence = 0
        self._hal.retained_read = relabelled
        super()._restore(bad)
        del self._hal.retained_read
        self._ring.sequence = self._sequence or self._ring.sequence


class ForgetsWhatWentBeyond(Subject):
    """Retained memory does not tell what was spent beyond a ceiling."""

    def spend(self, rated_n: int, carried_n: int) -> None:
        self.ensure(0, 0)
        self._figures_spend(rated_n, carried_n)

    def _figures_spend(self, rated_n: int, carried_n: int) -> None:
        self.rated.add(rated_n)
        self.carried.add(carried_n)
        if not self._rated.ceil.less(self.rated) and not self._carried.ceil.less(self.carried):
            self._retain()


class TwoRecordsForAnOrder(Subject):
    """Stores an order's effect, then its counter."""

    def order(self, counter: int) -> None:
        if counter > field(self, 0):
            self.effect(counter)
            self.commit()
            put(self, 0, counter)
            self.commit()


class CounterFirst(Subject):
    """Stores an order's counter, then its effect."""

    def order(self, counter: int) -> None:
        if counter > field(self, 0):
            put(self, 0, counter)
            self.commit()
            self.effect(counter)
            self.commit()


class CommitsOnce(Subject):
    """What was committed stands in one record."""

    def commit(self) -> None:
        self._hold()


class CycleBeginsWhenNoticed(Subject):
    """A cycle's base is what was used when its beginning was noticed."""

    def new_cycle(self, cycle_id: int) -> None:
        self.within_cycle()
        super().new_cycle(cycle_id)


class BootIdsOfOneStep(Subject):
    """A bad slot was no boot."""

    def _restore(self, bad: int) -> None:
        super()._restore(bad)
        self.boot_id -= bad


class LossIsBlank(Subject):
    """A partition without a record of ours is a new one."""

    def open(self) -> None:
        super().open()
        self.lost = False


class OneRecordOfALoss(Subject):
    """A loss is stored once before what told of it is erased."""

    def close(self) -> None:
        if not (self.lost and self._ring.writes):
            super().close()


class _RingControl(Subject):
    """A ledger over a ring of another kind."""

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
    """A record counts as stored when the flash has taken it."""

    ring = _Unread


class _Trusting(Ring):
    def open(self) -> int:
        bad = super().open()
        last = (self._at - 1) % self._total // 16
        self._back[:] = b"\xff" * 256
        blank = all(not self._read((last + 1) % self._sectors * 16 + slot) for slot in range(16))
        self._ahead = blank
        return bad


class TrustsAnErasedLook(_RingControl):
    """A sector that looks erased counts as erased."""

    ring = _Trusting


class _Reusing(Ring):
    def open(self) -> int:
        bad = super().open()
        if self.sequence:
            self._at = (self._newest + 1) % self._total
            self._tried = self.sequence
        return bad


class WritesOverBadSlots(_RingControl):
    """The slot after the newest valid record is used again, whatever it holds."""

    ring = _Reusing


class _Circling(Ring):
    def append(self) -> None:
        newest = self._newest
        self._newest = -16
        try:
            super().append()
        finally:
            self._newest = max(self._newest, newest) if self._newest < 0 else self._newest


class ErasesTheNewest(_RingControl):
    """The next sector is erased though it holds the newest record, where nothing else took one."""

    ring = _Circling


class _OneFile(FileLog):
    def _store(self, file: Any) -> None:
        if file is self._first:
            super()._store(file)

    def _load(self, file: Any) -> int:
        return super()._load(self._first)


class OneFile(Subject):
    """Keeps one file, and trusts the file system."""

    def __init__(self, hal: Any, flash: Any, lease_max: int) -> None:
        super().__init__(hal, flash, lease_max)
        flash.__class__ = _OneFile


class _Unflushed(FileLog):
    def _store(self, file: Any) -> None:
        self.writes += 1
        file.seek(0)
        file.write(self.record)


class DoesNotFlush(Subject):
    """Leaves it to the file system when a record is stored."""

    def __init__(self, hal: Any, flash: Any, lease_max: int) -> None:
        super().__init__(hal, flash, lease_max)
        flash.__class__ = _Unflushed


CONTROLS: dict[str, list[tuple[type[Subject], str]]] = {
    "log": [
        (AfterTheFact, "cuts"),
        (ForgetsTheLease, "cuts"),
        (TakesBadSlotsForNothing, "rot"),
        (Unannounced, "rot"),
        (BelievesRetainedMemoryAfterPowerOn, "cuts"),
        (BelievesRetainedMemoryOfAnyRecord, "rot"),
        (ForgetsWhatWentBeyond, "cuts"),
        (TwoRecordsForAnOrder, "cuts"),
        (CounterFirst, "cuts"),
        (CommitsOnce, "rot"),
        (CycleBeginsWhenNoticed, "cuts"),
        (BootIdsOfOneStep, "rot"),
        (LossIsBlank, "foreign"),
        (OneRecordOfALoss, "foreign"),
        (DoesNotReadBack, "sectors"),
        (TrustsAnErasedLook, "fading"),
        (WritesOverBadSlots, "cuts"),
        (ErasesTheNewest, "sectors"),
    ],
    "file": [
        (AfterTheFact, "cuts"),
        (ForgetsTheLease, "cuts"),
        (TwoRecordsForAnOrder, "cuts"),
        (CounterFirst, "cuts"),
        (CycleBeginsWhenNoticed, "cuts"),
        (DoesNotFlush, "cuts"),
        (OneFile, "rot"),
    ],
}

