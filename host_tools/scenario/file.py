"""Reads a scenario file: a device, its plan, a carrier, traffic, faults and expectations.

`[device]`, `[plan]`, `[[classes]]`, `[upstream]` and `enforcement` are those of a device's configuration, and the
firmware's own validator checks them. The rest is the simulator's.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union, get_args

import msgspec

from host_tools.base import files, paths, toml
from host_tools.base.errors import UsageError
from host_tools.base.toml import Table
from host_tools.base.units import Octets, Seconds, quote
from host_tools.build import device_config
from host_tools.scenario.carrier import Action, Carrier, CarrierConfig
from host_tools.scenario.expect import Expect, Permille
from host_tools.scenario.owner import Instruction, OwnerConfig
from host_tools.sim.modem import faults as modem_faults
from host_tools.sim.modem import models

MIN_REQUEST, MAX_REQUEST = 8, 65_535
"""A request begins with a header of 8 octets, which has the request's length in 16 bits."""

REAL_TIME_S = 600
"""The longest duration of a scenario for real boards."""

USUAL_MODEM = "quectel-ec200u"

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class Network(Table, frozen=True):
    """The path between carrier and hosts: one-way latency, and packet loss."""

    latency_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 60
    loss_permille: Permille = 0


class Host(Table, frozen=True):
    """A host on the simulated internet. A bridge relays to real sockets: `to` an address, or to a `service` of the
    run."""

    DEFAULT_PORTS: ClassVar[dict[str, int]] = {
        "mqtt": 1883, "collector": 5683, "responder": 7000, "sink": 9, "ntp": 123,
    }  # fmt: skip

    name: Name
    kind: Literal["responder", "sink", "collector", "ntp", "bridge"]
    port: Port = 0
    to: str | None = None
    service: Literal["mqtt", "collector"] | None = None

    @property
    def listens_on(self) -> int:
        """The port to which the device connects."""
        if self.port or self.to:
            return self.port or int(self.to.rpartition(":")[2])  # type: ignore[union-attr]
        return self.DEFAULT_PORTS[self.service or self.kind]


class App(Table, frozen=True):
    """The application on the device: one that ships by name, or a Python file by path from the scenario's folder.

    `manners` are those of "workload": when a request fails, it drops it, tries again at once, or ends with the error.
    Between requests it `pauses` by `guard.sleep` or, as stock libraries do, by `time.sleep`, or sleeps deeply.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)] = "workload"
    manners: Literal["polite", "greedy", "crashing"] = "polite"
    pauses: Literal["guard", "time", "deep-sleep"] = "guard"


class Supply(Table, frozen=True):
    """What feeds the modem: the board, which switches it, or the mains that feed both.

    `boot_ms` pass between a reset of the board, or the return of its power, and the first line of its program.
    `asleep`: whether a board feeds its modem while it sleeps deeply.
    """

    modem: Literal["board", "mains"] = "board"
    asleep: bool = True
    boot_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 0


class Psm(Table, frozen=True):
    """The device's `modem.psm`."""

    active_s: Seconds
    periodic_s: Seconds = Seconds(0)


class Traffic(Table, frozen=True):
    """Traffic of the application after the scenario's start: once, `at` a time, or each `period` from `start` to
    `until` (0: the end).

    `request` and `download` send `tx` octets and are answered with `rx`; `publish` sends `tx` octets by MQTT.
    """

    class_name: Name = msgspec.field(name="class")
    kind: Literal["request", "download", "publish"]
    host: Name
    period: Seconds = Seconds(0)
    at: Seconds | None = None
    tx: Octets = Octets(64)
    rx: Octets = Octets(0)
    start: Seconds = msgspec.field(name="from", default=Seconds(0))
    until: Seconds = Seconds(0)

    @property
    def first(self) -> Seconds:
        """When it is due first."""
        return self.start if self.at is None else self.at


