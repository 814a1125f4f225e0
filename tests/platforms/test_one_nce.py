"""1NCE's client against answers in the form of its OpenAPI documents."""

import asyncio
import base64
from contextlib import closing
from datetime import date

import pytest

from host_tools.collector.store import Store
from host_tools.platforms.interface import BadCredentials, Data, Life, NoAnswer, Progress, Refused, Scope
from host_tools.platforms.one_nce import OneNce
from host_tools.platforms.sync import Sync
from tests.platforms.recorded import KEY, NOW, Recorded, client

SIM = "8988280666000000000"
TOKEN = {"access_token": "made-up-token", "token_type": "bearer", "expires_in": 3600, "userId": "made-up"}
ABOUT = {"iccid": SIM, "imsi": "901405100000018", "imei_lock": True, "status": "Enabled", "current_quota": 500,
         "quota_status": {"id": 0, "description": "More than 20% available"}, "label": "DX-137-B12"}  # fmt: skip
QUOTA = {"id": 1, "status": {"id": 1, "description": "ACTIVE"}, "volume": 435.787951, "total_volume": 500.0,
         "expiry_date": "2029-01-01T00:00:00.000Z", "threshold_percentage": 20}  # fmt: skip
ONLINE = {"status": {"description": "ONLINE"}, "data_traffic_limit_state": {"description": "NOT_REACHED"},
          "services": ["GPRS"]}  # fmt: skip


def day(of, megabytes):
    data = {"cost": "0.002803", "volume": megabytes, "volume_rx": "0.001482", "volume_tx": "0.001321",
            "traffic_type": {"description": "Data", "id": 5, "unit": "MB"}}  # fmt: skip
    return {"date": of, "data": data, "sms": {"volume": "3", "traffic_type": {"id": 6, "unit": "SMS"}}}


STOPPED = "SIM stopped, data off: deactivated"
USAGE = {"stats": [day("2026-03-02T00:00:00.000Z", "0.5"), day("2026-03-09T00:00:00.000Z", "0.002803"),
                   day("2026-02-28T00:00:00.000Z", "7"), day("TOTAL", "7.502803")]}  # fmt: skip


def answers(**others):
    at = f"management-api/v2/sims/{SIM}"
    return {
        "POST management-api/oauth/token": others.get("token", TOKEN),
        f"GET management-api/v1/sims/{SIM}/usage": others.get("usage", USAGE),
        f"GET {at}": others.get("about", ABOUT),
        f"GET {at}/quota/data": others.get("quota", QUOTA),
        f"GET {at}/status": others.get("status", ONLINE),
        f"PUT {at}": others.get("put", b""),
    }


def asked(call, **others):
    """What `call(platform)` returns, and what it has asked for."""
    http = Recorded(answers(**others))
    return asyncio.run(call(client(OneNce, http, "/management-api", utc_offset_min=0))), http.asked


def test_usage_is_the_sum_of_the_cycles_days():
    found, calls = asked(lambda platform: platform.usage([SIM, "../x"]))
    usage = found.found[SIM]
    assert usage.carried_octets == 524_288 + 2_939
    assert (usage.cycle_start, usage.as_of) == (date(2026, 3, 1), NOW)
    assert "no number" in found.problems["../x"].message
    (_, path, body, headers), (_, query, _, bearer) = calls
    assert (path, body) == ("management-api/oauth/token", {"grant_type": "client_credentials"})
    assert headers["Authorization"] == f"Basic {base64.b64encode(f'user:{KEY}'.encode()).decode()}"
    assert query == f"management-api/v1/sims/{SIM}/usage?start_dt=2026-03-01&end_dt=2026-03-10"
    assert bearer["Authorization"] == "Bearer made-up-token"


def test_a_plan_in_octets_and_one_that_is_overdrawn():
    ((package,), _) = asked(lambda platform: platform.plan(SIM))
    assert (package.total, package.left, package.expires) == (524_288_000, 456_956_787, date(2029, 1, 1))
    ((package,), _) = asked(lambda platform: platform.plan(SIM), quota=QUOTA | {"volume": -0.25})
    assert (package.left, package.used) == (0, 524_288_000)


