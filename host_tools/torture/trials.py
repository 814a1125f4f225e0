"""The trials of a ledger. Each counts its cases and their failures in a `Tally`."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from host_tools.sim.flash import Cut, PowerCut, torn
from host_tools.torture.device import (
    ACTS,
    PWRON,
    WDT,
    WEIGHTS,
    Device,
    Excess,
    Failure,
    Hal,
    Moment,
    Subject,
    Truth,
    carry_on,
    forgotten,
    record_moments,
    recover,
    settle,
)
from host_tools.torture.nor import Nor
from host_tools.torture.stores import Store

RECORD = 256
SECTOR = 4096
KEPT = 5  # failures whose description is kept


class Caught(Exception):
    """Ends a trial early: the control's defect was found."""


@dataclass(slots=True)
class Tally:
    """Counts of cases and of failures (see `Failure`).

    `rot_rollbacks`: under-counts and double grants after one flipped bit on the files backend, which does not exclude
    them. `refusals`: cases in which the device detected a loss and stopped. `over_octets` is the largest over-count,
    `bound_octets` the largest stated bound.
    """

    cases: int = 0
    under: int = 0
    double: int = 0
    bound: int = 0
    rot_rollbacks: int = 0
    refusals: int = 0
    over_octets: int = 0
    bound_octets: int = 0
    failures: list[str] = field(default_factory=list)
    stop_at_once: bool = False

    def add(self, other: Tally) -> None:
        for name in ("cases", "under", "double", "bound", "rot_rollbacks", "refusals"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.over_octets = max(self.over_octets, other.over_octets)
        self.bound_octets = max(self.bound_octets, other.bound_octets)
        self.failures = (self.failures + other.failures)[:KEPT]

    def note(self, excess: Excess) -> None:
        self.over_octets = max(self.over_octets, excess.octets)
        self.bound_octets = max(self.bound_octets, excess.bound)

    def fail(self, failure: Failure, where: str, rollback: bool = False) -> None:
        kind = "rot_rollbacks" if rollback else failure.kind
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.failures) < KEPT and not rollback:
            self.failures.append(f"{where}: {failure.kind}: {failure}")
        if self.stop_at_once and kind != "bound":
            raise Caught


@dataclass(slots=True)
class Context:
    """The parameters and the state of one trial. `weaker`: on this backend bit-rot may roll the counts back."""

    kind: type[Subject]
    store: Store
    seed: int
    length: int
    share: float
    tally: Tally
    nor: Nor
    rng: random.Random

    @property
    def weaker(self) -> bool:
        return self.store.name == "file"

    def moments(self) -> list[Moment]:
        return record_moments(self.kind, self.store, self.seed, self.length)

    def take(self) -> bool:
        """Whether to run the next sampled case."""
        return self.rng.random() < self.share


Trial = Callable[[Context], None]


def at_moment(
    context: Context, moment: Moment, cut: Cut | None, cause: int, flips: tuple[tuple[int, int], ...] = ()
) -> Device:
    """The device after a power loss or reset in the moment's operation, or before it without a `cut`."""
    nor, rng = context.nor, context.rng
    nor.load(moment.image)
    history = list(moment.history)
    if cut and moment.op == "retained":
        history.append(torn(history[-1], moment.data, cut))
    elif cut:
        nor.arm(cut)
        try:
            if moment.op == "program":
                nor.program(moment.at, moment.data)
            else:
                nor.erase(moment.at)
        except PowerCut:
            pass
    for address, bit in flips:
        nor.data[address] ^= 1 << bit
    retained = forgotten(history, rng) if cause == PWRON else history[-1]
    hal = Hal(retained, cause)
    hal.history = history
    return Device(context.kind, context.store, nor, hal, moment.truth)


def case(context: Context, where: str, device: Device, cause: int, crashes: list[Cut], rot: bool = False) -> None:
    """One case: recovers, continues, and loses power once more."""
    tally, rng = context.tally, context.rng
    try:
        excess = recover(device, cause, crashes, rng)
        if excess is None:
            return
        tally.note(excess)
        carry_on(device)
        settle(device)
        acts = rng.randrange(3)
        for _ in range(acts):
            n = rng.randrange(1, 3000)
            device.ledger.ensure(n, n)
            device.note(under_way=n)
            device.ledger.spend(n, n)
            device.note(rated=device.truth.rated + n, carried=device.truth.carried + n, under_way=0)
        device.hal.retained = forgotten(device.hal.history, rng)
        again = recover(device, PWRON, [], rng, bad=3 + len(crashes))
        if again:
            tally.note(again)
        carry_on(device)
    except Failure as failure:
        tally.fail(failure, where, rollback=rot and context.weaker)
    except OSError as error:
        if rot and context.weaker:
            tally.refusals += 1  # the file system says that it is corrupt: nothing is spent
        else:
            tally.fail(Failure("double", f"the flash is sound, and it says {error}"), where)
    tally.cases += 1


