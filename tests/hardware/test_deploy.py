"""Deployment to the virtual board: what is sent, what starts, what goes back, and what a pulled cable leaves."""

import contextlib
import json
import re
from pathlib import Path

import pytest

from host_tools.base.errors import UsageError
from host_tools.build import package
from host_tools.hardware import boards
from host_tools.hardware.deploy import CRASH_S, DeployFailed, maintained
from host_tools.hardware.flash import LEAST_VFS_OCTETS
from host_tools.hardware.monitor import parse
from host_tools.hardware.port import Port
from host_tools.hardware.virtual import VirtualBoard
from tests.hardware.conftest import APP, BOARD, CONFIG, KEY, Workbench

README = Path(__file__).parents[2] / "README.md"

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
    assert {"start.mpy", "usageguard/__init__.mpy", "usageguard/modem/quectel.mpy", "application.mpy"} <= names
    assert not {"usageguard/hal/host.mpy", "usageguard/hal/virtual.mpy", "main.mpy", "slots.mpy"} & names
    assert not {"usageguard/config/load.mpy", "usageguard/core/account/pool.mpy"} & names
    files = package.build(package.settings(deployed.config), BOARD, deployed.app)
    firmware = b"".join(files.values())
    for used in (b"AT+QIOPEN", b"Partition"):
        assert used in firmware
    for unused in (b"AT+CIPOPEN", b"retry_and_terminate", b"not a tariff"):
        assert unused not in firmware
    (said,) = re.findall(r"(\d+) KB of them sent by a first deployment", README.read_text("utf-8"))
    assert int(said) * 1024 <= deployed.first.packed_octets < (int(said) + 1) * 1024


EVERYTHING = """
burst = {}
throttle = {rate_octets_s = 16_000}
pool = {holding_s = 3_600}
account = {balance_fen = 5_000, fee_fen = 1_000}
package = {months = 12, slice = "month"}
overage = {tiers = [{block_octets = 1_048_576, fen = 29}], cost_cap_fen = 3_000}
on_exhaustion = "overage"
lifecycle = {test_until = "2026-03-15", billing_from = "2026-06-01", test_octets = 1_000_000}
pace = true
"""


PARTS = ("guard/burst_guard", "modem/messenger")


def test_a_plan_with_everything_has_all_that_it_needs(workbench):
    workbench.config.write_text(CONFIG.replace("[upstream]", EVERYTHING + "[upstream]\nsms_number = '+8613800138000'"))
    report = workbench.deploy()
    parts = {f"usageguard/{name}.mpy" for name in PARTS}
    assert parts <= set(report.sent)
    with Port(workbench.board.path) as port:
        port.repl()
        port.restart()
        status = next(parse(line).status for line in port.lines(UP_S) if parse(line).kind == "status")
    assert (status["phase"], status["balance_fen"], status["granted_octets"]) == ("test", 5_000, 937_500)


@pytest.mark.proof
def test_the_smallest_file_system_that_flash_leaves_holds_two_sets_with_everything(tmp_path):
    folder = tmp_path / "board"
    folder.mkdir()
    (folder / "vfs.bin").write_bytes(b"\xff" * LEAST_VFS_OCTETS)
    with VirtualBoard(folder, str(tmp_path / "port")) as board:
        workbench = Workbench(tmp_path, board)
        upstream = "[upstream]\nsms_number = '+8613800138000'\nntp_host = 'ntp.example'"
        workbench.config.write_text(CONFIG.replace("[upstream]", EVERYTHING + upstream))
        assert workbench.deploy().slot == "a"
        workbench.app.write_text(APP.replace("60", "50"))
        assert workbench.deploy().slot == "b"
        size, _, blocks, free, *_ = ask(board, "tuple(__import__('os').statvfs('/'))")
    assert size * blocks == LEAST_VFS_OCTETS
    assert free > blocks // 5, "for the application's own"


def test_secrets_lie_apart_and_are_never_said(deployed):
    board = deployed.board
    assert ask(board, "has_secrets()") == ["id", "key", "pin"]
    assert json.loads(ask(board, "read('/secrets.json')")) == {"id": "tracker-001", "key": KEY, "pin": "4711"}
    everything = b"".join(package.build(package.settings(deployed.config), BOARD, deployed.app).values())
    for secret in (KEY.encode(), bytes.fromhex(KEY), b"4711", b"tracker-001"):
        assert secret not in everything
    assert KEY not in deployed.said.getvalue()


