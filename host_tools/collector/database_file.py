"""What the commands share that work on a collector's database, beside the collector or without one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from host_tools.base.errors import UsageError

if TYPE_CHECKING:
    from host_tools.collector.store import Store

DbOption = Annotated[Path, typer.Option(metavar="FILE", help="The collector's SQLite database.")]
DB = Path("reports.sqlite")
_HINT = "name the file that `usageguard collector --db` has"
_AT = "@"


@contextmanager
def opened(db: Path) -> Iterator[Store]:
    """The store of an existing file. UsageError where it is none, or cannot be used now."""
    from host_tools.collector.store import Store

    if not db.is_file():
        raise UsageError("--db", str(db), "is not there", _HINT)
    try:
        with closing(Store(db)) as store:
            yield store
    except sqlite3.Error as error:
        raise UsageError("--db", str(db), str(error), _HINT) from None


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
