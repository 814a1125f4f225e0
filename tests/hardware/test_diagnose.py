"""`usageguard diagnose --port` on a virtual board, whose UART has no modem."""

import io

import pytest
from rich.console import Console

from host_tools.diagnosis import command

pytestmark = pytest.mark.realtime


def test_a_board_that_is_restarted_has_had_time_to_find_its_modem(deployed, monkeypatch):
    last = command._last  # the first status does here, as no other follows in minutes
    monkeypatch.setattr(command, "_last", lambda statuses, first: last(statuses, True))
    said = io.StringIO()
    found = command.run(
        command.source(None, "", None, deployed.board.path, True), deployed.config, Console(file=said, width=200)
    )
    assert [each["cause"] for each in found["verdicts"]] == ["modem-dead"]
    assert "waiting for the guard's status" in said.getvalue()
    assert found["verdicts"][0]["remedy"] in said.getvalue()


class Waiting(io.StringIO):
    """A terminal on which somebody calls `then` as soon as the command waits for a status."""

    def __init__(self, then):
        super().__init__()
        self._then = then

    def write(self, text):
        if "waiting for the guard's status" in text:
            self._then()
        return super().write(text)


def test_one_that_goes_on_is_judged_by_its_next_status(deployed):
    """Too soon to say that its modem does not answer."""
    board = deployed.board
    terminal = Waiting(lambda: (board.power_off(), board.power_on()))
    found = command.run(command.source(None, "", None, board.path, False), None, Console(file=terminal, width=200))
    assert found["verdicts"] == []
    assert found["status"] == "open"
