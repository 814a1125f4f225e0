"""Goes back to a cycle that a wrong clock had ended too early, or that another plan has. Loaded when that happens.

The ledger keeps the bases of two cycles: those of the present one, and in `ledger.other` those of the cycle that was
charged before it, or that was left by `reopen`.
"""

from struct import pack_into, unpack_from

from usageguard.core.octets import WIDTH, Octets


def reopen(ledger, cycle_id):
    """Makes an earlier cycle the present one of `ledger`, which the next `commit` stores. What was used since it began
    counts in it; nothing is forgotten if the cycle that is left begins again (`resume`).

    A third cycle, earlier than both, is a loss (`Ledger.lost`). ValueError if the cycle is not earlier than the present
    one.
    """
    if not 0 < cycle_id < ledger.cycle_id:
        raise ValueError("not an earlier cycle")
    other_id = unpack_from("<H", ledger.other)[0]
    if cycle_id <= other_id:
        ledger.lost = ledger.lost or cycle_id < other_id
        _exchange(ledger)
    # Otherwise it began after the other one ended: all that was used since then is taken to be its.
    ledger.start(cycle_id)


def resume(ledger, cycle_id):
    """Gives `ledger` the bases of a cycle that was left by `reopen` and begins again; False if it is another one."""
    if unpack_from("<H", ledger.other)[0] != cycle_id:
        return False
    _exchange(ledger)
    return True


def inherit(ledger, cycle_id):
    """The plan is another one, by which the present cycle is `cycle_id` or a later one. The next one to begin inherits
    all of the present one; one that began earlier, what was used since the one before, or else in the whole life. To be
    stored. What the present one has used stays the same or grows."""
    if cycle_id < ledger.cycle_id:
        other_id = unpack_from("<H", ledger.other)[0]
        if 0 < other_id < ledger.cycle_id:
            _exchange(ledger)
        if cycle_id < other_id:
            for figure in (ledger._rated, ledger._carried):
                figure.base.set(Octets())
                figure.unsure.set(figure.used)
        ledger.cycle_id = cycle_id
    for figure in (ledger._rated, ledger._carried):
        figure.next_base.set(figure.base)
    ledger._doubt_before.set(Octets())


def _exchange(ledger):
    """The other cycle's bases become the present one's, and the reverse. The error bound of its count is not known any
    more: all of it counts as unsure."""
    other = ledger.other
    ledger.doubt.set(Octets())  # that of the other cycle is not kept: all that it counts is taken as used
    pack_into("<H", other, 0, ledger.cycle_id)
    at = 2
    kept = Octets()
    for used, base, unsure in (
        (ledger.rated, ledger.rated_base, ledger.rated_unsure),
        (ledger.carried, ledger.carried_base, ledger.carried_unsure),
    ):
        kept.unpack_from(other, at)
        base.pack_into(other, at)
        base.set(kept)
        unsure.set(used)
        unsure.sub(base)
        at += WIDTH
