"""Output for people: consoles for terminals and pipes, tables for narrow terminals, and errors of standard output."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleDimensions, ConsoleOptions, ConsoleRenderable, RenderResult
from rich.padding import Padding
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

_ENDLESS = 100_000
"""Columns where output is not a terminal: lines are not wrapped."""
_LEAST_TEXT = 24
"""The fewest columns for text beside a name; below, it goes under the name."""


class Screen(Console):
    """A rich console that wraps lines only on a terminal; in a pipe or a file they stay whole."""

    def __init__(self, *, width: int | None = None, **options: Any) -> None:
        super().__init__(width=width, emoji=False, **options)  # ":ab:" may be a part of a device's id
        self._fixed = width is not None

    @property
    def size(self) -> ConsoleDimensions:
        if not self._fixed and not self.file.isatty():  # COLUMNS describes a terminal, so it is ignored
            return ConsoleDimensions(_ENDLESS, super().size.height)
        return super().size

    @size.setter
    def size(self, new_size: tuple[int, int]) -> None:
        self._width, self._height = new_size
        self._fixed = True


# Soft wrap: a path that the terminal wraps can still be copied in one piece.
out = Screen(highlight=False, soft_wrap=True)
err = Screen(stderr=True, highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class Column:
    """A column of a table. `least` is its smallest width if cells may be wrapped, or 0 if they may not."""

    name: str
    right: bool = False
    least: int = 0


@dataclass
class Listing:
    """A table; on a terminal that is too narrow, its records one below the other. Cells are rich markup."""

    columns: Sequence[Column]
    rows: list[tuple[Text, ...]] = field(default_factory=list)
    caption: str = ""

    def add(self, *cells: str) -> None:
        """Adds a record; its first cell is its name."""
        self.rows.append(tuple(Text.from_markup(cell, emoji=False) for cell in cells))

    def _least(self, index: int) -> int:
        column = self.columns[index]
        widest = self._widest(index)
        return min(column.least, widest) if column.least else widest

    def _widest(self, index: int) -> int:
        return max(map(cell_len, (self.columns[index].name, *(row[index].plain for row in self.rows))))

    def _has_breaks(self) -> bool:
        return any("\n" in cell.plain or "\t" in cell.plain for row in self.rows for cell in row)

    def _lines(self, widths: Sequence[int]) -> Iterable[Text]:
        """The table if no cell has to be wrapped: Rich's own takes more than a millisecond for each row."""
        for cells in ([Text(column.name, "bold") for column in self.columns], *self.rows):
            line = Text()
            for column, cell, width in zip(self.columns, cells, widths, strict=True):
                blanks = " " * (width - cell.cell_len)
                line.append(blanks if column.right else "").append_text(cell)
                line.append(("" if column.right else blanks) + "  ")
            line.rstrip()
            yield line

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        options = options.update(no_wrap=False, overflow="fold")  # regardless of the console's soft wrap
        gaps = 2 * (len(self.columns) - 1)
        widest = [*map(self._widest, range(len(self.columns)))]
        if sum(widest) + gaps <= options.max_width and not self._has_breaks():
            for line in self._lines(widest):
                yield from line.render(console, "\n")
        elif sum(map(self._least, range(len(self.columns)))) + gaps <= options.max_width:
            yield from _trimmed(self._table(), console, options)
        else:
            for record in self._records():
                yield from console.render(record, options)
        if self.caption:
            yield from console.render(Text.from_markup(f"[dim]{self.caption}[/]"), options)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for index, column in enumerate(self.columns):
            table.add_column(
                column.name,
                justify="right" if column.right else "left",
                overflow="fold",
                no_wrap=not column.least,
                min_width=self._least(index),
            )
        for row in self.rows:
            table.add_row(*row)
        return table

    def _records(self) -> Iterable[ConsoleRenderable]:
        for name, *cells in self.rows:
            yield Text.assemble((name.plain, "bold"))
            named = zip(self.columns[1:], cells, strict=True)
            yield Padding(Pairs([(column.name, cell) for column, cell in named], "dim"), (0, 0, 0, 2))


@dataclass
class Pairs:
    """Names and texts side by side; on a terminal that is too narrow, each text below its name."""

    rows: Sequence[tuple[str, Text]]
    style: str = "bold"

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        options = options.update(no_wrap=False, overflow="fold")
        names = max((cell_len(name) for name, _ in self.rows), default=0)
        texts = max((text.cell_len for _, text in self.rows), default=0)
        if names + 2 + min(texts, _LEAST_TEXT) > options.max_width:
            for name, text in self.rows:
                if name:
                    yield from console.render(Text(name, self.style), options)
                yield from console.render(Padding(text, (0, 0, 0, 2)), options)
            return
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style=self.style, no_wrap=True)
        table.add_column(overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        yield from _trimmed(table, console, options)


def _trimmed(table: Table, console: Console, options: ConsoleOptions) -> Iterable[Segment]:
    """Renders the table without the blanks that fill its last column."""
    for line in console.render_lines(table, options, pad=False):
        while line and not line[-1].text.strip():
            line.pop()
        if line:
            text, style, control = line.pop()
            yield from line
            yield Segment(text.rstrip(), style, control)
        yield Segment.line()


class OutputLost(Exception):
    """Writing to standard output failed. `closed` is true when the reader closed the pipe, as `head` does."""

    def __init__(self, error: OSError) -> None:
        self._error = error
        super().__init__((error.strerror or str(error)).lower())
        self.closed = isinstance(error, BrokenPipeError)

    def __reduce__(self) -> tuple[type[OutputLost], tuple[OSError]]:
        return type(self), (self._error,)  # a worker process may raise it


class Output(io.TextIOWrapper):
    """Standard output that raises OutputLost, to distinguish its errors from those of a file or a port."""

    def write(self, text: str, /) -> int:
        try:
            return super().write(text)
        except OSError as error:
            raise OutputLost(error) from None

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            raise OutputLost(error) from None


def take_stdout() -> None:
    """Replaces `sys.stdout` by an Output. Raises OutputLost when standard output is closed."""
    stream = sys.stdout
    if stream is None:  # Python's value for a closed descriptor
        raise OutputLost(OSError("is closed"))
    if isinstance(stream, io.TextIOWrapper):
        encoding, line_buffering = stream.encoding, stream.line_buffering
        # In Latin-1 or ASCII there is no "…", and without it the output is still of use.
        errors = "replace" if stream.errors == "strict" else stream.errors
        sys.stdout = Output(stream.detach(), encoding, errors, line_buffering=line_buffering)


def drop(descriptor: int) -> None:
    """Discards what is not written to 1, standard output, or 2, standard error; otherwise Python would try to write it
    at exit, and then exit with a status of its own."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
