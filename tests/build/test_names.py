"""Short names change no meaning: judged by running programs, by Python's symbol tables, and by MicroPython's stubs."""

import ast
import symtable
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.build import firmware, modules, names
from host_tools.hardware import boards

MAIN = """
import sys
from struct import pack
from box_late import spoken

total = 0
unit = "octets"

class GoneError(OSError):
    pass

class Base:
    kinds = ("broad", "narrow")

    def __init__(self, wide, narrow=2):
        self.wide = wide
        self.tall = narrow

    def area(self, scale, plus):
        def times(scale):
            return [scale * self.tall for scale in range(scale) if plus]

        more = (lambda plus, more=scale: plus + more)(plus)
        return times(**{"scale": scale}), more, sum(narrow for narrow in range(3))

class Derived(Base):
    depth = property(lambda self: self.wide + Base.kinds.index("narrow"))

    def grow(self, by):
        global total
        total += by
        try:
            raise GoneError(by)
        except GoneError as gone:
            self.form = pack(">B", gone.args[0]), type(gone).__name__

class Other:
    def __init__(self, value):
        self.colour, self.append = value, [].append

    def paint(self, value):
        self.append(value)
        return getattr(self, "colour"), spoken(self, value)

def main():
    derived, other = Derived(3, narrow=5), Other(7)
    derived.grow(4)
    other.extra = derived.tall
    seen = [derived.depth, derived.form, derived.area(2, plus=1), other.paint(9), other.extra, total, unit]
    return seen + [sys.modules["box"].Base.kinds]
"""
LATE = """
import box

def spoken(self, loud):
    from box import unit as of

    return self.colour, box.total, of, loud
"""
PROGRAM = {"box.py": MAIN, "box_late.py": LATE}


def run(texts):
    """What `main` of a program returns."""
    made = {path.removesuffix(".py"): ModuleType(path) for path in texts}
    sys.modules |= made
    try:
        for path, text in reversed(texts.items()):
            exec(text, made[path.removesuffix(".py")].__dict__)
        return made["box"].main()
    finally:
        for name in made:
            del sys.modules[name]


def shortened(texts, kept=("main",)):
    short = names.shortened(texts, "box", texts["box.py"], kept)
    return short, {path: short.applied(text) for path, text in texts.items()}


def test_it_does_what_it_did():
    short, made = shortened(PROGRAM)
    assert run(made) == run(PROGRAM)
    assert {"wide", "tall", "area", "form", "Derived", "total", "paint", "spoken"} <= {*short.table}


def test_what_may_be_another_things_name_stays():
    short, _ = shortened(PROGRAM)
    others = {"append", "index", "pack", "modules", "GoneError", "colour", "narrow", "box", "main"}
    assert others.isdisjoint(short.table)


@pytest.mark.parametrize("base", ["Base", "box.Base"])
def test_a_class_of_another_module_is_of_its_bases_family(base):
    """A name of its own is no other one of an object's that its base has given."""
    main = "class Base:\n    def __init__(self):\n        self.first = self.second = self.third = 1\n"
    main += "def main():\n    from box_more import More\n    return vars(More()).keys()\n"
    more = f"import box\nfrom box import Base\nclass More({base}):\n"
    more += "    def first_of_all(self):\n        self.mine = 2\n"
    short, _ = shortened({"box.py": main, "box_more.py": more})
    names = [short.table[name] for name in ("first", "second", "third", "first_of_all", "mine")]
    assert len({*names}) == len(names)


def test_a_class_whose_base_is_given_shares_no_name_with_any_other():
    """Its base may be any of them."""
    main = "class Base:\n    def __init__(self):\n        self.first = self.second = self.third = 1\n"
    main += "def main():\n    from box_more import over\n    return vars(over(Base, lambda base: base)())\n"
    more = "def over(base, same):\n    class Asleep(base):\n        def __init__(self):\n"
    more += "            base.__init__(self)\n            self.dull = self.worn = 2\n"
    more += "    class Paced(same(Asleep)):\n        def __init__(self):\n"
    more += "            Asleep.__init__(self)\n            self.least = self.most = 3\n    return Paced\n"
    short, _ = shortened({"box.py": main, "box_more.py": more})
    names = [short.table[name] for name in ("first", "second", "third", "dull", "worn", "least", "most")]
    assert len({*names}) == len(names)


def test_an_application_keeps_the_names_that_it_uses():
    short, made = shortened(PROGRAM, ["main", "total", "Other", "value"])
    assert {"total", "Other"}.isdisjoint(short.table)
    assert "def __init__(self, value):" in made["box.py"]


