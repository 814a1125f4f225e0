"""A debug log over one connection that nobody took out."""

import socket
import time


def main(guard):
    sock = socket.socket()
    sock.connect(("log.example", 514))
    count = 0
    while True:
        sock.send(b"<7>1 meter-7 app - - - loop %d: state=IDLE rssi=-71 queue=0\n" % count)
        count += 1
        time.sleep(15)
