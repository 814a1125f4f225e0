"""The extras are those of pyproject.toml, the base runs without them, and a command names the one that it lacks."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from host_tools import cli
from host_tools.base import extras
from host_tools.base.errors import UsageError

PYPROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
DECLARED = PYPROJECT["optional-dependencies"]
CONTRIBUTORS = {"docs", "mutants", "test"}
HIDDEN = sorted({module for modules in extras.MODULES.values() for module in modules})


def distributions(requirements):
    return {re.match(r"[\w-]+", each)[0].lower().replace("_", "-") for each in requirements}


@pytest.mark.parametrize("extra", extras.MODULES)
def test_an_extra_has_the_modules_that_pyproject_installs(extra):
    providers = importlib.metadata.packages_distributions()
    found = {name for module in extras.MODULES[extra] for name in providers[module]}
    assert distributions(found) == distributions(DECLARED[extra])


def test_all_is_every_extra_but_those_of_contributors():
    (everything,) = DECLARED["all"]
    assert everything == f"{PYPROJECT['name']}[{','.join(sorted(DECLARED.keys() - {*CONTRIBUTORS, 'all'}))}]"
    assert extras.MODULES.keys() == DECLARED.keys() - {*CONTRIBUTORS, "all"}


@pytest.fixture
def bare(monkeypatch):
    """An environment without any extra."""
    for module in HIDDEN:
        monkeypatch.setitem(sys.modules, module, None)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("demo", "demo: needs the extras broker and report; run: pip install 'usage-guard[broker,report]'"),
        ("sim smoke --html /nowhere.html", "--html: needs the extra report; run: pip install 'usage-guard[report]'"),
        ("fleet", "fleet: needs the extra fleet; run: pip install 'usage-guard[fleet]'"),
        ("sim demo", "an MQTT broker: needs the extra broker; run: pip install 'usage-guard[broker]'"),
        ("plan fit x.csv --plans y.toml", "plan fit: needs the extra report; run: pip install 'usage-guard[report]'"),
        ("soak", "soak: needs the extras hardware and platforms; run: pip install 'usage-guard[hardware,platforms]'"),
        (
            "bench",
            "bench: needs the extras fleet and hardware and mqtt; run: pip install 'usage-guard[fleet,hardware,mqtt]'",
        ),
        ("torture", "torture: needs the extra hardware; run: pip install 'usage-guard[hardware]'"),
        (
            "flash --board own-esp32-quectel --port x --image y --out z",
            "flash: needs the extra hardware; run: pip install 'usage-guard[hardware]'",
        ),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(bare, capsys, arguments, words):
    assert cli.run(arguments.split()) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"usageguard: {words}\n")


def test_what_is_installed_is_not_asked_for():
    extras.need("x", *extras.MODULES)
    with pytest.raises(KeyError):
        extras.need("x", "fleets")


def test_one_missing_module_is_enough(monkeypatch):
    monkeypatch.setitem(sys.modules, "numpy", None)
    with pytest.raises(UsageError, match="report"):
        extras.need("x", "hardware", "report")


def test_the_base_runs_without_any_extra():
    """A scenario with the collector, and every command's help, in a process in which no extra can be imported."""
    program = f"""
import sys
for name in {HIDDEN}:
    sys.modules[name] = None
from host_tools import cli
import host_tools.collector.server, host_tools.hardware.deploy, host_tools.hardware.monitor
import host_tools.hardware.provision, host_tools.hardware.virtual, host_tools.pytest_plugin.bench, host_tools.soak
assert cli.run(["plan", "demo"]) == 0
sys.exit(cli.run(["sim", "smoke", "--target", "cpython"]))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "held  smoke" in done.stdout
