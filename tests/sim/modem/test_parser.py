import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.sim.modem.parser import EXEC, READ, TEST, WRITE, parse


@pytest.mark.parametrize(
    ("body", "commands"),
    [
        ("", []),
        ("+CSQ", [("+CSQ", EXEC, ())]),
        ("+csq", [("+CSQ", EXEC, ())]),
        ("+CREG?", [("+CREG", READ, ())]),
        ("+CREG=?", [("+CREG", TEST, ())]),
        ("+CREG=2", [("+CREG", WRITE, ("2",))]),
        ("+CSQ;+CREG?", [("+CSQ", EXEC, ()), ("+CREG", READ, ())]),  # V.250 5.4.5
        ("E0V1", [("E", EXEC, ("0",)), ("V", EXEC, ("1",))]),
        ("E0+CMEE=2;+CSQ", [("E", EXEC, ("0",)), ("+CMEE", WRITE, ("2",)), ("+CSQ", EXEC, ())]),
        ("E Q1", [("E", EXEC, ("",)), ("Q", EXEC, ("1",))]),
        ("&F&D2", [("&F", EXEC, ("",)), ("&D", EXEC, ("2",))]),
        ("S3?S4=10", [("S3", READ, ()), ("S4", WRITE, ("10",))]),
        ("D*99***1#", [("D", EXEC, ("*99***1#",))]),
        ('+QIOPEN=1,0,"TCP","a;b,c",80,,1', [("+QIOPEN", WRITE, ("1", "0", "TCP", "a;b,c", "80", "", "1"))]),
        ('+QICFG="recvind"', [("+QICFG", WRITE, ("recvind",))]),
        ('+X="open', [("+X", WRITE, ('"open',))]),
        ("+", [("", EXEC, ())]),
        ("+CSQ!?x", [("", EXEC, ())]),
        ("é", [("", EXEC, ())]),
        ("1", [("", EXEC, ())]),
    ],
)
def test_lines(body: str, commands: list[tuple[str, int, tuple[str, ...]]]) -> None:
    assert [command[:3] for command in parse(body)] == commands


@given(st.text(st.characters(max_codepoint=255), max_size=60))
def test_any_text_gives_commands(body: str) -> None:
    for command in parse(body):
        assert command.text in body
        assert command.name == command.name.upper()
