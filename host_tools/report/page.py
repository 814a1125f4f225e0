"""Writes runs as one self-contained HTML page; a run with the guard can be compared with one without."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any, Protocol

from host_tools.base.days import instant
from host_tools.base.errors import UsageError
from host_tools.base.units import size
from host_tools.report import plots
from host_tools.report.labels import OF_THE_ALLOWANCE, REASONS, VERDICTS, Describer, counted_apart, notable
from host_tools.report.plots import Limit, Mark, Point
from host_tools.scenario.file import Scenario

TEMPLATE = Path(__file__).with_name("page.html")
MAX_MINOR_EVENTS = 500
MAX_MARKS = 12


class Run(Protocol):
    """The result of a run, as `host_tools.run` returns it."""

    series: dict[str, list[tuple[Any, ...]]]

    def to_json(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Part:
    """One scenario in the page. `facts` are more rows of the comparison: (what, with the guard, without); `command` is
    what was typed to make the page, where it is not `usageguard sim` with the scenario's name."""

    scenario: Scenario
    run: Run
    unguarded: Run | None = None
    facts: Sequence[tuple[str, str, str]] = field(default=())
    command: str = ""


def write(path: str | Path, parts: Sequence[Part]) -> None:
    """Writes the page to `path`. Raises UsageError when the file cannot be written."""
    save(path, render(parts))


def save(path: str | Path, text: str) -> None:
    """Writes a page's text to `path`. Raises UsageError when the file cannot be written."""
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError("--html", str(path), f"cannot be written: {error.strerror}") from None


def render(parts: Sequence[Part]) -> str:
    """The page as text."""
    title = parts[0].scenario.title if len(parts) == 1 else f"{len(parts)} runs"
    return filled(title, "\n".join(_Story(part, number).html() for number, part in enumerate(parts, 1)))


def filled(title: str, articles: str) -> str:
    """The template with this title and content."""
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=html.escape(title), parts=articles, version=html.escape(version("usage-guard"))
    )


