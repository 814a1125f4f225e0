"""Expectations hold or say what did not."""

import copy

import pytest

from host_tools.scenario.expect import Expect

RESULT = {
    "carrier": {
        "ip_octets": 100_000,
        "billed_octets": 98_000,
        "allowance_octets": 100_000,
        "stopped_at": None,
        "overage_cost": 700,
        "stops": ["exhausted", "manual"],
        "denied_octets": 1_500,
    },
    "device": {
        "carried_octets": 100_400,
        "rated_octets": 98_100,
        "verdict": "restricted",
        "verdicts_seen": ["open", "warned", "restricted"],
        "reasons": ["EXPIRED", "ARREARS"],
        "reasons_seen": ["QUOTA_EXHAUSTED", "EXPIRED", "ARREARS"],
        "warned": ["used-500", "days-7"],
        "cost_fen": 720,
        "orders_applied": 4,
        "stopped_at": "2026-03-25T00:00:00+00:00",
        "boots": 2,
    },
    "upstream": {"reports_received": 9, "reports_lost": 1},
}


def changed(path, value):
    result = copy.deepcopy(RESULT)
    table, key = path.split(".")
    result[table][key] = value
    return result


def test_what_holds_says_nothing():
    expect = Expect(
        carrier_stopped=False,
        device_stopped=True,
        carried_over_permille=4,
        rated_error_permille=2,
        used_permille=980,
        reports_lost=1,
        reports_received=9,
        boots=2,
        verdict="restricted",
        verdicts_seen=["restricted", "open"],
        reasons=["ARREARS", "EXPIRED"],
        reasons_seen=["QUOTA_EXHAUSTED"],
        warned=["days-7"],
        cost_fen_at_most=700,
        cost_over_fen=20,
        carrier_stops=["manual", "exhausted"],
        denied_octets_at_most=1_500,
        orders_applied=4,
    )
    assert expect.failures(RESULT) == []
    assert Expect().failures(RESULT) == []


@pytest.mark.parametrize(("carried", "enough"), [(99_400, True), (99_399, False)])
def test_what_was_under_way_at_a_real_boards_last_status_may_be_missing(carried, enough):
    result = changed("device.carried_octets", carried)
    result["device"]["unseen_octets"] = 600
    assert (Expect(carried_over_permille=5).failures(result) == []) is enough


@pytest.mark.parametrize(
    ("expect", "result", "failure"),
    [
        (Expect(carrier_stopped=True), RESULT, "the carrier did not stop"),
        (
            Expect(carrier_stopped=False),
            changed("carrier.stopped_at", "x"),
            "the carrier stopped the data service at x",
        ),
        (Expect(device_stopped=False), RESULT, "the device stopped"),
        (Expect(device_stopped=True), changed("device.stopped_at", None), "the device did not stop"),
        (Expect(carried_over_permille=3), RESULT, "400 octets more"),
        (Expect(carried_over_permille=5), changed("device.carried_octets", 99_999), "1 octets fewer than the carrier"),
        (Expect(carried_over_permille=5), changed("device.carried_octets", None), "reported no figures"),
        (Expect(rated_error_permille=1), RESULT, "rated +100 octets off"),
        (Expect(rated_error_permille=1), changed("device.rated_octets", 97_000), "rated -1,000 octets off"),
        (Expect(used_permille=981), RESULT, "98,000 of 100,000 octets were used"),
        (Expect(reports_lost=0), RESULT, "1 reports were lost"),
        (Expect(reports_received=10), RESULT, "9 reports were received"),
        (Expect(boots=1), RESULT, "the board started 2 times, not 1"),
        (Expect(verdict="shed"), RESULT, 'the verdict is "restricted", not "shed"'),
        (Expect(verdicts_seen=["open", "shed"]), RESULT, 'the verdict was never "shed", but open, warned, restricted'),
        (Expect(reasons=[]), RESULT, "the reasons to stop are EXPIRED, ARREARS, not none"),
        (Expect(reasons=["EXPIRED"]), RESULT, "the reasons to stop are EXPIRED, ARREARS, not EXPIRED"),
        (Expect(reasons=["EXPIRED", "EXPIRED"]), RESULT, "the reasons to stop are"),
        (Expect(reasons=["EXPIRED"]), changed("device.reasons", None), "the reasons to stop are none, not EXPIRED"),
        (Expect(reasons_seen=["BURST"]), RESULT, 'there was never the reason "BURST", but QUOTA_EXHAUSTED, EXPIRED'),
        (Expect(warned=["forecast"]), RESULT, 'there was never the warning "forecast", but used-500, days-7'),
        (Expect(cost_fen_at_most=699), RESULT, "700 fen were charged beyond the plan, more than 699"),
        (Expect(cost_over_fen=19), RESULT, "the device reported a cost of 720 fen, not 700 to 719 fen"),
        (Expect(cost_over_fen=19), changed("device.cost_fen", 699), "the device reported a cost of 699 fen, not 700"),
        (Expect(cost_over_fen=19), changed("device.cost_fen", None), "the device reported no cost, not 700 to 719 fen"),
        (Expect(cost_over_fen=19), changed("carrier.overage_cost", None), "a cost of 720 fen, not 0 to 19 fen"),
        (Expect(carrier_stops=[]), RESULT, "the carrier's stops are exhausted, manual, not none"),
        (Expect(carrier_stops=["arrears"]), changed("carrier.stops", []), "the carrier's stops are none, not arrears"),
        (Expect(denied_octets_at_most=1_499), RESULT, "1,500 octets were carried against the carrier's policy, more"),
        (Expect(orders_applied=5), RESULT, "4 orders were applied, fewer than 5"),
    ],
)
def test_what_does_not_hold_is_named(expect, result, failure):
    (line,) = expect.failures(result)
    assert failure in line
