"""The plugin as pytest loads it in somebody's project, in a process of its own."""

import os
import shutil
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]
EXAMPLE = Path(__file__).parent / "example"


@pytest.fixture
def project(pytester, monkeypatch):
    """A project that has installed Usage Guard and shares nothing else with this one."""
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    pytester.makeini("[pytest]\naddopts = --strict-markers -p no:cacheprovider")
    return pytester


def crashing(project):
    app = "def main(guard):\n    print('about to fall')\n    guard.sleep(1000)\n    raise KeyError('x')\n"
    project.makepyfile(app=app)
    project.makepyfile("def test_it(bench):\n    assert bench.run('app.py', duration='5m').passed\n")


@pytest.mark.proof
def test_the_example_passes_on_both_targets(project):
    shutil.copytree(EXAMPLE, project.path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    done = project.runpytest_subprocess("--target", "cpython", "--target", "micropython", "-v")
    done.assert_outcomes(passed=4)
    done.stdout.fnmatch_lines_random(
        ["*costs_less_than_a_megabyte[[]cpython] PASSED*", "*a_stop_and_a_reboot[[]micropython] PASSED*"]
    )


@pytest.mark.parametrize("target", ["cpython", pytest.param("micropython", marks=pytest.mark.proof)])
def test_a_failure_shows_the_events_and_what_the_device_printed(project, target):
    crashing(project)
    done = project.runpytest_subprocess("--target", target)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "E*Run: the application crashed * times; may_crash=True allows it*",
            f"*Usage Guard: the last * of * events on {target}*",
            "*device  Board starts (power-on)*",
            "*device  The application crashed; it is started again (time 1)*",
            "*Usage Guard: what the device printed*",
            "about to fall",
            "KeyError: *x*",
        ]
    )


@pytest.mark.proof
def test_a_vm_that_is_missing_skips_and_says_what_to_install(project, monkeypatch):
    crashing(project)
    monkeypatch.setenv("MICROPYTHON", "/nowhere/micropython")
    done = project.runpytest_subprocess("-rs")
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines(["SKIPPED*MICROPYTHON*/nowhere/micropython*is not a program; name a MicroPython*"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["--target=board:"], "--target: is missing; ports found: *", marks=pytest.mark.proof),
        pytest.param(
            ["--target=board:/dev/gone"], "--target: /dev/gone: is not there; ports found: *", marks=pytest.mark.proof
        ),
        pytest.param(
            [f"--target=board:{os.devnull}"],
            "--modem-port: is missing; name the serial port*",
            marks=pytest.mark.proof,
        ),
        ([f"--target=board:{os.devnull}", "--modem-port=/dev/gone"], "--modem-port: /dev/gone: is not there; *"),
    ],
)
def test_hardware_that_is_missing_skips_and_says_what(project, options, words):
    crashing(project)
    done = project.runpytest_subprocess("-rs", *options)
    done.assert_outcomes(skipped=1)
    done.stdout.fnmatch_lines([f"SKIPPED*{words}"])


def test_a_target_that_is_none_is_refused(project):
    crashing(project)
    done = project.runpytest_subprocess("--target", "abacus")
    assert done.ret == pytest.ExitCode.USAGE_ERROR
    done.stderr.fnmatch_lines(["ERROR: --target: abacus is not a target; use cpython, micropython or board:PORT"])


def test_it_costs_a_project_that_does_not_use_it_nothing(project):
    project.makepyfile(
        """
        import sys

        def test_nothing_of_it_was_imported():
            ours = {name for name in sys.modules if name.partition(".")[0] in ("host_tools", "usageguard")}
            assert ours == {"host_tools", "host_tools.pytest_plugin"}
            assert not {"amqtt", "matplotlib", "msgspec", "rich", "sqlite3"} & set(sys.modules)
        """
    )
    project.runpytest_subprocess().assert_outcomes(passed=1)


@pytest.mark.proof
def test_another_plugin_keeps_its_target_option(project):
    project.makepyfile(theirs="def pytest_addoption(parser):\n    parser.addoption('--target', dest='theirs')\n")
    project.makepyfile(
        """
        def test_both(pytestconfig):
            assert pytestconfig.getoption("theirs") == "esp32"
            assert pytestconfig.getoption("usageguard_target") == ["cpython"]
        """
    )
    done = project.runpytest_subprocess("-p", "theirs", "--target", "esp32", "--guard-target", "cpython")
    done.assert_outcomes(passed=1)
