"""The scenario file: a device, its plan, a carrier, traffic, faults and expectations, read strictly.

`[device]`, `[plan]`, `[[class]]` and `[upstream]` become the JSON that a device is configured with and are
judged by the firmware's own validator, so that there is one set of rules. The rest is the simulator's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Union, get_args

import msgspec

from host_tools import files, paths, strict
from host_tools.errors import UsageError
from host_tools.expect import Expect, Permille
from host_tools.rules import Action, Carrier, Rules
from host_tools.sim.desk import LAST_DAY, MAX_RATE, DeskRules, Instruction, day_number
from host_tools.sim.modem import faults as modem_faults
from host_tools.sim.modem import profile
from host_tools.units import Octets, Seconds, quote

MIN_REQUEST, MAX_REQUEST = 8, 65_535
"""A request begins with a header of 8 octets, which holds its own length in 16 bits."""

REAL_TIME_S = 600
"""The longest that a scenario for real boards may take."""

Port = Annotated[int, msgspec.Meta(ge=0, le=65_535)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A TOML table: immutable, and a key that it does not have is an error."""


class Network(_Table, frozen=True):
    """The path beyond the carrier: one-way latency, and loss of packets there."""

    latency_ms: Annotated[int, msgspec.Meta(ge=0, le=60_000)] = 60
    loss_permille: Permille = 0


class Host(_Table, frozen=True):
    """A host on the internet. A bridge relays to real sockets: `to` an address or a bench's `service`."""

    DEFAULT_PORTS: ClassVar[dict[str, int]] = {"mqtt": 1883, "collector": 5683, "responder": 7000, "sink": 9}

    name: Name
    kind: Literal["responder", "sink", "collector", "bridge"]
    port: Port = 0
    to: str | None = None
    service: Literal["mqtt", "collector"] | None = None

    @property
    def listens_on(self) -> int:
        """The port that the device sees."""
        if self.port or self.to:
            return self.port or int(self.to.rpartition(":")[2])  # type: ignore[union-attr]
        return self.DEFAULT_PORTS[self.service or self.kind]


class App(_Table, frozen=True):
    """What runs on the device beside the guard: a name that ships, or a Python file, found from the scenario's."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=4_096)] = "workload"


class Traffic(_Table, frozen=True):
    """A habit of the application, between `start` and `until` (0: the end) after the scenario's beginning.

    `request` and `download` send `tx` octets and are answered with `rx`; `publish` is MQTT, `tx` its payload.
    """

    class_name: Name = msgspec.field(name="class")
    kind: Literal["request", "download", "publish"]
    host: Name
    period: Seconds
    tx: Octets = Octets(64)
    rx: Octets = Octets(0)
    start: Seconds = msgspec.field(name="from", default=Seconds(0))
    until: Seconds = Seconds(0)


class PowerCut(_Table, frozen=True, tag_field="kind", tag="power_cut"):
    """The supply fails `at` this time without warning and is back `off` later."""

    at: Seconds
    off: Seconds = Seconds(10)


class Reset(_Table, frozen=True, tag_field="kind", tag="reset"):
    """The board is reset `at` this time; the modem keeps its power."""

    at: Seconds
    cause: Literal["watchdog", "hard", "soft"] = "watchdog"


if TYPE_CHECKING:

    class ModemFault(modem_faults.Fault, frozen=True):
        at: Seconds

    Fault = PowerCut | Reset | ModemFault
else:

    def _timed(kind: type[modem_faults.Fault]) -> type[modem_faults.Fault]:
        """A fault of the modem's with the time `at` which it strikes."""
        return msgspec.defstruct(kind.__name__, [("at", Seconds)], bases=(kind,), frozen=True, kw_only=True,
                                 tag_field="kind", tag=kind.__struct_config__.tag)  # fmt: skip

    Fault = Union[(PowerCut, Reset, *map(_timed, get_args(modem_faults.AnyFault)))]


