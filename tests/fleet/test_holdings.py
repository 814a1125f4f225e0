"""Pools and who eats them; SIMs that cost for little or nothing."""

import csv
import html
import io
import re
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import pytest

from host_tools.base.days import day_number
from host_tools.bench import fleets
from host_tools.bench.fleets import ALLOWANCE, made
from host_tools.collector.retention import reduce
from host_tools.collector.store import Store
from host_tools.fleet.idle import Kind
from host_tools.fleet.index import Index, Reader
from host_tools.fleet.watch import Terms, Watch
from host_tools.platforms.interface import Data, Life, Package, State
from host_tools.platforms.ledger import CarrierLedger, Pool, pool_of
from tests.fleet.conftest import DEVICES
from tests.fleet.site import device_path

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
MB = 1 << 20


@pytest.fixture
def database(new_database):
    return new_database()


@pytest.fixture
def store(database):
    with closing(Store(database)) as made:
        yield made


@pytest.fixture
def reader(database, store):
    """Of what a watch has made of the store; call it."""
    with closing(Store(database)) as watched, closing(Index()) as index, closing(Reader(index)) as reads:
        watch = Watch(watched, index, Terms())

        def read():
            watch.refresh(NOW)
            while watch.to_explain:
                watch.refresh(NOW)
            return reads

        yield read


def reports(store, device, told, life=Life.ACTIVE, total=30 * MB):
    """(days ago, rated octets of its life) of each report; and its SIM."""
    for seq, (days_ago, rated) in enumerate(told):
        report, payload = made(seq=seq, cycle_id=day_number(MARCH), base=0, rated=rated)
        store.add(device, report, payload, NOW - timedelta(days=days_ago), "coap")
    ledger = CarrierLedger(store.database)
    ledger.put(device, State(f"1-{device}", life, Data.ON, (), {}), NOW)
    ledger.put_plan(device, total, None)


def found(reads, kind):
    page = reads.idle.unheard(None, None) if kind is Kind.UNHEARD else reads.idle.heard(kind, NOW, None, None)
    assert reads.idle.counts(NOW)[kind] == len(page.rows)
    return [row.device for row in page.rows]


def test_which_sims_cost_for_little_or_nothing(store, reader):
    limit = 30 * MB // 100 + 1  # 1 % of the allowance
    reports(store, "uses", [(40, 0), (1, limit)])
    reports(store, "idle", [(40, 7 * MB), (31, 8 * MB), (10, 8 * MB), (1, 8 * MB + limit - 1)])
    reports(store, "younger", [(29, 0), (1, 5)])
    reports(store, "unlimited", [(40, 0), (1, 5)], total=0)
    reports(store, "dead", [(60, 0), (30, 9 * MB)])
    reports(store, "gone longer", [(60, 0), (50, 9 * MB)], life=Life.STOPPED)
    reports(store, "not quite", [(60, 0), (29, 9 * MB)])
    reports(store, "cancelled", [(60, 0), (50, 9 * MB)], life=Life.GONE)
    reports(store, "in test", [(40, 0), (1, 5)], life=Life.TEST)
    reports(store, "never", [])
    reports(store, "in stock", [], life=Life.STOCK)
    reads = reader()
    assert found(reads, Kind.DEAD) == ["gone longer", "dead"]
    assert found(reads, Kind.IDLE) == ["idle"]
    assert found(reads, Kind.UNHEARD) == ["never"]
    reports(store, "never", [(0, 0)])
    assert found(reader(), Kind.UNHEARD) == []


def test_a_month_is_known_though_its_reports_were_reduced_to_days(store, reader):
    reports(store, "idle", [(45, 7 * MB), (44, 8 * MB), (43, 8 * MB), (1, 8 * MB + 5)])
    reduce(store.database, timedelta(days=35), NOW)
    assert store.database.execute("SELECT COUNT(*) FROM day") != [(0,)]
    assert found(reader(), Kind.IDLE) == ["idle"]