def test_a_second_time_nothing_is_sent(workbench):
    workbench.deploy()
    before = workbench.board.octets_in
    again = workbench.deploy()
    assert (again.slot, again.sent, again.octets) == ("a", [], 0)
    assert workbench.board.octets_in - before < 10_000, "octets to the board: the agent and its questions"
    assert "up to date" in workbench.said.getvalue()
    workbench.app.write_text(APP.replace("60", "50"))
    changed = workbench.deploy()
    assert (changed.slot, changed.sent) == ("b", ["application.mpy"])
    assert ask(workbench.board, "read('/active')") == "b"
    workbench.config.write_text(CONFIG.replace(KEY, "77" * 32))
    assert workbench.deploy().sent == [], "a file's secrets do not replace the board's"
    assert json.loads(ask(workbench.board, "read('/secrets.json')"))["key"] == KEY
    workbench.deploy(secrets=True)
    assert json.loads(ask(workbench.board, "read('/secrets.json')"))["key"] == "77" * 32


@pytest.mark.parametrize(
    ("app", "reason"),
    [
        ("import nowhere\n" + APP, "start (ImportError: no module named 'nowhere'); the board"),
        pytest.param("raise SystemExit\n" + APP, "start; the board", marks=pytest.mark.proof),
    ],
    ids=["import", "exit"],
)
def test_a_set_that_does_not_start_is_rolled_back_by_the_board(workbench, app, reason):
    workbench.deploy()
    ledger = ask(workbench.board, "survey('/a', {})")
    workbench.app.write_text(app)
    with pytest.raises(DeployFailed, match="reverted to the set before it") as failure:
        workbench.deploy()
    assert reason in str(failure.value)
    assert says(workbench.board, ("ug up a", "ug up b")) == "ug up a"
    assert ask(workbench.board, "survey('/a', {})") == ledger
    workbench.app.write_text(APP.replace("60", "40"))
    assert workbench.deploy().slot == "b"


def test_without_a_set_to_go_back_to_it_says_so(workbench):
    workbench.app.write_text("import nowhere\n" + APP)
    with pytest.raises(DeployFailed, match=r"\(ImportError: .*\), and there is no set to revert to"):
        workbench.deploy()


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
        pytest.param(
            CRASHING.format("").replace("def main", "async def main"),
            r": ValueError: boom \(tracker.py, line 3\)",
            marks=pytest.mark.proof,
        ),
        pytest.param(
            CRASHING.format("guard.sleep(200)\n    "),
            r": ValueError: boom \(tracker.py, line 3\)",
            marks=pytest.mark.proof,
        ),
        ("class Odd(Exception):\n    pass\n\n\ndef main(guard):\n    raise Odd\n", r": Odd \(tracker.py, line 6\)"),
    ],
    ids=["at once", "coroutine", "after a wait", "an exception of its own"],
)
def test_a_crash_of_the_application_is_told_and_its_set_stays(workbench, app, error):
    """The supervisor starts it again, with back-off; whoever deployed it is to know."""
    workbench.app.write_text(app)
    with pytest.raises(DeployFailed, match=rf"^set a is in force, but its application crashed{error}$"):
        workbench.deploy(watch_s=CRASH_S)
    assert "up: " not in workbench.said.getvalue()
    assert ask(workbench.board, "read('/active')") == "a"
    with pytest.raises(DeployFailed, match=rf"^set a is in force, but its application crashed{error}$"):
        workbench.deploy(watch_s=CRASH_S)


def test_an_application_that_resets_the_board_at_once_is_told(workbench):
    workbench.app.write_text("import machine\n\n\ndef main(guard):\n    machine.reset()\n")
    with pytest.raises(DeployFailed, match=r"^set a is in force, but its application resets the board$"):
        workbench.deploy(watch_s=10 * CRASH_S)


def test_an_application_that_ends_at_once_is_told_and_no_failure(workbench):
    workbench.app.write_text("def main(guard):\n    pass\n")
    workbench.deploy(watch_s=CRASH_S)
    assert workbench.said.getvalue().endswith("up: set a is in force; its application ended, and the guard goes on\n")


def test_a_file_damaged_in_flash_is_sent_again(workbench):
    workbench.deploy()
    with Port(workbench.board.path) as port, maintained(port):
        port.run("f = open('/a/usageguard/store/reopen.mpy', 'r+b'); f.seek(99); f.write(b'!'); f.close()")
    repaired = workbench.deploy()
    assert repaired.sent == ["usageguard/store/reopen.mpy"]


def config_with(old, new):
    return lambda workbench: workbench.config.write_text(CONFIG.replace(old, new))


