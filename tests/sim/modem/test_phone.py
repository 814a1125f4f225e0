"""Phone book, calls, USSD and indicators (TS 27.007 clauses 7 and 8)."""


def test_phone_book(rig):
    assert rig.send("AT+CPBS=?") == '\r\n+CPBS: ("SM","ME","ON")\r\n\r\nOK\r\n'
    assert rig.send("AT+CPBS?") == '\r\n+CPBS: "SM",0,250\r\n\r\nOK\r\n'
    assert rig.send("AT+CPBR=?") == "\r\n+CPBR: (1-250),40,14\r\n\r\nOK\r\n"
    assert rig.send("AT+CPBR=1,250") == "\r\nOK\r\n"
    assert rig.send('AT+CPBW=,"+8613800000000",145,"depot"') == "\r\nOK\r\n"
    assert rig.send('AT+CPBW=7,"10086",129,"service"') == "\r\nOK\r\n"
    first, second = '1,"+8613800000000",145,"depot"', '7,"10086",129,"service"'
    assert rig.send("AT+CPBR=1,10") == f"\r\n+CPBR: {first}\r\n+CPBR: {second}\r\n\r\nOK\r\n"
    assert rig.send('AT+CPBF="SER"') == f"\r\n+CPBF: {second}\r\n\r\nOK\r\n"
    assert rig.send('AT+CPBW=8,"1",129,"a name that is too long"') == "\r\n+CME ERROR: 24\r\n"
    assert rig.send("AT+CPBW=1") == "\r\nOK\r\n"
    assert rig.send("AT+CPBS?") == '\r\n+CPBS: "SM",1,250\r\n\r\nOK\r\n'
    rig.modem.reset()
    rig.run(12)
    assert second in rig.send("AT+CPBR=7"), "it is on the card"


def test_the_own_number(rig):
    assert rig.send('AT+CPBS="ON"') == "\r\nOK\r\n"
    assert rig.send("AT+CPBR=1") == '\r\n+CPBR: 1,"+8613912345678",145,""\r\n\r\nOK\r\n'
    assert rig.send('AT+CPBW=1,"1"') == "\r\n+CME ERROR: 3\r\n"
    assert rig.send('AT+CPBS="XX"') == "\r\n+CME ERROR: 50\r\n"


def test_no_calls_and_no_ussd(rig):
    assert rig.send("AT+CLCC") == "\r\nOK\r\n"
    assert rig.send("AT+CUSD=?") == "\r\n+CUSD: (0-2)\r\n\r\nOK\r\n"
    assert rig.send('AT+CUSD=1,"*100#",15') == "\r\nOK\r\n"
    assert rig.run(3) == "\r\n+CUSD: 4\r\n"
    assert rig.send("AT+CUSD?") == "\r\n+CUSD: 1\r\n\r\nOK\r\n"
    assert rig.send("AT+CUSD=2") == "\r\nOK\r\n"
    rig.modem.faults.inject({"kind": "no_coverage"})
    assert rig.send('AT+CUSD=1,"*100#",15') == "\r\n+CME ERROR: 30\r\n"


def test_indicators(rig):
    levels, switches = ("battchg", "signal"), ("service", "call", "roam", "smsfull")
    known = ",".join([f'("{name}",(0-5))' for name in levels] + [f'("{name}",(0,1))' for name in switches])
    assert rig.send("AT+CIND=?") == f"\r\n+CIND: {known}\r\n\r\nOK\r\n"
    assert rig.send("AT+CIND?") == "\r\n+CIND: 5,3,1,0,0,0\r\n\r\nOK\r\n"
    rig.modem.faults.inject({"kind": "no_coverage"})
    assert rig.send("AT+CIND?") == "\r\n+CIND: 5,0,0,0,0,0\r\n\r\nOK\r\n"
    assert rig.send("AT+CMER=3,0,0,1") == "\r\nOK\r\n"
    assert rig.send("AT+CMER?") == "\r\n+CMER: 3,0,0,1,0\r\n\r\nOK\r\n"
