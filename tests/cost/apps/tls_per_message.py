"""A TLS connection for each message."""

import socket
import ssl
import time


def main(guard):
    while True:
        sock = socket.socket()
        sock.settimeout(60)
        sock.connect(("tls.example", 8443))
        secure = ssl.wrap_socket(sock)
        secure.write(b"reading 21.5\n")
        secure.readline()
        secure.close()
        sock.close()
        time.sleep(1800)
