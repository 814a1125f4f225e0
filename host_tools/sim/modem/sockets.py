"""The modem's own TCP/IP sockets (Quectel EC200U & EG915U TCP/IP Application Note V1.1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from host_tools.sim.clock import Timer
from host_tools.sim.modem.command import CONNECT, NO_CARRIER, PENDING, AtError, Part, Reply, Setting, command
from host_tools.sim.modem.data import BROKEN, CONTEXTS, UP, Context
from host_tools.sim.modem.parser import EXEC, READ, WRITE
from host_tools.sim.modem.resolver import Resolver
from host_tools.sim.modem.stream import Stream
from host_tools.sim.network import dns
from host_tools.sim.network.packet import Address
from host_tools.sim.network.tcp import CLOSED, TcpConnection

if TYPE_CHECKING:
    from host_tools.sim.modem.device import SimModem

SOCKETS = 12
MAX_SEND = 1460
MAX_READ = 1500
INITIAL, OPENING, CONNECTED, LISTENING, CLOSING = range(5)  # <socket_state>
BUFFER, PUSH, TRANSPARENT = range(3)  # <access_mode>
SEND_OK, SEND_FAIL = "SEND OK", "SEND FAIL"


class SocketError(AtError):
    """Ends a TCP/IP command with ERROR; AT+QIGETERROR tells the code (Application Note chapter 4)."""

    def __init__(self, code: int) -> None:
        self.code = code


class Socket:
    """One <connectID>."""

    __slots__ = (
        "connection", "context", "datagrams", "id", "kind", "local_port", "mode", "read_octets", "remote",
        "sent", "signalled", "state", "timer",
    )  # fmt: skip

    def __init__(self, number: int, kind: str, context: Context, mode: int) -> None:
        self.id, self.kind, self.context, self.mode = number, kind, context, mode
        self.state = OPENING
        self.remote: Address = ("0.0.0.0", 0)
        self.local_port = 0
        self.connection: TcpConnection | None = None
        self.datagrams: deque[tuple[bytes, Address]] = deque()
        self.signalled = False  # "recv" was reported and the buffer not drained since
        self.sent = self.read_octets = 0
        self.timer: Timer | None = None

    @property
    def unread(self) -> int:
        if self.connection is not None:
            return self.connection.readable
        return sum(len(data) for data, _ in self.datagrams)


class Sockets(Part):
    """Sockets 0..11. TCP LISTENER is not offered (a carrier's NAT lets nothing in)."""

    settings = (Setting("+QISDE", "(0,1)", "1", "TCP/IP 2.4.18"),)

    def __init__(self, modem: SimModem) -> None:
        super().__init__(modem)
        self.sockets: dict[int, Socket] = {}
        self.last_error = 0
        self.refused_sends = 0  # the next so many find the buffer full, for faults
        self.options = dict(_OPTIONS)
        self._resolver = Resolver(modem)
        self._stream: Stream | None = None
        self._closing: Socket | None = None  # AT+QICLOSE waits for it

    def start(self) -> None:
        self.last_error = 0
        self.options = dict(_OPTIONS)

    def stop(self) -> None:
        self.sockets.clear()
        self._resolver.forget()
        self._stream = self._closing = None

    def _fail(self, code: int) -> SocketError:
        self.last_error = code
        return SocketError(code)

    def _integer(
        self, args: tuple[str, ...], at: int, low: int, high: int, default: int | None = None
    ) -> int:
        try:
            return self.modem.integer(args, at, low, high, default)
        except AtError:
            raise self._fail(552) from None

    def _socket(self, args: tuple[str, ...]) -> Socket:
        socket = self.sockets.get(self._integer(args, 0, 0, SOCKETS - 1))
        if socket is None:
            raise self._fail(550)
        self.last_error = 0
        return socket

    # --- contexts ---

    def _context(self, args: tuple[str, ...]) -> Context:
        return self.modem.data.contexts[self._integer(args, 0, 1, CONTEXTS)]

    def _live_context(self, args: tuple[str, ...]) -> Context:
        context = self._context(args)
        if context.state != UP:
            raise self._fail(570 if context.state == BROKEN else 561)
        return context

    def _activate(self, args: tuple[str, ...]) -> Context:
        context = self._context(args)
        self.modem.sim.require()
        if context.state == BROKEN:
            raise self._fail(570)
        if context.cid not in self.modem.data.definitions:
            raise self._fail(573)
        self.last_error = 561 if self.modem.data.activate(context.cid) else 0
        return context

    @command("+QIACT", WRITE, test=f"(1-{CONTEXTS})", manual="TCP/IP 2.4.3")
    def _qiact(self, args: tuple[str, ...]) -> Reply:
        self._activate(args)
        if self.last_error:
            raise self._fail(self.last_error)
        return None

    @command("+QIACT", READ)
    def _active(self, args: tuple[str, ...]) -> Reply:
        return [
            f'+QIACT: {c.cid},1,1,"{c.ip}"' for c in self.modem.data.contexts.values() if c.state == UP
        ] or None

    @command("+QIACTEX", WRITE, test=f"(1-{CONTEXTS}),(0,1)", manual="TCP/IP 2.4.5")
    def _qiactex(self, args: tuple[str, ...]) -> Reply:
        view = self._integer(args, 1, 0, 1, 0)
        context = self._activate(args)
        shown = f',1,"{context.ip}"' if view and not self.last_error else ""
        self.modem.after(1, self.modem.urc, f"+QIACTEX: {context.cid},{self.last_error}{shown}")
        return None

    @command("+QIDEACT", WRITE, test=f"(1-{CONTEXTS})", manual="TCP/IP 2.4.4")
    def _qideact(self, args: tuple[str, ...]) -> Reply:
        self.modem.data.deactivate(self._context(args).cid)
        self.last_error = 0
        return None

    @command("+QIDEACTEX", WRITE, test=f"(1-{CONTEXTS})", manual="TCP/IP 2.4.6")
    def _qideactex(self, args: tuple[str, ...]) -> Reply:
        self._qideact(args)
        self.modem.after(1, self.modem.urc, f"+QIDEACTEX: {args[0]},0")
        return None

    def context_down(self, cid: int, *, forget: bool) -> None:
        """The context goes; its sockets are dead at once, and gone with `forget` (AT+QIDEACT)."""
        for socket in [s for s in self.sockets.values() if s.context.cid == cid]:
            opening = socket.state == OPENING
            self._kill(socket)
            if forget:
                del self.sockets[socket.id]
            elif opening:
                self._opened(socket, 570)
        self._resolver.context_down(cid)

    def _kill(self, socket: Socket) -> None:
        """No more packets from or to this socket; what has arrived stays readable."""
        socket.state = CLOSING
        if socket.timer is not None:
            socket.timer.cancel()
        if socket.connection is not None:
            socket.connection.drop()
        if self._stream is not None and self._stream.socket is socket:
            self._end_stream(NO_CARRIER)
        if self._closing is socket:
            self.modem.after(0, self._closed, socket)

    # --- opening ---

    @command(
        "+QIOPEN",
        WRITE,
        test=f'(1-{CONTEXTS}),(0-{SOCKETS - 1}),"TCP/UDP/UDP SERVICE","<IP_address>/<domain_name>",'
        "<remote_port>,<local_port>,(0-2)",
        manual="TCP/IP 2.4.7",
    )
    def _qiopen(self, args: tuple[str, ...]) -> Reply:
        if len(args) < 5:
            raise self._fail(552)
        number = self._integer(args, 1, 0, SOCKETS - 1)
        kind, host = args[2].upper(), args[3]
        port = self._integer(args, 4, 0, 65_535)
        local_port = self._integer(args, 5, 0, 65_535, 0)
        mode = self._integer(args, 6, BUFFER, TRANSPARENT, BUFFER)
        if kind not in ("TCP", "UDP", "UDP SERVICE"):
            raise self._fail(555 if kind == "TCP LISTENER" else 552)
        if not host or (kind == "UDP SERVICE" and not local_port) or (mode == TRANSPARENT and kind != "TCP"):
            raise self._fail(552)
        context = self._live_context(args)
        if number in self.sockets:
            raise self._fail(563)
        self.last_error = 0
        socket = self.sockets[number] = Socket(number, kind, context, mode)
        socket.local_port = local_port
        timeout = self._integer(args, 8, 10, 150, self.profile.sockets.connect_timeout_ms // 1000)
        socket.timer = self.modem.after(timeout * 1000, self._opened, socket, 566)
        # The URC follows the OK, however fast the peer is.
        self.modem.after(1, self._find, socket, host, port)
        return PENDING if mode == TRANSPARENT else None

    def _find(self, socket: Socket, host: str, port: int) -> None:
        if socket.kind == "UDP SERVICE" or _is_ip(host):
            self._connect(socket, (host, port))
        else:
            self._resolver.resolve(socket.context, host, lambda ips: self._found(socket, ips, port))

    def _found(self, socket: Socket, ips: Sequence[str], port: int) -> None:
        if socket.state != OPENING:
            return
        if ips:
            self._connect(socket, (ips[0], port))
        else:
            self._opened(socket, 565)

    def _connect(self, socket: Socket, remote: Address) -> None:
        stack = socket.context.stack
        if stack is None or socket.state != OPENING:
            return
        socket.remote = remote
        if socket.kind != "TCP":
            socket.local_port = stack.bind(
                socket.local_port, lambda data, source: self._datagram(socket, data, source)
            )
            self._opened(socket, 0)
            return
        try:
            connection = stack.open(remote, socket.local_port)
        except OSError:
            self._opened(socket, 556)
            return
        socket.connection = connection
        socket.local_port = connection.local[1]
        connection.on_connected = lambda: self._opened(socket, 0)
        connection.on_readable = lambda: self._arrived(socket)
        connection.on_peer_closed = lambda: self._peer_closed(socket)
        connection.on_closed = lambda reason: self._peer_closed(socket)
        connection.connect()

    def _opened(self, socket: Socket, error: int) -> None:
        if socket.timer is not None:
            socket.timer.cancel()
            socket.timer = None
        if error and socket.connection is not None:
            socket.connection.on_closed = _ignore
            socket.connection.drop()
        socket.state = INITIAL if error else CONNECTED
        self.last_error = error
        if socket.mode != TRANSPARENT:
            self.modem.urc(f"+QIOPEN: {socket.id},{error}")
        elif error:
            del self.sockets[socket.id]
            self.modem.fail(SocketError(error))
        else:
            self._begin_stream(socket)

    # --- names ---

    @command("+QIDNSGIP", WRITE, test=f"(1-{CONTEXTS}),<hostname>", manual="TCP/IP 2.4.17")
    def _qidnsgip(self, args: tuple[str, ...]) -> Reply:
        context = self._live_context(args)
        if len(args) < 2 or not args[1]:
            raise self._fail(552)
        self.last_error = 0
        self.modem.after(1, self._resolver.resolve, context, args[1], self._report_name)
        return None

    def _report_name(self, ips: Sequence[str]) -> None:
        if not ips:
            self.last_error = 565
            self.modem.urc('+QIURC: "dnsgip",565')
            return
        self.modem.urc(f'+QIURC: "dnsgip",0,{len(ips)},{dns.TTL_S}')
        for ip in ips:
            self.modem.urc(f'+QIURC: "dnsgip","{ip}"')

    @command("+QIDNSCFG", WRITE, test=f"(1-{CONTEXTS}),<pridnsaddr>,<secdnsaddr>", manual="TCP/IP 2.4.16")
    def _qidnscfg(self, args: tuple[str, ...]) -> Reply:
        context = self._live_context(args)
        if len(args) == 1:
            return f'+QIDNSCFG: {context.cid},"{context.dns}","0.0.0.0"'
        if not all(_is_ip(address) for address in args[1:]):
            raise self._fail(552)
        context.dns = args[1]
        return None

    # --- sending ---

    @command("+QISEND", WRITE, test=f"(0-{SOCKETS - 1}),(0-{MAX_SEND})", manual="TCP/IP 2.4.10")
    def _qisend(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        length = self._integer(args, 1, 0, MAX_SEND, -1) if len(args) > 1 else -1
        if length == 0:
            unacked = socket.connection.unacked if socket.connection is not None else 0
            return f"+QISEND: {socket.sent},{socket.sent - unacked},{unacked}"
        if socket.state != CONNECTED:
            raise self._fail(567)
        remote = socket.remote
        if socket.kind == "UDP SERVICE":
            if len(args) < 4 or length < 0 or not _is_ip(args[2]):
                raise self._fail(552)
            remote = (args[2], self._integer(args, 3, 1, 65_535))
        values = self.modem.nvm.values
        return self.modem.prompt(
            lambda data: self._send(socket, remote, data),
            length=max(length, 0),
            echo=values["E"] == "1" and values["+QISDE"] == "1",
            timeout_ms=self.options["qisend/timeout"][0] * 1000,
            text=b"\r\n>\r\n" if self.options["formatcfg"][0] else b"\r\n> ",
        )

    def _send(self, socket: Socket, remote: Address, data: bytes | None) -> None:
        if data is None:
            raise self._fail(571)
        if self.options["dataformat"][0]:
            data = self._unhex(data)
        self.modem.finish(None, self._transmit(socket, remote, data))

    def _transmit(self, socket: Socket, remote: Address, data: bytes) -> str:
        if socket.state != CONNECTED or self.sockets.get(socket.id) is not socket:
            raise self._fail(567)
        if self.refused_sends:
            self.refused_sends -= 1
            return SEND_FAIL
        connection, stack = socket.connection, socket.context.stack
        if connection is not None:
            if len(data) > connection.room:
                return SEND_FAIL
            connection.send(data)
        elif stack is not None and data:
            stack.send_datagram(socket.local_port, remote, data)
        socket.sent += len(data)
        if self.options["sendinfo"][0]:
            free = connection.room if connection is not None else self.profile.sockets.send_octets
            self.modem.urc(f"+QISEND: {socket.id},0,{free}")
            return "OK"
        return SEND_OK

    @command("+QISENDEX", WRITE, test=f"(0-{SOCKETS - 1}),<hex_string>", manual="TCP/IP 2.4.12")
    def _qisendex(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        if len(args) < 2 or not args[1] or len(args[1]) > 1024 or socket.kind == "UDP SERVICE":
            raise self._fail(552)
        final = self._transmit(socket, socket.remote, self._unhex(args[1].encode("latin-1")))
        self.modem.finish(None, final)
        return PENDING

    def _unhex(self, text: bytes) -> bytes:
        try:
            return bytes.fromhex(text.decode("ascii"))
        except ValueError:
            raise self._fail(552) from None

    # --- receiving ---

    def _datagram(self, socket: Socket, data: bytes, source: Address) -> None:
        if socket.kind == "UDP" and source != socket.remote:
            return
        if socket.unread + len(data) <= self.profile.sockets.receive_octets:
            socket.datagrams.append((data, source))
            self._arrived(socket)

    def _arrived(self, socket: Socket) -> None:
        """Something is there to read: tells it once, pushes it, or streams it."""
        if socket.mode == BUFFER:
            if not socket.signalled:
                socket.signalled = True
                length = f",{socket.unread}" if self.options["recvind"][0] else ""
                self.modem.urc(f'+QIURC: "recv",{socket.id}{length}')
        elif socket.mode == PUSH:
            self._push(socket)
        elif self._stream is not None and self._stream.socket is socket and self.modem.streaming:
            data, _ = self._take(socket, MAX_READ)
            while data:
                self.modem.write(data)
                data, _ = self._take(socket, MAX_READ)

    def _push(self, socket: Socket) -> None:
        if self.modem.prompting:
            self.modem.after(_PUSH_RETRY_MS, self._push, socket)
            return
        data, source = self._take(socket, MAX_SEND)
        while data:
            header = f'+QIURC: "recv",{socket.id},{len(data)}'
            if socket.kind == "UDP SERVICE":
                header += f',"{source[0]}",{source[1]}'
            self.modem.push(header, self._shown(data))
            data, source = self._take(socket, MAX_SEND)

    def _take(self, socket: Socket, limit: int) -> tuple[bytes, Address]:
        """Up to `limit` octets for the host: of a stream, or of one datagram."""
        source = socket.remote
        if socket.connection is not None:
            data = socket.connection.read(limit)
        elif socket.datagrams:
            data, source = socket.datagrams.popleft()
            if len(data) > limit:
                socket.datagrams.appendleft((data[limit:], source))
                data = data[:limit]
        else:
            data = b""
        socket.read_octets += len(data)
        if not socket.unread:
            socket.signalled = False
        return data, source

    def _shown(self, data: bytes) -> bytes:
        return data.hex().upper().encode() if self.options["dataformat"][1] else data

    @command("+QIRD", WRITE, test=f"(0-{SOCKETS - 1}),(0-{MAX_READ})", manual="TCP/IP 2.4.11")
    def _qird(self, args: tuple[str, ...]) -> Any:
        socket = self._socket(args)
        limit = self._integer(args, 1, 0, MAX_READ, MAX_READ)
        if limit == 0 and len(args) > 1:
            unread = socket.unread
            return f"+QIRD: {socket.read_octets + unread},{socket.read_octets},{unread}"
        data, source = self._take(socket, limit)
        if not data:
            return "+QIRD: 0"
        header = f"+QIRD: {len(data)}"
        if socket.kind == "UDP SERVICE":
            header += f',"{source[0]}",{source[1]}'
        gap = b"," if self.options["viewmode"][0] else b"\r\n"
        return header.encode() + gap + self._shown(data)

    # --- closing ---

    def _peer_closed(self, socket: Socket) -> None:
        if socket.state == OPENING:
            self._opened(socket, 566)
        elif socket.state == CONNECTED:
            socket.state = CLOSING
            if self._stream is not None and self._stream.socket is socket:
                self._end_stream(NO_CARRIER)
                self._forget(socket)
            else:
                self.modem.urc(f'+QIURC: "closed",{socket.id}')

    @command("+QICLOSE", WRITE, test=f"(0-{SOCKETS - 1}),(0-65535)", manual="TCP/IP 2.4.8")
    def _qiclose(self, args: tuple[str, ...]) -> Reply:
        number = self._integer(args, 0, 0, SOCKETS - 1)
        timeout = self._integer(args, 1, 0, 65_535, self.profile.sockets.close_timeout_ms // 1000)
        socket = self.sockets.get(number)
        self.last_error = 0
        if socket is None:
            return None
        if socket.timer is not None:
            socket.timer.cancel()
        connection = socket.connection
        socket.state = CLOSING
        if connection is None or connection.state == CLOSED:
            self._forget(socket)
            return None
        connection.on_readable = connection.on_peer_closed = connection.on_connected = _nothing
        connection.on_closed = lambda reason: self._closed(socket)
        connection.close()
        if connection.state == CLOSED:
            self._forget(socket)
            return None
        self._closing = socket
        socket.timer = self.modem.after(timeout * 1000, self._force, socket)
        return PENDING

    def _force(self, socket: Socket) -> None:
        if socket.connection is not None:
            socket.connection.abort()
        self._closed(socket)

    def _closed(self, socket: Socket) -> None:
        if self._closing is not socket:
            return
        self._closing = None
        if socket.timer is not None:
            socket.timer.cancel()
        self._forget(socket)
        self.modem.finish()

    def _forget(self, socket: Socket) -> None:
        self.sockets.pop(socket.id, None)
        if socket.kind != "TCP" and socket.context.stack is not None:
            socket.context.stack.unbind(socket.local_port)
        if self.options["close/mode"][0]:
            self.modem.after(1, self.modem.urc, f'+QIURC: "closed",{socket.id}')

    # --- state ---

    def _row(self, socket: Socket) -> str:
        ip, port = socket.remote
        return (
            f'+QISTATE: {socket.id},"{socket.kind}","{ip}",{port},{socket.local_port},{socket.state},'
            f'{socket.context.cid},{socket.id},{socket.mode},"{self.profile.port}"'
        )

    @command("+QISTATE", EXEC, test="", manual="TCP/IP 2.4.9")
    @command("+QISTATE", READ)
    def _states(self, args: tuple[str, ...]) -> Reply:
        return [self._row(socket) for _, socket in sorted(self.sockets.items())] or None

    @command("+QISTATE", WRITE)
    def _state(self, args: tuple[str, ...]) -> Reply:
        if self._integer(args, 0, 0, 1):
            socket = self.sockets.get(self._integer(args, 1, 0, SOCKETS - 1))
            return self._row(socket) if socket is not None else None
        cid = self._integer(args, 1, 1, CONTEXTS)
        return [self._row(s) for _, s in sorted(self.sockets.items()) if s.context.cid == cid] or None

    @command("+QIGETERROR", EXEC, test="", manual="TCP/IP 2.4.19")
    def _error(self, args: tuple[str, ...]) -> Reply:
        return f"+QIGETERROR: {self.last_error},{_ERRORS[self.last_error]}"

    @command("+QICFG", WRITE, manual="TCP/IP 2.4.1")
    def _qicfg(self, args: tuple[str, ...]) -> Reply:
        name = args[0].lower()
        values = self.options.get(name)
        if values is None or len(args) > len(values) + 1:
            raise self._fail(552)
        if len(args) == 1:
            return f'+QICFG: "{name}",{",".join(map(str, values))}'
        given = [self._integer(args, i + 1, 0, 65_535, old) for i, old in enumerate(values)]
        self.options[name] = tuple(given)
        return None

    # --- transparent mode ---

    @command("+QISWTMD", WRITE, test=f"(0-{SOCKETS - 1}),(0-2)", manual="TCP/IP 2.4.13")
    def _qiswtmd(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        mode = self._integer(args, 1, BUFFER, TRANSPARENT)
        if socket.state != CONNECTED or (mode == TRANSPARENT and socket.kind != "TCP"):
            raise self._fail(572)
        socket.mode = mode
        if mode == TRANSPARENT:
            self._begin_stream(socket)
            return PENDING
        if socket.unread:
            self.modem.after(1, self._arrived, socket)
        return None

    @command("O", EXEC, manual="V.250 6.3.7")
    def _online(self, args: tuple[str, ...]) -> Reply:
        stream = self._stream
        if stream is None or stream.socket.state != CONNECTED:
            self.modem.finish(None, NO_CARRIER)
            return PENDING
        self._begin_stream(stream.socket)
        return PENDING

    def _begin_stream(self, socket: Socket) -> None:
        self._stream = Stream(self.modem, socket)
        self.modem.enter_stream(self._stream.take)
        self.modem.finish(None, CONNECT)
        self._arrived(socket)

    def _end_stream(self, final: str) -> None:
        self._stream = None
        if self.modem.streaming:
            self.modem.write(self.modem.frame(final))
            self.modem.leave_stream()


def _is_ip(text: str) -> bool:
    parts = text.split(".")
    return len(parts) == 4 and all(p.isascii() and p.isdigit() and len(p) < 4 and int(p) < 256 for p in parts)


def _nothing() -> None:
    pass


def _ignore(reason: str) -> None:
    pass


_PUSH_RETRY_MS = 20

# AT+QICFG: name -> defaults (Application Note 2.4.1)
_OPTIONS: dict[str, tuple[int, ...]] = {
    "transpktsize": (1024,),
    "transwaittm": (2,),
    "dataformat": (0, 0),
    "viewmode": (0,),
    "udp/sendmode": (0,),
    "udp/readmode": (0,),
    "tcp/accept": (1,),
    "passiveclosed": (0,),
    "tcp/twrecycle": (0,),
    "close/mode": (0,),
    "recvind": (0,),
    "sendinfo": (0,),
    "tcp/keepalive": (0, 7200, 75, 9),
    "tcp/retranscfg": (8, 6),
    "formatcfg": (0,),
    "qisend/timeout": (5,),
}

# Application Note chapter 4.
_ERRORS = {
    0: "operate successfully",
    550: "unknown error",
    551: "operation blocked",
    552: "invalid parameters",
    553: "memory not enough",
    554: "create socket failed",
    555: "operation not supported",
    556: "socket bind failed",
    557: "socket listen failed",
    558: "socket write failed",
    559: "socket read failed",
    560: "socket accept failed",
    561: "open PDP context failed",
    562: "close PDP context failed",
    563: "socket identity has been used",
    564: "DNS busy",
    565: "DNS parse failed",
    566: "socket connect failed",
    567: "socket has been closed",
    568: "operation busy",
    569: "operation timeout",
    570: "PDP context broken down",
    571: "cancel send",
    572: "operation not allowed",
    573: "APN not configured",
    574: "port busy",
}
