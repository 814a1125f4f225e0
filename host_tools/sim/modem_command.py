"""`usageguard modem`: a simulated modem for any AT client."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from host_tools.base import files
from host_tools.base.errors import UsageError
from host_tools.base.terminal import Column, Listing, out

if TYPE_CHECKING:
    from host_tools.sim.modem.served.far_end import TcpPort

# The simulator is slow to import: each command imports what it needs.

app = typer.Typer(
    help="Serve a simulated modem for any AT client, until Ctrl-C. It reaches only the hosts given by --relay.",
    invoke_without_command=True,
)

NameOption = Annotated[str, typer.Option(metavar="NAME", help="The modem, if several run (`usageguard modem ctl`).")]
LinkOption = Annotated[
    str | None, typer.Option(metavar="PATH", help="Create a symbolic link to the pty at this path.")
]
TcpOption = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", help="Listen on a TCP port (0: a free one) instead of a pty."),
]


@app.callback()
def serve(
    ctx: typer.Context,
    profile: Annotated[
        str, typer.Option(help="The name of a profile (`usageguard modem profiles`), or a TOML file.")
    ] = "quectel-ec200u",
    link: LinkOption = None,
    tcp: TcpOption = None,
    baud: Annotated[int, typer.Option(help="The baud rate that the line is limited to.")] = 115_200,
    relay: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=HOST:PORT",
            help="Relay TCP and UDP for host NAME to a port on 127.0.0.1 or [::1]. Can be repeated.",
        ),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(metavar="'KIND FIELD=VALUE…'", help="Strike with a fault at the start. Can be repeated."),
    ] = None,
    script: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Do what each line says at its time, as in: 30s sim out. A transcript is played."
        ),
    ] = None,
    log: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the dialogue, for `replay` and `play`.")
    ] = None,
    booted: Annotated[bool, typer.Option(help="Begin with the modem booted and registered.")] = False,
    seed: Annotated[int | None, typer.Option(help="Make what is random the same.", min=0, max=2**32 - 1)] = None,
    name: Annotated[str, typer.Option(help="The name for `usageguard modem ctl`; default: the profile's.")] = "",
) -> None:
    if ctx.invoked_subcommand is not None:
        return
    from host_tools.sim.modem.models import load
    from host_tools.sim.modem.pty import LinkedPty, parse_relays
    from host_tools.sim.modem.served import actions, transcript
    from host_tools.sim.modem.served.control import ControlSocket
    from host_tools.sim.modem.served.modem import BOOT_S, ServedModem

    if log is not None:
        files.writable("--log", log)
    if script is not None and transcript.is_one(script):
        play(script, link, tcp)
        return
    steps = actions.script(script) if script is not None else []
    model = load(profile)
    with contextlib.ExitStack() as stack, _told():
        if not 300 <= baud <= 4_000_000:
            raise ValueError(f"--baud {baud}: give a rate from 300 to 4000000")
        relays = parse_relays(relay or ())
        end = _tcp_port(tcp, link) if tcp is not None else LinkedPty(link)
        wanted = name or (Path(link).name if link else model.name)
        control = ControlSocket(wanted, {"profile": model.name, "at": link or end.where})
        stack.callback(control.close)
        dialogue = stack.enter_context(log.open("w", encoding="utf-8")) if log is not None else None
        server = ServedModem(model, end, baud=baud, relays=relays, seed=seed, log=dialogue, control=control)
        stack.callback(server.close)
        if booted:
            server.do(f"skip {BOOT_S}s")
        for line in fault or ():
            server.do(f"fault {line}")
        server.schedule(steps)
        stack.enter_context(_until_ctrl_c(server.stop))
        where = f"{link} ({end.where})" if link else end.where
        reachable = ", ".join(server.internet.names)
        out.print(f"the modem is at {where}; reachable: {reachable}; Ctrl-C ends", markup=False)
        out.print(f"usageguard modem ctl --name {control.name} help    lists what can be done to it", markup=False)
        server.run()


@app.command()
def profiles() -> None:
    """List the modems that ship."""
    from host_tools.sim.modem import models

    table = Listing((Column("profile"), Column("modem"), Column("dialect"), Column("revision", least=10)))
    for name in models.names():
        model = models.load(name)
        table.add(name, f"{model.manufacturer} {model.model}", model.dialect, model.revision)
    out.print(table)


@app.command()
def ctl(
    action: Annotated[list[str] | None, typer.Argument(metavar="ACTION", help="What to do; `help` lists it.")] = None,
    name: NameOption = "",
) -> None:
    """Do something to a modem that runs, such as `sim out`; without ACTION, list the modems."""
    import shlex

    from host_tools.sim.modem.served import control

    with _told():
        there = control.running()
        if not action:
            table = Listing((Column("name"), Column("profile"), Column("at")))
            for each, about in there.items():
                table.add(each, about["profile"], about["at"])
            out.print(table if there else "no modem runs")
            return
        if not name:
            if len(there) != 1:
                names = f"name one of {', '.join(there)} with --name" if there else "start one: usageguard modem"
                raise ValueError(f"{len(there) or 'no'} modems run; {names}")
            name = next(iter(there))
        line = action[0] if len(action) == 1 else shlex.join(action)
        answer = control.ask(name, line)
    if answer:
        out.print(Text(answer))


@app.command()
def replay(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A log that --log has written.")],
    profile: Annotated[str, typer.Option(help="The modem, in place of the log's.")] = "",
) -> None:
    """Type what a log's client wrote to a simulated modem again, in virtual time, and compare its answers.

    Exit status 1 if they differ. Hosts that were relayed are not there.
    """
    from host_tools.sim.modem.models import load
    from host_tools.sim.modem.served import replay as again
    from host_tools.sim.modem.served import transcript

    told = transcript.read(log)
    with _told():
        found = again.replay(told, load(profile or told.about.get("profile", "quectel-ec200u")))
    if found is not None:
        out.print(f"recorded: {found.recorded}\nreplayed: {found.replayed}", markup=False)
        raise typer.Exit(1)
    out.print(f"{len(told.entries)} entries: the modem wrote the same", markup=False)


@app.command()
def play(
    transcript: Annotated[Path, typer.Argument(metavar="TRANSCRIPT", help="A log, or a dialogue that you wrote.")],
    link: LinkOption = None,
    tcp: TcpOption = None,
) -> None:
    """Answer a client as a transcript's modem did, until Ctrl-C; ERROR to a command that is not in it."""
    from host_tools.sim.modem.pty import LinkedPty
    from host_tools.sim.modem.served import replay as again
    from host_tools.sim.modem.served import transcript as text

    told = text.read(transcript)
    with _told():
        end = _tcp_port(tcp, link) if tcp is not None else LinkedPty(link)
        stopped, stop = os.pipe()
        try:
            with _until_ctrl_c(lambda: os.write(stop, b"\0")):
                out.print(f"the transcript is at {link or end.where}; Ctrl-C ends", markup=False)
                again.play(told.entries, end, stopped)
        finally:
            end.close()
            os.close(stopped)
            os.close(stop)


def _tcp_port(text: str, link: str | None) -> TcpPort:
    from host_tools.sim.modem.served.far_end import TcpPort

    host, separator, port = text.rpartition(":")
    if link is not None:
        raise ValueError("--link and --tcp exclude each other")
    if not separator or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"--tcp {text}: write HOST:PORT, as in 127.0.0.1:5555")
    try:
        return TcpPort(host.strip("[]") or "127.0.0.1", int(port))
    except OSError as error:
        raise ValueError(f"--tcp {text}: {(error.strerror or str(error)).lower()}") from None


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Makes a ValueError the command's one-line error."""
    try:
        yield
    except ValueError as error:
        raise UsageError("modem", "", str(error)) from None


@contextlib.contextmanager
def _until_ctrl_c(stop: Callable[[], object]) -> Iterator[None]:
    """Has SIGINT and SIGTERM call `stop`."""
    old = [(number, signal.signal(number, lambda *_: stop())) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    finally:
        for number, handler in old:
            signal.signal(number, handler)
