"""Takes all the memory there is, tries to use the network for some minutes, and gives the memory back."""

import socket


def fetch():
    sock = socket.socket()
    try:
        sock.settimeout(60)
        sock.connect(("echo", 7))
        sock.write(b"back\n")
        return len(sock.read(5))
    finally:
        sock.close()


def main(guard):
    held = []
    try:
        while True:
            held.append(bytearray(1024))
    except MemoryError:
        pass
    for _ in range(20):
        try:
            fetch()
        except (OSError, MemoryError):
            guard.hal.event("app-refused")
        guard.sleep(20_000)
    held.clear()
    guard.hal.event("app-fetched", fetch())
    guard.sleep(3_600_000)
