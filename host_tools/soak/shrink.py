"""Shortens a failing scenario by delta debugging, as far as it still violates the same invariant."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from host_tools.base.errors import UsageError
from host_tools.soak.case import Outcome, read, run_case
from host_tools.soak.plans import span

Table = dict[str, Any]
LISTS = ("fault", "order", "platform", "traffic")
OPTIONAL = (
    ("modem",), ("network",), ("owner",), ("upstream", "sms_number"), ("plan", "burst"), ("plan", "pace"),
    ("plan", "account"), ("plan", "overage", "cost_cap_fen"), ("carrier", "lag_s"), ("carrier", "pool", "members"),
)  # fmt: skip
PAIRS = ("per_packet_octets", "session_round_octets", "permille")
"""Fields of the rating, which the plan and the carrier must have alike."""
STEPS = (3600, 600, 60)


class Shrinker:
    """Shortens a scenario with at most `most` runs; `runs` counts them. `run` runs a table, `run_case` by default."""

    def __init__(self, invariant: str, most: int = 400, run: Callable[[Table], Outcome] | None = None) -> None:
        self.runs = 0
        self._invariant = invariant
        self._most = most
        self._run = run or (lambda table: run_case(read(table)))

    def shrink(self, table: Table) -> Table:
        """The smallest failing scenario found."""
        before = None
        while before != table and self.runs < self._most:
            before = table
            for name in LISTS:
                table = self._shorten(table, name)
            for step in (self._sooner, self._without, self._simpler):
                table = step(table)
        return table

    def keeps(self, table: Table) -> bool:
        """Whether the table violates the invariant; False once `most` runs are spent."""
        if self.runs >= self._most:
            return False
        self.runs += 1
        try:
            return self._run(table).invariant == self._invariant
        except UsageError:  # the table is not a valid scenario any more
            return False

    def _shorten(self, table: Table, name: str) -> Table:
        """Removes items of a list (ddmin): halves first, single items last."""
        size = len(table.get(name, ()))
        while size:
            at = 0
            while at < len(table.get(name, ())):
                items = table[name]
                candidate = {**table, name: items[:at] + items[at + size :]}
                if not candidate[name]:
                    del candidate[name]
                if self.keeps(candidate):
                    table = candidate
                else:
                    at += size
            size //= 2
        return table

    def _first(self, table: Table, candidates: Iterator[Table]) -> Table:
        return next((candidate for candidate in candidates if self.keeps(candidate)), table)

    def _sooner(self, table: Table) -> Table:
        """Shortens the duration."""
        seconds = int(table["duration"][:-1])
        least = max((int(each["at"][:-1]) for name in LISTS[:3] for each in table.get(name, ())), default=0) + 1
        shares = (least + (seconds - least) * n // 8 for n in range(1, 8))
        return self._first(table, ({**table, "duration": span(max(60, each))} for each in shares))

    def _without(self, table: Table) -> Table:
        for path in OPTIONAL:
            candidate = copy.deepcopy(table)
            *parents, last = path
            inside: Any = candidate
            for key in parents:
                inside = inside.get(key, {})
            if inside.pop(last, None) is not None and self.keeps(candidate):
                table = candidate
        for name in PAIRS:
            candidate = copy.deepcopy(table)
            own = "margin_permille" if name == "permille" else name
            if candidate["plan"].get("rating", {}).get(own):
                candidate["plan"]["rating"][own] = candidate["carrier"][name] = 0
                if self.keeps(candidate):
                    table = candidate
        return table

    def _simpler(self, table: Table) -> Table:
        """Rounds the times of faults, orders and actions."""
        for name in LISTS[:3]:
            for at, item in enumerate(table.get(name, ())):
                seconds = int(item["at"][:-1])
                rounded = (each for step in STEPS if (each := seconds // step * step) not in (0, seconds))

                def moved(to: int, name: str = name, at: int = at, item: Table = item) -> Table:
                    items = list(table[name])  # noqa: B023 - used before the loop goes on
                    items[at] = {**item, "at": span(to)}
                    return {**table, name: items}  # noqa: B023

                table = self._first(table, map(moved, rounded))
        return table
