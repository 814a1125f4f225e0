"""What the monitor says of a status, on a screen of 80 x 24 and in a line."""

import io
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from rich.console import Console

from host_tools.base.days import day_number
from host_tools.base.errors import UsageError
from host_tools.hardware import status_view
from host_tools.hardware.monitor import LINES, picture

NOW = datetime(2026, 3, 24, 4, tzinfo=UTC)  # at noon in the plan's zone
STATUS = {
    "verdict": "restricted",
    "reasons": ["STOPPED_BY_HAND", "QUOTA_EXHAUSTED"],
    "cycle": day_number(datetime(2026, 3, 1).date()),
    "rated_octets": 15_000_000,
    "carried_octets": 14_000_000,
    "error_bound_octets": 4096,
    "forecast_day": day_number(datetime(2026, 3, 27).date()),
    "modem": "online",
    "bearer": "at",
    "iccid": "89860012345678901234",
    "network": "460041",
    "registration": 5,
    "signal": 21,
    "sim_state": "READY",
    "reports_sent": 12,
    "reports_acked": 11,
    "report_refused": 0,
    "report_s": 150,
    "report_answered": False,
    "radio_on_s": 5025,
    "heap_octets": 86_000,
}


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "config.toml"
    text = '[modem]\nfamily = "quectel"\napn = "cmiot"\n[plan]\nallowance_octets = 31000000\nmargin_octets = 500000\n'
    file.write_text(text + "reserve_octets = 500000\n", "utf-8")
    return status_view.load(file)


def told(config, status=STATUS):
    return [(name, text.plain) for name, text in status_view.rows(status, config, NOW)]


def test_it_says_what_counters_beside_the_allowance_have_used(config):
    apart = {"now": "hours", "hours_octets": 1_000_000, "roaming_octets": 0}
    assert ("apart", "hours 977 KB, roaming 0 B, hours now") in told(None, {**STATUS, "apart": apart})
    config.plan.hours = SimpleNamespace(octets=2_000_000)
    apart = {"now": None, "hours_octets": 1_000_000, "roaming_octets": None}
    assert ("apart", "hours 977 KB of 1.91 MB") in told(config, {**STATUS, "apart": apart})
    apart = {"now": None, "hours_octets": None, "roaming_octets": None}
    assert ("apart", "none now") in told(config, {**STATUS, "apart": apart})
    assert " | none now | " in status_view.line({**STATUS, "apart": apart}, config, NOW)


def test_it_says_what_the_day_has_used(config):
    assert ("today", "977 KB") in told(None, {**STATUS, "day_octets": 1_000_000})
    config.plan.daily = SimpleNamespace(cap_octets=2_000_000)
    assert ("today", "977 KB of 1.91 MB, until midnight") in told(config, {**STATUS, "day_octets": 1_000_000})


def test_it_says_what_one_looks_for(config):
    assert told(config) == [
        ("verdict", "restricted: only reports may pass; the owner orders a stop (STOPPED_BY_HAND)"),
        ("", "and the local limit, or the owner's own, is used up (QUOTA_EXHAUSTED)"),
        ("used", "█" * 12 + "░" * 12 + "  50.0%  14.31 MB of 28.61 MB"),
        ("left", "14.31 MB until the device stops, 1.79 MB a day"),
        ("period", "ends on 1 April 2026 at 00:00, in 8 days"),
        ("carried", "13.35 MB, of which 4 KB may not have crossed"),
        ("forecast", "used up on 27 March 2026"),
        ("network", "online · AT sockets · roaming · -71 dBm · on for 1:23:45"),
        ("SIM", "89860012345678901234 · China Mobile"),
        ("reports", "11 of 12 acknowledged; the last at 03:57 on 24 March not answered yet"),
        ("heap", "86,000 bytes in use"),
    ]


def test_without_the_configuration_the_plans_figures_are_left_out():
    names = [name for name, _ in told(None)]
    assert "left" not in names
    assert "period" not in names
    assert ("used", "14.31 MB") in told(None)


@pytest.mark.parametrize("status", [{}, {"verdict": "odd"}, {"cycle": 1, "rated_octets": 5}, STATUS])
def test_it_fits_a_screen_whatever_the_status(config, status):
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    console.print(picture("/dev/ttyUSB0", status, ["a line of the board's " * 9] * LINES, "12:00:00; …", config, NOW))
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80


def test_a_line_has_the_same_for_a_pipe(config):
    assert status_view.line({**STATUS, "reasons": []}, config, NOW) == (
        "restricted: only reports may pass | 14.31 MB of 28.61 MB (50.0%) | online · AT sockets · roaming · -71 dBm | "
        "reports 11 of 12 acknowledged; the last at 03:57 on 24 March not answered yet"
    )


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {
                "classes": {
                    "readings": {"octets": 2048, "connections": 3, "refused": 0},
                    "pictures": {"octets": 1 << 20, "connections": 1, "refused": 7},
                }
            },
            "readings 2 KB · pictures 1.00 MB (7 refused)",
        ),
        (
            {
                "classes": {
                    "pictures": {
                        "octets": 1 << 20,
                        "connections": 1,
                        "refused": 7,
                        "quota_octets": 3 << 20,
                        "period_octets": 2 << 20,
                    },
                }
            },
            "pictures 1.00 MB, 2.00 MB of 3.00 MB in the period (7 refused)",
        ),
        ({"report_answered": True}, "the last at 03:57 on 24 March answered"),
        ({"report_refused": 0x81}, "the last at 03:57 on 24 March refused with 4.01"),
        ({"report_s": None}, "11 of 12 acknowledged"),
        ({"report_s": -5}, "11 of 12 acknowledged"),
        ({"registration": 1}, "online · AT sockets · home · China Mobile · -71 dBm · on for 1:23:45"),
        (
            {"registration": 1, "network": "901401", "bearer": "ppp"},
            "online · PPP · home · IMSI 901401… · -71 dBm · on for 1:23:45",
        ),
        ({"network": ""}, "89860012345678901234"),
    ],
)
def test_what_the_network_and_the_collector_say(config, changed, words):
    texts = [text for _, text in told(config, {**STATUS, **changed})]
    assert any(text.endswith(words) for text in texts)


def test_a_configuration_that_is_none_is_refused(tmp_path):
    (tmp_path / "config.toml").write_text("[plan]\n", "utf-8")
    with pytest.raises(UsageError, match=r"config\.toml"):
        status_view.load(tmp_path / "config.toml")
