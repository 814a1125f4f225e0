"""What cannot run because its module is missing raises as it would, and takes nothing."""

import ast

import pytest

from host_tools.build import absent

TEXT = b"""
def choose(plan):
    if plan == "rich":
        from box.gone import Money, Purse

        return Money(Purse, "some text")
    elif plan == "poor":
        from box.here import ONE

        return ONE
    elif plan == "deep":
        from box import here

        return here
    try:
        from elsewhere import thing
    except ImportError:
        return "none"
    return thing
"""
HERE = {"box", "box.here"}


@pytest.fixture
def box(tmp_path, monkeypatch):
    (tmp_path / "box").mkdir()
    (tmp_path / "box/__init__.py").write_text("")
    (tmp_path / "box/here.py").write_text("ONE = 1")
    monkeypatch.syspath_prepend(str(tmp_path))


def outcome(text, plan):
    scope = {}
    exec(text, scope)
    try:
        return scope["choose"](plan)
    except ImportError as error:
        return type(error) in (ImportError, ModuleNotFoundError)


@pytest.mark.parametrize("plan", ["rich", "poor", "deep", "other"])
def test_it_does_what_it_would_without_the_module(box, plan):
    got, wanted = outcome(absent.cut(TEXT, "box", HERE), plan), outcome(TEXT, plan)
    assert getattr(got, "ONE", got) == getattr(wanted, "ONE", wanted)


def test_what_follows_such_an_import_is_gone():
    made = absent.cut(TEXT, "box", HERE).decode()
    assert "Money" not in made
    assert "some text" not in made
    assert ast.unparse(ast.parse(made)).count("raise ImportError") == 1
    assert "from box.here import ONE" in made
    assert "from elsewhere import thing" in made


def test_where_nothing_is_missing_the_source_stays_as_it_is():
    assert absent.cut(TEXT, "box", HERE | {"box.gone"}) == TEXT
