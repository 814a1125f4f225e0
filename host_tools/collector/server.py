"""The collector on a real UDP port, under aiocoap's server, and what it shows on a terminal."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import re
import signal
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiocoap import Context, Message
from aiocoap.resource import Resource
from rich.console import Console
from rich.markup import escape

from host_tools import files, paths
from host_tools.collector.intake import Collector
from host_tools.collector.store import Outcome, Received, Store
from host_tools.errors import UsageError
from host_tools.terminal import OutputLost, out

_DEVICE_ID = re.compile(r"[A-Za-z0-9._-]{1,16}")
_KEY_OCTETS = 32
_HINT = 'give a file with lines as "tracker-001" = "<64 hexadecimal digits>"'


class _Root(Resource):
    """Hands every request, of any path, to the collector: one core for the real and the simulated network."""

    def __init__(self, collector: Collector) -> None:
        super().__init__()
        self._collector = collector

    async def render(self, request: Message) -> Message:
        return self._collector.respond(request)


@asynccontextmanager
async def listening(collector: Collector, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Serves `collector` on UDP while the context is open; gives the port (0: any). OSError: not free."""
    # aiocoap's udp6 answers from the address that was asked, as a wildcard must; it needs IPv6 in the kernel.
    transport = "udp6" if ipaddress.ip_address(host).is_unspecified else "simplesocketserver"
    context = await Context.create_server_context(_Root(collector), bind=(host, port), transports=[transport])
    try:
        yield _bound_port(context)
    finally:
        await context.shutdown()


def serve(
    port: int, db: str | Path, keys: str | Path, host: str = "127.0.0.1", console: Console | None = None
) -> None:
    """Runs until interrupted; prints its address, then one line per report. UsageError: bad input."""
    show = (console or out).print
    known = load_keys(keys)
    if not known:
        raise UsageError(str(keys), "", "has no keys", f"run `usageguard provision`, or {_HINT}")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise UsageError("--host", "", f'"{host}" is no IP address', "give one of this machine") from None
    try:
        store = Store(db)
    except sqlite3.Error as error:
        raise UsageError(str(db), "", f"no database: {error}", "name a new file or a collector's") from None
    collector = Collector(store, known)

    stop = asyncio.Event()
    lost: list[OutputLost] = []

    def heard(received: Received, outcome: Outcome) -> None:
        try:
            show(line(received, outcome))
            for alarm in store.alarms(received.device):
                if alarm.received_at == received.received_at:
                    show(f"[red]{alarm.kind}[/] {escape(alarm.device)}: {escape(alarm.detail)}")
        except OutputLost as error:  # the device gets its acknowledgement all the same: the report is kept
            lost.append(error)
            stop.set()

    collector.listeners.append(heard)
    try:
        asyncio.run(_serve(collector, host, port, show, stop))
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.EADDRNOTAVAIL:
            raise UsageError("--host", "", f'"{host}" is no address of this machine') from None
        raise UsageError("--port", str(port), reason, "give 0 for any that is free") from None
    finally:
        store.close()
    if lost:
        raise lost[0]


async def _serve(collector: Collector, host: str, port: int, say: Callable[[str], None], stop: asyncio.Event) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell started it with SIGINT ignored
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with listening(collector, host, port) as bound:
        say(f"listening on coap://{host}:{bound}/r")
        await stop.wait()


def _bound_port(context: Context) -> int:
    interface: Any = context.request_interfaces[0]
    interface = interface.token_interface.message_interface
    # aiocoap has no public way to ask for the port that the system chose.
    transport = interface.transport if hasattr(interface, "transport") else interface._pool._transport
    return transport.get_extra_info("socket").getsockname()[1]


def load_keys(path: str | Path) -> dict[str, bytes]:
    """The devices' keys: a TOML or JSON table, device id = 64 hexadecimal digits. UsageError: it is none."""
    where = str(path)
    table = files.table(Path(path), _HINT)
    keys = {}
    for device, text in table.items():
        if not _DEVICE_ID.fullmatch(device):
            raise UsageError(where, device, "is no device id", "1 to 16 of letters, digits and . _ -")
        try:
            keys[device] = bytes.fromhex(text)
        except (TypeError, ValueError):
            hint = f"write {2 * _KEY_OCTETS} hexadecimal digits"
            raise UsageError(where, device, "is no key", hint) from None
        if len(keys[device]) != _KEY_OCTETS:
            raise UsageError(where, device, f"a key of {len(keys[device])} octets", f"give {_KEY_OCTETS}")
    return keys


def line(received: Received, outcome: Outcome) -> str:
    """One report as a line of rich markup."""
    paths.use_firmware()
    from usageguard.core.policy import REASONS, VERDICTS

    report = received.report
    verdict = VERDICTS[report.verdict] if report.verdict < len(VERDICTS) else str(report.verdict)
    reasons = "".join(f" {code}" for code, bit, *_ in REASONS if report.reasons & bit)
    cost = f", cost {report.cost_fen:,} fen" if report.cost_fen else ""
    order = f", order {report.counter}" if report.counter else ""
    refused = f", [red]{report.refused} orders refused[/]" if report.refused else ""
    mark = "" if outcome is Outcome.NEW else f" [yellow]{outcome.value}[/]"
    return (
        f"{received.received_at:%Y-%m-%d %H:%M:%S} {received.path:4} [bold]{escape(received.device)}[/] "
        f"{report.boot_id}/{report.seq} carried {report.cycle_carried_octets:,} "
        f"rated {report.cycle_rated_octets:,} ±{report.error_bound_octets:,} octets, "
        f"{verdict}{reasons}{cost}{order}{refused}{mark}"
    )
