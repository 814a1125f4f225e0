"""The entry point of a simulated device: does what `main.py` does on a board, with the host's HAL."""

import binascii
import json
import os
import struct
import sys

from usageguard import app
from usageguard.core import crc

# By id, a buffer, kept as another would get its id, and what of it a checksum covers: a view that is made once, as a
# call may not allocate.
_contents = {}


def _crc32_into(buf, n, out, at):
    """As `core.crc.crc32_into`, in C: a record's takes the VM as long as all else that an exchange costs it."""
    known = _contents.get(id(buf))
    if known is None or len(known[1]) != n:
        known = _contents[id(buf)] = buf, memoryview(buf)[:n]
    struct.pack_into("<I", out, at, binascii.crc32(known[1]))


if sys.maxsize >> 32:  # elsewhere three of four checksums would be objects of the heap
    crc.crc32_into = _crc32_into  # before the ledger imports it

# CPython lacks MicroPython's older names of these modules, which published libraries import.
if sys.implementation.name == "cpython":
    for _name in ("binascii", "errno", "io", "json", "os", "re", "struct"):
        sys.modules["u" + _name] = __import__(_name)


def _load(name):
    with open(name) as file:
        return json.load(file)


def _configuration():
    from usageguard.config import load as config  # a local name, so that the validator can be freed

    return config.load(_load("config.json"))


def _tell_openings(guard):
    """Has an event for counting say the traffic class and the port of each connection, before it is opened."""
    admit = guard.admission.open
    admitted = [0]

    def admission_open(traffic_class, tcp, name_octets):
        admitted[0] = traffic_class
        return admit(traffic_class, tcp, name_octets)

    def told(connect):
        def connection_open(tcp, host, port):
            guard.hal.event("~opens", admitted[0], port)
            connect(tcp, host, port)

        return connection_open

    guard.admission.open = admission_open
    for connection in guard.modem.connections:
        connection.open = told(connection.open)


def _tell_waits(guard):
    """Has an event for counting say, for each send, how long its first octet has waited in the cork."""
    from usageguard.core.ticks import ticks_diff
    from usageguard.net import sockets

    write = sockets.socket.write
    since = {}  # by the connection's index, the ticks

    def socket_write(socket, buf, n=-1):
        connection = socket._connection
        if connection is not None and not connection.tx.any():
            since[connection.index] = guard.hal.ticks_ms()
        return write(socket, buf, n)

    def told(connection):
        take = connection._take_segment

        def take_segment():
            again = guard.modem.segment_owner is connection
            taken = take()
            if taken and not again and connection.owner is not None:
                now = guard.hal.ticks_ms()
                guard.hal.event("~waited", connection.traffic_class, ticks_diff(now, since.get(connection.index, now)))
                since[connection.index] = now  # what follows was held up by this one, or is new
            return taken

        return take_segment

    sockets.socket.write = socket_write
    for connection in guard.modem.connections:
        connection._take_segment = told(connection)


def main():
    configuration = _configuration()
    app.forget_configuration()  # as in `start.py`
    from usageguard.guard.guard import Guard
    from usageguard.hal import host, virtual

    hal = host.HostHal(host.FdLink(int(os.getenv("USAGEGUARD_FD"))))
    virtual.install(hal)
    bench = _load("bench.json")
    guard = Guard(hal, configuration)
    if bench.get("tells_openings"):
        _tell_openings(guard)
    if bench.get("tells_waits"):
        _tell_waits(guard)
    # Imported late, as on a board, so that `import socket` in the application finds the guard's.
    app.run(guard, lambda guard: __import__(bench["app"]).main(guard))
