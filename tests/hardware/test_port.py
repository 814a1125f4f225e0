"""Ports of every kind, to a virtual board: on a network, and with USB of the chip's own, which goes with a reset."""

import ast
import base64
import hashlib
import io
import json
import os
import subprocess
import zlib

import pytest
from rich.console import Console
from serial.tools.list_ports_common import ListPortInfo

from host_tools.base.errors import UsageError
from host_tools.build.micropython import micropython
from host_tools.collector.server import load_keys
from host_tools.hardware import port as ports
from host_tools.hardware.monitor import STATUS_S, monitor
from host_tools.hardware.port import Port, Refused
from host_tools.hardware.provision import provision
from host_tools.hardware.virtual import HARD, VirtualBoard
from tests.hardware.servers import Server

pytestmark = pytest.mark.realtime

VERSION = "tuple(__import__('sys').implementation[1])[:3]"


@pytest.fixture
def board(tmp_path):
    with VirtualBoard(tmp_path / "board", str(tmp_path / "port")) as board:
        yield board


@pytest.fixture(params=["socket", "rfc2217"])
def server(request, board):
    with Server(board.path, request.param) as server:
        yield server


def test_a_board_on_a_network_is_provisioned(board, server, tmp_path):
    keys, said = tmp_path / "keys.toml", io.StringIO()
    provision(server.url, "meter-7", keys, Console(file=said, width=200))
    with Port(server.url) as port:
        port.repl()
        assert port.ask(VERSION) == board_version()
        port.equip()
        kept = json.loads(port.ask("read('/secrets.json')"))
    assert bytes.fromhex(kept["key"]) == load_keys(keys)["meter-7"]
    assert board.boots == 2, "the restart was the board's"


def board_version():
    """What the VM itself says, past every port."""
    code = "import sys; print(tuple(sys.implementation[1])[:3])"
    said = subprocess.run([micropython(), "-c", code], capture_output=True, text=True, check=True).stdout
    return ast.literal_eval(said)


def test_a_reset_is_heard_through_a_network(board, server):
    with Port(server.url) as port:
        port.repl()
        port.restart()
        assert port.reach_repl(30)
        port.repl()
        assert port.ask("6 * 7") == 42


def test_lines_are_heard_while_the_program_runs(board):
    def stop(line):
        assert line == "one"
        raise KeyboardInterrupt

    with Port(board.path) as port:
        port.repl()
        with pytest.raises(KeyboardInterrupt):
            port.run("print('one')\nwhile True: pass", stop)
        port.repl()
        heard = []
        assert port.run("print('two')\nprint('three', end='')", heard.append) == "two\r\nthree"
        assert heard == ["two"]
        with pytest.raises(Refused, match=r"^ValueError: 5$"):
            port.run("print('four')\nraise ValueError(5)", heard.append)
        assert heard == ["two", "four"]


def test_a_board_tells_each_file_that_it_works_on(board):
    """No answer is silent for longer than one file takes, so that a time-out has a meaning on the slowest flash."""
    content = {"/a/one.py": b"1", "/a/sub/two.py": bytes(9000), "/three.py": b""}
    with Port(board.path) as port:
        port.repl()
        port.equip()
        port.run("begin()")
        port.run(f"more('{base64.b64encode(zlib.compress(b''.join(content.values()))).decode()}')")
        heard = []
        port.run(f"unpack({[(path, len(each)) for path, each in content.items()]!r})", heard.append)
        assert heard == list(content)
        heard.clear()
        port.run("copy([('/a/one.py', '/b/one.py'), ('/three.py', '/b/x/three.py')])", heard.append)
        assert heard == ["/b/one.py", "/b/x/three.py"]
        heard.clear()
        port.run("survey('/a', {})", heard.append)
        assert sorted(heard) == ["/a/one.py", "/a/sub/two.py"]
        assert port.ask("survey('/a', {})") == {
            path: hashlib.sha256(each).hexdigest() for path, each in content.items() if path.startswith("/a/")
        }


def test_a_connection_that_is_lost_is_said(board, server):
    with Port(server.url) as port:
        port.repl()
        port.start("import time\nwhile True:\n    print('tick')\n    time.sleep_ms(20)")
        lines = port.lines(60)
        assert next(line for line in lines if line == "tick")
        server.drop()
        with pytest.raises(UsageError, match=r"the board is gone; check the cable"):
            list(lines)


def test_a_server_that_is_not_there_is_said():
    for scheme in ("socket", "rfc2217"):
        with pytest.raises(UsageError, match="cannot be opened; check that the server is running"):
            Port(f"{scheme}://127.0.0.1:1")


