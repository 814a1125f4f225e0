"""The fleet's table in addresses and as CSV, and what is common to all tables in them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from host_tools.fleet.index import SORTS, Choice, Row
from host_tools.fleet.paging import from_cursor, to_cursor
from host_tools.fleet.standing import NEVER, UNKNOWN, State

_MOST_TEXT = 64
_BATCH = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet would take for the beginning of a formula."""


def choice_of(query: Mapping[str, str]) -> Choice:
    """What an address asks for. HTTPException 400 for what no page links to."""
    state, sort = query.get("state", ""), query.get("sort") or "urgent"
    if sort not in SORTS or state not in ("", *(str(int(each)) for each in State)):
        raise HTTPException(400, "bad-request")
    words = {name: query.get(name, "")[:_MOST_TEXT] for name in ("reason", "tag", "runs_out")}
    return Choice(int(state or 0), sort=sort, **words, **common(query))


def common(query: Mapping[str, str]) -> dict[str, Any]:
    """What all tables take: the text that is searched for, and where the page begins or ends."""
    try:
        places = {name: from_cursor(query.get(name, "")) for name in ("after", "before")}
    except ValueError:
        raise HTTPException(400, "bad-request") from None
    text = query.get("q", "").strip()[:_MOST_TEXT]
    return {"text": text.replace("\0", "\ufffd"), **places}  # at a zero LIKE would end


def address(choice: Choice, **changed: Any) -> str:
    """The query of a choice that differs from another one; it begins anew unless it says where."""
    new = replace(choice, **{"after": None, "before": None, **changed})
    sort = "" if new.sort == "urgent" else new.sort
    return query_of(new, state=new.state, reason=new.reason, tag=new.tag, runs_out=new.runs_out, sort=sort)


def query_of(choice: Any, **named: Any) -> str:
    """The query with these values and what `common` reads, as far as they are not empty."""
    places = {"after": to_cursor(choice.after), "before": to_cursor(choice.before)}
    return "?" + urlencode({name: value for name, value in ({"q": choice.text} | named | places).items() if value})


def csv_lines(rows: Iterable[Row]) -> Iterator[str]:
    columns = ("device", "state", "verdict", "reasons", "used", "allowance", "runs_out", "seen", "drift", "beyond",
               "said", "tags", "waiting")  # fmt: skip
    return written(columns, map(_cells, rows))


def _cells(row: Row) -> dict[str, Any]:
    cells = row._asdict() | {"state": State(row.state).name.lower()}
    for name, unknown in (("allowance", UNKNOWN), ("runs_out", NEVER)):
        if cells[name] == unknown:
            cells[name] = ""
    if not row.compared:
        cells["drift"] = cells["beyond"] = ""
    return cells


def written(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """CSV in pieces, with a header; a cell that a spreadsheet would compute has an apostrophe in front."""
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(columns)
    for number, cells in enumerate(rows, 1):
        writer.writerow([safe(cells[name]) for name in columns])
        if number % _BATCH == 0:
            yield _taken(file)
    yield _taken(file)


def attached(name: str, lines: Iterable[str]) -> Response:
    """CSV that is saved as a file of this name."""
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)


def safe(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _taken(file: io.StringIO) -> str:
    text = file.getvalue()
    file.seek(0)
    file.truncate()
    return text
