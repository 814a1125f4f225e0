"""Dialogues are written, read, replayed and played."""

import io
import os
import threading

import pytest
import serial
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.base.errors import UsageError
from host_tools.sim.modem import load
from host_tools.sim.modem.pty import LinkedPty, PtyModem
from host_tools.sim.modem.served import replay, transcript
from host_tools.sim.modem.served.transcript import Entry, Player, Writer


@given(st.binary())
@settings(deadline=None)
def test_any_octets_are_a_line_of_ascii(data):
    text = transcript.escape(data)
    assert text.isascii()
    assert "\n" not in text
    assert transcript.unescape(text) == data


def test_written_and_read(tmp_path):
    out = io.StringIO()
    writer = Writer(out, {"profile": "quectel-ec200u"})
    writer.add(0, ">", b"AT")
    writer.add(1_000, ">", b"\r")
    writer.add(2_000, "<", b"\r\nOK")
    writer.add(2_500, "<", b"\r\n\xff")
    writer.add(90_000_001, "<", b"RDY")
    writer.settle(90_000_001)
    writer.add(90_000_001, "!", b"sim out")
    writer.flush()
    assert out.getvalue() == (
        "# profile: quectel-ec200u\n0.000000 > AT\\r\n0.002000 < \\r\\nOK\\r\\n\\xff\n"
        "90.000001 < RDY\n90.000001 ! sim out\n"
    )
    file = tmp_path / "log"
    file.write_text(out.getvalue())
    told = transcript.read(file)
    assert told.about == {"profile": "quectel-ec200u"}
    assert told.entries == [
        Entry(0, ">", b"AT\r"),
        Entry(2_000, "<", b"\r\nOK\r\n\xff"),
        Entry(90_000_001, "<", b"RDY"),
        Entry(90_000_001, "!", b"sim out"),
    ]


def test_a_dialogue_that_a_person_wrote(tmp_path):
    file = tmp_path / "dialogue"
    file.write_text("# from a forum\n> AT+CGMM\n< EC200U\n< OK\n\n> AT+CGMM\n< OK\n")
    player = Player(transcript.read(file).entries)
    assert player.take(b"at+cg") == []
    assert player.take(b"mm\r\n") == [(0, b"\r\nEC200U\r\n"), (0, b"\r\nOK\r\n")]
    assert player.take(b"AT+CGMM\rAT\r") == [(0, b"\r\nOK\r\n"), (0, b"\r\nERROR\r\n")]
    assert len(player.take(b"AT+CGMM\r")) == 2, "from the beginning again"


@pytest.mark.parametrize("line", ["AT", "x > AT", r"> \x", "1.1234567 > AT", "> é"])
def test_what_is_no_entry_is_told(tmp_path, line):
    file = tmp_path / "log"
    file.write_text(f"# fine\n{line}\n")
    with pytest.raises(UsageError, match="line 2: is no entry of a transcript"):
        transcript.read(file)


def test_delays_are_played():
    told = [Entry(0, "<", b"RDY"), Entry(0, ">", b"AT\r"), Entry(250_000, "<", b"OK"), Entry(300_000, "<", b"!")]
    player = Player(told)
    assert player.greeting == [(0, b"RDY")]
    assert player.take(b"AT\r") == [(250, b"OK"), (50, b"!")]


@pytest.mark.realtime
def test_a_log_is_replayed_octet_by_octet(tmp_path):
    out = io.StringIO()
    modem = PtyModem(load("quectel-ec200u"), baud=921_600, seed=7, log=out)
    modem.do("skip 15s")
    thread = threading.Thread(target=modem.run)
    thread.start()
    with serial.Serial(modem.path, timeout=5) as port:
        for command in (b"ATE0", b"AT+CCLK?", b"AT+QIACT=1", b'AT+QIOPEN=1,0,"TCP","responder",80'):
            port.write(command + b"\r")
            assert port.read_until(b"OK\r\n").endswith(b"OK\r\n")
        assert port.read_until(b"+QIOPEN: 0,0\r\n").endswith(b"+QIOPEN: 0,0\r\n")
        modem.ask("sim out")
        assert port.read_until(b"NOT INSERTED\r\n").endswith(b"NOT INSERTED\r\n")
    modem.stop()
    thread.join(10)
    modem.close()
    file = tmp_path / "log"
    file.write_text(out.getvalue())
    told = transcript.read(file)
    assert replay.replay(told, load("quectel-ec200u")) is None
    file.write_text(out.getvalue().replace("+QIOPEN: 0,0", "+QIOPEN: 0,566"))
    assert replay.replay(transcript.read(file), load("quectel-ec200u")) == ("+QIOPEN: 0,566", "+QIOPEN: 0,0")


def test_what_has_no_times_is_not_replayed():
    with pytest.raises(ValueError, match="entries without a time"):
        replay.replay(transcript.Transcript({}, [Entry(None, ">", b"AT\r")]), load("quectel-ec200u"))


@pytest.mark.realtime
def test_a_transcript_is_served():
    entries = [Entry(1000, ">", b"ATI\r"), Entry(2000, "<", b"\r\nSIM7600\r\n\r\nOK\r\n")]
    end = LinkedPty(None)
    stopped, stop = os.pipe()
    thread = threading.Thread(target=replay.play, args=(entries, end, stopped))
    thread.start()
    with serial.Serial(end.where, timeout=5) as port:
        port.write(b"ATI\r")
        assert b"SIM7600" in port.read_until(b"OK\r\n")
        port.write(b"AT+CSQ\r")
        assert port.read_until(b"ERROR\r\n") == b"\r\nERROR\r\n"
    os.write(stop, b"\0")
    thread.join(10)
    assert not thread.is_alive()
    end.close()
