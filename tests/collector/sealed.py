"""Reports as a device would make them, built with pycose: for tests that want no firmware in them."""

import hmac

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
LIFE = b"\x01\xabLF"
WITHOUT_ORDERS = 15
"""Fields of a report of a firmware that takes no orders: the first ones of FIELDS."""


SIM = b"\x12\x34\x56\x78"
DETAILS = {
    "packets": 700,
    "sessions": 3,
    "registration": 1,
    "reject_cause": 0,
    "cme": 33,
    "rsrp": 45,
    "rsrq": 21,
    "modem_restarts": 2,
}


def full(**changed):
    """A full report's array, of version 3."""
    return list((FIELDS | {"version": 3} | {"life_id": LIFE, "sim": SIM, "cause": 0} | DETAILS | changed).values())


def fields(life_id=b"", **changed):
    """A report's array: of version 1, or with a `life_id` a full one of version 2."""
    versioned = {"version": 2} if life_id else {}
    return [*(FIELDS | versioned | changed).values(), *([life_id] if life_id else [])]


def sealed(device=DEVICE, key=KEY, payload=None, direction=b"U", **changed):
    kid = device.encode()
    return Mac0Message(
        phdr={Algorithm: HMAC25664},
        uhdr={KID: kid},
        payload=cbor2.dumps(fields(**changed)) if payload is None else payload,
        external_aad=direction + kid,
        key=SymmetricKey(k=key),
    ).encode(tag=False)


def brief(before, life_id=LIFE, key=KEY, device=DEVICE, **changed):
    """A brief report in the state of the report whose array is `before`, by the standard library's HMAC."""
    names = [*FIELDS]
    told = {"seq": 9, "carried_octets": 5_000, "rated_octets": 6_000, "error_bound_octets": 700} | changed
    payload = b"".join(map(cbor2.dumps, told.values()))
    state = [value for name, value in zip(names, before, strict=False) if name not in (*told, "reporting_reason")]
    aad = b"B" + life_id + device.encode() + cbor2.dumps(state)
    structure = cbor2.dumps(["MAC0", b"\xa1\x01\x04", aad, payload])
    return payload + life_id + hmac.digest(key, structure, "sha256")[:8]


def routine(life_id=LIFE, **changed):
    """A sealed report of version 2 that leaves its life id to the MAC."""
    return sealed(direction=b"R" + life_id, **{"version": 2} | changed)
