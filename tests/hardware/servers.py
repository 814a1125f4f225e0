"""Serial ports on a network, as ser2net and pyserial's own example serve them: a raw one and one of RFC 2217."""

import contextlib
import socket
import threading

import serial
from serial.rfc2217 import PortManager


class _Pty(serial.Serial):
    """A pseudo-terminal has no modem lines; a server that sets them must not fail."""

    dtr = rts = True
    cts = dsr = ri = cd = True
    break_condition = False


class Server:
    """Serves one port, to one client after the other; opens it for each, as the port may have been away. A context."""

    def __init__(self, path, scheme):
        self._path, self._managed = path, scheme == "rfc2217"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._client = None
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.drop()
        self._thread.join()

    def drop(self):
        """The connection is lost."""
        if self._client:
            with contextlib.suppress(OSError):
                self._client.shutdown(socket.SHUT_RDWR)

    def _serve(self):
        while True:
            try:
                self._client, _ = self._listener.accept()
            except OSError:
                return
            with self._client, contextlib.suppress(OSError), _Pty(self._path, timeout=0.05) as port:
                self._relay(port, self._client)

    def _relay(self, port, client):
        write = threading.Lock()  # the manager answers from the thread that reads

        class Connection:
            def write(self, data):
                with write:
                    client.sendall(data)

        manager = PortManager(port, Connection()) if self._managed else None

        def to_client():
            with contextlib.suppress(OSError, TypeError):  # pyserial's, where another thread closed it
                while port.is_open:
                    data = port.read(port.in_waiting or 1)
                    if data:
                        Connection().write(b"".join(manager.escape(data)) if manager else data)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

        reader = threading.Thread(target=to_client, daemon=True)
        reader.start()
        while data := client.recv(4096):
            port.write(b"".join(manager.filter(data)) if manager else data)
        port.close()
        reader.join()
