"""What a configuration does not use is cut, and the rest does what it did."""

import ast

import pytest

from host_tools.base import paths
from host_tools.build import device_config
from host_tools.build.unused import Unused, cut, unused

SETTINGS = """
class Plan:
    def __init__(self, allowance, burst=None, rounding=0):
        self.allowance = allowance
        self.burst = burst
        self.rounding = rounding
        self.marks = ()
        self.rich = False
"""
GUARD = '''
class Parent:
    PUSHES = False
    final = None

class Guard(Parent):
    """It has a burst, and a spare."""

    def __init__(self, plan):
        self.plan = plan
        self._burst = None
        self._spare = self._odd = 0
        self._log = []
        self._kind = None
        self._counted = 0
        rounds = plan.rounding
        if plan.burst is not None:
            from box.burst import Burst
            self._burst = Burst(plan.burst)
        if plan.rich:
            self._log.append("rich")
        if rounds:
            self._log.append("rounds")
        if plan.allowance > 5:
            self._kind = "large"

    def spend(self, n):
        self._counted += n
        if self._burst is not None and self._burst.spent(n):
            self._log.append("held")
        kind = self._kind if not self.plan.burst else self._burst.kind()
        return self._rounded(n) if self.plan.rounding else n, kind, self.find(n)

    def _rounded(self, n):
        return n * self._factor()

    def _factor(self):
        return 2

    def find(self, n):
        if self.final is not None and self.final(n):
            return "over"
        return "pushes" if self.PUSHES and self.push(n) else "found"

    def each(self):
        if self._burst is None:
            return
        yield from self._burst.each()

    def state(self):
        return getattr(self, "_odd"), self._counted, self.plan.burst, self._log
'''
CALLED = "spend", "each", "state"
PLAIN = Unused((("burst", None), ("rounding", 0)), ("Plan",), ("allowance", "burst", "marks", "rounding", "rich"))


def made(sources, allowance):
    """What a guard of the modules does in a short life."""
    scope = {}
    for text in sources.values():
        exec(text, scope)
    plan = scope["Plan"](allowance)
    plan.rich = allowance > 5  # as the module of the configuration sets what no parameter does
    guard = scope["Guard"](plan)
    return [guard.spend(3), guard.spend(4), list(guard.each()), guard.state()]


@pytest.fixture
def sources():
    return {"settings": SETTINGS.encode(), "guard": GUARD.encode()}


@pytest.mark.parametrize("allowance", [1, 9])
def test_it_does_what_it_did(sources, allowance):
    assert made(cut(sources, PLAIN, CALLED), allowance) == made(sources, allowance)


def test_code_for_what_is_off_is_gone(sources):
    after = cut(sources, PLAIN, CALLED)
    names = {getattr(node, "attr", getattr(node, "name", "")) for node in ast.walk(ast.parse(after["guard"]))}
    assert names.isdisjoint({"_burst", "Burst", "_rounded", "_factor", "push", "_spare"})
    assert names >= {"_kind", "_odd", "_counted", "spend", "find"}
    assert "self.rounding" not in after["settings"].decode()


@pytest.mark.parametrize(
    "uses",
    ["plan.burst = 7", "class Other:\n        def burst(self): pass", "Plan(3, 4)", "x = 'burst'", "a.burst += 1"],
)
def test_what_anything_else_decides_stays(sources, uses):
    """Set elsewhere, a method's name, another object of the class, found by a string."""
    after = cut(sources | {"other": f"def f(plan, a):\n    {uses}".encode()}, PLAIN, [*CALLED, "f"])
    assert "burst.spent" in after["guard"].decode()


def test_what_the_application_names_stays(sources):
    after = cut(sources, PLAIN, [*CALLED, "burst", "_rounded", "_spare"])["guard"].decode()
    assert "burst.spent" in after
    assert "_spare" in after
    assert "_rounded" in after


def test_a_generator_stays_one(sources):
    (each,) = [
        node
        for node in ast.walk(ast.parse(cut(sources, PLAIN, CALLED)["guard"]))
        if isinstance(node, ast.FunctionDef) and node.name == "each"
    ]
    assert any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in ast.walk(each))


def test_what_a_configuration_does_not_use():
    """Only what all objects that have an attribute agree on, and only what is false."""
    paths.use_firmware()
    raw = {
        "device": device_config.STAND_IN,
        "modem": {"family": "quectel", "apn": "cmiot"},
        "plan": {"allowance_octets": 30_000_000, "rating": {"per_packet_octets": 54}},
        "classes": [{"name": "app"}, {"name": "report", "reserve": True}],
    }
    found = unused(device_config.check(raw, "test"))
    values = dict(found.values)
    assert {"burst", "daily", "ntp_host", "session_round_octets", "sms_orders"} <= values.keys()
    assert values.keys().isdisjoint({"per_packet_octets", "allowance", "uses_reserve", "by_class", "family"})
    assert not any(values.values())
    assert {"Config", "Plan", "Rating"} <= {*found.classes}
