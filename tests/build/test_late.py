"""What is loaded late does what it did in its class, and nothing holds it afterwards."""

import ast
import gc
import sys
import weakref

import pytest

from host_tools.base import paths
from host_tools.build import late

TEXT = """
import math
LATE = ()
_ONCE = (1, 2)
_BOTH = b"both"
_STATE = [0]

def helper(x):
    return deeper(x) + _ONCE[0]

def deeper(x):
    return math.floor(x)

def shared():
    return _BOTH

def asked_for():
    return 7

class Base:
    def __init__(self, a, b=3):
        self.a = a
        self.b = shared(), b

class Machine(Base):
    KIND = 5

    def __init__(self, a):
        super().__init__(a, b=a + 1)
        self.c = helper(2.5)

    def steps(self, n, by=2):
        for i in range(n):
            _STATE[0] += by
            yield self._step(i)

    def _step(self, i):
        return i * self.KIND, shared(), _STATE[0]

    def often(self):
        return list(self.steps(2)) + list(self.steps(1, 10))
"""


@pytest.fixture
def parted(tmp_path, monkeypatch):
    """The merged module, and its parts, as a package."""
    monkeypatch.setattr(late, "AT_BOOT", "Base.__init__ Machine.__init__")
    monkeypatch.setattr(late, "SELDOM", {"usageguard_a": "Machine.steps Other.method", "usageguard_b": "Machine._step"})
    rest, parts = late.parted(TEXT, {"asked_for"}, "merged")
    (tmp_path / "merged.py").write_text(rest)
    for name, text in parts.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield rest, parts
    for name in ("merged", *parts):
        sys.modules.pop(name, None)


def test_it_does_what_it_did(parted):
    before: dict = {}
    exec(TEXT, before)
    import merged

    for machine in (before["Machine"](4), merged.Machine(4)):
        assert (machine.a, machine.b, machine.c) == (4, (b"both", 5), 3)
        assert machine.often() == [(0, b"both", 2), (5, b"both", 4), (0, b"both", 14)]
    assert merged.LATE == ("usageguard_a", "usageguard_b")


def test_what_only_such_functions_use_goes_with_them(parted):
    rest, parts = parted
    for name in ("def helper", "def deeper", "_ONCE = "):
        assert name in parts[late.BOOT], name
        assert name not in rest, name
    for part in (parts[late.BOOT], parts["usageguard_b"]):
        assert "_BOTH = b'both'" in part, "each has a copy of what does not change"
    assert "_STATE = [0]" in rest
    assert "def asked_for" in rest


def test_after_the_start_its_functions_are_gone(parted):
    import merged

    machine = merged.Machine(1)
    gone = weakref.ref(merged.Machine.__init__)
    sys.modules.pop(late.BOOT).done()
    gc.collect()
    assert gone() is None
    assert merged.Machine.often(machine)[0] == (0, b"both", 2)
    with pytest.raises(TypeError):
        merged.Machine(1)


def test_a_function_that_has_been_let_go_is_loaded_again(parted):
    import merged

    machine = merged.Machine(1)
    under_way = machine.steps(2)
    next(under_way)
    for name in merged.LATE:
        sys.modules.pop(name, None)
    assert next(under_way) == (5, b"both", 4)
    assert "usageguard_b" in sys.modules
    assert "usageguard_a" not in sys.modules


CALLS = """
LATE = ()

class Clock:
    def __init__(self):
        self.listener = self.heard

    def all(self):
        return self.tell(1), self.heard(2), self.say(n=3), self.told(4), self.spread(*(5, 6)), self.quiet()

    def tell(self, n, more=7):
        return "tell", n, more

    def heard(self, n):
        return "heard", n

    def say(self, n):
        return "say", n

    def told(self, n):
        return "told", n

    def spread(self, n, more):
        return "spread", n, more

    def quiet(self):
        return "quiet"

class Loud(Clock):
    def told(self, n):
        return super().told(n), Clock.tell(self, n, 8)
"""


def test_a_class_finds_by_name_what_is_only_called(tmp_path, monkeypatch):
    methods = "Clock.tell Clock.heard Clock.say Clock.told Clock.spread Clock.quiet Loud.told"
    monkeypatch.setattr(late, "SELDOM", {"usageguard_a": methods})
    beside = "def f(clock):\n    return clock.quiet\n"
    for calls, found in (
        (CALLS, []),
        (CALLS.replace("Clock.tell(self, ", "self.tell("), ["tell"]),
        (CALLS.replace("Clock.tell(self, ", "self.tell(").replace("n=3", "3").replace("*(5, 6)", "5, 6"), None),
    ):
        rest, parts = late.parted(calls, (), "merged", [beside])
        stubs = {node.name for node in ast.walk(ast.parse(rest)) if isinstance(node, ast.FunctionDef)}
        assert {"heard", "told", "quiet"} <= stubs, "a value, in two classes, a value elsewhere"
        assert sorted({"tell", "say", "spread"} - stubs) == (["say", "spread", "tell"] if found is None else found)
        (tmp_path / "merged.py").write_text(rest)
        for name, text in parts.items():
            (tmp_path / f"{name}.py").write_text(text)
        before: dict = {}
        exec(calls, before)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(tmp_path))
            patch.setattr(sys, "dont_write_bytecode", True)
            import merged

            for kind in ("Clock", "Loud"):
                made = getattr(merged, kind)()
                assert made.all() == before[kind]().all()
                assert not hasattr(made, "other")
        for name in ("merged", *parts):
            sys.modules.pop(name, None)


@pytest.mark.parametrize("change", [("n, by=2", "n, *by"), ("    def steps", "    @staticmethod\n    def steps")])
def test_what_cannot_be_called_that_way_is_refused(monkeypatch, change):
    monkeypatch.setattr(late, "SELDOM", {"usageguard_a": "Machine.steps"})
    with pytest.raises(ValueError, match=r"Machine\.steps"):
        late.parted(TEXT.replace(*change), (), "merged")


def firmware():
    """The functions of the firmware by qualified name."""
    for file in sorted((paths.firmware() / "usageguard").rglob("*.py")):
        for node in ast.parse(file.read_text("utf-8")).body:
            for each in node.body if isinstance(node, ast.ClassDef) else [node]:
                if isinstance(each, ast.FunctionDef):
                    yield f"{getattr(node, 'name', '')}.{each.name}" if each is not node else each.name, each


def test_the_lists_name_what_there_is_and_each_function_once():
    there = {name for name, _ in firmware()}
    listed = [name for text in (late.AT_BOOT, *late.SELDOM.values()) for name in text.split()]
    assert sorted({*listed} - there) == []
    assert len(listed) == len({*listed})


def test_what_is_made_at_the_start_only_is_made_nowhere_else():
    gone = {name.partition(".")[0] for name in late.AT_BOOT.split() if name.endswith(".__init__")}
    at_boot = {*late.AT_BOOT.split()}
    made = {
        (node.func.id, name)
        for name, function in firmware()
        if name not in at_boot
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in gone
    }
    assert made == set()


def test_what_a_class_calls_at_the_start_only_it_calls_nowhere_else():
    at_boot = {*late.AT_BOOT.split()}
    private = {tuple(name.split(".")) for name in at_boot if "._" in name and "__" not in name}
    assert private
    called = {
        (name, node.func.attr)
        for name, function in firmware()
        if name not in at_boot
        for node in ast.walk(function)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if (name.partition(".")[0], node.func.attr) in private
    }
    assert called == set()
