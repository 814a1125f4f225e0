"""The records that travel upstream and back: CBOR arrays, authenticated by `usageguard.core.mac`.

Octets in a report are cumulative over the device's life, with their value at the period's start beside them:
any later report makes good for a lost one.
"""

from usageguard.core import cbor
from usageguard.core.cycle import DAY_SECONDS

VERSION = 1


def encode_report(
    boot_id,
    seq,
    cycle_id,
    carried_octets,
    rated_octets,
    carried_base,
    rated_base,
    error_bound_octets,
    level,
    reasons,
    warned,
    app_restarts,
    crash_code,
    reporting_reason,
):
    """The octets of a report; all fields are integers.

    `level`, `reasons` and `warned` are those of Policy, `reporting_reason` of TS 32.299 section 7.2.175.
    """
    return cbor.encode(
        [
            VERSION,
            boot_id,
            seq,
            cycle_id,
            carried_octets,
            rated_octets,
            carried_base,
            rated_base,
            error_bound_octets,
            level,
            reasons,
            warned,
            app_restarts,
            crash_code,
            reporting_reason,
        ]
    )


def decode_ack(octets):
    """(day, second), the server's time in UTC, out of an acknowledgement. ValueError if it is none."""
    fields = cbor.decode(octets)
    if type(fields) is not list or len(fields) != 3 or fields[0] != VERSION:
        raise ValueError("no acknowledgement")
    _, day, second = fields
    if type(day) is not int or type(second) is not int:
        raise ValueError("no acknowledgement")
    if not 0 <= day < 1 << 16 or not 0 <= second < DAY_SECONDS:
        raise ValueError("acknowledgement: no such time")
    return day, second
