"""`python -m host_tools.collector`: the collector alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from host_tools.collector.server import serve
from host_tools.errors import UsageError


def main(
    keys: Annotated[Path, typer.Option(help="TOML or JSON: device id = key, 64 hexadecimal digits")],
    db: Annotated[Path, typer.Option(help="SQLite file, created at need")] = Path("reports.sqlite"),
    port: Annotated[int, typer.Option(help="UDP port, 0 for any", min=0, max=65535)] = 5683,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
) -> None:
    """Receive the devices' usage reports over CoAP, verify and keep them."""
    try:
        serve(port, db, keys, host)
    except UsageError as error:
        typer.echo(error, err=True)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
