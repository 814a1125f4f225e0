"""`usageguard evidence`: against simulated modems of a stopped SIM, and replayed."""


import os
import threading

import pytest
from rich.console import Console

from host_tools.base.errors import UsageError
from host_tools.hardware.port import Port
from host_tools.hardware.recorder import evidence as command
from host_tools.hardware.recorder.evidence import RESOLVER, SESSIONS, EvidenceRecorder, question, write
from host_tools.hardware.virtual import VirtualBoard
from host_tools.sim.modem import load, models
from host_tools.sim.modem.pty import LinkedPty
from host_tools.sim.modem.served import replay, transcript
from host_tools.sim.modem.served.modem import ICCID, IMSI
from host_tools.sim.network import dns
from tests.hardware.test_recorder import VirtualLine

HOST = "iot.example"


def gathered(profile="quectel-ec200u", prepare=lambda world: None):
    """The evidence of a modem of that profile, and its line."""
    line = VirtualLine(load(profile))
    line.world.internet.names[HOST] = "203.0.113.9"
    prepare(line.world)
    recorder = EvidenceRecorder(line)
    recorder.gather(HOST)
    return recorder, line


@pytest.fixture
def played(tmp_path):
    """The port of a modem that answers as that of a stopped SIM was recorded."""
    recorder, _ = gathered(prepare=stop)
    file = tmp_path / "stopped.txt"
    write(recorder, file)
    end = LinkedPty(None)
    stopped, stop_it = os.pipe()
    thread = threading.Thread(target=replay.play, args=(transcript.read(file).entries, end, stopped))
    thread.start()
    yield end.where
    os.write(stop_it, b"\0")
    thread.join(10)
    end.close()


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(command, "ROUND_S", 0.01)
    monkeypatch.setattr(EvidenceRecorder, "settle_s", 0.1)


def said(recorder, who="<"):
    return b"".join(entry.data for entry in recorder.masked() if entry.who == who).decode("latin-1")


def stop(world):
    world.carrier.stop(IMSI)


@pytest.mark.parametrize("profile", models.names())
def test_a_stopped_sim_is_refused_a_session(profile):
    recorder, line = gathered(profile, lambda world: (world.skip(60), stop(world)))
    told = said(recorder)
    assert "+CSQ: " in told
    assert "+CEREG: " in told
    assert "\r\n+CME ERROR: 133\r\n" in told
    assert line.world.carrier.figures(IMSI)["ip_octets"] == 0
    assert recorder.dialect in SESSIONS or profile == "generic"
    seconds = (recorder.dialogue[-1].t_us - recorder.dialogue[0].t_us) / 1e6
    assert 60 <= seconds <= 300


def test_a_session_in_which_all_is_well_shows_a_name_and_an_answer():
    recorder, line = gathered()
    told = said(recorder)
    assert '+QIURC: "dnsgip",0,1,' in told
    assert '+QIURC: "recv",0' in told
    assert "+QIRD: " in told
    assert 0 < line.world.carrier.figures(IMSI)["ip_octets"] <= 400


def test_a_soft_stop_shows_a_name_and_no_answer():
    def soften(world):
        world.carrier.enforcement = type(world.carrier.enforcement)(stop_cause=0)
        world.carrier._sim(IMSI).enforcement = world.carrier.enforcement
        stop(world)

    recorder, _ = gathered(prepare=soften)
    told = said(recorder)
    assert '+QIURC: "dnsgip",0,1,' in told
    assert '+QIURC: "recv"' not in told
    assert "+QIRD: 0" in told


def test_what_the_network_says_by_itself_is_in_it():
    def end_it(world):
        world.line.to_modem.write(b"AT+QIACT=1\r")
        world.skip(3)
        world.clock.after(1_000_000, world.carrier.stop, IMSI)

    recorder, _ = gathered(prepare=end_it)
    assert "+CGEV: NW PDN DEACT 1" in said(recorder)


