"""The names of periods: a date only where the device knew it."""

import pytest

from host_tools.collector.period import period_name


@pytest.mark.parametrize(
    ("cycle_id", "name"),
    [
        (0, "not known yet"),
        (1, "test period"),
        (2, "silent period"),
        (9_101, "not known yet"),  # 2024-12-01
        (9_132, "not known yet"),  # 2025-01-01, on which a device without a time counts
        (9_528, "2026-02-01"),
    ],
)
def test_a_period_has_the_date_on_which_it_began(cycle_id, name):
    assert period_name(cycle_id) == name
