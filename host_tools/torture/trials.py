"""What is done to a ledger: each trial counts its cases, and what they showed, in a `Tally`."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from host_tools.sim.flash import Cut, PowerCut, torn
from host_tools.torture.life import (
    ACTS,
    PWRON,
    STEP,
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
    fast,
    forgotten,
    judge,
    live,
    recover,
    settle,
)
from host_tools.torture.nor import Nor
from host_tools.torture.stores import STORES, Store

RECORD = 256
SECTOR = 4096
KEPT = 5  # failures told in full


class Caught(Exception):
    """A control was found out: no more cases are needed."""


@dataclass(slots=True)
class Tally:
    """Cases, and what failed in them: see `Failure`.

    `rot_rollbacks` are under-counts and double grants that one rotted bit caused where that is not promised against,
    `refusals` the cases in which the device noticed and stopped. `over_octets` is the largest over-count,
    `bound_octets` the largest bound that was stated.
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
class Bench:
    """What one trial works with. `weaker`: rot may roll the counts back, which is counted apart."""

    kind: type[Subject]
    store: Store
    seed: int
    length: int
    share: float
    tally: Tally
    nor: Nor

    @property
    def weaker(self) -> bool:
        return self.store.name == "file"

    def moments(self) -> list[Moment]:
        return live(self.kind, self.store, self.seed, self.length)

    def take(self) -> bool:
        """Whether to take a case of a sampled kind."""
        return self.rng.random() < self.share

    @property
    def rng(self) -> random.Random:
        return _rngs[self.seed]


_rngs: dict[int, random.Random] = {}
Trial = Callable[[Bench], None]


def run(
    trial: str, kind: type[Subject], store: str, seed: int, length: int, share: float = 1.0, control: bool = False
) -> Tally:
    """One trial with a life of its own; `share` of the sampled cases. A `control` is tried until it fails."""
    place = STORES[store]()
    _rngs[seed] = random.Random(f"{seed}/{trial}")
    tally = Tally(stop_at_once=control)
    bench = Bench(kind, place, seed, length, share, tally, Nor(place.sectors))
    with fast(), contextlib.suppress(Caught):
        TRIALS[trial](bench)
    return tally


def at_moment(
    bench: Bench, moment: Moment, cut: Cut | None, cause: int, flips: tuple[tuple[int, int], ...] = ()
) -> Device:
    """The device whose power went, or that was reset, in the moment's operation (before it, without a `cut`)."""
    nor, rng = bench.nor, bench.rng
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
    return Device(bench.kind, bench.store, nor, hal, moment.truth)


def case(bench: Bench, where: str, device: Device, cause: int, crashes: list[Cut], rot: bool = False) -> None:
    """Recovers, goes on, and loses power once more."""
    tally, rng = bench.tally, bench.rng
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
        tally.fail(failure, where, rollback=rot and bench.weaker)
    except OSError as error:
        if rot and bench.weaker:
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
    """Cuts during recovery: each effect at each of its first operations, and `deep` pairs."""
    for at in range(3):
        for effect in EFFECTS:
            yield [crash(at, effect, rng)]
    for _ in range(deep):
        yield [crash(rng.randrange(2), rng.choice(EFFECTS), rng), crash(rng.randrange(3), rng.choice(EFFECTS), rng)]


def cuts(bench: Bench) -> None:
    """The power goes in every operation, with every effect; and again while the ledger recovers, to depth 2."""
    for n, moment in enumerate(bench.moments()):
        if moment.op == "retained" and n % 8:
            continue
        every = effects(moment, n, bench.rng)
        for cause in (PWRON, WDT):
            for cut in every:
                where = f"seed {bench.seed}, moment {n} ({moment.op}), {cut.effect} {cut.amount}, cause {cause}"
                if bench.take():
                    case(bench, where, at_moment(bench, moment, cut, cause), cause, [])
            if moment.op == "retained":
                continue
            for cut in (every[0], every[1], *bench.rng.sample(every[2:], 3)):
                for plan in plans(bench.rng, 6):
                    if bench.take():
                        told = " + ".join(f"{c.effect} {c.amount} at {c.at}" for c in plan)
                        where = f"seed {bench.seed}, moment {n} ({moment.op}), {cut.effect} {cut.amount} + {told}"
                        case(bench, where, at_moment(bench, moment, cut, cause), cause, plan)


def rot(bench: Bench) -> None:
    """One bit rots, of every record there is at every moment of a life; of some newest ones every bit."""
    rng = bench.rng
    before = b""
    dense = 0
    for n, moment in enumerate(bench.moments()):
        image = moment.image
        if moment.op == "retained" or image == before or not moment.truth.begun:
            continue
        places = written(image, before, bench.store)
        before = image
        spots = [(at + rng.randrange(RECORD), rng.randrange(8)) for at in places for _ in range(4)]
        spots += [(at + rng.randrange(RECORD), rng.randrange(8)) for at in range(0, len(image), RECORD)]
        if n > 20 and dense < 1 and places and not bench.weaker:
            dense += 1
            spots += [(places[-1] + octet, bit) for octet in range(RECORD) for bit in range(8)]
        for spot in spots:
            for cause in (PWRON, WDT):
                if bench.take():
                    where = f"seed {bench.seed}, moment {n}, bit {spot[1]} of {spot[0]} rots, cause {cause}"
                    device = at_moment(bench, moment, None, cause, (spot,))
                    case(bench, where, device, cause, [], rot=True)


