"""Deployment to the virtual board: what is sent, what starts, what goes back, and what a pulled cable leaves."""

import contextlib
import json

import pytest

from host_tools.errors import UsageError
from host_tools.hardware import package
from host_tools.hardware.deploy import CRASH_S, DeployFailed, maintained
from host_tools.hardware.monitor import parse
from host_tools.hardware.port import Port
from host_tools.hardware.virtual import VirtualBoard
from tests.hardware.conftest import APP, BOARD, CONFIG, KEY, Desk

pytestmark = pytest.mark.realtime

UP_S = 30


def says(board, wanted):
    """Resets the board by power, and waits until it says one of `wanted`."""
    board.power_off()
    board.power_on()
    with Port(board.path) as port:
        for line in port.lines(UP_S):
            if line in wanted:
                return line
    raise AssertionError(f"none of {wanted} within {UP_S} s")


def ask(board, expression):
    with Port(board.path) as port, maintained(port):
        return port.ask(expression)


def test_the_guard_runs_on_what_was_deployed(deployed):
    with Port(deployed.board.path) as port:
        port.repl()
        port.restart()
        for line in port.lines(UP_S):
            if parse(line).kind == "status":
                break
    status = parse(line).status
    assert (status["verdict"], status["ledger"]) == ("open", "log")
    assert deployed.first.slot == "a"
    built = set(package.build(package.settings(deployed.config), BOARD, deployed.app))
    assert set(deployed.first.sent) == built - {package.LEDGER_IN_FILES} | {"/slots.py", "/main.py"}


def test_only_what_is_needed_is_sent(deployed):
    names = set(deployed.first.sent)
    assert {"start.mpy", "usageguard/modem/quectel.mpy", "usageguard/hal/esp32.mpy", "application.mpy"} <= names
    assert not {"usageguard/hal/host.mpy", "usageguard/hal/virtual.mpy", "main.mpy", "slots.mpy"} & names
    assert not {"usageguard/config.mpy", "usageguard/core/pool.mpy", "usageguard/core/lifecycle.mpy"} & names
    assert deployed.first.packed_octets <= 40 * 1024


EVERYTHING = """
burst = {}
throttle = {rate_octets_s = 16_000}
pool = {holding_s = 3_600}
account = {balance_fen = 5_000, fee_fen = 1_000}
package = {months = 12}
overage = {tiers = [{block_octets = 1_048_576, fen = 29}], cost_cap_fen = 3_000}
on_exhaustion = "overage"
lifecycle = {test_until = "2026-03-15", billing_from = "2026-06-01", test_octets = 1_000_000}
pace = true
"""


def test_a_plan_with_everything_has_all_that_it_needs(desk):
    desk.config.write_text(CONFIG.replace("[upstream]", EVERYTHING + "[upstream]\nsms_number = '+8613800138000'"))
    report = desk.deploy()
    parts = {f"usageguard/{name}.mpy" for name in ("core/pool", "core/money", "core/lifecycle", "holder", "modem/sms")}
    assert parts <= set(report.sent)
    with Port(desk.board.path) as port:
        port.repl()
        port.restart()
        status = next(parse(line).status for line in port.lines(UP_S) if parse(line).kind == "status")
    assert (status["phase"], status["balance_fen"], status["granted_octets"]) == ("test", 5_000, 937_500)


def test_secrets_lie_apart_and_are_never_said(deployed):
    board = deployed.board
    assert ask(board, "has_secrets()") == ["id", "key", "pin"]
    assert json.loads(ask(board, "read('/secrets.json')")) == {"id": "tracker-001", "key": KEY, "pin": "4711"}
    everything = b"".join(package.build(package.settings(deployed.config), BOARD, deployed.app).values())
    for secret in (KEY.encode(), bytes.fromhex(KEY), b"4711", b"tracker-001"):
        assert secret not in everything
    assert KEY not in deployed.said.getvalue()


