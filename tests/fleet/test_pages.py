"""The pages as a browser without scripts has them."""

import csv
import html
import io
import json
import re
import socket
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from host_tools.bench import fleets
from host_tools.bench.fleets import made
from host_tools.collector.store import Store
from host_tools.fleet.accounts import Role
from host_tools.fleet.serve import Listen, bound_to
from host_tools.fleet.web.render import short
from host_tools.fleet.web.security import Line
from tests.fleet.conftest import DEVICES
from tests.fleet.site import CODE, PASSWORD, device_path, serving

HEADER = {"X-Forwarded-Proto": "https"}


@pytest.fixture(scope="module")
def site(any_site):
    return any_site


@pytest.fixture(scope="module")
def admin(site):
    return site.client("admin")


@pytest.fixture
def own(new_database):
    """A site that a test may change, with three devices."""
    name = new_database()
    fleets.fill(name, 3, datetime.now(UTC))
    with serving(name) as served:
        yield served


def rows(page):
    return re.findall(r'<th scope="row"><a href="/devices/([^"]+)"', page)


def counts(page):
    return [int(each.replace(",", "")) for each in re.findall(r'class="s\d">\s*<strong>([\d,]+)<', page)]


def test_the_fleet_is_counted_by_state_and_listed_a_page_at_a_time(admin):
    page = admin.get("/").text
    assert sum(counts(page)) == DEVICES
    seen, path = [], "/"
    while path:
        page = admin.get(path).text
        seen += rows(page)
        following = re.search(r'<a rel="next" href="([^"]+)"', page)
        path = "/" + html.unescape(following[1]) if following else ""
    assert sorted(seen) == [fleets.name(number) for number in range(1, DEVICES + 1)]


def test_the_dark_come_first_and_are_explained(admin):
    page = admin.get("/?state=1").text
    assert "The network refuses a data session, or ends it" in page
    assert "session refused with CME 33; platform: SIM active, data off (exhausted)" in page
    assert len(rows(page)) == counts(page)[0] > 0
    assert rows(admin.get("/").text)[0] in rows(page)


def test_a_day_shows_who_runs_out_on_it(admin):
    page = admin.get("/").text
    day, count = re.search(r'runs_out=(\d{4}-\d\d-\d\d)[^>]*aria-label="(\d+) on', page).groups()
    assert len(rows(admin.get(f"/?state=4&runs_out={day}").text)) == int(count) > 0


def test_the_search_finds_part_of_an_id(admin):
    assert rows(admin.get("/?q=RACKER-0012&sort=device").text) == [f"tracker-0012{digit}" for digit in range(10)]
    nothing = admin.get("/?q=nothing").text
    assert rows(nothing) == []
    assert "No device matches." in nothing


@pytest.mark.parametrize(("language", "said"), [("zh-CN,zh;q=0.9", "台断网"), ("de, en;q=0.5", "devices are dark")])
def test_the_language_is_the_readers(site, language, said):
    assert said in site.client("reader", language).get("/").text


def test_preferences_are_kept(site):
    client = site.client("reader")
    assert client.post("/preferences", {"language": "zh", "back": "/?q=1"}).location == "/?q=1"
    client.post("/preferences", {"theme": "dark"})
    page = client.get("/").text
    assert 'lang="zh-CN" data-theme="dark"' in page


def test_a_device_has_its_figures_and_the_carriers(admin):
    page = admin.get(device_path("tracker-00001")).text
    assert "±40 KB" in page
    drawn = json.loads(page.partition('id="usage">')[2].partition("</script>")[0])
    table = page.partition("<details>")[2].partition("</details>")[0]
    cells = re.findall(r'<tr><th scope="row">([\d-]+)</th><td class="right">(.*?)</td>', table)
    used = {each["day"]: short(each["rated"]) for each in drawn["days"] if each["rated"]}
    assert used.items() <= dict(cells).items(), "the picture and the table say the same"
    last, rated, bound = drawn["period"]["device"][-1]
    assert (bound, short(rated) in page) == (40_960, True)
    assert timedelta() <= datetime.now(UTC) - datetime.fromtimestamp(last, UTC) < timedelta(days=2)
    assert admin.get(device_path("tracker-99999")).status == 404


def test_the_csv_has_every_device_of_a_choice(admin):
    table = [*csv.DictReader(io.StringIO(admin.get("/fleet.csv?state=4&sort=used").text))]
    used = [int(row["used"]) for row in table]
    assert len(table) == counts(admin.get("/").text)[3]
    assert used == sorted(used, reverse=True)
    assert {row["state"] for row in table} == {"runs_out"}


