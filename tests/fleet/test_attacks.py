"""What others would do to the pages: each attack as its sender would try it, and what came of it."""

import csv
import http.client
import io
import re
import socket
from contextlib import closing
from datetime import UTC, date, datetime
from urllib.parse import urlencode

import pytest
from starlette.routing import Mount, Route

from host_tools.bench import fleets
from host_tools.bench.fleets import made
from host_tools.collector.store import Store
from host_tools.fleet import limiter
from host_tools.fleet.accounts import Accounts, Role
from host_tools.fleet.web.app import make
from host_tools.fleet.web.security import MOST_OCTETS, Line, local
from host_tools.fleet.web.table import csv_lines
from host_tools.platforms.interface import Data, Life, State
from host_tools.platforms.ledger import CarrierLedger, Pool
from tests.fleet.site import PASSWORD, device_path, serving

SCRIPT = "<script>alert(1)</script>\"'&"
IMAGE = "<img src=x onerror=alert(1)>\"'&"
POOL = '=1"; filename="evil'
STOP = device_path("tracker-00001", "/orders")


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "reports.sqlite"
    fleets.fill(path, 2, datetime.now(UTC))
    with serving(path) as served:
        yield served


def orders(site):
    return site.ask(site.desk.store.book.given)


# --- CSRF ---


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_of_another_site_orders_nothing(own, headers):
    actor = own.client("actor")
    assert actor.post(STOP, {"what": "stop"}, **headers).status == 403
    assert orders(own) == []


@pytest.mark.parametrize("csrf", ["x", "0" * 64, "ü"])
def test_a_form_without_the_sessions_secret_orders_nothing(own, csrf):
    actor, other = own.client("actor"), own.client("actor")
    assert actor.post(STOP, {"what": "stop"}, csrf=csrf).status == 403
    assert actor.post(STOP, {"what": "stop"}, csrf=other.csrf).status == 403
    assert actor.ask("POST", STOP, "what=stop", **{"Content-Type": "application/x-www-form-urlencoded"}).status == 403
    assert orders(own) == []


def test_a_form_of_another_type_orders_nothing(own):
    actor = own.client("actor")
    body = urlencode({"what": "stop", "csrf": actor.csrf})
    for kind in ("text/plain", "multipart/form-data", "application/json"):
        assert actor.ask("POST", STOP, body, **{"Content-Type": kind}).status == 415
    assert actor.get(STOP).status == 405
    assert orders(own) == []


def test_a_cookie_counts_for_nothing_in_the_interface_for_programs(own):
    actor = own.client("actor")
    path = "/api/v1" + STOP
    assert actor.ask("POST", path, '{"order": "stop"}', **{"Content-Type": "application/json"}).status == 401
    assert orders(own) == []


