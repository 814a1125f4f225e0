"""The bench's fixtures, used as any project would use them, on CPython."""

import re
import threading
from datetime import date, timedelta

import pytest

from host_tools.base.errors import UsageError

HOSTS = {"api.example": "responder"}
APP = "example/my_app.py"


@pytest.fixture
def usageguard_target():
    return "cpython"


def test_steps_change_nothing(bench, carrier, guard):
    """A world that is paused often has the same events and figures as one that is not."""
    whole = bench.run(APP, hosts=HOSTS, duration="5h")
    bench.start(APP, hosts=HOSTS, duration="5h")
    assert bench.now.isoformat() == "2026-03-01T00:00:00+08:00"
    seen = [carrier.billed_octets]
    for _ in range(37):
        bench.advance("7m")
        seen.append(carrier.billed_octets)
        assert guard.carried_octets >= 0
    bench.advance(until="2026-03-01T04:30")
    stepped = bench.finish()
    assert stepped.events == whole.events
    assert stepped.device == whole.device
    assert seen == sorted(seen)
    assert seen[0] == 0 < seen[-1] <= carrier.billed_octets
    assert bench.finish().device == stepped.device, "it is over, and can be asked again"


def test_a_plan_of_its_own_is_enforced_and_the_bill_says_so(bench, carrier, guard):
    run = bench.run(APP, hosts=HOSTS, plan={"allowance_octets": "300KB", "reserve_octets": "32KB"}, duration="1d")
    assert run.passed, run
    assert guard.stopped
    assert carrier.stops() == []
    assert carrier.figures()["billed_octets"] <= 300 * 1024
    assert run.device["stopped_at"]


def test_orders_at_the_carrier_take_hold_at_their_time(bench, carrier, guard):
    bench.start(APP, hosts=HOSTS, duration="2d")
    bench.at("3h", carrier.stop)
    bench.at(timedelta(hours=9), carrier.resume)
    bench.advance("2h59m")
    assert carrier.stops() == []
    bench.advance("1m")
    assert carrier.stops() == ["manual"]
    bench.wait_until(lambda: "CARRIER_STOP" in guard.reasons, within="5h")
    stopped = bench.now
    bench.wait_until(lambda: guard.verdict == "open", within="1d")
    assert bench.now > stopped
    run = bench.finish()
    assert [event["t"] for event in run.find("carrier", "stopped")] == ["2026-02-28T19:00:00+00:00"]


def test_the_modem_and_the_board_can_be_made_to_fail(bench, modem, guard):
    bench.start(APP, hosts=HOSTS, duration="1d")
    assert not modem.on
    bench.advance("10m")
    assert modem.on
    assert modem.registered
    assert sum(modem.counter) > 0
    modem.lose_coverage("5m")
    assert not modem.registered
    bench.wait_until(lambda: modem.registered, within="30m")
    modem.reboot()
    assert not modem.on
    bench.cut_power("30s")
    bench.advance("1h")
    bench.reset("watchdog")
    bench.advance("1h")
    modem.hang()
    bench.wait_until(lambda: modem.on, within="6h", step="10m")
    assert guard.boots == 3
    run = bench.finish()
    assert run.passed
    assert [event["cause"] for event in run.find("device", "boot")] == ["power-on", "power-on", "watchdog"]
    assert run.carrier["ip_octets"] <= run.device["carried_octets"]
    assert {"reboot", "hang", "no_coverage"} == {event["kind"] for event in run.find("bench", "fault")}


def test_a_month_ends_while_the_test_looks_on(bench, carrier):
    bench.start(APP, hosts=HOSTS, start="2026-03-31T18:00:00+08:00", duration="1d")
    bench.advance(until=date(2026, 4, 1))
    assert bench.now.isoformat() == "2026-04-01T00:00:00+08:00"
    bench.advance("1h")
    assert carrier.cycles() == ["2026-03-01", "2026-04-01"]
    assert carrier.billed_octets == carrier.figures("2026-04-01")["billed_octets"]


def test_a_scenario_file_is_the_world_and_arguments_go_before_it(bench, tmp_path):
    file = tmp_path / "world.toml"
    file.write_text(
        """
        title = "from a file"
        start = 2026-05-01T00:00:00+08:00
        duration = "3h"
        [plan]
        allowance_octets = "20MB"
        margin_octets = "100KB"
        [upstream]
        host = "collector"
        [[host]]
        name = "collector"
        kind = "collector"
        [expect]
        boots = 2
        """
    )
    run = bench.run(APP, scenario=file, hosts=HOSTS, plan={"allowance_octets": "10MB"})
    assert run.result["title"] == "from a file"
    assert run.carrier["allowance_octets"] == 10 * 1024**2
    assert run.failures == ["the board started 1 times, not 2"]
    assert not run.passed
    assert "started 1 times" in repr(run)
    assert bench.run(scenario="smoke", duration="2h", expect={"reports_received": 3}).passed


