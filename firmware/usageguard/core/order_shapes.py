"""Which values an order may have (SPEC.md, "Orders")."""

from usageguard.core import orders as o
from usageguard.core.cycle import DAY_SECONDS

_ID = (0, 0xFFFF)
_DAY = (0, 0xFFFF)
_OCTETS = (0, 1 << 50)
_FEN = (o.FEN_MIN, (1 << 30) - 1)
# Key: ranges of its values; of more than one it is a list.
_SHAPES = {
    o.STOP: ((0, 1),),
    o.LIMIT: (_OCTETS,),
    o.THROTTLE: ((0, 1 << 24),),
    o.EXPIRY: (_DAY,),
    o.BALANCE: (_ID, _FEN, _FEN),
    o.CARRIER_USED: (_ID, _OCTETS, _DAY, (0, DAY_SECONDS - 1), _OCTETS),
    o.GRANT: (_ID, _OCTETS, (1, 1 << 29), _OCTETS),
    o.SET_USED: (_ID, _OCTETS),
    o.ACCEPT: ((1, 1),),
    o.RELEASE: ((1, 1),),
    o.BILLING: ((1, 0xFFFF),),
}


def check(counter, orders):
    """ValueError unless these are an order's counter and content: then nothing of it may be applied."""
    if type(counter) is not int or not 0 < counter <= o.COUNTER_MAX or type(orders) is not dict:
        raise ValueError("no order")
    for key in orders:
        shape = _SHAPES.get(key) if type(key) is int else None
        values = orders[key]
        if shape is None:
            raise ValueError("order: unknown key")
        if len(shape) == 1:
            values = (values,)
        elif type(values) is not list or len(values) != len(shape):
            raise ValueError("order: no such value")
        for i, (low, high) in enumerate(shape):
            if type(values[i]) is not int or not low <= values[i] <= high:
                raise ValueError("order: no such value")