class Scenario(_Table, frozen=True, kw_only=True):
    """One world and one device in it."""

    name: str = ""  # the file's, without .toml, unless given
    title: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    seed: Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)] = 1
    start: datetime
    duration: Seconds
    real_time: bool = False  # short enough for the bench of a real board
    modem: Name = "quectel-ec200u"
    baud: Annotated[int, msgspec.Meta(ge=1_200, le=3_000_000)] = 115_200
    device: dict[str, Any] = {}
    plan: dict[str, Any]
    classes: list[dict[str, Any]] = msgspec.field(name="class", default=[])
    upstream: dict[str, Any] = {}
    carrier: Carrier = Carrier()
    network: Network = Network()
    hosts: list[Host] = msgspec.field(name="host", default=[])
    app: App = App()
    traffic: list[Traffic] = []
    faults: list[Fault] = msgspec.field(name="fault", default=[])
    desk: DeskRules = DeskRules()
    orders: list[Instruction] = msgspec.field(name="order", default=[])
    actions: list[Action] = msgspec.field(name="platform", default=[])
    expect: Expect = Expect()

    @property
    def rules(self) -> Rules:
        """What the carrier does, with what `[carrier]` leaves to `[plan]`."""
        return Rules(self.carrier, self.plan)

    @property
    def allowance_octets(self) -> int:
        """What the carrier grants in a cycle: to the SIM, or to its pool where the SIM has no cap of its own."""
        pool = self.carrier.pool
        return self.rules.sim_plan.allowance_octets or (pool.allowance_octets if pool else 0)

    def device_config(self) -> dict[str, Any]:
        """The JSON object that the device of this scenario is configured with."""
        device = dict(self.device)
        enforcement = device.pop("enforcement", "enforce")
        device.setdefault("id", "tracker-001")
        # A simulated device's secret need not be one; made from its name, every run and tool agrees on it.
        device.setdefault("key", hashlib.sha256(f"usage-guard {device['id']}".encode()).hexdigest())
        config: dict[str, Any] = {
            "device": device,
            "modem": {"family": modem_family(self.modem), "apn": self.carrier.apn},
            "plan": self.plan,
            "enforcement": enforcement,
        }
        if self.classes:
            config["classes"] = self.classes
        if self.upstream:
            config["upstream"] = self.upstream
        return config

    def observing(self) -> Scenario:
        """The same world with a device that counts and never stops: what happens without a guard."""
        return msgspec.structs.replace(
            self, device={**self.device, "enforcement": "observe"}, expect=Expect()
        )


