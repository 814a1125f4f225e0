"""Identity, monitor and flashing."""

import io
import json
import stat

import pytest
from rich.console import Console

from host_tools.collector.server import load_keys
from host_tools.errors import UsageError
from host_tools.hardware import flash
from host_tools.hardware.deploy import maintained
from host_tools.hardware.monitor import monitor, parse
from host_tools.hardware.port import Port, resolve
from host_tools.hardware.provision import provision
from tests.hardware.conftest import BOARD, CONFIG

pytestmark = pytest.mark.realtime


def secrets_of(board):
    with Port(board.path) as port, maintained(port):
        return json.loads(port.ask("read('/secrets.json')"))


def test_a_key_goes_to_the_board_and_the_collector_and_nowhere_else(desk, tmp_path):
    keys = tmp_path / "keys.toml"
    keys.write_text(f'"other" = "{"11" * 32}"\n')
    provision(desk.board.path, "meter-7", keys, desk.console, pin="0815")
    kept = secrets_of(desk.board)
    assert (kept["id"], kept["pin"]) == ("meter-7", "0815")
    assert load_keys(keys) == {"other": b"\x11" * 32, "meter-7": bytes.fromhex(kept["key"])}
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
    assert kept["key"] not in desk.said.getvalue()
    with pytest.raises(UsageError, match="it has its id, key, pin already; --force") as error:
        provision(desk.board.path, "meter-8", keys, desk.console)
    assert kept["key"] not in str(error.value)
    with pytest.raises(UsageError, match=r"keys.toml: meter-7: has a key already"):
        provision(desk.board.path, "meter-7", keys, desk.console)
    assert secrets_of(desk.board) == kept
    provision(desk.board.path, "meter-7", keys, desk.console, force=True)
    anew = secrets_of(desk.board)
    assert anew["key"] != kept["key"]
    assert load_keys(keys)["meter-7"].hex() == anew["key"]
    desk.config.write_text(CONFIG[: CONFIG.index("[device]")] + CONFIG[CONFIG.index("[modem]") :])
    assert desk.deploy().slot == "a", "a configuration without an identity will do now"


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


@pytest.mark.parametrize(
    ("text", "kind", "told"),
    [
        ("ug app-crash 1042 3", "event", "The application crashed; it is started again (time 3)"),
        ('ug {"verdict": "open", "reasons": ["a", "b"]}', "status", "verdict=open reasons=a,b"),
        ('ug {"verdict": "op', "text", 'ug {"verdict": "op'),
        ("ug up a", "text", "ug up a"),
        ("hello", "text", "hello"),
        ("", "text", ""),
    ],
)
def test_lines_of_a_board(text, kind, told):
    line = parse(text)
    assert (line.kind, line.tell()) == (kind, told)


@pytest.mark.parametrize(
    ("port", "words"),
    [
        ("", "--port: is missing; ports found: "),
        ("/dev/nowhere", "--port: /dev/nowhere: is not there; ports found: "),
        ("serial:0000", "--port: serial:0000: no ports have this serial number; ports found: "),
        ("http://x", "--port: http://x: is no address of a port; use socket://HOST:PORT"),
    ],
)
def test_no_port_is_guessed(port, words):
    with pytest.raises(UsageError, match=words):
        resolve(port)


def test_esptool_is_called_for_the_chip(tmp_path):
    words = flash.command(BOARD, "/dev/ttyUSB7", tmp_path / "image.bin", erase=True)
    assert words[1:3] == ["-m", "esptool"]
    assert words[3:] == [
        "--chip", "esp32", "--port", "/dev/ttyUSB7", "--baud", "460800",
        "write-flash", "--erase-all", "0x1000", str(tmp_path / "image.bin"),
    ]  # fmt: skip


def test_what_is_no_image_is_refused(tmp_path):
    image = tmp_path / "image.bin"
    image.write_bytes(b"not an image" * 10_000)
    with pytest.raises(UsageError, match=r"image.bin: is no image of MicroPython") as error:
        flash.with_ledger(image, tmp_path / "out.bin", BOARD)
    assert "\n" not in str(error.value)
