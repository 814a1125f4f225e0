"""The `usageguard` command.

Exit status: 0 when every expectation held, 1 when one did not, 2 for a usage error or bad input, 130 after Ctrl-C, 141
when the reader of standard output closed the pipe.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shlex
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from host_tools.base import extras, files
from host_tools.base.errors import UsageError
from host_tools.base.terminal import OutputLost, Pairs, drop, err, out, take_stdout
from host_tools.collector.device_command import app as device
from host_tools.collector.order_command import app as order
from host_tools.fleet.command import app as fleet
from host_tools.planning.command import app as plan
from host_tools.platforms.command import app as platform
from host_tools.sim.modem_command import app as modem

# Each command imports what it needs: the simulator and matplotlib are slow to import, and extras may be missing.

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Usage Guard keeps a cellular IoT device inside its data plan.",
)
app.add_typer(device, name="device")
app.add_typer(order, name="order")
app.add_typer(plan, name="plan")
app.add_typer(platform, name="platform")
app.add_typer(modem, name="modem")
app.add_typer(fleet, name="fleet")

HELD, FAILED, BAD_INPUT, INTERRUPTED, NO_READER = 0, 1, 2, 130, 141


def _version(wanted: bool) -> None:
    if wanted:
        try:
            out.print(f"usageguard {importlib.metadata.version('usage-guard')}")
        except importlib.metadata.PackageNotFoundError:
            out.print("usageguard (a checkout that is not installed)")
        raise typer.Exit(HELD)


@app.callback()
def _all(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Usage Guard keeps a cellular IoT device inside its data plan."""


class Target(StrEnum):
    """What runs the firmware."""

    CPYTHON = "cpython"
    MICROPYTHON = "micropython"


TargetOption = Annotated[Target, typer.Option(help="The interpreter that runs the firmware.")]
JsonOption = Annotated[
    str | None, typer.Option("--json", metavar="FILE|-", help="Write the results as JSON; - is standard output.")
]


@app.command()
def demo(
    html: Annotated[Path, typer.Option(help="The report to write.", metavar="FILE")] = Path("usageguard-report.html"),
    target: TargetOption = Target.MICROPYTHON,
    web: Annotated[
        bool | None,
        typer.Option("--web/--no-web", help="Then serve a fleet's page, until Ctrl-C.", show_default="on a terminal"),
    ] = None,
) -> None:
    """Simulate a tracker for a month, with and without the guard; write an HTML report, then serve a fleet's page."""
    if web is None:
        web = out.is_terminal and not os.environ.get("CI")
    extras.need("demo", "broker", "report", *(("fleet", "platforms") if web else ()))
    _check_vm(target)
    from host_tools.demo import story

    files.writable("--html", html)
    begin = time.monotonic()
    with contextlib.ExitStack() as stack:
        page = None
        if web:
            from host_tools.demo.page import Page

            page = stack.enter_context(Page())
        outcome = story.run(html, target, err, page and page.start)
        _say(outcome.run.to_json())
        out.print(f"Both runs took {time.monotonic() - begin:.0f} s. The report: [bold]{escape(str(html))}[/]")
        if page:
            page.serve(out.print)
    raise typer.Exit(HELD if outcome.run.passed else FAILED)


