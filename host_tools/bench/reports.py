"""Reports of many devices, sealed as a device seals them, and CoAP clients that send them and repeat what is lost."""

from __future__ import annotations

import contextlib
import hashlib
import heapq
import hmac
import itertools
import random
import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
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
_UDP_SEGMENT = 103  # Linux, <linux/udp.h>
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
    """How many were acknowledged with 2.04, and how many in a second while all addresses had more to send, as of those
    one process may have less than another; how many were given up, how many datagrams it took, how long, and how much
    of a processor."""

    acknowledged: int
    a_second: float
    lost: int
    datagrams: int
    seconds: float
    processor_s: float


def steadily(port: int, requests: Sequence[Sequence[bytes]], at_once: int) -> Sent:
    """Sends requests whose tokens are their places in their list. Each list has a socket of its own, as it were a
    device's address, that sends so many at once, no more than 64, and the next when all of these are answered.

    RuntimeError: none was acknowledged for long.
    """
    with contextlib.ExitStack() as stack:
        flights = [_Flight(stack.enter_context(_to(port)), some, at_once) for some in requests]
        poll = stack.enter_context(select.epoll())
        by_number = {each.device.fileno(): each for each in flights}
        for number in by_number:
            poll.register(number, select.EPOLLIN)
        count = sum(map(len, requests))
        done = 0
        a_second = 0.0
        begun = looked = heard = time.perf_counter()
        processor_s = time.process_time()
        datagrams = sum(each.go_on() for each in flights)
        while done < count:
            before = done
            for number, _ in poll.poll(_LOOK_S):
                flight = by_number[number]
                done += flight.hear()
                if not flight.waiting:
                    datagrams += flight.go_on()
                if not flight.waiting and not a_second:
                    a_second = done / (time.perf_counter() - begun)
            now = time.perf_counter()
            if done > before:
                heard = now
            elif now - heard > _PATIENCE_S:
                raise RuntimeError(f"{count - done:,} reports are not acknowledged")
            if now - looked > _LOOK_S:
                looked = now
                datagrams += sum(each.repeat() for each in flights if each.due < now)
            time.sleep(_GATHER_S)
        return Sent(done, a_second, 0, datagrams, time.perf_counter() - begun, time.process_time() - processor_s)


class _Flight:
    """The requests of one socket, by their tokens, of which some wait for an answer until `due`."""

    def __init__(self, device: socket.socket, requests: Sequence[bytes], most: int) -> None:
        self.device = device
        self.waiting: dict[int, bytes] = {}
        self.due = 0.0
        self._requests = enumerate(requests)
        self._most = most

    def go_on(self) -> int:
        """Sends the next ones; returns how many."""
        self.waiting = dict(itertools.islice(self._requests, self._most))
        return self.repeat()

    def repeat(self) -> int:
        """Sends those that wait."""
        self.due = time.perf_counter() + _COAP.ACK_TIMEOUT
        for size, some in itertools.groupby(self.waiting.values(), len):
            # Linux cuts it into datagrams of that size: of the processor, a datagram is to cost its receiver the most.
            cut = (socket.IPPROTO_UDP, _UDP_SEGMENT, struct.pack("=H", size))
            with contextlib.suppress(OSError):  # as lost as any other
                self.device.sendmsg([*some], [cut])
        return len(self.waiting)

    def hear(self) -> int:
        """How many of them are answered now."""
        before = len(self.waiting)
        for token in _answers(self.device):
            self.waiting.pop(token, None)
        return before - len(self.waiting)


def storm(port: int, requests: list[bytes], seconds: float, seed: int) -> Sent:
    """Sends each request at a random time within `seconds`, and repeats it as RFC 7252 4.2 has it until it is answered
    or given up."""
    rng = random.Random(seed)
    first = [(rng.uniform(0, seconds), token, 0, 0.0) for token in range(len(requests))]
    heapq.heapify(first)
    waiting = set(range(len(requests)))
    lost = datagrams = 0
    with _to(port) as device:
        begun, processor_s = time.perf_counter(), time.process_time()
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
            select.select([device], [], [], min(max(pause, 0), 0.05))
            waiting.difference_update(_answers(device))
        taken = time.perf_counter() - begun
        acknowledged = len(requests) - lost
        return Sent(acknowledged, acknowledged / taken, lost, datagrams, taken, time.process_time() - processor_s)


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


def _answers(device: socket.socket) -> Iterator[int]:
    """The tokens of what was answered with 2.04: all that is there."""
    while True:
        try:
            reply = device.recv(2048)
        except OSError:
            return
        if reply[1] == CHANGED:
            yield int.from_bytes(reply[4 : 4 + (reply[0] & 0x0F)], "big")
