"""Orders: what the owner, or the platform through the owner, tells a device with an acknowledgement (SPEC.md)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import cbor2
import msgspec

MAX_COUNTER = (1 << 30) - 1

Flag = Literal[0, 1]
Done = Literal[1]
Cycle = Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
Day = Annotated[int, msgspec.Meta(ge=0, lt=1 << 16)]
Octets = Annotated[int, msgspec.Meta(ge=0, lt=1 << 54)]
Small = Annotated[int, msgspec.Meta(ge=0, lt=1 << 30)]
Fen = Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]


class Balance(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """The balance after `cost_fen` of the cycle's out-of-plan cost was taken off it; negative: arrears."""

    cycle_id: Cycle
    balance_fen: Fen
    cost_fen: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]


class CarrierUsed(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """The platform's figure for the cycle as of (day, second) UTC, and the device's own of its life as of then."""

    cycle_id: Cycle
    octets: Octets
    day: Day
    second: Annotated[int, msgspec.Meta(ge=0, lt=86_400)]
    rated_octets: Octets


class Grant(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What of the pool the SIM may use in the cycle, all told, for `valid_s` from the acknowledgement's time."""

    cycle_id: Cycle
    granted_octets: Octets
    valid_s: Small
    pool_octets: Octets


class SetUsed(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """The cycle's usage put right."""

    cycle_id: Cycle
    octets: Octets


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One order; a key that is None is not in it. Every value is absolute, so the last one of each key counts.

    `counter` goes up with each order of a device: an order that comes again has no effect, an older one is
    refused. `limit` and `throttle` 0 lift; `expiry` and `billing` are days since 2000-01-01 in the plan's zone.
    Nothing is checked when one is made; `checked` and `decode` do.
    """

    counter: Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNTER)]
    stop: Flag | None = msgspec.field(default=None, name="1")
    limit: Octets | None = msgspec.field(default=None, name="2")
    throttle: Small | None = msgspec.field(default=None, name="3")
    expiry: Day | None = msgspec.field(default=None, name="4")
    balance: Balance | None = msgspec.field(default=None, name="5")
    carrier_used: CarrierUsed | None = msgspec.field(default=None, name="6")
    grant: Grant | None = msgspec.field(default=None, name="7")
    set_used: SetUsed | None = msgspec.field(default=None, name="8")
    accept: Done | None = msgspec.field(default=None, name="9")
    release: Done | None = msgspec.field(default=None, name="10")
    billing: Day | None = msgspec.field(default=None, name="11")

    def fields(self) -> tuple[int, dict[int, Any]]:
        """Counter and map, as an acknowledgement carries them."""
        known = msgspec.to_builtins(self, enc_hook=int)  # the kinds of int that have units
        return known.pop("counter"), {int(key): value for key, value in known.items()}

    def encode(self) -> bytes:
        """`fields` as CBOR; the same order always gives the same octets."""
        return cbor2.dumps(self.fields(), canonical=True)

    @classmethod
    def decode(cls, octets: bytes) -> Order:
        """The order that `encode` gave these for. ValueError: it is none."""
        try:
            counter, keys = cbor2.loads(octets)
            known = {str(key): value for key, value in keys.items()}
            return msgspec.convert({"counter": counter, **known}, cls)
        except (cbor2.CBORError, msgspec.ValidationError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"no order: {error}") from None

    def checked(self) -> Order:
        """Itself. ValueError when a value is out of range, or nothing is ordered."""
        if len(self.fields()[1]) == 0:
            raise ValueError("no order: it orders nothing")
        return Order.decode(self.encode())
