"""A driver without a needless pause uses most of a fast line."""

from host_tools.bench.line import shares


def test_a_megabyte_each_way_takes_most_of_a_fast_line():
    found = shares("quectel-ec200u")
    assert found["up"] >= 0.71, "a command, its prompt, 1,460 octets and their result"
    assert found["down"] >= 0.71, "a command and 1,500 octets"


def test_a_pause_that_the_manual_asks_for_is_kept():
    assert shares("sara-r5")["up"] < 0.2, "60 ms before the data, 20 ms behind each result"
