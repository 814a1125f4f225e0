"""PDP contexts and the data-volume counter."""

import struct

import msgspec
import pytest

from host_tools.sim.modem import load

from .conftest import IMSI

REQUEST = struct.pack(">2sHI", b"UG", 100, 300).ljust(100, b"x")


def counter(bench):
    reply = bench.send("AT+QGDCNT?")
    return tuple(int(n) for n in reply.split(": ")[1].split("\r")[0].split(","))


def exchange(bench):
    assert "+QIOPEN: 0,0" in bench.open()
    assert bench.exchange(0, REQUEST) == "\r\nSEND OK\r\n"
    bench.run(1)
    assert bench.send("AT+QIRD=0").startswith("\r\n+QIRD: 300\r\n")
    bench.send("AT+QICLOSE=0")
    bench.run(1)


def test_context_comes_and_goes(bench):
    bench.send("AT+CGEREP=2,1")
    assert bench.send('AT+CGDCONT=1,"IP","cmiot"') == "\r\nOK\r\n"
    assert bench.send("AT+CGDCONT?") == '\r\n+CGDCONT: 1,"IP","cmiot","0.0.0.0",0,0\r\n\r\nOK\r\n'
    assert "+CGEV: ME PDN ACT 1" in bench.send("AT+CGACT=1,1")
    assert bench.send("AT+CGACT?") == "\r\n+CGACT: 1,1\r\n\r\nOK\r\n"
    assert bench.send("AT+CGPADDR=1") == '\r\n+CGPADDR: 1,"10.0.0.1"\r\n\r\nOK\r\n'
    assert bench.send("AT+QIACT?") == '\r\n+QIACT: 1,1,1,"10.0.0.1"\r\n\r\nOK\r\n'
    assert bench.send("AT+QICSGP=1") == '\r\n+QICSGP: 1,"cmiot","","",0\r\n\r\nOK\r\n'
    assert "198.51.100.53" in bench.send("AT+CGCONTRDP=1")
    assert "+CGEV: ME PDN DEACT 1" in bench.send("AT+CGACT=0,1")
    assert bench.send("AT+QIACT?") == "\r\nOK\r\n"
    assert "+QIACTEX: 1,0" in bench.send("AT+QIACTEX=1") + bench.run(1)
    assert "+QIDEACTEX: 1,0" in bench.send("AT+QIDEACTEX=1") + bench.run(1)


def test_definitions_outlive_the_supply(bench):
    bench.send('AT+CGDCONT=1,"IPV4V6","cmiot"')
    bench.modem.power(False)
    bench.modem.power(True)
    bench.run(10)
    assert '1,"IPV4V6","cmiot"' in bench.send("AT+CGDCONT?")


@pytest.mark.parametrize("cause_cme", [(33, 133), (8, 177)])
def test_stopped_sim_is_refused(make_bench, cause_cme):
    cause, cme = cause_cme
    bench = make_bench()
    bench.carrier.enforcement = type(bench.carrier.enforcement)(stop_cause=cause)
    bench.carrier.stop(IMSI)
    assert bench.send("AT+CEREG?") == "\r\n+CEREG: 0,1\r\n\r\nOK\r\n", "a data stop leaves the registration"
    assert bench.send("AT+CGACT=1,1") == f"\r\n+CME ERROR: {cme}\r\n"
    assert bench.send("AT+QIACT=1") == "\r\nERROR\r\n"
    assert bench.send("AT+QIGETERROR") == "\r\n+QIGETERROR: 561,open PDP context failed\r\n\r\nOK\r\n"
    assert "No cause" not in bench.send("AT+CEER")
    bench.carrier.resume(IMSI)
    assert bench.send("AT+QIACT=1") == "\r\nOK\r\n"


