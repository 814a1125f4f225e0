"""What an application costs a month: projection, range, budget, baseline, and the command from end to end."""

import json
import xml.etree.ElementTree
from collections import Counter
from datetime import UTC, datetime

import pytest

from host_tools import cli
from host_tools.base import paths
from host_tools.base.errors import UsageError
from host_tools.build.application import has_main
from host_tools.cost import compare, measure, show
from host_tools.cost.measure import QUALITIES, Hours, Measured, Sold, Usage, Waits
from host_tools.cost.project import month, of_network
from host_tools.run.targets.link import Patience
from host_tools.run.targets.names import CPYTHON, MICROPYTHON, SIMULATED
from tests.cost import ten
from tests.cost.month import FIRST_SEED, SEEDS, jobs, judge


def a_run(first, whole, days=3, quality="good", seed=1):
    def usage(octets):
        return Usage({"telemetry": Counter({"payload": octets})}, octets // 10, octets // 100, 0, octets / 1000)

    return Measured(quality, seed, days, usage(first), usage(whole), whole, {}, 0, "", 0, Waits(2, 6 * seed, 5))


def test_the_first_day_counts_once():
    assert of_network([a_run(1000, 3000)]).octets == 1000 + 29 * 1000
    assert of_network([a_run(0, 700, days=1)]).octets == 30 * 700


def test_a_range_grows_with_what_seeds_differ_by_and_spans_all_networks():
    steady = of_network([a_run(100, 300, seed=n) for n in range(5)])
    assert (steady.least, steady.most) == (3000 * 0.99, 3000 * 1.01)
    unsteady = of_network([a_run(100, 300 + 20 * n, seed=n) for n in range(5)])
    assert unsteady.most - unsteady.octets > 5 * (steady.most - steady.octets)
    found = month([a_run(100, 300), a_run(100, 340, quality="poor")], Sold(30_000))["month"]
    assert found["least"] < 3000 < found["octets"] == (3000 + 100 + 29 * 120) / 2 < 3580 < found["most"]
    assert (found["send_wait_ms"], found["longest_send_wait_ms"]) == (3, 5)
    assert found["days_until_used_up"] == round(30_000 * 30 / 3290, 1)


@pytest.mark.parametrize(
    ("octets", "charged", "debited"),
    [(None, 0, 2_000), (None, 250, 2_250), (400, 0, 2_600), (400, 250, 2_700)],
)
def test_of_what_is_used_in_its_hours_the_plan_counts_a_share_and_what_is_beyond(octets, charged, debited):
    run = a_run(100, 300)
    run.first.in_hours, run.whole.in_hours = 43, 109  # and 33 on each day that follows
    found = month([run], Sold(6_000, Hours(82_800, 28_800, octets, charged, 28_800)))["month"]
    assert found["octets"] == 3_000
    assert found["hours"] == {"octets": 1_000, "debited_octets": debited}
    assert found["days_until_used_up"] == round(6_000 * 30 / debited, 1)
    words = dict(show.facts({"month": found}))["plan"]
    assert "1000 B are used in its hours" in words


def test_what_is_used_in_the_hours_is_counted_as_it_is_billed(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[plan]\nallowance_octets = "30MB"\nrating = { per_packet_octets = 54 }\n'
        'hours = { from = "06:00", to = "18:00" }\n[upstream]\nhost = "collector"\ninterval_s = "10m"\n', "utf-8"
    )  # fmt: skip
    scenario, sold = measure.compose("workload", str(plan), [])
    assert sold == Sold(30 << 20, Hours(21_600, 43_200, None, 0, 28_800))
    assert scenario.config.plan.hours is None, "what is measured is what would be used"
    assert sold.hours.hold(datetime(2026, 3, 2, 22, 0, tzinfo=UTC))
    assert not sold.hours.hold(datetime(2026, 3, 2, 21, 59, 59, tzinfo=UTC))
    run = measure.measure(measure.Job(scenario, CPYTHON, 1, QUALITIES[0], 1, hours=sold.hours))
    assert 0.45 * run.billed_octets < run.whole.in_hours < 0.55 * run.billed_octets


BEFORE = {"format": 1, "month": {"octets": 1000}, "causes": {"payload": 600, "keepalives": 400}}


def figures(**causes):
    total = sum(causes.values())
    return {
        "app": "my_app.py", "target": "cpython", "days": 3, "runs": 15,
        "month": {"octets": total, "least": total, "most": total, "sessions": 1, "packets": 2, "sms": 0,
                  "radio_on_s": 7200, "send_wait_ms": 1.5, "longest_send_wait_ms": 7, "allowance_octets": 5000,
                  "days_until_used_up": 12.5, "hours": None},
        "causes": causes, "classes": {"telemetry": causes}, "explained": 1.0, "networks": {"good": {"octets": total}},
        "learned_hosts": {"a.example": ["HTTP"]}, "crashes": 0, "crashed_runs": 0, "error": "", "hangs": 0,
    }  # fmt: skip


def test_a_budget_and_a_baseline_fail_with_the_cause_that_grew():
    found = figures(payload=600, keepalives=500, handshakes=900)
    assert compare.failures(found, 2000, None, 10) == []
    assert compare.failures(found, 1999, None, 10) == [
        "2 KB a month is above the budget of 2 KB; most is connections opened and closed, 900 B"
    ]
    (line,) = compare.failures(found, None, BEFORE, 10)
    assert line == (
        "2 KB a month is 100 % more than the baseline's 1000 B, and 10 % are allowed; "
        "grown: connections opened and closed +900 B, keep-alives +100 B"
    )
    assert compare.failures(figures(payload=700, keepalives=400), None, BEFORE, 10) == []
    assert compare.failures(figures(payload=701, keepalives=400), None, BEFORE, 10)


def test_what_is_shown_has_every_cause_and_every_doubt():
    found = {**figures(payload=600, handshakes=900), "failures": ["too much"]}
    text = show.markdown(found, BEFORE)
    assert "❌ my_app.py" in text
    assert "| connections opened and closed | 900 B | 60.0 % | +900 B |" in text
    assert "| keep-alives | 0 B | 0.0 % | −400 B |" in text
    assert "a.example was not given" in text
    badge = xml.etree.ElementTree.fromstring(show.badge(found))
    assert badge.attrib["aria-label"] == "data: 1 KB/month ±1 %"


@pytest.mark.parametrize("target", SIMULATED)
def test_a_send_waits_for_the_segment_before_it(tmp_path, target):
    app = tmp_path / "burst.py"
    app.write_text(
        "import socket, time\n"
        "def main(guard):\n"
        "    link = socket.socket()\n"
        "    link.connect(('sink.example', 9))\n"
        "    link.write(b'x')\n"
        "    time.sleep(60)\n"
        "    link.write(bytes(2 * 1460))\n"
        "    time.sleep(60)\n"
    )
    scenario, _ = measure.compose(str(app), None, ["sink.example=sink"])
    waits = measure.measure(measure.Job(scenario, target, 1, QUALITIES[0], 1)).waits
    on_the_line_ms = 1460 * 10 * 1000 / scenario.baud
    assert waits.sends == 3
    assert on_the_line_ms < waits.most_ms == waits.total_ms < 1.1 * on_the_line_ms  # the others go at once


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("api.example", "does not say what the host is"),
        ("api.example=nothing", "is nothing that a host can be"),
    ],
)
def test_a_host_that_is_not_understood_is_refused(text, said):
    with pytest.raises(UsageError, match=said):
        measure.compose("workload", None, [text])


