"""AT+QPING and AT+QNTP (EC200U & EG915U TCP/IP Application Note 2.4.14, 2.4.15)."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from host_tools.sim.clock import MS, Timer
from host_tools.sim.modem.command import Part, command
from host_tools.sim.modem.data import CONTEXTS, Context
from host_tools.sim.modem.dialect import Standard
from host_tools.sim.modem.dialects.quectel.sockets import QuectelSockets
from host_tools.sim.modem.parser import READ, WRITE
from host_tools.sim.modem.port import Port, Reply
from host_tools.sim.modem.sockets import AFTER_OK_MS, is_ip
from host_tools.sim.network.packet import Address

_PING_OCTETS = 32
_TTL = 64  # of the answer
_BETWEEN_PINGS_MS = 1000
_NTP_PORT = 123
_NTP_TIMEOUT_MS, _NTP_ATTEMPTS = 5000, 3
_NTP = struct.Struct(">BBbbII4sQQQQ")  # RFC 5905 section 7.3
_UNIX_EPOCH = 2_208_988_800  # seconds from 1900-01-01 to 1970-01-01
_BUSY, _NAME, _TIMEOUT = 568, 565, 569


class NetworkTools(Part):
    """One ping and one NTP query at a time."""

    def __init__(self, port: Port, sockets: QuectelSockets, standard: Standard) -> None:
        super().__init__(port)
        self._sockets, self._standard = sockets, standard
        self._ping: _Ping | None = None
        self._query: _Query | None = None
        self._identifier = 0
        self._server = ("", _NTP_PORT)

    def start(self) -> None:
        self._server = ("", _NTP_PORT)

    def stop(self) -> None:
        self._ping = self._query = None

    def _resolve(self, context: Context, host: str, found: Callable[[Sequence[str]], None]) -> None:
        if is_ip(host):
            self.port.after(AFTER_OK_MS, found, [host])
        else:
            self.port.after(AFTER_OK_MS, self._sockets.resolver.resolve, context, host, found)

    # --- ping ---

    @command("+QPING", WRITE, test=f"(1-{CONTEXTS}),<host>,(1-255),(1-10)", manual="TCP/IP 2.4.14")
    def _qping(self, args: tuple[str, ...]) -> Reply:
        context = self._sockets.live_context(args)
        host = self._sockets.text(args, 1)
        timeout_s = self._sockets.integer(args, 2, 1, 255, 4)
        count = self._sockets.integer(args, 3, 1, 10, 4)
        if self._ping is not None:
            raise self._sockets.fail(_BUSY)
        self._ping = ping = _Ping(context, timeout_s * 1000, count)
        self._resolve(context, host, lambda ips: self._ping_found(ping, ips))
        return None

    def _ping_found(self, ping: _Ping, ips: Sequence[str]) -> None:
        if ping is not self._ping:
            return
        if ips:
            ping.ip = ips[0]
            self._send_ping(ping)
        else:
            self._ping = None
            self.port.urc(f"+QPING: {_NAME}")

    def _send_ping(self, ping: _Ping) -> None:
        if ping is not self._ping:
            return
        if ping.sent == ping.count or ping.context.stack is None:
            self._ping = None
            self.port.urc(f"+QPING: {ping.summary()}")
            return
        ping.sent += 1
        self._identifier += 1
        begin_us = self.clock.now_us
        ping.timer = self.port.after(ping.timeout_ms, self._unanswered, ping)
        ping.context.stack.ping(
            ping.ip, self._identifier, bytes(_PING_OCTETS), lambda: self._answered(ping, begin_us)
        )

    def _answered(self, ping: _Ping, begin_us: int) -> None:
        if ping is not self._ping or ping.timer is None:
            return
        ping.timer.cancel()
        ms = (self.clock.now_us - begin_us) // MS
        ping.times.append(ms)
        self.port.urc(f'+QPING: 0,"{ping.ip}",{_PING_OCTETS},{ms},{_TTL}')
        self.port.after(_BETWEEN_PINGS_MS, self._send_ping, ping)

    def _unanswered(self, ping: _Ping) -> None:
        if ping is self._ping:
            ping.timer = None
            self.port.urc(f"+QPING: {_TIMEOUT}")
            self._send_ping(ping)

    # --- NTP ---

    @command("+QNTP", READ, test=f"(1-{CONTEXTS}),<server>,(1-65535),(0,1)", manual="TCP/IP 2.4.15")
    def _ntp_server(self, args: tuple[str, ...]) -> Reply:
        host, port = self._server
        return f'+QNTP: "{host}",{port}' if host else None

    @command("+QNTP", WRITE)
    def _qntp(self, args: tuple[str, ...]) -> Reply:
        context = self._sockets.live_context(args)
        host = self._sockets.text(args, 1)
        port = self._sockets.integer(args, 2, 1, 65_535, _NTP_PORT)
        sets = bool(self._sockets.integer(args, 3, 0, 1, 1))
        if self._query is not None:
            raise self._sockets.fail(_BUSY)
        self._server = (host, port)
        self._query = query = _Query(context, port, sets)
        self._resolve(context, host, lambda ips: self._ntp_found(query, ips))
        return None

    def _ntp_found(self, query: _Query, ips: Sequence[str]) -> None:
        stack = query.context.stack
        if query is not self._query:
            return
        if not ips or stack is None:
            self._end_ntp(query, str(_NAME))
            return
        query.remote = (ips[0], query.remote[1])
        query.port = stack.bind(0, lambda data, source: self._ntp_answered(query, data, source))
        self._ask_ntp(query)

    def _ask_ntp(self, query: _Query) -> None:
        stack = query.context.stack
        if query is not self._query:
            return
        if query.attempts == _NTP_ATTEMPTS or stack is None:
            self._end_ntp(query, str(_TIMEOUT))
            return
        query.attempts += 1
        query.timer = self.port.after(_NTP_TIMEOUT_MS, self._ask_ntp, query)
        # version 3, client; the transmit time is a number that the answer brings back
        stack.send_datagram(query.port, query.remote, _NTP.pack(0x1B, 0, 0, 0, 0, 0, b"", 0, 0, 0, query.attempts))

    def _ntp_answered(self, query: _Query, data: bytes, source: Address) -> None:
        if query is not self._query or source != query.remote or len(data) < _NTP.size:
            return
        _, stratum, *_, origin, _, transmitted = _NTP.unpack_from(data)
        if not stratum or origin != query.attempts:
            return
        since = transmitted / (1 << 32) - _UNIX_EPOCH
        utc = datetime.fromtimestamp(since, UTC)
        if query.sets:
            self._standard.general.set_utc(utc)
        zone = self._standard.radio.zone
        local = utc + timedelta(minutes=15 * zone)
        self._end_ntp(query, f'0,"{local:%Y/%m/%d,%H:%M:%S}{zone:+03}"')

    def _end_ntp(self, query: _Query, result: str) -> None:
        self._query = None
        if query.timer is not None:
            query.timer.cancel()
        if query.port and query.context.stack is not None:
            query.context.stack.unbind(query.port)
        self.port.urc(f"+QNTP: {result}")


class _Ping:
    """`times` are the round trips in ms."""

    def __init__(self, context: Context, timeout_ms: int, count: int) -> None:
        self.context, self.timeout_ms, self.count = context, timeout_ms, count
        self.ip = ""
        self.sent = 0
        self.times: list[int] = []
        self.timer: Timer | None = None

    def summary(self) -> str:
        times = self.times
        figures = (min(times), max(times), sum(times) // len(times)) if times else (0, 0, 0)
        return ",".join(map(str, (0, self.sent, len(times), self.sent - len(times), *figures)))


class _Query:
    def __init__(self, context: Context, remote_port: int, sets: bool) -> None:
        self.context, self.sets = context, sets
        self.remote: Address = ("", remote_port)
        self.port = self.attempts = 0
        self.timer: Timer | None = None
