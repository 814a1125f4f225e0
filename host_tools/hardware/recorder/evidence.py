"""`usageguard evidence`: what the modem of a device that is offline says, as one file to share and to replay."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import serial
from rich.console import Console
from rich.progress import Progress

from host_tools.base import files
from host_tools.base.errors import UsageError
from host_tools.hardware import port as ports
from host_tools.hardware.recorder.record import Line, Recorder, SerialLine
from host_tools.sim.modem.served.transcript import Writer

HOST = "www.10086.cn"
RESOLVER = "223.5.5.5"
"""A public name server: what it answers has passed the carrier's gateway."""
SIGNAL_ROUNDS, ROUND_S = 6, 10.0
_SESSION_S = 150.0
_REGISTRATION = ("+CPIN?", "+CREG?", "+CGREG?", "+CEREG?", "+COPS?", "+CGATT?", "+CEER", "+CGDCONT?", "+CGACT?")
_SIGNAL = ("+CSQ", "+CESQ", "+CEREG?", "+CBC")
_PAYLOAD, _LISTEN = "payload", "listen"

Step = tuple[str, str | float]
"""A command; then seconds for its final result, PAYLOAD for one that asks for the question, or LISTEN for one whose
result comes by itself."""

_ACTIVATION: tuple[Step, ...] = (("+CGACT=1,1", _SESSION_S), ("+CEER", 5.0), ("+CGPADDR=1", 5.0))
"""3GPP TS 27.007 10.1.10: of all ways to ask for a session, the one that is answered with the cause."""

SESSIONS: dict[str, tuple[Step, ...]] = {
    "quectel": (
        ("+QIACT?", 5.0), ("+QIACT=1", _SESSION_S), ("+QIGETERROR", 5.0), ("+CEER", 5.0),
        ("+CGPADDR=1", 5.0), ('+QIDNSGIP=1,"{host}"', _LISTEN), ('+QIOPEN=1,0,"UDP","{server}",53,0,0', _LISTEN),
        ("+QISEND=0,{octets}", _PAYLOAD), ("+QIRD=0", 5.0), ("+QICLOSE=0", 10.0),
    ),
    "cip": (
        ("+NETOPEN?", 5.0), ("+NETOPEN", _LISTEN), ("+CEER", 5.0), ("+CGPADDR=1", 5.0), ('+CDNSGIP="{host}"', _LISTEN),
        ('+CIPOPEN=0,"UDP",,,5000', _LISTEN), ('+CIPSEND=0,{octets},"{server}",53', _PAYLOAD), ("+CIPCLOSE=0", _LISTEN),
    ),
    "ca": (
        ("+CNACT?", 5.0), ("+CNACT=0,1", _LISTEN), ("+CEER", 5.0), ("+CGPADDR=1", 5.0), ('+CDNSGIP="{host}"', _LISTEN),
        ('+CAOPEN=0,0,"UDP","{server}",53', _LISTEN), ("+CASEND=0,{octets}", _PAYLOAD), ("+CARECV=0,512", 5.0),
        ("+CACLOSE=0", 5.0),
    ),
    "mip": (
        ("+MIPCALL?", 5.0), ("+MIPCALL=1,1", _LISTEN), ("+CEER", 5.0), ("+CGPADDR=1", 5.0),
        ('+MDNSGIP="{host}"', _LISTEN), ('+MIPOPEN=0,"UDP","{server}",53', _LISTEN),
        ("+MIPSEND=0,{octets}", _PAYLOAD), ("+MIPCLOSE=0", _LISTEN),
    ),
    "cipstart": (
        ("+CIPSTATUS", 5.0), ("+CIICR", _SESSION_S), ("+CIFSR", 5.0), ("+CEER", 5.0), ("+CGPADDR=1", 5.0),
        ('+CDNSGIP="{host}"', _LISTEN),
    ),
    "usocr": (
        ("+UPSND=0,8", 5.0), ("+UPSDA=0,3", _LISTEN), ("+CEER", 5.0), ("+CGPADDR=1", 5.0), ('+UDNSRN=0,"{host}"', 70.0),
        ("+USOCR=17", 5.0), ('+USOST=0,"{server}",53,{octets}', _PAYLOAD), ("+USORF=0,512", 5.0), ("+USOCL=0", 10.0),
    ),
    "sequans": (("+CGPADDR=1", 5.0), ('+SQNDNSLKUP="{host}"', 20.0)),
}  # fmt: skip
"""How the maker's commands ask for a data session, look a name up, send one datagram and read its answer."""


