"""Alerts on the page and in the JSON interface: who may see to them, and what is then said."""

import asyncio
import json
import re
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from host_tools.bench import fleets
from host_tools.collector.store import Store
from host_tools.fleet.desk import Desk
from host_tools.fleet.rules import Cause
from host_tools.fleet.watch import Terms
from host_tools.platforms.ledger import CarrierLedger
from tests.fleet.site import quick, serving

NOW = datetime.now(UTC)
EVIL = '"><script>alert(1)</script>'


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "reports.sqlite"
    fleets.fill(path, 1, NOW)
    with closing(Store(path)) as store, store.database.transaction():
        CarrierLedger(store.database).alarm("tracker-00001", "order_refused", EVIL, NOW)
        for table in ("carrier_sim", "carrier_figure"):  # which tell of more
            store.database.execute(f"DELETE FROM {table}")
    with serving(path) as served:
        yield served


@pytest.fixture
def ids(own):
    """Three more alerts, oldest first."""
    causes = [Cause("stopped", f"made-{number}", "2026-03-01", EVIL) for number in range(3)]
    return own.ask(lambda: own.desk.alerts.settle(causes, (), NOW))


def shown(own, path="/alerts", name="actor"):
    return own.client(name).get(path).text


def states(own):
    return {each.subject: each.state for each in own.ask(lambda: own.desk.alerts.page("all"))}


def test_an_alarm_of_the_collectors_is_an_alert_on_the_page(own):
    page = shown(own)
    assert "Order refused" in page
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert "没有" not in page
    device = shown(own, "/devices/tracker-00001")
    assert "Order refused</li>" in device
    assert EVIL not in device
    assert 'href="/alerts?subject=tracker-00001"' in device
    assert "命令被拒绝" in own.client("reader", "zh").get("/alerts").text


def test_a_reader_sees_alerts_and_changes_none(own, ids):
    reader = own.client("reader")
    page = reader.get("/alerts").text
    assert "made-1" in page
    assert 'value="acknowledge"' not in page
    for do in ("acknowledge", "snooze"):
        assert reader.post("/alerts", {"ids": str(ids[0]), "do": do, "hours": "8"}).status == 403
    assert own.client("actor").post("/alerts", {"ids": str(ids[0]), "do": "acknowledge"}, csrf="no").status == 403
    assert set(states(own).values()) == {"open"}


def test_alerts_are_acknowledged_and_put_away(own, ids):
    actor = own.client("actor")
    both = ",".join(map(str, ids[:2]))
    assert actor.post("/alerts", {"ids": both, "do": "acknowledge", "back": "/alerts?show=all"}).location == (
        "/alerts?show=all"
    )
    put_away = {"ids": str(ids[2]), "do": "snooze", "hours": "8", "back": "//x"}
    assert actor.post("/alerts", put_away).location == "/alerts"
    assert states(own) == {
        "tracker-00001": "open", "made-0": "acknowledged", "made-1": "acknowledged", "made-2": "snoozed",
    }  # fmt: skip
    assert re.findall(r"made-\d</a>", shown(own)) == []
    assert "made-2" in shown(own, "/alerts?show=snoozed")
    page = shown(own, "/alerts?show=acknowledged&subject=made-0")
    assert "made-0" in page
    assert "made-1" not in page
    audit = shown(own, "/audit", "admin")
    assert f"#{ids[0]} #{ids[1]}" in audit
    assert f"#{ids[2]} for 8 h" in audit


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/alerts?show=nothing", None),
        ("/alerts?before=x", None),
        (f"/alerts?before={1 << 64}", None),
        ("/alerts", {"ids": "x", "do": "acknowledge"}),
        ("/alerts", {"ids": "", "do": "acknowledge"}),
        ("/alerts", {"ids": "1", "do": "forget"}),
        ("/alerts", {"ids": "1", "do": "snooze", "hours": "999"}),
    ],
)
def test_what_no_page_asks_for_is_refused(site, path, form):
    actor = site.client("actor")
    assert (actor.get(path) if form is None else actor.post(path, form)).status == 400


def test_a_long_list_has_pages(own):
    causes = [Cause("silent", f"many-{number:03}", "2026-03-01", "") for number in range(60)]
    own.ask(lambda: own.desk.alerts.settle(causes, (), NOW))
    first = shown(own)
    following = re.search(r'rel="next" href="([^"]+)"', first)[1]
    both = re.findall(r"many-\d{3}</a>", first) + re.findall(r"many-\d{3}</a>", shown(own, following))
    assert both == [f"many-{number:03}</a>" for number in range(59, -1, -1)]


def test_whoever_listens_is_told_which_devices_have_changed(tmp_path):
    fleets.fill(tmp_path / "reports.sqlite", 2, NOW)
    said = []
    with closing(Desk(tmp_path / "reports.sqlite", Terms(), quick)) as desk:
        desk.listeners.append(said.append)
        asyncio.run(desk.refresh())
    assert {"tracker-00001", "tracker-00002"} <= said[0]


def test_what_a_channel_cannot_send_is_said(own, ids):
    def fails():
        own.desk.alerts.register({"group": ()})
        own.desk.alerts.settle([Cause("silent", "x", "2026-03-01", "")], (), NOW)
        own.desk.alerts.failed("group", own.desk.alerts.claim("group", NOW, 9), "HTTP status 500", NOW)

    own.ask(fails)
    page = shown(own)
    assert "1 to be sent to group" in page
    assert "HTTP status 500" in page


def test_the_json_interface_lists_and_changes_alerts(own, ids):
    actor, reader = own.token("actor"), own.token("reader")

    def ask(path, token=reader, body=None):
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        method = "GET" if body is None else "POST"
        answer = own.client().ask(method, f"/api/v1/alerts{path}", body and json.dumps(body), **headers)
        return answer.status, json.loads(answer.body)

    status, page = ask("?limit=2&state=open")
    assert status == 200
    _, rest = ask(f"?limit=2&state=open&after={page['next']}")
    assert [each["id"] for each in page["alerts"] + rest["alerts"]][1:] == ids
    assert rest["next"] is None
    assert [each["subject"] for each in ask("?device=made-1")[1]["alerts"]] == ["made-1"]
    assert ask(f"/{ids[0]}/acknowledge", reader, {})[0] == 403
    assert ask(f"/{ids[0]}/acknowledge", actor, {})[1]["acknowledged_by"] == "actor"
    status, put_away = ask(f"/{ids[1]}/snooze", actor, {"hours": 2})
    assert (status, put_away["state"]) == (200, "snoozed")
    assert timedelta(hours=1) < datetime.fromisoformat(put_away["snoozed_until"]) - NOW <= timedelta(hours=3)
    assert ask(f"/{ids[1]}/snooze", actor, {"hours": 0})[0] == 422
    for nothing in ("99", "9" * 18, "9" * 19, "9" * 5000, "x"):
        assert ask(f"/{nothing}/acknowledge", actor, {})[0] == 404, nothing
    assert ask("?state=gone")[0] == 400
