"""AT+CRSM and AT+CSIM read the card's files (TS 27.007 8.17, 8.18; TS 102 221)."""

import pytest

from host_tools.sim.modem import SimCard

OK = "\r\n\r\nOK\r\n"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("AT+CRSM=176,12258,0,0,10", '144,0,"98680021436587092143"'),  # EF_ICCID, nibbles swapped
        ("AT+CRSM=176,12258", '144,0,"98680021436587092143"'),
        ("AT+CRSM=176,28589,0,0,4", '144,0,"00000002"'),  # EF_AD: an MNC of two digits
        ("AT+CRSM=176,28589,0,3,1", '144,0,"02"'),
        ("AT+CRSM=176,28423,0,0,9", '144,0,"084906002143658709"'),  # EF_IMSI
        ("AT+CRSM=176,28486,0,0,17", '144,0,"014348494E41204D4F42494C45FFFFFFFF"'),  # EF_SPN
        ("AT+CRSM=178,28480,1,4,28", '144,0,"' + "FF" * 14 + '0891683119325476F8FFFFFFFFFF"'),  # EF_MSISDN
        ("AT+CRSM=178,28480,2,4,28", "106,131"),
        ("AT+CRSM=176,28480,0,0,28", "105,129"),  # a file of records
        ("AT+CRSM=192,28589", '144,0,"620F8202412183026FAD8A010580020004"'),
        ("AT+CRSM=176,12259,0,0,10", "106,130"),
        ("AT+CRSM=176,12258,0,0,11", "103,0"),
        ('AT+CRSM=214,12258,0,0,1,"00"', "105,130"),
        ("AT+CRSM=242", '144,0,"620B8202782183023F008A0105"'),
    ],
)
def test_files(rig, line, answer):
    assert rig.send(line) == f"\r\n+CRSM: {answer}{OK}"


def test_an_imsi_of_fifteen_digits_and_another_operator(make_bench):
    card = SimCard(iccid="8944500102198304826", imsi="234150000000001", msisdn="", operator_id="23415")
    rig = make_bench(card=card)
    assert rig.send("AT+CRSM=176,12258") == f'\r\n+CRSM: 144,0,"984405102091384028F6"{OK}'
    assert rig.send("AT+CRSM=176,28423,0,0,9") == f'\r\n+CRSM: 144,0,"082943510000000010"{OK}'


def test_a_dialogue_with_the_card(rig):
    def apdu(text):
        reply = rig.send(f'AT+CSIM={len(text)},"{text}"')
        assert reply.endswith(OK), reply
        return reply.split('"')[1]

    assert apdu("00A40004023F00").startswith("61")
    assert apdu("00A40004022FE2") == "6111"
    assert apdu("00C0000011") == "620F8202412183022FE28A01058002000A9000"
    assert apdu("00B000000A") == "986800214365870921439000"
    assert apdu("00B000000B") == "6700"
    assert apdu("00A40804047FFF6F07") == "6111"
    assert apdu("00B0000009") == "0849060021436587099000"
    assert apdu("00A4040407A0000000871002")[:2] == "61"
    assert apdu("00B0000001") == "6986", "a directory is not read"
    assert apdu("00A40004026FFF") == "6A82"
    assert apdu("0070000001") == "6881", "no further logical channel"
    assert apdu("0020000100") == "6D00"


@pytest.mark.parametrize("line", ["AT+CRSM=1,1", "AT+CRSM=", 'AT+CSIM=10,"00A4"', 'AT+CSIM=8,"00A4000x"', "AT+CSIM=8"])
def test_wrong_parameters(rig, line):
    assert rig.send(line) == "\r\n+CME ERROR: 50\r\n"


def test_a_card_that_is_out(rig):
    rig.modem.faults.inject({"kind": "sim_out"})
    rig.run(1)
    assert rig.send("AT+CRSM=176,12258") == "\r\n+CME ERROR: 10\r\n"
