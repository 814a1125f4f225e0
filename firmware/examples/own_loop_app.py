"""An application with a loop of its own: it never blocks in a socket, and steps the guard itself."""

import socket
import time

HOST = ("echo.example", 7)


def main(guard):
    sock = socket.socket()
    sock.connect(HOST)
    sock.setblocking(False)
    buffer = bytearray(64)
    asked = answered = 0
    while answered < 3:
        due = guard.step_now()
        if asked == answered:
            sock.write(b"turn %d\n" % asked)
            asked += 1
        got = sock.readinto(buffer)
        if got:
            answered += 1
            guard.hal.event("example-line", got, answered)
        time.sleep_ms(min(due, 1_000))
    sock.close()
