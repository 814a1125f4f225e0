"""The records that travel upstream and back: CBOR arrays, authenticated by `usageguard.core.mac`.

Octets in a report are cumulative over the device's life, with their value at the period's start beside them:
any later report makes good for a lost one.
"""

from usageguard.core import cbor
from usageguard.core.cycle import DAY_SECONDS

VERSION = 1


def encode_report(*fields):
    """The octets of a report, whose fields are integers: boot_id, seq, cycle_id, carried_octets, rated_octets,
    carried_base, rated_base, error_bound_octets, level, reasons, warned, app_restarts, crash_code, reporting_reason,
    counter, refused, cost_fen.

    `level`, `reasons` and `warned` are those of Policy, `reporting_reason` of TS 32.299 section 7.2.175, `counter` of
    the last order that was applied, `refused` how many were not.
    """
    *others, refused, cost_fen = fields
    return cbor.encode([VERSION] + others + [min(refused, 0xFFFF), min(cost_fen, 0xFFFFFFFF)])


def decode_ack(octets):
    """(day, second, counter, orders) out of an acknowledgement: the server's time in UTC, and an order that came with
    it (not yet looked into: core.orders.check); counter 0 and None where there is none. ValueError if it is none."""
    fields = cbor.decode(octets)
    if type(fields) is not list or len(fields) not in (3, 5) or fields[0] != VERSION:
        raise ValueError("no acknowledgement")
    for at, limit in ((1, 1 << 16), (2, DAY_SECONDS)):
        if type(fields[at]) is not int or not 0 <= fields[at] < limit:
            raise ValueError("no such time")
    return tuple(fields + [0, None])[1:5]
