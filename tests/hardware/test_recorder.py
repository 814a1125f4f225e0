"""`usageguard record`: against the simulated modem, and against a pty that plays a transcript."""

import json
import os
import re
import threading
import tomllib
from datetime import UTC, datetime

import pytest
from typer.main import get_command

from host_tools.base.errors import UsageError
from host_tools.cli import app
from host_tools.hardware.recorder import questions
from host_tools.hardware.recorder.mask import Mask, imei
from host_tools.hardware.recorder.record import Recorder, document
from host_tools.sim.clock import S
from host_tools.sim.modem import load
from host_tools.sim.modem.pty import LinkedPty
from host_tools.sim.modem.served import replay, transcript
from host_tools.sim.modem.served.modem import BOOT_S, ICCID, IMSI, NUMBER, World
from tests.cli.commands import in_pipes


class VirtualLine:
    """The line of a simulated modem in virtual time."""

    def __init__(self, profile):
        self.world = World(profile, baud=115_200, relays={}, seed=1, start=datetime(2026, 3, 1, tzinfo=UTC))
        self.heard = bytearray()
        self.world.line.to_host.deliver = self.heard.extend
        self.world.modem.power(True)
        self.world.skip(BOOT_S)
        self.heard.clear()

    def write(self, data):
        self.world.line.to_modem.write(data)

    def read(self, seconds):
        clock = self.world.clock
        clock.run_until(clock.now_us + int(seconds * S), lambda: bool(self.heard))
        data = bytes(self.heard)
        self.heard.clear()
        return data

    def now(self):
        return self.world.clock.now_us / S


def recorded(profile, tmp_path, **options):
    """Recorder, line, and the file that was written."""
    line = VirtualLine(profile)
    line.write(b"AT+QIACT=1\r")
    line.world.skip(2)
    recorder = Recorder(line)
    recorder.run(**options)
    file = tmp_path / "mine.toml"
    file.write_text(document(recorder.profile("mine"), tuple(recorder.answers)))
    return recorder, line, file


def test_what_it_asks_is_bounded_and_changes_nothing():
    for dialect in questions.DIALECTS.values():
        asked = (*questions.IDENTITY, *questions.STANDARD, *dialect)
        assert len(asked) < 150
        assert len(set(asked)) == len(asked)
        for question in asked:
            assert "=" not in question.removesuffix("=?"), question
            assert question != "+COPS=?", "the modem would leave its network"


@pytest.mark.parametrize("name", ["quectel-ec200u", "bg95-m3"])
def test_the_profile_answers_as_the_recorded_modem(tmp_path, name):
    original = load(name)
    recorder, line, file = recorded(original, tmp_path)
    profile = load(str(file))
    assert (profile.manufacturer, profile.model, profile.revision) == ("Quectel", original.model, original.revision)
    assert profile.dialect == "quectel"
    assert profile.errors == original.errors
    assert profile.quirks == original.quirks, "of the model that is most alike"
    assert "recorded from a Quectel" in profile.source
    again = Recorder(VirtualLine(profile))
    again.run()
    asked = [command for command in recorder.answers if command.endswith("=?")]
    assert len(asked) > 60
    for command in (*asked, "I", "+CGMM", questions.UNKNOWN):
        assert again.answers[command][:2] == recorder.answers[command][:2], command
    assert line.world.modem.port.nvm.values["+CMEE"] == "1"


def test_an_answer_that_no_dialect_would_give(tmp_path):
    original = load("quectel-ec200u")
    line = VirtualLine(original)
    odd = '+QIOPEN: (1-15),(0-31),"X"'
    line.world.modem.faults.inject({"kind": "answer", "command": "+QIOPEN=?", "lines": [odd], "final": "OK"})
    line.world.modem.faults.inject({"kind": "answer", "command": "+CEREG=?", "lines": ["+CEREG: (0-2)"], "final": "OK"})
    line.world.modem.faults.inject({"kind": "answer", "command": "+UGNOSUCH", "final": "+CME ERROR: 100"})
    line.world.modem.faults.inject({"kind": "slow", "command": "+CSCA=?", "ms": 900})
    recorder = Recorder(line)
    recorder.run()
    file = tmp_path / "odd.toml"
    file.write_text(document(recorder.profile("odd"), tuple(recorder.answers)))
    profile = load(str(file))
    assert profile.errors.unknown_command == 100
    assert 900 <= profile.delay_ms["+CSCA=?"] < 1000
    again = VirtualLine(profile)
    for command, answer in (("+QIOPEN=?", odd), ("+CEREG=?", "+CEREG: (0-2)")):
        assert Recorder(again).ask(command).lines == (answer,)
    assert Recorder(again).ask("+CEREG=3").final == "+CME ERROR: 50", "the range was taken over"
    assert Recorder(again).ask("+NOSUCH").final == "+CME ERROR: 100"