def question(host: str) -> bytes:
    """A DNS query for the address of `host` (RFC 1035 4.1)."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in host.split(".") if label)
    return b"UG\x01\x00\x00\x01" + bytes(6) + labels + b"\x00\x00\x01\x00\x01"


class EvidenceRecorder(Recorder):
    """Asks what says why there is no data; `settle_s` is how long a result that comes by itself is waited for."""

    settle_s = 12.0

    def _before(self) -> None:
        while self._hear(0.02):
            pass  # what the modem says by itself is evidence

    def gather(self, host: str) -> None:
        """Asks everything. Costs one lookup of `host`, and one datagram to a public name server with its answer; leaves
        a data session up that it could begin."""
        self.mask.public.add(RESOLVER)
        self.greet()
        before = {name: self._setting(name) for name in ("+CMEE", "+CEREG", "+CGEREP")}
        try:
            self.ask("+CMEE=1")
            self.ask("+CGEREP=2,1")
            if self.ask("+CEREG=3").final != "OK":
                self.ask("+CEREG=2")
            for command in ("+CGMI", "+CGMM", "+CGMR", "+CGSN", "+CIMI"):
                self.answers[command] = self.ask(command)
            steps = (*_ACTIVATION, *SESSIONS.get(self.dialect, ()))
            whole = len(_REGISTRATION) + len(steps) + SIGNAL_ROUNDS
            for done, command in enumerate(_REGISTRATION):
                self._progress(done, whole)
                self.answers[command] = self.ask(command)
            for done, (form, kind) in enumerate(steps, len(_REGISTRATION)):
                self._progress(done, whole)
                self._step(form.format(host=host, server=RESOLVER, octets=len(question(host))), kind, host)
            for done in range(SIGNAL_ROUNDS):
                self._progress(whole - SIGNAL_ROUNDS + done, whole)
                for command in _SIGNAL:
                    self.ask(command)
                self._listen(ROUND_S)
            self._progress(whole, whole)
        finally:
            for name, value in before.items():
                if value:
                    self.ask(f"{name}={value}")

    def _setting(self, name: str) -> str:
        """The value of a setting, as it can be set again; "" where it is not told."""
        lines = self.ask(f"{name}?").lines
        value = lines[-1].partition(": ")[2] if lines else ""
        return value.partition(",")[0] if name == "+CEREG" else value

    def _step(self, command: str, kind: str | float, host: str) -> None:
        if kind == _PAYLOAD:
            self._send(f"AT{command}\r".encode())
            self._listen(1.0)
            self._send(question(host))
            self._listen(self.settle_s)
        elif kind == _LISTEN:
            self.ask(command, _SESSION_S)
            self._listen(self.settle_s)
        else:
            self.answers[command] = self.ask(command, float(kind))

    def _listen(self, seconds: float) -> None:
        """Takes what comes for `seconds`."""
        until = self._line.now() + seconds
        while (left := until - self._line.now()) > 0.001:
            self._hear(left)


class BoardLine:
    """The modem's line through a board's REPL: the board's own UART, with the pins of its files."""

    _OPEN = (
        "import json, machine\n"
        "try:\n    _s = '/' + open('/active').read().split()[0] + '/'\n"
        "except OSError:\n    _s = ''\n"
        "_b = json.load(open(_s + 'board.json'))\n"
        "_u = machine.UART(_b['uart'], baudrate=_b['baud'], tx=_b['tx'], rx=_b['rx'], rxbuf=4096)\n"
        "_r = bytearray(512)\n"
        "def _read():\n"
        "    return bytes(_r[:_u.readinto(_r) or 0]) if _u.any() else b''\n"
    )
    _POLL_S = 0.02

    def __init__(self, board: ports.Port) -> None:
        self._board = board
        try:
            board.run(self._OPEN)
        except ports.Refused as error:
            hint = "deploy to it first, or name the modem's own port"
            raise UsageError("--port", board.name, f"the board has no modem that it knows: {error}", hint) from None

    def write(self, data: bytes) -> None:
        self._board.run(f"_u.write({data!r})")

    def read(self, seconds: float) -> bytes:
        until = time.monotonic() + seconds
        while True:
            data: bytes = self._board.ask("_read()")
            if data or time.monotonic() >= until:
                return data
            time.sleep(self._POLL_S)

    def now(self) -> float:
        return time.monotonic()


def evidence(port: str, to: Path, baud: int, host: str, out: Console, err: Console, *, board: bool = False) -> None:
    """Asks the modem at `port`, or with `board` the one of the board there, and writes the file `to`."""
    files.writable("--out", to)
    try:
        host.encode("ascii")
    except UnicodeEncodeError:
        raise UsageError("--host", host, "is not ASCII", "give the name as it is looked up") from None
    with _line(port, baud, board) as line, Progress(console=err, transient=True, disable=not err.is_terminal) as shown:
        task = shown.add_task("asking", total=None)
        recorder = EvidenceRecorder(line, lambda done, all: shown.update(task, completed=done, total=all))
        recorder.gather(host)
    write(recorder, to)
    answer = recorder.answers[_ACTIVATION[0][0]].final or "no answer"
    out.print(
        f"{recorder.manufacturer} {recorder.model}, {recorder.revision}: data session: {answer}; identities, addresses "
        f"and cells are masked\n{to}: usageguard modem --script {to}",
        markup=False,
    )


def write(recorder: EvidenceRecorder, to: Path) -> None:
    """Writes the masked dialogue."""
    about = {
        "evidence": f"of a {recorder.manufacturer} {recorder.model}, {recorder.revision}",
        "recorded": f"{datetime.now(UTC):%Y-%m-%d}",
    }
    with to.open("w", encoding="ascii") as file:
        writer = Writer(file, about)
        for entry in recorder.masked():
            writer.add(entry.t_us or 0, entry.who, entry.data)
            writer.flush()


@contextlib.contextmanager
def _line(port: str, baud: int, board: bool) -> Iterator[Line]:
    if board:
        with ports.Port(port) as device:
            device.repl()
            try:
                yield BoardLine(device)
            finally:
                device.restart()
        return
    address = ports.resolve(port)
    try:
        with serial.serial_for_url(address, baud, timeout=1) as opened:
            yield SerialLine(opened)
    except (OSError, serial.SerialException) as error:
        raise UsageError("--port", port, str(error).lower(), "check that nothing else uses it") from None
