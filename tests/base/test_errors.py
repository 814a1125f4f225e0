"""UsageError reads as one line, also after it crossed from a worker process."""

import doctest
import pickle

from host_tools.base import errors
from host_tools.base.errors import UsageError


def test_the_docstrings_example():
    assert doctest.testmod(errors).attempted == 1
    assert doctest.testmod(errors).failed == 0


def test_it_survives_pickling():
    error = pickle.loads(pickle.dumps(UsageError("a.toml", "plan", "is empty", "add an allowance")))
    assert str(error) == "a.toml: plan: is empty; add an allowance"
    assert (error.where, error.field, error.problem, error.hint) == ("a.toml", "plan", "is empty", "add an allowance")
