"""Registration, signal and operator."""

import pytest

from .conftest import IMSI


def test_registration_is_reported_by_level(make_bench):
    bench = make_bench()
    for level, text in ((1, "1"), (2, '1,"25F8","06B7C50A",7'), (3, '1,"25F8","06B7C50A",7')):
        bench.send(f"AT+CEREG={level}")
        assert bench.send("AT+CFUN=4").startswith("\r\n+CEREG: 0\r\n")
        assert bench.send("AT+CFUN=1") + bench.run(10) == (
            f"\r\n+CEREG: 2\r\n\r\nOK\r\n\r\n+CEREG: {text}\r\n"
        )
        assert bench.send("AT+CEREG?") == f"\r\n+CEREG: {level},{text}\r\n\r\nOK\r\n"


def test_refused_registration_tells_its_cause_and_recovers(bench):
    bench.send("AT+CEREG=3")
    bench.carrier.refuse(IMSI, 11)
    bench.send("AT+CFUN=4")
    bench.send("AT+CFUN=1")
    assert "\r\n+CEREG: 3,,,,0,11\r\n" in bench.run(10)
    assert bench.send("AT+CEER") == "\r\n+CEER: PLMN not allowed\r\n\r\nOK\r\n"
    bench.carrier.refuse(IMSI, 0)
    assert "\r\n+CEREG: 1," in bench.run(61)


def test_network_that_throws_the_device_out(bench):
    bench.online()
    bench.send("AT+CEREG=1")
    bench.carrier.refuse(IMSI, 8)
    said = bench.run(10)
    assert '\r\n+QIURC: "pdpdeact",1\r\n' in said
    assert said.endswith("\r\n+CEREG: 3\r\n")


def test_stuck_registration(bench):
    bench.modem.faults.inject({"kind": "stuck_registration"})
    bench.send("AT+CFUN=4")
    bench.send("AT+CFUN=1")
    bench.run(600)
    assert bench.send("AT+CEREG?") == "\r\n+CEREG: 0,2\r\n\r\nOK\r\n"
    bench.modem.faults.inject({"kind": "stuck_registration", "on": False})
    bench.send("AT+CFUN=4")
    bench.send("AT+CFUN=1")
    bench.run(10)
    assert bench.send("AT+CEREG?") == "\r\n+CEREG: 0,1\r\n\r\nOK\r\n"


@pytest.mark.parametrize(
    ("rsrp", "csq", "cesq"), [(-92, 24, 48), (-140, 0, 0), (-44, 31, 96), (-110, 15, 30)]
)
def test_signal(bench, rsrp, csq, cesq):
    bench.modem.faults.inject({"kind": "signal", "rsrp_dbm": rsrp})
    assert bench.send("AT+CSQ") == f"\r\n+CSQ: {csq},99\r\n\r\nOK\r\n"
    assert bench.send("AT+CESQ") == f"\r\n+CESQ: 99,99,255,255,22,{cesq}\r\n\r\nOK\r\n"


def test_no_coverage(bench):
    bench.send("AT+CEREG=1")
    bench.modem.faults.inject({"kind": "no_coverage", "ms": 60_000})
    assert bench.run(1) == "\r\n+CEREG: 2\r\n"
    assert bench.send("AT+CSQ") == "\r\n+CSQ: 99,99\r\n\r\nOK\r\n"
    assert bench.send("AT+QNWINFO") == "\r\n+QNWINFO: No Service\r\n\r\nOK\r\n"
    assert bench.send("AT+COPS?") == "\r\n+COPS: 0\r\n\r\nOK\r\n"
    assert bench.run(70) == "\r\n+CEREG: 1\r\n"


def test_operator_formats_and_manual_selection(bench):
    for layout, name in ((0, "CHINA MOBILE"), (1, "CMCC"), (2, "46000")):
        bench.send(f"AT+COPS=3,{layout}")
        assert bench.send("AT+COPS?") == f'\r\n+COPS: 0,{layout},"{name}",7\r\n\r\nOK\r\n'
    assert bench.send("AT+COPS=2") == "\r\nOK\r\n"
    assert bench.send("AT+CEREG?") == "\r\n+CEREG: 0,0\r\n\r\nOK\r\n"
    assert bench.send('AT+COPS=1,2,"46001"') == "\r\n+CME ERROR: 30\r\n"
    assert bench.send("AT+COPS=0") == "\r\nOK\r\n"
    assert bench.send("AT+CEREG?") == "\r\n+CEREG: 0,1\r\n\r\nOK\r\n"


def test_detach_and_attach(bench):
    bench.online()
    bench.send("AT+CGEREP=2,1")
    assert "+CGEV: ME DETACH" in bench.send("AT+CGATT=0") + bench.run(1)
    assert bench.send("AT+CGATT?") == "\r\n+CGATT: 0\r\n\r\nOK\r\n"
    assert bench.send("AT+CGATT=1") == "\r\nOK\r\n"
    assert bench.send("AT+CGATT?") == "\r\n+CGATT: 1\r\n\r\nOK\r\n"


def test_network_time(make_bench):
    bench = make_bench(boot=False)
    bench.modem.power(True)
    bench.run(2.3)
    bench.send("ATE0+CTZR=1")
    assert bench.send("AT+CCLK?").startswith('\r\n+CCLK: "80/01/06,00:00:0')
    assert bench.send("AT+QLTS=1") == '\r\n+QLTS: ""\r\n\r\nOK\r\n'
    assert "+CTZV: +32" in bench.run(10)
    now = bench.clock.utc()
    assert bench.send("AT+CCLK?") == f'\r\n+CCLK: "{now:%y/%m/%d,%H:%M:%S}+32"\r\n\r\nOK\r\n'
    assert bench.send("AT+QLTS=1") == f'\r\n+QLTS: "{now:%Y/%m/%d,%H:%M:%S}+32,0"\r\n\r\nOK\r\n'
    bench.modem.faults.inject({"kind": "network_time", "error_s": 400 * 86_400})
    assert bench.run(1) == "\r\n+CTZV: +32\r\n"
    assert bench.send("AT+CCLK?").startswith('\r\n+CCLK: "26/04/08')
    bench.modem.faults.inject({"kind": "network_time", "error_s": 0})
    bench.send("AT+CTZU=3")
    bench.modem.radio.tell_time()
    bench.run(1)
    assert bench.send("AT+CCLK?").startswith('\r\n+CCLK: "25/03/04,13:06:')  # 05:06 UTC, UTC+8
    assert bench.send('AT+CCLK="25/12/31,23:59:59+04"') == "\r\nOK\r\n"
    bench.run(2)
    assert bench.send("AT+CCLK?").startswith('\r\n+CCLK: "26/01/01,00:00:0')
    assert bench.send('AT+CCLK="25/13/31,23:59:59+04"').startswith("\r\n+CME")
