"""TLS over the guard's socket: verified, then written and read with the heap locked, and once with the wrong name."""

import socket

import micropython
import tls

HOST = ("tls.example", 443)


def connect(name):
    sock = socket.socket()
    sock.connect(HOST)
    context = tls.SSLContext(tls.PROTOCOL_TLS_CLIENT)
    with open("ca.der", "rb") as file:
        context.load_verify_locations(file.read())
    context.verify_mode = tls.CERT_REQUIRED
    return context.wrap_socket(sock, server_hostname=name)


def locked(call, buf):
    micropython.heap_lock()
    try:
        return call(buf)
    finally:
        micropython.heap_unlock()


def main(guard):
    event = guard.hal.event
    guard.sleep(200_000)  # the guard's first report, which opens a socket of its own, is over
    stream = connect("tls.example")
    event("tls-verified")
    for size in (1, 16, 1460, 4000):
        out = bytes(i & 255 for i in range(size))
        back = bytearray(size)
        piece = bytearray(size)
        sent = got = 0
        try:
            while sent < size:
                sent += locked(stream.write, memoryview(out)[sent:])
            while got < size:
                n = locked(stream.readinto, piece)
                back[got : got + n] = piece[:n]
                got += n
            event("tls-echoed" if bytes(back) == out else "tls-garbled", size)
        except MemoryError:
            event("tls-allocated", size)
    stream.close()
    try:
        connect("other.example")
        event("tls-accepted-a-stranger")
    except (OSError, ValueError):
        event("tls-refused-a-stranger")
