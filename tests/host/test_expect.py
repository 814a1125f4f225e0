"""Expectations hold or say what did not."""

import copy

import pytest

from host_tools.expect import Expect

RESULT = {
    "carrier": {"ip_octets": 100_000, "billed_octets": 98_000, "allowance_octets": 100_000, "stopped_at": None},
    "device": {
        "carried_octets": 100_400,
        "rated_octets": 98_100,
        "verdict": "open",
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
        verdict="open",
    )
    assert expect.failures(RESULT) == []
    assert Expect().failures(RESULT) == []


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
        (Expect(carried_over_permille=5), changed("device.carried_octets", None), "told no figures"),
        (Expect(rated_error_permille=1), RESULT, "rated +100 octets off"),
        (Expect(rated_error_permille=1), changed("device.rated_octets", 97_000), "rated -1,000 octets off"),
        (Expect(used_permille=981), RESULT, "98,000 of 100,000 octets were used"),
        (Expect(reports_lost=0), RESULT, "1 reports were lost"),
        (Expect(reports_received=10), RESULT, "9 reports were received"),
        (Expect(boots=1), RESULT, "the board started 2 times, not 1"),
        (Expect(verdict="shed"), RESULT, 'the verdict is "open", not "shed"'),
    ],
)
def test_what_does_not_hold_is_named(expect, result, failure):
    (line,) = expect.failures(result)
    assert failure in line