class _Story:
    """Renders one part, with times in the scenario's zone."""

    def __init__(self, part: Part, number: int) -> None:
        self.scenario = part.scenario
        self.number = number
        self.result = part.run.to_json()
        self.run = part.run
        self.other = part.unguarded
        self.facts = part.facts
        self.command = part.command
        self.zone = part.scenario.start.tzinfo
        self.start = part.scenario.start
        self.end = self.start + timedelta(seconds=self.result["simulated_s"])
        self.config = part.scenario.config
        self.describer = Describer(
            self.config.plan.warn_permille,
            [(c.name, c.shed_permille) for c in self.config.classes if c.shed_permille],
        )

    def html(self) -> str:
        compare = self._comparison() if self.other else ""
        return (
            f'<article aria-labelledby="title-{self.number}">{self._head()}{self._cards()}{self._usage()}'
            f"{self._timeline()}{self._error()}{self._classes()}{compare}{self._expectations()}{self._events()}</article>"
        )

    # Parts of the page

    def _head(self) -> str:
        result = self.result
        state = ("pass", "All expectations held") if result["passed"] else ("fail", "Expectations failed")
        days = result["simulated_s"] / 86_400
        length = f"{days:.0f} days" if days >= 2 else f"{days * 24:.1f} hours"
        options = f"--target {result['target']} --seed {result['seed']}"
        command = self.command or f"usageguard sim {self.scenario.name} {options}"
        return (
            f'<header><p class="badge {state[0]}">{state[1]}</p>'
            f'<h1 id="title-{self.number}">{_text(self.scenario.title)}</h1>'
            f'<p class="lead">{self._lead()}</p>'
            f'<p class="meta">{self.start:%-d %B %Y} to {self.end:%-d %B %Y} · {length} in '
            f"{result['wall_s']:.0f} s on {_text(result['target'])} · <code>{_text(command)}</code></p>"
            "</header>"
        )

    def _lead(self) -> str:
        carrier, device = self.result["carrier"], self.result["device"]
        allowance = carrier["allowance_octets"]
        used = f"{size(carrier['billed_octets'])} of {size(allowance)}"
        if carrier["stopped_at"]:
            story = f"The carrier stopped the SIM on {self._when(carrier['stopped_at'])}, at {used}."
        elif device["stopped_at"]:
            left = allowance - carrier["billed_octets"]
            story = f"The device stopped itself on {self._when(device['stopped_at'])}"
            if reasons := [REASONS[each] for each in device["stop_reasons"] if each not in OF_THE_ALLOWANCE]:
                story += f": {reasons[0]}. It used {used}."
            else:
                story += f" at {used}: <strong>{size(max(left, 0))} before the carrier would have stopped it.</strong>"
        else:
            story = f"The device used {used}; neither the device nor the carrier stopped it."
        if apart := counted_apart(carrier):
            story += f" Beside that it used {apart}."
        if self.other and (at := self.other.to_json()["carrier"]["stopped_at"]):
            dark = _span(self._cycle_end(at) - _time(at))
            story += f" Without the guard the carrier stopped it on {self._when(at)}: no data for {dark}."
        return story

    def _cards(self) -> str:
        carrier, device, upstream = self.result["carrier"], self.result["device"], self.result["upstream"]
        ip, billed, allowance = carrier["ip_octets"], carrier["billed_octets"], carrier["allowance_octets"]
        over, rated = _minus(device["carried_octets"], ip), _minus(device["rated_octets"], billed)
        starts = f"{device['boots']} starts of the board"
        cards = [
            (_percent(billed, allowance, 1), "of the plan used", f"{size(billed)} of {size(allowance)}"),
            (_signed(over), "bytes counted, device − carrier", f"{_percent(over, ip, 3)} of {ip:,} carried"),
            (
                _signed(rated),
                "bytes rated, device − bill",
                f"{_percent(rated, billed, 3)} of {billed:,} billed",
            ),
            (
                f"{upstream['reports_received']:,}",
                "reports received",
                f"{upstream['reports_lost']} lost · {_or_dash(upstream['octets_per_report'])} bytes each",
            ),
        ]
        if device["flash_writes"] is None:  # not counted on a real board
            cards.append((_or_dash(device["boots"]), "starts of the board", f"on {self.result['target']}"))
        else:
            erases = f"{device['flash_erases']:,} erases · {starts}"
            cards.append((f"{device['flash_writes']:,}", "flash writes", erases))
        if heap := device["peak_heap_octets"]:
            cards.append((size(heap), "peak live heap", "on a 64-bit VM, whose words are twice a board's"))
        items = "".join(
            f"<li><strong>{_text(figure)}</strong><span>{_text(what)}</span><small>{_text(more)}</small></li>"
            for figure, what, more in cards
        )
        return f'<ul class="cards" aria-label="Key figures">{items}</ul>'

    def _usage(self) -> str:
        plan = self.config.plan
        kept = plan.allowance - plan.local_limit
        limits = [Limit(f"warning {level / 10:g} %", plan.allowance * level // 1000) for level in plan.warn_permille]
        limits.append(Limit("", plan.local_limit))
        limits.append(
            Limit(
                f"plan: {size(plan.allowance)}; the device stops {size(kept)} below",
                plan.allowance,
                strong=True,
            )
        )
        marks = self._marks()
        unguarded = self._points(self.other, "carrier") if self.other else []
        dark = None
        if self.other and (cut := self.other.to_json()["carrier"]["stopped_at"]):
            dark = (self._at(cut), self._cycle_end(cut).astimezone(self.zone))
        picture = _both(
            plots.usage,
            self._points(self.run, "device"),
            self._points(self.run, "carrier"),
            unguarded,
            limits,
            marks,
            (self.start, self.end),
            dark,
            f"Usage against the plan, run {self.number}. {_plain(self._lead())}",
        )
        story = "".join(f"<li><time>{mark.at:%-d %b %H:%M}</time> {_text(mark.label)}</li>" for mark in marks)
        legend = f'<ol class="marks">{story}</ol>' if story else ""
        return _figure("Usage against the plan", picture, legend)

    def _marks(self) -> list[Mark]:
        marks = []
        for event in self.result["events"]:
            if notable(event) and len(marks) < MAX_MARKS:
                label = self.describer.describe(event)
                if not any(mark.label == label and mark.at.month == self._time(event).month for mark in marks):
                    marks.append(Mark(self._time(event), label))
        return marks

    def _timeline(self) -> str:
        rows = [("Guard's verdict", self._verdicts())]
        rows.append(("Carrier's service", self._service(self.result)))
        if self.other:
            rows.append(("… without the guard", self._service(self.other.to_json())))
        steps = "; ".join(f"{at:%-d %B %H:%M} {text}" for at, _, text in rows[0][1])
        picture = _both(plots.timeline, rows, (self.start, self.end), f"Verdict over time, run {self.number}: {steps}")
        held = {name for _, parts in rows for _, name, _ in parts}
        key = "".join(
            f'<li><i style="background:var(--{name})"></i>{name}: {_text(verdict.label.lower())}</li>'
            for name, verdict in VERDICTS.items()
            if name in held
        )
        return _figure("Verdict and service over time", picture, f'<ul class="key">{key}</ul>')

    def _verdicts(self) -> list[tuple[datetime, str, str]]:
        parts = [(self._at(at), verdict, verdict) for at, verdict in self.run.series.get("verdict", [])]
        return parts or [(self.start, "open", "open")]

    def _service(self, result: dict[str, Any]) -> list[tuple[datetime, str, str]]:
        parts = [(self.start, "open", "served")]
        for event in result["events"]:
            if event["who"] == "carrier" and event["what"] in ("stopped", "restored"):
                stopped = event["what"] == "stopped"
                parts.append(
                    (
                        self._time(event),
                        "terminated" if stopped else "open",
                        "stopped" if stopped else "served",
                    )
                )
        return parts

    def _error(self) -> str:
        errors = self.run.series.get("error")
        if not errors:
            return ""
        carried, rated, bound = (
            plots.thin(plots.in_zone([(point[0], point[which]) for point in errors], self.zone)) for which in (1, 2, 3)
        )
        end = _signed(_minus(self.result["device"]["carried_octets"], self.result["carrier"]["ip_octets"]))
        picture = _both(
            plots.error,
            carried,
            rated,
            bound,
            (self.start, self.end),
            f"Device minus carrier over time, run {self.number}: {end} bytes carried at the end of the cycle",
        )
        note = (
            "Above zero the device counts more than the carrier, which is the safe side. Usage that a power cut leaves "
            "uncertain is counted as used. Every report states the error bound."
        )
        return _figure("Device minus carrier", picture, f"<p>{note}</p>")

    def _classes(self) -> str:
        classes = self.result.get("classes") or {}
        if not any(of["octets"] or of["done"] or of["failed"] for of in classes.values()):
            return ""
        columns = ("octets", "done", "failed", "refused", "unfinished")
        head = "".join(f'<th scope="col">{"IP bytes" if name == "octets" else name}</th>' for name in columns)
        body = "".join(
            f'<tr><th scope="row">{_text(name)}</th>'
            + "".join(f"<td>{'–' if of[each] is None else format(of[each], ',')}</td>" for each in columns)
            + "</tr>"
            for name, of in classes.items()
        )
        return (
            "<section><h2>By traffic class</h2><p>Bytes of the whole run, as the carrier carried them, and what became "
            "of the built-in application's transfers.</p>"
            f'<div class="scroll"><table><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>'
            "</section>"
        )

    def _comparison(self) -> str:
        assert self.other is not None
        mine, other = self.result, self.other.to_json()
        rows: list[tuple[str, str, str]] = [
            ("Stopped by", self._stopper(mine), self._stopper(other)),
            ("Data flowed for", self._flow(mine), self._flow(other)),
            ("Billed", _bill(mine["carrier"]), _bill(other["carrier"])),
            ("Reports received", _received(mine), _received(other)),
            *self.facts,
        ]
        body = "".join(
            f'<tr><th scope="row">{_text(what)}</th><td>{_text(guarded)}</td><td>{_text(unguarded)}</td></tr>'
            for what, guarded, unguarded in rows
        )
        return (
            "<section><h2>With and without the guard</h2>"
            "<p>The same device, SIM, traffic and seed, run twice.</p>"
            '<div class="scroll"><table class="compare"><thead><tr><td></td>'
            '<th scope="col">With Usage Guard</th><th scope="col">Without</th>'
            f"</tr></thead><tbody>{body}</tbody></table></div></section>"
        )

    def _expectations(self) -> str:
        failures = self.result["failures"]
        if not failures:
            return ""
        items = "".join(f"<li>{_text(failure)}</li>" for failure in failures)
        return f'<section class="failures"><h2>Failed expectations</h2><ul>{items}</ul></section>'

    def _events(self) -> str:
        rows = []
        described = [(event["who"], self.describer.describe(event), event) for event in self.result["events"]]
        left = MAX_MINOR_EVENTS
        for (who, text), same in groupby(described, key=lambda item: item[:2]):
            group = list(same)
            major = notable(group[0][2])
            left -= not major
            if not major and left < 0:
                continue
            at = self._time(group[0][2])
            count = f' <span class="count">×{len(group)}</span>' if len(group) > 1 else ""
            strong = ' class="notable"' if major else ""
            name = _text(who)
            rows.append(
                f'<tr{strong}><td><time datetime="{at.isoformat()}">{at:%-d %b %H:%M:%S}</time></td>'
                f'<td><span class="who {name}">{name}</span></td><td>{_text(text)}{count}</td></tr>'
            )
        note = f"<p>{-left} more events are in the JSON results.</p>" if left < 0 else ""
        return (
            f"<section><h2>Events</h2>{_FILTER}{note}"
            '<div class="scroll events" tabindex="0" role="region" aria-label="Events"><table>'
            "<thead><tr>"
            '<th scope="col">Time</th><th scope="col">Who</th><th scope="col">What</th>'
            f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div></section>"
        )

    # Values

    def _points(self, run: Run, name: str) -> list[Point]:
        return plots.thin(plots.in_zone([point[:2] for point in run.series.get(name, [])], self.zone))

    def _at(self, iso: str) -> datetime:
        return _time(iso).astimezone(self.zone)

    def _time(self, event: dict[str, Any]) -> datetime:
        return self._at(event["t"])

    def _when(self, iso: str) -> str:
        return f"{self._at(iso):%-d %B, %H:%M}"

    def _cycle_end(self, iso: str) -> datetime:
        """The end of the billing cycle that contains the instant."""
        cycle = self.config.plan.cycle
        return _time(iso) + timedelta(seconds=cycle.seconds_left(*instant(_time(iso))))

    def _stopper(self, result: dict[str, Any]) -> str:
        if at := result["carrier"]["stopped_at"]:
            return f"the carrier, {self._when(at)}"
        if at := result["device"]["stopped_at"]:
            return f"the device itself, {self._when(at)}"
        return "neither"

    def _flow(self, result: dict[str, Any]) -> str:
        at = result["carrier"]["stopped_at"] or result["device"]["stopped_at"]
        if at is None:
            return "the whole cycle"
        return f"{_span(_time(at) - self.start)} of {_span(self._cycle_end(at) - self.start)}"


_FILTER = '<label class="filter"><input type="checkbox"> Show all events</label>'


def _both(draw: Callable[..., str], *given: Any) -> str:
    """A chart for wide screens and one for phones, of which the page shows one."""
    wide, narrow = draw(*given), draw(*given, width=plots.NARROW)
    return f'<div class="wide">{wide}</div><div class="narrow">{narrow}</div>'


def _figure(title: str, picture: str, below: str = "") -> str:
    return f"<section><h2>{title}</h2><figure>{picture}</figure>{below}</section>"


def _time(iso: str) -> datetime:
    return datetime.fromisoformat(iso)


def _text(value: object) -> str:
    return html.escape(str(value))


def _plain(markup: str) -> str:
    return markup.replace("<strong>", "").replace("</strong>", "")


def _minus(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one - other


def _signed(value: int | None) -> str:
    return "–" if value is None else f"{value:+,}"


def _percent(part: int | None, whole: int, digits: int) -> str:
    return "–" if part is None or not whole else f"{100 * part / whole:.{digits}f} %"


def _or_dash(value: object) -> str:
    return "–" if value is None else str(value)


def _bill(carrier: dict[str, Any]) -> str:
    billed = carrier["billed_octets"]
    return f"{size(billed)}, {_percent(billed, carrier['allowance_octets'], 1)}"


def _received(result: dict[str, Any]) -> str:
    return f"{result['upstream']['reports_received']:,}"


def _span(span: timedelta) -> str:
    days, seconds = divmod(int(span.total_seconds()), 86_400)
    hours = round(seconds / 3_600)
    return f"{days} d {hours} h" if days else f"{hours} h"
