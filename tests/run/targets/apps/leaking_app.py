"""Opens a socket, forgets it and crashes."""

import socket


def main(guard):
    sock = socket.socket()
    sock.connect(("echo", 7))
    sock.write(b"x")
    raise OSError(42)
