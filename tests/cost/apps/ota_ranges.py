"""Downloads a file in ranges, each over a connection of its own."""

import socket
import time

SIZE = 48 * 1024
CHUNK = 4096


def fetch(first):
    sock = socket.socket()
    sock.settimeout(60)
    sock.connect(socket.getaddrinfo("files.example", 8000)[0][-1])
    try:
        sock.write(b"GET /firmware.bin HTTP/1.1\r\nHost: files.example\r\n")
        sock.write(b"Range: bytes=%d-%d\r\nConnection: close\r\n\r\n" % (first, first + CHUNK - 1))
        while True:
            line = sock.readline()
            if not line or line == b"\r\n":
                break
        got = 0
        while got < CHUNK:
            octets = sock.read(min(512, CHUNK - got))
            if not octets:
                break
            got += len(octets)
        return got
    finally:
        sock.close()


def main(guard):
    while True:
        for first in range(0, SIZE, CHUNK):
            fetch(first)
        time.sleep(86_400)
