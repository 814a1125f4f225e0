"""The `usageguard` command. Exit status: 0 all expectations held, 1 one did not, 2 usage or bad input.

130 and 141: Ctrl-C, and a pipe whose reader has left.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from host_tools import files
from host_tools.errors import UsageError
from host_tools.planning.command import app as plan
from host_tools.terminal import OutputLost, Pairs, drop_stdout, err, out, take_stdout

# The simulator and matplotlib take their time to import; a command takes only what it needs.

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Usage Guard: keeps a cellular IoT device inside its data plan.",
)
app.add_typer(plan, name="plan")

HELD, FAILED, BAD_INPUT, INTERRUPTED, NO_READER = 0, 1, 2, 130, 141


def _version(wanted: bool) -> None:
    if wanted:
        try:
            out.print(f"usageguard {importlib.metadata.version('usage-guard')}")
        except importlib.metadata.PackageNotFoundError:
            out.print("usageguard, of a checkout that is not installed")
        raise typer.Exit(HELD)


@app.callback()
def _all(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="tell the version and end")
    ] = False,
) -> None:
    """For every command."""


class Target(StrEnum):
    """What runs the firmware."""

    CPYTHON = "cpython"
    MICROPYTHON = "micropython"


TargetOption = Annotated[Target, typer.Option(help="what runs the firmware")]


@app.command()
def demo(
    html: Annotated[Path, typer.Option(help="the report to write", metavar="FILE")] = Path("usageguard-report.html"),
    target: TargetOption = Target.MICROPYTHON,
) -> None:
    """A month of a device's life on a MicroPython VM, with the guard and without, then an HTML report."""
    from host_tools import demo as story

    files.writable("--html", html)
    begin = time.monotonic()
    outcome = story.run(html, target, err)
    _say(outcome.run.to_json())
    out.print(f"Both lives took {time.monotonic() - begin:.0f} s. The report: [bold]{escape(str(html))}[/]")
    raise typer.Exit(HELD if outcome.run.passed else FAILED)


@app.command()
def sim(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(metavar="SCENARIO", help="names that ship, or files; none: lists those that ship"),
    ] = None,
    target: Annotated[
        str, typer.Option(help="cpython, micropython, board:PORT, or board:virtual for one without hardware")
    ] = Target.MICROPYTHON,
    modem_port: Annotated[
        str | None, typer.Option(metavar="PORT", help="the port that is wired to the board's UART for the modem")
    ] = None,
    board: Annotated[str | None, typer.Option(help="the board's name, where nothing was deployed to it yet")] = None,
    modem: Annotated[str | None, typer.Option(help="modem profile instead of the scenario's")] = None,
    seed: Annotated[int | None, typer.Option(help="seed instead of the scenario's", min=0, max=2**32 - 1)] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="the results as JSON; - is standard output")
    ] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="the results as a page")] = None,
) -> None:
    """Run scenarios; without one, list those that ship."""
    from host_tools import play, scenario

    if not target.startswith("board:"):
        for option, given in (("--modem-port", modem_port), ("--board", board)):
            if given:
                hint = "use it with --target board:PORT"
                raise UsageError(option, given, f"means nothing with --target {target}", hint)
    if not scenarios:
        out.print(Pairs([(name, Text(scenario.load(name).title)) for name in scenario.shipped()]))
        return
    if json_file and json_file != "-":
        files.writable("--json", Path(json_file))
    if html:
        files.writable("--html", html)
    todo = [scenario.load(name, modem) for name in scenarios]  # all of them, before the first is run
    say = err if json_file == "-" else out
    runs = []
    for each in todo:
        run = play.play(each, target, seed, err, modem_port=modem_port, pins=board).run
        _say(run.to_json(), say)
        runs.append(run)
    results = [run.to_json() for run in runs]
    if json_file:
        files.write_json(json_file, results[0] if len(results) == 1 else results)
    if html:
        from host_tools import report

        report.write(html, [report.Part(each, run) for each, run in zip(todo, runs, strict=True)])
    raise typer.Exit(HELD if all(run.passed for run in runs) else FAILED)


@app.command()
def modem(
    profile: Annotated[str, typer.Option(help="a modem that ships, or a TOML file")] = "quectel-ec200u",
    link: Annotated[str | None, typer.Option(metavar="PATH", help="a symbolic link to make to the pty")] = None,
    baud: Annotated[int, typer.Option(help="rate at which the line is paced")] = 115_200,
    relay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=HOST:PORT",
            help="have TCP and UDP to a host of that name go to 127.0.0.1 or [::1]; may be repeated",
        ),
    ] = None,
) -> None:
    """The simulated modem alone on a pty, for any AT client. Reaches no host but those relayed. Ends with Ctrl-C."""
    from host_tools.sim.modem import pty

    try:
        pty.serve(profile, link, baud, pty.parse_relays(relay or ()), lambda line: out.print(line, markup=False))
    except ValueError as error:
        raise UsageError("modem", "", str(error)) from None


