"""The explanation of a plan, its findings and picture, and the command."""

import json
import tomllib
from datetime import datetime
from itertools import pairwise

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st

from host_tools.base.errors import UsageError
from host_tools.planning import command
from host_tools.planning.explain import explain, ordinal, yuan
from host_tools.planning.lint import findings
from host_tools.planning.picture import columns, draw, marks
from host_tools.planning.source import load

AT = datetime.fromisoformat("2026-03-10T12:00:00+08:00")
MB = 1 << 20


@pytest.fixture
def plan(tmp_path):
    def write(text, name="p.toml"):
        path = tmp_path / name
        path.write_text(text)
        return load(path)

    return write


def told(source, at=AT):
    facts = explain(source, at)
    return facts, {(finding.level, finding.field) for finding in findings(source, facts)}


def test_the_demo_on_paper():
    facts, found = told(load("demo"))
    assert facts["sentence"].startswith("30.00 MB for a calendar month from the 1st; used up, the carrier stops")
    assert facts["cycle"]["present"] | {"id": 0} == {
        "id": 0, "phase": "billing", "from": "2026-03-01", "until": "2026-04-01",
    }  # fmt: skip
    assert facts["cycle"]["next"]["until"] == "2026-05-01"
    assert facts["cycle"]["seconds_left"] == 21 * 86_400 + 43_200
    limits = facts["limits"]
    assert limits["margin_octets"] == 30 * MB // 200
    assert limits["report_limit_octets"] == 30 * MB - 30 * MB // 200
    assert limits["local_limit_octets"] == limits["report_limit_octets"] - 12 * 1024
    assert facts["reserve_reports"] == 12 * 1024 // 256
    assert facts["reports"]["per_month_octets"] == 256 * 24 * 31
    assert facts["lease"]["power_cut_over_count_octets"] == 2 * 65_536
    assert {each["name"]: each["stops_at_octets"] for each in facts["classes"]}["ota"] == 27 * MB
    assert not any(level == "warning" for level, _ in found)
    assert json.loads(json.dumps(facts)) == facts


OVERAGE = """title = "Flow"
[plan]
allowance_octets = "10MB"
on_exhaustion = "overage"
warn_cost_fen = [100, 1000]
[plan.overage]
tiers = [{from_octets = 0, block_octets = "1MB", fen = 29}]
cost_cap_fen = 300
[plan.account]
balance_fen = 100
fee_fen = 500
"""


def test_money_on_paper(plan):
    facts, found = told(plan(OVERAGE))
    cost = facts["cost"]
    # 300 fen pay 10 blocks of 1 MB: 290 fen.
    assert (cost["cap_bites"], cost["cap_bites_at_octets"]) == ("cost", 20 * MB)
    assert (cost["worst_fen"], cost["worst_with_fee_fen"]) == (290, 790)
    marks = {each["code"]: each for each in facts["warnings"]}
    assert marks["cost-100"]["at_octets"] == 13 * MB + 1  # the fourth block's first octet
    assert marks["cost-100"]["fires"]
    assert not marks["cost-1000"]["fires"]
    assert ("warning", "plan.warn_cost_fen") in found
    assert ("note", "plan.account.balance_fen") in found


PACKAGE = """[plan]
allowance_octets = "10MB"
activated = "2026-01-31"
warn_days = [30, 7]
[plan.package]
months = 3
slice = "month"
renew_months = 2
"""
LIFE = """[plan]
allowance_octets = "10MB"
[plan.lifecycle]
test_octets = "1MB"
test_until = "2026-03-15"
billing_from = "2026-04-01"
"""


def test_a_package_on_paper(plan):
    source = plan(PACKAGE)
    facts, _ = told(source)
    assert facts["expiry"] == {
        "expires_on": "2026-04-30",
        "renewable_until": "2026-06-30",
        "reminders": ["2026-03-31", "2026-04-23"],
        "days_left": 51,
        "state": "running",
    }
    for at, state in (("2026-04-30", "expired"), ("2026-06-29", "expired"), ("2026-06-30", "cancelled")):
        facts, found = told(source, datetime.fromisoformat(f"{at}T00:00:00+08:00"))
        assert facts["expiry"]["state"] == state
        assert ("warning", "plan.package") in found


