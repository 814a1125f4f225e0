"""Named integers fold into their users, and nothing else changes: judged by what Python makes of the modules.

That the folded firmware lives as the source does is what tests/run/targets is about."""

import ast
import importlib

import pytest

from host_tools.base import paths
from host_tools.base.errors import UsageError
from host_tools.build import bytecode

FIRMWARE = bytecode.constants(
    {
        bytecode.module(str(file.relative_to(paths.firmware()))): file.read_bytes()
        for file in (paths.firmware() / "usageguard").rglob("*.py")
    }
)
LIMITS = b"""\
from usageguard.compat import const
LIMIT = const(4096)  # a comment
_STEP = LIMIT // 2
HALF = LIMIT * 2 - 1
OFF, ON, BROKEN = range(3)
LOW = -5
WIDE = 1 << 40
TWICE = 1
TWICE = 2
TRUTH = True
PAIR = (1, 2)
lower = 3
"""


def known():
    more = b"from limits import LIMIT\nimport limits as l\nSUM = LIMIT + l.ON\n"
    return bytecode.constants({"limits": LIMITS, "more": more, "rooms": b"", "rooms.limits": b"ON = 7"})


def test_what_counts_as_a_named_integer():
    named = {"LIMIT": 4096, "HALF": 8191, "OFF": 0, "ON": 1, "BROKEN": 2, "LOW": -5}
    assert known() == {"limits": named, "more": {"SUM": 4097, "LIMIT": 4096}, "rooms.limits": {"ON": 7}}


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("import limits\nx = limits.LIMIT\n", "import limits\nx = 4096\n"),
        ("import rooms.limits\nx = rooms.limits.ON, rooms.ON\n", "import rooms.limits\nx = 7, rooms.ON\n"),
        ("from rooms import limits\nx = limits.ON\n", "pass\nx = 7\n"),
        ("import limits as l\nx = -l.LOW, l.LOW\n", "import limits as l\nx = -(-5), (-5)\n"),
        ("from limits import LIMIT as M\nx = [M, M.real]\n", "pass\nx = [4096, (4096).real]\n"),
        ("from limits import (\n    LIMIT,\n    PAIR,\n)\nx = LIMIT\n", "from limits import PAIR\n\n\n\nx = 4096\n"),
        ("from limits import LIMIT\ndef f(LIMIT):\n    return LIMIT\n", None),  # two things of one name
        ("from limits import LIMIT\nLIMIT += 1\n", None),
        ("from limits import WIDE, TWICE, TRUTH, PAIR, lower\nx = WIDE, TWICE\n", None),
        ("import other\nx = other.LIMIT\n", None),
        ("x = limits.LIMIT\n", None),  # not imported
        ("def f():\n    from limits import ON\n    return {ON: ON}\n", "def f():\n    pass\n    return {1: 1}\n"),
        ("s = 'limits.LIMIT'  # LIMIT\n", None),
        ("LIMIT = 5\nx = LIMIT\n", None),  # its own, and no firmware's
        ("from limits import PAIR, LIMIT\nimport limits\n", None),  # what nobody here reads, others may
        ("from rooms import limits as l, PAIR\nx = l.ON\n", "from rooms import PAIR\nx = 7\n"),
        ("from os import sep\ndef f(a):\n    return f'{a}{sep!r:>{sep}}'\n", None),  # read in an f-string
        ("from limits import LIMIT\ntry:\n    f()\nexcept E as LIMIT:\n    g(LIMIT)\n", None),
        ("import limits\nx = limits.\\\nON+1\n", "import limits\nx = 1\\\n+1\n"),  # still one statement
        ("from limits import ON, é\nx = 'é', ON, é\n", "from limits import é\nx = 'é', 1, é\n"),
        ("# coding: latin-1\nfrom limits import ON\nx = 'é', ON\n", "# coding: latin-1\npass\nx = 'é', 1\n"),
        ("\ufefffrom limits import ON; x = ON\n", "pass; x = 1\n"),
        ("from limits import ON\r\nx = 'é\x0b\x0c', ON\r\n", "pass\r\nx = 'é\x0b\x0c', 1\r\n"),
        # An application says for itself what is exported and overridden; its sums are its own too.
        ("__all__ = ['a']\n__all__ += ['b']\n", None),
        ("__all__ = limits.__all__ + ['a']\n", None),
        ("class C(D):\n    def f(self):\n        raise NotImplementedError\n", None),
        ("X = 1 << -1\nY = 1 << (1 << 70)\n", None),
    ],
)
def test_fold(text, folded):
    assert bytecode.fold(text.encode(), "app", known()).decode() == (text if folded is None else folded)


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("class C:\n    def f(self):\n        'Doc.'\n        raise NotImplementedError\n", "class C:\n    pass\n\n\n"),
        ("def f():\n    g()\n    raise NotImplementedError\n", None),
    ],
)
def test_what_only_says_that_it_is_missing_goes_from_the_firmware(text, folded):
    assert bytecode.fold(text.encode(), "rooms.more", known()).decode() == (text if folded is None else folded)


