"""TCP/IP sockets (EC200U & EG915U TCP/IP Application Note V1.1)."""

import struct

import pytest

from host_tools.sim.network.hosts import UdpHandlerHost
from tests.sim.modem.conftest import IMSI

SOCKETS = 12


def request(tx=100, rx=300):
    return struct.pack(">2sHI", b"UG", tx, rx).ljust(tx, b"x")


@pytest.fixture
def online(rig):
    rig.online()
    return rig


def test_buffer_access_mode(online):
    assert online.open() == "\r\nOK\r\n\r\n+QIOPEN: 0,0\r\n"
    assert online.send("AT+QISTATE=1,0") == (
        '\r\n+QISTATE: 0,"TCP","203.0.113.1",80,49153,2,1,0,0,"uart1"\r\n\r\nOK\r\n'
    )
    assert online.exchange(0, request()) == "\r\nSEND OK\r\n"
    assert online.run(1) == '\r\n+QIURC: "recv",0\r\n'
    body = bytes(i % 256 for i in range(300)).decode("latin-1")
    assert online.send("AT+QIRD=0,100") == f"\r\n+QIRD: 100\r\n{body[:100]}\r\n\r\nOK\r\n"
    assert online.send("AT+QIRD=0,0") == "\r\n+QIRD: 300,100,200\r\n\r\nOK\r\n"
    assert online.send("AT+QIRD=0,1500") == f"\r\n+QIRD: 200\r\n{body[100:]}\r\n\r\nOK\r\n"
    assert online.send("AT+QIRD=0,1500") == "\r\n+QIRD: 0\r\n\r\nOK\r\n"
    assert online.send("AT+QISEND=0,0") == "\r\n+QISEND: 100,100,0\r\n\r\nOK\r\n"
    assert online.send("AT+QICLOSE=0") == "\r\nOK\r\n"
    assert online.send("AT+QISTATE?") == "\r\nOK\r\n"


def test_recv_is_not_repeated_until_drained(online):
    online.open()
    for _ in range(3):
        online.exchange(0, request())
    urc = '\r\n+QIURC: "recv",0\r\n'
    assert online.run(3) == urc, "once for three replies"
    online.send("AT+QIRD=0,500")
    online.exchange(0, request())
    assert online.run(2) == "", "not drained yet"
    online.send("AT+QIRD=0,1500")
    online.exchange(0, request())
    assert online.run(2) == urc


def test_direct_push_mode(online):
    online.open(mode=1)
    online.exchange(0, request(rx=2000))
    said = online.run(2)
    first, second = said.split('\r\n+QIURC: "recv",0,')[1:]
    lengths = [int(part.split("\r\n", 1)[0]) for part in (first, second)]
    assert sum(lengths) == 2000


def test_variable_length_and_cancel(online):
    online.open()
    assert online.send("AT+QISEND=0") == "\r\n> "
    assert online.payload(request(20, 5) + b"\x1a") == "\r\nSEND OK\r\n"
    online.run(1)
    assert online.send("AT+QISEND=0") == "\r\n> "
    assert online.payload(b"never mind\x1b") == "\r\nERROR\r\n"
    assert "571" in online.send("AT+QIGETERROR")
    assert online.send("AT+QISEND=0,5") == "\r\n> "
    assert online.run(4.9) == ""
    assert online.run(0.2) == "\r\nERROR\r\n", "five seconds without input"


def test_payload_is_transparent_and_urcs_wait(online):
    online.open()
    data = bytearray(request(300, 1))
    data[8:264] = bytes(range(256))  # every octet, Ctrl-Z, ESC and CR among them
    assert online.send("AT+QISEND=0,300") == "\r\n> "
    online.write(bytes(data[:150]))
    online.modem.port.urc("+CREG: 5")
    assert online.run(1) == ""
    online.write(bytes(data[150:]))
    assert online.run(1).startswith("\r\nSEND OK\r\n\r\n+CREG: 5\r\n")
    assert online.responder.requests == 1


def test_data_echo(online):
    online.open()
    online.send("ATE1")
    online.send("AT+QISEND=0,20")
    assert online.payload(request(20, 1)).startswith("UG")
    online.run(1)
    online.send("AT+QISDE=0")
    online.send("AT+QISEND=0,20")
    assert online.payload(request(20, 1)) == "\r\nSEND OK\r\n"


