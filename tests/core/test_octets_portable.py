from usageguard.core.octets import MAX, WIDTH, Octets

from tests.portable import without_heap

CAP = (1 << 30) - 1  # what a difference is clamped to
EDGES = [0, 1, 2, (1 << 24) - 1, 1 << 24, (1 << 24) + 1, CAP - 1, CAP, CAP + 1, CAP + (1 << 24), 1 << 31]
EDGES += [(1 << 31) - 1, 1 << 32, 5 << 30, (1 << 53) + 12345, MAX - (1 << 29), MAX - CAP, MAX - 1, MAX]


def raises(function, *args):
    try:
        function(*args)
    except ValueError:
        return True
    return False


def test_value_is_what_it_was_made_from():
    for n in EDGES:
        assert Octets(n).value() == n, n


def test_rejects_what_is_no_count():
    assert raises(Octets, -1), "negative"
    assert raises(Octets, MAX + 1), "beyond the end"


def test_add():
    for n in EDGES:
        for k in (0, 1, 255, (1 << 24) - 1, 1 << 24, (1 << 29) - 1):
            counter = Octets(n)
            counter.add(k)
            assert counter.value() == min(n + k, MAX), (n, k, counter.value())


def test_add_refuses_what_would_under_count():
    counter = Octets(1000)
    for k in (-1, -1000, 1 << 29, 1 << 40):
        assert raises(counter.add, k), k
    assert counter.value() == 1000, "a refused count must change nothing"


def test_pairs():
    for a in EDGES:
        for b in EDGES:
            x, y = Octets(a), Octets(b)
            assert x.less(y) == (a < b), (a, b)
            assert x.diff(y) == max(-CAP, min(CAP, a - b)), (a, b, x.diff(y))
            x.add_octets(y)
            assert x.value() == min(a + b, MAX), (a, b, x.value())
            x.set(y)
            assert (x.value(), y.value()) == (b, b), (a, b)


def test_sub():
    for a in EDGES:
        for b in EDGES:
            x = Octets(a)
            if a < b:
                assert raises(x.sub, Octets(b)), (a, b)
                assert x.value() == a, "a refused sub must change nothing"
            else:
                x.sub(Octets(b))
                assert x.value() == a - b, (a, b, x.value())


def test_stored_form():
    buf = bytearray(WIDTH + 2)
    for n in EDGES:
        Octets(n).pack_into(buf, 1)
        assert bytes(buf[1:-1]) == n.to_bytes(WIDTH, "little"), n
        assert buf[0] == buf[-1] == 0, "wrote beside its octets"
        back = Octets(77)
        back.unpack_from(buf, 1)
        assert back.value() == n, n
    buf[WIDTH] = 0x40
    assert raises(back.unpack_from, buf, 1), "beyond MAX"
    assert back.value() == MAX, "a refused form must change nothing"


def test_counts_without_heap():
    x, y, buf = Octets(1 << 40), Octets((1 << 40) + 5), bytearray(16)

    def count():
        for _ in range(100):
            x.add(1500)
            x.add((1 << 29) - 1)
            y.add_octets(x)
            y.sub(x)
            x.less(y)
            x.diff(y)
            y.diff(x)
            x.set(y)
            x.pack_into(buf, 3)

    without_heap(count)
    assert y.value() == x.value() == (1 << 40) + 5, "each round ends where it began"
