"""`usageguard fleet`: serves the fleet's page, on a collector's database."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from host_tools.base import extras
from host_tools.base.errors import UsageError
from host_tools.base.terminal import out
from host_tools.base.units import Octets, Seconds
from host_tools.collector.database_file import DB, DbOption, opened
from host_tools.fleet import account_command

app = typer.Typer(invoke_without_command=True)
app.add_typer(account_command.app, name="account")


@app.callback()
def fleet(
    context: typer.Context,
    db: DbOption = DB,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where it listens.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The TCP port; 0 for a free one.")] = 8080,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="A certificate, PEM.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key, PEM.")] = None,
    proxy_header: Annotated[
        str, typer.Option(metavar="NAME", help="The header that a proxy with TLS sets to https; others are refused.")
    ] = "",
    allowance: Annotated[
        str, typer.Option(metavar="SIZE", help="Of devices of which no platform tells it, as in 30MB.")
    ] = "",
    silent: Annotated[
        str, typer.Option(metavar="TIME", help="A device without a report for so long is silent.")
    ] = "26h",
    account: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The platform's account, whose rating explains the bill.")
    ] = None,
    alerts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What people are told of, and where: [rules], [channels.…].")
    ] = None,
    keep: Annotated[
        int, typer.Option(metavar="DAYS", min=0, help="Remove alerts of what was over so long ago; 0 for never.")
    ] = 0,
) -> None:
    """Serve the fleet's page: which devices are dark or will be, why, and orders to them. Runs until Ctrl-C."""
    if context.invoked_subcommand:
        if db != DB:
            hint = f"write it behind fleet {context.invoked_subcommand} …"
            raise UsageError("--db", "", "is for the page here", hint)
        return
    extras.need("fleet", "fleet")
    from host_tools.fleet import serve
    from host_tools.fleet.outward.file import load as load_outward
    from host_tools.fleet.watch import Terms
    from host_tools.platforms.reconcile import Rating

    rating = Rating()
    if account:
        from host_tools.platforms.account import load

        terms = load(account).rating
        rating = Rating(terms.per_packet_octets, int(terms.session_round), terms.margin_permille)
    listen = serve.Listen(host, port, tls_cert, tls_key, proxy_header)
    span = timedelta(seconds=_parsed("--silent", silent, Seconds))
    octets = int(_parsed("--allowance", allowance, Octets)) if allowance else None
    given = Terms(octets, span, rating, keep=timedelta(days=keep) if keep else None)
    outward = load_outward(alerts) if alerts else None
    with opened(db):  # says what is wrong with it
        pass
    serve.serve(db, listen, given, out.print, outward)


def _parsed(option: str, text: str, kind: type[Octets] | type[Seconds]) -> int:
    try:
        return kind.parse(text)
    except ValueError as error:
        raise UsageError(option, "", str(error)) from None
