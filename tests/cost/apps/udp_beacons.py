"""A datagram each minute, to an address."""

import socket
import time


def main(guard):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True:
        sock.sendto(b"7;31.2304;121.4737;0;0", ("203.0.113.77", 5000))
        time.sleep(60)
