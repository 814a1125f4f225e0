"""Reports as a device would make them, built with pycose: for tests that want no firmware in them."""

import cbor2
from pycose.algorithms import HMAC25664
from pycose.headers import KID, Algorithm
from pycose.keys.symmetric import SymmetricKey
from pycose.messages.mac0message import Mac0Message

DEVICE = "tracker-001"
KEY = bytes(range(32))
KEYS = {DEVICE: KEY, "tracker-002": bytes(32)}

FIELDS = {
    "version": 1,
    "boot_id": 3,
    "seq": 0,
    "cycle_id": 305,
    "carried_octets": 12_345_678,
    "rated_octets": 12_345_678,
    "carried_base": 0,
    "rated_base": 0,
    "error_bound_octets": 65_536,
    "verdict": 0,
    "reasons": 0,
    "warned": 0,
    "app_restarts": 0,
    "crash_code": 0,
    "reporting_reason": 4,
    "counter": 0,
    "refused": 0,
    "cost_fen": 0,
}
WITHOUT_ORDERS = 15
"""Fields of a report of a firmware that takes no orders: the first ones of FIELDS."""


def fields(**changed):
    return list((FIELDS | changed).values())


def sealed(device=DEVICE, key=KEY, payload=None, direction=b"U", **changed):
    kid = device.encode()
    return Mac0Message(
        phdr={Algorithm: HMAC25664},
        uhdr={KID: kid},
        payload=cbor2.dumps(fields(**changed)) if payload is None else payload,
        external_aad=direction + kid,
        key=SymmetricKey(k=key),
    ).encode(tag=False)
