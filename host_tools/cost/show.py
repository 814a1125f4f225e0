"""Shows what an application costs a month: for a terminal, as Markdown for a pull request, and as a badge."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.markup import escape

from host_tools.base.terminal import Column, Listing
from host_tools.base.units import size
from host_tools.cost.causes import WORDS
from host_tools.cost.compare import growth

_GREEN, _RED = "#2e7d32", "#c62828"
_CHAR, _PAD = 6.6, 10
"""Width of a character of a badge's type, and beside the text, in pixels."""


def headline(found: dict[str, Any]) -> str:
    """The month in a line: "31.02 MB a month (30.60 MB to 31.45 MB)"."""
    month = found["month"]
    return f"{size(month['octets'])} a month ({size(month['least'])} to {size(month['most'])})"


def facts(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and values beside the octets."""
    month = found["month"]
    days = month["days_until_used_up"]
    lasts = "for ever" if days is None else f"{days:,.1f} days" if days <= 366 else "more than a year"
    plan = f"{size(month['allowance_octets'])} last {lasts}"
    if hours := month["hours"]:
        plan += f": {size(hours['debited_octets'])} a month come out of it, "
        plan += f"{size(hours['octets'])} are used in its hours"
    return [
        ("plan", plan),
        ("packets", f"{month['packets']:,} a month"),
        ("sessions", f"{month['sessions']:,} a month"),
        ("SMS", f"{month['sms']:,} a month"),
        ("radio on", f"{month['radio_on_s'] / 3600:,.1f} h a month"),
        ("a send waits in the guard", f"{month['send_wait_ms']:,.1f} ms, {month['longest_send_wait_ms']:,} ms at most"),
    ]


def warnings(found: dict[str, Any]) -> list[str]:
    """What makes the figures doubtful."""
    lines = []
    for name, spoke in found["learned_hosts"].items():
        what = f"it heard {', '.join(spoke)}" if spoke else "it heard nothing"
        lines.append(f"host {name} was not given, and its answers are made up ({what}): give --host {name}=…")
    if 0 < found["crashed_runs"] < found["runs"]:
        times = f"{found['crashes']:,} times in {found['crashed_runs']} of {found['runs']} runs"
        lines.append(f"the application crashed {times}: {found['error']}")
    if found["hangs"]:
        lines.append(f"the application computed without a wait {found['hangs']} times, and was reset")
    return lines


def show(found: dict[str, Any], baseline: dict[str, Any] | None, console: Console) -> None:
    """Prints it."""
    console.print(f"[bold]{escape(found['app'])}[/]: [bold]{headline(found)}[/]")
    total = max(1, found["month"]["octets"])
    columns = [Column("for"), Column("a month", True), Column("share", True)]
    if baseline:
        columns.append(Column("change", True))
    change = dict(growth(found, baseline)) if baseline else {}
    table = Listing(columns)
    for cause in dict.fromkeys((*found["causes"], *change)):
        n = found["causes"].get(cause, 0)
        cells = [WORDS.get(cause, cause), size(n), f"{100 * n / total:.1f} %"]
        if baseline:
            cells.append(_signed(change[cause]))
        table.add(*cells)
    console.print(table)
    if len(found["classes"]) > 1:
        classes = Listing([Column("class"), Column("a month", True), Column("most of it")])
        for name, causes in found["classes"].items():
            most = ", ".join(f"{WORDS.get(cause, cause)} {size(n)}" for cause, n in list(causes.items())[:2])
            classes.add(escape(name), size(sum(causes.values())), most)
        console.print(classes)
    for name, value in facts(found):
        console.print(f"{name}: {value}")
    networks = ", ".join(f"{name} {size(each['octets'])}" for name, each in found["networks"].items())
    console.print(f"by network: {networks}; {100 * found['explained']:.1f} % explained")
    for line in warnings(found):
        console.print(f"[yellow]![/] {escape(line)}")
    for line in found["failures"]:
        console.print(f"[red]✗[/] {escape(line)}")


def _signed(n: int) -> str:
    return "–" if not n else f"{'+' if n > 0 else '−'}{size(abs(n))}"


def markdown(found: dict[str, Any], baseline: dict[str, Any] | None) -> str:
    """A comment for a pull request."""
    runs = f"{found['runs']} runs of {found['days']} days of {found['target']}"
    mark = "❌" if found["failures"] else "✅"
    lines = [f"### {mark} {found['app']}: {headline(found)}", ""]
    lines += [f"- **{line}**" for line in found["failures"]] + [""] * bool(found["failures"])
    change = dict(growth(found, baseline)) if baseline else {}
    lines += [
        f"| For | A month | Share |{' Change |' if baseline else ''}",
        f"|---|---:|---:|{'---:|' if baseline else ''}",
    ]
    total = max(1, found["month"]["octets"])
    for cause in dict.fromkeys((*found["causes"], *change)):
        n = found["causes"].get(cause, 0)
        row = f"| {WORDS.get(cause, cause)} | {size(n)} | {100 * n / total:.1f} % |"
        lines.append(row + (f" {_signed(change[cause])} |" if baseline else ""))
    lines += ["", "; ".join(f"{name}: {value}" for name, value in facts(found)) + "."]
    lines += [f"\n> {line}" for line in warnings(found)]
    lines += [
        "",
        f"<sub>{runs} on {', '.join(found['networks'])} networks, by <code>usageguard cost</code>.</sub>",
    ]
    return "\n".join(lines) + "\n"


def badge(found: dict[str, Any]) -> str:
    """An SVG that says what a month costs."""
    month = found["month"]
    value = f"{size(month['octets'])}/month ±{_percent(month)} %"
    left, right = (round(len(text) * _CHAR + _PAD) for text in ("data", value))
    color = _RED if found["failures"] else _GREEN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="data: {value}"><title>data: {value}</title>'
        f'<rect width="{left + right}" height="20" rx="3" fill="{color}"/>'
        f'<path d="M3 0h{left - 3}v20H3a3 3 0 0 1-3-3V3a3 3 0 0 1 3-3z" fill="#555"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{left / 2:g}" y="14">data</text><text x="{left + right / 2:g}" y="14">{value}</text></g></svg>\n'
    )


def _percent(month: dict[str, Any]) -> int:
    width = max(month["most"] - month["octets"], month["octets"] - month["least"])
    return max(1, round(100 * width / month["octets"])) if month["octets"] else 0
