"""TLS inside the modem, over its own TCP (Quectel EC2x&EG9x SSL Application Note; BG96 SSL AT Commands)."""

from __future__ import annotations

import contextlib
import random
import ssl
import tempfile
from pathlib import Path
from typing import Any

from host_tools.sim.modem.command import command
from host_tools.sim.modem.data import CONTEXTS, Context
from host_tools.sim.modem.dialects.quectel.files import Files
from host_tools.sim.modem.dialects.quectel.options import Parameter
from host_tools.sim.modem.dialects.quectel.socket import BUFFER, PUSH, STATES
from host_tools.sim.modem.dialects.quectel.sockets import FAILURES, SEND_FAIL, SEND_OK, QuectelSockets
from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE
from host_tools.sim.modem.port import PENDING, Port, Reply
from host_tools.sim.modem.sockets import Failure, Socket, Sockets, State

_CONTEXTS = 6  # <sslctxID> 0-5
_TLS_1_0, _TLS_1_2, _ALL = 1, 3, 4  # <sslversion>
_VERSIONS = {1: ssl.TLSVersion.TLSv1, 2: ssl.TLSVersion.TLSv1_1, 3: ssl.TLSVersion.TLSv1_2}
_ANY_SUITE = "0XFFFF"
# <ciphersuites> as OpenSSL names them
_SUITES = {
    "0X002F": "AES128-SHA",
    "0X0035": "AES256-SHA",
    "0X003C": "AES128-SHA256",
    "0X003D": "AES256-SHA256",
    "0XC013": "ECDHE-RSA-AES128-SHA",
    "0XC014": "ECDHE-RSA-AES256-SHA",
    "0XC027": "ECDHE-RSA-AES128-SHA256",
    "0XC02B": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "0XC02F": "ECDHE-RSA-AES128-GCM-SHA256",
    "0XC030": "ECDHE-RSA-AES256-GCM-SHA384",
}
_NUMBERS = {
    "sslversion": Parameter(0, 4, _ALL),
    "seclevel": Parameter(0, 2, 0),
    "ignorelocaltime": Parameter(0, 1, 1),
    "negotiatetime": Parameter(10, 300, 300),
    "sni": Parameter(0, 1, 0),
}
_NAMES = ("cacert", "clientcert", "clientkey")
_FAILED = 566  # the note has no code of its own for a handshake that failed


class TlsSocket(Socket):
    """One <clientID>: `plain` is what was decrypted and not read."""

    def __init__(self, number: int, context: Context, ctx: int, mode: int, tls: ssl.SSLContext, name: str) -> None:
        super().__init__(number, context, tcp=True)
        self.ctx, self.mode = ctx, mode
        self.arriving, self.leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.session = tls.wrap_bio(self.arriving, self.leaving, server_hostname=name or None)
        self.secure = self.signalled = False
        self.waiting = bytearray()  # records that found no room in the connection
        self.plain = bytearray()
        self.read_plain = self.sent_plain = 0