@app.command()
def sim(
    scenarios: Annotated[
        list[str] | None,
        typer.Argument(metavar="SCENARIO", help="Names of scenarios that ship, or TOML files."),
    ] = None,
    target: Annotated[
        str, typer.Option(help="cpython, micropython, board:PORT, or board:virtual for a virtual board.")
    ] = Target.MICROPYTHON,
    modem_port: Annotated[
        str | None, typer.Option(metavar="PORT", help="The serial port that is wired to the board's modem UART.")
    ] = None,
    board: Annotated[
        str | None, typer.Option(help="The board's name; needed until something was deployed to the board.")
    ] = None,
    modem: Annotated[str | None, typer.Option(help="The modem profile, in place of the scenario's.")] = None,
    bearer: Annotated[
        str | None, typer.Option(metavar="at|ppp", help="The device's bearer, in place of the scenario's.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The random seed, in place of the scenario's.", min=0, max=2**32 - 1)
    ] = None,
    json_file: JsonOption = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the results as an HTML page.")] = None,
    devices: Annotated[
        int | None, typer.Option(help="Run one scenario with so many; fastest with --target cpython.", min=1)
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="With --devices: the number of processes.", show_default="cores", min=1)
    ] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="With --devices: run them on this Dask cluster.")
    ] = None,
) -> None:
    """Run scenarios, or list the ones that ship if none is given."""
    from host_tools.run import play
    from host_tools.run.targets import names
    from host_tools.scenario import file as scenario

    if not names.is_board(target):
        for option, given in (("--modem-port", modem_port), ("--board", board)):
            if given:
                hint = "use it with --target board:PORT"
                raise UsageError(option, given, f"cannot be used with --target {target}", hint)
    for option, given in (("--workers", workers), ("--dask", dask)):
        if given and not devices:
            raise UsageError(option, str(given), "is for many devices", "use it with --devices")
    if devices:
        _fleet(scenarios or [], devices, target, seed, workers, dask, modem, json_file, html)
    if not scenarios:
        out.print(Pairs([(name, Text(scenario.load(name).title)) for name in scenario.shipped()]))
        return
    if json_file and json_file != "-":
        files.writable("--json", Path(json_file))
    if html:
        extras.need("--html", "report")
        files.writable("--html", html)
    _check_vm(target)
    todo = [scenario.load(name, modem, bearer) for name in scenarios]  # bad input is reported before the first one runs
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
        from host_tools.report import page as report

        given = {"--modem": modem, "--bearer": bearer, "--modem-port": modem_port, "--board": board}
        typed = [word for option, value in given.items() if value for word in (option, value)]
        commands = [
            shlex.join(["usageguard", "sim", name, "--target", target, *typed, "--seed", str(run.to_json()["seed"])])
            for name, run in zip(scenarios, runs, strict=True)
        ]
        parts = zip(todo, runs, commands, strict=True)
        report.write(html, [report.Part(each, run, command=command) for each, run, command in parts])
    raise typer.Exit(HELD if all(run.passed for run in runs) else FAILED)


def _fleet(
    scenarios: list[str],
    devices: int,
    target: str,
    seed: int | None,
    workers: int | None,
    dask: str | None,
    modem: str | None,
    json_file: str | None,
    html: Path | None,
) -> NoReturn:
    """`sim --devices`."""
    from host_tools.run import fleet_command
    from host_tools.scenario import file as scenario

    if len(scenarios) != 1:
        raise UsageError("--devices", str(devices), "is for one scenario", "name it")
    if dask and workers:
        raise UsageError("--workers", str(workers), "cannot be used with --dask", "leave one of them out")
    if dask:
        extras.need("--dask", "dask")
    if json_file and json_file != "-":
        files.writable("--json", Path(json_file))
    if html:
        extras.need("--html", "report")
        files.writable("--html", html)
    _check_vm(target)
    one = scenario.load(scenarios[0], modem)
    result = fleet_command.run(one, devices, target, seed, workers, dask, err, err if json_file == "-" else out)
    if json_file:
        files.write_json(json_file, result.to_json())
    if html:
        from host_tools.report import fleet as report

        report.write(html, one, result.to_json())
    raise typer.Exit(HELD if result.passed else FAILED)


