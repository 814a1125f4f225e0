"""The command line: exit statuses, and one line for what is wrong."""

import json
import tomllib
from pathlib import Path

import pytest

from host_tools import cli


def run(capsys, *arguments):
    status = cli.run(list(arguments))
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_the_version_is_the_packages(capsys):
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert run(capsys, "--version") == (0, f"usageguard {pyproject['project']['version']}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fly"], "No such command 'fly'"),
        (["sim", "nowhere"], "nowhere: no such scenario; name a TOML file or one that ships: "),
        (["sim", "smoke", "nowhere"], "nowhere: no such scenario"),
        (["sim", "smoke", "--target", "abacus"], "use one of cpython, micropython, board:PORT, board:virtual"),
        (["sim", "smoke", "--seed", "-1"], "--seed"),
        (["sim", "smoke", "--seed", "x"], "--seed"),
        (["sim", "smoke", "--modem", "brick"], 'smoke.toml: modem: "brick" is unknown; there are '),
        (["sim", "smoke", "--json", "/nowhere/x.json"], "--json: /nowhere/x.json: cannot be written"),
        (["sim", "smoke", "--json", "/proc/x.json"], "--json: /proc/x.json: cannot be written"),
        (["sim", "smoke", "--html", "/"], "--html: /: cannot be written"),
        (["demo", "--html", "/nowhere/x.html"], "--html: /nowhere/x.html: cannot be written"),
        (["modem", "--profile", "brick"], 'modem profile: "brick" is unknown; there are '),
        (["modem", "--baud", "1"], "--baud 1: give a rate"),
        (["collector"], "--keys"),
        (["collector", "--keys", "/nowhere"], "/nowhere: no such file; give a file with lines"),
        (["collector", "--keys", "x", "--port", "70000"], "--port"),
    ],
)
def test_bad_input_is_one_line_and_status_2(capsys, arguments, words):
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert words in err
    assert err.startswith("usageguard: ")
    assert err.count("\n") == 1, err


def test_a_bad_file_is_named_with_its_field(capsys, tmp_path):
    bad = tmp_path / "bad.toml"
    bad.write_text('title = "x"\nstart = 2026-03-01T00:00:00+08:00\nduration = "soon"\n[plan]\nallowance_octets = 1\n')
    status, _, err = run(capsys, "sim", str(bad))
    assert status == 2
    assert err.startswith('usageguard: bad.toml: duration: "soon" is not a duration')


def test_without_a_scenario_they_are_listed(capsys):
    status, out, _ = run(capsys, "sim")
    assert status == 0
    assert out.splitlines()[0].startswith("arrears ")
    assert {line.split()[0] for line in out.splitlines()} >= {"cutoff-month", "demo", "smoke"}


def test_help_is_no_error(capsys):
    status, out, err = run(capsys, "--help")
    assert (status, err) == (0, "")
    assert "collector" in out


def test_a_run_gives_json_on_a_pipe_and_a_page(capsys, tmp_path):
    page = tmp_path / "page.html"
    status, out, err = run(capsys, "sim", "smoke", "--target", "cpython", "--json", "-", "--html", str(page))
    result = json.loads(out)
    assert status == (0 if result["passed"] else 1)
    assert result["passed"], result["failures"]
    assert set(result) == {
        "scenario", "title", "target", "seed", "passed", "failures", "simulated_s", "wall_s",
        "carrier", "device", "upstream", "classes", "events",
    }  # fmt: skip
    assert (result["scenario"], result["target"]) == ("smoke", "cpython")
    assert result["simulated_s"] == 3 * 3600
    assert "smoke" in page.read_text()
    assert "\x1b" not in err, "no progress in a pipe"


def test_several_runs_give_a_list_and_a_failed_one_status_1(capsys, tmp_path):
    wrong = tmp_path / "wrong.toml"
    smoke = (cli.Path(cli.__file__).parent / "scenario" / "scenarios" / "smoke.toml").read_text()
    wrong.write_text(smoke.replace("carrier_stopped = false", "carrier_stopped = true"))
    file = tmp_path / "out.json"
    status, out, _ = run(capsys, "sim", "smoke", str(wrong), "--target", "cpython", "--seed", "7", "--json", str(file))
    assert status == 1
    first, second = json.loads(file.read_text())
    assert (first["passed"], second["passed"]) == (True, False)
    assert (first["seed"], second["seed"]) == (7, 7)
    assert second["failures"] == ["the carrier did not stop the data service, and should have"]
    assert "the carrier did not stop" in out