def test_a_life_on_paper(plan):
    facts, _ = told(plan(LIFE))
    assert facts["cycle"]["present"]["phase"] == "test"
    assert facts["cycle"]["present"]["until"] == "2026-03-15"
    assert facts["cycle"]["next"]["phase"] == "silent"
    assert facts["lifecycle"]["silent_until"] == "2026-04-01"
    assert facts["lifecycle"]["test"]["allowance_octets"] == MB


ONE_TIER = "tiers = [{block_octets = 1000, from_octets = 0, fen = 1}]"


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ('allowance_octets = "30MB"\nmargin_octets = 1000', ("warning", "plan.margin_octets")),
        ('allowance_octets = "30MB"\nreserve_octets = 600', ("warning", "plan.reserve_octets")),
        ('allowance_octets = "30MB"\non_exhaustion = "none"', ("warning", "plan.on_exhaustion")),
        (
            f'allowance_octets = "30MB"\non_exhaustion = "overage"\n[plan.overage]\n{ONE_TIER}',
            ("warning", "plan.overage"),
        ),
        ('allowance_octets = "1MB"\n[upstream]\nhost = "c"\ninterval_s = "20m"', ("warning", "upstream.interval_s")),
        ('allowance_octets = "30MB"\n[carrier]\npermille = 60', ("warning", "plan.rating.margin_permille")),
        ('allowance_octets = "30MB"\ncycle_start_day = 31', ("note", "plan.cycle_start_day")),
    ],
)
def test_doubts_come_with_what_is_questionable_and_only_then(plan, text, finding):
    assert finding in told(plan(f"[plan]\n{text}\n"))[1]
    assert finding not in told(plan('[plan]\nallowance_octets = "30MB"\n[upstream]\nhost = "c"\n'))[1]


def test_a_device_that_only_observes_is_a_finding(plan):
    observing = plan('enforcement = "observe"\n[plan]\nallowance_octets = "30MB"\n')
    assert ("warning", "enforcement") in told(observing)[1]
    assert ("warning", "enforcement") not in told(plan('[plan]\nallowance_octets = "30MB"\n'))[1]


def test_a_device_configuration_is_read_as_a_device_reads_it(plan):
    config = load("demo").raw
    assert plan(json.dumps(config), "c.json").plan.local_limit == load("demo").plan.local_limit


def test_the_line_stands_in_order_and_names_all(plan):
    for text in (OVERAGE, LIFE, PACKAGE, '[plan]\nallowance_octets = "1MB"\non_exhaustion = "none"\n'):
        facts, _ = told(plan(text))
        line, signs, *legend = draw(facts, 60).plain.split("\n")
        assert len(line) <= 61
        assert list(signs.replace(" ", "")) == [each[0] for each in legend]
        assert len(legend) == len(marks(facts))
        assert (line[-1] == "┤") == (facts["limits"]["ceiling_octets"] is not None)


@given(st.lists(st.integers(0, 1 << 50), max_size=20).map(sorted), st.integers(20, 80))
def test_every_mark_has_a_column_of_its_own(octets, width):
    places = columns(octets, width)
    assert all(a < b for a, b in pairwise(places))
    assert all(1 <= place <= width for place in places)


def test_words():
    assert [ordinal(n) for n in (1, 2, 3, 11, 13, 22, 27, 31)] == [
        "1st",
        "2nd",
        "3rd",
        "11th",
        "13th",
        "22nd",
        "27th",
        "31st",
    ]
    assert (yuan(2005), yuan(-1)) == ("20.05 yuan", "-0.01 yuan")


# --- the command ---