CONFIGURATION = '[plan]\nallowance_octets = "30MB"\n[plan.rating]\nper_packet_octets = 54\n'


@pytest.mark.parametrize(
    "text",
    ["", "import main\nprint(main)\n", "def start(guard):\n    pass\n", "from app import start\n", CONFIGURATION],
)
def test_an_application_without_main_is_refused(tmp_path, text):
    (tmp_path / "app.py").write_text(text)
    with pytest.raises(UsageError, match="has no main"):
        measure.compose(str(tmp_path / "app.py"), None, [])


@pytest.mark.parametrize(
    "text", ["async def main(guard): pass", "from app import *", "from app import go as main", "a, main = 1, print",
             "if True:\n    def main(guard): pass", "no Python"]
)  # fmt: skip
def test_an_application_may_have_main_in_any_way(text):
    assert has_main(text.encode())


@pytest.mark.parametrize("target", SIMULATED)
def test_an_application_that_always_crashes_is_red_and_says_with_what(tmp_path, target):
    app = tmp_path / "own.py"
    app.write_text("def main(guard):\n    import time\n    time.sleep(40_000)\n    raise ValueError('no reading')\n")
    scenario, sold = measure.compose(str(app), None, [])
    run = measure.measure(measure.Job(scenario, target, 1, QUALITIES[0], 1))
    assert (run.crashes, run.error) == (2, "ValueError: no reading (own.py, line 4)")
    good = a_run(100, 300)
    always, once = month([run], sold), month([run, good], sold)
    assert compare.failures(always, 1 << 30, None, 10) == [
        "the application crashed in every run, 2 times: ValueError: no reading (own.py, line 4)"
    ]
    assert show.warnings(always) == []
    assert compare.failures(once, 1 << 30, None, 10) == []
    assert show.warnings(once) == [
        "the application crashed 2 times in 1 of 2 runs: ValueError: no reading (own.py, line 4)"
    ]