def app_with(text):
    return lambda workbench: workbench.app.write_text(text)


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (config_with("30_000_000", "9"), r"config.toml: plan.allowance_octets: 9 leaves no usable quota"),
        (config_with("apn", "apm"), r"config.toml: modem.apn: is missing"),
        (config_with(KEY, "5a"), r"config.toml: device.key: has 2 characters; give 64 hex digits"),
        (config_with("[plan]", "[plan"), r"config.toml: line 9, column 6: not valid TOML"),
        (config_with("[plan]", "edrx_s = 82\n[plan]"), r"--board: own-esp32-quectel: .* has neither PSM nor eDRX; l"),
        (config_with("[plan]", "light_sleep = true\n[plan]"), r"--board: own-esp32-quectel: .* no pin for its modem'"),
        (app_with("def main(guard)\n"), r"tracker.py: line 1: SyntaxError"),
        (app_with("def start(guard): pass\n"), r"tracker.py: has no main"),
        (lambda workbench: workbench.app.unlink(), r"--app: .*tracker.py: no such file"),
        (lambda workbench: workbench.config.unlink(), r"config.toml: no such file"),
        (lambda workbench: workbench.board.unplug(), r"--port: .*port: is not there; ports found: "),
    ],
)
def test_what_is_wrong_is_found_before_the_board_is_touched(workbench, break_it, words):
    break_it(workbench)
    with pytest.raises(UsageError, match=words) as error:
        workbench.deploy()
    assert "\n" not in str(error.value)
    assert KEY not in str(error.value)
    assert workbench.board.octets_in == 0


def test_a_board_without_identity_is_refused(workbench):
    workbench.config.write_text(CONFIG[: CONFIG.index("[device]")] + CONFIG[CONFIG.index("[modem]") :])
    with pytest.raises(UsageError, match="neither the file nor the board has the device's id and key; run `usageguard"):
        workbench.deploy()


def test_a_board_with_another_chip_is_refused(workbench):
    with pytest.raises(UsageError) as error:
        workbench.deploy(board=boards.load("own-esp32s3-quectel"))
    assert str(error.value).endswith(
        'port: the board says that it is "Generic ESP32 module with ESP32", but own-esp32s3-quectel has an '
        "ESP32-S3; name the board that is connected with --board, or connect the other one (`usageguard boards`)"
    )
    assert ask(workbench.board, "__import__('os').listdir('/')") == []


def test_each_chip_takes_its_own_boards(tmp_path):
    with VirtualBoard(tmp_path / "board", str(tmp_path / "port"), mcu="esp32c3") as board:
        workbench = Workbench(tmp_path, board)
        with pytest.raises(UsageError, match="but own-esp32s3-quectel has an ESP32-S3"):
            workbench.deploy(board=boards.load("own-esp32s3-quectel"))
        assert workbench.deploy(board=boards.load("own-esp32c3-quectel")).slot == "a"


def test_somebody_elses_program_is_not_overwritten(workbench):
    with Port(workbench.board.path) as port, maintained(port):
        port.run("replace('/main.py', 'print(1)')")
    with pytest.raises(UsageError, match=r"main.py: is not Usage Guard's; save it"):
        workbench.deploy()
    assert ask(workbench.board, "read('/main.py')") == "print(1)"
    workbench.deploy(force=True)


CUTS = 8


@pytest.fixture(scope="module")
def length(tmp_path_factory):
    """Octets to the board in a deployment that changes two files."""
    folder = tmp_path_factory.mktemp("length")
    with VirtualBoard(folder / "board", str(folder / "port")) as board:
        workbench = Workbench(folder, board)
        workbench.deploy()
        before = board.octets_in
        change(workbench, 0)
        workbench.deploy()
        return board.octets_in - before


def change(workbench, number):
    workbench.app.write_text(APP + f"\n\nNUMBER = {number}\nTEXT = '{'wide ' * 300}{number}'\n")
    workbench.config.write_text(CONFIG.replace("30_000_000", f"30_000_{number:03}"))


@pytest.mark.proof
@pytest.mark.parametrize("how", ["unplug", "power_off"])
def test_a_cable_pulled_anywhere_leaves_a_board_that_starts(workbench, length, how):
    """At points spread over all that a deployment sends: one line for the person, and a guard that comes up."""
    workbench.deploy()
    workbench.board.on_cut = getattr(workbench.board, how)
    for number in range(1, CUTS + 1):
        change(workbench, number)
        workbench.board.cut_after = length * number // CUTS - length // (2 * CUTS)
        with pytest.raises(UsageError, match=r"--port: .*port: (the board is gone|is not there)") as error:
            workbench.deploy()
        assert "\n" not in str(error.value)
        assert says(workbench.board, ("ug up a", "ug up b"))
    change(workbench, 0)
    assert workbench.deploy().slot in "ab", "and it can be deployed to again"


def test_who_gives_up_leaves_a_board_that_runs_what_it_ran(deployed):
    with Port(deployed.board.path) as port:
        with contextlib.suppress(KeyboardInterrupt), maintained(port):
            port.start("while True: pass")  # in the middle of a command
            raise KeyboardInterrupt
        assert f"ug up {deployed.first.slot}" in port.lines(UP_S)