def test_send_fail_when_the_buffer_is_full(online):
    online.open()
    online.modem.radio.cover(False)
    results = [online.exchange(0, request(1460, 1)) for _ in range(8)]
    assert results == ["\r\nSEND OK\r\n"] * 7 + ["\r\nSEND FAIL\r\n"]  # 7 x 1460 <= 10240
    assert online.send("AT+QISEND=0,0") == "\r\n+QISEND: 10220,0,10220\r\n\r\nOK\r\n"
    online.modem.radio.cover(True)
    online.run(120)
    assert online.responder.requests == 7, "what was taken arrives when coverage is back"


def test_receive_buffer_is_back_pressure(online):
    online.open()
    online.exchange(0, request(20, 40_000))
    online.run(120)
    assert online.send("AT+QIRD=0,0").startswith("\r\n+QIRD: 10240,0,10240")
    got = 0
    for _ in range(200):
        reply = online.send("AT+QIRD=0,1500")
        got += int(reply.split(": ")[1].split("\r")[0])
        online.run(0.5)
        if got == 40_000:
            break
    assert got == 40_000


def test_peer_closes(online):
    online.open()
    online.exchange(0, request(20, 50))
    online.run(1)
    online.responder.stack.connections[80, ("10.0.0.1", 49153)].close()
    assert '+QIURC: "closed",0' in online.run(1)
    assert ",4,1,0,0," in online.send("AT+QISTATE=1,0")
    assert online.send("AT+QISEND=0,5") == "\r\nERROR\r\n"
    assert online.send("AT+QIRD=0,1500").startswith("\r\n+QIRD: 50\r\n"), "what had arrived stays readable"
    assert online.send("AT+QICLOSE=0") == "\r\nOK\r\n"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ('AT+QIOPEN=1,12,"TCP","1.1.1.1",80', 552),
        ('AT+QIOPEN=1,1,"SCTP","1.1.1.1",80', 552),
        ('AT+QIOPEN=1,1,"TCP LISTENER","127.0.0.1",80', 552),
        ('AT+QIOPEN=1,1,"TCP","",80', 552),
        ('AT+QIOPEN=1,1,"TCP"', 552),
        ('AT+QIOPEN=2,1,"TCP","1.1.1.1",80', 561),
        ('AT+QIOPEN=1,0,"TCP","1.1.1.1",80', 563),
        ("AT+QISEND=5,5", 550),
        ("AT+QISEND=0,1461", 552),
        ("AT+QIRD=5", 550),
        ('AT+QICFG="nosuch"', 552),
    ],
)
def test_errors(online, line, error):
    online.open(0)
    assert online.send(line) == "\r\nERROR\r\n"
    assert online.send("AT+QIGETERROR").startswith(f"\r\n+QIGETERROR: {error},")


def test_open_fails(online):
    assert "+QIOPEN: 0,565" in online.open(0, host="no.such.name")
    online.internet.add_host("closed.example", UdpHandlerHost(lambda *_: None), "203.0.113.77")
    assert "+QIOPEN: 1,566" in online.open(1, host="203.0.113.77"), "RST"
    assert "+QIOPEN: 2" not in online.open(2, host="203.0.113.99")
    assert online.run(80) == "\r\n+QIOPEN: 2,566\r\n", "nobody answers"
    for number in range(3):
        assert online.send(f"AT+QICLOSE={number}") == "\r\nOK\r\n"


def test_all_sockets_at_once(online):
    for number in range(SOCKETS):
        assert f"+QIOPEN: {number},0" in online.open(number)
    assert online.send("AT+QISTATE=0,1").count("+QISTATE") == SOCKETS
    assert online.send("AT+QISTATE=0,2") == "\r\nOK\r\n"


