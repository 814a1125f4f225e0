"""What goes wrong: one-shot overrides of commands and events at the modem, each seen in the field (modem facts, faults).

`inject` takes a fault as a scenario file writes it: `{"kind": "urc-inside", "command": "+QIRD", "line": "+CREG: 2"}`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from host_tools.sim.modem.parser import Command

if TYPE_CHECKING:
    from host_tools.sim.modem.device import SimModem


@dataclass(slots=True)
class Override:
    """Applies to the next `count` commands whose text matches `command` (a shell pattern, "+QISEND*")."""

    kind: str
    command: str
    count: int
    values: dict[str, Any] = field(default_factory=dict)


class Faults:
    """`armed` is False as long as nothing is to be looked for, which costs a command one test."""

    def __init__(self, modem: SimModem) -> None:
        self._modem = modem
        self._overrides: list[Override] = []
        self._inside: Override | None = None  # applies to the response of the command that runs
        self._lost_urcs: list[Override] = []
        self._split_urcs: list[Override] = []
        self._send_fails = 0
        self.armed = False

    def inject(self, fault: dict[str, Any]) -> None:
        """Arms or carries out one fault. ValueError names the field that is wrong."""
        values = dict(fault)
        kind = values.pop("kind", None)
        row = KINDS.get(kind) if isinstance(kind, str) else None
        if row is None:
            raise ValueError(f"kind: {kind!r} is no modem fault; use one of {', '.join(sorted(KINDS))}")
        fields, act = row
        given: dict[str, Any] = {}
        for name, default in fields.items():
            value = values.pop(name, default)
            if value is None:
                raise ValueError(f"{name}: missing; a fault {kind!r} needs it")
            wanted = default if isinstance(default, type) else type(default)
            if isinstance(value, type) or not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
                given_text = "missing" if isinstance(value, type) else repr(value)
                raise ValueError(f"{name}: {given_text}; a fault {kind!r} needs {wanted.__name__}")
            given[name] = value
        if values:
            raise ValueError(f"{min(values)}: a fault {kind!r} has no such field; it has {', '.join(fields) or 'none'}")
        self._modem.log.add("bench", "fault", kind=kind)
        act(self, kind, given)

    # --- what the device asks ---

    def before(self, command: Command) -> tuple[bool, int]:
        """Whether the command is taken over, and what delay (ms) it gets otherwise."""
        for override in self._overrides:
            if fnmatchcase(command.text.upper(), override.command):
                self._use(self._overrides, override)
                return self._apply(override)
        return False, 0

    def _apply(self, override: Override) -> tuple[bool, int]:
        modem, kind, values = self._modem, override.kind, override.values
        if kind == "slow":
            return False, values["ms"]
        if kind == "unanswered":
            modem.after(0, self._silent)
            return True, 0
        if kind == "response-lost":
            modem.abandon(mute=True)
            return False, 0
        if kind == "answer":
            lines = [line for line in values["lines"].split("\n") if line] or None
            modem.after(0, modem.finish, lines, values["final"])
            return True, 0
        if kind == "hang-on":
            modem.hung = True
            return True, 0
        if kind == "reboot-on":
            modem.after(0, modem.reset)
            return True, 0
        self._inside = override
        return False, 0

    def _silent(self) -> None:
        self._modem.abandon(mute=False)

    def response(self, out: bytes) -> bytes:
        """The response as the line carries it."""
        override, self._inside = self._inside, None
        if override is None:
            return out
        self._rearm()
        modem = self._modem
        if override.kind == "urc-inside":
            urc = modem.frame(override.values["line"])
            at = out.find(b"\r\n", 2)  # after the first line, where one is
            at = at + 2 if 0 <= at < len(out) - 2 else 0
            return out[:at] + urc + out[at:]
        if override.kind == "urc-before":
            return modem.frame(override.values["line"]) + out
        at = min(max(1, override.values["at"]), len(out))  # stall-inside
        modem.write(out[:at])
        modem.hold(override.values["ms"])
        return out[at:]

    def takes_urc(self, line: str) -> bool:
        """Whether the URC is lost or has been written in pieces."""
        for override in self._lost_urcs:
            if line.startswith(override.values["prefix"]):
                self._use(self._lost_urcs, override)
                return True
        for override in self._split_urcs:
            if line.startswith(override.values["prefix"]):
                self._use(self._split_urcs, override)
                framed = self._modem.frame(line)
                at = min(max(1, override.values["at"]), len(framed))
                self._modem.write(framed[:at])
                self._modem.hold(override.values["ms"])
                self._modem.write(framed[at:])
                return True
        return False

    def send_fails(self) -> bool:
        """Whether this AT+QISEND finds the buffer full."""
        if self._send_fails == 0:
            return False
        self._send_fails -= 1
        self._rearm()
        return True

    def _use(self, overrides: list[Override], override: Override) -> None:
        override.count -= 1
        if override.count == 0:
            overrides.remove(override)
        self._rearm()

    def _rearm(self) -> None:
        self.armed = bool(
            self._overrides or self._lost_urcs or self._split_urcs or self._send_fails or self._inside
        )

    # --- kinds ---

    def _override(self, kind: str, values: dict[str, Any]) -> None:
        command, count = values.pop("command").upper(), values.pop("count")
        self._overrides.append(Override(kind, command, count, values))
        self.armed = True

    def _lose_urc(self, kind: str, values: dict[str, Any]) -> None:
        self._lost_urcs.append(Override(kind, "", values["count"], values))
        self.armed = True

    def _split_urc(self, kind: str, values: dict[str, Any]) -> None:
        self._split_urcs.append(Override(kind, "", values["count"], values))
        self.armed = True

    def _send_fail(self, kind: str, values: dict[str, Any]) -> None:
        self._send_fails += values["count"]
        self.armed = True

    def _urc(self, kind: str, values: dict[str, Any]) -> None:
        self._modem.urc(values["line"])

    def _garbage(self, kind: str, values: dict[str, Any]) -> None:
        self._modem.write(self._modem.rng.randbytes(values["octets"]))

    def _reboot(self, kind: str, values: dict[str, Any]) -> None:
        self._modem.reset()

    def _hang(self, kind: str, values: dict[str, Any]) -> None:
        self._modem.hung = True

    def _power_cut(self, kind: str, values: dict[str, Any]) -> None:
        modem = self._modem
        modem.power(False)
        modem.clock.after(values["ms"] * 1000, modem.power, True)

    def _echo(self, kind: str, values: dict[str, Any]) -> None:
        self._modem.nvm.store("E", "1")

    def _half_open(self, kind: str, values: dict[str, Any]) -> None:
        socket = self._modem.sockets.sockets.get(values["id"])
        if socket is not None:
            socket.context.lost_ports.add(socket.local_port)

    def _counter_jump(self, kind: str, values: dict[str, Any]) -> None:
        octets = self._modem.data.octets
        octets[0] += values["tx"]
        octets[1] += values["rx"]

    def _counter_reset(self, kind: str, values: dict[str, Any]) -> None:
        self._modem.data.octets = [0, 0]

    def _no_coverage(self, kind: str, values: dict[str, Any]) -> None:
        radio = self._modem.radio
        radio.cover(False)
        if values["ms"]:
            self._modem.clock.after(values["ms"] * 1000, radio.cover, True)

    def _stuck(self, kind: str, values: dict[str, Any]) -> None:
        self._modem.radio.stuck = values["on"]

    def _signal(self, kind: str, values: dict[str, Any]) -> None:
        self._modem.radio.rsrp_dbm = values["rsrp_dbm"]

    def _network_time(self, kind: str, values: dict[str, Any]) -> None:
        radio = self._modem.radio
        radio.time_error = timedelta(seconds=values["error_s"])
        if radio.registered:
            self._modem.general.network_time(self._modem.clock.utc() + radio.time_error, radio.zone)

    def _sim_out(self, kind: str, values: dict[str, Any]) -> None:
        sim = self._modem.sim
        sim.insert(False)
        if values["ms"]:
            self._modem.clock.after(values["ms"] * 1000, sim.insert, True)

    def _sim_faulty(self, kind: str, values: dict[str, Any]) -> None:
        self._modem.card.faulty = values["on"]


# kind -> fields (a default, or the type of a required one), what does it
KINDS: dict[str, tuple[dict[str, Any], Any]] = {
    # of the next commands that match
    "slow": ({"command": "*", "count": 1, "ms": int}, Faults._override),
    "unanswered": ({"command": "*", "count": 1}, Faults._override),
    "response-lost": ({"command": "*", "count": 1}, Faults._override),
    "answer": ({"command": "*", "count": 1, "lines": "", "final": "ERROR"}, Faults._override),
    "hang-on": ({"command": "*", "count": 1}, Faults._override),
    "reboot-on": ({"command": "*", "count": 1}, Faults._override),
    "urc-inside": ({"command": "*", "count": 1, "line": str}, Faults._override),
    "urc-before": ({"command": "*", "count": 1, "line": str}, Faults._override),
    "stall-inside": ({"command": "*", "count": 1, "at": 1, "ms": 200}, Faults._override),
    "send-fail": ({"count": 1}, Faults._send_fail),
    # of the next URCs that match
    "urc-lost": ({"prefix": "", "count": 1}, Faults._lose_urc),
    "urc-split": ({"prefix": "", "count": 1, "at": 5, "ms": 200}, Faults._split_urc),
    # now
    "urc": ({"line": str}, Faults._urc),
    "garbage": ({"octets": 16}, Faults._garbage),
    "reboot": ({}, Faults._reboot),
    "hang": ({}, Faults._hang),
    "power-cut": ({"ms": 1000}, Faults._power_cut),
    "echo-on": ({}, Faults._echo),
    "half-open": ({"id": int}, Faults._half_open),
    "counter-jump": ({"tx": 0, "rx": 0}, Faults._counter_jump),
    "counter-reset": ({}, Faults._counter_reset),
    "no-coverage": ({"ms": 0}, Faults._no_coverage),
    "stuck-registration": ({"on": True}, Faults._stuck),
    "signal": ({"rsrp_dbm": int}, Faults._signal),
    "network-time": ({"error_s": int}, Faults._network_time),
    "sim-out": ({"ms": 0}, Faults._sim_out),
    "sim-faulty": ({"on": True}, Faults._sim_faulty),
}
