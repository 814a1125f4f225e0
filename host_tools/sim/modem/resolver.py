"""Names to addresses, by DNS over the bearer: every query and answer is traffic that is counted."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from host_tools.sim.clock import Timer
from host_tools.sim.modem.data import Context
from host_tools.sim.modem.port import Port
from host_tools.sim.network import dns
from host_tools.sim.network.packet import Address

Done = Callable[[Sequence[str]], None]  # takes the addresses; none when the name could not be resolved


class Resolver:
    """Asks the context's name server, again if no answer comes; caches nothing."""

    def __init__(self, port: Port, rng: random.Random) -> None:
        self._port, self._rng = port, rng
        self._timeout_ms = port.profile.sockets.dns_timeout_ms
        self._attempts = port.profile.sockets.dns_attempts
        self._queries: dict[int, _Query] = {}  # by local port

    def resolve(self, context: Context, name: str, done: Done) -> None:
        """Calls `done` once, now or later."""
        stack = context.stack
        ident = self._rng.getrandbits(16)
        try:
            question = dns.encode_query(ident, name)
        except ValueError:
            stack = None
            question = b""
        if stack is None:
            done(())
            return
        query = _Query(context, ident, question, done)
        query.port = stack.bind(0, lambda data, source: self._answer(query, data, source))
        self._queries[query.port] = query
        self._ask(query)

    def context_down(self, cid: int) -> None:
        """Ends the queries over this context without an answer."""
        for query in [query for query in self._queries.values() if query.context.cid == cid]:
            self._end(query, ())

    def forget(self) -> None:
        self._queries.clear()

    def _ask(self, query: _Query) -> None:
        stack = query.context.stack
        if self._queries.get(query.port) is not query or stack is None:
            return
        if query.attempts == self._attempts:
            self._end(query, ())
            return
        query.attempts += 1
        query.timer = self._port.after(self._timeout_ms, self._ask, query)
        stack.send_datagram(query.port, (query.context.dns, dns.PORT), query.question)

    def _answer(self, query: _Query, data: bytes, source: Address) -> None:
        try:
            answer = dns.decode_response(data)
        except ValueError:
            return
        if answer.ident == query.ident and source == (query.context.dns, dns.PORT):
            self._end(query, answer.addresses)

    def _end(self, query: _Query, addresses: Sequence[str]) -> None:
        if self._queries.pop(query.port, None) is None:
            return
        if query.timer is not None:
            query.timer.cancel()
        if query.context.stack is not None:
            query.context.stack.unbind(query.port)
        query.done(addresses)


class _Query:
    """A name that is being resolved."""

    __slots__ = ("attempts", "context", "done", "ident", "port", "question", "timer")

    def __init__(self, context: Context, ident: int, question: bytes, done: Done) -> None:
        self.context, self.ident, self.question, self.done = context, ident, question, done
        self.port = self.attempts = 0
        self.timer: Timer | None = None
