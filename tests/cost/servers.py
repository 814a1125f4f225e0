"""Real servers on loopback for the applications: files in ranges, a WebSocket, and TLS."""

import contextlib
import re
import socketserver
import ssl
import threading
from pathlib import Path


class _Handler(socketserver.StreamRequestHandler):
    def head(self) -> bytes:
        lines = b""
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            lines += line
        return lines


class Ranges(_Handler):
    def handle(self):
        asked = re.search(rb"bytes=(\d+)-(\d+)", self.head())
        n = int(asked[2]) - int(asked[1]) + 1
        self.wfile.write(b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n\r\n" % n + bytes(n))


class WebSocket(_Handler):
    def handle(self):
        self.head()
        self.wfile.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        while len(head := self.rfile.read(2)) == 2:
            self.rfile.read(4 + (head[1] & 127))
            if head[0] & 15 == 9:
                self.wfile.write(b"\x8a\x00")


class Line(_Handler):
    def handle(self):
        self.wfile.write(self.rfile.readline())


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        """A device that leaves in the middle is no error of the test's."""


@contextlib.contextmanager
def serving(handler, pem: Path | None = None):
    """Yields the address of a server."""
    with _Server(("127.0.0.1", 0), handler) as server:
        if pem:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(pem)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