def run(*arguments):
    return command.app(list(arguments), standalone_mode=False)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("p.toml", "[plan]\nallowance_octets = 10\n", "p.toml: plan.allowance_octets: 10 leaves no usable quota"),
        ("p.toml", '[plan]\nallowance_octets = "3XB"\n', 'p.toml: plan.allowance_octets: "3XB" has an unknown unit'),
        ("p.toml", "[plan]\nallowance = 10\n", "p.toml: plan.allowance_octets: is missing"),
        ("p.toml", "[plans]\n", 'did you mean "plan"?'),
        ("p.toml", "title = 'x'\n", "p.toml: plan: is missing"),
        ("p.toml", "[plan\n", "p.toml: line 1, column 6: not valid TOML"),
        ("p.json", "{\n,}", "p.json: line 2: not valid JSON"),
        ("p.json", "[]", "p.json: is not a table; begin the JSON with a brace"),
        ("p.json", '{"device": {"id": "x", "key": "secret"}}', "p.json: device.key: has 6 characters"),
    ],
)
def test_a_bad_file_is_one_line(tmp_path, name, text, words):
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError) as error:
        run(str(path))
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_what_the_command_refuses(tmp_path):
    with pytest.raises(UsageError, match="nowhere: no such file"):
        run("nowhere")
    with pytest.raises(UsageError, match="--at: 2026-02-30: is not a date"):
        run("demo", "--at", "2026-02-30")
    with pytest.raises(UsageError, match="--at: 1999-01-01: is out of range"):
        run("demo", "--at", "1999-01-01")
    with pytest.raises(UsageError, match=r"--json: .*: cannot be written"):
        run("demo", "--json", str(tmp_path / "no" / "x.json"))
    with pytest.raises(UsageError, match=r"--plot: x\.gif: is not a picture format"):
        run("fit", "u.csv", "--plans", "demo", "--plot", "x.gif")
    with pytest.raises(typer.TyperException, match="plans"):
        run("fit", "u.csv")


def test_the_command_tells(capsys):
    run("demo", "--at", "2026-03-10")
    text = capsys.readouterr().out
    assert "A month of a tracker's life on 30 MB" in text
    assert "2026-03-01 to before 2026-04-01" in text
    run("demo", "--at", "2026-03-10", "--json", "-")
    assert json.loads(capsys.readouterr().out)["limits"]["allowance_octets"] == 30 * MB


def test_fit_takes_many_plans_and_draws_them(tmp_path, capsys):
    usage = tmp_path / "u.csv"
    usage.write_text("date,octets\n" + "".join(f"2026-03-{day:02},2000000\n" for day in range(1, 32)))
    flow = tmp_path / "flow.toml"
    flow.write_text(OVERAGE)
    for suffix in ("png", "svg", "html"):
        picture = tmp_path / f"o.{suffix}"
        run("fit", str(usage), "--plans", "demo", str(flow), "--plot", str(picture), "--json", "-")
        found = json.loads(capsys.readouterr().out)
        assert {each["file"] for each in found["ranking"]} == {"demo.toml", "flow.toml"}
        assert found["octets"] == 62_000_000
        head = {"png": b"\x89PNG", "svg": b"<?xml", "html": b"<!doctype html>"}[suffix]
        assert picture.read_bytes().startswith(head)
        assert suffix != "html" or (b"<svg" in picture.read_bytes() and b"http-equiv" not in picture.read_bytes())
    run("fit", str(usage), "--plans", "demo", str(flow))
    assert "Best trade-off" in capsys.readouterr().out


def test_two_plans_of_one_title_are_refused(tmp_path):
    usage = tmp_path / "u.csv"
    usage.write_text("date,octets\n2026-03-01,5\n")
    with pytest.raises(UsageError, match=r"is the title of demo\.toml too; give each plan its own"):
        run("fit", str(usage), "--plans", "demo", "demo")


DEPLOYED = """
[modem]
family = "quectel"
apn = "cmiot"
[plan]
allowance_octets = 31_457_280
"""


@pytest.mark.parametrize("form", ["toml", "json"])
def test_what_is_deployed_can_be_asked_about(tmp_path, form):
    file = tmp_path / f"config.{form}"
    file.write_text(DEPLOYED if form == "toml" else json.dumps(tomllib.loads(DEPLOYED)))
    assert load(file).plan.allowance == 31_457_280
    file.write_text(file.read_text().replace("allowance", "alowance"))
    with pytest.raises(UsageError, match=rf'config.{form}: plan.alowance_octets: .*"allowance_octets"'):
        load(file)