def test_a_modules_own_names_go():
    assert bytecode.fold(LIMITS, "limits", known()).decode().splitlines() == [
        "pass",
        "  # a comment",
        "_STEP = 4096 // 2",
        *[""] * 3,
        "WIDE = 1 << 40",
        "TWICE = 1",
        "TWICE = 2",
        "TRUTH = True",
        "PAIR = (1, 2)",
        "lower = 3",
    ]


def test_what_a_module_exports_keeps_its_name():
    text = b"__all__ = ('ON',)\nON = 1\nOFF = 0\nSTATES = (ON, OFF)\n"
    found = bytecode.constants({"switch": text})
    assert found == {"switch": {"OFF": 0}}
    assert bytecode.fold(text, "switch", found) == b"\nON = 1\n\nSTATES = (ON, 0)\n"


def test_in_an_f_string_it_is_refused(tmp_path):
    text = b"from usageguard.core.cycle import DAY_SECONDS\nx = f'{DAY_SECONDS} s'\n"
    with pytest.raises(UsageError, match=r"app\.py: .*f-string"):
        bytecode.compiled(text, "app.py", "app.py", lines=True)


def test_what_is_no_python_is_the_compilers_to_refuse():
    with pytest.raises(UsageError, match=r"app\.py: line 2: SyntaxError"):
        bytecode.compiled(b"x = 1\nx = = 2\n", "app.py", "app.py", lines=True)


@pytest.fixture
def toolchain(tmp_path, monkeypatch):
    """An empty cache, and a way to put another firmware in the place of ours."""

    def forget():
        for each in (bytecode._sources, bytecode._firmware, bytecode._toolchain):
            each.cache_clear()

    def use(text):
        (tmp_path / "usageguard").mkdir(exist_ok=True)
        (tmp_path / "usageguard/limits.py").write_text(text)
        forget()

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(paths, "firmware", lambda: tmp_path)
    yield use
    monkeypatch.undo()
    forget()


def test_bytecode_is_made_anew_when_an_integer_of_another_module_changes(toolchain):
    app = b"from usageguard.limits import MOST\nx = MOST\n"
    toolchain("MOST = 7001\n")
    first = bytecode.compiled(app, "app.py", "app.py", lines=True)
    toolchain("MOST = 7002\n")
    assert bytecode.compiled(app, "app.py", "app.py", lines=True) != first
    toolchain("MOST = 7001\n")
    assert bytecode.compiled(app, "app.py", "app.py", lines=True) == first


def test_what_is_in_the_cache_is_not_even_parsed(toolchain, monkeypatch):
    toolchain("MOST = 7001\n")
    first = bytecode.compiled(b"x = 1\n", "app.py", "app.py", lines=True)
    monkeypatch.delattr(bytecode, "fold")
    assert bytecode.compiled(b"x = 1\n", "app.py", "app.py", lines=True) == first
    with pytest.raises(NameError):
        bytecode.compiled(b"x = 1\n", "app.py", "app.py", lines=False)


@pytest.mark.parametrize("module", sorted(set(FIRMWARE) - {"usageguard.hal.esp32", "usageguard.hal.esp32_ppp"}))
def test_each_value_is_what_python_makes_of_it(module):
    imported = importlib.import_module(module)
    assert FIRMWARE[module] == {name: getattr(imported, name) for name in FIRMWARE[module]}


def test_the_firmware_keeps_its_lines_and_loses_its_numbers_names():
    left = set()
    for file in sorted((paths.firmware() / "usageguard").rglob("*.py")):
        name, text = str(file.relative_to(paths.firmware())), file.read_bytes()
        folded = bytecode.folded(text, name, name)
        assert folded.count(b"\n") == text.count(b"\n"), name
        nodes = list(ast.walk(ast.parse(folded)))
        bound = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
        left |= {node.id for node in nodes if isinstance(node, ast.Name)} - bound
        left |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    assert left & {name for named in FIRMWARE.values() for name in named} == set()
