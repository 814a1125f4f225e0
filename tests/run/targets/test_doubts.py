"""What the modem counts beyond the device's own traffic: charged and told, but no stop until it is settled."""

import contextlib

import pytest

from host_tools.run.world import IMSI
from tests.run.targets.test_account_of_a_device import Life, send

JUMP = 50_000_000
FAULT = f'[[fault]]\nkind = "counter_jump"\nat = "70m"\nrx = {JUMP}\n'
SMALL = 200_000  # what the device itself uses, at most


def sends(seconds, octets):
    """An application that sends so many octets each time; what is not admitted is dropped."""

    def app(guard):
        while True:
            guard.sleep(seconds * 1000)
            with contextlib.suppress(OSError):
                send(octets)

    return app


sends_a_little = sends(600, 500)


def life(plan="", more="", **given):
    return Life(sends_a_little, plan, FAULT + more, **given)


def truth(device):
    carrier = device.world.carrier
    return carrier.figures(IMSI, carrier.cycles(IMSI)[-1])["ip_octets"]


def within_the_bound(device):
    admission = device.guard.admission
    carried = admission.carried_octets()
    return carried - admission.error_bound_octets() <= truth(device) <= carried


def test_it_is_charged_and_told_and_no_limit_counts_it():
    device = life()
    guard = device.guard
    assert guard.policy.names() == []
    assert guard.admission.used.value() < SMALL
    assert guard.admission.carried_octets() > JUMP
    assert guard.ledger.doubt.value() > JUMP - SMALL
    assert within_the_bound(device)
    seen = [e for e in device.world.log.events if e["what"] in ("count-doubt", "report")]
    assert [e["what"] for e in seen].count("count-doubt") == 1


def test_it_is_reported_at_once():
    hourly = Life(sends_a_little, "", "", interval="12h").guard.outbox.reports_sent
    assert life(interval="12h").guard.outbox.reports_sent == hourly + 1


def test_a_plan_may_ask_for_reports_only():
    device = life('on_doubt = "restrict"')
    assert device.guard.policy.names() == ["COUNT_DOUBTED"]
    assert device.guard.outbox.reports_acked > 20, "it goes on to report"
    assert within_the_bound(device)


@pytest.mark.parametrize(
    ("order", "least", "most"),
    [
        ("set_used_octets = 100000", 100_000, 100_000 + SMALL),
        ("accept = true", JUMP - SMALL, JUMP + SMALL),
        ("carrier_used_octets = 100000", 0, 100_000 + SMALL),
        ("carrier_used_octets = 20000000", 20_000_000, 20_000_000 + SMALL),
        ("carrier_used_octets = 90000000", 90_000_000, 90_000_000 + SMALL),
    ],
)
def test_an_order_settles_it(order, least, most):
    device = life('on_doubt = "restrict"', f'[[order]]\nat = "3h"\n{order}\n', allowance="1GB")
    guard = device.guard
    assert guard.policy.names() == []
    assert guard.ledger.doubt.value() == 0
    assert least <= guard.admission.used.value() <= most
    assert device.events("doubt-settled") == ["doubt-settled"]
    assert within_the_bound(device)


def test_the_carriers_figure_settles_it():
    """The owner passes on what the platform shows, which is far below the doubt."""
    device = Life(
        sends(60, 1000),
        'on_doubt = "restrict"',
        FAULT + '[owner]\nnews_s = "1h"\npush = ["carrier_used"]\n',
        allowance="2MB",
        duration="12h",
    )
    assert device.guard.policy.names() == []
    assert device.guard.ledger.doubt.value() == 0
    assert device.guard.admission.used.value() < 1_000_000


@pytest.mark.parametrize("cause", ["soft", "watchdog"])
def test_it_outlives_a_reset(cause):
    device = life(more=f'[[fault]]\nkind = "reset"\ncause = "{cause}"\nat = "5h"\n')
    assert device.guard.policy.names() == []
    assert device.guard.admission.used.value() < SMALL + 100_000
    assert device.guard.ledger.doubt.value() > JUMP - SMALL
    assert within_the_bound(device)


def test_a_new_period_begins_without_it():
    device = life("cycle_start_day = 12", duration="3d")
    assert device.guard.ledger.doubt.value() == 0
    assert device.guard.admission.used.value() < SMALL
    assert device.guard.admission.carried_octets() < SMALL


def test_many_doubts_are_told_apart_no_longer_and_none_is_lost():
    more = "".join(f'[[fault]]\nkind = "counter_jump"\nat = "{hour}h10m"\nrx = {JUMP}\n' for hour in range(2, 14))
    device = life(more=more, duration="16h")
    guard = device.guard
    assert guard.admission.used.value() < 13 * 100_000
    assert guard.ledger.doubt.value() > 13 * (JUMP - SMALL)
    assert within_the_bound(device)