def test_an_order_is_previewed_confirmed_and_told(own):
    actor, device = own.client("actor"), "tracker-00001"
    shown = actor.post(device_path(device, "/preview"), {"what": "stop", "why": "lost"})
    assert (shown.status, "Stop all data but reports" in shown.text) == (200, True)
    assert re.search(r"<dd>Data flows freely · .* MB</span>", shown.text), "how the device is now, in words and units"
    assert own.ask(own.desk.store.book.given) == [], "a preview gives nothing"
    assert actor.post(device_path(device, "/orders"), {"what": "stop", "why": "lost"}).status == 303
    (given,) = own.ask(own.desk.store.book.given)
    assert (given.device, given.what, given.given_by, given.why) == (device, "stop", "actor", "lost")
    assert "lost" in actor.get(device_path(device)).text
    assert actor.post(f"/orders/{given.id}/cancel", {}).status == 303
    assert own.ask(lambda: own.desk.store.book.given()[0].state.value) == "cancelled"
    (entry,) = [each for each in own.ask(lambda: own.desk.accounts.audit(9)) if each.what == "order-cancelled"]
    assert (entry.account, entry.detail) == ("actor", f"{given.id} stop {device}")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"what": "limit", "value": "much"}, "is not a size"),
        ({"what": "limit", "value": ""}, "has no value"),
        ({"what": "explode"}, "is not an order"),
        ({}, "is not an order"),
    ],
)
def test_what_is_no_order_is_said(own, fields, said):
    actor = own.client("actor")
    for path in ("/preview", "/orders"):
        answer = actor.post(device_path("tracker-00001", path), fields)
        assert (answer.status, said in html.unescape(answer.text)) == (422, True)
        assert 'name="value" value="much"' in answer.text or fields.get("value") != "much", "what was written is lost"
        assert '<option value="limit" selected>' in answer.text or fields.get("what") != "limit"
        assert f'hx-get="{device_path("tracker-00001")}"' in answer.text, "what is read again is no form's address"
    assert own.ask(own.desk.store.book.given) == []


def test_what_a_collector_stores_is_told_at_once(own):
    """The stream, and then the page."""
    import http.client

    reader = own.client("reader")
    cookies = "; ".join(f"{name}={value}" for name, value in reader.cookies.items())
    connection = http.client.HTTPConnection("127.0.0.1", own.port, timeout=60)
    with closing(connection), closing(Store(own.db)) as store:
        connection.request("GET", "/live?device=tracker-00002", headers={"Cookie": cookies})
        stream = connection.getresponse()
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.readline().startswith(b"retry")
        cycle = store.latest("tracker-00002").report.cycle_id
        report, payload = made(seq=40, cycle_id=cycle, base=99 << 20, rated=7 << 20, verdict=4, reasons=0x10)
        store.add("tracker-00001", *made(seq=40, cycle_id=cycle, base=99 << 20, rated=0), datetime.now(UTC), "coap")
        store.add("tracker-00002", report, payload, datetime.now(UTC), "coap")
        while stream.readline() != b"event: changed\n":
            pass
        assert "The owner orders a stop" in reader.get(device_path("tracker-00002")).text


def test_the_first_account_is_for_who_has_the_code(tmp_path):
    path = tmp_path / "reports.sqlite"
    Store(path).close()
    with serving(path, accounts=False) as site:
        client = site.client()
        assert client.get("/").location == "/login?next=%2F"
        assert client.get("/login").location == "/first"
        fields = {"name": "ada", "password": PASSWORD}
        assert client.post("/first", fields | {"code": "wrong"}).status == 403
        assert client.post("/first", fields | {"code": CODE, "password": "short"}).status == 422
        assert client.post("/first", fields | {"code": CODE}).location == "/"
        assert "No device has reported yet" in client.get("/").text
        other = site.client()
        assert other.post("/first", {"name": "eve", "password": PASSWORD, "code": CODE}).location == "/login"
        assert [name for name, *_ in site.ask(site.desk.accounts.all)] == ["ada"]


def test_a_view_is_saved_and_chosen_again(own):
    reader = own.client("reader")
    query = "?q=tracker&state=4&sort=used"
    assert 'name="do" value="save"' not in reader.get("/").text
    page = reader.get(f"/{query}").text
    hidden = html.unescape(re.search(r'name="query" value="([^"]+)"', page)[1])
    assert reader.post("/views", {"do": "save", "name": " soon  <dark> ", "query": hidden}).location == f"/{query}"
    page = reader.get(f"/{query}").text
    assert f'<a href="/{html.escape(query)}" aria-current="true">soon &lt;dark&gt;</a>' in page
    assert "soon" not in own.client("actor").get("/").text
    assert reader.post("/views", {"do": "save", "name": "x", "query": "?sort=nothing"}).status == 400
    assert reader.post("/views", {"do": "save", "name": "x", "query": query}, csrf="").status == 403
    reader.post("/views", {"do": "remove", "name": "soon <dark>"})
    assert "soon" not in reader.get("/").text


