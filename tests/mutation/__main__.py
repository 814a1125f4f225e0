"""Mutation testing of the firmware: `make mutants`, or `python -m tests.mutation`.

Draws mutants of each subject, and the named ones, and runs each against the subject's own tests; what survives, against
more tests, then against runs of the soak. Results are kept in a file as they come, so that a run that was ended goes on
where it was: a mutant that was caught is tried again when its file changes, one that survived also when a test changes.
Writes TABLE.md once all are done.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.mutation import table, trial
from tests.mutation.mutants import Mutant, draw, equivalents, named
from tests.mutation.subjects import FIRMWARE, ROOT, SUBJECTS, Subject

EACH, SEED = 32, 1
SAMPLE_EACH, SAMPLE_SEED = 4, 40
RESULTS = ROOT / ".mutants.jsonl"


class Results:
    """The verdicts in a file, one a line, the last one of a mutant counts; without a `path` in memory alone."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._firmware: dict[str, str] = {}
        self._tests = _digest(sorted(ROOT.glob("tests/**/*.py")))
        self._known: dict[tuple[str, ...], trial.Verdict] = {}
        lines = path.read_text(encoding="utf-8").splitlines() if path and path.exists() else []
        for line in lines:
            entry = json.loads(line)
            if entry["caught"] or entry["tests"] == self._tests:
                self._known[entry["file"], entry["source"], entry["code"]] = trial.Verdict(entry["caught"], entry["by"])

    def find(self, mutant: Mutant) -> trial.Verdict | None:
        return self._known.get((mutant.file, *self._place(mutant)))

    def keep(self, mutant: Mutant, verdict: trial.Verdict) -> None:
        source, code = self._place(mutant)
        if not self._path:
            return
        entry = {"file": mutant.file, "source": source, "code": code, "where": mutant.where, "before": mutant.before}
        entry |= {"after": mutant.after, "caught": verdict.by, "by": verdict.test, "tests": self._tests}
        with self._path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def _place(self, mutant: Mutant) -> tuple[str, str]:
        if mutant.file not in self._firmware:
            self._firmware[mutant.file] = _digest([FIRMWARE / "usageguard" / mutant.file])
        return self._firmware[mutant.file], hashlib.sha256(mutant.code.encode()).hexdigest()[:16]


def _digest(paths: Iterable[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


def subject_of(mutant: Mutant) -> Subject:
    return next(subject for subject in SUBJECTS.values() if mutant.file in subject.files)


def judge(
    mutants: Iterable[Mutant], results: Results, stages: tuple[str, ...] = trial.STAGES, processes: int | None = None
) -> Iterator[tuple[Mutant, trial.Verdict]]:
    """Yields each mutant with its verdict, those that are known first. Those of equivalent.toml are not run."""
    todo = []
    same = equivalents()
    for mutant in mutants:
        if mutant.key in same:
            yield mutant, trial.Verdict("")
        elif verdict := results.find(mutant):
            yield mutant, verdict
        else:
            todo.append((subject_of(mutant), mutant.file, mutant.code, mutant))
    for mutant, verdict in trial.run(todo, stages, processes):
        results.keep(mutant, verdict)
        yield mutant, verdict


def check_unchanged(subjects: Iterable[str], processes: int | None) -> None:
    """SystemExit if a test or a run of the soak fails on the unchanged firmware."""
    chosen = [SUBJECTS[name] for name in subjects]
    own, more = ({test for each in chosen for test in getattr(each, stage)} for stage in ("own", "more"))
    jobs = [(Subject((), (), tuple(sorted(tests))), "", "", None) for tests in (own, more - own)]
    for stage, each in (("more", jobs), ("soak", jobs[:1])):
        for _, verdict in trial.run(each, (stage,), processes):
            if verdict.by:
                raise SystemExit(f"{verdict.test} fails without a mutant")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--each", type=int, default=EACH, help=f"mutants of each subject (default: {EACH})")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of the draw (default: {SEED})")
    parser.add_argument("--processes", type=int, help="default: one per core")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where results are kept")
    parser.add_argument(
        "--sample", action="store_true",
        help=f"{SAMPLE_EACH} of each, of seed {SAMPLE_SEED}, against their own tests alone; writes nothing",
    )  # fmt: skip
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=f"of {', '.join(SUBJECTS)} (default: all)")
    options = parser.parse_args()
    for name in options.subjects:
        if name not in SUBJECTS:
            parser.error(f'"{name}" is not a subject; use {", ".join(SUBJECTS)}')
    names = options.subjects or list(SUBJECTS)
    stages = trial.STAGES
    if options.sample:
        options.each, options.seed, options.results, stages = SAMPLE_EACH, SAMPLE_SEED, None, ("own",)
    else:
        check_unchanged(names, options.processes)
    drawn: dict[str, list[Mutant]] = {name: draw(SUBJECTS[name], options.each, options.seed) for name in names}
    if not options.subjects and not options.sample:
        drawn["named"] = named()
    subject = {mutant.code: name for name, mutants in drawn.items() for mutant in mutants}
    rows: dict[str, list[tuple[Mutant, trial.Verdict]]] = {name: [] for name in drawn}
    made = table.Table(rows, options.each, options.seed)
    began = time.monotonic()
    todo = [mutant for mutants in drawn.values() for mutant in mutants]
    for mutant, verdict in judge(todo, Results(options.results), stages, options.processes):
        name = subject[mutant.code]
        rows[name].append((mutant, verdict))
        explained = mutant.key in made.why
        said = f"{verdict.by}: {verdict.test}" if verdict.by else "equivalent" if explained else "SURVIVED"
        print(f"{time.monotonic() - began:6.0f} s  {name:11} {said}", flush=True)
        if not verdict.by and not explained:
            print(f"          {mutant.file} {mutant.where}\n          - {mutant.before}\n          + {mutant.after}")
    if not options.subjects and not options.sample:
        table.PATH.write_text(made.markdown(), encoding="utf-8")
    print(made.summary())
    return 0 if made.passed else 1


if __name__ == "__main__":
    sys.exit(main())
