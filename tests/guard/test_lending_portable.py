"""The reserve for TLS, end to end on a simulated native heap: a handshake that finds too little gets what is kept."""

import sys

ENOMEM = 12
HANDSHAKE = (16_700, 4_200, 6_900)
UART_BUFFERS = (20_000, 20_000)


class Heap:
    """A native heap without fragments. Python's heap may `grow` over all of it that is free."""

    def __init__(self, octets, largest=0):
        self.free = octets
        self.largest = largest or octets

    def take(self, blocks):
        if sum(blocks) > self.free:
            raise OSError(ENOMEM, "no native memory")
        self.free -= sum(blocks)

    def give(self, blocks):
        self.free += sum(blocks)

    def grow(self):
        self.free = 0


class Board:
    """What `reserve` uses of `machine` and `esp32`, and `ssl`, over one heap."""

    HEAP_DATA = 4

    def __init__(self, heap):
        class UART:
            def __init__(self, number, tx, rx, rxbuf, txbuf):
                heap.take((rxbuf, txbuf))
                self.taken = rxbuf, txbuf
                board.uarts.append((number, tx, rx))

            def deinit(self):
                heap.give(self.taken)

        class SSLContext:
            def wrap_socket(self, sock, server_hostname=None):
                heap.take(HANDSHAKE)
                try:
                    if sock == "refused":
                        raise OSError(-30592, "handshake")
                    heap.give(HANDSHAKE[2:])
                    return "secure " + sock, server_hostname
                except OSError:
                    heap.give(HANDSHAKE)
                    raise

        board = self
        self.heap = heap
        self.uarts = []
        self.UART = UART
        self.SSLContext = SSLContext

    def idf_heap_info(self, kind):
        return [(9, 9, 1_000, 9), (self.heap.free, self.heap.free, self.heap.largest, 0)]


def on(heap, test):
    """Calls test(reserve, ssl) with modules that use `heap`; afterwards the modules are what they were."""
    names = ("machine", "esp32", "ssl", "tls", "reserve")
    before = {name: sys.modules.get(name) for name in names}
    board = Board(heap)
    for name in names[:4]:
        sys.modules[name] = board
    sys.modules.pop("reserve", None)
    try:
        import reserve

        test(reserve, board)
    finally:
        for name in names:
            sys.modules.pop(name, None)
            if before[name] is not None:
                sys.modules[name] = before[name]


def lent(reserve, board):
    from usageguard.guard import lending

    reserve.hold(2, 4, 5)
    lending.install(reserve)
    board.heap.grow()


def fails(ssl, sock):
    try:
        ssl.SSLContext().wrap_socket(sock)
    except OSError as error:
        return error.args[0]
    return 0


def test_without_a_reserve_there_is_no_room():
    def test(reserve, ssl):
        ssl.heap.grow()
        assert fails(ssl, "peer") == ENOMEM

    on(Heap(60_000), test)


def test_a_handshake_gets_what_was_kept():
    def test(reserve, ssl):
        lent(reserve, ssl)
        assert (reserve.state, ssl.heap.free, ssl.uarts) == ("held", 0, [(2, 4, 5)])
        assert ssl.SSLContext().wrap_socket("peer", server_hostname="name") == ("secure peer", "name")
        assert reserve.state == "lent", "the session has a part of it"
        ssl.heap.give(HANDSHAKE[:2])  # it ends
        reserve.take()
        assert (reserve.state, ssl.heap.free) == ("held", 0)

    on(Heap(60_000), test)


def test_after_a_failure_it_is_taken_back():
    def test(reserve, ssl):
        lent(reserve, ssl)
        assert fails(ssl, "refused") == -30592
        assert (reserve.state, ssl.heap.free) == ("held", 0)
        assert fails(ssl, "peer") == 0, "and lent again"

    on(Heap(60_000), test)


def test_through_tls_as_well():
    def test(reserve, ssl):
        lent(reserve, ssl)
        import tls

        assert tls.SSLContext().wrap_socket("peer")[0] == "secure peer"
        assert reserve.state == "lent"

    on(Heap(60_000), test)


def test_what_python_has_taken_meanwhile_is_not_had_back():
    def test(reserve, ssl):
        lent(reserve, ssl)
        assert fails(ssl, "peer") == 0
        ssl.heap.grow()
        ssl.heap.give(HANDSHAKE[:2])
        reserve.take()
        assert reserve.state == "lent"

    on(Heap(60_000), test)


def test_where_there_is_plenty_none_is_kept():
    def test(reserve, ssl):
        reserve.hold(2, 4, 5)
        reserve.lend()
        reserve.take()
        assert (reserve.state, ssl.uarts) == ("plenty", [])

    on(Heap(60_000, 1 << 21), test)


def test_where_even_the_reserve_has_no_room_it_says_so():
    def test(reserve, ssl):
        lent(reserve, ssl)
        assert (reserve.state, ssl.uarts) == ("refused", [])
        assert fails(ssl, "peer") == ENOMEM

    on(Heap(30_000), test)