def test_a_password_is_chosen_with_a_link(own):
    code = own.ask(lambda: own.desk.accounts.invite("eve", Role.READ, "test"))
    client = own.client()
    assert code not in client.get("/reset").text
    assert client.post("/reset", {"code": "wrong", "password": PASSWORD}).status == 403
    assert client.post("/reset", {"code": code, "password": "short"}).status == 422
    assert client.post("/reset", {"code": code, "password": PASSWORD}).location == "/login"
    assert client.post("/reset", {"code": code, "password": "another long one"}).status == 403
    assert own.client("eve").get("/").status == 200
    for _ in range(10):
        client.post("/reset", {"code": "wrong", "password": PASSWORD})
    assert client.post("/reset", {"code": "wrong", "password": PASSWORD}).status == 429


def test_an_administrator_has_accounts_made_and_ended(own):
    admin = own.client("admin")
    add = {"do": "add", "name": "eve", "password": PASSWORD, "role": "READ"}
    assert admin.post("/accounts", add).status == 303
    assert (admin.post("/accounts", add).status, admin.post("/accounts", {"do": "dance"}).status) == (422, 400)
    eve = own.client("eve")
    assert admin.post("/accounts", {"do": "role", "name": "eve", "role": "ACT"}).status == 303
    assert eve.post(device_path("tracker-00001", "/preview"), {"what": "stop"}).status == 200
    wrong = {"do": "password", "old": "wrong", "password": "a new long one"}
    assert eve.post("/accounts", wrong).status == 422
    assert eve.post("/accounts", wrong | {"old": PASSWORD}).status == 303
    assert eve.get("/").status == 303, "its sessions have ended"
    assert admin.post("/accounts", {"do": "remove", "name": "eve"}).status == 303
    assert "Account removed" in admin.get("/audit").text


def test_a_proxy_with_tls_is_named(fleet_file, tmp_path):
    fleets.fill(tmp_path / "reports.sqlite", 1, datetime.now(UTC))
    with serving(tmp_path / "reports.sqlite", line=Line(proxy_header="X-Forwarded-Proto")) as site:
        client = site.client()
        assert client.get("/login").status == 403
        assert client.get("/login", **{"X-Forwarded-Proto": "http"}).status == 403
        fields = {"name": "reader", "password": PASSWORD}
        answer = client.post("/login", fields, Origin=f"https://127.0.0.1:{site.port}", **HEADER)
        (cookie,) = answer.headers.get_all("set-cookie")
        assert cookie.startswith("__Host-usageguard=")
        assert {"secure", "httponly", "samesite=lax", "path=/"} <= {each.strip().lower() for each in cookie.split(";")}
        assert answer.headers["strict-transport-security"]


@pytest.mark.parametrize(
    ("listen", "problem"),
    [
        (Listen("0.0.0.0"), "would send passwords in the clear"),
        (Listen("192.0.2.1"), "would send passwords in the clear"),
        (Listen("example"), "is not an IP address"),
        (Listen("::1", certificate=None, key=__file__), "goes with --tls-key"),
    ],
)
def test_nothing_listens_where_passwords_can_be_read(listen, problem):
    with pytest.raises(Exception, match=problem):
        listen.check()


def test_no_answer_waits_for_a_delayed_acknowledgement():
    with closing(bound_to(Listen(port=0))) as bound, socket.create_connection(bound.getsockname()):
        accepted, _ = bound.accept()
        with closing(accepted):
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_where_it_may_listen(tmp_path):
    assert Listen("::1").check() == Line()
    assert Listen("0.0.0.0", proxy_header="X-Forwarded-Proto").check() == Line(proxy_header="X-Forwarded-Proto")
    for name in ("cert.pem", "key.pem"):
        (tmp_path / name).write_text("")
    assert Listen("0.0.0.0", certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem").check() == Line(tls=True)


def test_an_old_report_is_as_old_as_it_is(own):
    with closing(Store(":memory:")) as store:
        report, payload = made(seq=0, cycle_id=9000, base=0, rated=5)
        store.add("old", report, payload, datetime.now(UTC) - timedelta(days=400), "sms")
        from host_tools.fleet.details import details

        known = details(store, "old", datetime.now(UTC))
        assert known.newest.path == "sms"
        assert known.days == []
