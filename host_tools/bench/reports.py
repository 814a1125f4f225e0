"""Reports of many devices, sealed as a device seals them, and CoAP clients that send them and repeat what is lost."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import hmac
import random
import select
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cbor2
from aiocoap.numbers.constants import TransportTuning

_PROTECTED = bytes.fromhex("a10104")
_LIFE_OCTETS = _SIM_OCTETS = 4
_CONTINUED = 18  # fields of a report without life id and SIM
CHANGED = 0x44
_COAP = TransportTuning()
_PATIENCE_S = 60
_GATHER_S = 0.001  # answers, as a network card does: to wake a waiting process costs the one that answers, too
_LOOK_S = 0.1  # between looks for what is to be sent again


def name(number: int) -> str:
    return f"device-{number:06}"


def key(device: str) -> bytes:
    return hashlib.sha256(device.encode()).digest()


def life(number: int) -> bytes:
    """A device's life id."""
    return key(name(number))[:_LIFE_OCTETS]


def keys(count: int) -> dict[str, bytes]:
    return {name(number): key(name(number)) for number in range(count)}


def fields(number: int, seq: int, verdict: int = 0, applied: int = 0) -> list[Any]:
    """Report `seq` of a device; the first one is a full one, which tells its life and SIM. `applied`: its last order's
    counter."""
    octets = 1000 * (seq + 1)
    told: list[Any] = [3, 1, seq, 305, octets, octets, 0, 0, 65_536, verdict, 0, 0, 0, 0, 4, applied, 0, 0]
    if seq == 0:
        told += [life(number), number.to_bytes(_SIM_OCTETS, "big"), 700, 3, 1, 0, 0, 45, 21, 0]
    return told


def sealed(number: int, seq: int, verdict: int = 0, applied: int = 0) -> bytes:
    device = name(number)
    kid = device.encode()
    payload = cbor2.dumps(fields(number, seq, verdict, applied))
    external = b"R" + life(number) + kid if seq else b"U" + kid
    tag = hmac.digest(key(device), cbor2.dumps(["MAC0", _PROTECTED, external, payload]), "sha256")[:8]
    return cbor2.dumps([_PROTECTED, {4: kid}, payload, tag])


def request(blob: bytes, message_id: int, token: bytes) -> bytes:
    return struct.pack(">BBH", 0x40 | len(token), 2, message_id & 0xFFFF) + token + b"\xb1r\xff" + blob


@dataclass
class Sent:
    """How many were acknowledged with 2.04, how many given up, how many datagrams it took, and how long."""

    acknowledged: int
    lost: int
    datagrams: int
    seconds: float


def steadily(port: int, requests: list[bytes], window: int) -> Sent:
    """Sends requests whose tokens are their places in the list, of which `window` wait for an answer at a time.

    RuntimeError: none was acknowledged for long.
    """
    waiting: dict[int, float] = {}
    done = datagrams = place = 0
    with _to(port) as device:
        begun = looked = heard = time.perf_counter()
        while done < len(requests):
            while place < len(requests) and len(waiting) < window:
                waiting[place] = time.perf_counter() + _COAP.ACK_TIMEOUT
                datagrams += _sent(device, requests[place])
                place += 1
            before = done
            time.sleep(_GATHER_S)
            for token in _answers(device, 0.2):
                done += waiting.pop(token, None) is not None
            now = time.perf_counter()
            if done > before:
                heard = now
            elif now - heard > _PATIENCE_S:
                raise RuntimeError(f"{len(requests) - done:,} reports are not acknowledged")
            if now - looked < _LOOK_S:
                continue
            looked = now
            for token, due in waiting.items():
                if due < now:
                    waiting[token] = now + _COAP.ACK_TIMEOUT
                    datagrams += _sent(device, requests[token])
        return Sent(done, 0, datagrams, time.perf_counter() - begun)


def storm(port: int, requests: list[bytes], seconds: float, seed: int) -> Sent:
    """Sends each request at a random time within `seconds`, and repeats it as RFC 7252 4.2 has it until it is answered
    or given up."""
    rng = random.Random(seed)
    first = [(rng.uniform(0, seconds), token, 0, 0.0) for token in range(len(requests))]
    heapq.heapify(first)
    waiting = set(range(len(requests)))
    lost = datagrams = 0
    with _to(port) as device:
        begun = time.perf_counter()
        while waiting:
            now = time.perf_counter() - begun
            while first and first[0][0] <= now:
                _, token, repeated, timeout = heapq.heappop(first)
                if token not in waiting:
                    continue
                if repeated > _COAP.MAX_RETRANSMIT:
                    waiting.discard(token)
                    lost += 1
                    continue
                timeout = timeout * 2 or _COAP.ACK_TIMEOUT * rng.uniform(1, _COAP.ACK_RANDOM_FACTOR)
                heapq.heappush(first, (now + timeout, token, repeated + 1, timeout))
                datagrams += _sent(device, requests[token])
            pause = first[0][0] - now if first else 0.1
            waiting.difference_update(_answers(device, min(max(pause, 0), 0.05)))
        return Sent(len(requests) - lost, lost, datagrams, time.perf_counter() - begun)


def _to(port: int) -> socket.socket:
    device = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    device.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    device.setblocking(False)
    device.connect(("127.0.0.1", port))
    return device


def _sent(device: socket.socket, datagram: bytes) -> int:
    with contextlib.suppress(OSError):  # as lost as any other
        device.send(datagram)
    return 1


def _answers(device: socket.socket, pause: float) -> Iterator[int]:
    """The tokens of what was answered with 2.04: all that is there, after waiting for the first one."""
    select.select([device], [], [], pause)
    while True:
        try:
            reply = device.recv(2048)
        except OSError:
            return
        if reply[1] == CHANGED:
            yield int.from_bytes(reply[4 : 4 + (reply[0] & 0x0F)], "big")
