"""A meter that asks its server for orders once in ten minutes."""

import socket

SERVER = ("api.example", 7000)
PERIOD_MS = 600_000
REPLY_OCTETS = 2_000


def ask():
    sock = socket.socket()
    try:
        sock.settimeout(60)
        sock.connect(SERVER)
        sock.write(b"UG\x00\x40" + REPLY_OCTETS.to_bytes(4, "big") + bytes(56))
        left = REPLY_OCTETS
        while left > 0:
            got = sock.read(min(left, 512))
            if not got:
                break
            left -= len(got)
    finally:
        sock.close()


def main(guard):
    while True:
        try:
            with guard.traffic("telemetry"):
                ask()
        except OSError:  # no network, or the guard holds it back: the next turn tries again
            pass
        guard.sleep(PERIOD_MS)
