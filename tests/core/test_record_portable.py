from usageguard.config.load import REPORT_OCTETS
from usageguard.core import cbor
from usageguard.core.mac import hmac_sha256, mac0_open, mac0_seal
from usageguard.core.record import decode_ack, encode_report

KEY = bytes(range(32))
LIFE = b"\x01\xabLF"
SIM = b"\xff" * 4
DETAILS = (0xFFFFFFFF, 0xFFFF) + (0xFFFF,) * 6
ID = b"tracker-00000001"  # the longest there is
TYPICAL = (3, 70, 9678, 12_000_000, 12_600_000, 9_000_000, 9_500_000, 40_000, 1, 0, 1, 0, 0, 0, 12, 0, 290)
LARGEST = ((1 << 32) - 1, (1 << 32) - 1, 0xFFFF) + ((1 << 54) - 1,) * 5 + (5, 0x01FFFF, 0xFFFF)
LARGEST += ((1 << 32) - 1, -(1 << 31), 255, (1 << 30) - 1, 0xFFFF, 0xFFFFFFFF)

# The typical report as cbor2 and pycose make it, full and routine
GOLDEN_FULL = (
    "8443a10104a10450747261636b65722d30303030303030315831950303184619"
    "25ce1a00b71b001a00c042c01a008954401a0090f560199c400100010000000c"
    "001901224401ab4c464000482683af7c15ad5693"
)
GOLDEN = (
    "8443a10104a10450747261636b65722d3030303030303031582a920303184619"
    "25ce1a00b71b001a00c042c01a008954401a0090f560199c400100010000000c"
    "0019012248f1ebe8d98af11796"
)


def raises(function, *args):
    try:
        function(*args)
    except ValueError:
        return True
    return False


def test_report_is_its_fields_in_order():
    for fields in (TYPICAL, LARGEST):
        stored = cbor.decode(encode_report(*fields))
        assert stored.pop(0) == 3, "version"
        assert tuple(stored) == fields, fields
        full = cbor.decode(encode_report(*fields, life_id=LIFE))
        assert (full[1:18], full[18:]) == (stored, [LIFE, b"", 0]), "full"
        full = cbor.decode(encode_report(*fields, life_id=LIFE, sim=SIM, cause=17, details=DETAILS))
        assert (full[18:21], tuple(full[21:])) == ([LIFE, SIM, 17], DETAILS), "with details"


def test_what_counts_up_stops_at_its_fields_end():
    report = encode_report(*LARGEST[:15], 0x10000, 1 << 40)
    assert cbor.decode(report)[16:] == [0xFFFF, 0xFFFFFFFF]
    beyond = (1 << 32, 1 << 16, -2, 1 << 20, 0, 0, 0, 0)  # a modem may say anything
    report = cbor.decode(encode_report(*TYPICAL, life_id=LIFE, details=beyond))
    assert report[21:] == [0xFFFFFFFF, 0xFFFF, -1, 0xFFFF, 0, 0, 0, 0]


def test_golden_reports():
    for life_id, golden, direction in ((LIFE, GOLDEN_FULL, b"U"), (b"", GOLDEN, b"R" + LIFE)):
        report = encode_report(*TYPICAL, life_id=life_id)
        sealed = mac0_seal(KEY, direction + ID, report, ID)
        assert sealed.hex() == golden, sealed.hex()
        assert cbor.decode(sealed)[1] == {4: ID}, "names its key"
        assert mac0_open(KEY, direction + ID, sealed) == report, "opens"


def test_the_largest_report_fits_an_sms_and_the_estimate():
    sealed = mac0_seal(KEY, b"U" + ID, encode_report(*LARGEST, life_id=LIFE, sim=SIM, cause=23), ID)
    assert len(sealed) <= 140, len(sealed)
    full = mac0_seal(KEY, b"U" + ID, encode_report(*LARGEST, life_id=LIFE, sim=SIM, cause=23, details=DETAILS), ID)
    ack = mac0_seal(KEY, b"D" + ID, cbor.encode([1, 0xFFFF, 86399]))
    # IPv4 and UDP 28, CoAP: header 4, token 8 at most, Uri-Path "r" 2, payload marker 1 (RFC 7252 section 3)
    cost = 28 + 15 + len(sealed) + 28 + 13 + len(ack)
    assert cost <= REPORT_OCTETS, cost
    assert cost + len(full) - len(sealed) <= REPORT_OCTETS + 22, len(full)


# As the collector seals one: a balance, and a stop
ORDER = [1, 9827, 60, 7, {1: 1, 5: [9801, -350, 29]}]


def test_an_acknowledgement_with_an_order():
    assert cbor.encode(ORDER).hex() == "8501192663183c07a20101058319264939015d181d", cbor.encode(ORDER).hex()
    assert decode_ack(cbor.encode(ORDER)) == (9827, 60, 7, {1: 1, 5: [9801, -350, 29]})
    assert decode_ack(cbor.encode([1, 9827, 60])) == (9827, 60, 0, None), "none"
    assert decode_ack(cbor.encode([1, 9827, 60, -3, "x"])) == (9827, 60, -3, "x"), (
        "whether it is one, ordered.check says"
    )


def test_ack():
    assert decode_ack(cbor.encode([1, 9827, 86399])) == (9827, 86399, 0, None), "day and second"
    for wrong in (
        {},
        [1, 9827],
        [1, 9827, 0, 0],
        [1, 9827, 0, 1, {}, 0],
        [2, 9827, 0],
        [1, 9827, 86400],
        [1, 9827, -1],
        [1, -1, 0],
    ):
        assert raises(decode_ack, cbor.encode(wrong)), wrong
    for wrong in ([1, 65536, 0], [1, None, 0], [1, 1, True], [1, "1", 0]):
        assert raises(decode_ack, cbor.encode(wrong)), wrong
    assert raises(decode_ack, b""), "nothing"


def test_cbor_values():
    for n in (0, 23, 24, 255, 256, 65535, 65536, (1 << 32) - 1, 1 << 32, (1 << 64) - 1):
        for value in (n, -1 - n, [n, {n: -1 - n}]):
            assert cbor.decode(cbor.encode(value)) == value, value
    for value in (None, True, False, "", "a", b"", b"\x00" * 300, [], {}, {1: b"", -1: "", "b": [None]}):
        back = cbor.decode(cbor.encode(value))
        assert back == value and type(back) is type(value), value  # noqa: PT018
    assert cbor.encode({2: 0, 1: 0, -1: 0}).hex() == "a3010002002000", "keys in order of their octets"
    for wrong in (1.5, "\xfc", 1 << 64, -(1 << 64) - 1, {None: 1}, object()):
        assert raises(cbor.encode, wrong), wrong
    for octets in (b"", b"\x18\x00", b"\xf7", b"\x61", b"\x61\xc3", b"\x81" * 9 + b"\x00", b"\x00\x00"):
        assert raises(cbor.decode, octets), octets


def test_hmac_of_rfc_4231():
    assert hmac_sha256(b"Jefe", b"what do ya want for nothing?").hex() == (
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    ), "test case 2"
