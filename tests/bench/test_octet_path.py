"""The cases whose instructions are counted run on the VM; what they do there is what they are called."""

import itertools
import subprocess

import pytest

from host_tools.bench import octet_path
from host_tools.build.micropython import micropython

PAYLOAD = 512  # octets of a round
CASES = [
    *(" ".join(each) for each in itertools.product(("send", "receive"), ("null", "quectel"), ("metered", "bare"))),
    "idle null metered",
    *("publish alone", "publish quectel metered", "publish quectel bare"),
    *(" ".join(each) for each in itertools.product(("digest", "readline", "octet"), ("lines", "payload"))),
]


@pytest.fixture(scope="module")
def image():
    with octet_path.Release() as image:
        yield image


def run(image, program):
    return subprocess.run(
        [micropython(), "-X", "heapsize=4M", "-c", program],
        cwd=image.root,
        env={"MICROPYPATH": f"{image.lib}:.frozen", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("case", CASES)
def test_each_case_runs(case, image):
    done = run(image, f"import octet_path; octet_path.main({case!r}, 3)")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("driver", ["null", "quectel"])
@pytest.mark.parametrize(("direction", "counted"), [("_send", True), ("_receive", True), ("_idle", False)])
def test_only_traffic_that_is_metered_is_counted(direction, counted, driver, image):
    name = direction[1:]
    program = (
        "import octet_path as p\nseen = []\nmade = p._guard\n"
        "def keep(driver):\n  seen.append(made(driver))\n  return seen[0]\n"
        "p._guard = keep\n"
        f"def before(*a, run=p.{direction}):\n  seen.append(seen[0].ledger.carried.value())\n  run(*a)\n"
        f"p.{direction} = before\n"
        f"p._path('{name}', '{driver}', %s, 10)\nprint(seen[0].ledger.carried.value() - seen[1])"
    )
    metered, bare = (run(image, program % flag) for flag in (True, False))
    assert metered.returncode == bare.returncode == 0, metered.stderr + bare.stderr + metered.stdout + bare.stdout
    least = 10 * PAYLOAD if counted else 0
    assert least <= int(metered.stdout) <= 2 * least
    assert int(bare.stdout) == 0
