"""The name service against scapy's reading and writing of the same octets."""

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR

from host_tools.sim.network.dns import Answer, decode_response, encode_query, respond

NAMES = {"iot.example.com": "203.0.113.7"}


def lookup(name):
    return NAMES.get(name.lower())


def test_query_reads_in_scapy():
    query = DNS(encode_query(0x1234, "iot.example.com"))
    assert (query.id, query.rd, query.qr, query.qdcount) == (0x1234, 1, 0, 1)
    assert (query.qd[0].qname, query.qd[0].qtype, query.qd[0].qclass) == (b"iot.example.com.", 1, 1)


def test_answer_reads_in_scapy():
    answer = DNS(respond(bytes(DNS(id=9, rd=1, qd=DNSQR(qname="IoT.example.com"))), lookup))
    assert (answer.id, answer.qr, answer.rcode, answer.ancount) == (9, 1, 0, 1)
    assert answer.an[0].rdata == "203.0.113.7"
    assert answer.an[0].rrname == b"IoT.example.com."


def test_round_trip():
    known = respond(encode_query(7, "iot.example.com"), lookup)
    assert decode_response(known) == Answer(7, 0, ("203.0.113.7",))
    assert decode_response(respond(encode_query(8, "no.example.com"), lookup)) == Answer(8, 3, ())


def test_aaaa_of_a_known_name_is_empty_but_no_error():
    reply = respond(bytes(DNS(id=1, qd=DNSQR(qname="iot.example.com", qtype="AAAA"))), lookup)
    assert decode_response(reply) == Answer(1, 0, ())


def test_response_with_an_alias_and_two_addresses():
    wire = bytes(
        DNS(
            id=3,
            qr=1,
            qd=DNSQR(qname="a.example"),
            an=[
                DNSRR(rrname="a.example", type="CNAME", rdata="b.example"),
                DNSRR(rrname="b.example", type="A", rdata="192.0.2.1"),
                DNSRR(rrname="b.example", type="A", rdata="192.0.2.2"),
            ],
        )
    )
    assert decode_response(wire) == Answer(3, 0, ("192.0.2.1", "192.0.2.2"))


def test_truncated_response_is_an_error():
    wire = respond(encode_query(7, "iot.example.com"), lookup)
    for n in range(len(wire)):
        with pytest.raises(ValueError):
            decode_response(wire[:n])


def test_garbage_gets_no_answer():
    wire = encode_query(7, "iot.example.com")
    assert respond(b"", lookup) is None
    assert respond(wire[:-1], lookup) is None
    assert respond(wire[:12] + b"\xc0\x0c" + wire[-4:], lookup) is None, "a name that points at itself"
    assert respond(respond(wire, lookup), lookup) is None, "a response is not answered"


@pytest.mark.parametrize("name", ["", "a..b", "x" * 64 + ".example", "a." * 130])
def test_impossible_names(name):
    with pytest.raises(ValueError, match="not a host name"):
        encode_query(1, name)
