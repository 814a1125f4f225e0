"""The tool draws what its seed says and tells a mutant from the firmware; a sample of mutants is caught."""

import subprocess
import sys

import pytest

pytest.importorskip("cosmic_ray", reason="pip install 'usage-guard[mutants]'")

from tests.mutation import __main__ as command
from tests.mutation import mutants, table, trial
from tests.mutation.subjects import FIRMWARE, ROOT, SUBJECTS, Subject

CRC = Subject(("core/crc.py",), ("tests/core/test_crc_portable.py",), ())


def verdicts(*codes, stages=("own",)):
    return dict(trial.run([(CRC, "core/crc.py", code, code) for code in codes], stages, 1)).values()


def test_a_mutant_is_told_from_the_firmware_and_nothing_is_written():
    path = FIRMWARE / "usageguard" / "core" / "crc.py"
    before = path.read_text()
    drawn = mutants.draw(CRC, 2, 1)
    assert len({mutant.code for mutant in drawn} | {before}) == 3
    sound, *others = verdicts("", *(mutant.code for mutant in drawn))
    assert not sound.by
    assert all(other.by == "own" and other.test.startswith("tests/core/test_crc_portable.py") for other in others)
    assert path.read_text() == before


def test_code_that_ends_the_process_is_caught():
    (verdict,) = verdicts("import os\nos._exit(0)\n")
    assert verdict.by == "own"


def test_a_seed_always_draws_the_same_and_a_change_elsewhere_changes_nothing(tmp_path, monkeypatch):
    first = mutants.draw(CRC, 5, 1)
    assert first == mutants.draw(CRC, 5, 1)
    assert {m.key for m in first} != {m.key for m in mutants.draw(CRC, 5, 2)}
    (tmp_path / "usageguard" / "core").mkdir(parents=True)
    source = (FIRMWARE / "usageguard" / "core" / "crc.py").read_text()
    (tmp_path / "usageguard" / "core" / "crc.py").write_text(source.replace('"""\n', '"""\n\nNEW = None\n', 1))
    monkeypatch.setattr(mutants, "FIRMWARE", tmp_path)
    assert [m.key for m in mutants.draw(CRC, 5, 1)] == [m.key for m in first]


def test_a_result_holds_until_its_file_changes_or_if_it_survived_the_tests(tmp_path):
    (mutant,) = mutants.draw(SUBJECTS["ring"], 1, 1)
    path = tmp_path / "results"
    for verdict in (trial.Verdict("own", "test_x"), trial.Verdict("")):
        command.Results(path).keep(mutant, verdict)
        assert command.Results(path).find(mutant) == verdict
    changed = command.Results(path)
    path.write_text(path.read_text().replace(changed._tests, "0" * 16))
    assert command.Results(path).find(mutant) == trial.Verdict("own", "test_x")
    path.write_text(path.read_text().replace('"source": "', '"source": "0'))
    assert command.Results(path).find(mutant) is None


def test_a_table_counts_and_fails_for_too_many_survivors_or_a_named_one():
    drawn = mutants.draw(SUBJECTS["ring"], 20, 1)
    caught, alive = trial.Verdict("own", "test_x"), trial.Verdict("")
    assert table.Table({"ring": [(m, caught) for m in drawn]}, 20, 1).passed
    one = table.Table({"ring": [(m, caught) for m in drawn[1:]] + [(drawn[0], alive)]}, 20, 1)
    assert (one.caught_percent, one.passed) == (95, True)
    assert drawn[0].before in one.markdown()
    explained = table.Table(one.rows, 20, 1, {drawn[0].key: "as before"})
    assert (explained.caught_percent, "as before" in explained.markdown()) == (100, True)
    assert not table.Table({**one.rows, "named": [(mutants.named()[0], alive)]}, 20, 1).passed


def test_what_is_written_about_mutants_is_of_this_firmware():
    assert len(mutants.named()) >= 6
    assert table.PATH.read_text().startswith("# Mutation testing")
    for file, _, before, after in mutants.equivalents():
        lines = [" ".join(line.split()) for line in (FIRMWARE / "usageguard" / file).read_text().splitlines()]
        assert after != before
        assert " ".join(before.split()) in lines, f"{file}: {before}"


@pytest.mark.proof
def test_a_sample_of_mutants_is_caught():
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", "--sample"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