def test_names_are_shared_by_classes_that_are_not_related():
    short, _ = shortened(PROGRAM)
    table = short.table
    assert len({*table.values()}) < len(table)
    assert len({table[name] for name in ("wide", "tall", "area", "grow", "form")}) == 5
    assert "extra" not in table, "it is not known what has it"


WORDS = ("north", "south", "east", "west")


@st.composite
def programs(draw):
    """Classes that inherit at random, whose objects and module have names in common; `main` tells what each has."""

    def some():
        return sorted(draw(st.sets(st.sampled_from(WORDS))))

    def told(owner):
        return [f"    seen.append(found(lambda: {owner}.{word}))" for word in WORDS]

    lines = [f"{word} = '{word} of the module'" for word in some()]
    lines += ["def found(get):", "    try:", "        return get()", "    except AttributeError:", "        return 0"]
    ends = ["def main():", "    import box", "    seen = []", *told("box")]
    made = []
    for number in range(draw(st.integers(1, 5))):
        base = draw(st.sampled_from([*made, ""]))
        made.append(f"Class{number}")
        lines += [f"class {made[-1]}({base}):", f"    mark{number} = {number}"]
        lines += [f"    {word} = {number}" for word in some()]
        words = some()
        lines.append(f"    def method{number}({', '.join(['self', *words])}):")
        lines += [f"        self.{word} = ({number}, {', '.join(words)})" for word in some()]
        lines.append(f"        self.last = {number}")
        ends.append(f"    made = {made[-1]}()")
        ends += [f"    made.{word} = '{word} set'" for word in some()]
        ends += [*told("made"), f"    made.method{number}({', '.join(map(repr, words))})", *told("made")]
    return "\n".join([*lines, *ends, "    return seen", ""])


@given(programs())
def test_in_any_program_each_finds_what_it_has(program):
    _, made = shortened({"box.py": program})
    had, has = run({"box.py": program}), run(made)
    assert len(had) == len(has)
    assert [(old, new) for old, new in zip(had, has, strict=True) if old not in (0, new)] == []


@pytest.fixture(scope="module")
def everything():
    """The release with all modules: its sources by path, and the names that they get."""
    drivers = [modules.driver(family) for family in boards.families()]
    needed = modules.reached([*modules.BOARD, *drivers], [*modules.ELSEWHERE, *modules.VALIDATOR])
    release = firmware.released(needed, [*modules.LOADED, *drivers])
    return release._texts, release._short


def scopes(table):
    """What Python makes of the names of a scope and of those inside it, without the names."""
    flags = [
        (each.is_global(), each.is_local(), each.is_parameter(), each.is_free(), each.is_imported(), each.is_assigned())
        for each in table.get_symbols()
    ]
    return table.get_type(), sorted(flags), [scopes(child) for child in table.get_children()]


def shape(tree):
    """A program without its names."""
    for node in ast.walk(tree):
        for field in ("id", "attr", "arg", "name", "asname"):
            if hasattr(node, field):
                setattr(node, field, "")
        if isinstance(node, ast.Global):
            node.names = [""] * len(node.names)
    return ast.dump(tree)


def attributes(text):
    return (node.attr for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute))


def test_in_the_firmware_each_name_means_what_it_meant(everything):
    texts, short = everything
    for path, text in texts.items():
        made = short.applied(text)
        assert scopes(symtable.symtable(made, path, "exec")) == scopes(symtable.symtable(text, path, "exec")), path
        assert shape(ast.parse(made)) == shape(ast.parse(text)), path
        before, after = (
            [node.attr for node in ast.walk(ast.parse(each)) if isinstance(node, ast.Attribute)]
            for each in (text, made)
        )
        assert [short.table.get(name, name) for name in before] == after, path


STUBS = "_thread esp32 gc hashlib machine micropython select socket time"


def test_nothing_of_micropythons_has_another_name(everything):
    _, short = everything
    folders = [folder for each in sys.path if (folder := Path(each)).joinpath("machine.pyi").is_file()]
    if not folders:
        pytest.skip("micropython-esp32-stubs is not installed")
    there = set()
    for name in STUBS.split():
        for node in ast.walk(ast.parse(Path(folders[0], f"{name}.pyi").read_text("utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                there.add(node.name)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                there.add(node.target.id)
    assert {"sleep_us", "readinto", "deepsleep", "writeblocks"} <= there
    assert sorted(name for name in there & short.table.keys() if not name.startswith("_")) == []


def test_what_functions_use_most_comes_first():
    first, rest = names.frequent_first("def f(a):\n    return a.x + a.x + g(a.y)\n").splitlines()[1:3]
    assert first.split(".")[1] == "x"
    assert rest.startswith("def f")