def test_udp(online):
    seen = []

    def answer(payload, source, *_):
        seen.append(payload)
        return payload.upper()

    online.internet.add_host("udp.example", UdpHandlerHost(answer), "203.0.113.50")
    assert "+QIOPEN: 0,0" in online.open(0, "UDP", "udp.example", 5683)
    online.exchange(0, b"one")
    online.exchange(0, b"two")
    online.run(1)
    assert seen == [b"one", b"two"]
    assert online.send("AT+QIRD=0,1500") == "\r\n+QIRD: 3\r\nONE\r\n\r\nOK\r\n", "one datagram a read"
    assert online.send("AT+QIRD=0,1500") == "\r\n+QIRD: 3\r\nTWO\r\n\r\nOK\r\n"
    assert online.send('AT+QIOPEN=1,1,"UDP SERVICE","127.0.0.1",0,4000').endswith("OK\r\n")
    assert online.run(1) == "\r\n+QIOPEN: 1,0\r\n"
    assert online.send('AT+QISEND=1,3,"203.0.113.50",5683') == "\r\n> "
    online.payload(b"abc")
    online.run(1)
    assert online.send("AT+QIRD=1") == '\r\n+QIRD: 3,"203.0.113.50",5683\r\nABC\r\n\r\nOK\r\n'


def test_hex_and_view_options(online):
    online.send('AT+QICFG="dataformat",1,1')
    online.send('AT+QICFG="viewmode",1')
    online.send('AT+QICFG="recvind",1')
    assert online.send('AT+QICFG="dataformat"') == '\r\n+QICFG: "dataformat",1,1\r\n\r\nOK\r\n'
    online.open()
    assert online.exchange(0, request(10, 3).hex().encode()) == "\r\nSEND OK\r\n"
    assert online.run(1) == '\r\n+QIURC: "recv",0,3\r\n'
    assert online.send("AT+QIRD=0") == "\r\n+QIRD: 3,000102\r\n\r\nOK\r\n"
    assert online.send(f'AT+QISENDEX=0,"{request(10, 3).hex()}"') == "\r\nSEND OK\r\n"
    assert online.send('AT+QISENDEX=0,"xy"') == "\r\nERROR\r\n"


def test_names(online):
    assert online.send('AT+QIDNSGIP=1,"SERVER.example"') == "\r\nOK\r\n"
    assert online.run(1) == '\r\n+QIURC: "dnsgip",0,1,300\r\n\r\n+QIURC: "dnsgip","203.0.113.1"\r\n'
    online.send('AT+QIDNSGIP=1,"nosuch.example"')
    assert online.run(1) == '\r\n+QIURC: "dnsgip",565\r\n'
    assert online.send('AT+QIDNSCFG=1,"203.0.113.200"') == "\r\nOK\r\n"
    online.send('AT+QIDNSGIP=1,"server.example"')
    assert online.run(21) == '\r\n+QIURC: "dnsgip",565\r\n', "nobody answers there, four times five seconds"


def test_transparent_mode(online):
    assert online.send('AT+QIOPEN=1,0,"TCP","server.example",80,0,2') == "\r\nCONNECT\r\n"
    online.write(request(20, 4))
    assert online.run(1) == "\x00\x01\x02\x03"
    online.run(1.1)
    online.write(b"+++")
    assert online.run(1.1) == "\r\nOK\r\n"
    assert online.send("AT+CGMM") == "\r\nEC200U\r\n\r\nOK\r\n"
    assert online.send("ATO") == "\r\nCONNECT\r\n"
    online.write(request(20, 4)[:8])
    online.write(b"+++" + b"x" * 9)
    assert online.run(1) == "\x00\x01\x02\x03", "no escape without silence around it"
    online.run(2)
    sent = online.modem.data.counter.octets[0]
    online.write(b"+")
    online.run(2)
    assert online.modem.data.counter.octets[0] == sent + 41, "a plus sign that nothing follows is payload"
    online.carrier.stop(IMSI)
    assert online.run(1) == '\r\nNO CARRIER\r\n\r\n+QIURC: "pdpdeact",1\r\n'


def test_close_that_the_peer_does_not_answer(online):
    online.open()
    online.modem.faults.inject({"kind": "half_open", "id": 0})
    start = online.clock.now_us
    assert online.send("AT+QICLOSE=0") == "\r\nOK\r\n"
    assert 9_900_000 < online.clock.now_us - start < 10_100_000
    assert online.open() == "\r\nOK\r\n\r\n+QIOPEN: 0,0\r\n"


def test_close_that_a_stop_overtakes(online):
    online.open()
    online.modem.faults.inject({"kind": "half_open", "id": 0})
    online.write(b"AT+QICLOSE=0\r")
    online.run(1)
    online.carrier.stop(IMSI)
    assert "\r\nOK\r\n" in online.run(1)
