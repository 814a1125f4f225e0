"""The trial of cycles that a wrong clock began and that are undone, while power is cut at any flash operation."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from host_tools.base import paths
from host_tools.torture.device import (
    FIRST_CYCLE,
    MOST,
    PWRON,
    WDT,
    Device,
    Failure,
    Hal,
    Moment,
    Truth,
    forgotten,
    keep_moments,
    recover,
    settle,
)
from host_tools.torture.trials import Context, at_moment, crash, effects

paths.use_firmware()

from usageguard.store.reopen import reopen  # noqa: E402 - found only now

FOLLOWED = 6  # steps after a recovery


@dataclass(frozen=True, slots=True)
class Step:
    """Octets to be used; or the cycle that becomes the present one, where `cycle_id` is not 0."""

    cycle_id: int = 0
    rated: int = 0
    carried: int = 0


@dataclass(frozen=True, slots=True)
class Undone(Truth):
    """`place`: the step under way. Of the present cycle and the other one that the ledger knows: the id, and what was
    used in a lifetime, rated and carried, when it began."""

    place: int = 0
    present: tuple[int, int, int] = (0, 0, 0)
    other: tuple[int, int, int] = (0, 0, 0)


def script(rng: random.Random, length: int) -> Iterator[Step]:
    """Usage, and cycles that begin, are undone and begin again, as far as the ledger knows their bases."""
    present, other = FIRST_CYCLE, 0
    yield Step(present)
    for _ in range(length):
        act = rng.random()
        if act < 0.6:
            yield Step(0, rng.randrange(1, rng.choice((1500, MOST))), rng.randrange(MOST))
            continue
        if act < 0.8 and 0 < other < present - 1:
            back = other if rng.random() < 0.7 else rng.randrange(other + 1, present)
            present, other = (other, present) if back == other else (back, other)
        else:
            later = other if other > present and rng.random() < 0.6 else present + rng.randrange(1, 60)
            present, other = later, present
        yield Step(present)


def take(device: Device, step: Step) -> None:
    """Carries out a step, unless it was carried out before."""
    ledger, truth = device.ledger, device.truth
    assert isinstance(truth, Undone)
    if not step.cycle_id:
        device.note(under_way=max(step.rated, step.carried))
        ledger.ensure(step.rated, step.carried)
        ledger.spend(step.rated, step.carried)
        device.note(rated=truth.rated + step.rated, carried=truth.carried + step.carried, under_way=0)
        ledger.within_cycle()
        return
    now = (step.cycle_id, truth.rated, truth.carried)
    if step.cycle_id == truth.present[0]:
        return
    ids = (truth.present[0], step.cycle_id)
    device.note(begun=min(ids), cycle_id=max(ids))
    if step.cycle_id > truth.present[0]:
        if ledger.cycle_id != step.cycle_id:
            ledger.new_cycle(step.cycle_id, True)
            ledger.commit()
        after = truth.other if truth.other[0] == step.cycle_id else now, truth.present
    else:
        if ledger.cycle_id != step.cycle_id:
            reopen(ledger, step.cycle_id)
            ledger.commit()
        if truth.other[0] == step.cycle_id:
            after = truth.other, truth.present
        else:
            after = (step.cycle_id, *truth.present[1:]), truth.other
    device.note(present=after[0], other=after[1], begun=step.cycle_id, cycle_id=step.cycle_id)


def check(device: Device) -> None:
    """Compares what was used in the present cycle with the truth."""
    ledger, truth = device.ledger, device.truth
    assert isinstance(truth, Undone)
    if ledger.lost or ledger.cycle_id != truth.present[0]:
        raise Failure("double", f"cycle {ledger.cycle_id}, lost {ledger.lost}, it is {truth.present[0]}")
    for name, used, spent in (
        ("rated", ledger.rated.diff(ledger.rated_base), truth.rated - truth.present[1]),
        ("carried", ledger.carried.diff(ledger.carried_base), truth.carried - truth.present[2]),
    ):
        if used < spent:
            raise Failure("double", f"{name}: {used} of the {spent} octets of cycle {truth.present[0]} counted")


def undone(context: Context) -> None:
    """Cuts the power in every operation of a script, with every effect, and once or twice more in the recovery."""
    rng, nor = context.rng, context.nor
    steps = [*script(random.Random(f"{context.seed}/undone"), context.length)]
    context.store.prepare(nor)
    device = Device(context.kind, context.store, nor, Hal(), Undone())
    with keep_moments(device) as (moments, _):
        try:
            device.boot(PWRON)
            for place, step in enumerate(steps):
                device.note(place=place)
                take(device, step)
                check(device)
        except Failure as failure:
            context.tally.fail(failure, f"seed {context.seed}, no cut")
            return
    for n, moment in enumerate(moments):
        if moment.op == "retained" or not moment.truth.cycle_id or n < 8:
            continue
        for cause in (PWRON, WDT):
            for cut in effects(moment, n, rng):
                if context.take():
                    crashes = [crash(rng.randrange(3), "prefix", rng) for _ in range(rng.choice((0, 0, 1, 2)))]
                    where = f"seed {context.seed}, moment {n} ({moment.op}), {cut.effect} {cut.amount}, cause {cause}"
                    _case(context, where, at_moment(context, moment, cut, cause), cause, crashes, moment, steps)


def _case(
    context: Context, where: str, device: Device, cause: int, crashes: list, moment: Moment, steps: list[Step]
) -> None:
    rng, tally = context.rng, context.tally
    truth = moment.truth
    assert isinstance(truth, Undone)
    tally.cases += 1
    try:
        if (excess := recover(device, cause, crashes, rng)) is None:
            return
        tally.note(excess)
        if device.ledger.cycle_id not in (truth.present[0], steps[truth.place].cycle_id):
            raise Failure("double", f"cycle {device.ledger.cycle_id}, it is {truth.present[0]}")
        _settle(device)
        for step in steps[truth.place : truth.place + FOLLOWED]:
            take(device, step)
            check(device)
        device.hal.retained = forgotten(device.hal.history, rng)
        if again := recover(device, PWRON, [], rng, bad=3 + len(crashes)):
            tally.note(again)
        check(device)
    except Failure as failure:
        tally.fail(failure, where)


def _settle(device: Device) -> None:
    """Makes what the ledger recovered the truth; what was used in each cycle stays as it is."""
    before = device.truth
    assert isinstance(before, Undone)
    settle(device)
    rated, carried = device.truth.rated - before.rated, device.truth.carried - before.carried
    cycles = ((each[0], each[1] + rated, each[2] + carried) for each in (before.present, before.other))
    present, other = cycles
    device.note(present=present, other=other)