def has_usb_of_its_own(board, monkeypatch):
    """The port goes with each reset, before the chip starts again; `plug` gives it back."""
    boot = board._boot

    def reset(cause, *rest):
        if cause == HARD:
            board._detach()
        boot(cause, *rest)

    monkeypatch.setattr(board, "_boot", reset)


def looks_in_vain(many, then, monkeypatch):
    """Does `then` when the port was looked for so many times."""
    real, seen = ports.resolve, []

    def resolve(name):
        try:
            return real(name)
        except UsageError:
            seen.append(name)
            if len(seen) == many:
                then()
            raise

    monkeypatch.setattr(ports, "resolve", resolve)
    return seen


def test_a_port_that_goes_with_a_reset_is_found_again(board, monkeypatch):
    """It is away for 15 looks, 1.5 s: longer than the board takes to its REPL, so that its greeting is lost."""
    has_usb_of_its_own(board, monkeypatch)
    with Port(board.path) as port:
        port.repl()
        seen = looks_in_vain(15, board.plug, monkeypatch)
        port.restart()
        assert port.reach_repl(60)
        port.repl()
        assert port.ask(VERSION) == board_version()
    assert len(seen) >= 15
    assert board.boots == 2


def test_a_port_that_stays_away_is_said_in_one_line(board, monkeypatch):
    monkeypatch.setattr(ports, "_BACK_S", 1)
    has_usb_of_its_own(board, monkeypatch)
    with Port(board.path) as port:
        port.repl()
        port.restart()
        with pytest.raises(UsageError, match="the board is gone: 1 s after a reset its port is not there; ") as error:
            port.reach_repl(60)
    assert "\n" not in str(error.value)


def test_a_lost_port_is_no_reset(board):
    with Port(board.path) as port:
        port.repl()
        board.unplug()
        with pytest.raises(UsageError, match="the board is gone; check the cable"):
            port.ask("1")
        board.plug()


def test_a_device_is_found_by_its_number_under_another_path(board, tmp_path, monkeypatch):
    """As /dev/ttyACM1 after /dev/ttyACM0, which another board has by then."""
    has_usb_of_its_own(board, monkeypatch)
    with VirtualBoard(tmp_path / "other", str(tmp_path / "other-port")) as other:
        looks = []

        def comports():
            found = []
            for number, each in (("mine", board), ("other", other)):
                if os.path.exists(each.path):
                    found.append(ListPortInfo(os.path.realpath(each.path)))
                    found[-1].serial_number = number
            looks.append(len(found))
            if looks.count(1) == 3:
                board.plug()
            return found

        monkeypatch.setattr(ports.list_ports, "comports", comports)
        link = tmp_path / "ttyACM0"
        link.symlink_to(os.path.realpath(board.path))
        with Port(str(link)) as port:
            port.repl()
            port.run("open('/mine', 'w').close()")
            link.unlink()
            link.symlink_to(os.path.realpath(other.path))
            port.restart()
            assert port.reach_repl(60)
            port.repl()
            assert "mine" in port.ask("__import__('os').listdir('/')")
    assert looks.count(1) >= 3


def test_the_monitor_says_at_once_what_it_waits_for(deployed):
    notes, said = io.StringIO(), io.StringIO()
    monitor(deployed.board.path, Console(file=said), seconds=0, notes=Console(file=notes, width=200))
    assert notes.getvalue() == (
        f"{deployed.board.path}: waiting for the guard's status, which comes after a change or within an hour; "
        "--restart gets it at once\n"
    )
    assert said.getvalue() == ""


def test_the_monitor_names_the_guards_own_interval():
    from host_tools.base import paths

    paths.use_firmware()
    from usageguard.guard import guard

    assert guard._STATUS_MS == STATUS_S * 1000


class Ended(Exception):
    pass


class Listener(io.StringIO):
    def write(self, text):
        done = super().write(text)
        if '"kind": "status"' in text:
            raise Ended
        return done


def test_the_monitor_has_a_restarted_board_tell_its_status(deployed):
    said, notes = Listener(), io.StringIO()
    boots = deployed.board.boots
    with pytest.raises(Ended):
        monitor(deployed.board.path, Console(file=said), True, 60, restart=True, notes=Console(file=notes, width=200))
    lines = [json.loads(line) for line in said.getvalue().splitlines()]
    assert lines[-1]["verdict"] == "open"
    assert deployed.board.boots == boots + 1
    assert "restarted; waiting for the guard" in notes.getvalue()
