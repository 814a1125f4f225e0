"""Writes and reads an open socket with the heap locked: any allocation raises MemoryError. Reports by events."""

import socket
import time

import micropython

SIZES = (1, 16, 1460, 4000)
HOST = ("echo", 7)


def write_all(sock, buf):
    micropython.heap_lock()
    try:
        return sock.write(buf)
    finally:
        micropython.heap_unlock()


def read_into(sock, buf):
    micropython.heap_lock()
    try:
        return sock.readinto(buf)
    finally:
        micropython.heap_unlock()


def exchange(sock, size):
    """Echoes `size` octets through calls under the lock; True when they came back as they went."""
    out = bytes(i & 255 for i in range(size))
    if write_all(sock, out) != size:
        return False
    back = bytearray(size)
    piece = bytearray(size)
    got = 0
    while got < size:
        n = read_into(sock, piece)
        back[got : got + n] = piece[:n]
        got += n
    return bytes(back) == out


def main(guard):
    time.sleep(200)  # the guard's first report, which opens a socket of its own, is over
    sock = socket.socket()
    sock.connect(HOST)
    leases = guard.ledger._ring.writes
    for round_ in range(8):
        for size in SIZES:
            try:
                code = "heap-ok" if exchange(sock, size) else "heap-garbled"
            except MemoryError:
                code = "heap-allocated"
            guard.hal.event(code, size, round_)
            time.sleep_ms(3)
    guard.hal.event("heap-leases", guard.ledger._ring.writes - leases)
    sock.close()
