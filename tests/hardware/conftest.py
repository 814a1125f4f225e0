"""A virtual board for each test, and what is deployed to it."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from host_tools.hardware import boards
from host_tools.hardware.deploy import deploy
from host_tools.hardware.virtual import VirtualBoard

BOARD = boards.load("own-esp32-quectel")
KEY = "5a" * 32
CONFIG = f"""
[device]
id = "tracker-001"
key = "{KEY}"
[modem]
family = "quectel"
apn = "cmiot"
pin = "4711"
[plan]
allowance_octets = 30_000_000
[upstream]
host = "collector.example"
"""
APP = "def main(guard):\n    while True:\n        guard.sleep(60_000)\n"


class Workbench:
    """A board on the workbench of somebody who deploys to it."""

    def __init__(self, folder: Path, board: VirtualBoard) -> None:
        self.board = board
        self.config = folder / "config.toml"
        self.config.write_text(CONFIG)
        self.app = folder / "tracker.py"
        self.app.write_text(APP)
        self.said = io.StringIO()
        self.console = Console(file=self.said, width=200)

    def deploy(self, **options):
        """As `deploy`; without `watch_s`, what the application does is not waited for."""
        options = {"watch_s": 0, "board": BOARD, **options}
        return deploy(options.pop("board"), self.board.path, self.config, self.app, self.console, **options)


@pytest.fixture
def workbench(tmp_path):
    with VirtualBoard(tmp_path / "board", str(tmp_path / "port")) as board:
        yield Workbench(tmp_path, board)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory):
    """A board that runs what was deployed, for tests that leave it so."""
    folder = tmp_path_factory.mktemp("deployed")
    with VirtualBoard(folder / "board", str(folder / "port")) as board:
        workbench = Workbench(folder, board)
        workbench.first = workbench.deploy()
        yield workbench