def test_nothing_identifies_anybody(tmp_path):
    recorder, line, file = recorded(load("quectel-ec200u"), tmp_path)
    said = b"".join(entry.data for entry in recorder.dialogue).decode("latin-1")
    masked = b"".join(entry.data for entry in recorder.masked()).decode("latin-1")
    profile = line.world.modem.profile
    for secret in (profile.imei, IMSI, ICCID, NUMBER):
        assert secret in said
        assert secret not in masked
        assert secret not in file.read_text()
    assert imei(profile.imei) in masked
    assert "46000" + "0" * 10 in masked
    assert "898600" + "0" * 14 in masked
    assert len(masked) >= len(said) - 20


def test_the_mask():
    mask = Mask()
    assert imei("866425040123458") == "866425040000004"
    mask.learn("+CGSN", ["866425040123458"])
    mask.learn("+CNUM", ['+CNUM: "","+8613912345678",145'])
    text = '+X: 866425040123458,"+8613912345678","10.23.4.5","255.255.255.0","2001:DB8:1:2:3:4:5:6",4G'
    assert mask.text(text) == (
        '+X: 866425040000004,"+8600000000000","10.0.0.1","255.255.255.0","2001:DB8:0:0:0:0:0:1",4G'
    )
    assert mask.text('+CEREG: 2,1,"25F8","06B7C50A",7') == '+CEREG: 2,1,"0000","00000000",7'


def test_what_it_writes_at_boot(tmp_path):
    recorder, _, file = recorded(load("quectel-ec200u"), tmp_path, reboot=True)
    lines = ["RDY", "+CFUN: 1", "+CPIN: READY", "+QIND: SMS DONE", "+QIND: PB DONE"]
    assert [line for _, line in recorder.boot] == lines, "without what it wrote as it went down"
    boot = tomllib.loads(file.read_text())["boot"]
    assert [line["line"] for line in boot["lines"]] == ["RDY", "+CFUN: 1", "sim", *lines[3:]]
    assert 5_600 <= boot["sms_ready_ms"] < 6_000
    again = VirtualLine(load(str(file)))
    again.world.modem.reset()
    again.world.skip(15)
    assert re.findall("RDY|SMS DONE", again.heard.decode()) == ["RDY", "SMS DONE"]


def test_settings_are_left_as_they_were():
    line = VirtualLine(load("quectel-ec200u"))
    line.write(b"AT+CMEE=2\r")
    line.world.skip(1)
    before = dict(line.world.modem.port.nvm.values)
    Recorder(line).run()
    assert line.world.modem.port.nvm.values == before


def test_nobody_there():
    line = VirtualLine(load("quectel-ec200u"))
    line.world.modem.power(False)
    with pytest.raises(UsageError, match="nothing answers to AT"):
        Recorder(line).run()


@pytest.mark.realtime
def test_a_transcript_that_is_played_is_recorded(tmp_path):
    """A SIM7600 as a person wrote it down."""
    told = tmp_path / "sim7600.txt"
    told.write_text(
        "> AT\n< OK\n> AT+CMEE?\n< +CMEE: 2\n< OK\n> AT+CMEE=1\n< OK\n> AT+CMEE=2\n< OK\n"
        "> AT+CGMI\n< SIMCOM INCORPORATED\n< OK\n> AT+CGMM\n< SIMCOM_SIM7600E\n< OK\n"
        "> AT+CGMR\n< +CGMR: LE20B04SIM7600M22\n< OK\n> AT+CGSN\n< 861234050012340\n< OK\n"
        "> AT+CIPSEND=?\n< +CIPSEND: (0-9),(1-1500)\n< OK\n> AT+UGNOSUCH\n< ERROR\n"
    )
    end = LinkedPty(None)
    stopped, stop = os.pipe()
    thread = threading.Thread(target=replay.play, args=(transcript.read(told).entries, end, stopped))
    thread.start()
    file = tmp_path / "sim7600e.toml"
    try:
        status, out, err = in_pipes("record", "--port", end.where, "--out", str(file))
    finally:
        os.write(stop, b"\0")
        thread.join(10)
        end.close()
    assert (status, err) == (0, "")
    assert out.startswith("SIMCOM INCORPORATED SIMCOM_SIM7600E, LE20B04SIM7600M22: cip; ")
    raw = tomllib.loads(file.read_text())
    assert raw["imei"] == imei("861234050012340")
    assert raw["answers"]["+CIPSEND=?"] == ["+CIPSEND: (0-9),(1-1500)", "OK"]
    assert json.dumps(raw).find("861234050012340") < 0
    dialogue = transcript.read(file.with_suffix(".txt"))
    assert any(entry.data == b"AT+CIPSEND=?\r" for entry in dialogue.entries)
    assert Recorder(VirtualLine(load(str(file)))).ask("+CIPSEND=?").lines == ("+CIPSEND: (0-9),(1-1500)",)


def test_wrong_options_are_one_line(tmp_path):
    for options, problem in (
        (["--port", "/dev/nosuch", "--out", str(tmp_path / "a.toml")], "is not there"),
        (["--port", "/dev/null", "--out", str(tmp_path / "a.txt")], "name it with .toml at the end"),
    ):
        with pytest.raises(UsageError) as error:
            get_command(app).main(["record", *options], standalone_mode=False)
        assert problem in str(error.value)
