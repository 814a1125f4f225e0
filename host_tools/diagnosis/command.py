"""`usageguard diagnose`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from host_tools.base import files, paths
from host_tools.base.errors import UsageError
from host_tools.base.terminal import Pairs
from host_tools.diagnosis import known
from host_tools.report.labels import REASONS
from host_tools.report.reasons import way_back

if TYPE_CHECKING:
    from usageguard.diagnose.causes import Evidence, Verdict

_SETTLED_S = 180
"""From the reset of a board to the status that is judged: a modem that does not answer is known to be dead by then."""
_STATUS_S = 3_600


@dataclass(frozen=True)
class Source:
    """What tells of the device: one of a device in the database `db`, a file with statuses, and a board's port."""

    device: str = ""
    db: str = ""
    status: str = ""
    port: str = ""
    restart: bool = False


def source(device: str | None, db: str, status: str | None, port: str | None, restart: bool) -> Source:
    """The one that is given. UsageError for none, or several."""
    if sum(map(bool, (device, status, port))) != 1:
        hint = "name a device of a collector's database, or give --status or --port"
        raise UsageError("diagnose", "", "one source tells of a device", hint)
    if restart and not port:
        raise UsageError("--restart", "", "resets a board", "use it with --port")
    return Source(device or "", db, status or "", port or "", restart)


def run(given: Source, config: Path | None, console: Console) -> dict[str, Any]:
    """Judges by that source, and prints the verdicts; returns them."""
    settings = _config(config) if config else None
    now = datetime.now(UTC)
    told = 0
    if given.device:
        evidence, heads, told = _of_database(given, settings, now)
    else:
        evidence, heads = _of_console(given, settings, console)
    from usageguard.diagnose.causes import diagnose

    verdicts = diagnose(evidence)
    if told > 0:
        verdicts = known.with_told(verdicts, told)
    rows = [(name, Text(text)) for name, text in heads]
    for verdict in verdicts:
        rows.append((verdict.name, Text(_evidence(verdict))))
        rows.append(("", Text(f"{_remedy(verdict)}\n{_retry(verdict)}", style="dim")))
    if not verdicts:
        rows.append(("verdict", Text("nothing keeps it offline by what is known")))
    console.print(Pairs(rows))
    return {**dict(heads), "verdicts": [_as_json(verdict) for verdict in verdicts]}


def _config(path: Path) -> Any:
    from host_tools.build import package

    return package.settings(path).config


def _of_database(given: Source, config: Any, now: datetime) -> tuple[Evidence, list[tuple[str, str]], int]:
    from host_tools.collector.database_file import opened
    from host_tools.collector.device_command import age_of

    with opened(given.db) as store:
        newest = store.latest(given.device)
        if newest is None:
            raise UsageError("device", given.device, "has never reported", "see `usageguard device list`")
        history = store.history(given.device)
    full = next((each for each in reversed(history) if each.report.packets >= 0), None)
    evidence = known.of_reports(newest, full.report if full else None, config, now)
    age = age_of(now - newest.received_at)
    said = f"{newest.received_at:%Y-%m-%d %H:%M} UTC by {newest.path}, {age} ago"
    return evidence, [("device", given.device), ("last report", said)], newest.report.cause


def _of_console(given: Source, config: Any, console: Console) -> tuple[Evidence, list[tuple[str, str]]]:
    from host_tools.hardware.monitor import parse
    from host_tools.hardware.port import Port

    if given.port:
        with Port(given.port) as device:
            seconds, span = _STATUS_S, "an hour at the most"
            if given.restart:
                device.repl()
                device.restart()
                seconds, span = _SETTLED_S, "three minutes, as a modem may take that long"
            console.print(f"{given.port}: waiting for the guard's status, {span}", style="dim", markup=False)
            statuses = (parse(line).status for line in device.lines(seconds, resets=True))
            status = _last(statuses, not given.restart)
    else:
        hint = "name a file that `monitor --json` has written, or - for standard input"
        text = sys.stdin.read() if given.status == "-" else files.text(Path(given.status), hint)
        status = _last(map(_status, text.splitlines()))
    if not status:
        raise UsageError(given.port or given.status, "", "has no status", "see `usageguard monitor --restart`")
    return known.of_status(status, config, given.restart), [("status", str(status["verdict"]))]


def _last(statuses: Iterable[dict[str, Any]], first: bool = False) -> dict[str, Any]:
    """The last status that is one, or the `first`; {} without any."""
    found: dict[str, Any] = {}
    for status in statuses:
        if "verdict" in status and "modem" in status:
            found = status
            if first:
                break
    return found


def _status(line: str) -> dict[str, Any]:
    """The status in a line, which `monitor --json` or the board has written; {} where it has none."""
    try:
        found = json.loads(line.removeprefix("ug "))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _evidence(verdict: Verdict) -> str:
    from usageguard.diagnose.causes import CAUSES, LABEL

    others = ", ".join(CAUSES[each - 1][LABEL] for each in verdict.others)
    said = verdict.evidence or "no more is known"
    if said in REASONS:
        said += f": {REASONS[said]}"
    return f"{said}; cannot be told from {others}" if others else said


def _remedy(verdict: Verdict) -> str:
    return f"lifted by: {way_back(verdict.evidence)}" if verdict.evidence in REASONS else verdict.remedy


def _retry(verdict: Verdict) -> str:
    if not verdict.retry:
        return "the device cannot mend it by trying again"
    when = f" in {verdict.retry_s:,} s" if verdict.retry_s is not None else ""
    cost = f"for {verdict.octets:,} bytes" if verdict.octets else "at no cost in bytes"
    return f"the device tries again by itself{when}, {cost}"


def _as_json(verdict: Verdict) -> dict[str, Any]:
    paths.use_firmware()
    from usageguard.diagnose.causes import CAUSES, LABEL

    return {
        "cause": verdict.name,
        "detail": verdict.detail,
        "evidence": verdict.evidence,
        "others": [CAUSES[each - 1][LABEL] for each in verdict.others],
        "remedy": verdict.remedy,
        "retry": verdict.retry,
        "retry_s": verdict.retry_s,
        "octets": verdict.octets,
    }
