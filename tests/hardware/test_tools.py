"""Identity and monitor."""

import contextlib
import io
import json
import stat
from unittest.mock import Mock

import pytest
from rich.console import Console

from host_tools.base.errors import UsageError
from host_tools.collector.server import load_keys
from host_tools.hardware.deploy import maintained
from host_tools.hardware.monitor import monitor, parse
from host_tools.hardware.port import Port, Refused, resolve
from host_tools.hardware.provision import provision
from tests.hardware.conftest import CONFIG

pytestmark = pytest.mark.realtime


def secrets_of(board):
    with Port(board.path) as port, maintained(port):
        return json.loads(port.ask("read('/secrets.json')"))


def test_a_key_goes_to_the_board_and_the_collector_and_nowhere_else(workbench, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(f'"other" = "{"11" * 32}"\n')
    provision(workbench.board.path, "meter-7", keys, workbench.console, pin="0815")
    kept = secrets_of(workbench.board)
    assert (kept["id"], kept["pin"]) == ("meter-7", "0815")
    assert load_keys(keys) == {"other": b"\x11" * 32, "meter-7": bytes.fromhex(kept["key"])}
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert kept["key"] not in workbench.said.getvalue()
    with pytest.raises(UsageError, match="already has id, key, pin; give --force") as error:
        provision(workbench.board.path, "meter-8", keys, workbench.console)
    assert kept["key"] not in str(error.value)
    with pytest.raises(UsageError, match=r"keys.toml: meter-7: already has a key"):
        provision(workbench.board.path, "meter-7", keys, workbench.console)
    assert secrets_of(workbench.board) == kept
    provision(workbench.board.path, "meter-7", keys, workbench.console, force=True)
    anew = secrets_of(workbench.board)
    assert anew["key"] != kept["key"]
    assert load_keys(keys)["meter-7"].hex() == anew["key"]
    workbench.config.write_text(CONFIG[: CONFIG.index("[device]")] + CONFIG[CONFIG.index("[modem]") :])
    assert workbench.deploy().slot == "a", "a configuration without an identity will do now"


def refuse(*_):
    raise Refused("OSError: 28")


@pytest.mark.parametrize(
    ("broken", "by", "words"),
    [
        ("run", refuse, "secrets.json: the board reports: OSError: 28; provision again with --force"),
        ("ask", lambda *_: [], "secrets.json: was not written correctly; provision again with --force"),
    ],
)
def test_a_key_that_the_board_lacks_takes_no_other_out_of_the_file(
    workbench, tmp_path, broken, by, words, monkeypatch
):
    keys = tmp_path / "keys.toml"
    keys.write_text(f'"meter-7" = "{"11" * 32}"\n')
    whole = getattr(Port, broken)

    def partly(port, code, *more):
        return (by if code.startswith(("replace('/secrets.json'", "digest(")) else whole)(port, code, *more)

    monkeypatch.setattr(Port, broken, partly)
    with pytest.raises(UsageError, match=words):
        provision(workbench.board.path, "meter-7", keys, workbench.console, force=True)
    assert load_keys(keys) == {"meter-7": b"\x11" * 32}


@pytest.mark.proof
def test_a_cable_pulled_while_a_key_is_replaced_takes_no_valid_key_out_of_the_file(workbench, tmp_path):
    board, keys = workbench.board, tmp_path / "keys.toml"
    provision(board.path, "meter-7", keys, workbench.console)
    before = board.octets_in
    provision(board.path, "meter-7", keys, workbench.console, force=True)
    length = board.octets_in - before
    outcomes = set()
    for left in range(50, 550, 100):  # the key is among the last octets
        old = load_keys(keys)["meter-7"].hex()
        board.cut_after = length - left
        with contextlib.suppress(UsageError):
            provision(board.path, "meter-7", keys, workbench.console, force=True)
        board.power_off()
        board.power_on()
        has, stored = secrets_of(board)["key"], load_keys(keys)["meter-7"].hex()
        assert stored == has or (stored == old != has)
        outcomes.add((stored == has, stored == old))
        provision(board.path, "meter-7", keys, workbench.console, force=True)
    assert len(outcomes) > 1, "before and after the key was written"


def test_a_key_that_cannot_be_stored_is_told(workbench, tmp_path, monkeypatch):
    keys = tmp_path / "keys.toml"
    full = UsageError("--keys", str(keys), "no space left on device", "name another")
    monkeypatch.setattr("host_tools.hardware.provision.store_keys", Mock(side_effect=full))
    with pytest.raises(UsageError) as error:
        provision(workbench.board.path, "meter-7", keys, workbench.console)
    assert str(error.value) == (
        f"{keys}: meter-7: does not have the key that the board has now: no space left on device; "
        "provision again with --force"
    )
    assert not keys.exists()


def test_a_file_that_cannot_take_a_key_is_found_before_the_board_is_touched(workbench, tmp_path):
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "keys.toml")
    for keys, words in ((tmp_path / "no" / "keys.toml", "no such file"), (link, "is a symbolic link")):
        with pytest.raises(UsageError, match=words):
            provision(workbench.board.path, "meter-7", keys, workbench.console)
    assert workbench.board.octets_in == 0