def test_network_deactivates(bench):
    bench.online()
    bench.send("AT+CGEREP=2,1")
    bench.open()
    bench.carrier.stop(IMSI)
    said = bench.run(1)
    assert "+CGEV: NW PDN DEACT 1" in said
    assert '+QIURC: "pdpdeact",1' in said
    for line in ('AT+QIOPEN=1,1,"TCP","1.1.1.1",80', "AT+QIACT=1"):
        assert bench.send(line) == "\r\nERROR\r\n"
        assert "570" in bench.send("AT+QIGETERROR")
    assert bench.send("AT+QIDEACT=1") == "\r\nOK\r\n"
    assert bench.send("AT+QISTATE?") == "\r\nOK\r\n", "the sockets went with the context"
    bench.carrier.resume(IMSI)
    assert bench.send("AT+QIACT=1").endswith("\r\nOK\r\n")


def test_stop_during_a_coverage_gap_is_learnt_afterwards(bench):
    bench.online()
    bench.modem.radio.cover(False)
    bench.carrier.stop(IMSI)
    assert "pdpdeact" not in bench.run(10)
    bench.modem.radio.cover(True)
    assert '+QIURC: "pdpdeact",1' in bench.run(10)


def test_counter_is_what_the_carrier_counts(bench):
    bench.online()
    for _ in range(3):
        exchange(bench)
    assert sum(counter(bench)) == bench.carrier.figures(IMSI)["ip_octets"]
    sent, received = counter(bench)
    # 3 x: DNS 28+32 up; SYN 44, ACK 40, request 140, ACK of the reply 40, FIN 40, ACK 40
    assert sent == 3 * (60 + 44 + 40 + 140 + 40 + 40 + 40)
    assert received > 3 * (300 + 40)


def test_counter_of_payload_where_the_profile_says_so(make_bench):
    profile = load("quectel-ec200u")
    counting = msgspec.structs.replace(profile.counter, counts="payload")
    bench = make_bench(profile=msgspec.structs.replace(profile, counter=counting))
    bench.online()
    exchange(bench)
    assert counter(bench) == (100 + 32, 300 + 48)  # and the DNS query and answer


def test_counter_persistence(bench):
    def restart():
        bench.modem.power(False)
        bench.modem.power(True)
        bench.run(10)
        bench.send("ATE0")
        bench.send("ATE0+QIACT=1")

    bench.online()
    exchange(bench)
    first = counter(bench)
    restart()
    assert counter(bench) == (0, 0), "nothing was saved"
    exchange(bench)
    assert counter(bench) == first
    assert bench.send("AT+QGDCNT=1") == "\r\nOK\r\n"
    exchange(bench)
    restart()
    assert counter(bench) == first, "back to what was saved"
    assert bench.send("AT+QGDCNT=0") == "\r\nOK\r\n"
    assert counter(bench) == (0, 0)
    restart()
    assert counter(bench) == first, "resetting does not touch what was saved"


def test_counter_autosave(bench):
    bench.online()
    assert bench.send("AT+QAUGDCNT=29").startswith("\r\n+CME")
    assert bench.send("AT+QAUGDCNT=60") == "\r\nOK\r\n"
    assert bench.send("AT+QAUGDCNT?") == "\r\n+QAUGDCNT: 60\r\n\r\nOK\r\n"
    exchange(bench)
    saved = counter(bench)
    bench.run(60)
    exchange(bench)
    assert counter(bench) > saved
    bench.modem.power(False)
    bench.modem.power(True)
    bench.run(10)
    assert counter(bench) == saved, "what stood at the last full minute"
    bench.send("ATE0+QIACT=1")
    bench.send("ATE0+QAUGDCNT=60")
    exchange(bench)
    later = counter(bench)
    bench.run(60)
    bench.modem.reset()
    bench.run(10)
    assert counter(bench) == later > saved, "saved, though nothing crossed the bearer since"
    assert bench.send("AT+QAUGDCNT?").endswith("+QAUGDCNT: 0\r\n\r\nOK\r\n"), "the setting is not kept"


def test_counter_that_restarts_at_every_boot(make_bench):
    profile = load("quectel-ec200u")
    forgetful = msgspec.structs.replace(profile.counter, persist="none")
    bench = make_bench(profile=msgspec.structs.replace(profile, counter=forgetful))
    bench.online()
    exchange(bench)
    bench.send("AT+QGDCNT=1")
    bench.modem.reset()
    bench.run(10)
    assert counter(bench) == (0, 0)