def written(image: bytes, before: bytes, store: Store) -> list[int]:
    """Pages that changed, and hold something."""
    blank = b"\xff" * RECORD
    pages = range(0, len(image), RECORD)
    return [at for at in pages if image[at : at + RECORD] not in (blank, before[at : at + RECORD])]


def failing(bench: Bench, spoil: Callable[[Nor, int], None], where: str, must_live: bool) -> None:
    """A life on a flash that `spoil(nor, act)` makes fail as it goes on; when the ledger gives up it is asked a few
    times more, then the device boots on a flash that works again."""
    rng, tally = bench.rng, bench.tally
    nor = bench.nor
    bench.store.prepare(nor)
    device = Device(bench.kind, bench.store, nor, Hal(), Truth())
    tally.cases += 1
    try:
        device.boot(PWRON)
        device.begin()
        refused = 0
        for act in range(bench.length):
            spoil(nor, act)
            try:
                device.act(rng.choices(ACTS, WEIGHTS)[0], rng)
            except OSError:
                refused += 1
                if must_live:
                    raise Failure("double", "one bad sector is too many") from None
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
        tally.fail(Failure("double", f"on a flash that works again: {error}"), where)


def sectors(bench: Bench) -> None:
    """A sector takes nothing any more, with an error or without; all of them do, for a while; all wear out."""
    rng = bench.rng
    for trial in range(40):
        begin = rng.randrange(1, bench.length // 2)
        sector = rng.randrange(bench.store.sectors)
        raises = bool(trial % 2)

        def stick(nor: Nor, act: int, which: frozenset[int], begin: int = begin, raises: bool = raises) -> None:
            if act >= begin:
                nor.stuck, nor.raises = which, raises

        one, every = frozenset([sector]), frozenset(range(bench.store.sectors))
        where = f"seed {bench.seed}, trial {trial}"
        failing(bench, lambda n, a, f=stick, s=one: f(n, a, s), f"{where}: sector {sector} is stuck", not bench.weaker)
        failing(bench, lambda n, a, f=stick, s=every: f(n, a, s), f"{where}: no sector takes anything", False)

        def deafen(nor: Nor, act: int, begin: int = begin) -> None:
            nor.deaf = act >= begin

        failing(bench, deafen, f"{where}: no program has an effect", False)

        def wear(nor: Nor, act: int, limit: int = rng.randrange(1, 6)) -> None:
            nor.endurance = limit

        failing(bench, wear, f"{where}: the flash is worn out", False)


def blank(bench: Bench) -> None:
    """A new device: power goes in every operation of its first boots."""
    rng = bench.rng
    for at in range(14 if bench.weaker else 6):
        for n in range(24):
            effect = EFFECTS[n % len(EFFECTS)]
            cut = Cut(at, effect, rng.randrange(1, RECORD))
            bench.store.prepare(bench.nor)
            device = Device(bench.kind, bench.store, bench.nor, Hal(), Truth())
            case(bench, f"seed {bench.seed}, a new device, {effect} at {at}", device, PWRON, [cut])


def foreign(bench: Bench) -> None:
    """A partition that held something else, perhaps counts of ours: nothing may be spent before somebody has looked,
    whatever happens in between, and even if a record of that rots."""
    rng, tally, nor = bench.rng, bench.tally, bench.nor
    if bench.weaker:
        return
    for n in range(40):
        image = bytearray(b"\xff" * len(nor.data))
        for sector in rng.sample(range(3), 1 + n % 3):
            start, size = sector * SECTOR, rng.choice((1, 300, SECTOR))
            at = start + rng.randrange(SECTOR - size + 1)
            image[at : at + size] = bytes(rng.randrange(255) for _ in range(size))
        filled = [image[at : at + RECORD] != b"\xff" * RECORD for at in range(0, len(image), RECORD)]
        if filled == sorted(filled, reverse=True) and sum(filled) < SECTOR // RECORD:
            continue  # at the very start: it passes for the first records, torn (SPEC.md), and costs their leases
        for at in range(5):
            for effect in (*EFFECTS, "rot"):
                nor.load(bytes(image))
                device = Device(bench.kind, bench.store, nor, Hal(), Truth())
                tally.cases += 1
                where = f"seed {bench.seed}, partition {n} of somebody else, {effect} at {at}"
                try:
                    lost_for_good(device, at, effect, rng)
                except Failure as failure:
                    tally.fail(failure, where)


def lost_for_good(device: Device, at: int, effect: str, rng: random.Random) -> None:
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
            raise Failure("double", "the loss is forgotten")


def fading(bench: Bench) -> None:
    """An erase that only looked done: what was written there is gone some boots later."""
    rng = bench.rng
    for n, moment in enumerate(bench.moments()):
        if moment.op != "erase":
            continue
        for cause in (PWRON, WDT):
            for _ in range(8):
                device = at_moment(bench, moment, Cut(0, "weak", rng.randrange(1, 1 << 30)), cause)
                where = f"seed {bench.seed}, moment {n}: an erase that only looked done, cause {cause}"
                bench.tally.cases += 1
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
                    bench.tally.fail(failure, where)


TRIALS: dict[str, Trial] = {
    "cuts": cuts,
    "rot": rot,
    "sectors": sectors,
    "blank": blank,
    "foreign": foreign,
    "fading": fading,
}
__all__ = ["STEP", "TRIALS", "Tally", "judge", "run"]
