"""What the commands share that work on a collector's database, beside the collector or without one."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from host_tools.base.errors import UsageError
from host_tools.collector.database import EarlierLayout, StoreError, is_url, shown

if TYPE_CHECKING:
    from host_tools.collector.store import Store

DbOption = Annotated[
    str, typer.Option(metavar="FILE|URL", help="The collector's database: a SQLite file, or postgresql://….")
]
DB = "reports.sqlite"
_HINT = "name the file that `usageguard collector --db` has"
_AT = "@"


@contextmanager
def opened(db: str) -> Iterator[Store]:
    """The store of an existing database. UsageError where it is none, or cannot be used now.

    One of an earlier version is left to the collector, as one of that version may be serving it.
    """
    from host_tools.collector.store import Store

    if not is_url(db) and not os.path.isfile(db):  # as against Path.is_file, false also where nobody may look
        problem = "is a folder" if os.path.isdir(db) else "is not there"
        raise UsageError("--db", db or '""', problem, _HINT)
    try:
        with closing(Store(db, upgrade=False)) as store:
            yield store
    except EarlierLayout:
        hint = "start `usageguard collector` with it, which brings it up to date"
        raise UsageError("--db", shown(db), "made by an earlier version", hint) from None
    except StoreError as error:
        raise UsageError("--db", shown(db), str(error), error.hint or _HINT) from None
    except UnicodeEncodeError as error:  # an argument that the terminal's encoding could not read
        raise UsageError(ascii(error.object), "", "is not text in UTF-8", "set the terminal's encoding") from None


def members(store: Store, names: Iterable[str]) -> list[str]:
    """The devices of `names`, each once; @TAG stands for those with the tag. UsageError for a tag that none has."""
    found: dict[str, None] = {}
    for name in names:
        if not name.startswith(_AT):
            found[name] = None
            continue
        tagged = store.tags.devices(name.removeprefix(_AT))
        if not tagged:
            raise UsageError("tag", name, "no device has it", "see `usageguard device list`")
        found |= dict.fromkeys(tagged)
    return list(found)