class PowerCut(Table, frozen=True, tag_field="kind", tag="power_cut"):
    """The board's supply fails without warning, and returns after `off`."""

    at: Seconds
    off: Seconds = Seconds(10)


class Reset(Table, frozen=True, tag_field="kind", tag="reset"):
    """The board is reset, for this `cause`; the modem keeps its supply."""

    at: Seconds
    cause: Literal["watchdog", "hard", "soft"] = "watchdog"


class DeepSleep(Table, frozen=True, tag_field="kind", tag="deep_sleep"):
    """The board sleeps deeply for `lasts`, without the guard's knowledge; a sleep that has begun lasts so long."""

    at: Seconds
    lasts: Seconds = Seconds(600)


class CollectorClock(Table, frozen=True, tag_field="kind", tag="collector_clock"):
    """The clock of the collector's host is wrong by `days` (negative: behind), and right again after `lasts`."""

    at: Seconds
    days: Annotated[int, msgspec.Meta(ge=-9_000, le=20_000)]
    lasts: Seconds = Seconds(86_400)


class CollectorKey(Table, frozen=True, tag_field="kind", tag="collector_key"):
    """The collector has another key of the device, so that it refuses its reports, until `lasts` has passed."""

    at: Seconds
    lasts: Seconds = Seconds(86_400)


class SimExchange(Table, frozen=True, tag_field="kind", tag="sim_exchange"):
    """The supply is cut, and returns after `off` with SIM number `sim` in the modem, which has the same plan; 1 is the
    first one."""

    at: Seconds
    sim: Annotated[int, msgspec.Meta(ge=1, le=9)] = 2
    off: Seconds = Seconds(60)


class NtpClock(Table, frozen=True, tag_field="kind", tag="ntp_clock"):
    """The clock of the NTP servers is wrong by `days` (negative: behind), and right again after `lasts`."""

    at: Seconds
    days: Annotated[int, msgspec.Meta(ge=-9_000, le=20_000)]
    lasts: Seconds = Seconds(86_400)


class NtpRefusal(Table, frozen=True, tag_field="kind", tag="ntp_refusal"):
    """The NTP servers answer with a kiss-o'-death, until `lasts` has passed."""

    at: Seconds
    lasts: Seconds = Seconds(86_400)


class LedgerLost(Table, frozen=True, tag_field="kind", tag="ledger_lost"):
    """The supply fails for some seconds, and the flash of the ledger holds nothing that makes sense any more."""

    at: Seconds


class HostMoved(Table, frozen=True, tag_field="kind", tag="host_moved"):
    """The host `name` gets another address, and the old one leads nowhere."""

    at: Seconds
    name: Name


class HostGone(Table, frozen=True, tag_field="kind", tag="host_gone"):
    """The host `name` is no more: its name has no address, and its old address leads nowhere."""

    at: Seconds
    name: Name


if TYPE_CHECKING:

    class ModemFault(modem_faults.Fault, frozen=True):
        at: Seconds

    Fault = (
        PowerCut
        | Reset
        | DeepSleep
        | CollectorClock
        | CollectorKey
        | SimExchange
        | NtpClock
        | NtpRefusal
        | LedgerLost
        | HostMoved
        | HostGone
        | ModemFault
    )
else:

    def _timed(kind: type[modem_faults.Fault]) -> type[modem_faults.Fault]:
        """A fault of the modem with the time `at` which it happens."""
        return msgspec.defstruct(kind.__name__, [("at", Seconds)], bases=(kind,), frozen=True, kw_only=True,
                                 tag_field="kind", tag=kind.__struct_config__.tag)  # fmt: skip

    _OWN = (PowerCut, Reset, DeepSleep, CollectorClock, CollectorKey, SimExchange, NtpClock, NtpRefusal, LedgerLost,
            HostMoved, HostGone)  # fmt: skip
    Fault = Union[(*_OWN, *map(_timed, get_args(modem_faults.AnyFault)))]