def test_a_second_time_nothing_is_sent(desk):
    desk.deploy()
    before = desk.board.octets_in
    again = desk.deploy()
    assert (again.slot, again.sent, again.octets) == ("a", [], 0)
    assert desk.board.octets_in - before < 10_000, "octets to the board: the agent and its questions"
    assert "up to date" in desk.said.getvalue()
    desk.app.write_text(APP.replace("60", "50"))
    changed = desk.deploy()
    assert (changed.slot, changed.sent) == ("b", ["application.mpy"])
    assert ask(desk.board, "read('/active')") == "b"
    desk.config.write_text(CONFIG.replace(KEY, "77" * 32))
    assert desk.deploy().sent == [], "a file's secrets do not replace the board's"
    assert json.loads(ask(desk.board, "read('/secrets.json')"))["key"] == KEY
    desk.deploy(secrets=True)
    assert json.loads(ask(desk.board, "read('/secrets.json')"))["key"] == "77" * 32


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        ("import nowhere\n" + APP, "start (ImportError: no module named 'nowhere'); the board"),
        ("raise SystemExit\n" + APP, "start; the board"),
    ],
    ids=["import", "exit"],
)
def test_a_set_that_does_not_start_is_rolled_back_by_the_board(desk, app, reason):
    desk.deploy()
    ledger = ask(desk.board, "survey('/a', {})")
    desk.app.write_text(app)
    with pytest.raises(DeployFailed, match="went back to the one before") as failure:
        desk.deploy()
    assert reason in str(failure.value)
    assert says(desk.board, ("ug up a", "ug up b")) == "ug up a"
    assert ask(desk.board, "survey('/a', {})") == ledger
    desk.app.write_text(APP.replace("60", "40"))
    assert desk.deploy().slot == "b"


def test_without_a_set_to_go_back_to_it_says_so(desk):
    desk.app.write_text("import nowhere\n" + APP)
    with pytest.raises(DeployFailed, match=r"\(ImportError: .*\), and there is none to go back to"):
        desk.deploy()


CRASHING = """
def work():
    raise ValueError("boom")


def main(guard):
    {}work()
"""


@pytest.mark.parametrize(
    ("app", "error"),
    [
        (CRASHING.format(""), r": ValueError: boom \(tracker.py, line 3\)"),
        (CRASHING.format("").replace("def main", "async def main"), r": ValueError: boom \(tracker.py, line 3\)"),
        (CRASHING.format("guard.sleep(200)\n    "), r": ValueError: boom \(tracker.py, line 3\)"),
        ("class Odd(Exception):\n    pass\n\n\ndef main(guard):\n    raise Odd\n", r": Odd \(tracker.py, line 6\)"),
    ],
    ids=["at once", "coroutine", "after a wait", "an exception of its own"],
)
def test_a_crash_of_the_application_is_told_and_its_set_stays(desk, app, error):
    """The supervisor starts it again, with back-off; whoever deployed it is to know."""
    desk.app.write_text(app)
    with pytest.raises(DeployFailed, match=rf"^set a is in force, but its application crashed{error}$"):
        desk.deploy(watch_s=CRASH_S)
    assert "up: " not in desk.said.getvalue()
    assert ask(desk.board, "read('/active')") == "a"
    with pytest.raises(DeployFailed, match=rf"^set a is in force, but its application crashed{error}$"):
        desk.deploy(watch_s=CRASH_S)


def test_an_application_that_resets_the_board_at_once_is_told(desk):
    desk.app.write_text("import machine\n\n\ndef main(guard):\n    machine.reset()\n")
    with pytest.raises(DeployFailed, match=r"^set a is in force, but its application has the board start again$"):
        desk.deploy(watch_s=10 * CRASH_S)


def test_an_application_that_ends_at_once_is_told_and_no_failure(desk):
    desk.app.write_text("def main(guard):\n    pass\n")
    desk.deploy(watch_s=CRASH_S)
    assert desk.said.getvalue().endswith("up: set a is in force; its application ended, the device guards on\n")


def test_a_file_damaged_in_flash_is_sent_again(desk):
    desk.deploy()
    with Port(desk.board.path) as port, maintained(port):
        port.run("f = open('/a/usageguard/ring.mpy', 'r+b'); f.seek(99); f.write(b'!'); f.close()")
    repaired = desk.deploy()
    assert repaired.sent == ["usageguard/ring.mpy"]


