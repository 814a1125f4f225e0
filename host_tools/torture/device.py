"""A device with a ledger on flash, the record of what really happened to it, and the checks after each boot."""

from __future__ import annotations

import contextlib
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from errno import EIO
from typing import Any
from unittest import mock

from host_tools.base import paths
from host_tools.sim.flash import Cut, PowerCut
from host_tools.torture.nor import Nor
from host_tools.torture.stores import Store

paths.use_firmware()

from usageguard.store import ring as ring_module  # noqa: E402 - found only now
from usageguard.store.ledger import Ledger  # noqa: E402

PWRON, WDT = 1, 3
RETAINED = 24
LEASE_MAX = 16_384
MOST = 40_000  # octets of one request or one arrival
STEP = LEASE_MAX + MOST  # the most that one record adds to a ceiling
FIRST_CYCLE = 300
ACTS = ("packet", "large", "unasked", "boundary", "close", "tidy", "reset", "order", "stop")
WEIGHTS = (60, 8, 4, 4, 2, 8, 4, 4, 3)


class Failure(Exception):
    """A broken guarantee.

    `kind`: "under" (counted too little), "double" (granted or applied twice, or lost) or "bound" (the over-count
    exceeds the stated bound).
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Subject(Ledger):
    """A ledger with a device that applies each of upstream's orders once, and stops where the flash fails."""

    def spend(self, rated_n: int, carried_n: int) -> None:
        if not super().spend(rated_n, carried_n):
            raise OSError(EIO, "flash")

    def order(self, counter: int) -> None:
        """Applies an order unless it was applied before; counter, effect and stop are stored in one record."""
        if counter > field(self, 0):
            put(self, 0, counter)
            self.effect(counter)
            self.commit()

    def effect(self, counter: int) -> None:
        """Applies the order and counts it."""
        put(self, 4, field(self, 4) + 1)
        put(self, 8, effect_of(counter))
        self.reasons = self.reasons & 0xFFFF | (effect_of(counter) & 255) << 16

    def stop(self, reasons: int) -> None:
        """Stores new reasons of 16 bits before they take effect."""
        self.reasons = self.reasons & 0xFF0000 | reasons
        self.commit()


def effect_of(counter: int) -> int:
    """The effect that order `counter` must have."""
    return counter * 2_654_435_761 % 2**32 if counter else 0


def field(ledger: Ledger, at: int) -> int:
    """The 32-bit field at offset `at` of the ledger's order area."""
    return int.from_bytes(ledger.orders[at : at + 4], "little")


def put(ledger: Ledger, at: int, n: int) -> None:
    ledger.orders[at : at + 4] = n.to_bytes(4, "little")


class Hal:
    """The part of the HAL that a ledger uses. `history` has the last contents of retained memory, the newest last."""

    def __init__(self, retained: bytes = bytes(RETAINED), cause: int = PWRON) -> None:
        self.retained = retained
        self.cause = cause
        self.history = [retained]
        self.before_write = lambda after: None

    def reset_cause(self) -> int:
        return self.cause

    def retained_read(self, buf: bytearray) -> None:
        buf[:] = self.retained

    def retained_write(self, buf: bytearray) -> None:
        self.before_write(bytes(buf))
        self.retained = bytes(buf)
        self.history = [*self.history[-4:], self.retained]

    def random(self, n: int) -> bytes:
        return bytes(n)


@dataclass(frozen=True, slots=True)
class Truth:
    """What really happened: the octets of calls that returned; `under_way` those of a call that has not.

    `rated_base` and `carried_base` are the octets at the carrier's last cycle boundary, `cycle_id` is its cycle,
    `begun` the last cycle whose beginning the ledger has stored. `sent` and `acked` are order counters. The reasons are
    `stop`, or `next_stop` while its storing has not returned.
    """

    rated: int = 0
    carried: int = 0
    under_way: int = 0
    cycle_id: int = FIRST_CYCLE
    rated_base: int = 0
    carried_base: int = 0
    begun: int = 0
    boot_id: int = 0
    sent: int = 0
    acked: int = 0
    stop: int = 0
    next_stop: int = 0


@dataclass(frozen=True, slots=True)
class Moment:
    """The device before one operation `op`: "program" of `data` at `at`, "erase" of sector `at`, or "retained".

    `image` is the content of the flash, `history` that of retained memory.
    """

    op: str
    at: int
    data: bytes
    image: bytes
    history: tuple[bytes, ...]
    truth: Truth


