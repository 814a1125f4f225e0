"""The table of a run, as Markdown."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.mutation.mutants import Mutant, equivalents
from tests.mutation.subjects import ROOT
from tests.mutation.trial import STAGES, Verdict

PATH = ROOT / "tests" / "mutation" / "TABLE.md"
LEAST_PERCENT = 95

_HEAD = """# Mutation testing

Each mutant is the firmware with one small change; the tests should notice it. They are drawn from a seed: Cosmic Ray's
operators, and the removal of a statement. `make mutants` makes this file: {each} mutants of each subject, seed {seed}.

*Own*: caught by the subject's own tests; *more*: only by those of what stands above; *soak*: only by a hundred random
lives. *Equivalent*: no test can tell it from the original, for the reason below.

"""


@dataclass(slots=True)
class Table:
    """`rows`: subject -> its mutants with their verdicts."""

    rows: dict[str, list[tuple[Mutant, Verdict]]]
    each: int
    seed: int
    why: dict[tuple[str, str, str, str], str] = field(default_factory=equivalents)

    def _count(self, rows: list[tuple[Mutant, Verdict]]) -> list[int]:
        """The number of mutants, those caught at each stage, those that are equivalent, those that survived."""
        by = [sum(verdict.by == stage for _, verdict in rows) for stage in STAGES]
        same = sum(not verdict.by and mutant.key in self.why for mutant, verdict in rows)
        return [len(rows), *by, same, len(rows) - sum(by) - same]

    @property
    def _total(self) -> list[int]:
        return [sum(each) for each in zip(*map(self._count, self.rows.values()), strict=True)]

    @property
    def caught_percent(self) -> float:
        """Of those that are not equivalent."""
        drawn, *_, same, survived = self._total
        return 100 * (1 - survived / max(1, drawn - same))

    @property
    def passed(self) -> bool:
        """Whether enough was caught, every named mutant too."""
        return self.caught_percent >= LEAST_PERCENT and all(verdict.by for _, verdict in self.rows.get("named", []))

    def summary(self) -> str:
        drawn, *by, same, survived = self._total
        caught = ", ".join(f"{n} {stage}" for n, stage in zip(by, STAGES, strict=True))
        return f"{drawn} mutants: {caught}, {same} equivalent, {survived} survived: {self.caught_percent:.1f} % caught"

    def markdown(self) -> str:
        heads = ("Subject", "Mutants", *(stage.capitalize() for stage in STAGES), "Equivalent", "Survived")
        lines = [" | ".join(heads), " | ".join("---" for _ in heads)]
        lines += [" | ".join((name, *map(str, self._count(rows)))) for name, rows in self.rows.items()]
        lines += [" | ".join(("All", *map(str, self._total)))]
        text = _HEAD.format(each=self.each, seed=self.seed) + "".join(f"| {line} |\n" for line in lines)
        text += f"\nCaught, of those that are not equivalent: {self.caught_percent:.1f} %.\n"
        if "named" in self.rows:
            text += "\n## Named\n\nFaults that tests once missed (`named.toml`), and what catches each now.\n\n"
            for mutant, verdict in sorted(self.rows["named"], key=lambda each: each[0].name):
                text += f"- {mutant.name}: " + (f"`{verdict.test}`\n" if verdict.by else "**survived**\n")
        same = sorted(m.key for rows in self.rows.values() for m, v in rows if not v.by and m.key in self.why)
        alive = sorted(m.key for rows in self.rows.values() for m, v in rows if not v.by and m.key not in self.why)
        for title, keys in (("Equivalent", same), ("Survived", alive)):
            text += f"\n## {title}\n\n" if keys else ""
            for file, where, before, after in keys:
                why = self.why.get((file, where, before, after), "")
                text += f"- `{file}`, {where or 'module'}: `{before or '(nothing)'}` → `{after or '(nothing)'}`\n"
                text += f"  {why}\n" if why else ""
        return text
