"""The keys of an order (SPEC.md, "Orders"), and the state of the account that the ledger stores.

The values of an order are absolute, and its counter only rises: a repeated order changes nothing, an older one is
refused.
"""

# Keys of an order
STOP = 1
LIMIT = 2
THROTTLE = 3
EXPIRY = 4
BALANCE = 5
CARRIER_USED = 6
GRANT = 7
SET_USED = 8
ACCEPT = 9
RELEASE = 10
BILLING = 11
NEW_SIM = 12
ALLOWANCE = 13
HOLD = 14
DIAGNOSE = 15
REPORT_NOW = 16
OPERATOR = 17

FEN_MIN = -(1 << 30)
COUNTER_MAX = (1 << 30) - 1

# Name and octets of what is stored, in this order; integers, little-endian. SPEC.md says what they mean.
FIELDS = (
    ("counter", 4),
    ("limit", 7),
    ("throttle", 3),
    ("kept", 1),
    ("expiry_day", 2),
    ("balance_known", 1),
    ("balance", 4),
    ("balance_cost", 4),
    ("balance_cycle", 2),
    ("grant_cycle", 2),
    ("granted", 7),
    ("valid_day", 2),
    ("valid_second", 3),
    ("learned", 2),
    ("held", 1),
    ("billing_day", 2),
    ("billing_guessed", 1),
    ("charged", 42),
    ("allowance", 7),
    ("next_allowance", 7),
    ("sim", 4),
)
_SIGNED = ("balance", "balance_cost")
_BIAS = 1 << 31


class Standing:
    """The FIELDS as attributes, read from `buf` when made and written by `store`. All are zero before the first
    order."""

    def __init__(self, buf):
        self._buf = buf
        at = 0
        for name, octets in FIELDS:
            value = int.from_bytes(bytes(buf[at : at + octets]), "little")
            if name in _SIGNED and value:
                value -= _BIAS
            setattr(self, name, value)
            at += octets

    def store(self):
        """Writes the fields to `buf`, which the ledger stores with its next record."""
        at = 0
        for name, octets in FIELDS:
            value = getattr(self, name)
            if name in _SIGNED:
                value += _BIAS
            self._buf[at : at + octets] = value.to_bytes(octets, "little")
            at += octets