@pytest.mark.parametrize(
    ("name", "pin", "words"), [("a b", None, "--id"), ("x" * 17, None, "--id"), ("a", "12", "--pin")]
)
def test_bad_identities_are_refused(tmp_path, name, pin, words):
    with pytest.raises(UsageError, match=words):
        provision("/nowhere", name, tmp_path / "keys.toml", Console(file=io.StringIO()), pin=pin)


class Watcher(io.StringIO):
    """Presses Ctrl-C when it has seen the guard's status."""

    def write(self, text):
        done = super().write(text)
        if '"status"' in text:
            raise KeyboardInterrupt
        return done


def test_the_monitor_shows_the_guards_status_as_json(deployed):
    board, said = deployed.board, Watcher()
    with Port(board.path) as port:
        port.repl()
        port.restart()
        heard = next(line for line in port.lines(30) if line.startswith("ug {"))
    assert parse(heard).status["verdict"] == "open"
    board.power_off()
    with pytest.raises(UsageError, match="port: is not there"):
        monitor(board.path, Console(file=said), seconds=1)
    board.power_on()
    with pytest.raises(KeyboardInterrupt):
        monitor(board.path, Console(file=said, width=10), as_json=True)
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    assert {"event", "status"} <= {line["kind"] for line in lines}
    status = next(line for line in lines if line["kind"] == "status")
    assert list(status)[:5] == ["kind", "verdict", "reasons", "rated_octets", "modem"]
    assert status["modem"] in ("off", "booting")
    assert status["closed"] is None


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("ug app-crash 1042 3", "event", "The application crashed; it is started again (time 3)"),
        ("ug app-ended 0 0", "event", "The application ended; the guard goes on"),
        (
            'ug {"stopped": false, "shed": [], "modem": 5, "closed": null, "reasons": ["a", "b"], "verdict": "open"}',
            "status",
            "open: data flows freely; a | online",
        ),
        ('ug {"boot_id": 0, "modem": 9, "rated_octets": 7}', "status", "no verdict | 7 B used | 9"),
        ('ug {"closed": {"cycle": 3, "cost_fen": 0}}', "status", "no verdict"),
        ('ug {"verdict": "op', "text", 'ug {"verdict": "op'),
        ("ug up a", "text", "Set a is in force"),
        ("ug back b", "text", "The new set does not start; reverted to set b"),
        ("ug up", "text", "ug up"),
        ("hello", "text", "hello"),
        ("", "text", ""),
    ],
)
def test_lines_of_a_board(text, kind, told):
    line = parse(text)
    assert (line.kind, line.describe()) == (kind, told)


@pytest.mark.parametrize(
    ("port", "words"),
    [
        ("", "--port: is missing; ports found: "),
        ("/dev/nowhere", "--port: /dev/nowhere: is not there; ports found: "),
        ("serial:0000", "--port: serial:0000: no ports have this serial number; ports found: "),
        ("http://x", "--port: http://x: is not a port's address; use socket://HOST:PORT"),
    ],
)
def test_no_port_is_guessed(port, words):
    with pytest.raises(UsageError, match=words):
        resolve(port)