class Deploy(Table, frozen=True):
    """The device is given another configuration, with this plan in place of the one before, and restarted."""

    at: Seconds
    plan: dict[str, Any]


class Scenario(Table, frozen=True, kw_only=True, dict=True):
    """One device and the simulated world around it. Its plan is parsed once, when `config` or `carrier_config` is
    first read; reading a file does that."""

    name: str = ""  # the file's, without .toml, unless given
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)] = 1
    start: datetime
    duration: Seconds
    real_time: bool = False  # short enough for the bench of a real board; see `_powered_earlier`
    modem: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)] = USUAL_MODEM  # a profile
    counter: bool = True  # false: the device reads no counter of the modem's, as with one that has none
    any_sim: bool = False  # the device's modem.any_sim
    bearer: Literal["at", "ppp"] = "at"  # the device's modem.bearer
    psm: Psm | None = None  # the device's modem.psm
    edrx_s: Seconds = Seconds(0)  # the device's modem.edrx_s
    light_sleep: bool = False  # the device's modem.light_sleep, with DTR wired
    operator: str | None = None  # the device's modem.operator
    only_bearer: Literal["at", "ppp"] | None = None  # with which its expectations hold
    baud: Annotated[int, msgspec.Meta(ge=1_200, le=3_000_000)] = 115_200
    flow_control: bool = False  # RTS and CTS are wired
    device: dict[str, Any] = {}
    enforcement: str = "enforce"
    plan: dict[str, Any]
    classes: list[dict[str, Any]] = []
    upstream: dict[str, Any] = {}
    carrier: Carrier = Carrier()
    network: Network = Network()
    supply: Supply = Supply()
    hosts: list[Host] = msgspec.field(name="host", default=[])
    app: App = App()
    traffic: list[Traffic] = []
    faults: list[Fault] = msgspec.field(name="fault", default=[])
    deploys: list[Deploy] = msgspec.field(name="deploy", default=[])
    owner: OwnerConfig = OwnerConfig()
    orders: list[Instruction] = msgspec.field(name="order", default=[])
    actions: list[Action] = msgspec.field(name="platform", default=[])
    expect: Expect = Expect()

    @functools.cached_property
    def config(self) -> Any:
        """The device's configuration as its firmware reads it, a usageguard.core.settings.Config. UsageError for what
        the firmware refuses."""
        try:
            return device_config.check(self.device_config(), "scenario")
        except UsageError as error:
            field = error.field.replace("modem.apn", "carrier.apn")
            own = "modem.psm", "modem.edrx_s", "modem.light_sleep", "modem.operator"  # keys of the scenario's own
            if field.startswith(own):
                field = field.removeprefix("modem.")
            raise UsageError(error.where, field, error.problem, error.hint) from None

    @functools.cached_property
    def carrier_config(self) -> CarrierConfig:
        """What the carrier does: `[carrier]`, and for what it leaves out `[plan]`. UsageError as of CarrierConfig."""
        return CarrierConfig(self.carrier, self.plan)

    @functools.cached_property
    def counts(self) -> bool:
        """Whether the device reads a data counter of its modem's."""
        return self.counter and models.load(self.modem).counter is not None

    @property
    def expected(self) -> Expect:
        """`expect`, less exact where no counter of the modem's is read."""
        return self.expect if self.counts else self.expect.without_counter()

    @property
    def allowance_octets(self) -> int:
        """The carrier's allowance in a cycle: the SIM's, or its pool's if the SIM has no cap."""
        pool = self.carrier.pool
        return self.carrier_config.sim_plan.allowance_octets or (pool.allowance_octets if pool else 0)

    def device_config(self, plan: dict[str, Any] | None = None) -> dict[str, Any]:
        """The configuration of the device, as JSON has it; with another `plan` if one is given."""
        device = dict(self.device)
        device.setdefault("id", "tracker-001")
        # The secret of a simulated device is made from its id, so that every run and tool has the same.
        device.setdefault("key", hashlib.sha256(f"usage-guard {device['id']}".encode()).hexdigest())
        config: dict[str, Any] = {
            "device": device,
            "modem": {"family": modem_family(self.modem), "apn": self.carrier.apn},
            "plan": plan or self.plan,
            "enforcement": self.enforcement,
        }
        if not self.counter:
            config["modem"]["counter"] = False
        if self.bearer != "at":
            config["modem"]["bearer"] = self.bearer
        if self.any_sim:
            config["modem"]["any_sim"] = True
        if self.psm:
            config["modem"]["psm"] = {"active_s": int(self.psm.active_s)}
            if self.psm.periodic_s:
                config["modem"]["psm"]["periodic_s"] = int(self.psm.periodic_s)
        if self.operator:
            config["modem"]["operator"] = self.operator
        if self.edrx_s:
            config["modem"]["edrx_s"] = int(self.edrx_s)
        if self.light_sleep:
            config["modem"]["light_sleep"] = True
        if self.classes:
            config["classes"] = self.classes
        if self.upstream:
            config["upstream"] = self.upstream
        return config

    def observing(self) -> Scenario:
        """The same scenario with a device that only counts: what happens without the guard."""
        return msgspec.structs.replace(self, enforcement="observe", expect=Expect())


