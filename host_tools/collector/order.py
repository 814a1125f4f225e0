"""Orders that a device receives with the acknowledgement of a report (SPEC.md, "Orders")."""

from __future__ import annotations

from typing import Annotated, Any

import cbor2
import msgspec

from host_tools.base import paths

paths.use_firmware()

from usageguard.config.load import MAX_CLASSES  # noqa: E402
from usageguard.core.account import standing as o  # noqa: E402
from usageguard.core.account.orders import SHAPES  # noqa: E402

__all__ = ["MAX_CLASSES", "MAX_COUNTER", "Order", "limits", "o"]

MAX_COUNTER = o.COUNTER_MAX


def limits(key: int, part: int = 0) -> tuple[int, int]:
    """The least and the greatest value that the device takes for a part of the order `key`."""
    return SHAPES[key][part]


def _range(key: int, part: int = 0) -> msgspec.Meta:
    low, high = limits(key, part)
    return msgspec.Meta(ge=low, le=high)


class Balance(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """The balance after `cost_fen` of the cycle's out-of-plan cost was taken off it; negative: arrears."""

    cycle_id: Annotated[int, _range(o.BALANCE, 0)]
    balance_fen: Annotated[int, _range(o.BALANCE, 1)]
    cost_fen: Annotated[int, _range(o.BALANCE, 2)]


class CarrierUsed(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """The carrier's figure for the cycle as of (day, second) UTC, and the device's own lifetime figure as of then."""

    cycle_id: Annotated[int, _range(o.CARRIER_USED, 0)]
    octets: Annotated[int, _range(o.CARRIER_USED, 1)]
    day: Annotated[int, _range(o.CARRIER_USED, 2)]
    second: Annotated[int, _range(o.CARRIER_USED, 3)]
    rated_octets: Annotated[int, _range(o.CARRIER_USED, 4)]


class Grant(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """What the SIM may use of the pool in the whole cycle; valid for `valid_s` from the acknowledgement's time on."""

    cycle_id: Annotated[int, _range(o.GRANT, 0)]
    granted_octets: Annotated[int, _range(o.GRANT, 1)]
    valid_s: Annotated[int, _range(o.GRANT, 2)]
    pool_octets: Annotated[int, _range(o.GRANT, 3)]


class SetUsed(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """Corrects the usage of the cycle to `octets`."""

    cycle_id: Annotated[int, _range(o.SET_USED, 0)]
    octets: Annotated[int, _range(o.SET_USED, 1)]


class Allowance(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """The allowance of the cycle `cycle_id` alone, or with `following` 1 of all cycles after it; 0 for the plan's."""

    cycle_id: Annotated[int, _range(o.ALLOWANCE, 0)]
    octets: Annotated[int, _range(o.ALLOWANCE, 1)]
    following: Annotated[int, _range(o.ALLOWANCE, 2)]


class Order(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One order; a key that is None is left out. Every value is absolute, so the last one of each key counts.

    `counter` increases with each order to a device: the device ignores an order that it has, and refuses an older one.
    `limit` and `throttle` 0 remove the limit; `expiry` and `billing` are days since 2000-01-01 in the plan's zone.
    `hold` is a bitmap of classes, by their place in the device's configuration. `operator` 0 has the modem choose.
    The constructor checks nothing; `checked` and `decode` check against the device's own table of ranges.
    """

    counter: Annotated[int, msgspec.Meta(ge=1, le=MAX_COUNTER)]
    stop: Annotated[int, _range(o.STOP)] | None = msgspec.field(default=None, name="1")
    limit: Annotated[int, _range(o.LIMIT)] | None = msgspec.field(default=None, name="2")
    throttle: Annotated[int, _range(o.THROTTLE)] | None = msgspec.field(default=None, name="3")
    expiry: Annotated[int, _range(o.EXPIRY)] | None = msgspec.field(default=None, name="4")
    balance: Balance | None = msgspec.field(default=None, name="5")
    carrier_used: CarrierUsed | None = msgspec.field(default=None, name="6")
    grant: Grant | None = msgspec.field(default=None, name="7")
    set_used: SetUsed | None = msgspec.field(default=None, name="8")
    accept: Annotated[int, _range(o.ACCEPT)] | None = msgspec.field(default=None, name="9")
    release: Annotated[int, _range(o.RELEASE)] | None = msgspec.field(default=None, name="10")
    billing: Annotated[int, _range(o.BILLING)] | None = msgspec.field(default=None, name="11")
    new_sim: Annotated[int, _range(o.NEW_SIM)] | None = msgspec.field(default=None, name="12")
    allowance: Allowance | None = msgspec.field(default=None, name="13")
    hold: Annotated[int, _range(o.HOLD)] | None = msgspec.field(default=None, name="14")
    diagnose: Annotated[int, _range(o.DIAGNOSE)] | None = msgspec.field(default=None, name="15")
    report_now: Annotated[int, _range(o.REPORT_NOW)] | None = msgspec.field(default=None, name="16")
    operator: Annotated[int, _range(o.OPERATOR)] | None = msgspec.field(default=None, name="17")

    def fields(self) -> tuple[int, dict[int, Any]]:
        """Counter and map, as an acknowledgement carries them."""
        known = msgspec.to_builtins(self, enc_hook=int)  # the kinds of int that have units
        return known.pop("counter"), {int(key): value for key, value in known.items()}

    def names(self) -> list[str]:
        """The names of its keys, as attributes."""
        return [name for name in self.__struct_fields__[1:] if getattr(self, name) is not None]

    def targets(self) -> dict[str, str]:
        """Its names by what each one sets: the allowance of this period, and that of later ones, are two things."""
        later = self.allowance is not None and self.allowance.following
        return {f"next_{name}" if later and name == "allowance" else name: name for name in self.names()}

    def without(self, other: Order) -> Order:
        """This order without the keys that set what `other` sets; it may have none left."""
        theirs = other.targets()
        twice = [name for target, name in self.targets().items() if target in theirs]
        return msgspec.structs.replace(self, **dict.fromkeys(twice))

    def encode(self) -> bytes:
        """`fields` as CBOR; the same order always gives the same octets."""
        return cbor2.dumps(self.fields(), canonical=True)

    @classmethod
    def decode(cls, octets: bytes) -> Order:
        """The order in the octets of `encode`. ValueError where they are not an order."""
        try:
            counter, keys = cbor2.loads(octets)
            known = {str(key): value for key, value in keys.items()}
            return msgspec.convert({"counter": counter, **known}, cls)
        except (cbor2.CBORError, msgspec.ValidationError, AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"not an order: {error}") from None

    def checked(self) -> Order:
        """Returns itself. ValueError where a value is out of range, or the order has no key."""
        if len(self.fields()[1]) == 0:
            raise ValueError("not an order: it has no key")
        return Order.decode(self.encode())
