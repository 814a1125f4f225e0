"""The simulated world of a scenario: board, modem, carrier, network, collector and owner under one clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from host_tools.base.days import day_number
from host_tools.base.errors import UsageError
from host_tools.collector.intake import Collector
from host_tools.collector.order import Order
from host_tools.collector.store import Kept, Received, Store
from host_tools.collector.verify import BadMacError, MalformedError, Report
from host_tools.scenario.carrier import schedule
from host_tools.scenario.file import (
    CollectorClock,
    CollectorKey,
    DeepSleep,
    Deploy,
    Fault,
    Host,
    HostGone,
    HostMoved,
    LedgerLost,
    NtpClock,
    NtpRefusal,
    PowerCut,
    Reset,
    Scenario,
    SimExchange,
)
from host_tools.scenario.owner import Owner
from host_tools.sim.board import CAUSE_NAMES, HARD, PWRON, Board, Finished, PowerLoss
from host_tools.sim.clock import MS, Clock, S
from host_tools.sim.events import EventLog
from host_tools.sim.flash import Flash
from host_tools.sim.modem.card import SimCard
from host_tools.sim.modem.device import SimModem
from host_tools.sim.modem.models import load as load_profile
from host_tools.sim.network.bridge import BridgeHost
from host_tools.sim.network.hosts import NtpServer, Responder, Sink, UdpHandlerHost
from host_tools.sim.network.internet import Internet
from host_tools.sim.serial import SerialLine

IMSI = "460001234567890"
ICCID = "89860012345678901234"
MSISDN = "+861440000000001"
LEDGER_SECTORS = 3
_OUTAGE_S = 5
UNBILLED_CYCLES = {"test": 1, "silent": 2}
"""The device's numbers of the test and the silent period, by the carrier's labels."""
_CAUSES = {name: cause for cause, name in CAUSE_NAMES.items()}


class World:
    """A scenario's world at its start. `services` has the addresses of the servers that its bridges name, `clock` is
    given where others are to pace it.

    `run` runs its device's boots; `close` ends the connections to real servers. `plan` is the one that the device has
    now, `device_config()` the whole configuration; `imsis` are those of all SIMs. With `tells_openings`, to be
    set before the first boot, a simulated device's "~opens" has the traffic class (`a`) and port (`b`) of each
    connection. With `tells_waits` its "~waited" has the traffic class (`a`) of each send, and the milliseconds (`b`)
    from the application's call until the modem is asked to send.
    """

    def __init__(
        self,
        scenario: Scenario,
        seed: int,
        services: Mapping[str, tuple[str, int]],
        board: type[Board] = Board,
        clock: Clock | None = None,
    ) -> None:
        self.scenario = scenario
        self.seed = seed
        self.clock = clock or Clock(scenario.start)
        self.end_us = int(scenario.duration) * S
        self.log = EventLog(self.clock)
        self.tells_openings = self.tells_waits = False
        self.plan: dict[str, Any] = scenario.plan
        config = self.device_config()
        self.device_id: str = config["device"]["id"]
        self.store = Store()
        self._collector_error = timedelta()
        self.ntp_servers: list[NtpServer] = []
        self._keys = {self.device_id: bytes.fromhex(config["device"]["key"])}
        self.collector = Collector(self.store, self._keys, self.collector_utc)
        self.internet = Internet(
            self.clock, self._rng("network"), scenario.network.latency_ms, scenario.network.loss_permille
        )
        self.carrier = scenario.carrier_config.build(self.clock, self.internet, self.log, IMSI)
        others = {fault.sim for fault in scenario.faults if isinstance(fault, SimExchange)} - {1}
        self.imsis = [imsi(number) for number in (1, *sorted(others))]
        for other in self.imsis[1:]:
            self.carrier.add_sim(other, scenario.carrier_config.sim_plan)
        schedule(scenario.actions, self.clock, self.carrier, IMSI)
        self.carrier.on_sms = self._sms
        line = SerialLine(self.clock, scenario.baud, flow_control=scenario.flow_control)
        card = SimCard(ICCID, IMSI, MSISDN)
        profile = load_profile(scenario.modem)
        self.modem = SimModem(self.clock, line, profile, self.carrier, card, self._rng("modem"), self.log)
        self.flash = Flash(LEDGER_SECTORS)
        bridged = False
        for host in scenario.hosts:
            bridged |= self._add_host(host, services)
        settle = self.internet.settle if bridged else None
        self.board = board(self.clock, line, self.flash, self.modem, self._rng("board"), self.log, settle)
        self.board.feeds_modem = scenario.supply.modem == "board"
        self.board.feeds_asleep = scenario.supply.asleep
        if scenario.light_sleep:
            self.board.dtr = self.modem.dtr
        self.owner = Owner(
            self.store,
            self.clock.start,
            scenario.plan,
            scenario.orders,
            scenario.owner,
            lambda: self.carrier.news(IMSI),
            cycle_id,
            [each.name for each in scenario.config.classes],
        )
        self.collector.orders, self.collector.stops = self.order, self.stop
        self.collector.listeners.append(self._stored)
        for fault in scenario.faults:
            self.clock.at(int(fault.at) * S, self._apply, fault)
        for deploy in scenario.deploys:
            self.clock.at(int(deploy.at) * S, self._deploy, deploy)
        self.clock.at(self.end_us, self.board.finish)

    def device_config(self) -> dict[str, Any]:
        """The configuration that the device has now, as JSON has it."""
        return self.scenario.device_config(self.plan)

    def _rng(self, part: str) -> random.Random:
        """A random stream for one part, independent of how much the other parts draw from theirs."""
        return random.Random(f"{self.seed}/{part}")

    def _add_host(self, host: Host, services: Mapping[str, tuple[str, int]]) -> bool:
        """Connects one of the scenario's hosts to the network; True for a bridge to a real server."""
        if host.kind == "bridge":
            if host.to:
                target = host.to
            elif host.service and host.service in services:
                target = "{}:{}".format(*services[host.service])
            else:
                raise UsageError(
                    self.scenario.title,
                    f'host "{host.name}"',
                    f'its service "{host.service}" was not started',
                    "run it with `usageguard sim` or `usageguard demo`",
                )
            self.internet.add_host(host.name, BridgeHost(target))
            return True
        if host.kind == "collector":
            self.internet.add_host(host.name, UdpHandlerHost(self.collector.coap))
        elif host.kind == "ntp":
            self.ntp_servers.append(server := NtpServer())
            self.internet.add_host(host.name, server)
        else:
            self.internet.add_host(host.name, Responder() if host.kind == "responder" else Sink())
        return False

    def order(self, device: str, report: Report, now: datetime) -> Order | None:
        """The order with which the owner answers a report, None for none; logs it. Serves as a collector's `orders`.

        The owner goes by a clock that is right, whatever the collector's says.
        """
        return self._logged(self.owner.order(device, report, self.clock.utc()))

    def stop(self, device: str, report: Report, now: datetime) -> Order | None:
        """The owner's stop, which does not wait for an earlier order. Serves as a collector's `stops`."""
        return self._logged(self.owner.stop(device, report, self.clock.utc()))

    def _logged(self, order: Order | None) -> Order | None:
        if order is not None:
            self.log.add("owner", "order", counter=order.counter, keys=" ".join(order.names()))
        return order

    def _stored(self, received: Received, kept: Kept) -> None:
        for alarm in kept.alarms:
            self.log.add("owner", "alarm", kind=alarm.kind, detail=alarm.detail)

    def _sms(self, imsi: str, tpdu: bytes) -> None:
        try:
            self.collector.sms(tpdu)
        except (BadMacError, MalformedError) as error:
            self.log.add("bench", "sms-refused", reason=str(error))

    def _apply(self, fault: Fault) -> None:
        if isinstance(fault, PowerCut):
            self.log.add("bench", "power-cut", off_s=int(fault.off))
            self.board.cut_power(int(fault.off) * S)
        elif isinstance(fault, Reset):
            self.log.add("bench", "reset", cause=fault.cause)
            self.board.reset(_CAUSES[fault.cause])
        elif isinstance(fault, CollectorClock):
            self.log.add("bench", "collector-clock", days=fault.days)
            self._collector_error = timedelta(days=fault.days)
            self.clock.after(int(fault.lasts) * S, self._correct_collector)
        elif isinstance(fault, CollectorKey):
            right = self._keys[self.device_id]
            self._set_key(self._rng("another key").randbytes(len(right)))
            self.clock.after(int(fault.lasts) * S, self._set_key, right)
        elif isinstance(fault, NtpClock | NtpRefusal):
            self.log.add("bench", "ntp", days=getattr(fault, "days", 0), refuses=isinstance(fault, NtpRefusal))
            for server in self.ntp_servers:
                server.error_s = getattr(fault, "days", 0) * 86_400
                server.refuses = isinstance(fault, NtpRefusal)
            self.clock.after(int(fault.lasts) * S, self._correct_ntp)
        elif isinstance(fault, DeepSleep):
            self.log.add("bench", "sleeps", s=int(fault.lasts))
            self.board.deep_sleep(int(fault.lasts) * S)
        elif isinstance(fault, HostMoved):
            self.log.add("bench", "host-moved", name=fault.name, ip=self.internet.move_host(fault.name))
        elif isinstance(fault, HostGone):
            self.log.add("bench", "host-gone", name=fault.name)
            self.internet.remove_host(fault.name)
        elif isinstance(fault, SimExchange):
            self.log.add("bench", "sim-exchange", sim=fault.sim)
            card = self.modem.card_reader.card
            card.iccid, card.imsi = str(int(ICCID) + fault.sim - 1), imsi(fault.sim)
            self.board.cut_power(int(fault.off) * S)
        elif isinstance(fault, LedgerLost):
            self.log.add("bench", "ledger-lost")
            self.flash.data[:] = self._rng("lost ledger").randbytes(len(self.flash.data))
            self.board.cut_power(_OUTAGE_S * S)
        else:
            self.modem.faults.inject(fault)

    def _deploy(self, deploy: Deploy) -> None:
        self.log.add("bench", "deploy")
        self.plan = deploy.plan
        self.board.reset(HARD)

    def _correct_collector(self) -> None:
        self.log.add("bench", "collector-clock", days=0)
        self._collector_error = timedelta()

    def _set_key(self, key: bytes) -> None:
        self.log.add("bench", "collector-key")
        self._keys[self.device_id] = key

    def _correct_ntp(self) -> None:
        self.log.add("bench", "ntp", days=0, refuses=False)
        for server in self.ntp_servers:
            server.error_s, server.refuses = 0, False

    def collector_utc(self) -> datetime:
        """The time by the clock of the collector's host."""
        return self.clock.utc() + self._collector_error

    @property
    def done(self) -> float:
        """The share of the scenario's duration that has passed, 0 to 1."""
        return min(1.0, self.clock.now_us / self.end_us)

    def run(self, boot: Callable[[Board], None]) -> None:
        """Runs the device until the scenario ends; `boot(board)` runs one boot, until it raises PowerLoss."""
        board, clock = self.board, self.clock
        cause = PWRON
        self._wait_for_boot()
        while True:
            board.boot(cause)
            try:
                boot(board)
            except Finished:
                return
            except PowerLoss as loss:
                ended: Exception | None = loss
                while isinstance(ended, PowerLoss):
                    cause = ended.cause
                    ended = board.stay_off(ended, self.end_us)
                self._wait_for_boot()
                if clock.now_us >= self.end_us:
                    return

    def _wait_for_boot(self) -> None:
        """Lets the time pass that the board takes to boot; what hangs on the mains is fed from its beginning."""
        if self.scenario.supply.modem == "mains":
            self.modem.power(True)
        self.clock.run_until(min(self.end_us, self.clock.now_us + self.scenario.supply.boot_ms * MS))

    def close(self) -> None:
        """Closes the sockets to real servers."""
        self.internet.close()


def imsi(number: int) -> str:
    """The IMSI of the scenario's SIM with this number, from 1."""
    return str(int(IMSI) + number - 1)


def cycle_id(label: str) -> int:
    """The device's number of the cycle that the carrier labels `label`: days from 2000-01-01 to its first day."""
    if label in UNBILLED_CYCLES:
        return UNBILLED_CYCLES[label]
    return day_number(date.fromisoformat(label))
