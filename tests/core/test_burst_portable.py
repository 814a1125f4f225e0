from usageguard.core.burst import LEARN_WINDOWS, Burst

from tests.portable import without_heap

CLASSES = ("telemetry", "ota")  # only how many there are counts
NEVER = 1 << 29


def learned(usual=1000, factor=10, floor=5000):
    """Class 0 is used to `usual` octets in a window, class 1 to none."""
    burst = Burst(CLASSES, factor, floor, 3600)
    for _ in range(LEARN_WINDOWS):
        burst.spent(0, usual)
        burst.roll()
    return burst


def usual_of(burst, index):
    """Octets that a class spends in a usual window; None while that is being learned."""
    return burst._usual8[index] >> 3 if burst._taught[index] == LEARN_WINDOWS else None


def test_nothing_is_held_while_it_learns():
    burst = Burst(CLASSES, 10, 5000, 3600)
    for window in range(LEARN_WINDOWS):
        assert burst.limits == [NEVER, NEVER], window
        assert usual_of(burst, 0) is None, window
        assert not burst.spent(0, 1000 * window), window
        assert not burst.spent(1, NEVER - 1), window
        assert not burst.spent(1, NEVER - 1), "a sum stays at 2**29"
        burst.roll()
    assert usual_of(burst, 0) == 3500, "the mean of 0 to 7000"
    assert burst.limits[0] == 35000, burst.limits
    assert burst.limits[1] == NEVER, "10 times as much cannot be told"


def test_found_once_in_a_window():
    burst = learned()
    assert burst.limits == [10000, 5000], "10 times the usual, and at least the floor"
    assert not burst.spent(0, 10000), "up to the limit"
    assert burst.spent(0, 1), "beyond it"
    assert burst.passed == 1, burst.passed
    assert not burst.spent(0, 99999), "known already"
    assert burst.spent(1, 5001), "another class, by the floor"
    assert burst.passed == 3, burst.passed
    burst.roll()
    assert burst.passed == 0, burst.passed
    assert not burst.spent(0, 10000), "a new window"
    assert burst.spent(0, 1), "and found anew"


def test_what_a_held_class_does_is_not_usual():
    burst = learned()
    burst.spent(0, 1 << 20)
    for _ in range(100):
        burst.roll(1)
    assert (usual_of(burst, 0), burst.limits[0]) == (1000, 10000), burst.limits
    burst.roll()
    assert usual_of(burst, 0) == 875, "a window of silence by its own will: 7/8"
    burst.spent(0, 1675)
    burst.roll()
    assert usual_of(burst, 0) == 975, "7/8 of 875 and 1/8 of 1675"


def test_usual_follows_without_remainder():
    burst = learned(0)
    for n in (7, 1, 0):
        for _ in range(200):
            burst.spent(0, n)
            burst.roll()
        assert usual_of(burst, 0) == n, (n, usual_of(burst, 0))


def test_spent_without_heap():
    burst = learned()

    def spend():
        found = 0
        for _ in range(100):
            found += burst.spent(0, 1500)
            found += burst.spent(1, NEVER - 1)
        return found

    assert without_heap(spend) == 2