@app.command()
def cost(
    application: Annotated[
        str, typer.Argument(metavar="APP", help="Your application, a module with main(guard), or a built-in one.")
    ],
    plan_file: Annotated[
        str | None, typer.Option("--plan", metavar="FILE", help="A configuration, plan or scenario; default: 30 MB.")
    ] = None,
    days: Annotated[int, typer.Option(help="How many days each run simulates.", min=1, max=366)] = 3,
    seeds: Annotated[int, typer.Option(help="How many runs on each of three networks.", min=1, max=100)] = 5,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=WHAT", help="A host: responder, sink, mqtt, or 127.0.0.1:PORT; repeatable."),
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="A file that lies beside it on the device; repeatable.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Fail where a month is expected to cost more, as in 31MB.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The JSON of an earlier run, to compare with.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(metavar="PERCENT", help="Fail where it is so much above the baseline.", min=0)
    ] = 10,
    target: TargetOption = Target.MICROPYTHON,
    workers: Annotated[int | None, typer.Option(help="The number of processes.", show_default="cores", min=1)] = None,
    json_file: JsonOption = None,
    markdown: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write a comment for a pull request; - is standard output.")
    ] = None,
    badge: Annotated[Path | None, typer.Option(metavar="FILE", help="Write an SVG badge.")] = None,
) -> None:
    """Tell what an application costs a month, and for what: payload, headers, handshakes, keep-alives, …

    Exit status 1: a month is above the budget, too far above the baseline, or the application always crashes.
    """
    from host_tools.base.units import Octets
    from host_tools.cost import command, compare, show

    allowed = None
    if budget is not None:
        try:
            allowed = int(Octets.parse(budget))
        except ValueError as error:
            raise UsageError("--budget", budget, str(error)) from None
    if json_file == "-" and markdown == "-":
        raise UsageError("--markdown", "-", "is the output of --json too", "name a file for one of them")
    for option, name in (("--json", json_file), ("--markdown", markdown), ("--badge", badge)):
        if name and name != "-":
            files.writable(option, Path(name))
    _check_vm(target)
    before = compare.read_baseline(baseline) if baseline else None
    found = command.run(application, plan_file, days, seeds, host or [], file or [], target, workers, err)
    found["failures"] = compare.failures(found, allowed, before, tolerance)
    show.show(found, before, err if "-" in (json_file, markdown) else out)
    if json_file:
        files.write_json(json_file, found)
    if markdown == "-":
        sys.stdout.write(show.markdown(found, before))
    elif markdown:
        Path(markdown).write_text(show.markdown(found, before), "utf-8")
    if badge:
        badge.write_text(show.badge(found), "utf-8")
    raise typer.Exit(FAILED if found["failures"] else HELD)


@app.command()
def collector(
    keys: Annotated[
        Path, typer.Option(metavar="FILE", help="TOML or JSON: device ids with their keys, 64 hexadecimal digits.")
    ],
    db: Annotated[
        str,
        typer.Option(metavar="FILE|URL", help="A SQLite file, created if it is not there, or postgresql://USER@HOST/NAME."),
    ] = "reports.sqlite",
    mqtt: Annotated[
        str, typer.Option(metavar="URL", help="Reports from an MQTT broker too: mqtt://USER@HOST:PORT/PREFIX, or mqtts://.")
    ] = "",
    sms: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Reports from an SMS gateway's requests too, as this TOML file says."),
    ] = None,
    sms_port: Annotated[int, typer.Option(help="The TCP port for them; 0 picks a free one.", min=0, max=65_535)] = 8080,
    keep: Annotated[
        int, typer.Option(metavar="DAYS", help="Reduce older reports to a figure for each day; 0 for never.", min=0)
    ] = 0,
    port: Annotated[int, typer.Option(help="The UDP port; 0 picks a free one.", min=0, max=65_535)] = 5683,
    host: Annotated[str, typer.Option(help="The IP address to listen on.")] = "127.0.0.1",
    processes: Annotated[int, typer.Option(help="The number of processes that share the ports.", min=1)] = 1,
) -> None:
    """Receive, verify, store and acknowledge usage reports over CoAP, until Ctrl-C."""
    from host_tools.collector.server import Ways, serve

    serve(port, db, keys, host, out, Ways(mqtt, sms, sms_port, keep), processes)


