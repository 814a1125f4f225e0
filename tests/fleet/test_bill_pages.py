"""The bill explained on the page, as files and for programs."""

import csv
import html
import io
import json
import re
from contextlib import closing
from datetime import UTC, date, datetime
from itertools import accumulate, pairwise

import pyarrow.parquet
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from host_tools.base.days import day_number
from host_tools.bench import fleets
from host_tools.collector.store import Store
from host_tools.fleet.bill import STEPS
from host_tools.fleet.web.waterfall import SCALE, stacked, waterfall
from host_tools.platforms.interface import Data, Life, State, Usage
from host_tools.platforms.ledger import CarrierLedger
from host_tools.platforms.reconcile import Rating
from tests.fleet.conftest import DEVICES
from tests.fleet.site import device_path, serving


@pytest.fixture(scope="module")
def site(any_site):
    return any_site


@pytest.fixture(scope="module")
def reader(site):
    site.explained()
    return site.client("reader")


def billed(page):
    return re.findall(r'<th scope="row"><a href="/devices/([^"/]+)/bill', page)


def table(client, query=""):
    return [*csv.DictReader(io.StringIO(client.get(f"/bill.csv{query}").text))]


def test_every_bill_is_shown_once_the_least_explained_first(reader):
    seen, path = [], "/bill"
    while path:
        page = reader.get(path).text
        seen += billed(page)
        following = re.search(r'<a rel="next" href="([^"]+)"', page)
        path = html.unescape(following[1]) if following else ""
    rows = table(reader)
    off = [abs(int(row["unexplained"])) for row in rows]
    assert off == sorted(off, reverse=True)
    assert off[0] > 1 << 20
    assert seen == [row["device"] for row in rows]
    heard = [number for number in range(1, DEVICES + 1) if number % 40 != 29]  # the others are dead
    assert sorted(seen) == [fleets.name(number) for number in heard]


def test_each_row_of_the_file_adds_up(reader):
    for row in table(reader):
        assert int(row["carried"]) + sum(int(row[name]) for name in STEPS) == int(row["carrier"]), row


def test_the_whole_is_the_sum_of_the_rows(reader):
    page = reader.get("/bill").text
    rows = table(reader)
    said = re.search(r"(\d+) SIMs: the carrier counted ([\d.]+) GB, the devices ([\d.]+) GB", page)
    carrier, carried = (sum(int(row[name]) for row in rows) / (1 << 30) for name in ("carrier", "carried"))
    assert (int(said[1]), float(said[2]), float(said[3])) == (len(rows), round(carrier, 2), round(carried, 2))


def test_a_period_is_chosen_sorted_and_searched(reader):
    periods = re.findall(r"<option(?: selected)?>(\d{4}-\d\d-\d\d)</option>", reader.get("/bill").text)
    assert len(periods) == 2
    rows = table(reader, f"?period={periods[1]}&sort=carrier&q=RACKER-0001")
    assert {row["period"] for row in rows} == {periods[1]}
    assert sorted(row["device"] for row in rows) == [f"tracker-0001{digit}" for digit in range(10)]
    counts = [int(row["carrier"]) for row in rows]
    assert counts == sorted(counts, reverse=True)
    assert "No device matches." in reader.get("/bill?q=%25").text, "a percent sign stands for itself"


def test_parquet_has_what_the_csv_has(reader):
    answer = reader.get("/bill.parquet?sort=device")
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    read = pyarrow.parquet.read_table(io.BytesIO(answer.body))
    assert str(read.schema.field("carrier").type) == "int64"
    assert str(read.schema.field("period").type) == "date32[day]"
    assert str(read.schema.field("as_of").type) == "timestamp[us, tz=UTC]"
    rows = table(reader, "?sort=device")
    assert read.column("device").to_pylist() == [row["device"] for row in rows]
    assert read.column("unexplained").to_pylist() == [int(row["unexplained"]) for row in rows]
    assert read.column("period").to_pylist() == [date.fromisoformat(row["period"]) for row in rows]


def test_without_pyarrow_there_is_no_parquet(reader, monkeypatch):
    from host_tools.base import extras

    monkeypatch.setitem(extras.MODULES, "parquet", ("not_installed_here",))
    assert "/bill.parquet" not in reader.get("/bill").text
    assert reader.get("/bill.parquet").status == 404