class Tls(Sockets[TlsSocket]):
    """Clients 0..11, beside the sockets of AT+QIOPEN."""

    def __init__(self, port: Port, sockets: QuectelSockets, stored: Files, rng: random.Random) -> None:
        super().__init__(port, rng)
        self._plain, self._files = sockets, stored
        self._configured: dict[int, dict[str, Any]] = {}

    def start(self) -> None:
        self._configured = {
            ctx: {
                **{name: parameter.default for name, parameter in _NUMBERS.items()},
                **dict.fromkeys(_NAMES, ""),
                "ciphersuite": _ANY_SUITE,
            }
            for ctx in range(_CONTEXTS)
        }

    # --- configuration ---

    @command("+QSSLCFG", TEST, manual="SSL 2.3.1")
    def _known(self, args: tuple[str, ...]) -> Reply:
        ids = f"(0-{_CONTEXTS - 1})"
        suites = ",".join((*_SUITES, _ANY_SUITE))
        lines = [f'+QSSLCFG: "{name}",{ids},{p}' for name, p in _NUMBERS.items()]
        lines += [f'+QSSLCFG: "{name}",{ids},<path>' for name in _NAMES]
        return [*lines, f'+QSSLCFG: "ciphersuite",{ids},({suites})']

    @command("+QSSLCFG", WRITE)
    def _configure(self, args: tuple[str, ...]) -> Reply:
        name = args[0].lower()
        values = self._configured[self.port.integer(args, 1, 0, _CONTEXTS - 1)]
        if name not in values:
            raise self.port.bad_parameter()
        if len(args) == 2:
            value = values[name]
            shown = f'"{value}"' if name in _NAMES else value
            return f'+QSSLCFG: "{name}",{args[1]},{shown}'
        if name in _NUMBERS:
            allowed = _NUMBERS[name]
            values[name] = self.port.integer(args, 2, allowed.low, allowed.high)
        elif name in _NAMES:
            values[name] = args[2]
        elif args[2].upper() in (*_SUITES, _ANY_SUITE):
            values[name] = args[2].upper()
        else:
            raise self.port.bad_parameter()
        return None

    def _context_of(self, ctx: int) -> ssl.SSLContext:
        """The configured context as OpenSSL's. ValueError or OSError for what it cannot be."""
        values = self._configured[ctx]
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        tls.check_hostname = False  # the modules check the chain alone
        version = values["sslversion"]
        if version < _TLS_1_0:
            raise ValueError("SSL 3.0 is gone")
        tls.maximum_version = _VERSIONS.get(version, ssl.TLSVersion.TLSv1_2)
        tls.minimum_version = _VERSIONS.get(version, ssl.TLSVersion.TLSv1_2)
        suite = _SUITES.get(values["ciphersuite"], "ALL")
        tls.set_ciphers(f"{suite}:@SECLEVEL=0")  # as old as modules are
        if values["seclevel"] == 0:
            tls.verify_mode = ssl.CERT_NONE
        else:
            tls.load_verify_locations(cadata=self._stored(values["cacert"]).decode("ascii"))
        if values["seclevel"] == 2:
            with tempfile.TemporaryDirectory() as folder:  # OpenSSL takes a key from a file alone
                paths = [Path(folder, name) for name in ("clientcert", "clientkey")]
                for path in paths:
                    path.write_bytes(self._stored(values[path.name]))
                tls.load_cert_chain(paths[0], paths[1])
        return tls

    def _stored(self, name: str) -> bytes:
        data = self._files.find(name)
        if data is None:
            raise ValueError(f"{name} is no file")
        return data

    # --- opening ---

    @command(
        "+QSSLOPEN",
        WRITE,
        test=f"(1-{CONTEXTS}),(0-{_CONTEXTS - 1}),(0-{{sockets.last}}),<serveraddr>,<server_port>,(0-1)",
        manual="SSL 2.3.2",
    )
    def _qsslopen(self, args: tuple[str, ...]) -> Reply:
        plain = self._plain
        context = plain.live_context(args)
        ctx = plain.integer(args, 1, 0, _CONTEXTS - 1)
        number = plain.integer(args, 2, 0, self.profile.sockets.last)
        host, port = plain.text(args, 3), plain.integer(args, 4, 1, 65_535)
        mode = plain.integer(args, 5, BUFFER, PUSH, BUFFER)
        if number in self.sockets:
            raise plain.fail(563)
        values = self._configured[ctx]
        try:
            tls = self._context_of(ctx)
            socket = TlsSocket(number, context, ctx, mode, tls, host if values["sni"] else "")
        except (ValueError, OSError):
            raise plain.fail(552) from None
        plain.last_error = 0
        self.open(socket, host, port, values["negotiatetime"] * 1000)
        return None

    def opened(self, socket: TlsSocket, failure: Failure | None) -> None:
        if failure is not None:
            self._tell_open(socket, FAILURES[failure])
        else:
            seconds = self._configured[socket.ctx]["negotiatetime"]
            socket.timer = self.port.after(seconds * 1000, self._broken, socket)
            self._go_on(socket)

    def _tell_open(self, socket: TlsSocket, error: int) -> None:
        self._plain.last_error = error
        self.port.urc(f"+QSSLOPEN: {socket.number},{error}")

    def _go_on(self, socket: TlsSocket) -> None:
        """Takes the handshake, and what was received, as far as it goes."""
        try:
            if not socket.secure:
                socket.session.do_handshake()
                socket.secure = True
                socket.stop_timer()
                self._tell_open(socket, 0)
            while data := socket.session.read(16_384):
                socket.plain += data
            ended = True  # by the peer's close_notify
        except ssl.SSLWantReadError:
            ended = False
        except ssl.SSLError:  # a certificate that is refused, an alert, a record that is none
            ended = True
        self._emit(socket)
        if socket.plain:
            self._tell(socket)
        if ended:
            self._broken(socket)

    def _broken(self, socket: TlsSocket) -> None:
        if socket.connection is not None:
            socket.connection.on_closed = socket.connection.on_peer_closed = _nothing
            socket.connection.close()
        socket.stop_timer()
        secure, socket.secure, socket.state = socket.secure, False, State.CLOSING
        if secure:
            self.port.urc(f'+QSSLURC: "closed",{socket.number}')
        else:
            socket.state = State.FAILED
            self._tell_open(socket, _FAILED)

    def _emit(self, socket: TlsSocket) -> None:
        """Sends the records that are ready, as far as the connection has room."""
        socket.waiting += socket.leaving.read()
        connection = socket.connection
        if connection is not None and socket.waiting:
            del socket.waiting[: connection.send(bytes(socket.waiting))]
            connection.on_acked = (lambda: self._emit(socket)) if socket.waiting else _idle

    # --- what happens ---

    def arrived(self, socket: TlsSocket) -> None:
        data, _ = self.read(socket, 1 << 20)
        if data:
            socket.arriving.write(data)
            self._go_on(socket)

    def peer_closed(self, socket: TlsSocket) -> None:
        self.arrived(socket)
        if socket.state is State.CLOSING and socket.secure:
            self.port.urc(f'+QSSLURC: "closed",{socket.number}')
        elif socket.state is State.CLOSING:
            socket.state = State.FAILED
            self._tell_open(socket, _FAILED)

    def _tell(self, socket: TlsSocket) -> None:
        """Reports payload once until it is read, or pushes it."""
        if socket.mode == BUFFER:
            if not socket.signalled:
                socket.signalled = True
                self.port.urc(f'+QSSLURC: "recv",{socket.number}')
        elif self.port.prompting:
            self.port.after(20, self._tell, socket)
        else:
            while data := self._take(socket, self.profile.sockets.max_read):
                self.port.push(f'+QSSLURC: "recv",{socket.number},{len(data)}', data)

    def _take(self, socket: TlsSocket, limit: int) -> bytes:
        data = bytes(socket.plain[:limit])
        del socket.plain[:limit]
        socket.read_plain += len(data)
        if not socket.plain:
            socket.signalled = False
        return data

    # --- commands of an open client ---

    def _client(self, args: tuple[str, ...]) -> TlsSocket:
        socket = self.sockets.get(self._plain.integer(args, 0, 0, self.profile.sockets.last))
        if socket is None:
            raise self._plain.fail(550)
        self._plain.last_error = 0
        return socket

    @command("+QSSLSEND", WRITE, test="(0-{sockets.last}),(1-{sockets.max_send})", manual="SSL 2.3.3")
    def _qsslsend(self, args: tuple[str, ...]) -> Reply:
        socket = self._client(args)
        length = self._plain.integer(args, 1, 1, self.profile.sockets.max_send, 0) if len(args) > 1 else 0
        if not socket.secure or socket.state is not State.CONNECTED:
            raise self._plain.fail(567)
        return self.port.prompt(
            lambda data: self._send(socket, data), length=length, echo=self.port.nvm.values["E"] == "1", timeout_ms=5000
        )

    def _send(self, socket: TlsSocket, data: bytes | None) -> None:
        if data is None:
            raise self._plain.fail(571)
        if not socket.secure or socket.state is not State.CONNECTED:
            raise self._plain.fail(567)
        if socket.waiting:
            self.port.finish(None, SEND_FAIL)
            return
        socket.session.write(data)
        socket.sent_plain += len(data)
        self._emit(socket)
        self.port.finish(None, SEND_OK)

    @command("+QSSLRECV", WRITE, test="(0-{sockets.last}),(0-{sockets.max_read})", manual="SSL 2.3.4")
    def _qsslrecv(self, args: tuple[str, ...]) -> Any:
        socket = self._client(args)
        limit = self._plain.integer(args, 1, 0, self.profile.sockets.max_read)
        if limit == 0:
            return f"+QSSLRECV: {socket.read_plain + len(socket.plain)},{socket.read_plain},{len(socket.plain)}"
        data = self._take(socket, limit)
        return f"+QSSLRECV: {len(data)}\r\n".encode() + data if data else "+QSSLRECV: 0"

    @command("+QSSLCLOSE", WRITE, test="(0-{sockets.last}),(0-65535)", manual="SSL 2.3.5")
    def _qsslclose(self, args: tuple[str, ...]) -> Reply:
        number = self._plain.integer(args, 0, 0, self.profile.sockets.last)
        timeout = self._plain.integer(args, 1, 0, 65_535, self.profile.sockets.close_timeout_ms // 1000)
        socket = self.sockets.get(number)
        if socket is None:
            return None
        if socket.secure and socket.state is State.CONNECTED:
            with contextlib.suppress(ssl.SSLError):  # the peer's own close_notify is not waited for
                socket.session.unwrap()
            self._emit(socket)
        return None if self.close(socket, timeout * 1000, self.port.finish) else PENDING

    def _row(self, socket: TlsSocket) -> str:
        ip, port = socket.remote
        state = 1 if socket.state is State.CONNECTED and not socket.secure else STATES[socket.state]
        return (
            f'+QSSLSTATE: {socket.number},"SSLClient","{ip}",{port},{socket.local_port},{state},{socket.context.cid},'
            f'{socket.number},{socket.mode},"uart1",{socket.ctx}'
        )

    @command("+QSSLSTATE", EXEC, test="", manual="SSL 2.3.6")
    @command("+QSSLSTATE", READ)
    def _states(self, args: tuple[str, ...]) -> Reply:
        return [self._row(socket) for _, socket in sorted(self.sockets.items())] or None

    @command("+QSSLSTATE", WRITE)
    def _state(self, args: tuple[str, ...]) -> Reply:
        at = 1 if len(args) > 1 else 0  # <query_type>,<clientID> on BG96, <clientID> alone on EC2x
        socket = self.sockets.get(self._plain.integer(args, at, 0, self.profile.sockets.last))
        return self._row(socket) if socket is not None else None


def _nothing(*_: object) -> None:
    pass


def _idle() -> None:
    pass