def test_nothing_identifies_anybody():
    recorder, line = gathered()
    text = said(recorder) + said(recorder, ">")
    for secret in (line.world.modem.profile.imei, IMSI, ICCID, "203.0.113.9"):
        assert secret not in text
    assert line.world.modem.profile.radio.cell not in text
    assert RESOLVER in text


def test_a_line_that_came_in_pieces_is_masked():
    recorder, _ = gathered()
    at = next(at for at, entry in enumerate(recorder.dialogue) if b"+CEREG: 2,1" in entry.data)
    entry = recorder.dialogue[at]
    cut = entry.data.index(b'"') + 3
    later = entry._replace(t_us=entry.t_us + 50_000, data=entry.data[cut:])
    recorder.dialogue[at : at + 1] = [entry._replace(data=entry.data[:cut]), later]
    assert '"25F8"' in "".join(each.data.decode("latin-1") for each in recorder.dialogue[at : at + 2])
    assert "25F8" not in said(recorder)


def test_settings_are_left_as_they_were():
    line = VirtualLine(load("quectel-ec200u"))
    for setting in (b"AT+CMEE=2\r", b"AT+CEREG=1\r"):
        line.write(setting)
        line.world.skip(1)
    before = dict(line.world.modem.port.nvm.values)
    EvidenceRecorder(line).gather(HOST)
    assert line.world.modem.port.nvm.values == before


def test_the_question_is_one_of_dns():
    assert question(HOST)[2:] == dns.encode_query(0, HOST)[2:]


def test_a_script_is_a_transcript_or_none(tmp_path):
    recorder, _ = gathered(prepare=stop)
    file = tmp_path / "stopped.txt"
    write(recorder, file)
    assert transcript.is_one(file)
    assert transcript.read(file).about["evidence"].startswith("of a Quectel EC200U")
    player = transcript.Player(transcript.read(file).entries)
    assert player.take(b"AT+CGACT=1,1\r")[-1][1].endswith(b"+CME ERROR: 133\r\n")
    other = tmp_path / "script"
    for text in ("# nothing\n30s sim out\n", "", "5.0 ! sim out\n"):
        other.write_text(text)
        assert not transcript.is_one(other)
    with pytest.raises(UsageError, match="no such file"):
        transcript.is_one(tmp_path / "none")


@pytest.mark.realtime
def test_at_a_modems_own_port(played, hurried, tmp_path, capsys):
    out = Console(width=200)
    command.evidence(played, tmp_path / "mine.txt", 115_200, HOST, out, Console(stderr=True))
    told = capsys.readouterr().out
    assert "Quectel EC200U" in told
    assert "data session: +CME ERROR: 133" in told
    assert f"usageguard modem --script {tmp_path / 'mine.txt'}" in told.replace("\n", "")
    assert transcript.is_one(tmp_path / "mine.txt")


@pytest.mark.realtime
def test_at_a_boards_port(played, hurried, tmp_path, capsys):
    port = tmp_path / "port"
    with VirtualBoard(tmp_path / "board", str(port), str(played)) as board:
        with Port(str(port)) as device:
            device.repl()
            files = '{"uart": 1, "tx": 26, "rx": 27, "baud": 115200}'
            device.run(f"with open('board.json', 'w') as file:\n    file.write({files!r})\n")
        command.evidence(board.path, tmp_path / "mine.txt", 115_200, HOST, Console(width=200), Console(), board=True)
    assert "data session: +CME ERROR: 133" in capsys.readouterr().out


@pytest.mark.realtime
def test_a_board_without_a_modem_says_so(tmp_path):
    problem = "the board has no modem that it knows"
    with VirtualBoard(tmp_path / "board", str(tmp_path / "port")) as board, pytest.raises(UsageError, match=problem):
        command.evidence(board.path, tmp_path / "x.txt", 115_200, HOST, Console(), Console(), board=True)
