"""Names over PPP (RFC 1035): by our own question, as lwIP's would hold up the program, and nobody would count it."""

from usageguard.compat import const
from usageguard.modem.connection import OPENING, Deadline

_PORT = const(53)
_LOOKUP_MS = const(5_000)
_TRIES = const(2)
_POLL_MS = const(50)
_OCTETS = const(512)  # RFC 1035 4.2.1: the longest answer
_HEADER = const(12)
_A = b"\0\1\0\1"  # type A, class IN


def question(name, ident):
    """The octets of a recursive query; ValueError where `name` cannot be one."""
    octets = bytearray((ident >> 8, ident & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    for label in name.split("."):
        label = label.encode()
        if not 0 < len(label) < 64:
            raise ValueError
        octets.append(len(label))
        octets.extend(label)
    octets.append(0)
    octets.extend(_A)
    return octets


def _past_name(octets, at):
    while octets[at]:
        if octets[at] >= 0xC0:
            return at + 2
        at += 1 + octets[at]
    return at + 1


def answer(octets, asked):
    """(address, TTL) of the answer to the question `asked`: (None, 0) for no such name, None for no answer to it."""
    if octets[:2] != asked[:2] or len(octets) < len(asked) or not octets[2] & 0x80:
        return None
    if octets[_HEADER : len(asked)] != asked[_HEADER:]:
        return None
    at = len(asked)
    try:
        for _ in range(octets[6] << 8 | octets[7]):
            at = _past_name(octets, at)
            size = octets[at + 8] << 8 | octets[at + 9]
            if octets[at : at + 4] == _A and size == 4:
                ttl = (octets[at + 5] & 0x3F) << 16 | octets[at + 6] << 8 | octets[at + 7]
                return "%d.%d.%d.%d" % tuple(octets[at + 10 : at + 14]), ttl
            at += 10 + size
    except (IndexError, TypeError):  # cut
        return None
    return None, 0


def look_up(connection, host):
    """Generator: the address of `host`, None for none; one lookup at a time."""
    modem = connection.modem
    names = modem.names
    while names.left(modem.now) and connection.state == OPENING:
        yield from connection.pause(_POLL_MS)
    names.begin(host, modem.now, _TRIES * _LOOKUP_MS)
    socket = None
    modem.sockets += 1
    try:
        socket = modem.link.socket(False)
        ident = modem.hal.random(2)
        asked = question(host, ident[0] << 8 | ident[1])
        socket.connect((modem.link.dns, _PORT))
        for _ in range(_TRIES):
            while not modem.flowing and connection.state == OPENING:
                yield from connection.pause(_POLL_MS)
            if not modem.admits_datagram(connection, len(asked)):
                break
            socket.write(asked)
            due = Deadline()
            due.set(modem.now, _LOOKUP_MS)
            while connection.state == OPENING and not due.due(modem.now):
                got = bytearray(_OCTETS)
                n = socket.readinto(got)
                if n:
                    modem.count_datagram(connection, n)
                    found = answer(got[:n], asked)
                    if found:
                        names.answered(found[0], found[1], modem.now)
                        return found[0]
                yield from connection.pause(_POLL_MS)
            if connection.state != OPENING:
                break
    except (OSError, ValueError):
        pass
    finally:
        modem.sockets -= 1
        if socket is not None:
            socket.close()
    names.pending = None
    return None