class Device:
    """A device through its boots, with a ledger of class `kind`."""

    def __init__(self, kind: type[Subject], store: Store, nor: Nor, hal: Hal, truth: Truth) -> None:
        self.kind, self.store, self.nor, self.hal, self.truth = kind, store, nor, hal, truth
        self.ledger: Subject

    def boot(self, cause: int) -> None:
        """Starts the device after a reset by `cause`."""
        self.hal.cause = cause
        self.ledger = self.kind(self.hal, self.store.attach(self.nor), LEASE_MAX)
        self.ledger.open()
        self.note(boot_id=self.ledger.boot_id)

    def note(self, **facts: Any) -> None:
        """Updates the truth."""
        self.truth = replace(self.truth, **facts)

    def act(self, act: str, rng: random.Random) -> None:
        """Performs one of `ACTS`."""
        ledger, truth = self.ledger, self.truth
        if act in ("packet", "large", "unasked"):
            n = rng.randrange(1, 1500 if act == "packet" else MOST)
            carried = rng.randrange(min(2 * n, MOST))  # less or more than the rated octets
            if act != "unasked":
                ledger.ensure(n, carried)
            self.note(under_way=max(n, carried))
            ledger.spend(n, carried)
            self.note(rated=truth.rated + n, carried=truth.carried + carried, under_way=0)
            if ledger.cycle_id == truth.cycle_id:
                ledger.within_cycle()
        elif act == "boundary" and ledger.cycle_id == truth.cycle_id:  # the ledger follows later
            self.note(cycle_id=truth.cycle_id + 1, rated_base=truth.rated, carried_base=truth.carried)
        elif act == "close":
            ledger.close()
        elif act == "tidy":
            ledger.tidy()
        elif act == "reset":
            self.boot(WDT)
        elif act == "order":
            self.note(sent=truth.sent + 1)
            ledger.order(truth.sent + 1)
            self.note(acked=truth.sent + 1)
        elif act == "stop":
            reasons = rng.randrange(1 << 16)
            self.note(next_stop=reasons)
            ledger.stop(reasons)
            self.note(stop=reasons)
        if self.ledger.cycle_id < self.truth.cycle_id and rng.random() < 0.3:
            self.begin()

    def begin(self) -> None:
        """Starts the ledger's cycle, when the device's clock has passed the carrier's boundary."""
        self.ledger.new_cycle(self.truth.cycle_id)
        self.ledger.commit()
        self.note(begun=self.truth.cycle_id)


@contextlib.contextmanager
def keep_moments(device: Device) -> Iterator[tuple[list[Moment], Callable[[], None]]]:
    """A list of the device's operations in this context, and a function to be called when an action is over."""
    nor, hal = device.nor, device.hal
    moments: list[Moment] = []
    image = nor.save()

    def over() -> None:
        nonlocal image
        image = nor.save()

    def keep(op: str, at: int, data: bytes) -> None:
        moments.append(Moment(op, at, data, image, tuple(hal.history), device.truth))

    def before(op: str, args: tuple) -> None:
        over()
        keep(op, args[0], args[1] if op == "program" else b"")

    nor.before = before
    hal.before_write = lambda after: keep("retained", 0, after)
    yield moments, over
    nor.before = None


def record_moments(kind: type[Subject], store: Store, seed: int, length: int) -> list[Moment]:
    """Runs a workload of `length` actions, with resets but without power cuts; returns its operations."""
    rng = random.Random(f"{seed}/life")
    nor, hal = Nor(store.sectors), Hal()
    store.prepare(nor)
    device = Device(kind, store, nor, hal, Truth())
    with keep_moments(device) as (moments, over):
        device.boot(PWRON)
        device.begin()
        for _ in range(length):
            device.act(rng.choices(ACTS, WEIGHTS)[0], rng)
            over()
    return moments


@dataclass(slots=True)
class Excess:
    """The over-count of a recovery, and the bound that the ledger stated for it, in octets."""

    octets: int = 0
    bound: int = 0