_EXAMPLES = {
    "title": 'give one, as in title = "A month on 30 MB"',
    "start": "give one, as in start = 2026-03-01T00:00:00+08:00",
    "duration": 'give one, as in duration = "35d"',
    "plan": 'add [plan] with allowance_octets = "30MB"',
    "allowance_octets": 'give one, as in allowance_octets = "30MB"',
    "slice": 'give "month" if allowance_octets is for each period, "whole" if it is for the whole package',
    "period": 'give one, as in period = "10m"',
    "at": 'give the time after the start, as in at = "12d6h"',
}


def shipped() -> list[str]:
    """The names of the scenarios that ship."""
    return paths.named(paths.scenarios(), ".toml")


def find(name: str) -> Path:
    """A shipped scenario by name, or a file by path."""
    if name in shipped():
        return paths.scenarios() / f"{name}.toml"
    path = Path(name)
    if path.is_file():
        return path
    problem = "is a folder" if path.is_dir() else "no such scenario"
    raise UsageError(name, "", problem, f"name a TOML file or one that ships: {', '.join(shipped())}")


def load(name: str | Path, modem: str | None = None, bearer: str | None = None) -> Scenario:
    """Reads and checks a scenario; `modem` and `bearer` replace its own. Raises UsageError for bad input."""
    path = find(str(name))
    raw = toml.parse(files.text(path, "name a scenario's TOML file", path.name), path.name)
    if "modem" in raw:
        raw["modem"] = find_modem(raw["modem"], path.parent)
    if isinstance(raw.get("modem"), dict):  # as it is deployed; in a scenario it is a name
        raw = of_configuration(raw, path.name)
    scenario = read(raw, path.name, modem, bearer)
    app = path.parent / scenario.app.name
    if app.suffix == ".py" and app.is_file():
        return msgspec.structs.replace(scenario, app=App(str(app)))
    return scenario


_FIRST_DAY = date(2026, 3, 1)


