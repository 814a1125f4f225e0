"""The commands with which drivers in the field bring each family up, in their order: all are taken.

TG: TinyGSM's clients; AD: RT-Thread's at_device; UBX: ubxlib; X78: 78/esp-ml307; EM: esp_modem; or the maker's manual.
The answers themselves are in the tests of each dialect.
"""

import pytest

from host_tools.sim.modem import load
from tests.sim.modem.conftest import ModemRig

ANY = (  # TS 27.007; TG, AD, UBX
    "AT",
    "ATE0",
    "AT+CMEE=1",
    "AT+CPIN?",
    "AT+CGEREP=2,1",
    "AT+CEREG=2",
    "AT+CEREG?",
    'AT+CGDCONT=1,"IP","cmiot"',
    "AT+CGATT?",
)
SLEEP = ('AT+CPSMS=1,,,"00000100","00000001"', 'AT+CEDRXS=2,4,"0101"', "AT+CPSMS=0")  # EM
SEQUENCES = {
    "quectel-ec200u": (  # EC2x TCP/IP; AD ec200x
        'AT+QICSGP=1,1,"cmiot","","",0',
        "AT+QIACT=1",
        "AT+QIACT?",
        'AT+QIDNSGIP=1,"server.example"',
        "AT+QICLOSE=0",
        "AT+QICLOSE=0,0",
        "AT+QIDEACT=1",
        "AT+QSCLK=1",
        "AT+QSCLK=0",
        "AT+QPOWD=1",
    ),
    "ec801e": (  # X78 ec801e
        'AT+QICFG="close/mode",1',
        'AT+QICFG="viewmode",1',
        'AT+QICFG="sendinfo",1',
        'AT+QICFG="dataformat",0,1',
        "AT+QSCLKEX=1,1,30",
        "AT+QICLOSE=0",
        'AT+QICSGP=1,1,"cmiot"',
        "AT+QIACT=1",
    ),
    "bg95-m3": (  # BG95 AT; TG BG96; EM
        'AT+QCFG="nwscanmode",3,1',
        'AT+QCFG="iotopmode",0,1',
        *SLEEP,
        'AT+QICSGP=1,1,"cmiot"',
        "AT+QIACT=1",
        "AT+QLTS=1",
        "AT+QLTS=2",
        "AT+QPOWD",
    ),
    "sim7600e": (  # AD sim76xx; TG SIM7600
        "AT+CIPMODE=0",
        "AT+CIPSENDMODE=0",
        "AT+CIPCCFG=10,0,0,0,1,0,75000",
        "AT+CIPTIMEOUT=75000,15000,15000",
        "AT+NETOPEN",
        "AT+IPADDR",
        'AT+CDNSGIP="server.example"',
        "AT+NETCLOSE",
        "AT+CSCLK=1",
        "AT+CSCLK=0",
        "AT+CPOF",
    ),
    "a7670e": (  # TG A7672X; AD a9g, air720
        "AT+CGACT=1,1",
        "AT+CGATT=1",
        "AT+CIPRXGET=1",
        "AT+CGPADDR=1",
        "AT+NETOPEN",
        "AT+CTCPKA=0,2,5,1",
        "AT+CSCLK=1",
        "AT+CSCLK=0",
        "AT+NETCLOSE",
        "AT+CPOF",
    ),
    "sim7080g": (  # TG SIM7080
        "AT+CGATT=1",
        "AT+CGNAPN",
        'AT+CNCFG=0,1,"cmiot","","",3',
        "AT+CNACT=0,1",
        "AT+CNACT?",
        "AT+CACID=0",
        "AT+CNII=0",
        *SLEEP,
        "AT+CREBOOT",
    ),
    "sim7000g": (  # SIM7000 8.2; TG SIM7000
        'AT+SAPBR=3,1,"APN","cmiot"',
        "AT+CIPSHUT",
        "AT+CIPMUX=1",
        "AT+CIPQSEND=1",
        "AT+CIPRXGET=1",
        'AT+CSTT="cmiot"',
        "AT+CIICR",
        "AT+CIFSR;E0",
        "AT+CIPSHUT",
        "AT+CPOWD=1",
    ),
    "air780e": (  # AD air720; lpac 397
        "AT+ECSIMSLEEP=0",
        "AT+CIPMUX=1",
        'AT+CSTT="",""',
        "AT+CIICR",
        "AT+CIFSR;E0",
        "AT+CIPSHUT",
    ),
    "ml307r": (  # X78; AD ml307; OneMO TCP/IP 3.2, 3.16, 3.17, 3.8
        "AT+MIPCALL?",
        "AT+MIPCALL=1,1",
        "AT+CGPADDR=1",
        'AT+MDNSCFG="priority",0',
        'AT+MDNSGIP="server.example"',
        "AT+MIPSTATE?",
        "AT+MIPTKA=0,0",
        'AT+MIPCFG="encoding",0,1,1',
        'AT+MIPCFG="autofree",0,1',
        'AT+MIPCFG="ackmode",0,1',
        'AT+MLPMCFG="sleepmode",2,0',
        "AT+MREBOOT=0",
    ),
    "sara-r5": (  # UBX cell, SARA-R5
        "AT+CFUN=4",
        "AT+UMNOPROF=90",
        "AT+CFUN=1",
        ("wait", 20),
        "AT+CGACT=1,1",
        "AT+UPSD=0,100,1",
        "AT+UPSD=0,0,0",
        "AT+UPSDA=0,3",
        "AT+UGCNTRD",
        "AT+UGCNTSET=1,0,0",
        'AT+UDNSRN=0,"server.example"',
        "AT+CFUN=16",
    ),
    "gm02s": (  # Sequans AT; Walter's library
        "AT+SQNSCFG=1,1,300,0,600,50",
        "AT+SQNSCFGEXT=1,1,0,0,0,0",
        'AT+SQNEDRX=2,4,"0101","0011"',
        "AT+CGACT=1,1",
        'AT+SQNDNSLKUP="server.example",0',
        "AT+SQNSSHDN",
    ),
}


@pytest.mark.parametrize("name", SEQUENCES)
def test_bring_up(name):
    rig = ModemRig(profile=load(name), boot=False)
    rig.modem.power(True)
    rig.run(45)
    for command in (*ANY, *SEQUENCES[name]):
        if isinstance(command, tuple):
            rig.run(command[1])
        else:
            answer = rig.send(command)
            assert answer.rstrip().rsplit("\r\n", 1)[-1] in ("OK", "SHUT OK", "NORMAL POWER DOWN"), (command, answer)


def test_an_open_network_says_that_it_is():
    """AD sim76xx: that error is a success."""
    rig = ModemRig(profile=load("sim7600e"), boot=False)
    rig.modem.power(True)
    rig.run(45)
    rig.send("AT+NETOPEN")
    rig.run(2)
    assert rig.send("AT+NETOPEN").endswith("+IP ERROR: Network is already opened\r\n\r\nERROR\r\n")


def test_a_function_restarts_a_modem_of_u_blox():
    rig = ModemRig(profile=load("sara-r5"), boot=False)
    rig.modem.power(True)
    rig.run(45)
    rig.send("AT+CMEE=2")
    assert rig.send("AT+CFUN=16").endswith("OK\r\n")
    rig.run(30)
    assert "+CMEE: 1" in rig.send("AT+CMEE?"), "what was not stored is the factory's again"
    assert "ERROR" in rig.send("AT+CFUN=15")
