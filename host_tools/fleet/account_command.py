"""`usageguard fleet account`: who may use the fleet's page, without the page."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from host_tools.base import extras
from host_tools.base.errors import UsageError
from host_tools.base.terminal import Column, Listing, out
from host_tools.collector.database_file import DB, DbOption, opened

if TYPE_CHECKING:
    from host_tools.fleet.accounts import Accounts, Role

_ROLES = {"none": "may not log in", "read": "sees all", "act": "gives orders too", "admin": "administers accounts too"}
_URL = "http://127.0.0.1:8080"

app = typer.Typer(no_args_is_help=True, help="Accounts of the fleet's page: add one, change its role, let it in again.")
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="The account's name.")]
UrlOption = Annotated[str, typer.Option("--url", metavar="URL", help="Where the page is, for the link.")]
RoleOption = Annotated[
    str,
    typer.Option(metavar="|".join(list(_ROLES)[1:]), help="; ".join(f"{name} {does}" for name, does in _ROLES.items())),
]


@app.command()
def add(name: NameArgument, role: RoleOption = "read", url: UrlOption = _URL, db: DbOption = DB) -> None:
    """Add an account, and print a one-time link where its password is chosen."""
    with _accounts(db) as accounts:
        given = _role(role)
        if role != "admin" and not accounts.any():  # the link that `usageguard fleet` has printed would be of no use
            hint = "add that with --role admin, or by the link that `usageguard fleet` prints"
            raise UsageError("fleet account", "--role", "the first account has to be an administrator's", hint)
        _say_link(name, url, accounts.invite(name, given, _by()))


@app.command()
def role(name: NameArgument, role: Annotated[str, typer.Argument(metavar="|".join(_ROLES))], db: DbOption = DB) -> None:
    """Change what an account may do."""
    with _accounts(db) as accounts:
        _known(accounts, name)
        accounts.change_role(name, _role(role), _by())


@app.command()
def disable(name: NameArgument, db: DbOption = DB) -> None:
    """Keep an account out, with its sessions and tokens: the role none. `role` lets it in again."""
    role(name, "none", db)


@app.command()
def link(name: NameArgument, url: UrlOption = _URL, db: DbOption = DB) -> None:
    """Print a one-time link where an account's password is chosen anew; it holds for a day."""
    with _accounts(db) as accounts:
        _say_link(name, url, accounts.reset_code(name, _by()))


@app.command("list")
def show_all(db: DbOption = DB) -> None:
    """List the accounts."""
    with _accounts(db) as accounts:
        listing = Listing([Column("account"), Column("role"), Column("since", least=16)])
        for name, of, since in accounts.all():
            listing.add(escape(name), of.name.lower(), f"{since:%Y-%m-%d %H:%M}")
    out.print(listing)


@contextmanager
def _accounts(db: str) -> Iterator[Accounts]:
    extras.need("fleet account", "fleet")
    from host_tools.fleet.accounts import Accounts
    from host_tools.fleet.words import words

    with opened(db) as store:
        try:
            yield Accounts(store.database)
        except ValueError as error:
            raise UsageError("fleet account", "", words("en")(str(error))) from None


def _known(accounts: Accounts, name: str) -> None:
    if not accounts.has(name):
        raise ValueError("no-account")


def _role(name: str) -> Role:
    from host_tools.fleet.accounts import Role

    if name not in _ROLES:
        raise UsageError("fleet account", name, "is no role", f"use {', '.join(_ROLES)}")
    return Role[name.upper()]


def _by() -> str:
    """Who does it, for the audit."""
    return f"{getpass.getuser()} at a terminal"


def _say_link(name: str, url: str, code: str) -> None:
    out.print(f"{name} chooses a password within a day at {url.rstrip('/')}/reset#{code}", markup=False, soft_wrap=True)
