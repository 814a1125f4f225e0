"""Other modems on the wires of a board, in real time: a sample of what `python -m tests.run.targets.boards` runs."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.run.targets.boards import SCENARIOS, failures

SAMPLE = {"rt-bring-up": "sim7080g", "rt-stop": "ml307r", "rt-sms": "sim7600e"}
"""Read, announced, and slow to boot."""


@pytest.mark.proof
@pytest.mark.realtime
def test_each_scenario_holds_with_another_modem():
    with ProcessPoolExecutor(len(SAMPLE), multiprocessing.get_context("spawn")) as pool:
        found = dict(zip(SAMPLE, pool.map(failures, SAMPLE, SAMPLE.values()), strict=True))
    assert found == {name: [] for name in SCENARIOS}