def lengths(moment: Moment, n: int) -> list[int]:
    """Prefixes to try: over the moments of a life every length comes."""
    size = len(moment.data) or (SECTOR if moment.op == "erase" else 16)
    step = max(1, size // 16)
    return sorted({1, size // 2, size - 4, size - 1, *range(1 + n % step, size, step)} & set(range(1, size)))


def effects(moment: Moment, n: int, rng: random.Random) -> list[Cut]:
    cuts = [Cut(0, "nothing"), Cut(0, "all")]
    cuts += [Cut(0, "prefix", length) for length in lengths(moment, n)]
    cuts += [Cut(0, "bits", rng.randrange(1 << 30)) for _ in range(3)]
    if moment.op != "retained":
        cuts += [Cut(0, "weak", amount) for amount in (0, rng.randrange(1, 12), rng.randrange(12, RECORD))]
    return cuts


def crash(at: int, effect: str, rng: random.Random) -> Cut:
    return Cut(at, effect, rng.randrange(1, RECORD))


EFFECTS = ("nothing", "all", "prefix", "bits", "weak")


def plans(rng: random.Random, deep: int) -> Iterator[list[Cut]]:
    """Cuts during recovery: each effect at each of its first operations, and `deep` random pairs."""
    for at in range(3):
        for effect in EFFECTS:
            yield [crash(at, effect, rng)]
    for _ in range(deep):
        yield [crash(rng.randrange(2), rng.choice(EFFECTS), rng), crash(rng.randrange(3), rng.choice(EFFECTS), rng)]


def cuts(context: Context) -> None:
    """Cuts the power in every operation, with every effect, and up to twice more while the ledger recovers."""
    for n, moment in enumerate(context.moments()):
        if moment.op == "retained" and n % 8:
            continue
        every = effects(moment, n, context.rng)
        for cause in (PWRON, WDT):
            for cut in every:
                where = f"seed {context.seed}, moment {n} ({moment.op}), {cut.effect} {cut.amount}, cause {cause}"
                if context.take():
                    case(context, where, at_moment(context, moment, cut, cause), cause, [])
            if moment.op == "retained":
                continue
            for cut in (every[0], every[1], *context.rng.sample(every[2:], 3)):
                for plan in plans(context.rng, 6):
                    if context.take():
                        further = " + ".join(f"{c.effect} {c.amount} at {c.at}" for c in plan)
                        where = f"seed {context.seed}, moment {n} ({moment.op}), {cut.effect} {cut.amount} + {further}"
                        case(context, where, at_moment(context, moment, cut, cause), cause, plan)


def rot(context: Context) -> None:
    """Flips one bit of every record at every moment of a workload; every bit of some of the newest records."""
    rng = context.rng
    before = b""
    dense = 0
    for n, moment in enumerate(context.moments()):
        image = moment.image
        if moment.op == "retained" or image == before or not moment.truth.begun:
            continue
        places = written(image, before, context.store)
        before = image
        spots = [(at + rng.randrange(RECORD), rng.randrange(8)) for at in places for _ in range(4)]
        spots += [(at + rng.randrange(RECORD), rng.randrange(8)) for at in range(0, len(image), RECORD)]
        if n > 20 and dense < 1 and places and not context.weaker:
            dense += 1
            spots += [(places[-1] + octet, bit) for octet in range(RECORD) for bit in range(8)]
        for spot in spots:
            for cause in (PWRON, WDT):
                if context.take():
                    where = f"seed {context.seed}, moment {n}, bit {spot[1]} of {spot[0]} rots, cause {cause}"
                    device = at_moment(context, moment, None, cause, (spot,))
                    case(context, where, device, cause, [], rot=True)


def written(image: bytes, before: bytes, store: Store) -> list[int]:
    """Addresses of the pages that changed and are not blank."""
    blank = b"\xff" * RECORD
    pages = range(0, len(image), RECORD)
    return [at for at in pages if image[at : at + RECORD] not in (blank, before[at : at + RECORD])]


def failing(context: Context, spoil: Callable[[Nor, int], None], where: str, must_live: bool) -> None:
    """Runs a workload while `spoil(nor, act)` makes the flash fail.

    When the ledger raises OSError, `commit` is tried a few more times; then the device boots with a working flash.
    """
    rng, tally = context.rng, context.tally
    nor = context.nor
    context.store.prepare(nor)
    device = Device(context.kind, context.store, nor, Hal(), Truth())
    tally.cases += 1
    try:
        device.boot(PWRON)
        device.begin()
        refused = 0
        for act in range(context.length):
            spoil(nor, act)
            try:
                device.act(rng.choices(ACTS, WEIGHTS)[0], rng)
            except OSError:
                refused += 1
                if must_live:
                    raise Failure("double", "one bad sector makes the ledger fail") from None
                for _ in range(rng.randrange(1, 12)):
                    try:
                        device.ledger.commit()
                    except OSError:
                        refused += 1
                break
        nor.mend()
        cause = rng.choice((PWRON, WDT))
        if cause == PWRON:
            device.hal.retained = forgotten(device.hal.history, rng)
        excess = recover(device, cause, [], rng, bad=100)
        if excess:
            tally.note(excess)
        carry_on(device)
    except Failure as failure:
        tally.fail(failure, where)
    except OSError as error:
        tally.fail(Failure("double", f"with a working flash: {error}"), where)


def sectors(context: Context) -> None:
    """One sector or all of them stop accepting writes, with or without an error; programs have no effect; wear."""
    rng = context.rng
    for trial in range(40):
        begin = rng.randrange(1, context.length // 2)
        sector = rng.randrange(context.store.sectors)
        raises = bool(trial % 2)

        def stick(nor: Nor, act: int, which: frozenset[int], begin: int = begin, raises: bool = raises) -> None:
            if act >= begin:
                nor.stuck, nor.raises = which, raises

        one, every = frozenset([sector]), frozenset(range(context.store.sectors))
        where = f"seed {context.seed}, trial {trial}:"
        strict = not context.weaker
        failing(context, lambda n, a, f=stick, s=one: f(n, a, s), f"{where} sector {sector} is stuck", strict)
        failing(context, lambda n, a, f=stick, s=every: f(n, a, s), f"{where} all sectors are stuck", False)

        def deafen(nor: Nor, act: int, begin: int = begin) -> None:
            nor.deaf = act >= begin

        failing(context, deafen, f"{where}: no program has an effect", False)

        def wear(nor: Nor, act: int, limit: int = rng.randrange(1, 6)) -> None:
            nor.endurance = limit

        failing(context, wear, f"{where}: the flash is worn out", False)


def blank(context: Context) -> None:
    """Cuts the power in every operation of a new device's first boots."""
    rng = context.rng
    for at in range(14 if context.weaker else 6):
        for n in range(24):
            effect = EFFECTS[n % len(EFFECTS)]
            cut = Cut(at, effect, rng.randrange(1, RECORD))
            context.store.prepare(context.nor)
            device = Device(context.kind, context.store, context.nor, Hal(), Truth())
            case(context, f"seed {context.seed}, a new device, {effect} at {at}", device, PWRON, [cut])


def foreign(context: Context) -> None:
    """A partition with foreign data, which may be damaged records: the ledger must report the loss.

    It must keep reporting it after power cuts, and after bit-rot in the record of it.
    """
    rng, tally, nor = context.rng, context.tally, context.nor
    if context.weaker:
        return
    for n in range(40):
        image = bytearray(b"\xff" * len(nor.data))
        for sector in rng.sample(range(3), 1 + n % 3):
            start, size = sector * SECTOR, rng.choice((1, 300, SECTOR))
            at = start + rng.randrange(SECTOR - size + 1)
            image[at : at + size] = bytes(rng.randrange(255) for _ in range(size))
        filled = [image[at : at + RECORD] != b"\xff" * RECORD for at in range(0, len(image), RECORD)]
        if filled == sorted(filled, reverse=True) and sum(filled) < SECTOR // RECORD:
            continue  # taken as torn first records (SPEC.md): it costs their leases, and is not a loss
        for at in range(5):
            for effect in (*EFFECTS, "rot"):
                nor.load(bytes(image))
                device = Device(context.kind, context.store, nor, Hal(), Truth())
                tally.cases += 1
                where = f"seed {context.seed}, foreign partition {n}, {effect} at {at}"
                try:
                    check_loss(device, at, effect, rng)
                except Failure as failure:
                    tally.fail(failure, where)


def check_loss(device: Device, at: int, effect: str, rng: random.Random) -> None:
    """Cuts the power at operation `at` (or flips a bit) after the loss was found, and checks that it is reported."""
    nor = device.nor
    if effect == "rot":
        device.boot(PWRON)
        device.ledger.tidy()
        pages = [p for p in range(0, len(nor.data), RECORD) if nor.data[p : p + 2] == b"UG"]
        nor.data[pages[at % len(pages)] + rng.randrange(RECORD)] ^= 1 << rng.randrange(8)
    else:
        nor.boot(Cut(at, effect, rng.randrange(1, RECORD)))
        try:
            device.boot(PWRON)
            device.ledger.commit()
            device.boot(PWRON)
        except PowerCut:
            pass
    for _ in range(2):
        nor.boot()
        device.boot(PWRON)
        if not device.ledger.lost:
            raise Failure("double", "the loss is not reported any more")


def fading(context: Context) -> None:
    """Weak erases: the sector reads as erased, and records written there are damaged some boots later."""
    rng = context.rng
    for n, moment in enumerate(context.moments()):
        if moment.op != "erase":
            continue
        for cause in (PWRON, WDT):
            for _ in range(8):
                device = at_moment(context, moment, Cut(0, "weak", rng.randrange(1, 1 << 30)), cause)
                where = f"seed {context.seed}, moment {n}: a weak erase, cause {cause}"
                context.tally.cases += 1
                try:
                    recover(device, cause, [], rng)
                    carry_on(device)
                    settle(device)
                    for _ in range(rng.randrange(1, 7)):
                        for act in ("packet", "order", "stop", "close"):
                            device.act(act, rng)
                    for _ in range(2):
                        recover(device, PWRON, [], rng)
                except Failure as failure:
                    context.tally.fail(failure, where)