def test_an_application_that_computes_on_and_on_is_given_up(tmp_path):
    app = tmp_path / "own.py"
    app.write_text("def main(guard):\n    while True:\n        pass\n")
    scenario, _ = measure.compose(str(app), None, [])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Patience, "COMPUTES_S", 0.1)
        patch.setattr(Patience, "LOOK_S", 0.01)
        with pytest.raises(UsageError, match=r"own\.py: own\.py:[23]: computes on without a wait"):
            measure.measure(measure.Job(scenario, MICROPYTHON, 1, QUALITIES[0], 1))


@pytest.mark.parametrize("content", ["{}", '{"format": 1, "month": {"octets": "31"}, "causes": {}}', "[]", "x"])
def test_a_baseline_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "main.json").write_text(content)
    with pytest.raises(UsageError):
        compare.read_baseline(tmp_path / "main.json")


def test_what_an_application_imports_is_found(tmp_path):
    (tmp_path / "app.py").write_text("import time, helper\nfrom umqtt.simple import MQTTClient\n")
    (tmp_path / "helper.py").write_text("import deeper\nimport urequests\n")
    (tmp_path / "deeper.py").write_text("import helper\n")
    (tmp_path / "other.py").write_text("")
    modules, libraries = measure.imports(tmp_path / "app.py")
    assert sorted(path.name for path in modules) == ["deeper.py", "helper.py"]
    assert sorted(libraries) == ["umqtt.simple", "urequests"]


def test_the_command_fails_a_budget_and_writes_what_it_found(tmp_path):
    def run(*options):
        given = ["--days", "1", "--seeds", "1", "--target", CPYTHON, "--workers", "1", *options]
        return cli.run(["cost", str(paths.firmware() / "examples" / "blocking_app.py"), *given])

    written = tmp_path / "cost.json"
    assert run("--json", str(written), "--budget", "1KB", "--badge", str(tmp_path / "badge.svg")) == cli.FAILED
    found = json.loads(written.read_text())
    # Five readings of one digit: PUBLISH with a topic of 15 octets and an identifier, and PUBACK.
    assert found["classes"]["telemetry"]["payload"] == 30 * 5 * (2 + 2 + 15 + 2 + 1 + 4)
    assert found["explained"] == 1
    assert found["learned_hosts"] == {"mqtt.example": ["MQTT"]}
    assert "above the budget of 1 KB; most is the guard's reports" in found["failures"][0]
    assert (tmp_path / "badge.svg").exists()


@pytest.mark.proof
@pytest.mark.parametrize(("name", "target"), [("websocket_app", CPYTHON), ("tls_per_message", MICROPYTHON)])
def test_an_application_as_people_write_them_runs_and_is_explained(name, target):
    run, found = ten.day(name, target)
    assert (run.crashes, run.hangs) == (0, 0)
    assert found["explained"] >= ten.LEAST_EXPLAINED
    assert max(found["causes"], key=found["causes"].get) == {"websocket_app": "keepalives"}.get(name, "tls")


@pytest.mark.proof
def test_the_bill_of_another_month_lies_in_the_range():
    """A sample of `python -m tests.cost.month`: one example on the poorest network."""
    poor = QUALITIES[-1].name

    def runs(days, seeds):
        return [
            measure.measure(job) for job in jobs("blocking_app", CPYTHON, days, seeds) if job.quality.name == poor
        ]

    measured = runs(3, range(FIRST_SEED, FIRST_SEED + SEEDS))
    (bill,) = runs(30, range(77, 78))
    assert judge(measured, [(poor, bill.billed_octets)]) == []
