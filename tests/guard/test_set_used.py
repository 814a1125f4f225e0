"""The owner sets the period's usage: whatever is used from then on is added."""

from types import SimpleNamespace

import pytest
from usageguard.guard import order_handler

from tests.net.test_admission_counters import Device


def set_used(device, octets, monkeypatch):
    done = {"owed": 0, "settled": None, "late": None, "accepted": False, "activated": False, "unheard": []}
    done |= {"asked": False, "operator": None}
    ordered = SimpleNamespace(carry_out=lambda *_: 1, put_right=lambda *_: None, set_used=octets, **done)
    monkeypatch.setattr(order_handler, "Ordered", lambda account: ordered)
    account = SimpleNamespace(refused=0, standing=SimpleNamespace(learned=0), corrected=lambda used, less: 0)
    clock = SimpleNamespace(floor=lambda now: (9_600, 0))
    periods = SimpleNamespace(clock=clock, step=lambda now: 0, look_again=lambda now: None)
    policy = SimpleNamespace(cross=lambda used: 0)
    parts = device.board, device.ledger, policy, account, device.admission, periods, None, lambda actions: None, None
    order_handler.OrderHandler(*parts).order(1, {}, 0)


@pytest.mark.parametrize("octets", [0, 100_000])
def test_what_was_charged_too_much_before_pays_for_nothing_after(octets, monkeypatch):
    device = Device()
    device.receive(50_000)
    device.settle()
    device.send(4_000)
    device.waiting = []  # it never left the modem
    device.settle()
    assert device.admission.meter.excess() > 4_000
    set_used(device, octets, monkeypatch)
    before = device.crossed
    device.receive(3_000)
    assert device.admission.used.value() - octets >= device.crossed - before
    device.hold()
