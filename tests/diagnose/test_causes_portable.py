"""Evidence and the verdicts on it, worked out by hand."""

from usageguard.diagnose import causes as c

# What the modem told, and the verdict: cause, detail, the causes that cannot be told from it.
ONLINE = {"state": 5, "registration": 1, "signal": 20, "rsrp": 50}
OFFLINE = {"state": 4, "registration": 1, "signal": 20, "rsrp": 50, "reasons": 0x4}
STAGES = (
    ({}, None),
    ({"state": 1}, None),
    ({"state": 1, "silent": True}, (c.MODEM_DEAD, 0, ())),
    ({"state": 2}, None),
    ({"state": 2, "sim_state": b"READY"}, None),
    ({"state": 2, "sim_state": b"NOT INSERTED"}, (c.SIM_ABSENT, 0, ())),
    ({"state": 2, "sim_error": 10}, (c.SIM_ABSENT, 10, ())),
    ({"state": 2, "sim_state": b"SIM PIN"}, (c.SIM_PIN, 0, ())),
    ({"state": 2, "sim_state": b"SIM PUK"}, (c.SIM_PIN, 0, ())),
    ({"state": 2, "sim_error": 12}, (c.SIM_PIN, 12, ())),
    ({"state": 2, "sim_error": 13}, (c.SIM_FAULT, 13, ())),
    ({"state": 2, "sim_state": b"NOT READY"}, (c.SIM_FAULT, 0, ())),
    ({"state": 3, "registration": 2, "signal": 99}, (c.NO_SIGNAL, 0, ())),
    ({"state": 3, "registration": 0, "rsrp": 255}, (c.NO_SIGNAL, 0, ())),
    ({"state": 3, "registration": 4, "signal": 3}, (c.NO_SIGNAL, 0, ())),
    ({"state": 3, "registration": 2, "signal": 4}, (c.NO_COVERAGE, 0, ())),
    ({"state": 3, "registration": 2, "signal": 3, "rsrp": 21}, (c.NO_COVERAGE, 0, ())),
    ({"state": 3, "registration": 2}, (c.NO_SIGNAL, 0, (c.NO_COVERAGE,))),
    ({"state": 3, "registration": 3, "reject_cause": 7}, (c.DENIED, 7, ())),
    ({"state": 3, "registration": 2, "reject_cause": 14}, (c.DENIED, 14, ())),
    ({"state": 3, "registration": 3, "cme": 111}, (c.NO_COVERAGE, 11, ())),
    ({"state": 3, "registration": 3, "cme": 133}, (c.DENIED, 0, (c.CONGESTION, c.NO_COVERAGE))),
    ({"state": 3, "registration": 3, "reject_cause": 22}, (c.CONGESTION, 22, ())),
    ({"state": 4, "registration": 1}, None),
    ({"state": 4, "registration": 5, "cme": 127}, (c.WRONG_APN, 127, ())),
    ({"state": 4, "registration": 1, "cme": 179}, (c.WRONG_APN, 179, ())),
    ({"state": 4, "registration": 1, "cme": 126}, (c.CONGESTION, 126, ())),
    ({"state": 4, "registration": 1, "cme": 108}, (c.DENIED, 8, ())),
    # 33 and 177 are what a stopped SIM is answered; the rest is the plan's.
    (OFFLINE, (c.CARRIER_QUOTA, 0, (c.CARRIER_ARREARS, c.CARRIER_EXPIRED, c.CARRIER_BY_HAND))),
    (dict(OFFLINE, cme=129, used_permille=0),
     (c.CARRIER_ARREARS, 129, (c.CARRIER_EXPIRED, c.CARRIER_BY_HAND, c.WRONG_APN))),
    (ONLINE, None),
    (dict(ONLINE, unanswered=2), (c.SOFT_STOP, 0, (c.COLLECTOR_PORT,))),
    (dict(ONLINE, unanswered=2, alive=True), (c.COLLECTOR_PORT, 0, ())),
    (dict(ONLINE, probed=0), (c.SOFT_STOP, 0, ())),
    (dict(ONLINE, probed=c.NAME_FOUND), (c.SOFT_STOP, 0, ())),
    (dict(ONLINE, probed=c.NAME_FOUND | c.BEYOND), (c.COLLECTOR_PORT, 0, ())),
    (dict(ONLINE, probed=c.BEYOND), (c.COLLECTOR_NAME, 0, ())),
    (dict(ONLINE, probed=0, alive=True), (c.COLLECTOR_NAME, 0, ())),
    (dict(ONLINE, probed=c.NAME_FOUND | c.COLLECTOR, unanswered=2), None),
    (dict(ONLINE, refused=0x81, unanswered=2), (c.COLLECTOR_REFUSES, 0x81, ())),
    ({"reasons": 0x8}, (c.DEVICE_FAULT, c.LEDGER, ())),
    ({"crashes": 3}, (c.DEVICE_FAULT, c.APPLICATION, ())),
    ({"restarts": 3, "uptime_s": 3600}, (c.MODEM_RESTARTS, 3, ())),
    ({"restarts": 3, "uptime_s": 4 * 3600}, None),
    ({"reasons": 0x1}, (c.STOPPED_BY_US, 0, ())),
    ({"reasons": 0x8000}, None),  # some classes are held: others are online
)  # fmt: skip

