"""Power is cut at every operation of a life on flash, with every effect, and again while the ledger recovers.

One life is lived and each of its operations kept with the state before it. A case then starts from there with that
operation torn: what is recovered must cover all that was spent, and not much more. Ledgers that break one rule live
the same life: if they pass, the torture has no teeth.
"""

import random
from dataclasses import dataclass, replace

import pytest
from usageguard.ledger import Ledger
from usageguard.ring import RECORD

from host_tools.sim.flash import Cut, Flash, FlashBlocks, PowerCut, torn

PWRON, WDT = 1, 3
LEASE_MAX = 16_384
MOST = 40_000  # octets asked for or arriving at once
STEP = LEASE_MAX + MOST  # no record adds more to a ceiling
ACTS = ("packet", "large", "unasked", "cycle", "close", "tidy", "reset")
WEIGHTS = (60, 8, 4, 3, 2, 8, 4)


class Hal:
    def __init__(self, retained: bytes = bytes(16), cause: int = PWRON) -> None:
        self.retained = retained
        self.cause = cause
        self.before_write = lambda after: None

    def reset_cause(self) -> int:
        return self.cause

    def retained_read(self, buf: bytearray) -> None:
        buf[:] = self.retained

    def retained_write(self, buf: bytes) -> None:
        self.before_write(bytes(buf))
        self.retained = bytes(buf)


@dataclass(frozen=True)
class Truth:
    """What happened: octets of calls that returned, `under_way` those of one that has not, the carrier's period."""

    rated: int = 0
    carried: int = 0
    under_way: int = 0
    cycle_id: int = 0
    rated_base: int = 0
    boot_id: int = 0


@dataclass(frozen=True)
class Moment:
    """The board before one operation, "program", "erase" or "retained", that brings `after` to the address `at`."""

    op: str
    at: int
    after: bytes
    image: bytes
    retained: bytes
    truth: Truth


def live(kind: type[Ledger], seed: int, length: int) -> list[Moment]:
    """One life of `length` calls without a power cut, but with some resets."""
    rng = random.Random(seed)
    flash, hal, truth = Flash(3), Hal(), Truth()
    moments = []

    def keep(op: str, at: int, after: bytes) -> None:
        moments.append(Moment(op, at, after, flash.save(), hal.retained, truth))

    def before(op: str, args: tuple) -> None:
        if op == "program":
            address, data = args
            keep(op, address, bytes(a & b for a, b in zip(flash.read(address, len(data)), data, strict=True)))
        else:
            keep(op, args[0] * flash.sector_size, b"\xff" * flash.sector_size)

    flash.before = before
    hal.before_write = lambda after: keep("retained", 0, after)

    def boot() -> Ledger:
        ledger = kind(hal, FlashBlocks(flash), LEASE_MAX)
        ledger.open()
        return ledger

    ledger = boot()
    truth = replace(truth, boot_id=ledger.boot_id)
    for _ in range(length):
        act = rng.choices(ACTS, WEIGHTS)[0]
        if act in ("packet", "large", "unasked"):
            n = rng.randrange(1, 1500 if act == "packet" else MOST)
            carried = rng.randrange(min(2 * n, MOST))  # neither figure leads the other
            if act != "unasked":
                ledger.ensure(n, carried)
            truth = replace(truth, under_way=max(n, carried))
            ledger.spend(n, carried)
            truth = replace(truth, rated=truth.rated + n, carried=truth.carried + carried, under_way=0)
            if ledger.cycle_id == truth.cycle_id:
                ledger.within_cycle()
        elif act == "cycle" and ledger.cycle_id == truth.cycle_id:  # a boundary; the switch comes later
            truth = replace(truth, cycle_id=truth.cycle_id + 1, rated_base=truth.rated)
        elif act == "close":
            ledger.close()
        elif act == "tidy":
            ledger.tidy()
        elif act == "reset":
            hal.cause = WDT
            ledger = boot()
            truth = replace(truth, boot_id=ledger.boot_id)
        if ledger.cycle_id < truth.cycle_id and rng.random() < 0.2:
            ledger.new_cycle(truth.cycle_id)
    return moments


def recover(kind: type[Ledger], flash: Flash, hal: Hal, truth: Truth, bad: int, crashes: list[Cut]) -> Ledger:
    """Boots, with a crash at each of `crashes`, and checks what is recovered; so far `bad` slots were spoilt."""
    for cut in crashes:
        flash.arm(cut)
        try:
            kind(hal, FlashBlocks(flash), LEASE_MAX).open()
        except PowerCut:
            bad += 1
            hal.cause = PWRON
    flash.arm(None)
    ledger = kind(hal, FlashBlocks(flash), LEASE_MAX)
    ledger.open()
    assert not ledger.lost, "lost"
    assert ledger.boot_id > truth.boot_id, "a boot id came twice"
    for name, used, unsure, spent in (
        ("rated", ledger.rated.value(), ledger.rated_unsure.value(), truth.rated),
        ("carried", ledger.carried.value(), ledger.carried_unsure.value(), truth.carried),
    ):
        assert used >= spent, f"{name}: under-count, {used} of {spent}"
        assert used <= spent + truth.under_way + unsure, f"{name}: over-count by more than its bound"
        assert used <= spent + truth.under_way + STEP * (1 + bad), f"{name}: over-count, {used} of {spent}"
    if ledger.cycle_id < truth.cycle_id:
        ledger.new_cycle(truth.cycle_id)
    in_cycle = ledger.rated.value() - ledger.rated_base.value()
    assert in_cycle >= truth.rated - truth.rated_base, f"under-count of the period, {in_cycle}"
    return ledger


