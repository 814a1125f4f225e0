"""PDP contexts and the data-volume counter."""

import struct

import msgspec
import pytest

from host_tools.sim.modem import load

from .conftest import IMSI

REQUEST = struct.pack(">2sHI", b"UG", 100, 300).ljust(100, b"x")


def counter(rig):
    reply = rig.send("AT+QGDCNT?")
    return tuple(int(n) for n in reply.split(": ")[1].split("\r")[0].split(","))


def exchange(rig):
    assert "+QIOPEN: 0,0" in rig.open()
    assert rig.exchange(0, REQUEST) == "\r\nSEND OK\r\n"
    rig.run(1)
    assert rig.send("AT+QIRD=0").startswith("\r\n+QIRD: 300\r\n")
    rig.send("AT+QICLOSE=0")
    rig.run(1)


def test_context_comes_and_goes(rig):
    rig.send("AT+CGEREP=2,1")
    assert rig.send('AT+CGDCONT=1,"IP","cmiot"') == "\r\nOK\r\n"
    assert rig.send("AT+CGDCONT?") == '\r\n+CGDCONT: 1,"IP","cmiot","0.0.0.0",0,0\r\n\r\nOK\r\n'
    assert "+CGEV: ME PDN ACT 1" in rig.send("AT+CGACT=1,1")
    assert rig.send("AT+CGACT?") == "\r\n+CGACT: 1,1\r\n\r\nOK\r\n"
    assert rig.send("AT+CGPADDR=1") == '\r\n+CGPADDR: 1,"10.0.0.1"\r\n\r\nOK\r\n'
    assert rig.send("AT+QIACT?") == '\r\n+QIACT: 1,1,1,"10.0.0.1"\r\n\r\nOK\r\n'
    assert rig.send("AT+QICSGP=1") == '\r\n+QICSGP: 1,"cmiot","","",0\r\n\r\nOK\r\n'
    assert "198.51.100.53" in rig.send("AT+CGCONTRDP=1")
    assert "+CGEV: ME PDN DEACT 1" in rig.send("AT+CGACT=0,1")
    assert rig.send("AT+QIACT?") == "\r\nOK\r\n"
    assert "+QIACTEX: 1,0" in rig.send("AT+QIACTEX=1") + rig.run(1)
    assert "+QIDEACTEX: 1,0" in rig.send("AT+QIDEACTEX=1") + rig.run(1)


def test_definitions_outlive_the_supply(rig):
    rig.send('AT+CGDCONT=1,"IPV4V6","cmiot"')
    rig.modem.power(False)
    rig.modem.power(True)
    rig.run(10)
    assert '1,"IPV4V6","cmiot"' in rig.send("AT+CGDCONT?")


@pytest.mark.parametrize("cause_cme", [(33, 133), (8, 177)])
def test_stopped_sim_is_refused(make_bench, cause_cme):
    cause, cme = cause_cme
    rig = make_bench()
    rig.carrier.enforcement = type(rig.carrier.enforcement)(stop_cause=cause)
    rig.carrier.stop(IMSI)
    assert rig.send("AT+CEREG?") == "\r\n+CEREG: 0,1\r\n\r\nOK\r\n", "a data stop leaves the registration"
    assert rig.send("AT+CGACT=1,1") == f"\r\n+CME ERROR: {cme}\r\n"
    assert rig.send("AT+QIACT=1") == "\r\nERROR\r\n"
    assert rig.send("AT+QIGETERROR") == "\r\n+QIGETERROR: 561,open PDP context failed\r\n\r\nOK\r\n"
    assert "No cause" not in rig.send("AT+CEER")
    rig.carrier.resume(IMSI)
    assert rig.send("AT+QIACT=1") == "\r\nOK\r\n"


