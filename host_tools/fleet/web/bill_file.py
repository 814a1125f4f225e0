"""The bills of a period as a file: CSV, or Parquet where pyarrow is installed."""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import Any

from host_tools.base import extras
from host_tools.fleet.bill import STEPS
from host_tools.fleet.bills import BillRow
from host_tools.fleet.standing import UNKNOWN
from host_tools.fleet.web.table import written

_TEXTS = ("device", "source")
_TIMES = ("as_of", "reported_at")
_COUNTS = ("packets", "data_sessions", "lost")
COLUMNS = ("device", "period", "carried", *STEPS, "carrier", "bound", *_COUNTS, "source", *_TIMES)


def csv_lines(rows: Iterable[BillRow]) -> Iterator[str]:
    return written(COLUMNS, ({name: "" if value is None else value for name, value in known(row)} for row in rows))


def has_parquet() -> bool:
    return all(importlib.util.find_spec(name) for name in extras.MODULES["parquet"])


def parquet(rows: Sequence[BillRow]) -> bytes:
    """Octets are 64-bit integers, periods dates, times UTC; what is not known is null."""
    import pyarrow
    from pyarrow.parquet import write_table

    types = dict.fromkeys(COLUMNS, pyarrow.int64()) | dict.fromkeys(_TEXTS, pyarrow.string())
    types |= {"period": pyarrow.date32()} | dict.fromkeys(_TIMES, pyarrow.timestamp("us", tz="UTC"))
    columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
    for row in rows:
        for name, value in known(row):
            columns[name].append(_typed(name, value))
    table = pyarrow.table(columns, schema=pyarrow.schema([(name, types[name]) for name in COLUMNS]))
    file = io.BytesIO()
    write_table(table, file)
    return file.getvalue()


def known(row: BillRow) -> Iterator[tuple[str, Any]]:
    """The columns of a bill; None for what is not known."""
    for name in COLUMNS:
        value = getattr(row, name)
        yield name, None if name in _COUNTS and value == UNKNOWN else value


def _typed(name: str, value: Any) -> Any:
    if name in _TIMES:
        return datetime.fromisoformat(value)
    return date.fromisoformat(value) if name == "period" else value