def of_configuration(raw: dict[str, Any], where: str) -> dict[str, Any]:
    """The tables of a scenario for a device's configuration: a month against the carrier that its plan describes, with
    telemetry that uses some 60 % of it. Of the rating that carrier has only the rounding of sessions: what a plan adds
    for packets and as a margin is for carriers that are harsher. UsageError."""
    config = device_config.check(device_config.normalized(raw, where), where)
    plan = raw["plan"]
    activated = plan.get("activated", _FIRST_DAY)
    day = max(_FIRST_DAY, activated if isinstance(activated, date) else date.fromisoformat(activated))
    zone = timezone(timedelta(minutes=config.plan.cycle.utc_offset_min))
    package = plan.get("package", {})
    months = package.get("months", 1) if package.get("slice") == "whole" else plan.get("cycle_days", 30) / 30
    share = int(config.plan.allowance * 0.6 / months / (30 * 24)) - 2_000
    made = {key: raw[key] for key in ("device", "plan", "classes", "upstream", "enforcement") if key in raw}
    made |= {
        "title": f"A month with {where}",
        "start": datetime(day.year, day.month, day.day, tzinfo=zone),
        "duration": "31d",
        "modem": models.of_family(config.modem.family),
        "bearer": config.modem.bearer,
        **{key: raw["modem"][key] for key in ("psm", "edrx_s", "light_sleep", "operator") if key in raw["modem"]},
        "carrier": {"apn": config.modem.apn},
        "host": [{"name": "api", "kind": "responder"}],
        "traffic": [{"class": config.classes[0].name, "kind": "request", "host": "api", "period": "1h",
                     "rx": max(0, min(share, 1 << 20))}],
        "expect": {"carrier_stopped": False},
    }  # fmt: skip
    for host, kind in ((config.upstream.host, "collector"), (config.upstream.ntp_host, "ntp")):
        if host:
            made["host"].append({"name": str(host), "kind": kind})
    if config.plan.rating.session_round_octets:
        made["carrier"]["session_round_octets"] = config.plan.rating.session_round_octets
    if config.plan.pool:
        made["carrier"]["pool"] = {"allowance_octets": config.plan.allowance * 10}
    return made


def loads(text: str, where: str, modem: str | None = None, bearer: str | None = None) -> Scenario:
    """`load` for text; `where` names it in messages."""
    return read(toml.parse(text, where), where, modem, bearer)


def read(raw: dict[str, Any], where: str, modem: str | None = None, bearer: str | None = None) -> Scenario:
    """`load` for the tables that a file would have."""
    raw = device_config.normalized(raw, where)
    if isinstance(raw.get("deploy"), list):
        raw["deploy"] = [
            device_config.normalized(each, where) if isinstance(each, dict) else each for each in raw["deploy"]
        ]
    if modem is not None:
        raw["modem"] = modem
    if bearer is not None:
        raw["bearer"] = bearer
    scenario = toml.convert(raw, Scenario, where, _EXAMPLES)
    if not scenario.name:
        scenario = msgspec.structs.replace(scenario, name=where.removesuffix(".toml"))
    _check(where, scenario)
    return _powered_earlier(scenario) if scenario.real_time else scenario


