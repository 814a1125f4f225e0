"""`usageguard plan FILE` and `usageguard plan fit`."""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from host_tools.base import extras, files
from host_tools.base.commands import default_group
from host_tools.base.errors import UsageError
from host_tools.base.terminal import Screen, err

_DEFAULT = "show"  # `plan FILE` is `plan show FILE`


class _Fit(TyperCommand):
    """A command whose `--plans` takes as many files as follow it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spread(args, "--plans"))


def spread(args: list[str], option: str) -> list[str]:
    """Rewrites `option A B` as `option A option B`. Arguments after the next option are not changed."""
    told: list[str] = []
    inside = False
    for index, each in enumerate(args):
        if each.startswith("-") and each != "-":
            if each == option and args[index + 1 : index + 2] and not args[index + 1].startswith("-"):
                inside = True
                continue  # repeated before each file
            inside = False
        told += [option, each] if inside else [each]
    return told


app = typer.Typer(
    cls=default_group(_DEFAULT),
    no_args_is_help=True,
    help="Explain a plan, or find the one that suits past usage.",
)
out = Screen(highlight=False)

JsonOption = Annotated[str | None, typer.Option("--json", metavar="FILE|-", help="as JSON; - is standard output")]


@app.command(_DEFAULT)
def show(
    file: Annotated[str, typer.Argument(metavar="FILE", help="a device's configuration, a scenario, or a plan")],
    at: Annotated[str | None, typer.Option(metavar="DATE", help="as of this date or time, not of today")] = None,
    json_file: JsonOption = None,
) -> None:
    """Explain a plan: limits, dates, warnings, costs. `plan FILE` does the same."""
    from host_tools.planning.explain import explain, zone
    from host_tools.planning.lint import findings
    from host_tools.planning.show import show as print_facts
    from host_tools.planning.source import load

    source = load(file)
    facts = explain(source, _instant(at, zone(source.plan)))
    found = findings(source, facts)
    if json_file:
        files.write_json(json_file, {**facts, "findings": [each.to_json() for each in found]})
    if json_file != "-":
        print_facts(facts, found, out)


@app.command()
def new(
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="what a carrier commonly sells; \"list\" shows the names")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(metavar="FILE", help="the answers, as TOML: nothing is asked")
    ] = None,
    to: Annotated[Path, typer.Option("--out", metavar="FILE", help="the plan to write")] = Path("config.toml"),
    force: Annotated[bool, typer.Option(help="replace a file that is there")] = False,
) -> None:
    """Write a plan by answering questions about the SIM: a configuration that `plan`, `sim` and `deploy` take."""
    from host_tools.planning import new as made

    known = made.presets()
    if preset == "list":
        for name, given in known.items():
            out.print(f"{name:18} {given['title']}", markup=False)
        return
    if preset is not None and preset not in known:
        raise UsageError("--preset", preset, "is not known", f"there are {', '.join(known)}")
    if to.exists() and not force:
        raise UsageError("--out", str(to), "is there already", "name another file, or give --force")
    files.writable("--out", to)
    given = dict(known[preset]) if preset else {}
    where = "--preset"
    if answers:
        given |= made.read_answers(answers)
        where = answers.name
    found = made.answer(given, None if answers else _ask, where)
    text = made.write(found)
    _check(text, to)
    to.write_text(text, "utf-8")
    out.print(f"{to} is written. `usageguard plan {to}` explains it.", markup=False)


def _ask(question: Any, problem: str) -> str:
    """Asks on the terminal; an empty answer is the usual one."""
    if problem:
        err.print(f"  {problem}", markup=False)
    usual = question.default
    shown = {True: "yes", False: "no", None: ""}.get(usual, usual) if isinstance(usual, bool | None) else usual
    err.print(f"{question.text}\n  {question.explains}", markup=False)
    try:
        return typer.prompt("  ", default=str(shown), show_default=shown != "", prompt_suffix="> ", err=True).strip()
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        err.print()
        hint = "answer on a terminal, or give --answers"
        raise UsageError("plan new", question.key, "standard input has ended without an answer", hint) from None


def _check(text: str, to: Path) -> None:
    """UsageError if the answers together are no plan."""
    import tomllib

    from host_tools.build import device_config

    device_config.check(device_config.normalized(tomllib.loads(text), to.name), to.name)


@app.command(cls=_Fit)
def fit(
    usage: Annotated[
        Path, typer.Argument(metavar="USAGE", help="CSV, as a carrier's portal exports it, or the collector's database")
    ],
    plans: Annotated[list[str], typer.Option("--plans", metavar="FILE...", help="files with a plan each")],
    json_file: JsonOption = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="a picture: .png, .svg or .html")] = None,
    stopped_day_fen: Annotated[
        int | None, typer.Option(min=0, max=1 << 30, help="cost of a day without data, for the trade-off")
    ] = None,
    utc_offset_min: Annotated[
        int, typer.Option(min=-720, max=840, help="zone of times and dates without a zone")
    ] = 480,
    layout: Annotated[
        str, typer.Option("--format", metavar="PORTAL", help="whose export it is, if its columns do not tell")
    ] = "",
    unit: Annotated[str, typer.Option(metavar="UNIT", help="of its amounts: B, KB, MB or GB, by 1024")] = "",
    rows: Annotated[str, typer.Option(metavar="day|month", help="what a date in it stands for")] = "",
    dates: Annotated[str, typer.Option(metavar="dmy|mdy", help="the order of day and month in it")] = "",
    home: Annotated[
        str, typer.Option(metavar="CODE", help="the country or network of home in it, for plans with roaming")
    ] = "",
) -> None:
    """Find the plan that suits past usage best: replays it under each plan, with and without the guard."""
    extras.need("plan fit", "report")
    from rich.progress import track

    from host_tools.planning import usage as histories
    from host_tools.planning.fit import fit as find
    from host_tools.planning.source import load
    from host_tools.planning.table import show_fit
    from host_tools.platforms.exports.read import Asked

    if plot is not None and plot.suffix.lower() not in (".png", ".svg", ".html"):
        raise UsageError("--plot", str(plot), "is not a picture format", "name it .png, .svg or .html")
    if plot is not None:
        files.writable("--plot", plot)
    sources = [load(each) for each in plans]
    history = histories.load(usage, Asked(layout, unit, rows, dates, utc_offset_min, home))

    def watched(items: Any) -> Any:
        return track(items, "Replaying", console=err, disable=not err.is_terminal, transient=True)

    found = find(history, sources, stopped_day_fen, watched)
    if json_file:
        files.write_json(json_file, found.to_json())
    if json_file != "-":
        show_fit(found, out)
    if plot is not None:
        from host_tools.planning.plot import write

        try:
            write(plot, found)
        except OSError:
            raise UsageError("--plot", str(plot), "cannot be written", "name a file in a folder that exists") from None


FIRST, LAST = datetime(2000, 1, 2, tzinfo=UTC), datetime(2178, 1, 1, tzinfo=UTC)
"""Between these, a device can represent every date of a plan."""


def _instant(text: str | None, zone: Any) -> datetime:
    """The instant of a date (its noon) or a time, in `zone` unless it has its own; now for None."""
    if text is None:
        return datetime.now(UTC)
    try:
        if len(text) == len("2026-03-15"):
            at = datetime.combine(date.fromisoformat(text), time(12))
        else:
            at = datetime.fromisoformat(text)
        at = at if at.tzinfo else at.replace(tzinfo=zone)
        if not FIRST <= at < LAST:
            raise OverflowError
    except ValueError:
        hint = "give it as in 2026-03-15 or 2026-03-15T08:00"
        raise UsageError("--at", text, "is not a date or time", hint) from None
    except OverflowError:
        raise UsageError("--at", text, "is out of range", "give one of the years 2000 to 2177") from None
    return at