def test_a_device_has_its_bills(reader):
    name = table(reader)[0]["device"]
    page = reader.get(device_path(name, "/bill")).text
    assert re.search(r"[\d.]+ MB of the carrier&#39;s [\d.]+ MB is unexplained", page)
    assert page.count("?period=") >= 2
    assert reader.get(device_path(name, "/bill?period=2020-01-01")).status == 404
    assert f"/devices/{name}/bill?period=" in reader.get(device_path(name)).text


@pytest.mark.parametrize("query", ["sort=size", "period=soon", "period=20260301", "after=x"])
def test_what_no_page_links_to_is_refused(reader, query):
    assert reader.get(f"/bill?{query}").status == 400
    assert reader.get(f"/bill.csv?{query}").status == 400


def test_for_programs(site, reader):
    token = site.token("reader")

    def ask(path):
        answer = site.client().get(f"/api/v1{path}", Authorization=f"Bearer {token}")
        return answer.status, json.loads(answer.body)

    status, page = ask("/bills?limit=1")
    worst = table(reader)[0]
    assert status == 200
    (bill,) = page["bills"]
    assert {name: str(bill[name]) for name in ("device", "unexplained", "carrier")} == {
        name: worst[name] for name in ("device", "unexplained", "carrier")
    }
    assert ask(f"/bills?limit=1&after={page['next']}")[1]["bills"][0]["device"] == table(reader)[1]["device"]
    status, own = ask(f"/devices/{bill['device']}/bills")
    assert (status, own["bills"][0], len(own["bills"])) == (200, bill, 2)
    assert ask("/devices/nobody/bills")[0] == 404
    assert ask("/bills?sort=size")[0] == 400


def test_cells_of_a_bill_are_no_formulas(new_database):
    """The id of a device, and what the platform calls its figure."""
    path, device = new_database(), "=1+cmd|calc"
    fleets.fill(path, 1, datetime.now(UTC))
    start = date(2026, 3, 1)
    with closing(Store(path)) as store:
        store.add(device, *fleets.made(seq=0, cycle_id=day_number(start), base=0, rated=9), datetime.now(UTC), "coap")
        CarrierLedger(store.database).add(device, Usage("1", 7, start, datetime.now(UTC), "@SUM(A1)"))
        CarrierLedger(store.database).put(device, State("1", Life.ACTIVE, Data.ON, (), {}), datetime.now(UTC))
    with serving(path) as site:
        site.explained()
        (row,) = table(site.client("reader"), "?period=2026-03-01")
    assert (row["device"], row["source"]) == (f"'{device}", "'@SUM(A1)")


def test_the_page_says_where_the_contract_is_not_known(site, reader, monkeypatch):
    assert "What the contract adds is not known" not in reader.get("/bill").text
    monkeypatch.setattr(site.desk, "terms", type(site.desk.terms)(rating=Rating()))
    assert "What the contract adds is not known" in reader.get("/bill").text


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.lists(st.integers(-1_000, 5_000), min_size=6, max_size=6))
def test_the_picture_leads_from_one_count_to_the_other(carried, changes):
    steps = dict(zip(STEPS, changes, strict=True))
    levels = [*accumulate(changes, initial=carried)]
    assume(min(levels) >= 0)
    carrier = levels[-1]
    drawn = waterfall(carried, steps, carrier)
    bars = drawn.bars
    assert [bar.name for bar in bars] == ["device", *STEPS, "carrier"]
    for before, after in pairwise(bars):
        assert before.ends == after.begins
    for bar in bars:
        assert 0 <= round(bar.width, 1) <= SCALE
        assert -0.1 <= bar.left <= SCALE - bar.width + 0.1
        assert bar.is_step == (bar.name in STEPS)
    for bar in bars[1:-1]:
        assert bar.ends - bar.begins == pytest.approx(bar.octets * SCALE / max(max(levels) - drawn.origin, 1), abs=0.2)
    parts = stacked(steps)
    assert {name for name, *_ in parts} == {name for name, octets in steps.items() if octets}
    assert sum(width for *_, width in parts) == pytest.approx(SCALE if parts else 0, abs=0.5)