@app.command()
def collector(
    keys: Annotated[Path, typer.Option(metavar="FILE", help="TOML or JSON: device id = key, 64 hexadecimal digits")],
    db: Annotated[Path, typer.Option(metavar="FILE", help="SQLite file, created at need")] = Path("reports.sqlite"),
    port: Annotated[int, typer.Option(help="UDP port, 0 for any", min=0, max=65_535)] = 5683,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
) -> None:
    """Receive the devices' usage reports over CoAP, verify, keep and acknowledge them. Ends with Ctrl-C."""
    from host_tools.collector.server import serve

    serve(port, db, keys, host, out)


@app.command()
def soak(
    runs: Annotated[int, typer.Option(help="how many lives", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="of the first life; the others follow", min=0, max=2**32 - 1)] = 1,
    target: TargetOption = Target.CPYTHON,
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="where short scenarios of failures go")] = Path(),
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="the result as JSON; - is standard output")
    ] = None,
) -> None:
    """Live random lives with random faults, and hold each against the carrier; a failure becomes a short scenario."""
    from host_tools.soak import command

    if not folder.is_dir():
        raise UsageError("--dir", str(folder), "is no folder", "name one that exists")
    if json_file and json_file != "-":
        files.writable("--json", Path(json_file))
    found = command.run(runs, seed, target, folder, err if json_file == "-" else out, err)
    if json_file:
        files.write_json(json_file, found)
    raise typer.Exit(FAILED if found["failures"] else HELD)


@app.command()
def torture(
    wear: Annotated[bool, typer.Option(help="measure the flash's wear instead")] = False,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="the rows as JSON; - is standard output")
    ] = None,
) -> None:
    """Cut the power at every flash operation, rot every record, wear the flash out: does the ledger lose anything?"""
    from host_tools.torture import show

    if json_file and json_file != "-":
        files.writable("--json", Path(json_file))
    say = err if json_file == "-" else out
    if wear:
        worn = show.run_wear(err)
        show.tell_wear(say, worn)
        rows, held = [row.to_json() for row in worn], True
    else:
        tried = show.run(err)
        show.tell(say, tried)
        rows, held = [row.to_json() for row in tried], all(row.passed for row in tried)
    if json_file:
        files.write_json(json_file, rows)
    raise typer.Exit(HELD if held else FAILED)


BoardOption = Annotated[str, typer.Option(help="a board that ships (`usageguard boards`), or a folder")]
PortOption = Annotated[
    str, typer.Option(help="a serial port, socket:// or rfc2217:// URL, or serial:NUMBER of a USB device")
]


@app.command()
def boards(
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE|-", help="the list as JSON; - is standard output")
    ] = None,
) -> None:
    """List the boards: where their pins are from, their modem, and whether there is a driver for it."""
    from host_tools import boards as listed

    if json_file:
        files.write_json(json_file, listed.to_json())
    else:
        out.print(listed.table())


@app.command()
def flash(
    board: BoardOption,
    port: PortOption,
    image: Annotated[Path, typer.Option(metavar="FILE", help="MicroPython for this board, a .bin")],
    image_out: Annotated[Path, typer.Option("--out", metavar="FILE", help="where the image with a ledger goes")],
    erase: Annotated[bool, typer.Option(help="erase the whole flash first, the ledger too")] = False,
) -> None:
    """Give a MicroPython image a partition for the ledger, and write it to a board. Not yet run on hardware."""
    from host_tools import boards
    from host_tools.hardware.flash import flash

    flash(boards.load(board), port, image, image_out, out, erase=erase)


@app.command()
def provision(
    port: PortOption,
    device: Annotated[str, typer.Option("--id", help="the device's id, 1 to 16 letters, digits, '.', '_' or '-'")],
    keys: Annotated[Path, typer.Option(metavar="FILE", help="the collector's keys, TOML or JSON: it gets the new one")],
    pin: Annotated[str | None, typer.Option(help="the SIM's PIN")] = None,
    force: Annotated[bool, typer.Option(help="replace what the device has")] = False,
) -> None:
    """Give a device its id and a new key, which is never shown."""
    from host_tools.hardware.provision import provision

    provision(port, device, keys, out, pin=pin, force=force)