def test_a_pool_is_eaten_by_its_members(store, reader):
    ledger = CarrierLedger(store.database)
    for device, rated in (("a", 2 * MB), ("b", 5 * MB)):
        reports(store, device, [(1, rated)])
    report, payload = made(seq=0, cycle_id=day_number(date(2026, 2, 1)), base=0, rated=9 * MB)
    store.add("old", report, payload, NOW - timedelta(days=40), "coap")
    ledger.put_pool(Pool("p", MARCH, NOW, 20 * MB, 8 * MB, {"a": 4 * MB, "b": 6 * MB, "old": None, "never": MB}))
    reads = reader()
    (pool,) = reads.pools.all()
    assert (pool.total, pool.used, pool.left, pool.members) == (20 * MB, 8 * MB, 12 * MB, 4)
    assert (pool.by_members, pool.granted, pool.most) == (7 * MB, 11 * MB, 5 * MB)
    rows = reads.pools.members("p", "used", None, None).rows
    assert [(row.device, row.used, row.granted) for row in rows] == [
        ("b", 5 * MB, 6 * MB), ("a", 2 * MB, 4 * MB), ("never", 0, MB), ("old", 0, -1),
    ]  # fmt: skip
    first = reads.pools.members("p", "granted", None, None, 2)
    assert [row.device for row in first.rows] == ["b", "a"]
    assert [row.device for row in reads.pools.members("p", "granted", first.on, None, 2).rows] == ["never", "old"]
    # A later sync tells no grants: they stay, until the next cycle begins. A device may change pools.
    ledger.put_pool(Pool("p", MARCH, NOW + timedelta(hours=1), 20 * MB, 9 * MB, dict.fromkeys(["a", "b"])))
    ledger.put_pool(Pool("q", MARCH, NOW, MB, 0, {"b": None}))
    known = {each.name: each.members for each in ledger.pools()}
    assert known == {"p": {"a": 4 * MB}, "q": {"b": None}}
    assert [each.pool for each in reader().pools.all()] == ["p", "q"]
    ledger.put_pool(Pool("p", APRIL, NOW, 20 * MB, 0, {"a": None}))
    assert ledger.pools()[0].members == {"a": None}


def test_a_pool_that_the_platform_does_not_describe_is_none():
    packages = [Package("x", 5, 2, 3), Package("y", None, 1, None), Package("z", 7, 4, 3)]
    pool = pool_of("p", MARCH, NOW, packages, {})
    assert (pool.total_octets, pool.used_octets) == (12, 6)
    assert pool_of("p", MARCH, NOW, packages[1:2], {}) is None


@pytest.fixture(scope="module")
def site(any_site):
    return any_site


@pytest.fixture(scope="module")
def client(site):
    site.explained()
    return site.client("reader")


def listed(page):
    return re.findall(r'<th scope="row">(?:<a href="[^"]+">)?([\w-]+)', page)


def pages(client, path):
    while path:
        page = client.get(path).text
        yield page
        following = re.search(r'<a rel="next" href="([^"]+)"', page)
        path = html.unescape(following[1]) if following else ""


def test_the_pages_of_pools(client):
    members = [device for page in pages(client, "/pools?sort=device") for device in listed(page)]
    assert members == [fleets.name(number) for number in range(4, DEVICES + 1, 4)]
    page = client.get("/pools").text
    total = ALLOWANCE * len(members) // MB
    assert f"{total * 3 // 5} MB of {total} MB are left of pool-1" in page
    shares = [float(each) for each in re.findall(r'<span class="figure">([\d.]+) %', page)]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] > shares[-1]
    assert client.get("/pools?sort=size").status == 400
    assert "are left of" not in client.get("/pools?pool=other").text


def of_csv(answer):
    assert answer.headers["content-type"].startswith("text/csv")
    return [*csv.DictReader(io.StringIO(answer.text))]


def test_the_files_have_what_the_pages_have(client):
    for path, sort in (("/pools", "used"), ("/pools?sort=device", "device")):
        shown = [*pages(client, path)]
        rows = of_csv(client.get(html.unescape(re.search(r'href="(/pools.csv[^"]+)"', shown[0])[1])))
        assert [row["device"] for row in rows] == [device for page in shown for device in listed(page)]
        assert {row["granted"] for row in rows} == {str(ALLOWANCE // 2)}
        assert of_csv(client.get(f"/pools.csv?sort={sort}")) == rows, "of the first pool"
    for kind in Kind:
        page = client.get(f"/idle?kind={kind}").text
        rows = of_csv(client.get(html.unescape(re.search(r'href="(/idle.csv[^"]+)"', page)[1])))
        assert [row["device"] for row in rows] == listed(page)
    assert (rows[0]["used"].isdigit(), rows[0]["sim"], rows[0]["state"] != "") == (True, "", True)
    assert [client.get(path).status for path in ("/pools.csv?pool=other", "/idle.csv?kind=lazy")] == [404, 400]


def test_the_pages_of_idle_sims(client):
    assert sorted(listed(client.get("/idle").text)) == [fleets.name(number) for number in (29, 69, 109)]
    idle = client.get("/idle?kind=idle").text
    assert sorted(listed(idle)) == [fleets.name(number) for number in (17, 57, 97)]
    assert "used less than 1 % of its allowance in 30 days" in idle
    assert device_path(fleets.name(17)) in idle
    assert listed(client.get("/idle?kind=unheard").text) == ["spare-00001", "spare-00002"]
    assert client.get("/idle?kind=lazy").status == 400
    assert client.get("/idle?after=x").status == 400