_EXAMPLES = {
    "title": 'give one, as in title = "A month on 30 MB"',
    "start": "give one, as in start = 2026-03-01T00:00:00+08:00",
    "duration": 'give one, as in duration = "35d"',
    "plan": 'add [plan] with allowance_octets = "30MB"',
    "allowance_octets": 'give one, as in allowance_octets = "30MB"',
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


def load(name: str | Path, modem: str | None = None) -> Scenario:
    """Reads and checks a scenario; `modem` replaces its profile. Raises UsageError for whatever is wrong."""
    path = find(str(name))
    scenario = loads(files.text(path, "name a scenario's TOML file", path.name), path.name, modem)
    app = path.parent / scenario.app.name
    if app.suffix == ".py" and app.is_file():
        return msgspec.structs.replace(scenario, app=App(str(app)))
    return scenario


def loads(text: str, where: str, modem: str | None = None) -> Scenario:
    """`load` for text; `where` names it in messages."""
    return read(strict.parse(text, where), where, modem)


def read(raw: dict[str, Any], where: str, modem: str | None = None) -> Scenario:
    """`load` for the tables that a file would have; changes `raw`."""
    files.check_plan(raw, where)
    convert_units(raw, where)
    if modem is not None:
        raw["modem"] = modem
    scenario = strict.convert(raw, Scenario, where, _EXAMPLES)
    _check(where, scenario)
    return msgspec.structs.replace(scenario, name=scenario.name or where.removesuffix(".toml"))


def modem_family(name: str) -> str:
    """The driver family for a simulated modem."""
    return profile.load(name).manufacturer.lower()


def convert_units(raw: dict[str, Any], where: str) -> None:
    """Turns `*_octets` and `*_s` of the device's tables into the integers a device is given, in place."""
    pending: list[tuple[str, Any]] = [(f".{key}", raw.get(key)) for key in ("plan", "class", "upstream")]
    while pending:
        path, value = pending.pop()
        if isinstance(value, list):
            pending += [(f"{path}[{index}]", item) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            for key, item in value.items():
                pending.append((f"{path}.{key}", item))
                try:
                    if key.endswith(("_octets", "_octets_s")):
                        value[key] = int(Octets.parse(item))
                    elif key.endswith("_s") and isinstance(item, str):
                        value[key] = int(Seconds.parse(item))
                except ValueError as error:
                    raise UsageError(where, strict.place(f"{path}.{key}"), str(error)) from None


def _check(where: str, scenario: Scenario) -> None:
    """What the types cannot say: references, order in time, and the firmware's own opinion of the device."""

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
    if scenario.modem not in profile.names():
        raise wrong("modem", f"{quote(scenario.modem)} is unknown", f"there are {', '.join(profile.names())}")
    config = settings(scenario, where)
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
                f"host #{number}, {field}", f'means nothing for "{host.kind}"', 'only a "bridge" has it'
            )
        if host.kind == "bridge" and bool(host.to) == bool(host.service):
            raise wrong(
                f"host #{number}", "a bridge leads to one place", 'give "to" or "service", not both or none'
            )
        if host.to and not _ADDRESS.fullmatch(host.to):
            raise wrong(
                f"host #{number}, to", f"{quote(host.to)} is no address", 'write it as in "127.0.0.1:1883"'
            )
    hosts = ", ".join(sorted(names)) or "none; add a [[host]]"
    if scenario.upstream and config.upstream.host not in names:
        raise wrong("upstream.host", f"{quote(config.upstream.host)} is no host here", f"there are {hosts}")
    rules = Rules(scenario.carrier, scenario.plan, where)
    rules.check(scenario.start)
    for number, action in enumerate(scenario.actions, 1):
        if action.at >= scenario.duration:
            raise wrong(f"platform #{number}, at", "is after the end", "give a time within the duration")
        if fault := action.fault(rules.sim_plan):
            field, problem, hint = fault
            raise wrong(f"platform #{number}, {field}", problem, hint)
    classes = [each.name for each in config.classes]
    for number, traffic in enumerate(scenario.traffic, 1):
        place = f"traffic #{number}, "
        if traffic.host not in names:
            raise wrong(place + "host", f"{quote(traffic.host)} is no host here", f"there are {hosts}")
        if traffic.class_name not in classes:
            raise wrong(
                place + "class", f"{quote(traffic.class_name)} is no class", f"there are {', '.join(classes)}"
            )
        if not traffic.period:
            raise wrong(place + "period", "is zero", _EXAMPLES["period"])
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
    for number, order in enumerate(scenario.orders, 1):
        _check_order(scenario, order, lambda field, *rest, n=number: wrong(f"order #{n}{field}", *rest))


def _check_order(scenario: Scenario, order: Instruction, wrong: Callable[[str, str, str], UsageError]) -> None:
    if not scenario.upstream:
        raise wrong("", "there is no way to the device", "add [upstream] and its [[host]]")
    if order.at >= scenario.duration:
        raise wrong(", at", "is after the end", "give a time within the duration")
    if order == Instruction(at=order.at):
        raise wrong("", "orders nothing", 'add what to do, as in limit_octets = "10MB" or stop = true')
    for day in ("expiry", "billing"):
        value = getattr(order, day)
        if value is not None and not 0 <= day_number(value) <= LAST_DAY:
            raise wrong(f", {day}", f"{value} is out of range", "give a date of 2000 to 2178")
    if order.throttle_octets_s is not None and order.throttle_octets_s > MAX_RATE:
        problem = f"{order.throttle_octets_s} octets per second is out of range"
        raise wrong(", throttle_octets_s", problem, f"give {MAX_RATE} or less")
    for part, whole in (("cost_fen", "balance_fen"), ("pool_octets", "grant_octets")):
        if getattr(order, part) is not None and getattr(order, whole) is None:
            raise wrong(f", {part}", f"means nothing without {whole}", f"add {whole}")


_ADDRESS = re.compile(r"[^\s:]+:\d{1,5}")


def settings(scenario: Scenario, where: str = "scenario") -> Any:
    """The device's configuration as its firmware reads it; UsageError for what it refuses."""
    paths.use_firmware()
    from usageguard import config

    try:
        return config.load(scenario.device_config())
    except config.ConfigError as error:
        field = error.field.replace("classes", "class").replace("modem.apn", "carrier.apn")
        if field == "enforcement":
            field = "device.enforcement"
        raise UsageError(where, strict.place(f".{field}"), error.problem, error.hint) from None