def test_files_and_prints_of_a_crashing_application(bench, tmp_path):
    app = tmp_path / "app.py"
    app.write_text(
        "import helper\n"
        "def main(guard):\n"
        "    print('read', open('list.txt').read())\n"
        "    guard.sleep(1000)\n"
        "    helper.fail()\n"
    )
    (tmp_path / "helper.py").write_text("def fail():\n    raise ValueError('on purpose')\n")
    files = {"helper.py": tmp_path / "helper.py", "list.txt": "one two"}
    run = bench.run(app, files=files, duration="10m")
    assert run.crashes >= 2
    assert not run.passed
    assert run.failures == [f"the application crashed {run.crashes} times; may_crash=True allows it"]
    assert run.output.count("read one two") == run.crashes
    assert "ValueError: on purpose" in run.output
    titles = [title for title, _ in bench.sections()]
    assert len(titles) == 2
    assert titles[1] == "Usage Guard: what the device printed"
    assert bench.run(app, files=files, duration="1m", may_crash=True).passed


def test_an_application_that_hangs_has_not_passed(bench, tmp_path):
    app = tmp_path / "endless.py"
    app.write_text("def main(guard):\n    while True:\n        pass\n")
    (failure,) = bench.run(app, duration="1m").failures
    assert re.fullmatch(r"the application computed without a wait, at endless.py:[23]; may_crash=True .*", failure)


def test_what_an_action_raises_reaches_the_test_and_the_world_ends(bench):
    def fail():
        raise LookupError("on purpose")

    bench.start(APP, hosts=HOSTS)
    bench.at("5m", fail)
    with pytest.raises(LookupError, match="on purpose"):
        bench.advance("1h")
    with pytest.raises(UsageError, match="is not before the end"):
        bench.advance("1h")
    bench.close()
    assert "usageguard-bench" not in [thread.name for thread in threading.enumerate()]


def test_a_world_that_is_left_early_ends_with_its_device(bench):
    bench.start(APP, hosts=HOSTS, duration="1d")
    bench.close()
    bench.start(APP, hosts=HOSTS, duration="1d")
    bench.advance("1h")
    bench.close()
    assert "usageguard-bench" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(UsageError, match="no world has been started"):
        bench.advance("1h")


def test_a_world_that_runs_on_when_the_test_is_interrupted_ends(bench):
    """As with Ctrl-C while a test waits: nobody is paused then."""
    bench.start(APP, hosts=HOSTS, duration="3000d")
    bench.advance("1h")
    paused = bench._present()
    paused._paused = False
    paused._calls.put(None)
    bench.close()
    assert "usageguard-bench" not in [thread.name for thread in threading.enumerate()]


def test_a_condition_that_does_not_come_true_fails_the_test(bench):
    bench.start(APP, hosts=HOSTS, duration="2h")
    with pytest.raises(pytest.fail.Exception, match="it did not come true within 30m"):
        bench.wait_until(lambda: False, within="30m")
    assert bench.now.isoformat() == "2026-03-01T00:30:00+08:00"


@pytest.mark.parametrize(
    ("act", "words"),
    [
        (lambda bench: bench.start("nowhere.py"), "bench: app: .*nowhere.py is not a file; name your application"),
        (lambda bench: bench.start(APP, planet={}), "bench: planet: no such field; did you mean \"plan\""),
        (lambda bench: bench.start(APP, duration="2x"), 'bench: duration: "2x" is not a duration'),
        (lambda bench: bench.start(APP, hosts={"a": "moon"}), r"bench: host #2, kind: \"moon\" is not known here"),
        (lambda bench: bench.start(APP, hosts=["a"]), "bench: hosts: is not a mapping"),
        (lambda bench: bench.start(APP, plan={"allowance_octets": "x"}), "bench: plan.allowance_octets: "),
        (lambda bench: bench.start(APP, files=["gone.txt"]), "bench: files: gone.txt: no such file"),
        (lambda bench: bench.start(APP, scenario="gone.toml"), "gone.toml: no such scenario"),
        (lambda bench: bench.advance("1h"), "bench: no world has been started"),
        (lambda bench: (bench.start(APP), bench.advance()), "bench: advance: needs exactly one time"),
        (lambda bench: (bench.start(APP), bench.advance("2d")), "is not before the end; duration is 1 day"),
        (lambda bench: (bench.start(APP), bench.advance("1h"), bench.advance(until="2026-03-01")), "is past; it is"),
        (lambda bench: (bench.start(APP), bench.advance("soon")), '"soon" is not a duration'),
        (lambda bench: (bench.start(APP), bench.reset("love")), '"love" is not a cause; use power-on, hard, watchdog'),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_said_in_one_line(bench, act, words):
    with pytest.raises(UsageError, match=words) as error:
        act(bench)
    assert "\n" not in str(error.value)


def test_the_guards_status_says_what_it_does_not_have(bench, guard, modem):
    bench.start(APP, hosts=HOSTS)
    with pytest.raises(AttributeError, match="not reported a status yet"):
        _ = guard.verdict
    bench.advance("10m")
    assert guard.verdict == "open"
    with pytest.raises(AttributeError, match="no 'mood'; there are cycle, carried_octets"):
        _ = guard.mood
    with pytest.raises(ValueError, match="moon"):
        modem.inject("moon")