@app.command()
def soak(
    runs: Annotated[int, typer.Option(help="The number of runs.", min=1)] = 200,
    seed: Annotated[
        int, typer.Option(help="The seed of the first run; each next run adds 1.", min=0, max=2**32 - 1)
    ] = 1,
    target: TargetOption = Target.CPYTHON,
    folder: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="The folder for scenarios that failed.")
    ] = Path(),
    only: Annotated[
        str, typer.Option(metavar="KIND", help="Give each run this kind of trouble from the field, such as mains.")
    ] = "",
    modem: Annotated[
        str, typer.Option(metavar="PROFILE", help="Give each run this modem, in place of one that its seed decides.")
    ] = "",
    pool: Annotated[
        int | None,
        typer.Option(metavar="DEVICES", help="Run a month of so many devices on one shared pool instead.", min=1),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Run random scenarios with random faults and compare the device with the carrier.

    Each failure is reduced to a short scenario file.
    """
    extras.need("soak", "hardware", "platforms")
    from host_tools.sim.modem import models
    from host_tools.soak import command
    from host_tools.soak.field import FIELD

    if only and only not in FIELD:
        raise UsageError("--only", only, "is not a kind of trouble", f"use {', '.join(FIELD)}")
    if modem and modem not in models.with_sockets():
        raise UsageError("--modem", modem, "is no profile with sockets", f"use {', '.join(models.with_sockets())}")
    if not folder.is_dir():
        raise UsageError("--dir", str(folder), "is not a folder", "name one that exists")
    _check_vm(target)
    if json_file and json_file != "-":
        files.writable("--json", Path(json_file))
    say = err if json_file == "-" else out
    if pool:
        found = command.run_pool(pool, seed, say, err)
    else:
        found = command.run(runs, seed, target, folder, say, err, only, modem)
    if json_file:
        files.write_json(json_file, found)
    raise typer.Exit(FAILED if found["failures"] else HELD)


@app.command()
def torture(
    wear: Annotated[bool, typer.Option(help="Measure flash wear instead.")] = False,
    seed: Annotated[
        int | None,
        typer.Option(help="Draw other workloads, with cycles that are undone, by this seed.", min=0, max=2**32 - 1),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Test the ledger: cut the power at every flash operation, corrupt every record, wear the flash out."""
    extras.need("torture", "hardware")
    from host_tools.torture import show

    if json_file and json_file != "-":
        files.writable("--json", Path(json_file))
    say = err if json_file == "-" else out
    if wear and seed is not None:
        raise UsageError("--seed", str(seed), "draws nothing with --wear", "leave one of them out")
    if wear:
        worn = show.run_wear(err)
        show.tell_wear(say, worn)
        rows, held = [row.to_json() for row in worn], True
    else:
        tried = show.run(err, seed)
        show.tell(say, tried, seed)
        drawn = {} if seed is None else {"seed": seed}
        rows, held = [row.to_json() | drawn for row in tried], all(row.passed for row in tried)
    if json_file:
        files.write_json(json_file, rows)
    raise typer.Exit(HELD if held else FAILED)


@app.command()
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="Figures, or groups of them by how their names begin.")
    ] = None,
    json_file: JsonOption = None,
    table: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Put the table between the marks in this Markdown file.")
    ] = None,
) -> None:
    """Measure what the guard costs, against its goals and beside other ways.

    Exit status 1: a figure is worse than its goal, or than what is held where the goal is not reached.
    """
    extras.need("bench", "fleet", "hardware", "mqtt")
    from host_tools.bench import command

    for option, given in (("--json", json_file), ("--table", table)):
        if given and given != "-":
            files.writable(option, Path(given))
    before = files.text(table, "name a file that has the marks", "--table") if table else ""
    results = command.run(names or [], err if json_file == "-" else out, err)
    if json_file:
        files.write_json(json_file, [result.to_json() for result in results])
    if table:
        table.write_text(command.document(before, results), "utf-8")
    raise typer.Exit(HELD if all(result.holds for result in results) else FAILED)