@app.command()
def deploy(
    board: BoardOption,
    port: PortOption,
    config: Annotated[Path, typer.Option(metavar="FILE", help="the device's configuration, JSON or TOML")],
    application: Annotated[Path, typer.Option("--app", metavar="FILE", help="your application, with main(guard)")],
    secrets: Annotated[bool, typer.Option(help="take id, key and PIN from the configuration too")] = False,
    line_numbers: Annotated[bool, typer.Option(help="keep the firmware's line numbers for its tracebacks")] = False,
    force: Annotated[bool, typer.Option(help="send everything")] = False,
) -> None:
    """Put firmware, configuration and application on a board; goes back to what it had if they do not start."""
    from host_tools import boards
    from host_tools.hardware.deploy import deploy

    deploy(boards.load(board), port, config, application, out, secrets=secrets, lines=line_numbers, force=force)


@app.command()
def monitor(
    port: PortOption,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a line")] = False,
    restart: Annotated[bool, typer.Option(help="reset the board first: its status comes as the guard starts")] = False,
) -> None:
    """Watch a board: its status, its verdict and its log. Ends with Ctrl-C."""
    from host_tools.hardware.monitor import monitor

    monitor(port, out, as_json, restart=restart)


@app.command("virtual-board")
def virtual_board(
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="what it keeps: flash, files")],
    repl: Annotated[str | None, typer.Option(metavar="PATH", help="a symbolic link to make to its port")] = None,
    uart: Annotated[str | None, typer.Option(metavar="PATH", help="the modem's port, as of `usageguard modem`")] = None,
) -> None:
    """A board without hardware, behind a port: MicroPython, a REPL, files, flash. Ends with Ctrl-C."""
    from host_tools.hardware.virtual import serve
    from host_tools.sim.modem.pty import drop_stale_link

    if repl:
        with contextlib.suppress(OSError):  # `serve` says what is wrong with it
            drop_stale_link(Path(repl))
    serve(folder, repl, uart, lambda port: out.print(port, markup=False))


def _say(result: dict[str, Any], console: Console = out) -> None:
    """A run in a few lines."""
    from host_tools.units import size

    carrier, device, upstream = result["carrier"], result["device"], result["upstream"]
    mark = "[green]held[/]" if result["passed"] else "[bold red]failed[/]"
    days, seconds = divmod(result["simulated_s"], 86_400)
    console.print(
        f"{mark}  [bold]{escape(result['scenario'])}[/]: {days} d {seconds // 3600} h "
        f"in {result['wall_s']:.1f} s on {result['target']}, seed {result['seed']}"
    )
    if device["carried_octets"] is not None:
        over = device["carried_octets"] - carrier["ip_octets"]
        console.print(
            f"      the carrier billed {size(carrier['billed_octets'])} of {size(carrier['allowance_octets'])}; "
            f"{_stopped(carrier, device)}\n"
            f"      device minus carrier: {over:+,} octets; "
            f"reports: {upstream['reports_received']} received, {upstream['reports_lost']} lost"
        )
    for failure in result["failures"]:
        console.print(f"      [red]✗[/] {escape(failure)}")


def _stopped(carrier: dict[str, Any], device: dict[str, Any]) -> str:
    if carrier["stopped_at"]:
        return "the carrier stopped it"
    return "it stopped itself" if device["stopped_at"] else "nobody stopped it"


def main() -> None:
    """The console script."""
    try:
        take_stdout()
    except OutputLost as lost:
        raise SystemExit(_lost(lost)) from None
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The command with `arguments`; returns the exit status. Whatever is wrong with them is one line."""
    try:
        status = app(arguments, prog_name="usageguard", standalone_mode=False) or HELD
        sys.stdout.flush()
        return status
    except OutputLost as lost:
        drop_stdout()
        return _lost(lost)
    except UsageError as error:
        problem = str(error)
    except typer.TyperException as error:
        problem = error.format_message().replace(" Value error,", "")
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        from host_tools.hardware.deploy import DeployFailed
        from host_tools.targets.link import Crashed

        if not isinstance(error, Crashed | DeployFailed):
            raise
        _complain(f"the device's program failed: {error}" if isinstance(error, Crashed) else str(error))
        return FAILED
    if problem:  # none where help was the answer
        _complain(" ".join(problem.split()))
    return BAD_INPUT


def _lost(lost: OutputLost) -> int:
    """As tools do: silent where the reader has left, by the status of one that SIGPIPE ended."""
    if lost.closed:
        return NO_READER
    _complain(f"standard output: {lost}; send it where it can be written")
    return BAD_INPUT


def _complain(text: str) -> None:
    with contextlib.suppress(OSError):  # there is nobody left to tell
        print(f"usageguard: {text}", file=sys.stderr)
