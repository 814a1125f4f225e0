import pytest

from host_tools.build import bytecode, names

BASE = b"""
class Base:
    _seen = 0

    def __init__(self):
        self._state = self._limit = 2
        self.open = self._hidden = True

    def _step(self):
        self._seen += 1
        return self._state
"""
DERIVED = b"""
from base import Base


class Derived(Base):
    def run(self, other):
        self._own = other._limit + getattr(self, "_hidden")
        return self._state + self._step()
"""
UNRELATED = b"""
class Unrelated:
    def __init__(self, base):
        self._base = base
        self._step = self._a = 0
"""
SOURCES = {"base": BASE, "derived": DERIVED, "unrelated": UNRELATED}


def test_related_classes_have_one_name_and_unrelated_ones_share_names():
    short = names.short(SOURCES)
    assert short["base"] == short["derived"] == {"_own": "_a", "_state": "_b"}
    assert short["unrelated"] == {"_a": "_b", "_base": "_c", "_step": "_d"}


def test_only_attributes_change():
    short = names.short(SOURCES)
    made = {module: bytecode.fold(text, module, {}, short[module]).decode() for module, text in SOURCES.items()}
    assert made["base"] == BASE.decode().replace("_state", "_b")
    assert made["derived"] == DERIVED.decode().replace("_state", "_b").replace("_own", "_a")
    scope = {}
    exec(made["base"] + made["derived"].replace("from base import Base", ""), scope)
    derived = scope["Derived"]()
    assert derived.run(scope["Base"]()) == 4
    assert derived._seen == 1


def test_an_attribute_in_an_f_string_is_refused():
    with pytest.raises(ValueError, match="f-string"):
        bytecode.fold(b"class A:\n    def a(self):\n        return f'{self._x}'\n", "a", {}, {"_x": "_a"})


def test_the_firmware_has_names_to_shorten():
    short = bytecode._short()
    assert short["usageguard.modem.base"] == short["usageguard.modem.quectel"]
    for table in short.values():
        assert len(set(table.values())) == len(table)
    assert sum(map(len, short.values())) > 200