def effects(moment: Moment, rng: random.Random) -> list[Cut]:
    size = len(moment.after)
    lengths = {1, size // 2, size - 4, size - 1, rng.randrange(1, size), rng.randrange(1, size)}
    return (
        [Cut(0, "nothing"), Cut(0, "all")]
        + [Cut(0, "prefix", n) for n in sorted(lengths)]
        + [Cut(0, "bits", rng.randrange(1 << 30)) for _ in range(3)]
    )


def spoil(moment: Moment, cut: Cut, cause: int, rng: random.Random) -> tuple[Flash, Hal]:
    """The board after the moment's operation was torn by `cut`."""
    flash = Flash(3)
    flash.restore(moment.image)
    retained = moment.retained
    if moment.op == "retained":
        retained = torn(retained, moment.after, cut)
    else:
        end = moment.at + len(moment.after)
        flash.data[moment.at : end] = torn(moment.image[moment.at : end], moment.after, cut)
    return flash, Hal(rng.randbytes(16) if cause == PWRON else retained, cause)


def later_crashes(rng: random.Random) -> list[Cut]:
    effect = ("nothing", "all", "prefix", "bits")
    crashes = rng.choice((0, 0, 1, 2))
    return [Cut(rng.randrange(3), rng.choice(effect), rng.randrange(1, RECORD)) for _ in range(crashes)]


def go_on(kind: type[Ledger], ledger: Ledger, flash: Flash, truth: Truth, rng: random.Random) -> None:
    """What was recovered is lived with, and power is lost once more."""
    truth = replace(truth, boot_id=ledger.boot_id, rated=ledger.rated.value(), carried=ledger.carried.value())
    truth = replace(truth, under_way=0)
    for _ in range(rng.randrange(4)):
        n = rng.randrange(1, 3000)
        ledger.ensure(n, n)
        ledger.spend(n, n)
        truth = replace(truth, rated=truth.rated + n, carried=truth.carried + n)
    recover(kind, flash, Hal(rng.randbytes(16)), truth, 0, [])


def torture(kind: type[Ledger], seed: int, length: int) -> int:
    """Power cuts, at every operation on flash and some on retained memory; returns the number of cases."""
    rng = random.Random(seed)
    cases = 0
    for moment in live(kind, seed, length):
        if moment.op == "retained" and rng.random() < 0.9:
            continue
        for cut in effects(moment, rng):
            for cause in (PWRON, WDT):
                flash, hal = spoil(moment, cut, cause, rng)
                ledger = recover(kind, flash, hal, moment.truth, 1, later_crashes(rng))
                go_on(kind, ledger, flash, moment.truth, rng)
                cases += 1
    return cases


def rot(kind: type[Ledger], seed: int, length: int) -> int:
    """One bit of the newest record rots while the power is off; returns the number of cases."""
    rng = random.Random(seed)
    cases = 0
    newest = None
    for moment in live(kind, seed, length):
        if newest is not None:
            for _ in range(3):
                cause = rng.choice((PWRON, WDT))
                flash, hal = spoil(moment, Cut(0, "nothing"), cause, rng)
                flash.flip(newest + rng.randrange(RECORD), rng.randrange(8))
                recover(kind, flash, hal, moment.truth, 1, later_crashes(rng))
                cases += 1
        if moment.op == "program":
            newest = moment.at
    return cases


@pytest.mark.parametrize("seed", range(3))
def test_power_cuts(seed):
    assert torture(Ledger, seed, 140) > 1000, "too few cases"


@pytest.mark.parametrize("seed", range(3))
def test_bit_rot(seed):
    assert rot(Ledger, seed, 200) > 500, "too few cases"


class AfterTheFact(Ledger):
    """Control: counts first, and stores what was used every 4 KiB."""

    def ensure(self, rated_n, carried_n):
        pass

    def spend(self, rated_n, carried_n):
        self.rated.add(rated_n)
        self.carried.add(carried_n)
        if self.rated.diff(self._rated.ceil) >= 4096:
            self.close()


class Trusting(Ledger):
    """Control: takes the newest valid record for the newest one."""

    def _charge(self, rated_lease, carried_lease, bad):
        super()._charge(rated_lease, carried_lease, 0)


class Unannounced(Ledger):
    """Control: takes a lease of any size without announcing it."""

    def _extend(self, n):
        announced = self._announced
        self._announced = 1 << 29
        super()._extend(n)
        self._announced = self._announce = min(announced, 1024)


@pytest.mark.parametrize(("kind", "trial"), [(AfterTheFact, torture), (Trusting, rot), (Unannounced, rot)])
def test_the_torture_has_teeth(kind, trial):
    with pytest.raises(AssertionError, match="under-count"):
        trial(kind, 1, 120)
