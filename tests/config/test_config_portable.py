import json

from usageguard.config.load import ConfigError, load

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
    ('"c"', '"a b"', "upstream.host: has a character that is not allowed; give 1 to 63 letters, digits"),
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


PLAN = """{"allowance_octets": 1073741824, "on_exhaustion": "overage", "activated": "2026-01-31",
"overage": {"tiers": [{"block_octets": 1048576, "fen": 29}, {"from_octets": 4294967296, "block_octets": 1, "fen": 1}],
"cost_cap_fen": 290}, "package": {"months": 1, "slice": "month"}, "account": {"fee_fen": 900}, "pool": {},
"pace": true, "burst": {}, "throttle": {"rate_octets_s": 16000}, "warn_cost_fen": [100]}"""


def test_a_plan_of_every_system():
    obj = json.loads(TEXT % ("0a" * 32))
    obj["plan"] = json.loads(PLAN)
    plan = load(obj).plan
    assert plan.ceiling == 1073741824 + 10 * 1048576, plan.ceiling
    assert plan.cost_fen(1073741824 + 1) == 29, plan.cost_fen(1073741825)
    assert plan.cost_fen(1073741824 + 4294967296 + 1) == 4096 * 29 + 1, "a big int on a board"
    assert plan.expiry_day == 9555, plan.expiry_day  # 2026-02-28
    assert (plan.balance_fen, plan.fee_fen, plan.pace) == (0, 900, True), "account"
    pool = plan.pool
    assert (pool.first_grant_octets, pool.holding_s, pool.on_silence) == (1 << 20, 0, "retry_and_terminate"), "pool"
    assert (plan.throttle.rate_octets_s, plan.throttle.burst_octets) == (16000, 64000), "throttle"
    burst = plan.burst
    assert (burst.factor, burst.floor_octets, burst.window_s, burst.hold_s) == (10, 1 << 22, 3600, 21600), "burst"
    warnings = " ".join([plan.warning(bit) for bit in range(8)])
    assert warnings == "used-500 used-800 used-900 cost-100 days-30 days-7 days-1 forecast", warnings


def test_dates():
    for wrong in ("2026-02-30", "2026-2-030", "x"):
        plan = '5368709120, "cycle_days": 30, "activated": "' + wrong + '"'
        said = refusal((TEXT % ("0a" * 32)).replace("5368709120", plan))
        assert said == "plan.activated: '" + wrong + '\' is not a date; give a date as in "2026-03-15"', said