BoardOption = Annotated[str, typer.Option(help="The name of a board (see `usageguard boards`), or a folder.")]
PortOption = Annotated[
    str, typer.Option(help="A serial port, a socket:// or rfc2217:// URL, or serial:NUMBER for a USB serial number.")
]


@app.command()
def boards(
    json_file: JsonOption = None,
) -> None:
    """List the known boards with their modem and its driver."""
    from host_tools.hardware import boards as listed

    if json_file:
        files.write_json(json_file, listed.to_json())
    else:
        out.print(listed.table())


@app.command()
def flash(
    board: BoardOption,
    image: Annotated[Path, typer.Option(metavar="FILE", help="The MicroPython image for this board, a .bin file.")],
    image_out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the changed image.")],
    port: Annotated[str | None, typer.Option(help="As for `deploy`; without it the image is only made.")] = None,
    erase: Annotated[bool, typer.Option(help="Erase the whole flash first, including the ledger.")] = False,
) -> None:
    """Add a ledger partition to a MicroPython image and flash it to a board. Not yet run on hardware."""
    extras.need("flash", "hardware")
    from host_tools.hardware import boards
    from host_tools.hardware.flash import flash

    flash(boards.load(board), port, image, image_out, out, erase=erase)


@app.command()
def provision(
    keys: Annotated[
        Path, typer.Option(metavar="FILE", help="The collector's key file (TOML or JSON). New keys are added to it.")
    ],
    port: Annotated[str, typer.Option(help="As for `deploy`.")] = "",
    device: Annotated[str, typer.Option("--id", help="The device id: 1 to 16 letters, digits, '.', '_' or '-'.")] = "",
    pin: Annotated[str | None, typer.Option(help="The SIM's PIN.")] = None,
    force: Annotated[bool, typer.Option(help="Replace the id and key that the device has.")] = False,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Many devices: a line each, columns id and pin.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="With --csv: gets ID.json for each, its /secrets.json.")
    ] = None,
) -> None:
    """Write a device id and a new key to a board, or make both for many boards. A key is never shown."""
    from host_tools.hardware.provision import provision, provision_many

    if table or folder:
        if not table or not folder or port or device or pin:
            hint = "give --port and --id, or --csv and --out"
            raise UsageError("provision", "", "makes keys for one board or for many", hint)
        provision_many(table, keys, folder, out, force=force)
    elif port and device:
        provision(port, device, keys, out, pin=pin, force=force)
    else:
        raise UsageError("provision", "", "is not told for what", "give --port and --id, or --csv and --out")


@app.command()
def deploy(
    board: BoardOption,
    port: PortOption,
    config: Annotated[Path, typer.Option(metavar="FILE", help="The device's configuration, JSON or TOML.")],
    application: Annotated[
        Path, typer.Option("--app", metavar="FILE", help="Your application, a module with main(guard).")
    ],
    secrets: Annotated[
        bool, typer.Option(help="Replace the board's id, key and PIN with the configuration's.")
    ] = False,
    line_numbers: Annotated[bool, typer.Option(help="Keep line numbers for the firmware's tracebacks.")] = False,
    force: Annotated[bool, typer.Option(help="Replace a main.py that is not Usage Guard's.")] = False,
    romfs: Annotated[bool, typer.Option("--romfs", help="As ROMFS, on an image of boards/_image.")] = False,
) -> None:
    """Install firmware, configuration and application on a board. If they fail to start, the board reverts."""
    from host_tools.hardware import boards
    from host_tools.hardware.deploy import deploy

    chosen = boards.load(board)
    deploy(chosen, port, config, application, out, secrets=secrets, lines=line_numbers, force=force, in_rom=romfs)


