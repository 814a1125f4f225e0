"""Questions and answers of the driver's own lookups, octet by octet."""

from usageguard.modem.ppp_names import answer, question

ASKED = question("api.example", 0x1234)
HEAD = b"\x12\x34\x81\x80\0\1\0\1\0\0\0\0"
WIRE = b"\3api\7example\0\0\1\0\1"
A = b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4\xcb\0\x71\7"
CNAME = b"\xc0\x0c\0\5\0\1\0\0\0\5\0\4\1x\xc0\x10"


def test_a_question_is_rfc_1035s():
    assert bytes(ASKED) == b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + WIRE


def test_an_answer_gives_address_and_ttl():
    assert answer(HEAD + WIRE + A, ASKED) == ("203.0.113.7", 300)


def test_an_alias_before_the_address_is_passed_over():
    two = HEAD[:7] + b"\2" + HEAD[8:]
    assert answer(two + WIRE + CNAME + A, ASKED) == ("203.0.113.7", 300)


def test_no_such_name_is_an_answer_without_an_address():
    none = HEAD[:3] + b"\x83\0\1\0\0\0\0\0\0"
    assert answer(none + WIRE, ASKED) == (None, 0)


def test_what_is_no_answer_to_the_question_is_none():
    for octets in (
        b"\x12\x35" + HEAD[2:] + WIRE + A,  # another number
        HEAD[:2] + b"\1" + HEAD[3:] + WIRE + A,  # a question
        HEAD + WIRE[:-1] + b"\2" + A,  # another class
        HEAD + b"\3apo" + WIRE[4:] + A,  # another name
        HEAD,
        b"",
    ):
        assert answer(octets, ASKED) is None


def test_a_cut_answer_is_none():
    whole = HEAD + WIRE + A
    for n in range(len(whole)):
        assert answer(whole[:n], ASKED) is None, n


def test_a_name_with_an_empty_or_long_label_is_refused():
    for name in ("", "a..b", "a" * 64 + ".example"):
        try:
            question(name, 1)
        except ValueError:
            continue
        raise AssertionError(name)
