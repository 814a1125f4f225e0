from usageguard.core.bucket import BURST_MAX, RATE_MAX, Bucket
from usageguard.core.ticks import ticks_add

from tests.portable import without_heap

START = (1 << 30) - 2500  # ticks wrap in the middle of each test


def empty(rate, burst=10000):
    """A bucket with nothing in it."""
    bucket = Bucket(rate, burst)
    bucket.take(burst, START)
    return bucket


def raises(function, *args):
    try:
        function(*args)
    except ValueError:
        return True
    return False


def test_full_at_first():
    for now in (0, 12345, START, 1 << 29):
        bucket = Bucket(100, 1000)
        assert bucket.wait_ms(now) == 0, now
        bucket.take(1000, now)
        assert (bucket.level, bucket.wait_ms(now)) == (0, 10), now


# 128 kbit/s is 16,000 octets a second
WAITS = (
    # rate, debt, milliseconds until there is one octet
    (16000, 0, 1),
    (16000, 15, 1),
    (16000, 16, 2),
    (16000, 1500, 94),  # 1501 / 16 = 93.8
    (16000, 16000, 1001),
    (1, 0, 1000),
    (3, 0, 334),
    (3, 9, 3334),
    (RATE_MAX, (1 << 29) - 1 - 10000, 32000),
    (1, 499999, 500000000),
    (1, 500000, 500000000),
    (1, (1 << 29) - 1 - 10000, 500000000),
)


def test_waits():
    for rate, debt, ms in WAITS:
        bucket = empty(rate)
        bucket.take(debt, START)
        assert bucket.wait_ms(START) == ms, (rate, debt, bucket.wait_ms(START))


def test_no_thousandth_is_lost():
    bucket = empty(7)
    for ms in range(1, 10001):
        bucket.step(ticks_add(START, ms))
        assert bucket.level == 7 * ms // 1000, (ms, bucket.level)


def test_no_more_than_a_burst():
    bucket = empty(16000)
    bucket.step(ticks_add(START, 624))
    assert bucket.level == 9984, bucket.level
    bucket.step(ticks_add(START, 626))
    assert bucket.level == 10000, bucket.level
    bucket.take(1, ticks_add(START, 626))
    assert bucket.level == 9999, "what was beyond the brim is gone"


def test_debt_has_an_end():
    bucket = empty(RATE_MAX)
    for _ in range(3):
        bucket.take((1 << 29) - 1, START)
    assert bucket.level == -(1 << 29), bucket.level
    assert bucket.wait_ms(START) == 32001, "2**29 / 2**24 s, and the octet to send"


def test_a_new_rate():
    bucket = empty(1000)
    bucket.step(ticks_add(START, 1000))
    bucket.set_rate(10)
    bucket.step(ticks_add(START, 3000))
    assert bucket.level == 1020, bucket.level


def test_rejects_what_is_out_of_range():
    for rate, burst in ((0, 1), (RATE_MAX + 1, 1), (1, 0), (1, BURST_MAX + 1)):
        assert raises(Bucket, rate, burst), (rate, burst)
    bucket = Bucket(5, 5)
    assert raises(bucket.set_rate, 0), "no rate"


def test_without_heap():
    bucket, fast = empty(16000), Bucket(RATE_MAX, BURST_MAX)

    def send():
        waited = 0
        for _ in range(100):
            now = ticks_add(START, waited)
            fast.take((1 << 29) - 1, now)
            waited += fast.wait_ms(now) // 1000
            bucket.take(1500, now)
            waited += bucket.wait_ms(now)
            bucket.step(now)
        return waited

    assert without_heap(send) > 100 * 1500 // 16