# --- what others have written: XSS, formulas ---


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A fleet whose device id, tag, order, reason and alarm are all an attack."""
    path = tmp_path_factory.mktemp("hostile") / "reports.sqlite"
    now = datetime.now(UTC)
    with closing(Store(path)) as store:
        for device in (IMAGE, "=1+1", "../../x", "a/b"):
            report, payload = made(seq=0, cycle_id=9000, base=0, rated=5, verdict=4, reasons=0x10)
            store.add(device, report, payload, now, "coap")
            store.tags.add(SCRIPT.replace(" ", ""), [device])
        with store.database.transaction():
            for table, columns, values in (
                ("alarm", "device, received_at, kind, detail", (IMAGE, now.isoformat(), SCRIPT, SCRIPT)),
                (
                    "carrier_sim",
                    "device, sim, life, data, stop_reasons, asked_at",
                    (IMAGE, "1", SCRIPT, "off", SCRIPT, now.isoformat()),
                ),
            ):  # fmt: skip
                marks = ", ".join("?" * len(values))
                store.database.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", values)
        ledger = CarrierLedger(store.database)
        ledger.put("@SUM(1)", State("-1", Life.ACTIVE, Data.ON, (), {}), now)
        ledger.put_pool(Pool(POOL, date(2026, 3, 1), now, 9, 4, {"=1+1": None, IMAGE: None}))
        from host_tools.collector import ordering

        ordering.wish(store, "stop", [IMAGE], now).give(store, by=SCRIPT, why=SCRIPT)
    with serving(path) as served:
        yield served


def test_no_text_of_others_becomes_markup(hostile):
    admin = hostile.client("admin")
    pages = ["/", f"/?{urlencode({'q': SCRIPT})}", f"/?{urlencode({'tag': SCRIPT, 'reason': SCRIPT})}",
             device_path(IMAGE), "/pools", "/audit", f"/login?{urlencode({'next': '/' + SCRIPT})}"]  # fmt: skip
    for path in pages:
        answer = admin.get(path)
        assert answer.status == 200, path
        assert not re.search("<script>alert|<img src=x", answer.text), path
        assert "alert(1)" in answer.text or path == "/audit", path
    admin.post("/login", {"name": SCRIPT, "password": SCRIPT, "next": "//evil.example"})
    assert "<script>alert" not in admin.get("/audit").text
    shown = admin.post(device_path(IMAGE, "/preview"), {"what": "stop", "why": SCRIPT})
    assert (shown.status, "<script>alert" in shown.text, "alert(1)" in shown.text) == (200, False, True)


def test_no_page_has_a_script_or_style_of_its_own(hostile):
    admin = hostile.client("admin")
    for path in ("/", device_path(IMAGE), "/accounts", "/tokens"):
        answer = admin.get(path)
        assert "script-src 'self';" in answer.headers["content-security-policy"]
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert " style=" not in answer.text
        assert " onclick" not in answer.text


def test_a_cell_of_the_csv_is_no_formula(hostile):
    text = hostile.client("admin").get("/fleet.csv").text
    devices = {row["device"] for row in csv.DictReader(io.StringIO(text))}
    assert devices == {IMAGE, "'=1+1", "../../x", "a/b"}
    for path, column, cells in (
        (f"/pools.csv?{urlencode({'pool': POOL})}", "device", {IMAGE, "'=1+1"}),
        ("/idle.csv?kind=unheard", "device", {"'@SUM(1)"}),
        ("/idle.csv?kind=unheard", "sim", {"'-1"}),
    ):
        answer = hostile.client("admin").get(path)
        assert {row[column] for row in csv.DictReader(io.StringIO(answer.text))} == cells
        assert answer.headers["content-disposition"].count('"') == 2
    row = hostile.ask(lambda: hostile.desk.reader.one("=1+1"))
    for start in "=+-@\t\r":
        (line,) = [*csv.reader(io.StringIO("".join(csv_lines([row._replace(tags=start + "cmd")]))))][1:]
        assert "'" + start + "cmd" in line


# --- paths ---


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/static/words.toml",
        "/devices/..%2f..%2fetc%2fpasswd",
        "/static/\\..\\app.py",
    ],
)
def test_no_file_but_the_pages_own_is_served(site, path):
    answer = site.client("reader").get(path)
    assert answer.status == 404
    assert "import" not in answer.text
    assert "root:" not in answer.text


# --- logins ---


def test_guessing_passwords_ends_soon(own, monkeypatch):
    eve = own.client()
    tried = [eve.post("/login", {"name": "admin", "password": f"guess {number}"}).status for number in range(14)]
    assert tried == [401] * 10 + [429] * 4
    answer = eve.post("/login", {"name": "admin", "password": PASSWORD})
    assert (answer.status, int(answer.headers["retry-after"]) > 600) == (429, True), "not even with the right one"
    assert not any(name.startswith("usageguard") for name in eve.cookies)


def test_a_failure_is_forgotten_in_time():
    now = [0.0]
    limit = limiter.Limiter(2, 60, lambda: now[0])
    for at in (0, 30):
        assert limit.wait_s("a") == 0
        now[0] = at
        limit.failed("a")
    assert (limit.wait_s("a"), limit.wait_s("b")) == (30, 0)
    now[0] = 60
    assert limit.wait_s("a") == 0
    for number in range(20_000):
        limit.failed(str(number))
    assert len(limit._failures) <= 10_000


def test_a_login_takes_as_long_for_an_account_that_is_not_there(own, monkeypatch):
    """Both do the same work: one hash is checked, of the same cost."""
    checked = []
    real = Accounts.is_right

    def is_right(self, hashed, password):
        verify = self._hasher.verify

        class Counting:
            def verify(self, hashed, password):
                checked.append(hashed.rpartition("$")[0].rpartition("$")[0])
                return verify(hashed, password)

        self._hasher, before = Counting(), self._hasher
        try:
            return real(self, hashed, password)
        finally:
            self._hasher = before

    monkeypatch.setattr(Accounts, "is_right", is_right)
    answers = [own.client().post("/login", {"name": name, "password": "wrong"}) for name in ("admin", "nobody")]
    assert len(checked) == 2
    assert checked[0] == checked[1]
    assert answers[0].text == answers[1].text


def test_a_session_that_was_planted_is_not_used(own):
    victim = own.client()
    victim.cookies["usageguard"] = "planted-by-another"
    victim.log_in("admin")
    assert victim.cookies["usageguard"] != "planted-by-another"
    eve = own.client()
    eve.cookies["usageguard"] = "planted-by-another"
    assert eve.get("/").status == 303


def test_a_session_that_was_ended_is_not_used(own):
    admin, thief = own.client("admin"), own.client()
    thief.cookies = dict(admin.cookies)
    assert admin.post("/logout", {}).location == "/login"
    assert thief.get("/").status == 303


@pytest.mark.parametrize(
    "onward",
    ["//evil.example", "https://evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "///evil",
     "/a\r\nX: y", "evil.example", "", "/\t/evil.example"],
)  # fmt: skip
def test_a_login_leads_to_no_other_site(own, onward):
    assert local(onward) == "/"
    assert own.client().post("/login", {"name": "reader", "password": PASSWORD, "next": onward}).location == "/"


def test_a_login_leads_back(own):
    onward = "/devices/tracker-00001?x=1"
    assert own.client().post("/login", {"name": "reader", "password": PASSWORD, "next": onward}).location == onward
    assert own.client().post("/preferences", {"theme": "dark", "back": "//evil.example"}).location == "/"


# --- roles ---


def test_who_may_read_may_do_no_more(own):
    actor = own.client("actor")
    actor.post(STOP, {"what": "stop"})
    (order,) = orders(own)
    reader = own.client("reader")
    for path, fields in (
        (STOP, {"what": "resume"}),
        (device_path("tracker-00001", "/preview"), {"what": "resume"}),
        (f"/orders/{order.id}/cancel", {}),
        ("/accounts", {"do": "add", "name": "eve", "password": PASSWORD, "role": "ADMIN"}),
        ("/accounts", {"do": "role", "name": "reader", "role": "ADMIN"}),
        ("/accounts", {"do": "remove", "name": "admin"}),
    ):
        assert reader.post(path, fields).status == 403, path
    assert reader.get("/audit").status == 403
    assert actor.get("/audit").status == 403
    assert actor.post("/accounts", {"do": "role", "name": "actor", "role": "ADMIN"}).status == 403
    assert orders(own) == [order]
    assert len(own.ask(own.desk.accounts.all)) == 3
    assert 'action="/devices' not in reader.get(device_path("tracker-00001")).text


def test_a_token_of_another_is_not_removed(own):
    own.token("admin")
    (token,) = own.ask(lambda: own.desk.accounts.tokens("admin"))
    own.client("actor").post("/tokens", {"do": "remove", "token": token.digest})
    assert own.ask(lambda: own.desk.accounts.tokens("admin")) == [token]
    asked = own.client("reader").post("/tokens", {"label": "x", "role": "ADMIN"})
    assert asked.status == 200
    assert own.ask(lambda: own.desk.accounts.tokens("reader"))[0].role.name == "READ"


PUBLIC = {"/login", "/first", "/reset", "/preferences", "/api/openapi.json"}


def test_nothing_is_seen_or_done_without_a_login(site):
    """Whatever there is: an address that is added is asked for here by itself."""
    asked = set()
    for route, path, methods in addresses(make(site.desk, Line()).routes):
        for method in methods - {"HEAD"}:
            if route in PUBLIC:
                continue
            asked.add(route)
            answer = site.client().ask(method, path)
            if route.startswith(("/api/", "/metrics")):
                assert answer.status == 401, path
            else:
                told = answer.status, answer.location.partition("?")[0]
                assert told == (303, "/login"), path
    assert {"/", "/pools.csv", "/idle.csv", "/bill.parquet", "/live", "/metrics", "/api/v1/pools"} <= asked


def addresses(routes, before=""):
    """(pattern, address, methods) of each route but those of files."""
    for route in routes:
        pattern = before + route.path
        if isinstance(route, Mount) and route.routes:
            yield from addresses(route.routes, pattern)
        elif isinstance(route, Route):
            address = re.sub(r"\{(\w+):\w+\}", lambda part: "1" if part[1] == "id" else "x", pattern)
            yield pattern, address, route.methods


def test_who_may_read_sees_every_list_and_a_token_no_more_than_its_account(own):
    reader, token = own.client("reader"), own.token("reader")
    for path in ("/pools.csv", "/idle.csv", "/api/v1/pools", "/api/v1/idle-sims"):
        assert reader.get(path, Authorization=f"Bearer {token}").status == 200, path
    for path in ("/api/v1/pools", f"/api/v1/pools/{fleets.POOL}/members", "/api/v1/idle-sims"):
        assert reader.get(path).status == 401, "a cookie is no token"
    own.ask(lambda: own.desk.accounts.change_role("reader", Role.NONE, "test"))
    for path in ("/api/v1/pools", "/api/v1/idle-sims"):
        assert reader.get(path, Authorization=f"Bearer {token}").status == 401
    for path in ("/pools.csv", "/idle.csv"):
        assert reader.get(path).status == 303


# --- sizes, filters ---


def test_a_body_that_is_too_large_is_refused(own):
    actor = own.client("actor")
    assert actor.post(STOP, {"what": "x" * MOST_OCTETS}).status == 413
    connection = http.client.HTTPConnection("127.0.0.1", own.port, timeout=60)
    cookies = "; ".join(f"{name}={value}" for name, value in actor.cookies.items())
    headers = {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}
    with closing(connection):  # in chunks, which tell no length
        connection.request("POST", STOP, iter([b"x" * 1024] * 80), headers)
        assert connection.getresponse().status == 413
    with closing(socket.create_connection(("127.0.0.1", own.port), 60)) as raw:
        raw.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n")
        assert raw.recv(12) in (b"HTTP/1.1 400", b"HTTP/1.1 413")
    assert actor.post(STOP, {f"f{number}": "" for number in range(60)}).status == 400
    assert orders(own) == []


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "device; DROP TABLE device"},
        {"sort": "1"},
        {"state": "1 OR 1=1"},
        {"state": "99"},
        {"after": '["1) OR 1=1 --","a"]', "sort": "x"},
        {"after": "x"},
    ],
)
def test_what_no_page_links_to_is_refused(site, query):
    assert site.client("reader").get(f"/?{urlencode(query)}").status == 400


@pytest.mark.parametrize("name", ["q", "reason", "tag", "runs_out"])
def test_a_filter_is_no_statement(site, name):
    reader = site.client("reader")
    for text in ("' OR '1'='1", "%", "_", "x' UNION SELECT password FROM account --", "\0", "\ud7ff"):
        answer = reader.get(f"/?{urlencode({name: text})}")
        assert (answer.status, "No device matches." in answer.text) == (200, True), text


# --- what is told ---


def test_no_secret_is_in_a_page_or_an_address(site):
    admin = site.client("admin")
    cookie, token = admin.cookies["usageguard"], site.token("admin")
    for path in ("/", "/accounts", "/tokens", "/audit", device_path("tracker-00001")):
        answer = admin.get(path)
        assert answer.status == 200
        for secret in (cookie, token, PASSWORD, "argon2"):
            assert secret not in answer.text, path
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["server"] is None


def test_an_error_of_the_server_tells_nothing(own, monkeypatch):
    def fails(*_):
        raise RuntimeError("secret detail")

    reader = own.client("reader")
    monkeypatch.setattr(own.desk.reader, "summary", fails)
    answer = reader.get("/")
    assert (answer.status, "secret" in answer.text, "Traceback" in answer.text) == (500, False, False)
