"""The serial interface and the execution of commands (ITU-T V.250), power and boot."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host_tools.sim.modem.device import OFF, ON

from .conftest import Bench


def test_boot_says_what_a_quectel_says(make_bench):
    bench = make_bench(boot=False)
    bench.modem.power(True)
    assert bench.run(2.1) == ""
    bench.write(b"AT\r")
    assert bench.run(0.05) == "", "deaf before the UART is ready"
    lines = bench.run(10).split("\r\n")
    assert [line for line in lines if line] == [
        "RDY", "+CFUN: 1", "+CPIN: READY", "+QIND: SMS DONE", "+QIND: PB DONE",
    ]  # fmt: skip
    assert bench.send("AT") == "AT\r\r\nOK\r\n"


def test_power_key_where_the_board_needs_it(make_bench):
    bench = make_bench(boot=False)
    profile = msgspec.structs.replace(
        bench.profile, power=msgspec.structs.replace(bench.profile.power, start="key")
    )
    bench = make_bench(boot=False, profile=profile)
    bench.modem.power(True)
    assert bench.run(10) == ""
    bench.modem.power_key()
    assert "RDY" in bench.run(10)
    bench.modem.power_key()
    assert "POWERED DOWN" in bench.run(10)
    assert bench.modem.state == OFF


def test_power_down_and_reboot_on_command(bench):
    assert bench.send("AT+QPOWD=1") == "\r\nOK\r\n"
    assert bench.run(5) == "\r\nPOWERED DOWN\r\n"
    bench.write(b"AT\r")
    assert bench.run(5) == ""
    bench.modem.power(False)
    bench.modem.power(True)
    bench.run(10)
    assert bench.send("AT+CFUN=1,1").endswith("OK\r\n")
    assert "RDY" in bench.run(10)
    assert bench.send("AT") == "AT\r\r\nOK\r\n", "echo is back after a reboot"


def test_stored_profile_outlives_the_supply(bench):
    bench.send("ATE0&W")
    bench.modem.power(False)
    bench.modem.power(True)
    bench.run(10)
    assert bench.send("AT") == "\r\nOK\r\n"
    assert bench.send("AT&F") == "\r\nOK\r\n"
    assert bench.send("ATZ") == "ATZ\r\r\nOK\r\n"
    assert bench.send("AT") == "\r\nOK\r\n", "AT&F leaves what is stored"


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
        ("ATD*99#", "\r\nNO CARRIER\r\n"),
        ("AT+CGSN=1", '\r\n+CGSN: "866425040123458"\r\n\r\nOK\r\n'),
    ],
)
def test_lines(bench, line, reply):
    assert bench.send(line) == reply


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
def test_errors_by_level(bench, level, unknown, parameter, sms):
    bench.send(f"AT+CMEE={level}")
    assert bench.send("AT+NOSUCH=1") == f"\r\n{unknown}\r\n"
    assert bench.send("AT+CGSN?") == f"\r\n{unknown}\r\n", "a form that the command does not have"
    assert bench.send("AT+CFUN=9") == f"\r\n{parameter}\r\n"
    assert bench.send("AT+CMGR=3") == f"\r\n{sms}\r\n"


def test_repeat_needs_no_terminator(bench):
    bench.send("AT+CGMM")
    bench.write(b"A/")
    assert bench.run(1) == "\r\nEC200U\r\n\r\nOK\r\n"


def test_result_formats(bench):
    assert bench.send("ATV0") == "0\r"
    bench.write(b"AT+CGMM;+NO\r")
    assert bench.run(1) == "EC200U\r\n+CME ERROR: 58\r"
    bench.write(b"ATV1Q1\r")
    assert bench.run(1) == ""
    bench.write(b"AT+CGMM\r")
    assert bench.run(1) == "\r\nEC200U\r\n", "Q1 suppresses results, not information"


def test_terminator_characters(bench):
    bench.write(b"ATS3=33;S4=35\r")  # "!" and "#"
    assert bench.run(1) == "!#OK!#"
    bench.write(b"AT+CGMM!")
    assert bench.run(1) == "!#EC200U!#!#OK!#"


def test_commands_wait_for_each_other(bench):
    bench.write(b"AT+CFUN=4\rAT+CFUN?\r")
    assert bench.run(2).endswith("\r\nOK\r\n\r\n+CFUN: 4\r\n\r\nOK\r\n")


def test_overlong_line_is_refused(bench):
    assert bench.send("AT+CGMM=" + "x" * 10_000) == "\r\n+CME ERROR: 58\r\n"
    assert bench.send("AT") == "\r\nOK\r\n"


def test_rate_change(bench):
    assert bench.send("AT+IPR=460800") == "\r\nOK\r\n"
    bench.run(1)
    bench.write(b"AT\r")
    assert bench.run(1) == "", "octets at the old rate are framing errors"
    bench.line.set_baud(460_800)
    assert bench.send("AT") == "\r\nOK\r\n"
    assert bench.send("AT+IPR?") == "\r\n+IPR: 460800\r\n\r\nOK\r\n"
    assert bench.send("AT+IPR=1234").startswith("\r\n+CME")


def test_responses_take_their_time(bench):
    start = bench.clock.now_us
    bench.send("AT+COPS=?")
    assert bench.clock.now_us - start > 15_000_000
    start = bench.clock.now_us
    bench.send("AT+CGMI")
    assert 5_000 < bench.clock.now_us - start < 20_000


def test_every_declared_command_answers_its_test_form(bench):
    bench.send("AT+CMEE=1")
    for name in bench.modem.table:
        if name[0] == "+" and bench.modem.table[name].forms[2] is not None:
            assert bench.send(f"AT{name}=?").endswith("\r\nOK\r\n"), name


def test_every_command_names_its_manual(bench):
    assert [name for name, entry in bench.modem.table.items() if not entry.manual] == []


_names = sorted(Bench().modem.table)
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
    bench = Bench()
    if online:
        bench.online()
        bench.open()
    for piece in pieces:
        bench.write(piece)
        bench.run(0.3)
    bench.run(200)
    bench.modem.power(False)
    bench.modem.power(True)
    bench.line.set_baud(bench.modem.baud)
    bench.run(10)
    assert bench.modem.state == ON
    bench.send("AT&F")
    assert bench.send("ATV1Q0E0").endswith("OK\r\n")
