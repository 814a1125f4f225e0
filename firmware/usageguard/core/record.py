"""Encodes reports and decodes acknowledgements: CBOR arrays, authenticated by `usageguard.core.mac`.

Octets in a report are lifetime totals, with their value at the start of the period, so that any later report replaces a
lost one.
"""

from usageguard.core import cbor
from usageguard.core.cycle import DAY_SECONDS

_REPORT = 3  # version of the layout
_ACK = 1
_MOVING = (2, 4, 5, 8, 14)  # the fields of a report that a brief one tells, or implies: reporting_reason


def encode_report(*fields, life_id=b"", sim=b"", cause=0, details=()):
    """The octets of a report, whose fields are integers: boot_id, seq, cycle_id, carried_octets, rated_octets,
    carried_base, rated_base, error_bound_octets, level, reasons, warned, app_restarts, crash_code, reporting_reason,
    counter, refused, cost_fen. A full one has the `life_id` as well, the `sim`, 4 octets each, empty where it is not
    known, and the `cause` for which the device is offline (diagnose.causes), 0..23. It may have `details`, 8 integers
    that stay at their maximum: packets (32 bits), sessions, and what modem.base.Modem.evidence gives (-1..65535).

    `level`, `reasons` and `warned` are those of Policy, `reporting_reason` of TS 32.299 section 7.2.175, `counter` of
    the last order that was applied, `refused` the number of those refused.
    """
    items = _items(fields)
    if life_id:
        items += [life_id, sim, cause]
    most = 0xFFFFFFFF
    for n in details:
        items.append(max(-1, min(n, most)))
        most = 0xFFFF
    return cbor.encode(items)


def _items(fields):
    *others, refused, cost_fen = fields
    return [_REPORT] + others + [min(refused, 0xFFFF), min(cost_fen, 0xFFFFFFFF)]


def encode_state(*fields):
    """The octets of what a brief report, made of the same `fields` as a report, does not tell."""
    items = _items(fields)
    return cbor.encode([items[i] for i in range(len(items)) if i not in _MOVING])


def encode_brief(*fields):
    """The octets of a brief report: seq, the period's carried and rated octets, and their error bound."""
    seq, carried, rated, bound = fields[1], fields[3] - fields[5], fields[4] - fields[6], fields[7]
    return b"".join([cbor.encode(n) for n in (seq, carried, rated, bound)])


def decode_ack(octets):
    """(day, second, counter, orders) of an acknowledgement: the server's time in UTC, and its order, not yet checked
    (account.orders.check); counter 0 and None without an order. ValueError if `octets` are not an acknowledgement."""
    fields = cbor.decode(octets)
    if type(fields) is not list or len(fields) not in (3, 5) or fields[0] != _ACK:
        raise ValueError("not an acknowledgement")
    for at, limit in ((1, 1 << 16), (2, DAY_SECONDS)):
        if type(fields[at]) is not int or not 0 <= fields[at] < limit:
            raise ValueError("not a time")
    return tuple(fields + [0, None])[1:5]
