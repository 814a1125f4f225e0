"""What the guard does with an order, in which order, with parts that write down their calls."""

from types import SimpleNamespace

import pytest
from usageguard.core.octets import MAX, Octets
from usageguard.guard import order_handler

NOW, DAY, SECOND, CYCLE = 5_000, 9_600, 77, 9_590
ACTIONS, CROSSED, SETTLED, ACCEPTED = 1, 2, 4, 8
KEYS = {1: 1}


class Calls(list):
    """A part: each of its methods writes down its call and returns what `returns` names, else 0."""

    def part(self, name, returns=(), **state):
        def method(called):
            def call(*args):
                self.append((f"{name}.{called}", *(a.value() if isinstance(a, Octets) else a for a in args)))
                return dict(returns).get(called, 0)

            return call

        class Part(SimpleNamespace):
            def __getattr__(self, called):
                return method(called)

        return Part(**state)


class Rig:
    def __init__(self, monkeypatch, actions=ACTIONS, doubts=None, used=1_000, refused=0, modem=None, **done):
        self.calls = calls = Calls()
        plain = {"owed": 0, "settled": None, "set_used": None, "late": None, "accepted": False, "activated": False}
        plain |= {"asked": False, "diagnosed": False, "operator": None}
        self.hal = calls.part("hal")
        self.ledger = SimpleNamespace(rated=Octets(70_000), cycle_id=CYCLE, correct=calls.part("ledger").correct)
        self.policy = calls.part("policy", {"cross": CROSSED})
        self.account = calls.part("account", refused=0, standing=SimpleNamespace(learned=9))
        clock = calls.part("clock", {"floor": (DAY, SECOND)})
        self.periods = calls.part("periods", clock=clock)
        self.admission = calls.part(
            "admission", {"settle": SETTLED, "accept_loss": ACCEPTED}, used=Octets(used), meter=calls.part("meter"),
            doubts=doubts and SimpleNamespace(each=doubts),
        )  # fmt: skip
        ordered = calls.part("ordered", {"carry_out": actions}, **(plain | {"unheard": []} | done))

        def made(account):
            assert account is self.account
            self.account.refused += refused
            return ordered

        monkeypatch.setattr(order_handler, "Ordered", made)
        books = (self.hal, self.ledger, self.policy, self.account, self.admission, self.periods)
        parts = (*books, calls.part("outbox"), calls.part("guard").obey, modem)
        order_handler.OrderHandler(*parts).order(7, KEYS, NOW)


BEFORE = [
    ("periods.step", NOW),
    ("clock.floor", NOW),
    ("ordered.carry_out", 7, KEYS, 1_000, 70_000, CYCLE, DAY, SECOND, ()),
]


def after(actions):
    return [
        ("hal.event", "order", 7),
        ("policy.cross", 1_000),
        ("guard.obey", actions | CROSSED),
        ("periods.look_again", NOW),
    ]


@pytest.mark.parametrize(
    ("done", "between", "actions"),
    [
        ({}, [("admission.owe", 0), ("meter.learn", 9)], ACTIONS),
        ({"owed": 44}, [("admission.owe", 44), ("meter.learn", 9)], ACTIONS),
        (
            {"settled": (8, 9)},
            [("admission.owe", 0), ("admission.settle", 8, 9), ("meter.learn", 9)],
            ACTIONS | SETTLED,
        ),
        ({"late": (3, 4)}, [("admission.owe", 0), ("meter.learn", 9), ("periods.billed", 3, 4)], ACTIONS),
        (
            {"accepted": True},
            [("admission.owe", 0), ("meter.learn", 9), ("admission.accept_loss",)],
            ACTIONS | ACCEPTED,
        ),
        ({"activated": True}, [("admission.owe", 0), ("meter.learn", 9), ("clock.recheck", NOW)], ACTIONS),
        (
            {"set_used": 1_300},
            [
                *(("admission.owe", 0), ("meter.learn", 9), ("admission.settle", MAX, 0)),
                *(("hal.event", "set-used", 1_000, 1_300), ("ordered.put_right", 70_000, 300), ("meter.trim",)),
                ("admission.owe", 300),
            ],
            ACTIONS | SETTLED,
        ),
        (
            {"set_used": 400},
            [
                *(("admission.owe", 0), ("meter.learn", 9), ("admission.settle", MAX, 0)),
                *(("hal.event", "set-used", 1_000, 400), ("ordered.put_right", 70_000, 600), ("meter.trim",)),
                *(("ledger.correct", 400), ("admission.rebase",), ("account.corrected", 1_000, 600)),
            ],
            ACTIONS | SETTLED,
        ),
    ],
)
def test_an_order_is_charged_before_its_counter_is_stored_and_told_after_it_is_done(
    monkeypatch, done, between, actions
):
    assert Rig(monkeypatch, **done).calls == [*BEFORE, *between, *after(actions)]


def test_keys_for_parts_that_are_not_there_are_told(monkeypatch):
    calls = Rig(monkeypatch, unheard=[5, 11]).calls
    told = [call[1:] for call in calls if call[0] == "hal.event"]
    assert told == [("order", 7), ("order-without-part", 5), ("order-without-part", 11)]


@pytest.mark.parametrize("diagnosed", [False, True])
def test_a_report_that_is_asked_for_is_made_when_all_else_is_done(monkeypatch, diagnosed):
    calls = Rig(monkeypatch, asked=True, diagnosed=diagnosed).calls
    told = ("outbox.tell_all", NOW, diagnosed)
    assert calls[-3:] == [("guard.obey", ACTIONS | CROSSED), told, ("periods.look_again", NOW)]


@pytest.mark.parametrize("number", [46_001, 0])
def test_an_operator_is_tried_when_the_order_is_stored(monkeypatch, number):
    due = []
    stuck = SimpleNamespace(set=lambda *at: due.append(at))
    modem = SimpleNamespace(now=NOW, poked=False, config=SimpleNamespace(operator="46011"), _stuck_due=stuck)
    Rig(monkeypatch, operator=number, modem=modem)
    assert (modem.config.operator, modem.poked, due) == ((number,), True, [(NOW, 0)])


def test_what_is_in_doubt_goes_with_it(monkeypatch):
    calls = Rig(monkeypatch, doubts=[(1, 2)]).calls
    assert calls[2][-1] == [(1, 2)]


@pytest.mark.parametrize(("refused", "told"), [(1, [("hal.event", "order-refused", 1)]), (0, [])])
def test_an_order_that_does_nothing_is_told_only_if_it_was_refused(monkeypatch, refused, told):
    assert Rig(monkeypatch, actions=0, refused=refused).calls == [*BEFORE, *told]


def test_an_event_takes_small_integers(monkeypatch):
    calls = Rig(monkeypatch, set_used=(1 << 30) + 5, used=(1 << 31) + 6).calls
    assert ("hal.event", "set-used", 6, 5) in calls
