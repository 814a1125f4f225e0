"""What `usageguard modem` and `virtual-board` make of their options: relays, and links to a pty."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from host_tools.base.errors import UsageError
from host_tools.sim.modem import load
from host_tools.sim.modem.pty import PtyModem, parse_relays
from host_tools.sim.modem.served import control, replay, transcript
from host_tools.sim.modem_command import app
from tests.cli.commands import in_pipes

COMMANDS = ["modem", "virtual-board"]


def words(command: str, link: Path) -> list[str]:
    if command == "modem":
        return ["modem", "--link", str(link)]
    return ["virtual-board", "--dir", str(link.parent / "flash"), "--repl", str(link)]


@pytest.mark.parametrize(
    ("given", "relays"),
    [
        ([], {}),
        (["reports.example.com=127.0.0.1:5683"], {"reports.example.com": "127.0.0.1:5683"}),
        (["A.b.=[::1]:1", "c-1=127.0.0.1:65535"], {"a.b": "[::1]:1", "c-1": "127.0.0.1:65535"}),
        (["3gpp.org=127.0.0.1:80", "7a=127.0.0.1:80"], {"3gpp.org": "127.0.0.1:80", "7a": "127.0.0.1:80"}),
    ],
)
def test_relays(given: list[str], relays: dict[str, str]) -> None:
    assert parse_relays(given) == relays


NO_PORT = "is no address and port of this machine; write NAME=127.0.0.1:PORT or NAME=[::1]:PORT"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (["a"], "--relay a: leads nowhere; write NAME=127.0.0.1:PORT"),
        (["=127.0.0.1:1"], '--relay =127.0.0.1:1: "" is no host name; write it as in'),
        (["a..b=127.0.0.1:1"], '"a..b" is no host name'),
        (["-a=127.0.0.1:1"], '"-a" is no host name'),
        (["a_b=127.0.0.1:1"], '"a_b" is no host name'),
        (["a\n=127.0.0.1:1"], "is no host name"),
        (["192.0.2.1=127.0.0.1:1"], '"192.0.2.1" is no host name'),
        ([f"{'a' * 64}=127.0.0.1:1"], "is no host name"),
        ([".".join(["a" * 63] * 4) + "=127.0.0.1:1"], "is no host name"),
        (["a="], f'--relay a=: "" {NO_PORT}'),
        (["a=127.0.0.1"], f'"127.0.0.1" {NO_PORT}'),
        (["a=127.0.0.1:0"], f'"127.0.0.1:0" {NO_PORT}'),
        (["a=127.0.0.1:65536"], f'"127.0.0.1:65536" {NO_PORT}'),
        (["a=192.0.2.1:80"], f'"192.0.2.1:80" {NO_PORT}'),
        (["responder=127.0.0.1:1"], '"responder" is there already; give each name once'),
        (["a=127.0.0.1:1", "A.=127.0.0.1:2"], '--relay A.=127.0.0.1:2: "a" is there already'),
    ],
)
def test_a_bad_relay_is_told(given: list[str], problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        parse_relays(given)


def test_a_bad_relay_is_one_line_of_the_command() -> None:
    status, out, err = in_pipes("modem", "--relay", "a=127.0.0.1:1", "--relay", "b=example.com:80")
    assert (status, out) == (2, "")
    assert err == f'usageguard: modem: --relay b=example.com:80: "example.com:80" {NO_PORT}\n'


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("left", ["nothing", "gone", "another's"])
def test_a_link_is_made_or_made_anew_and_goes_with_ctrl_c(tmp_path: Path, command: str, left: str) -> None:
    """What one that was killed has left: a link to a pty that is gone, or whose number a later one has."""
    link = tmp_path / "[red]link"  # no markup
    ptys = os.openpty()
    before = os.ttyname(ptys[1])
    if left == "gone":
        link.symlink_to("/dev/pts/nobody")
    elif left == "another's":
        link.symlink_to(before)
        os.utime(link, ns=(0, 0), follow_symlinks=False)
    code = "from host_tools.cli import main; main()"
    arguments = [sys.executable, "-c", code, *words(command, link)]
    try:
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                said = process.stdout.readline().rstrip("\n")
                there = os.readlink(link)
                assert there != before
                assert Path(there).is_char_device()
                ours = f"the modem is at {link} ({there}); reachable: responder; Ctrl-C ends"
                assert said == (ours if command == "modem" else str(link))
                process.send_signal(signal.SIGINT)
                assert process.wait(20) == 0
            finally:
                process.kill()
    finally:
        for fd in ptys:
            os.close(fd)
    assert not link.is_symlink()


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("there", ["file", "link to a file", "link to a device", "pty in use"])
def test_what_is_in_use_stays(tmp_path: Path, command: str, there: str) -> None:
    link, file = tmp_path / "link", tmp_path / "file"
    ptys = os.openpty()
    file.write_text("kept")
    if there == "file":
        link.write_text("kept")
    elif there == "pty in use":
        link.symlink_to(os.ttyname(ptys[1]))
    else:
        link.symlink_to(file if there == "link to a file" else "/dev/null")
        os.utime(link, ns=(0, 0), follow_symlinks=False)
    before = link.lstat()
    status, out, err = in_pipes(*words(command, link))
    for fd in ptys:
        os.close(fd)
    assert (status, out) == (2, "")
    assert str(link) in err
    assert "exists" in err
    assert err.count("\n") == 1
    after = link.lstat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_link_that_cannot_be_made(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file or directory; give a path in a directory that exists"):
        PtyModem(load("quectel-ec200u"), link=str(tmp_path / "no" / "dir"))


def test_control_of_a_modem_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    none = "usageguard: modem: no modems run; start one: usageguard modem\n"
    assert in_pipes("modem", "ctl", "state") == (2, "", none)
    script, log = tmp_path / "script", tmp_path / "log"
    script.write_text("0s coverage -110\n")
    options = ["--name", "mine", "--booted", "--script", str(script), "--log", str(log), "--fault", "urc_lost count=9"]
    code = "from host_tools.cli import main; main()"
    arguments = [sys.executable, "-c", code, "modem", "--tcp", "127.0.0.1:0", *options]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("the modem is at socket://127.0.0.1:")
            process.stdout.readline()
            listed = in_pipes("modem", "ctl")[1].split()
            assert listed[3:5] == ["mine", "quectel-ec200u"]
            state = control.ask("mine", "state").splitlines()
            assert "coverage: -110 dBm" in state
            assert "faults: armed" in state
            assert control.ask("mine", "sms +8613800000000 你好") == ""
            assert control.ask("mine", "sim out") == ""
            assert "sim: out" in control.ask("mine", "state").splitlines()
            with pytest.raises(ValueError, match="no modem 'yours' runs; there are mine"):
                control.ask("yours", "sim out")
            with pytest.raises(ValueError, match="write sim in"):
                control.ask("mine", "sim up")
            assert control.ask("mine", "quit") == ""
            assert process.wait(20) == 0
        finally:
            process.kill()
    assert "! sms +8613800000000 你好" in log.read_text("utf-8")
    assert "! sim out" in log.read_text("utf-8")
    assert replay.replay(transcript.read(log), load("quectel-ec200u")) is None
    assert not list(tmp_path.glob("*/*.ctl"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--tcp", "nowhere"], "--tcp nowhere: write HOST:PORT, as in 127.0.0.1:5555"),
        (["--tcp", "127.0.0.1:0", "--link", "x"], "--link and --tcp exclude each other"),
        (["--fault", "nosuch"], 'fault nosuch: fault.kind: "nosuch" is not known here'),
        (["--baud", "7"], "--baud 7: give a rate from 300 to 4000000"),
        (["--script", "/nosuch"], "/nosuch: no such file"),
    ],
)
def test_wrong_options_are_one_line(options: list[str], problem: str) -> None:
    with pytest.raises(UsageError) as error:
        get_command(app).main(options, standalone_mode=False)
    assert problem in str(error.value)
    assert "\n" not in str(error.value)
