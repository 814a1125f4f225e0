"""The modem's own TCP/IP sockets (Quectel EC200U & EG915U TCP/IP Application Note V1.1)."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from host_tools.sim.modem.card import CardReader
from host_tools.sim.modem.command import Handler, command
from host_tools.sim.modem.data import BROKEN, CONTEXTS, TYPES, UP, Context, Data
from host_tools.sim.modem.dialects.quectel.options import OPTIONS
from host_tools.sim.modem.dialects.quectel.socket import (
    BUFFER,
    LISTENER,
    LISTENING,
    PUSH,
    STATES,
    TRANSPARENT,
    QuectelSocket,
)
from host_tools.sim.modem.dialects.quectel.stream import Stream
from host_tools.sim.modem.errors import AtError
from host_tools.sim.modem.nvm import Setting
from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE
from host_tools.sim.modem.port import CONNECT, NO_CARRIER, PENDING, Port, Reply
from host_tools.sim.modem.sockets import AFTER_OK_MS, Failure, Pushes, Sockets, State, is_ip
from host_tools.sim.network import dns
from host_tools.sim.network.packet import Address

SEND_OK, SEND_FAIL = "SEND OK", "SEND FAIL"


class SocketError(AtError):
    """Ends a TCP/IP command with ERROR; AT+QIGETERROR gives the code (Application Note chapter 4)."""

    def __init__(self, code: int) -> None:
        self.code = code


class QuectelSockets(Sockets[QuectelSocket]):
    """Sockets 0..11. At a TCP LISTENER nobody comes in: the carrier's NAT lets nothing through."""

    settings = (Setting("+QISDE", "(0,1)", "1", "TCP/IP 2.4.18"),)

    def __init__(
        self, port: Port, card_reader: CardReader, data: Data, rng: random.Random, resume_call: Handler
    ) -> None:
        super().__init__(port, rng)
        self._card_reader, self._data, self._resume_call = card_reader, data, resume_call
        self.last_error = 0
        self.options = _defaults()
        self._stream: Stream | None = None
        self._pushes = Pushes(port, self._push)

    def start(self) -> None:
        self.last_error = 0
        self._pushes.start()
        self.options = _defaults()

    def stop(self) -> None:
        super().stop()
        self._stream = None

    def fail(self, code: int) -> SocketError:
        """The error with this code, which AT+QIGETERROR tells from now on."""
        self.last_error = code
        return SocketError(code)

    def integer(self, args: tuple[str, ...], at: int, low: int, high: int, default: int | None = None) -> int:
        """Parameter `at` as an integer, as of `Port.integer`."""
        try:
            return self.port.integer(args, at, low, high, default)
        except AtError:
            raise self.fail(552) from None

    def text(self, args: tuple[str, ...], at: int) -> str:
        """Parameter `at` as text, which must be there."""
        if len(args) <= at or not args[at]:
            raise self.fail(552)
        return args[at]

    def _socket(self, args: tuple[str, ...]) -> QuectelSocket:
        socket = self.sockets.get(self.integer(args, 0, 0, self.profile.sockets.last))
        if socket is None:
            raise self.fail(550)
        self.last_error = 0
        return socket

    # --- contexts ---

    def _context(self, args: tuple[str, ...]) -> Context:
        return self._data.contexts[self.integer(args, 0, 1, CONTEXTS)]

    def live_context(self, args: tuple[str, ...]) -> Context:
        """The context that the first parameter names, which must be active."""
        context = self._context(args)
        if context.state != UP:
            raise self.fail(570 if context.state == BROKEN else 561)
        return context

    def _activate(self, args: tuple[str, ...]) -> Context:
        context = self._context(args)
        self._card_reader.require()
        if context.state == BROKEN:
            raise self.fail(570)
        if context.cid not in self._data.definitions:
            raise self.fail(573)
        self.last_error = 561 if self._data.activate(context.cid) else 0
        return context

    @command("+QIACT", WRITE, test=f"(1-{CONTEXTS})", manual="TCP/IP 2.4.3")
    def _qiact(self, args: tuple[str, ...]) -> Reply:
        self._activate(args)
        if self.last_error:
            raise self.fail(self.last_error)
        return None

    @command("+QIACT", READ)
    def _active(self, args: tuple[str, ...]) -> Reply:
        return [f"+QIACT: {row}" for row in self._rows()] or None

    def _rows(self) -> list[str]:
        """Each active context: number, state, type and addresses."""
        return [
            f"{c.cid},1,{TYPES[self._data.definitions[c.cid].kind]},{self._addresses(c)}"
            for c in self._data.contexts.values()
            if c.state == UP
        ]

    def _addresses(self, context: Context) -> str:
        """The IPv4 address; where the context's type has IPv6, one of that too, though nothing goes over it."""
        kind = self._data.definitions[context.cid].kind
        return f'"{context.ip}"' if kind == "IP" else f'"{context.ip}","{_ipv6(context.ip)}"'

    @command("+QIACTEX", READ)
    def _active_as_well(self, args: tuple[str, ...]) -> Reply:
        return [f"+QIACTEX: {row}" for row in self._rows()] or None

    @command("+QIACTEX", WRITE, test=f"(1-{CONTEXTS}),(0,1)", manual="TCP/IP 2.4.5")
    def _qiactex(self, args: tuple[str, ...]) -> Reply:
        view = self.integer(args, 1, 0, 1, 0)
        context = self._activate(args)
        kind = TYPES[self._data.definitions[context.cid].kind]
        shown = f",{kind},{self._addresses(context)}" if view and not self.last_error else ""
        self.port.after(AFTER_OK_MS, self.port.urc, f"+QIACTEX: {context.cid},{self.last_error}{shown}")
        return None

    @command("+QIDEACT", WRITE, test=f"(1-{CONTEXTS})", manual="TCP/IP 2.4.4")
    def _qideact(self, args: tuple[str, ...]) -> Reply:
        self._data.deactivate(self._context(args).cid)
        self.last_error = 0
        return None

    @command("+QIDEACTEX", WRITE, test=f"(1-{CONTEXTS})", manual="TCP/IP 2.4.6")
    def _qideactex(self, args: tuple[str, ...]) -> Reply:
        self._qideact(args)
        self.port.after(AFTER_OK_MS, self.port.urc, f"+QIDEACTEX: {args[0]},0")
        return None

    def killed(self, socket: QuectelSocket) -> None:
        if self._stream is not None and self._stream.socket is socket:
            self._end_stream(NO_CARRIER)

    # --- opening ---

    @command(
        "+QIOPEN",
        WRITE,
        test=f'(1-{CONTEXTS}),(0-{{sockets.last}}),"TCP/UDP/TCP LISTENER/UDP SERVICE","<IP_address>/<domain_name>",'
        "<remote_port>,<local_port>,(0-2)",
        manual="TCP/IP 2.4.7",
    )
    def _qiopen(self, args: tuple[str, ...]) -> Reply:
        if len(args) < 5:
            raise self.fail(552)
        number = self.integer(args, 1, 0, self.profile.sockets.last)
        kind, host = args[2].upper(), args[3]
        port = self.integer(args, 4, 0, 65_535)
        local_port = self.integer(args, 5, 0, 65_535, 0)
        mode = self.integer(args, 6, BUFFER, TRANSPARENT, BUFFER)
        if kind not in ("TCP", "UDP", LISTENER, "UDP SERVICE"):
            raise self.fail(552)
        serves = kind in (LISTENER, "UDP SERVICE")
        if not host or (serves and not local_port) or (mode == TRANSPARENT and kind != "TCP"):
            raise self.fail(552)
        context = self.live_context(args)
        if number in self.sockets:
            raise self.fail(563)
        self.last_error = 0
        socket = QuectelSocket(number, kind, context, mode, local_port)
        if kind == LISTENER:
            self.sockets[number] = socket
            socket.state = State.CONNECTED
            self.port.after(AFTER_OK_MS, self.opened, socket, None)
            return None
        timeout = self.integer(args, 8, 10, 150, self.profile.sockets.connect_timeout_ms // 1000)
        self.open(socket, host, port, timeout * 1000)
        return PENDING if mode == TRANSPARENT else None

    def opened(self, socket: QuectelSocket, failure: Failure | None) -> None:
        self.last_error = error = FAILURES[failure] if failure else 0
        if socket.mode != TRANSPARENT:
            self.port.urc(f"+QIOPEN: {socket.number},{error}")
        elif error:
            self.forget(socket)
            self.port.fail(SocketError(error))
        else:
            self._begin_stream(socket)

    # --- names ---

    @command("+QIDNSGIP", WRITE, test=f"(1-{CONTEXTS}),<hostname>", manual="TCP/IP 2.4.17")
    def _qidnsgip(self, args: tuple[str, ...]) -> Reply:
        context = self.live_context(args)
        self.text(args, 1)
        self.last_error = 0
        if is_ip(args[1]):
            self.port.after(AFTER_OK_MS, self._report_name, [args[1]], 0)
        else:
            self.port.after(AFTER_OK_MS, self.resolver.resolve, context, args[1], self._report_name)
        return None

    def _report_name(self, ips: Sequence[str], ttl_s: int = dns.TTL_S) -> None:
        if not ips:
            self.last_error = 565
            self.port.urc('+QIURC: "dnsgip",565')
            return
        self.port.urc(f'+QIURC: "dnsgip",0,{len(ips)},{ttl_s}')
        for ip in ips:
            self.port.urc(f'+QIURC: "dnsgip","{ip}"')

    @command("+QIDNSCFG", WRITE, test=f"(1-{CONTEXTS}),<pridnsaddr>,<secdnsaddr>", manual="TCP/IP 2.4.16")
    def _qidnscfg(self, args: tuple[str, ...]) -> Reply:
        context = self.live_context(args)
        if len(args) == 1:
            return f'+QIDNSCFG: {context.cid},"{context.dns}","0.0.0.0"'
        if not all(is_ip(address) for address in args[1:]):
            raise self.fail(552)
        context.dns = args[1]
        return None

    # --- sending ---

    @command("+QISEND", WRITE, test="(0-{sockets.last}),(0-{sockets.max_send})", manual="TCP/IP 2.4.10")
    def _qisend(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        length = self.integer(args, 1, 0, self.profile.sockets.max_send, -1) if len(args) > 1 else -1
        if length == 0:
            return f"+QISEND: {socket.sent},{socket.sent - socket.unacked},{socket.unacked}"
        if socket.state is not State.CONNECTED:
            raise self.fail(567)
        if socket.kind == LISTENER:
            raise self.fail(572)
        remote = socket.remote
        if socket.kind == "UDP SERVICE":
            if len(args) < 4 or length < 0 or not is_ip(args[2]):
                raise self.fail(552)
            remote = (args[2], self.integer(args, 3, 1, 65_535))
        values = self.port.nvm.values
        return self.port.prompt(
            lambda data: self._send(socket, remote, data),
            length=max(length, 0),
            echo=values["E"] == "1" and values["+QISDE"] == "1",
            timeout_ms=self.options["qisend/timeout"][0] * 1000,
            text=b"\r\n>\r\n" if self.options["formatcfg"][0] else b"\r\n> ",
        )

    def _send(self, socket: QuectelSocket, remote: Address, data: bytes | None) -> None:
        if data is None:
            raise self.fail(571)
        if self.options["dataformat"][0]:
            data = self._unhex(data)
        self.port.finish(None, self._transmit(socket, remote, data))

    def _transmit(self, socket: QuectelSocket, remote: Address, data: bytes) -> str:
        if socket.state is not State.CONNECTED or self.sockets.get(socket.number) is not socket:
            raise self.fail(567)
        if not self.send(socket, data, remote):
            return SEND_FAIL
        if self.options["sendinfo"][0]:
            free = socket.connection.room if socket.connection is not None else self.profile.sockets.send_octets
            self.port.after(AFTER_OK_MS, self.port.urc, f"+QISEND: {socket.number},0,{free}")
            return "OK"
        return SEND_OK

    @command("+QISENDEX", WRITE, test="(0-{sockets.last}),<hex_string>", manual="TCP/IP 2.4.12")
    def _qisendex(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        if len(args) < 2 or not args[1] or len(args[1]) > 1024 or socket.kind == "UDP SERVICE":
            raise self.fail(552)
        final = self._transmit(socket, socket.remote, self._unhex(args[1].encode("latin-1")))
        self.port.finish(None, final)
        return PENDING

    def _unhex(self, text: bytes) -> bytes:
        try:
            return bytes.fromhex(text.decode("ascii"))
        except ValueError:
            raise self.fail(552) from None

    # --- receiving ---

    def arrived(self, socket: QuectelSocket) -> None:
        """Payload can be read: reports it once, pushes it or streams it."""
        if socket.mode == BUFFER:
            if not socket.signalled:
                socket.signalled = True
                length = f",{socket.unread}" if self.options["recvind"][0] else ""
                self.port.urc(f'+QIURC: "recv",{socket.number}{length}')
        elif socket.mode == PUSH:
            self._pushes.soon(_PUSH_MS)
        elif self._stream is not None and self._stream.socket is socket and self.port.streaming:
            data, _ = self._take(socket, self.profile.sockets.max_read)
            while data:
                self.port.write(data)
                data, _ = self._take(socket, self.profile.sockets.max_read)

    def _push(self) -> int:
        for socket in [each for each in self.sockets.values() if each.mode == PUSH]:
            data, source = self._take(socket, self.profile.sockets.max_read)
            if socket.ended and not socket.unread:
                socket.ended = False
                self.port.after(AFTER_OK_MS, self._tell_end, socket)
            if data:
                header = f'+QIURC: "recv",{socket.number},{len(data)}'
                if socket.kind == "UDP SERVICE":
                    header += f',"{source[0]}",{source[1]}'
                shown = self._shown(data)
                self.port.push(header, shown, b"," if self.options["viewmode"][0] else None)
                return len(header) + len(shown)
        return 0

    def _take(self, socket: QuectelSocket, limit: int) -> tuple[bytes, Address]:
        data, source = self.read(socket, limit)
        if not socket.unread:
            socket.signalled = False
        return data, source

    def _shown(self, data: bytes) -> bytes:
        return data.hex().upper().encode() if self.options["dataformat"][1] else data

    @command("+QIRD", WRITE, test="(0-{sockets.last}),(0-{sockets.max_read})", manual="TCP/IP 2.4.11")
    def _qird(self, args: tuple[str, ...]) -> Any:
        socket = self._socket(args)
        limit = self.integer(args, 1, 0, self.profile.sockets.max_read, self.profile.sockets.max_read)
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

    def peer_closed(self, socket: QuectelSocket) -> None:
        if self._stream is not None and self._stream.socket is socket:
            self._end_stream(NO_CARRIER)
            self.forget(socket)
        else:
            if socket.mode == PUSH and socket.unread:
                socket.ended = True
            else:
                self._tell_end(socket)

    def _tell_end(self, socket: QuectelSocket) -> None:
        self.port.urc(f'+QIURC: "closed",{socket.number}')

    @command("+QICLOSE", WRITE, test="(0-{sockets.last}),(0-65535)", manual="TCP/IP 2.4.8")
    def _qiclose(self, args: tuple[str, ...]) -> Reply:
        number = self.integer(args, 0, 0, self.profile.sockets.last)
        timeout = self.integer(args, 1, 0, 65_535, self.profile.sockets.close_timeout_ms // 1000)
        socket = self.sockets.get(number)
        self.last_error = 0
        if socket is None:
            return None
        return None if self.close(socket, timeout * 1000, self.port.finish) else PENDING

    def forget(self, socket: QuectelSocket) -> None:
        super().forget(socket)
        if self.options["close/mode"][0]:
            self.port.after(AFTER_OK_MS, self.port.urc, f'+QIURC: "closed",{socket.number}')

    # --- state ---

    def _row(self, socket: QuectelSocket) -> str:
        ip, port = socket.remote
        state = LISTENING if socket.kind == LISTENER else STATES[socket.state]
        return (
            f'+QISTATE: {socket.number},"{socket.kind}","{ip}",{port},{socket.local_port},{state},'
            f'{socket.context.cid},{socket.number},{socket.mode},"uart1"'
        )

    @command("+QISTATE", EXEC, test="", manual="TCP/IP 2.4.9")
    @command("+QISTATE", READ)
    def _states(self, args: tuple[str, ...]) -> Reply:
        return [self._row(socket) for _, socket in sorted(self.sockets.items())] or None

    @command("+QISTATE", WRITE)
    def _state(self, args: tuple[str, ...]) -> Reply:
        if self.integer(args, 0, 0, 1):
            socket = self.sockets.get(self.integer(args, 1, 0, self.profile.sockets.last))
            return self._row(socket) if socket is not None else None
        cid = self.integer(args, 1, 1, CONTEXTS)
        return [self._row(s) for _, s in sorted(self.sockets.items()) if s.context.cid == cid] or None

    @command("+QIGETERROR", EXEC, test="", manual="TCP/IP 2.4.19")
    def _error(self, args: tuple[str, ...]) -> Reply:
        return f"+QIGETERROR: {self.last_error},{_ERRORS[self.last_error]}"

    @command("+QICFG", WRITE, manual="TCP/IP 2.4.1")
    def _qicfg(self, args: tuple[str, ...]) -> Reply:
        name = args[0].lower()
        values = self.options.get(name)
        if values is None or len(args) > len(values) + 1:
            raise self.fail(552)
        if len(args) == 1:
            return f'+QICFG: "{name}",{",".join(map(str, values))}'
        allowed = zip(OPTIONS[name], values, strict=True)
        given = [self.integer(args, i, a.low, a.high, old) for i, (a, old) in enumerate(allowed, 1)]
        self.options[name] = tuple(given)
        return None

    @command("+QICFG", TEST)
    def _options_known(self, args: tuple[str, ...]) -> Reply:
        return [f'+QICFG: "{name}",{",".join(map(str, allowed))}' for name, allowed in OPTIONS.items()]

    # --- transparent mode ---

    @command("+QISWTMD", WRITE, test="(0-{sockets.last}),(0-2)", manual="TCP/IP 2.4.13")
    def _qiswtmd(self, args: tuple[str, ...]) -> Reply:
        socket = self._socket(args)
        mode = self.integer(args, 1, BUFFER, TRANSPARENT)
        if socket.state is not State.CONNECTED or (mode == TRANSPARENT and socket.kind != "TCP"):
            raise self.fail(572)
        socket.mode = mode
        if mode == TRANSPARENT:
            self._begin_stream(socket)
            return PENDING
        if socket.unread:
            self.port.after(AFTER_OK_MS, self.arrived, socket)
        return None

    @command("O", EXEC, manual="V.250 6.3.7")
    def _online(self, args: tuple[str, ...]) -> Reply:
        stream = self._stream
        if stream is None or stream.socket.state is not State.CONNECTED:
            return self._resume_call(args)
        self._begin_stream(stream.socket)
        return PENDING

    def _begin_stream(self, socket: QuectelSocket) -> None:
        self._stream = Stream(self.port, socket)
        self.port.enter_stream(self._stream.take)
        self.port.finish(None, CONNECT)
        self.arrived(socket)

    def _end_stream(self, final: str) -> None:
        self._stream = None
        if self.port.streaming:
            self.port.write(self.port.frame(final))
            self.port.leave_stream()


def _defaults() -> dict[str, tuple[int, ...]]:
    return {name: tuple(a.default for a in allowed) for name, allowed in OPTIONS.items()}


def _ipv6(ip: str) -> str:
    """An address of the documentation prefix (RFC 3849) that ends in the IPv4 address, as Quectel prints it."""
    a, b, c, d = (int(part) for part in ip.split("."))
    return f"2001:DB8:1023:1B1B:0:0:{a << 8 | b:X}:{c << 8 | d:X}"


_PUSH_MS = 1  # what arrives within is pushed together

FAILURES = {
    Failure.NAME: 565,
    Failure.BIND: 556,
    Failure.CONNECT: 566,
    Failure.TIMEOUT: 566,
    Failure.CONTEXT: 570,
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