def judge(device: Device, bad: int) -> Excess:
    """Compares what a boot recovered with the truth. `bad`: failures since the ledger was last exact."""
    ledger, truth = device.ledger, device.truth
    if ledger.lost:
        raise Failure("double", "the counts were lost")
    if ledger.boot_id <= truth.boot_id:
        raise Failure("double", f"boot id {ledger.boot_id} was used twice")
    excess = Excess()
    for name, used, unsure, spent in (
        ("rated", ledger.rated.value(), ledger.rated_unsure.value(), truth.rated),
        ("carried", ledger.carried.value(), ledger.carried_unsure.value(), truth.carried),
    ):
        if used < spent:
            raise Failure("under", f"{name}: {used} counted of {spent}")
        over = used - spent - truth.under_way
        if over > unsure:
            raise Failure("bound", f"{name}: {over} too many, {unsure} stated")
        if over > STEP * (1 + bad):
            raise Failure("bound", f"{name}: {over} too many after {bad} failures")
        excess.octets = max(excess.octets, over)
        excess.bound = max(excess.bound, unsure)
    if ledger.cycle_id < truth.begun or ledger.cycle_id > truth.cycle_id:
        raise Failure("double", f"cycle {ledger.cycle_id}, and {truth.begun} had begun")
    _judge_orders(device)
    device.note(boot_id=ledger.boot_id)
    return excess


def _judge_orders(device: Device) -> None:
    ledger, truth = device.ledger, device.truth
    counter, times, effect = (field(ledger, at) for at in (0, 4, 8))
    if not truth.acked <= counter <= truth.sent:
        raise Failure("double", f"order {truth.acked} was applied, the ledger has {counter}")
    if times != counter:
        raise Failure("double", f"{times} orders were applied up to order {counter}")
    if effect != effect_of(counter) or ledger.reasons >> 16 != effect_of(counter) & 255:
        raise Failure("double", f"the effect is not that of order {counter}")
    if ledger.reasons & 0xFFFF not in (truth.stop, truth.next_stop):
        raise Failure("double", "a stop was lost")


def carry_on(device: Device) -> None:
    """Repeats the orders that were not acknowledged and one that was, starts a due cycle, and checks its usage."""
    ledger, truth = device.ledger, device.truth
    for counter in (truth.acked, truth.sent):
        ledger.order(counter)
    device.note(acked=truth.sent)
    if field(ledger, 4) != truth.sent:
        raise Failure("double", f"order {truth.sent} was applied twice")
    if ledger.cycle_id < truth.cycle_id:
        device.begin()
    for name, used, base, spent in (
        ("rated", ledger.rated.value(), ledger.rated_base.value(), truth.rated - truth.rated_base),
        ("carried", ledger.carried.value(), ledger.carried_base.value(), truth.carried - truth.carried_base),
    ):
        if used - base < spent:
            raise Failure("double", f"{name}: {used - base} of the cycle's {spent} counted")


def settle(device: Device) -> None:
    """Makes what the ledger recovered the truth."""
    ledger, truth = device.ledger, device.truth
    device.note(
        rated=ledger.rated.value(), carried=ledger.carried.value(), under_way=0,
        stop=ledger.reasons & 0xFFFF, next_stop=ledger.reasons & 0xFFFF, begun=ledger.cycle_id,
        rated_base=truth.rated_base + ledger.rated.value() - truth.rated,
        carried_base=truth.carried_base + ledger.carried.value() - truth.carried,
    )  # fmt: skip


def recover(device: Device, cause: int, crashes: list[Cut], rng: random.Random, bad: int = 1) -> Excess | None:
    """Boots once with each cut of `crashes`, then without one, and judges. None when a boot ends before its cut."""
    for n, cut in enumerate(crashes):
        device.nor.boot(cut)
        try:
            device.kind(device.hal, device.store.attach(device.nor), LEASE_MAX).open()
            return None
        except PowerCut:
            if cause == PWRON:
                device.hal.retained = forgotten(device.hal.history, rng)
        bad += n + 1
    device.nor.boot()
    device.hal.cause = cause
    device.ledger = device.kind(device.hal, device.store.attach(device.nor), LEASE_MAX)
    device.ledger.open()
    return judge(device, bad)


def forgotten(history: list[bytes], rng: random.Random) -> bytes:
    """Retained memory after a power loss: random bytes, or one of its earlier contents."""
    return rng.randbytes(RETAINED) if rng.random() < 0.5 else rng.choice(history)


def crc_into(buf: bytearray, n: int, out: bytearray, at: int) -> None:
    """As `core.crc.crc32_into`, but in C; `tests/core` compares the two."""
    out[at : at + 4] = zlib.crc32(memoryview(buf)[:n]).to_bytes(4, "little")


def crc_ok(buf: bytearray, n: int, at: int) -> bool:
    return zlib.crc32(memoryview(buf)[:n]).to_bytes(4, "little") == buf[at : at + 4]


@contextlib.contextmanager
def fast() -> Iterator[None]:
    """A context in which the records' checksums are computed by zlib."""
    with mock.patch.object(ring_module, "crc32_into", crc_into), mock.patch.object(ring_module, "crc32_ok", crc_ok):
        yield
