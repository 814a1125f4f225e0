"""The serial interface and the execution of commands (ITU-T V.250), power and boot."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.sim.modem.device import OFF, ON

from .conftest import ModemRig


def test_boot_says_what_a_quectel_says(make_bench):
    rig = make_bench(boot=False)
    rig.modem.power(True)
    assert rig.run(2.1) == ""
    rig.write(b"AT\r")
    assert rig.run(0.05) == "", "deaf before the UART is ready"
    lines = rig.run(10).split("\r\n")
    assert [line for line in lines if line] == [
        "RDY", "+CFUN: 1", "+CPIN: READY", "+QIND: SMS DONE", "+QIND: PB DONE",
    ]  # fmt: skip
    assert rig.send("AT") == "AT\r\r\nOK\r\n"


def test_power_key_where_the_board_needs_it(make_bench):
    rig = make_bench(boot=False)
    profile = msgspec.structs.replace(
        rig.profile, power=msgspec.structs.replace(rig.profile.power, start="key")
    )
    rig = make_bench(boot=False, profile=profile)
    rig.modem.power(True)
    assert rig.run(10) == ""
    rig.modem.power_key()
    assert "RDY" in rig.run(10)
    rig.modem.power_key()
    assert "POWERED DOWN" in rig.run(10)
    assert rig.modem.state == OFF


def test_power_down_and_reboot_on_command(rig):
    assert rig.send("AT+QPOWD=1") == "\r\nOK\r\n"
    assert rig.run(5) == "\r\nPOWERED DOWN\r\n"
    rig.write(b"AT\r")
    assert rig.run(5) == ""
    rig.modem.power(False)
    rig.modem.power(True)
    rig.run(10)
    assert rig.send("AT+CFUN=1,1").endswith("OK\r\n")
    assert "RDY" in rig.run(10)
    assert rig.send("AT") == "AT\r\r\nOK\r\n", "echo is back after a reboot"


def test_stored_profile_outlives_the_supply(rig):
    rig.send("ATE0&W")
    rig.modem.power(False)
    rig.modem.power(True)
    rig.run(10)
    assert rig.send("AT") == "\r\nOK\r\n"
    assert rig.send("AT&F") == "\r\nOK\r\n"
    assert rig.send("ATZ") == "ATZ\r\r\nOK\r\n"
    assert rig.send("AT") == "\r\nOK\r\n", "AT&F leaves what is stored"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("AT", "\r\nOK\r\n"),
        ("at+cgmm", "\r\nEC200U\r\n\r\nOK\r\n"),
        ("noise AT", "\r\nOK\r\n"),
        ("\nAT", "\r\nOK\r\n"),
        ("AX\x08T", "\r\nOK\r\n"),
        ("AT+CFUN?;+CGMI", "\r\n+CFUN: 1\r\n\r\nQuectel\r\n\r\nOK\r\n"),
        ("AT+CGMI;+NO;+CGMM", "\r\nQuectel\r\n\r\n+CME ERROR: 58\r\n"),
        ("AT+CMEE=7", "\r\n+CME ERROR: 50\r\n"),
        ("AT+CMEE=1,1", "\r\n+CME ERROR: 50\r\n"),
        ("ATS3?", "\r\n013\r\n\r\nOK\r\n"),
        ("ATD10086;", "\r\nNO CARRIER\r\n"),
        ("AT+CGSN=1", '\r\n+CGSN: "866425040123458"\r\n\r\nOK\r\n'),
    ],
)
def test_lines(rig, line, reply):
    assert rig.send(line) == reply


@pytest.mark.parametrize(
    ("level", "unknown", "parameter", "sms"),
    [
        (0, "ERROR", "ERROR", "+CMS ERROR: 321"),
        (1, "+CME ERROR: 58", "+CME ERROR: 50", "+CMS ERROR: 321"),
        (
            2,
            "+CME ERROR: invalid command line",
            "+CME ERROR: incorrect parameters",
            "+CMS ERROR: invalid memory index",
        ),
    ],
)
def test_errors_by_level(rig, level, unknown, parameter, sms):
    rig.send(f"AT+CMEE={level}")
    assert rig.send("AT+NOSUCH=1") == f"\r\n{unknown}\r\n"
    assert rig.send("AT+CGSN?") == f"\r\n{unknown}\r\n", "a form that the command does not have"
    assert rig.send("AT+CFUN=9") == f"\r\n{parameter}\r\n"
    assert rig.send("AT+CMGR=3") == f"\r\n{sms}\r\n"


def test_repeat_needs_no_terminator(rig):
    rig.send("AT+CGMM")
    rig.write(b"A/")
    assert rig.run(1) == "\r\nEC200U\r\n\r\nOK\r\n"


def test_result_formats(rig):
    assert rig.send("ATV0") == "0\r"
    rig.write(b"AT+CGMM;+NO\r")
    assert rig.run(1) == "EC200U\r\n+CME ERROR: 58\r"
    rig.write(b"ATV1Q1\r")
    assert rig.run(1) == ""
    rig.write(b"AT+CGMM\r")
    assert rig.run(1) == "\r\nEC200U\r\n", "Q1 suppresses results, not information"


def test_terminator_characters(rig):
    rig.write(b"ATS3=33;S4=35\r")  # "!" and "#"
    assert rig.run(1) == "!#OK!#"
    rig.write(b"AT+CGMM!")
    assert rig.run(1) == "!#EC200U!#!#OK!#"


def test_commands_wait_for_each_other(rig):
    rig.write(b"AT+CFUN=4\rAT+CFUN?\r")
    assert rig.run(2).endswith("\r\nOK\r\n\r\n+CFUN: 4\r\n\r\nOK\r\n")


def test_overlong_line_is_refused(rig):
    assert rig.send("AT+CGMM=" + "x" * 10_000) == "\r\n+CME ERROR: 58\r\n"
    assert rig.send("AT") == "\r\nOK\r\n"


def test_rate_change(rig):
    assert rig.send("AT+IPR=460800") == "\r\nOK\r\n"
    rig.run(1)
    rig.write(b"AT\r")
    assert rig.run(1) == "", "octets at the old rate are framing errors"
    rig.line.set_baud(460_800)
    assert rig.send("AT") == "\r\nOK\r\n"
    assert rig.send("AT+IPR?") == "\r\n+IPR: 460800\r\n\r\nOK\r\n"
    assert rig.send("AT+IPR=1234").startswith("\r\n+CME")


def test_responses_take_their_time(rig):
    start = rig.clock.now_us
    rig.send("AT+COPS=?")
    assert rig.clock.now_us - start > 15_000_000
    start = rig.clock.now_us
    rig.send("AT+CGMI")
    assert 5_000 < rig.clock.now_us - start < 20_000


def test_every_declared_command_answers_its_test_form(rig):
    rig.send("AT+CMEE=1")
    for name in rig.modem.port.table:
        if name[0] == "+" and rig.modem.port.table[name].forms[2] is not None:
            assert rig.send(f"AT{name}=?").endswith("\r\nOK\r\n"), name


def test_every_command_names_its_manual(rig):
    assert [name for name, entry in rig.modem.port.table.items() if not entry.manual] == []


_names = sorted(ModemRig().modem.port.table)
_ARGS = ["0", "1", "2", "7", "", '"', '"SM"', '"ALL"', "1460", "-1", "99999999999", "é"]
_octets = st.one_of(
    st.binary(max_size=80),
    st.builds(
        lambda name, form, args: f"AT{name}{form}{args}\r".encode("latin-1"),
        st.sampled_from(_names),
        st.sampled_from(("", "?", "=?", "=")),
        st.lists(st.sampled_from(_ARGS)).map(",".join),
    ),
    st.sampled_from([b"\x1a", b"\x1b", b"+++", b"A/", b"\r", b"hello\x1a"]),
)  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(_octets, min_size=1, max_size=12), st.booleans())
def test_any_octets_leave_a_modem_that_lives(pieces, online):
    rig = ModemRig()
    if online:
        rig.online()
        rig.open()
    for piece in pieces:
        rig.write(piece)
        rig.run(0.3)
    rig.run(200)
    rig.modem.power(False)
    rig.modem.power(True)
    rig.line.set_baud(rig.modem.port.baud)
    rig.run(10)
    assert rig.modem.state == ON
    rig.send("AT&F")
    assert rig.send("ATV1Q0E0").endswith("OK\r\n")
