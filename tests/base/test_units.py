"""Sizes and durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host_tools.base.units import Octets, Seconds, quote, size


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        (0, 0),
        (31_457_280, 31_457_280),
        ("0B", 0),
        ("512B", 512),
        ("1KB", 1024),
        ("30MB", 31_457_280),
        ("1.5 GB", 1_610_612_736),
        ("1.4KB", 1433),
        (" 2MB ", 2_097_152),
    ],
)
def test_sizes(text, octets):
    assert Octets.parse(text) == octets


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (-5, "-5 is negative"),
        ("-5MB", '"-5MB" is not a size'),
        ("30", '"30" is not a size'),
        ("30 mb", '"30 mb" has an unknown unit'),
        ("30MiB", '"30MiB" has an unknown unit'),
        ("MB", '"MB" is not a size'),
        (3.5, "3.5 is not a size"),
        (True, "true is not a size"),
        ("99999999999GB", "more than 2^53"),
    ],
)
def test_bad_sizes(text, problem):
    with pytest.raises(ValueError) as caught:
        Octets.parse(text)
    assert problem in str(caught.value)
    assert ";" in str(caught.value), "the message says what would be right"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("10m", 600), ("6h", 21_600), ("35d", 3_024_000), ("1d12h30m5s", 131_405)],
)
def test_durations(text, seconds):
    assert Seconds.parse(text) == seconds


@pytest.mark.parametrize("text", ["", "10", 10, "10x", "-5s", "5s10m", "1.5h", "d", None, "5000d", ["1d"]])
def test_bad_durations(text):
    with pytest.raises(ValueError, match=";"):
        Seconds.parse(text)


@given(st.integers(0, 3_660 * 86_400))
def test_any_duration_survives_being_written_out(seconds):
    days, rest = divmod(seconds, 86_400)
    assert Seconds.parse(f"{days}d{rest}s") == seconds


@given(st.one_of(st.integers(), st.text(), st.floats(), st.booleans(), st.none()))
def test_whatever_is_refused_is_refused_with_a_sentence(value):
    for kind in (Octets, Seconds):
        problem = ""
        try:
            assert kind.parse(value) >= 0
        except ValueError as error:
            problem = str(error)
        assert not problem or "; " in problem


@pytest.mark.parametrize(
    ("octets", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1 KB"), (31_457_280, "30.00 MB"), (1 << 31, "2.00 GB")]
)
def test_sizes_for_people(octets, text):
    assert size(octets) == text


def test_quotes_are_as_in_toml_and_short():
    assert [quote(value) for value in ("a", 1, True, [1], {})] == ['"a"', "1", "true", "a list", "a table"]
    assert len(quote("x" * 1000)) < 50
