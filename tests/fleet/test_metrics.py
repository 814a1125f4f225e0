"""What Prometheus reads: as its own tools take it, and no more than they bear."""

import shutil
import subprocess
from contextlib import closing
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from host_tools.collector.store import Store
from host_tools.fleet.alerts import AlertBook
from host_tools.fleet.outward import metrics
from host_tools.fleet.rules import RULES, Cause
from tests.fleet.conftest import DEVICES


def scraped(site):
    answer = site.client().get("/metrics", Authorization=f"Bearer {site.token('reader')}")
    assert answer.status == 200
    return answer


def by_name(text):
    return {family.name: family.samples for family in text_string_to_metric_families(text)}


def test_promtool_takes_the_metrics(site):
    if shutil.which("promtool") is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=scraped(site).body, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_without_promtool_its_test_is_skipped(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(pytest.skip.Exception, match="not installed"):
        test_promtool_takes_the_metrics(None)


def test_the_figures_are_those_of_the_pages(site):
    found = by_name(scraped(site).text)
    rows = site.ask(lambda: site.desk.reader.some([f"tracker-{number:05}" for number in range(1, DEVICES + 1)]))
    assert sum(each.value for each in found["usageguard_devices"]) == len(rows) == DEVICES
    used = {each.labels["device"]: each.value for each in found["usageguard_device_used_bytes"]}
    assert used == {row.device: row.used for row in rows}
    assert found["usageguard_used_bytes"][0].value == sum(used.values())
    assert {each.labels["rule"] for each in found["usageguard_alerts_open"]} == set(RULES)
    drifts = {each.labels["device"] for each in found["usageguard_device_unexplained_bytes"]}
    assert drifts == {row.device for row in rows if row.compared}


def test_many_devices_are_sums_alone(site, tmp_path):
    with closing(Store(tmp_path / "other.sqlite")) as store:
        book = AlertBook(store.database)
        book.register({"gone": ()})
        book.settle([Cause("silent", "a", "2026-03-01", "")], (), datetime.now(UTC))
        text = metrics.exposed(site.ask(lambda: metrics.read(site.desk.reader, book, DEVICES - 1))).decode()
    assert "usageguard_device_" not in text
    found = by_name(text)
    assert sum(each.value for each in found["usageguard_devices"]) == DEVICES
    assert [(each.labels, each.value) for each in found["usageguard_notices_waiting"]] == [({"channel": "gone"}, 1)]


def test_who_has_no_token_is_told_nothing(site):
    answer = site.client("admin").get("/metrics")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "usageguard_" not in answer.text