@pytest.mark.parametrize(
    ("others", "life", "data", "reasons"),
    [
        ({}, Life.ACTIVE, Data.ON, ()),
        ({"about": ABOUT | {"status": "Disabled"}}, Life.STOPPED, Data.OFF, ("deactivated",)),
        ({"about": ABOUT | {"status": "Lost"}}, Life.UNKNOWN, Data.UNKNOWN, ()),
        ({"quota": QUOTA | {"status": {"id": 0, "description": "EXHAUSTED"}}}, Life.ACTIVE, Data.OFF,
         ("data-used-up",)),
        ({"quota": QUOTA | {"status": {"id": 2, "description": "EXPIRED"}}}, Life.ACTIVE, Data.OFF, ("expired",)),
        ({"status": ONLINE | {"data_traffic_limit_state": {"description": "REACHED"}}}, Life.ACTIVE, Data.OFF,
         ("limit-reached",)),
        ({"status": {"status": {"description": "BLOCKED"}, "services": []}}, Life.ACTIVE, Data.OFF, ("blocked",)),
        ({"status": {"status": {"description": "OFFLINE"}, "services": []}}, Life.ACTIVE, Data.ON, ()),
    ],
)  # fmt: skip
def test_states(others, life, data, reasons):
    found, _ = asked(lambda platform: platform.state([SIM]), **others)
    state = found.found[SIM]
    assert (state.life, state.data, state.stop_reasons) == (life, data, reasons)


def test_a_stop_keeps_label_and_lock_and_is_seen_in_the_status():
    async def there(platform):
        made = await platform.stop([SIM])
        return (await platform.outcome(made.changes[0])).progress, await platform.resume([SIM])

    (progress, again), calls = asked(there, about=[ABOUT, ABOUT | {"status": "Disabled"}])
    (put,) = [body for method, _, body, _ in calls if method == "PUT"]
    assert put == {"iccid": SIM, "label": "DX-137-B12", "imei_lock": True, "status": "Disabled"}
    assert progress is Progress.DONE
    assert again.held.keys() == {SIM}


def test_a_change_that_is_not_answered_is_not_repeated():
    lost = NoAnswer("lost", sure=False)
    made, calls = asked(lambda platform: platform.stop([SIM]), put=lost)
    assert made.unsure.keys() == {SIM}
    assert [method for method, *_ in calls].count("PUT") == 1
    made, calls = asked(lambda platform: platform.stop([SIM]), about=lost)
    assert made.problems.keys() == {SIM}, "nothing was asked to be changed"
    assert [method for method, *_ in calls].count("PUT") == 0
    conflict = {"error_code": 1000, "error_token": "Conflict", "message": "Conflicting request"}
    made, _ = asked(lambda platform: platform.stop([SIM]), put=(409, conflict))
    assert made.problems[SIM].code == "1000"


def test_a_sync_asks_each_time_for_the_state_of_each_sim():
    """There is no list of those that were stopped."""
    http = Recorded(answers(about=[ABOUT, ABOUT | {"status": "Disabled"}]))
    with closing(Store()) as store:
        sync = Sync("1nce", {"tracker-001": SIM}, client(OneNce, http, "/management-api"), store)
        done = [asyncio.run(sync.run(NOW)) for _ in range(2)]
    assert [each.states for each in done] == [1, 1]
    assert [each.alarms for each in done] == [[], [("tracker-001", "carrier_stopped", STOPPED)]]


def test_an_expired_token_is_replaced_once():
    found, calls = asked(lambda platform: platform.plan(SIM), quota=[(401, b""), QUOTA])
    assert found
    assert [path.rpartition("/")[2] for _, path, *_ in calls] == ["token", "data"] * 2
    with pytest.raises(BadCredentials):
        asked(lambda platform: platform.plan(SIM), quota=[(401, b"")] * 2)
    refused = {"error": "invalid_client", "error_description": f"user:{KEY} is wrong"}
    with pytest.raises(BadCredentials) as error:
        asked(lambda platform: platform.plan(SIM), token=(401, refused))
    assert KEY not in str(error.value)


@pytest.mark.parametrize(
    "usage",
    [b"<html>", {"stats": "none"}, {"stats": [day("2026-03-02", "much")]}, {"stats": [day("2026-03-02", "NaN")]}, [],
     (503, b""), (429, {})],
)  # fmt: skip
def test_an_answer_that_cannot_be_read_is_no_figure(usage):
    with pytest.raises(NoAnswer):
        asked(lambda platform: platform.usage([SIM]), usage=[usage] * 3)


def test_what_it_does_not_do_it_says():
    for call in (lambda p: p.stop([SIM], Scope.DATA), lambda p: p.pool("p"), lambda p: p.cap(SIM, 1)):
        with pytest.raises(Refused):
            asked(call)