@app.command()
def monitor(
    port: PortOption,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    restart: Annotated[
        bool, typer.Option(help="Reset the board first, so that it reports its status at once.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What was deployed to it: shows the limit, what is left, the period's end."),
    ] = None,
) -> None:
    """Show a board's status, verdict and log until Ctrl-C."""
    from host_tools.hardware import status_view
    from host_tools.hardware.monitor import monitor

    monitor(port, out, as_json, restart=restart, config=status_view.load(config) if config else None)


@app.command()
def diagnose(
    device: Annotated[
        str | None, typer.Argument(metavar="DEVICE", help="By its newest report in a collector's database.")
    ] = None,
    db: Annotated[str, typer.Option(metavar="FILE|URL", help="The collector's database.")] = "reports.sqlite",
    status: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="By the last status that `monitor --json` has written.")
    ] = None,
    port: Annotated[
        str | None, typer.Option(help="By the status that the board prints; waits for it, an hour at the most.")
    ] = None,
    restart: Annotated[bool, typer.Option(help="Reset the board first, and give it three minutes.")] = False,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The device's configuration: its plan ranks a carrier's stops.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Say why a device is offline: causes, evidence, remedies, and what its own attempts cost.

    Exit status 1: there is a cause.
    """
    from host_tools.diagnosis import command

    source = command.source(device, db, status, port, restart)
    found = command.run(source, config, err if json_file == "-" else out)
    if json_file:
        files.write_json(json_file, found)
    raise typer.Exit(FAILED if found["verdicts"] else HELD)


@app.command()
def record(
    port: PortOption,
    to: Annotated[Path, typer.Option("--out", metavar="FILE", help="The profile to write, a .toml file.")],
    transcript: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The dialogue; default: beside the profile, as .txt.")
    ] = None,
    baud: Annotated[int, typer.Option(help="The baud rate of the modem's port.")] = 115_200,
    reboot: Annotated[bool, typer.Option(help="Reboot the modem first, to record what it writes at boot.")] = False,
) -> None:
    """Record a real modem's answers as a profile for `usageguard modem`. It costs nothing and masks identities.

    Not yet run on hardware.
    """
    from host_tools.hardware.recorder.command import record

    record(port, to, transcript or to.with_suffix(".txt"), baud, out, err, reboot=reboot)


@app.command()
def evidence(
    port: PortOption,
    to: Annotated[Path, typer.Option("--out", metavar="FILE", help="The file to write.")],
    board: Annotated[
        bool, typer.Option("--board", help="The port is a board's: its program is stopped, and the board reset after.")
    ] = False,
    host: Annotated[str, typer.Option(help="The name that is looked up.")] = "www.10086.cn",
    baud: Annotated[int, typer.Option(help="The baud rate of the modem's port.")] = 115_200,
) -> None:
    """Record what the modem of a device that is offline says, as one masked file to share and to replay.

    Takes two to five minutes, and some 300 bytes if there is a data session. Not yet run on hardware.
    """
    from host_tools.hardware.recorder.evidence import evidence as gather

    gather(port, to, baud, host, out, err, board=board)


@app.command("virtual-board")
def virtual_board(
    folder: Annotated[Path, typer.Option("--dir", metavar="DIR", help="The folder for its flash and files.")],
    repl: Annotated[
        str | None, typer.Option(metavar="PATH", help="Create a symbolic link to its serial port at this path.")
    ] = None,
    uart: Annotated[
        str | None, typer.Option(metavar="PATH", help="The modem's port, such as the link of `usageguard modem`.")
    ] = None,
    board: BoardOption = "own-esp32-quectel",
) -> None:
    """Run a virtual board behind a serial port until Ctrl-C: MicroPython with a REPL, files and flash."""
    from host_tools.hardware import boards
    from host_tools.hardware.virtual import serve
    from host_tools.sim.modem.pty import drop_stale_link

    if repl:
        with contextlib.suppress(OSError):  # `serve` reports the error
            drop_stale_link(Path(repl))
    serve(folder, repl, uart, boards.load(board).mcu, lambda port: out.print(port, markup=False))


def _check_vm(target: str) -> None:
    """Raises UsageError when `target` needs the MicroPython VM and there is none."""
    from host_tools.build.micropython import micropython
    from host_tools.run.targets import names

    if target in (names.MICROPYTHON, names.VIRTUAL):
        micropython()


def _say(result: dict[str, Any], console: Console = out) -> None:
    """Prints a run's result in a few lines."""
    from host_tools.base.units import size
    from host_tools.report.labels import counted_apart

    carrier, device, upstream = result["carrier"], result["device"], result["upstream"]
    mark = "[green]held[/]" if result["passed"] else "[bold red]failed[/]"
    days, seconds = divmod(result["simulated_s"], 86_400)
    console.print(
        f"{mark}  [bold]{escape(result['scenario'])}[/]: {days} d {seconds // 3600} h "
        f"in {result['wall_s']:.1f} s on {result['target']}, seed {result['seed']}"
    )
    if device["carried_octets"] is not None:
        apart = counted_apart(carrier)
        error = device["carried_octets"] - carrier["ip_octets"]
        console.print(
            f"      the carrier billed {size(carrier['billed_octets'])} of {size(carrier['allowance_octets'])}"
            f"{apart and f', and {apart} beside it'}; {_stopped(carrier, device)}\n"
            f"      device minus carrier: {error:+,} bytes; "
            f"reports: {upstream['reports_received']} received, {upstream['reports_lost']} lost"
        )
    for name, of in result["classes"].items():
        ended = ", ".join(f"{of[key]:,} {key}" for key in ("failed", "refused", "unfinished") if of[key])
        if ended:
            console.print(f"      [yellow]![/] {escape(name)}: {of['done']:,} transfers done, {ended}")
    for failure in result["failures"]:
        console.print(f"      [red]✗[/] {escape(failure)}")


