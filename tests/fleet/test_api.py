"""The JSON interface: what it says of a fleet, and that whatever is asked fits its own description."""

import json
import time
from contextlib import closing
from datetime import UTC, date, datetime
from urllib.parse import quote

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from host_tools.bench import fleets
from host_tools.collector.store import Store
from host_tools.fleet.web import api
from host_tools.platforms.ledger import CarrierLedger, Pool
from tests.fleet.conftest import DEVICES
from tests.fleet.site import serving


@pytest.fixture(scope="module")
def token(site):
    return site.token("actor")


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A site that is asked with wrong tokens too, more often than a client may."""
    path = tmp_path_factory.mktemp("asked") / "reports.sqlite"
    fleets.fill(path, 5, datetime.now(UTC))
    patch = pytest.MonkeyPatch()
    patch.setattr(api, "_FAILURES", 1_000_000)
    with serving(path) as served:
        patch.undo()
        yield served


SCHEMA = schemathesis.openapi.from_dict(api.describe())
OPERATIONS = [each.ok() for each in SCHEMA.get_all_operations()]


@pytest.mark.parametrize("mode", [*GenerationMode], ids=lambda each: each.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: each.label)
def test_every_answer_is_as_described(asked, operation, mode):
    """By requests that fit the description, half of those for a device or pool that is there, and by others."""

    token = asked.token("actor")

    @settings(max_examples=10, deadline=None, suppress_health_check=[*HealthCheck])
    @given(operation.as_strategy(generation_mode=mode), st.booleans())
    def fits(case, is_there):
        if is_there and mode is GenerationMode.POSITIVE:
            known = {"device": "tracker-00001", "pool": fleets.POOL}
            case.path_parameters = {name: known.get(name, value) for name, value in case.path_parameters.items()}
        case.call_and_validate(
            base_url=asked.address,
            headers={"Authorization": f"Bearer {token}"},
            excluded_checks=[positive_data_acceptance],  # not every text is a cursor or an order
        )

    fits()


def ask(site, path, token):
    answer = site.client().get(f"/api/v1{path}", Authorization=f"Bearer {token}")
    return answer.status, json.loads(answer.body)


def order(site, token, device, **body):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = site.client().ask("POST", f"/api/v1/devices/{device}/orders", json.dumps(body), **headers)
    return answer.status, json.loads(answer.body)


def test_all_devices_a_page_at_a_time(site, token):
    found, after = [], ""
    while after is not None:
        status, page = ask(site, f"/devices?sort=device&limit=40{f'&after={after}' if after else ''}", token)
        assert status == 200
        found += [each["device"] for each in page["devices"]]
        after = page["next"] and quote(page["next"])
    assert found == [fleets.name(number) for number in range(1, DEVICES + 1)]


def walked(site, token, path, name):
    """All entries of a list, two at a time."""
    found, after = [], ""
    while after is not None:
        status, page = ask(site, f"{path}{'&' if '?' in path else '?'}limit=2{after}", token)
        assert (status, len(page[name]) <= 2) == (200, True)
        found += page[name]
        after = f"&after={quote(page['next'])}" if page["next"] else None
    return found


def test_pools_a_page_at_a_time(asked):
    """Two beside the one that the fleet is in."""
    now, token = datetime.now(UTC), asked.token("reader")
    with closing(Store(asked.db)) as store:
        for name in ("a", "b"):
            CarrierLedger(store.database).put_pool(Pool(name, date(2026, 3, 1), now, 9, 4, {f"never-{name}": None}))
    while len(pools := walked(asked, token, "/pools", "pools")) < 3:
        time.sleep(0.05)
    assert [each["pool"] for each in pools] == ["a", "b", fleets.POOL]
    assert pools[0] == {
        "pool": "a", "period": "2026-03-01", "as_of": now.isoformat(), "total": 9, "used": 4, "members": 1,
        "by_members": 0, "granted": None,
    }  # fmt: skip
    assert ask(asked, "/pools/a/members", token)[1] == {
        "members": [{"device": "never-a", "state": None, "seen": None, "used": 0, "granted": None}], "next": None,
    }  # fmt: skip


def test_members_use_a_pool_up(site, token):
    path = f"/pools/{fleets.POOL}/members"
    members = walked(site, token, path, "members")
    used = [each["used"] for each in members]
    assert used == sorted(used, reverse=True)
    assert {each["granted"] for each in members} == {fleets.ALLOWANCE // 2}
    in_order = [each["device"] for each in walked(site, token, f"{path}?sort=device", "members")]
    assert in_order == [fleets.name(number) for number in range(4, DEVICES + 1, 4)]
    (pool,) = ask(site, "/pools", token)[1]["pools"]
    assert (pool["members"], pool["by_members"]) == (len(members), sum(used))
    for query, status in (("/pools/other/members", 404), (f"{path}?sort=size", 400), ("/pools?pool=a", 400)):
        assert ask(site, query, token)[0] == status


def test_sims_that_cost_for_little_or_nothing(site, token):
    dead = walked(site, token, "/idle-sims", "sims")
    assert sorted(each["device"] for each in dead) == [fleets.name(number) for number in (29, 69, 109)]
    assert [each["seen"] for each in dead] == sorted(each["seen"] for each in dead)
    idle = walked(site, token, "/idle-sims?kind=idle", "sims")
    assert sorted(each["device"] for each in idle) == [fleets.name(number) for number in (17, 57, 97)]
    assert all(each["used"] * 100 < each["allowance"] == fleets.ALLOWANCE for each in idle)
    assert {(each["sim"], each["life"]) for each in dead + idle} == {(None, None)}
    unheard = walked(site, token, "/idle-sims?kind=unheard", "sims")
    assert unheard[0] == {
        "device": "spare-00001", "sim": "1450000000001", "life": "active", "state": None, "seen": None, "used": None,
        "allowance": None, "tags": [],
    }  # fmt: skip
    assert len(unheard) == 2
    for query in ("kind=lazy", "kind=idle&after=x"):
        assert ask(site, f"/idle-sims?{query}", token)[0] == 400


def test_orders_are_previewed_given_and_listed(tmp_path):
    fleets.fill(tmp_path / "reports.sqlite", 2, datetime.now(UTC))
    with serving(tmp_path / "reports.sqlite") as site:
        actor, reader = site.token("actor"), site.token("reader")
        status, shown = order(site, actor, "tracker-00001", order="limit=5MB", preview=True)
        assert (status, shown["id"], "rated" in shown["before"]) == (200, None, True)
        assert order(site, reader, "tracker-00001", order="stop")[0] == 403
        assert order(site, actor, "tracker-00001", order="limit=lots")[0] == 422
        assert order(site, actor, "nobody", order="stop")[0] == 422
        assert order(site, actor, "tracker-00001", order="stop", extra=1)[0] == 422
        assert order(site, "ug_wrong", "tracker-00001", order="stop")[0] == 401
        assert ask(site, "/orders", reader) == (200, {"orders": [], "next": None})
        given = [order(site, actor, f"tracker-0000{number}", order="stop", why="lost")[1]["id"] for number in (1, 2, 1)]
        status, first = ask(site, "/orders?limit=2", reader)
        assert [each["id"] for each in first["orders"]] == given[:2]
        assert first["orders"][0]["given_by"] == "actor"
        status, rest = ask(site, f"/orders?after={first['next']}", reader)
        assert ([each["id"] for each in rest["orders"]], rest["next"]) == (given[2:], None)
        status, own = ask(site, "/orders?device=tracker-00002", reader)
        assert [each["device"] for each in own["orders"]] == ["tracker-00002"]


def test_wrong_tokens_are_not_tried_for_long(tmp_path):
    fleets.fill(tmp_path / "reports.sqlite", 1, datetime.now(UTC))
    with serving(tmp_path / "reports.sqlite") as site:
        right = site.token("reader")
        assert {ask(site, "/devices", f"ug_{number}")[0] for number in range(30)} == {401}
        assert ask(site, "/devices", "ug_31")[0] == 429
        assert ask(site, "/devices", right)[0] == 200
