"""The page about costs: its example for CI makes a pull request red, by the commands as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from host_tools.base import paths
from host_tools.cost.causes import WORDS
from host_tools.run.targets.names import SIMULATED
from tests.cost.ten import FOLDER

GUIDE = Path(paths.PACKAGE) / "COST.md"
QUICK = "usageguard cost --days 1 --seeds 1 --target"


def test_the_page_explains_each_cause():
    page = GUIDE.read_text("utf-8")
    assert [word for word in WORDS.values() if word not in page and word != "not explained"] == []


@pytest.mark.proof
@pytest.mark.parametrize("target", SIMULATED)
def test_the_githubs_example_makes_a_wasteful_change_red_and_names_what_grew(target, tmp_path):
    shell = re.findall(r"^      - run: \|\n((?: {10}.*\n)+)", GUIDE.read_text("utf-8"), re.MULTILINE)
    assert len(shell) == 2

    def run(command):
        environment = {**os.environ, "GITHUB_BASE_REF": "main", "PYTHONPATH": str(paths.PACKAGE.parent)}
        environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
        given = ["bash", "-ec", command]
        return subprocess.run(given, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    def commit(app):
        (tmp_path / "application.py").write_bytes(app.read_bytes())
        name = "-c user.name=test -c user.email=test@example.com"
        made = run(f"git init -qb main . && git add application.py && git {name} commit -qm change")
        assert made.returncode == 0, made.stderr

    commit(paths.firmware() / "examples" / "blocking_app.py")
    assert run("git update-ref refs/remotes/origin/main main").returncode == 0
    commit(FOLDER / "wasteful_app.py")
    steps = [step.replace("usageguard cost", f"{QUICK} {target}").replace("31MB", "1MB") for step in shell]
    base, change = map(run, steps)
    assert base.returncode == 0, base.stderr
    assert change.returncode == 1, change.stderr
    comment = (tmp_path / "comment.md").read_text("utf-8")
    assert comment.startswith("### ❌ application.py: ")
    grown = r"grown: connections opened and closed \+[\d.]+ MB"
    assert re.search(rf"- \*\*[\d.]+ MB a month is above the budget of 1\.00 MB; {grown}", comment)
    assert re.search(rf"- \*\*[\d.]+ MB a month is [\d,]+ % more than the baseline's .*{grown}", comment)
