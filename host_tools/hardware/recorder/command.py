"""`usageguard record` on a port."""

from __future__ import annotations

from pathlib import Path

import serial
from rich.console import Console
from rich.progress import Progress

from host_tools.base import files
from host_tools.base.errors import UsageError
from host_tools.hardware import port as ports
from host_tools.hardware.recorder.record import Recorder, SerialLine, document
from host_tools.sim.clock import S
from host_tools.sim.modem import models
from host_tools.sim.modem.served.transcript import Writer


def record(
    port: str, to: Path, transcript: Path, baud: int, out: Console, err: Console, *, reboot: bool = False
) -> None:
    """Asks the modem at `port` and writes profile and transcript. UsageError for what goes wrong."""
    if to.suffix != ".toml":
        raise UsageError("--out", str(to), "is no name of a profile", "name it with .toml at the end")
    for option, path in (("--out", to), ("--transcript", transcript)):
        files.writable(option, path)
    address = ports.resolve(port)
    try:
        silent = not err.is_terminal
        with (
            serial.serial_for_url(address, baud, timeout=1) as opened,
            Progress(console=err, transient=True, disable=silent) as shown,
        ):
            task = shown.add_task("asking", total=None)
            recorder = Recorder(SerialLine(opened), lambda done, all: shown.update(task, completed=done, total=all))
            recorder.run(reboot=reboot)
    except (OSError, serial.SerialException) as error:
        raise UsageError("--port", port, str(error).lower(), "check that nothing else uses it") from None
    table = recorder.profile(to.stem)
    to.write_text(document(table, tuple(recorder.answers)), encoding="utf-8")
    with transcript.open("w", encoding="ascii") as file:
        writer = Writer(file, {"source": table["source"]})
        for entry in recorder.masked():
            writer.add(entry.t_us or 0, entry.who, entry.data)
            writer.flush()
    models.load(str(to))
    seconds = (recorder.dialogue[-1].t_us or 0) // S
    unanswered = sum(not answer.final for answer in recorder.answers.values())
    known = recorder.dialect or "a dialect that is not simulated"
    out.print(
        f"{recorder.manufacturer} {recorder.model}, {recorder.revision}: {known}; {len(recorder.answers)} questions in "
        f"{seconds} s, {unanswered} without an answer\n{to}: usageguard modem --profile {to}\n{transcript}",
        markup=False,
    )