def config_with(old, new):
    return lambda desk: desk.config.write_text(CONFIG.replace(old, new))


def app_with(text):
    return lambda desk: desk.app.write_text(text)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (config_with("30_000_000", "9"), r"config.toml: plan.allowance_octets: 9 leaves no usable quota"),
        (config_with("apn", "apm"), r"config.toml: modem.apn: is missing"),
        (config_with(KEY, "5a"), r"config.toml: device.key: has 2 characters; give 64 hex digits"),
        (config_with("[plan]", "[plan"), r"config.toml: line 9, column 6: not valid TOML"),
        (app_with("def main(guard)\n"), r"tracker.py: line 1: SyntaxError"),
        (app_with("def start(guard): pass\n"), r"tracker.py: has no main"),
        (lambda desk: desk.app.unlink(), r"--app: .*tracker.py: no such file"),
        (lambda desk: desk.config.unlink(), r"config.toml: no such file"),
        (lambda desk: desk.board.unplug(), r"--port: .*port: is not there; ports found: "),
    ],
)
def test_what_is_wrong_is_found_before_the_board_is_touched(desk, break_it, words):
    break_it(desk)
    with pytest.raises(UsageError, match=words) as error:
        desk.deploy()
    assert "\n" not in str(error.value)
    assert KEY not in str(error.value)
    assert desk.board.octets_in == 0


def test_a_board_without_identity_is_refused(desk):
    desk.config.write_text(CONFIG[: CONFIG.index("[device]")] + CONFIG[CONFIG.index("[modem]") :])
    with pytest.raises(UsageError, match="neither it nor the board has the device's id and key; run `usageguard prov"):
        desk.deploy()


def test_somebody_elses_program_is_not_overwritten(desk):
    with Port(desk.board.path) as port, maintained(port):
        port.run("replace('/main.py', 'print(1)')")
    with pytest.raises(UsageError, match=r"main.py: is somebody else's; save it"):
        desk.deploy()
    assert ask(desk.board, "read('/main.py')") == "print(1)"
    desk.deploy(force=True)


CUTS = 8


@pytest.fixture(scope="module")
def length(tmp_path_factory):
    """Octets to the board in a deployment that changes two files."""
    folder = tmp_path_factory.mktemp("length")
    with VirtualBoard(folder / "board", str(folder / "port")) as board:
        desk = Desk(folder, board)
        desk.deploy()
        before = board.octets_in
        change(desk, 0)
        desk.deploy()
        return board.octets_in - before


def change(desk, number):
    desk.app.write_text(APP + f"\n\nNUMBER = {number}\nTEXT = '{'wide ' * 300}{number}'\n")
    desk.config.write_text(CONFIG.replace("30_000_000", f"30_000_{number:03}"))


@pytest.mark.parametrize("how", ["unplug", "power_off"])
def test_a_cable_pulled_anywhere_leaves_a_board_that_starts(desk, length, how):
    """At points spread over all that a deployment sends: one line for the person, and a guard that comes up."""
    desk.deploy()
    desk.board.on_cut = getattr(desk.board, how)
    for number in range(1, CUTS + 1):
        change(desk, number)
        desk.board.cut_after = length * number // CUTS - length // (2 * CUTS)
        with pytest.raises(UsageError, match=r"--port: .*port: (the board is gone|is not there)") as error:
            desk.deploy()
        assert "\n" not in str(error.value)
        assert says(desk.board, ("ug up a", "ug up b"))
    change(desk, 0)
    assert desk.deploy().slot in "ab", "and it can be deployed to again"


def test_who_gives_up_leaves_a_board_that_runs_what_it_ran(deployed):
    with Port(deployed.board.path) as port:
        with contextlib.suppress(KeyboardInterrupt), maintained(port):
            port.start("while True: pass")  # in the middle of a command
            raise KeyboardInterrupt
        assert f"ug up {deployed.first.slot}" in port.lines(UP_S)
