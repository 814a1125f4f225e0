"""One long connection: a WebSocket with a ping each minute, and a message each ten."""

import os
import socket
import time


def send(sock, opcode, data):
    mask = os.urandom(4)
    masked = bytes(octet ^ mask[i % 4] for i, octet in enumerate(data))
    sock.write(bytes((0x80 | opcode, 0x80 | len(data))) + mask + masked)


def receive(sock):
    head = sock.read(2)
    return head[0] & 15, sock.read(head[1] & 127) if head[1] & 127 else b""


def main(guard):
    sock = socket.socket()
    sock.settimeout(60)
    sock.connect(("live.example", 8001))
    sock.write(
        b"GET /live HTTP/1.1\r\nHost: live.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    while sock.readline() not in (b"\r\n", b""):
        pass
    minute = 0
    while True:
        send(sock, 9, b"")
        receive(sock)
        if minute % 10 == 0:
            send(sock, 1, b'{"minute": %d, "state": "ok"}' % minute)
        minute += 1
        time.sleep(60)
