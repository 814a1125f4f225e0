"""A modem without a data counter is expected to be less exact, and no less safe."""

import msgspec

from host_tools.scenario import file as scenario
from host_tools.scenario.expect import Expect


def test_what_is_expected_of_a_model_alone():
    exact = Expect(carried_over_permille=5, rated_error_permille=5, used_permille=980, carrier_stopped=False)
    assert exact.without_counter() == Expect(
        carried_over_permille=30, rated_error_permille=40, used_permille=940, carrier_stopped=False
    )
    assert Expect(carried_over_permille=100).without_counter() == Expect(carried_over_permille=100)
    assert Expect().without_counter() == Expect()


def test_the_profile_decides():
    loaded = scenario.load("cutoff-month")
    assert loaded.expected == loaded.expect
    assert msgspec.structs.replace(loaded, modem="a7670e").expected == loaded.expect.without_counter()
