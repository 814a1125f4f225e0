"""The application that a scenario names."""

from pathlib import Path

import pytest

from host_tools.base import paths
from host_tools.base.errors import UsageError
from host_tools.run import apps
from host_tools.scenario import file as scenario

SMOKE = (paths.scenarios() / "smoke.toml").read_text()


def named(path: Path):
    return scenario.loads(f'{SMOKE}[app]\nname = "{path}"\n', "own.toml")


@pytest.mark.parametrize(
    "text",
    ["def main(guard):\n    pass\n", "from elsewhere import main\n", "main = print\n", "def main(guard) -> :\n"],
)
def test_one_that_may_have_main_is_taken(tmp_path, text):
    path = tmp_path / "app.py"
    path.write_text(text)
    assert apps.module(named(path)) == ("app", path)


def test_one_without_main_or_that_is_not_there_is_refused(tmp_path):
    path = tmp_path / "app.py"
    with pytest.raises(UsageError, match=r"^own: app\.name: .* is not an application"):
        apps.module(named(path))
    path.write_text("import main\n")
    with pytest.raises(UsageError, match=r"^own: app\.name: .* has no main; define main\(guard\) in it"):
        apps.module(named(path))
