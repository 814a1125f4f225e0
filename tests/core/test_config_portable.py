import json

from usageguard.config import ConfigError, load

TEXT = """{"device": {"id": "tracker-001", "key": "%s"}, "modem": {"family": "quectel", "apn": "cmiot"},
"plan": {"allowance_octets": 5368709120, "rating": {"per_packet_octets": 54}}, "upstream": {"host": "c"}}"""


def test_from_json():
    config = load(json.loads(TEXT % ("0a" * 32)))
    assert config.key == b"\n" * 32, config.key
    assert config.plan.local_limit == (5 << 30) - (2 << 20), config.plan.local_limit
    assert config.plan.rating.per_packet_octets == 54, "rating"
    assert [c.name for c in config.classes] == ["telemetry", "ota", "report"], "default classes"
    assert (config.upstream.host, config.upstream.port) == ("c", 5683), "upstream"
    assert config.modem.counter is True, "default"


WRONG = (
    ("5368709120", "-5", "plan.allowance_octets: -5 is negative; give an integer from 1 to 1125899906842624"),
    ("5368709120", "true", "plan.allowance_octets: True is not an integer"),
    ("5368709120", "3e7", "plan.allowance_octets: 30000000.0 is not an integer"),
    ("5368709120", "24000", "plan.allowance_octets: 24000 leaves no usable quota beyond margin 8192"),
    ('"c"', '"a b"', "upstream.host: has a character that cannot stand there; give 1 to 63 letters, digits"),
    ('"apn"', '"apm"', "modem.apn: is missing; give 1 to 100 letters, digits, '.', '_' or '-'"),
    ('"tracker-001"', "7", "device.id: is not a string; give 1 to 16 letters"),
    ('"quectel"', '"x"', "modem.family: 'x' is not known; give one of: quectel"),
)


def refusal(text):
    try:
        load(json.loads(text))
    except ConfigError as error:
        return str(error)
    return "taken"


def test_one_line_for_what_is_wrong():
    for good, bad, line in WRONG:
        said = refusal((TEXT % ("0a" * 32)).replace(good, bad))
        assert said.startswith(line), said