def _powered_earlier(scenario: Scenario) -> Scenario:
    """The scenario with a board that is powered on earlier, if its modem takes longer to register than the usual one,
    which the seconds of such a scenario are meant for. All else happens at the same time of day."""
    late_ms = models.load(scenario.modem).registered_ms - models.load(USUAL_MODEM).registered_ms
    ahead = Seconds(-(-late_ms // 1000))
    if ahead <= 0:
        return scenario

    def later(each: Any) -> Any:
        return msgspec.structs.replace(each, at=Seconds(each.at + ahead))

    return msgspec.structs.replace(
        scenario,
        start=scenario.start - timedelta(seconds=ahead),
        duration=Seconds(scenario.duration + ahead),
        traffic=[
            msgspec.structs.replace(
                each,
                start=Seconds(each.start + ahead) if each.at is None else each.start,
                at=None if each.at is None else Seconds(each.at + ahead),
                until=Seconds(each.until and each.until + ahead),
            )
            for each in scenario.traffic
        ],
        faults=[later(each) for each in scenario.faults],
        orders=[later(each) for each in scenario.orders],
        actions=[later(each) for each in scenario.actions],
    )


def find_modem(name: Any, folder: Path) -> Any:
    """A profile's path, if it is one, found from `folder`; the name of one that ships as it is."""
    return str(folder / name) if isinstance(name, str) and name.endswith(".toml") else name


def modem_family(name: str) -> str:
    """The driver family for a simulated modem."""
    return models.load(name).dialect


def _check(where: str, scenario: Scenario) -> None:
    """UsageError for what the types cannot say: references, times, and what firmware and carrier refuse."""

    def wrong(field: str, problem: str, hint: str) -> UsageError:
        return UsageError(where, field, problem, hint)

    if scenario.start.tzinfo is None:
        raise wrong(
            "start", "has no time zone", f"write {scenario.start.isoformat()}+08:00 or another offset"
        )
    if not scenario.duration:
        raise wrong("duration", "is zero", 'give the time to simulate, as in "35d"')
    if scenario.real_time and scenario.duration > REAL_TIME_S:
        raise wrong("duration", "is long for real time", f"give {REAL_TIME_S} s or less, or leave real_time out")
    if scenario.real_time and scenario.deploys:
        raise wrong("deploy", "is not possible on a real board", "leave it or real_time out")
    if scenario.only_bearer not in (None, scenario.bearer):
        problem = f"{quote(scenario.bearer)} is not what its expectations are for"
        raise wrong("bearer", problem, f"give {quote(scenario.only_bearer)}")
    if scenario.modem not in models.names() and not scenario.modem.endswith(".toml"):
        hint = f"there are {', '.join(models.names())}; or give a profile's .toml file"
        raise wrong("modem", f"{quote(scenario.modem)} is unknown", hint)
    modem_family(scenario.modem)  # what is wrong with a profile is said of the profile's file
    saving = "psm" if scenario.psm else "edrx_s" if scenario.edrx_s else ""
    if saving and not models.load(scenario.modem).power.psm:
        able = ", ".join(name for name in models.names() if models.load(name).power.psm)
        raise wrong(saving, f"{quote(scenario.modem)} gets none from the network", f"leave it out, or use {able}")
    if scenario.light_sleep and models.load(scenario.modem).light_sleep is None:
        able = ", ".join(name for name in models.names() if models.load(name).light_sleep)
        raise wrong("light_sleep", f"{quote(scenario.modem)} has none", f"leave it out, or use {able}")
    if scenario.psm and scenario.supply.modem == "mains":
        raise wrong("psm", "nothing could wake a modem that the board does not switch", "leave supply.modem out")
    try:
        config, carrier = scenario.config, scenario.carrier_config
        carrier.check(scenario.start)
    except UsageError as error:
        raise wrong(error.field, error.problem, error.hint) from None
    names: set[str] = set()
    for number, host in enumerate(scenario.hosts, 1):
        if host.name in names:
            raise wrong(
                f"host #{number}, name", f"{quote(host.name)} is taken", "give each host its own name"
            )
        names.add(host.name)
        if host.kind != "bridge" and (host.to or host.service):
            field = "to" if host.to else "service"
            raise wrong(
                f"host #{number}, {field}", f'has no effect for "{host.kind}"', 'only a "bridge" has it'
            )
        if host.kind == "bridge" and bool(host.to) == bool(host.service):
            raise wrong(
                f"host #{number}", "a bridge leads to one place", 'give "to" or "service", not both or none'
            )
        if host.to and not _ADDRESS.fullmatch(host.to):
            raise wrong(
                f"host #{number}, to", f"{quote(host.to)} is not an address", 'write it as in "127.0.0.1:1883"'
            )
    hosts = ", ".join(sorted(names)) or "none; add a [[host]]"
    for field in ("host", "ntp_host"):
        name = getattr(config.upstream, field)
        if name is not None and name not in names:
            raise wrong(f"upstream.{field}", f"{quote(name)} is not a host of this scenario", f"there are {hosts}")
    for number, action in enumerate(scenario.actions, 1):
        if action.at >= scenario.duration:
            raise wrong(f"platform #{number}, at", "is after the end", "give a time within the duration")
        if fault := action.fault(carrier.sim_plan):
            field, problem, hint = fault
            raise wrong(f"platform #{number}, {field}", problem, hint)
    classes = [each.name for each in config.classes]
    for number, traffic in enumerate(scenario.traffic, 1):
        place = f"traffic #{number}, "
        if traffic.host not in names:
            raise wrong(place + "host", f"{quote(traffic.host)} is not a host of this scenario", f"there are {hosts}")
        if traffic.class_name not in classes:
            raise wrong(
                place + "class", f"{quote(traffic.class_name)} is not a class", f"there are {', '.join(classes)}"
            )
        if traffic.at is not None:
            if traffic.period or traffic.start or traffic.until:
                raise wrong(place + "at", "is for traffic of once", "leave it out, or period, from and until")
            if traffic.at >= scenario.duration:
                raise wrong(place + "at", "is after the end", "give a time within the duration")
        elif not traffic.period:
            raise wrong(place + "period", "is zero or missing", _EXAMPLES["period"] + ', or at = "3d" for once')
        if traffic.until and traffic.until <= traffic.start:
            raise wrong(place + "until", 'is not after "from"', "leave it out, or give a later time")
        if traffic.kind == "publish" and traffic.rx:
            raise wrong(place + "rx", "a publication has no reply", "leave it out")
        if not MIN_REQUEST <= traffic.tx <= MAX_REQUEST:
            hint = f"give {MIN_REQUEST} to {MAX_REQUEST} octets"
            raise wrong(place + "tx", f"{traffic.tx} octets do not fit one message", hint)
    for number, fault in enumerate(scenario.faults, 1):
        if fault.at >= scenario.duration:
            raise wrong(f"fault #{number}, at", "is after the end", "give a time within the duration")
        if isinstance(fault, HostMoved) and fault.name not in names:
            problem = f"{quote(fault.name)} is not a host of this scenario"
            raise wrong(f"fault #{number}, name", problem, f"there are {hosts}")
    for number, deploy in enumerate(scenario.deploys, 1):
        if deploy.at >= scenario.duration:
            raise wrong(f"deploy #{number}, at", "is after the end", "give a time within the duration")
        try:
            device_config.check(scenario.device_config(deploy.plan), where)
        except UsageError as error:
            raise wrong(f"deploy #{number}, {error.field}", error.problem, error.hint) from None
    if not scenario.owner.valid_s:
        raise wrong("owner.valid_s", "is zero", 'give the time for which a grant is valid, as in "1d"')
    for number, order in enumerate(scenario.orders, 1):
        _check_order(scenario, order, lambda field, *rest, n=number: wrong(f"order #{n}{field}", *rest))


def _check_order(scenario: Scenario, order: Instruction, wrong: Callable[[str, str, str], UsageError]) -> None:
    if scenario.config.upstream.host is None:
        raise wrong("", "there is no way to the device", "add [upstream] and its [[host]]")
    if order.at >= scenario.duration:
        raise wrong(", at", "is after the end", "give a time within the duration")
    if order == Instruction(at=order.at):
        raise wrong("", "orders nothing", 'add what to do, as in limit_octets = "10MB" or stop = true')
    if fault := order.fault():
        field, problem, hint = fault
        raise wrong(f", {field}", problem, hint)
    classes = [each.name for each in scenario.config.classes]
    for name in order.hold or ():
        if name not in classes:
            raise wrong(", hold", f"{quote(name)} is not a class", f"there are {', '.join(classes)}")
    together = ("cost_fen", "balance_fen"), ("pool_octets", "grant_octets"), ("following", "allowance_octets")
    for part, whole in together:
        if getattr(order, part) is not None and getattr(order, whole) is None:
            raise wrong(f", {part}", f"has no effect without {whole}", f"add {whole}")


_ADDRESS = re.compile(r"[^\s:]+:\d{1,5}")