# The plan's state, and what a carrier's stop then is, likeliest first.
STOPS = (
    ({}, "quota arrears expired hand"),
    ({"used_permille": 930}, "quota arrears expired hand"),
    ({"used_permille": 699}, "arrears expired hand"),
    ({"used_permille": 0, "day": 3}, "arrears expired hand"),
    ({"used_permille": 700, "day": 3}, "quota arrears expired hand"),
    ({"used_permille": 950, "balance_fen": 0}, "quota arrears expired hand"),
    ({"used_permille": 900, "balance_fen": -1}, "arrears quota expired hand"),
    ({"used_permille": 0, "expires_in": 0}, "expired arrears hand"),
    ({"used_permille": 0, "day": 1, "expires_in": -2, "balance_fen": 5}, "expired hand"),
    ({"used_permille": 0, "expires_in": 10, "balance_fen": 5}, "hand"),
    ({"pool_left": 0}, "pool arrears expired hand"),
    ({"pool_left": 10}, "pool arrears expired hand"),
    ({"pool_left": 10, "used_permille": 990}, "quota pool arrears expired hand"),
)
NAMES = ("quota", "arrears", "pool", "expired", "hand")


def evidence(given):
    known = c.Evidence()
    for name, value in given.items():
        assert hasattr(known, name), name
        setattr(known, name, value)
    return known


def test_one_verdict_for_the_stage_that_fails():
    for given, verdict in STAGES:
        found = [(each.cause, each.detail, tuple(each.others)) for each in c.diagnose(evidence(given))]
        assert found == ([verdict] if verdict else []), (given, found)


def test_a_carriers_stop_by_the_plans_state():
    for given, ranked in STOPS:
        found = [NAMES[cause - c.CARRIER_QUOTA] for cause in c.carrier_stops(evidence(given))]
        assert found == ranked.split(), (given, found)


def test_two_causes_give_both():
    given = {"state": 2, "sim_error": 10, "reasons": 0x10 | 0x8 | 0x20, "restarts": 5, "crashes": 9}
    found = [(each.cause, each.detail) for each in c.diagnose(evidence(given))]
    assert found == [(c.MODEM_RESTARTS, 5), (c.SIM_ABSENT, 10), (c.STOPPED_BY_US, 4), (c.STOPPED_BY_US, 5),
                     (c.DEVICE_FAULT, c.LEDGER)], found  # fmt: skip


def test_when_to_try_again_and_what_it_costs():
    busy, carrier = {"state": 4, "registration": 1, "cme": 126, "retry_s": 30}, dict(OFFLINE, retry_s=600)
    quota, arrears = {"reasons": 0x1, "period_s": 7200, "retry_s": 9}, {"reasons": 0x20, "period_s": 7200}
    soft = dict(ONLINE, probed=0, report_octets=200)
    for given, again in (
        (busy, (True, 30, 161)),
        (carrier, (True, 600, 161)),
        (quota, (True, 7200, 0)),  # it ends with the period
        (arrears, (False, None, 0)),  # it does not
        (soft, (True, None, 360)),
        ({"state": 2, "sim_error": 10, "retry_s": 30}, (False, None, 0)),
    ):
        (each,) = c.diagnose(evidence(given))
        assert (each.retry, each.retry_s, each.octets) == again, (given, each.retry, each.retry_s, each.octets)


def test_a_code_says_what_the_verdict_said():
    for cause, name, *_ in c.CAUSES:
        for detail in (0, 1, 2, 8, 22, 133, 177):
            again = c.of_code(c.Verdict(cause, detail).code)
            assert (again.cause, again.detail, again.name) == (cause, detail, name)
    assert c.of_code(0) is None
    assert c.of_code(31) is None
    assert str(c.of_code(c.Verdict(c.STOPPED_BY_US, 4).code)) == "stopped-by-us: STOPPED_BY_HAND"
    assert str(c.of_code(c.Verdict(c.COLLECTOR_REFUSES, 0x81).code)) == "collector-refuses: code 4.01"


def test_the_causes_stand_in_the_order_of_their_codes():
    assert [row[0] for row in c.CAUSES] == list(range(1, len(c.CAUSES) + 1))
    assert len({row[1] for row in c.CAUSES}) == len(c.CAUSES)
    assert len(c.CAUSES) < 31
