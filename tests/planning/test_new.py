"""Plans made from answers: each is what was answered, and `plan`, `sim` and `deploy` take it."""

import io
import tomllib
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools import cli
from host_tools.base.errors import UsageError
from host_tools.build import device_config
from host_tools.planning import new, source
from host_tools.scenario import file as scenario
from tests.planning import presets

MB = 1 << 20
ANSWERS = {"apn": "cmiot", "allowance": "30MB"}


def made(**answers):
    """The firmware's Config of a plan with these answers."""
    text = new.write(new.answer({**ANSWERS, **answers}, None, "answers.toml"))
    return device_config.check(device_config.normalized(tomllib.loads(text), "made"), "made")


def test_the_usual_answers_are_the_safe_ones():
    config = made()
    plan = config.plan
    assert (plan.allowance, plan.exhaustion, plan.pace) == (30 * MB, "cutoff", True)
    assert (plan.rating.per_packet_octets, plan.rating.margin_permille) == (54, 70)
    assert [each.name for each in config.classes] == ["telemetry", "ota", "report"]
    assert config.upstream.host is None


def test_each_answer_does_what_it_says():
    assert made(used_up="bill", block_fen=29, cost_cap_fen=500).plan.tariff.cost(3 * MB - 1) == 87
    assert made(used_up="slow", rate="2KB").plan.exhaustion == "throttle"
    assert made(pool="yes").plan.pool is not None
    assert made(compared="yes").plan.rating.margin_permille == 0
    assert made(pace="no").plan.pace is False
    assert [each.name for each in made(updates="no").classes] == ["telemetry", "report"]
    assert made(collector="reports.example", interval="1h").upstream.interval_s == 3600
    package = made(period="package", months=120, activated=date(2026, 2, 15), zone="UTC").plan
    assert (package.package_months, package.cycle.utc_offset_min) == (120, 0)
    assert made(period="days", days=28, activated="2026-02-15").plan.cycle.length == 28


def test_what_the_contract_counts_apart():
    assert not made(apart="none").plan.apart
    night = made(apart="hours", hours_allowance="1GB")
    assert vars(night.plan.hours) == {"start_s": 23 * 3_600, "length_s": 8 * 3_600, "octets": 1 << 30, "share": 0}
    assert night.plan.roaming is None
    assert night.upstream.ntp_host == "pool.ntp.org", "without a certain time they would never be used"
    half = made(apart="hours", hours_from="00:30", hours_to="05:00", hours_percent=50, collector="reports.example")
    assert vars(half.plan.hours) == {"start_s": 1_800, "length_s": 4.5 * 3_600, "octets": 0, "share": 500}
    assert half.upstream.ntp_host is None
    assert made(apart="roaming").plan.roaming.octets == 0
    both = made(apart="both", roaming_allowance="5MB").plan
    assert both.hours is not None
    assert both.roaming.octets + both.roaming.margin == 5 * MB


@given(
    st.fixed_dictionaries(
        {
            "used_up": st.sampled_from(["stop", "bill", "slow"]),
            "period": st.sampled_from(["month", "days", "package"]),
            "pool": st.booleans(),
            "compared": st.booleans(),
            "pace": st.booleans(),
            "updates": st.booleans(),
            "collector": st.sampled_from(["none", "reports.example"]),
            "billing_day": st.integers(1, 31),
            "apart": st.sampled_from(["none", "hours", "roaming", "both"]),
            "hours_allowance": st.sampled_from(["unlimited", "1GB"]),
            "hours_percent": st.integers(0, 99),
        }
    )
)
def test_whatever_is_answered_is_a_plan(answers):
    made(**answers, block_fen=29, cost_cap_fen=500, days=28, months=6, activated="2026-02-15")


@pytest.mark.parametrize("name", new.presets())
def test_every_preset_is_taken_by_plan_sim_and_deploy(name, tmp_path):
    path = presets.plan(name, tmp_path)
    assert source.load(path).config.modem.apn == {**presets.ASKED, **new.presets()[name]}["apn"]
    assert scenario.load(path).carrier_config.sim_plan.allowance_octets == source.load(path).plan.allowance


@pytest.mark.proof
@pytest.mark.parametrize("name", ["onelink-pool", "1nce", "china-mobile-night"])
def test_a_month_of_a_preset_holds(name, tmp_path):
    """A sample of `python -m tests.planning.presets`."""
    assert presets.month(presets.plan(name, tmp_path)).to_json()["failures"] == []


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"allowance": "30 parsecs"}, "allowance: "),
        ({"used_up": "explode"}, "is none of stop, bill, slow"),
        ({"used_up": "bill"}, "block_fen: is missing"),
        ({"billing_day": 32}, "is not in 1 to 31"),
        ({"period": "days", "days": 28, "activated": "soon"}, "is not a date"),
        ({"pace": "perhaps"}, "is neither yes nor no"),
        ({"apart": "weekends"}, "is none of none, hours, roaming, both"),
        ({"apart": "hours", "hours_from": "25:00"}, "is not a time of day"),
        ({"apart": "hours", "hours_to": "23:10"}, "is less than half an hour after from"),
        ({"apart": "roaming", "roaming_allowance": "3GB"}, "is more than 2GB"),
        ({"colour": "blue"}, "is not a question's name"),
    ],
)
def test_an_answer_that_is_not_understood_is_refused(answers, said):
    with pytest.raises(UsageError, match=said):
        made(**answers)


def test_a_person_is_asked_what_applies_and_again_after_a_wrong_answer():
    said = iter(["cmiot", "much", "30MB", "stop"])
    asked, problems = [], []

    def ask(question, problem):
        asked.append(question.key)
        problems.append(problem)
        return next(said, "") if question.key != "family" else ""

    answers = new.answer({}, ask, "")
    assert asked[:5] == ["family", "apn", "allowance", "allowance", "used_up"]
    assert "is not a size" in problems[3]
    assert answers["allowance"] == "30MB"
    unasked = {"block_fen", "rate", "days", "months", "interval", "hours_from", "roaming_allowance", "ntp"}
    assert not unasked & set(asked)


def test_the_command_writes_a_file_once(tmp_path):
    answers, plan = tmp_path / "answers.toml", tmp_path / "config.toml"
    answers.write_text('collector = "reports.example"\n', "utf-8")
    command = ["plan", "new", "--preset", "onelink-30mb", "--answers", str(answers), "--out", str(plan)]
    assert cli.run(command) == cli.HELD
    assert plan.read_text("utf-8").startswith("# China Mobile OneLink, 30 MB a month")
    assert cli.run(["plan", str(plan)]) == cli.HELD
    assert cli.run(command) == cli.BAD_INPUT
    assert cli.run(["plan", "new", "--preset", "nobody", "--out", str(tmp_path / "x")]) == cli.BAD_INPUT


def test_a_usual_answer_of_zero_is_shown(tmp_path, monkeypatch, capsys):
    answers = ["quectel", "cmnet", "30MB", "stop", "no", "month", "1", "hours", "", "", "", ""]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(answers) + "\n"))
    cli.run(["plan", "new", "--out", str(tmp_path / "config.toml")])
    told = capsys.readouterr().err
    assert "[unlimited]>" in told
    assert "[0]>" in told


def test_questions_that_nobody_answers_are_no_interruption(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO("quectel\ncmiot\n"))
    plan = tmp_path / "config.toml"
    assert cli.run(["plan", "new", "--out", str(plan)]) == cli.BAD_INPUT
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("usageguard: plan new: allowance: standard input has ended without an answer; answer on a")
    assert not plan.exists()
