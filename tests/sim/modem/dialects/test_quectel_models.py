"""What the other models of the family do differently."""

import pytest

from host_tools.sim.modem import load

OK = "\r\n\r\nOK\r\n"


@pytest.fixture
def bg95(make_bench):
    rig = make_bench(profile=load("bg95-m3"))
    rig.run(5)
    return rig


@pytest.fixture
def ec801e(make_bench):
    return make_bench(profile=load("ec801e"))


def test_bg95_boots(make_bench):
    rig = make_bench(profile=load("bg95-m3"), boot=False)
    rig.modem.power(True)
    assert rig.run(20) == "\r\nAPP RDY\r\n\r\n+CPIN: READY\r\n\r\n+QIND: SMS DONE\r\n"


def test_bg95_and_the_radio(bg95):
    """help.1nce.com, "BG95 M3 network registration": two commas before the modes. BG770A: +CEREG: (0-2,4)."""
    assert bg95.send("AT+CEREG=?") == f"\r\n+CEREG: (0-2,4){OK}"
    assert bg95.send("AT+CEREG=3") == "\r\n+CME ERROR: 50\r\n"
    bg95.send("AT+CEREG=2")
    assert bg95.send("AT+CEREG?") == f'\r\n+CEREG: 2,1,"25F8","06B7C50A",8{OK}'
    assert bg95.send("AT+COPS?") == f'\r\n+COPS: 0,0,"CHINA MOBILE",8{OK}'
    assert bg95.send("AT+COPS=?").endswith(f",,(0-4),(0-2){OK}")
    assert bg95.send("AT+QNWINFO") == f'\r\n+QNWINFO: "eMTC","46000","LTE BAND 3",1300{OK}'
    assert '"eMTC",' in bg95.send("AT+QCSQ")
    assert '"eMTC","FDD"' in bg95.send('AT+QENG="servingcell"')


def test_bg95_takes_another_apn_at_any_time(bg95):
    bg95.online()
    assert bg95.send('AT+CGDCONT=1,"IP","two"') == "\r\nOK\r\n"


def test_a_dialogue_with_an_ec801e(ec801e):
    """What github.com/78/esp-ml307 sends and expects: payload in hex on the URC's line, +QISEND: for SEND OK."""
    ec801e.online()
    assert ec801e.send('AT+QURCCFG="urcport","uart1"') == "\r\nOK\r\n"
    line = 'AT+QICFG="close/mode",1;+QICFG="viewmode",1;+QICFG="sendinfo",1;+QICFG="dataformat",0,1'
    assert ec801e.send(line) == "\r\nOK\r\n"
    assert ec801e.send("AT+QISTATE=1,0") == "\r\nOK\r\n"
    assert ec801e.send('AT+QIOPEN=1,0,"TCP","server.example",80,0,1') == "\r\nOK\r\n"
    assert ec801e.run(2) == "\r\n+QIOPEN: 0,0\r\n"
    assert ec801e.send("AT+QISEND=0,8") == "\r\n> "
    said = ec801e.payload(b"UG\0\x08\0\0\0\x03") + ec801e.run(1)
    assert said == '\r\nOK\r\n\r\n+QISEND: 0,0,10232\r\n\r\n+QIURC: "recv",0,3,000102\r\n'
    assert ec801e.send("AT+QICLOSE=0") == "\r\nOK\r\n"
    assert ec801e.run(1) == '\r\n+QIURC: "closed",0\r\n'
    assert ec801e.send("AT+QSCLKEX=1,10,30") == "\r\nOK\r\n"
    assert ec801e.send("AT+QSCLK=1") == "\r\nOK\r\n"


def test_the_counter_of_an_ec801e_begins_at_zero(ec801e):
    ec801e.online()
    ec801e.open()
    assert ec801e.modem.data.counter.octets[0]
    ec801e.send("AT+QGDCNT=1")
    ec801e.modem.reset()
    ec801e.run(12)
    assert ec801e.modem.data.counter.octets == [0, 0]
