"""A merged module does what its modules did, judged by running both."""

import pytest

from host_tools.build import bundle

CLOCK = b'''
"""Time."""
import time
from struct import pack

_SPARE = [1]


def now(time=0):
    """The parameter is another `time`."""
    return time + len(_SPARE)


def stamp():
    return time.gmtime(0)[0], pack(">H", 258)
'''
STORE = b"""
import time as clock
from box.clock import now as the_time
from box import clock as clocks, parts

_SPARE = {"a": 2}
names = [now for now in _SPARE]
last = None
swapped = [1, 2]


class Store:
    SPARE = 7

    def __init__(self, stamp=clocks.stamp):
        self.stamp = stamp

    def get(self, now):
        global last
        last = now
        swapped[0], swapped[1] = swapped[1], swapped[0]
        return clocks.now(now), the_time(), _SPARE[now and "a"], self.SPARE, (lambda stamp: clocks.stamp()[1])(1)

    def late(self):
        from box.late import answer

        return answer(), parts.PART, clock.gmtime(0)[0], [now for now in range(2)], last
"""
LATE = b"""
from box.clock import now as begin, _SPARE
from box import clock as c


def answer():
    from box.store import names

    return begin(), _SPARE, c.stamp(), names
"""
PARTS = b"from box.clock import now\nPART = now(4)\n"
USER = b"from box import parts\nheld = [parts]\n"
SOURCES = {"box.clock": CLOCK, "box.store": STORE, "box.late": LATE, "box.parts": PARTS}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Writes modules into an empty folder, and imports one of them."""
    import importlib
    import sys

    def run(files, name):
        for each in [each for each in sys.modules if each.partition(".")[0] == "box"]:
            del sys.modules[each]
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(folder))
            return importlib.import_module(name)

    yield run
    for each in [each for each in sys.modules if each.partition(".")[0] == "box"]:
        del sys.modules[each]


def separate(sources):
    return {f"{name.replace('.', '/')}.py": text.decode() for name, text in sources.items()}


def merged(sources, *roots):
    made = bundle.bundled(sources, roots, "box")
    files = {"box/__init__.py": made.text}
    for name, text in sources.items():
        files[f"{name.replace('.', '/')}.py"] = made.alias(name) if name in made.members else made.adapted(text)
    return made, files


def told(module):
    store = module.Store()
    return module.names, store.stamp(), store.get(1), module.swapped, store.late()


def test_it_does_what_its_modules_did(place):
    before = told(place(separate(SOURCES), "box.store"))
    made, files = merged(SOURCES, "box.store")
    assert made.members == ("box.clock", "box.parts", "box.store")
    module = place(files, "box.store")
    assert told(module) == before
    assert module.Store.__module__ == "box", "it is the merged one's"


def test_what_has_a_name_twice_is_numbered():
    text = merged(SOURCES, "box.store")[0].text
    for name in ("_SPARE = [1]", "_SPARE_2 = {", "import time\n", "import time as clock_2\n", "names = [now for now"):
        assert name in text, name
    assert "box.clock" not in text
    assert text.count("import time\n") == 1


def test_a_module_that_is_used_as_a_value_stays_one(place):
    sources = {**SOURCES, "box.user": USER}
    made, files = merged(sources, "box.user")
    assert "box.parts" not in made.members
    (held,) = place(files, "box.user").held
    assert (held.__name__, held.PART) == ("box.parts", 5)


def test_a_merged_module_as_a_value_inside_a_function_is_refused():
    late = b"def f():\n    from box import clock\n    return clock\n"
    with pytest.raises(ValueError, match="from box import clock"):
        merged({**SOURCES, "box.late": late}, "box.store")


def test_a_renamed_name_that_a_class_has_too_is_refused():
    with pytest.raises(ValueError, match="_SPARE"):
        merged({**SOURCES, "box.store": STORE.replace(b"    SPARE = 7", b"    _SPARE = _SPARE")}, "box.store")


def test_docstrings_go_and_swaps_make_no_tuple():
    text = merged(SOURCES, "box.store")[0].text
    assert "another" not in text
    assert "swapped[0], swapped[1] = swapped[1], swapped[0]\n" in text
