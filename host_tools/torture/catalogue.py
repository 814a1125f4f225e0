"""The trials by name."""

from __future__ import annotations

import contextlib
import random

from host_tools.torture import trials
from host_tools.torture.device import Subject, fast
from host_tools.torture.nor import Nor
from host_tools.torture.stores import STORES
from host_tools.torture.trials import Caught, Context, Tally, Trial
from host_tools.torture.undone import undone

TRIALS: dict[str, Trial] = {
    "cuts": trials.cuts,
    "rot": trials.rot,
    "sectors": trials.sectors,
    "blank": trials.blank,
    "foreign": trials.foreign,
    "fading": trials.fading,
    "undone": undone,
}


def run_trial(
    trial: str, kind: type[Subject], store: str, seed: int, length: int, share: float = 1.0, control: bool = False
) -> Tally:
    """Runs a trial of `length` actions and of `share` of its sampled cases; a `control` only until it fails."""
    place = STORES[store]()
    tally = Tally(stop_at_once=control)
    rng = random.Random(f"{seed}/{trial}")
    context = Context(kind, place, seed, length, share, tally, Nor(place.sectors), rng)
    with fast(), contextlib.suppress(Caught):
        TRIALS[trial](context)
    return tally