def _stopped(carrier: dict[str, Any], device: dict[str, Any]) -> str:
    if carrier["stopped_at"]:
        return "the carrier stopped it"
    return "the device stopped itself" if device["stopped_at"] else "neither stopped it"


def main() -> None:
    """Runs the command with the process's arguments and exits."""
    try:
        take_stdout()
    except OutputLost as lost:
        raise SystemExit(_lost(lost)) from None
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs the command with `arguments` and returns its exit status. Errors are printed as one line on stderr."""
    try:
        status = app(arguments, prog_name="usageguard", standalone_mode=False) or HELD
        sys.stdout.flush()
        return status
    except OutputLost as lost:
        drop(1)
        return _lost(lost)
    except UsageError as error:
        problem = str(error)
    except typer.TyperException as error:
        problem = error.format_message().replace(" Value error,", "")
    except (KeyboardInterrupt, typer.Abort):  # the latter is Ctrl-C or Ctrl-D at a question
        return INTERRUPTED
    except Exception as error:
        from host_tools.hardware.deploy import DeployFailed
        from host_tools.run.targets.link import Crashed

        if not isinstance(error, Crashed | DeployFailed):
            raise
        _complain(f"the device's program failed: {error}" if isinstance(error, Crashed) else str(error))
        return FAILED
    if problem:  # empty after help was shown
        _complain(" ".join(problem.split()))
    return BAD_INPUT


def _lost(lost: OutputLost) -> int:
    """The exit status after standard output failed; silent for a closed pipe, as after SIGPIPE."""
    if lost.closed:
        return NO_READER
    _complain(f"standard output: {lost}; send it where it can be written")
    return BAD_INPUT


def _complain(text: str) -> None:
    try:
        print(f"usageguard: {text}", file=sys.stderr, flush=True)
    except OSError:  # it may be closed, or on a disk that is full
        drop(2)


if __name__ == "__main__":
    main()