def test_network_deactivates(rig):
    rig.online()
    rig.send("AT+CGEREP=2,1")
    rig.open()
    rig.carrier.stop(IMSI)
    said = rig.run(1)
    assert "+CGEV: NW PDN DEACT 1" in said
    assert '+QIURC: "pdpdeact",1' in said
    for line in ('AT+QIOPEN=1,1,"TCP","1.1.1.1",80', "AT+QIACT=1"):
        assert rig.send(line) == "\r\nERROR\r\n"
        assert "570" in rig.send("AT+QIGETERROR")
    assert rig.send("AT+QIDEACT=1") == "\r\nOK\r\n"
    assert rig.send("AT+QISTATE?") == "\r\nOK\r\n", "the sockets went with the context"
    rig.carrier.resume(IMSI)
    assert rig.send("AT+QIACT=1").endswith("\r\nOK\r\n")


def test_stop_during_a_coverage_gap_is_learnt_afterwards(rig):
    rig.online()
    rig.modem.radio.cover(False)
    rig.carrier.stop(IMSI)
    assert "pdpdeact" not in rig.run(10)
    rig.modem.radio.cover(True)
    assert '+QIURC: "pdpdeact",1' in rig.run(10)


def test_counter_is_what_the_carrier_counts(rig):
    rig.online()
    for _ in range(3):
        exchange(rig)
    assert sum(counter(rig)) == rig.carrier.figures(IMSI)["ip_octets"]
    sent, received = counter(rig)
    # 3 x: DNS 28+32 up; SYN 44, ACK 40, request 140, ACK of the reply 40, FIN 40, ACK 40
    assert sent == 3 * (60 + 44 + 40 + 140 + 40 + 40 + 40)
    assert received > 3 * (300 + 40)


def test_counter_of_payload_where_the_profile_says_so(make_bench):
    profile = load("quectel-ec200u")
    counting = msgspec.structs.replace(profile.counter, counts="payload")
    rig = make_bench(profile=msgspec.structs.replace(profile, counter=counting))
    rig.online()
    exchange(rig)
    assert counter(rig) == (100 + 32, 300 + 48)  # and the DNS query and answer


def test_counter_persistence(rig):
    def restart():
        rig.modem.power(False)
        rig.modem.power(True)
        rig.run(10)
        rig.send("ATE0")
        rig.send("ATE0+QIACT=1")

    rig.online()
    exchange(rig)
    first = counter(rig)
    restart()
    assert counter(rig) == (0, 0), "nothing was saved"
    exchange(rig)
    assert counter(rig) == first
    assert rig.send("AT+QGDCNT=1") == "\r\nOK\r\n"
    exchange(rig)
    restart()
    assert counter(rig) == first, "back to what was saved"
    assert rig.send("AT+QGDCNT=0") == "\r\nOK\r\n"
    assert counter(rig) == (0, 0)
    restart()
    assert counter(rig) == first, "resetting does not touch what was saved"


def test_counter_autosave(rig):
    rig.online()
    assert rig.send("AT+QAUGDCNT=29").startswith("\r\n+CME")
    assert rig.send("AT+QAUGDCNT=60") == "\r\nOK\r\n"
    assert rig.send("AT+QAUGDCNT?") == "\r\n+QAUGDCNT: 60\r\n\r\nOK\r\n"
    exchange(rig)
    saved = counter(rig)
    rig.run(60)
    exchange(rig)
    assert counter(rig) > saved
    rig.modem.power(False)
    rig.modem.power(True)
    rig.run(10)
    assert counter(rig) == saved, "what stood at the last full minute"
    rig.send("ATE0+QIACT=1")
    rig.send("ATE0+QAUGDCNT=60")
    exchange(rig)
    later = counter(rig)
    rig.run(60)
    rig.modem.reset()
    rig.run(10)
    assert counter(rig) == later > saved, "saved, though nothing crossed the bearer since"
    assert rig.send("AT+QAUGDCNT?").endswith("+QAUGDCNT: 0\r\n\r\nOK\r\n"), "the setting is not kept"


def test_counter_that_restarts_at_every_boot(make_bench):
    profile = load("quectel-ec200u")
    forgetful = msgspec.structs.replace(profile.counter, persist="none")
    rig = make_bench(profile=msgspec.structs.replace(profile, counter=forgetful))
    rig.online()
    exchange(rig)
    rig.send("AT+QGDCNT=1")
    rig.modem.reset()
    rig.run(10)
    assert counter(rig) == (0, 0)
