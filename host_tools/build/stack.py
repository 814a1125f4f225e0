"""How many words of stack each function of a compiled module takes.

The VM keeps a call's locals and operands on the C stack up to 11 words (py/objfun.c, VM_MAX_STATE_ON_STACK). For more
it takes a block from the heap at each call and gives it back after it: slower than the call itself on a heap that is in
use, and counted towards the next collection.
"""

from __future__ import annotations

from collections.abc import Iterator

ON_STACK = 11
"""Words that take nothing from the heap."""

_HANDLER_WORDS = 3  # of an exception handler: mp_exc_stack_t
_HEADER = 4  # octets: M, version, flags, bits of a small int
_GENERATOR = 1  # scope flag (py/bc.h)
_WITHOUT_DATA = range(5)  # kinds of an object: a function table, None, False, True, ...
_STRINGS = (5, 6)  # kinds that end in a NUL: text and bytes
_TUPLE = 10


def words(mpy: bytes) -> Iterator[tuple[str, int]]:
    """(qualified name, words) of each function in a module's bytecode that is no generator, whose state is an object.

    A name that MicroPython itself has is told by its number, as `#149`. Format: py/persistentcode.c and py/bc.h.
    """
    return _Reader(mpy).functions()


class _Reader:
    def __init__(self, mpy: bytes) -> None:
        if mpy[:2] != b"M\x06":
            raise ValueError("not a module of MicroPython's format 6")
        self._mpy = mpy
        self._at = _HEADER
        strings, objects = self._number(), self._number()
        self._names = [self._string() for _ in range(strings)]
        for _ in range(objects):
            self._skip_object()

    def functions(self) -> Iterator[tuple[str, int]]:
        return self._code("")

    def _number(self) -> int:
        value, self._at = number(self._mpy, self._at)
        return value

    def _string(self) -> str:
        size = self._number()
        if size & 1:
            return f"#{size >> 1}"
        begin = self._at
        self._at += (size >> 1) + 1
        return self._mpy[begin : self._at - 1].decode()

    def _skip_object(self) -> None:
        kind = self._mpy[self._at]
        self._at += 1
        if kind in _WITHOUT_DATA:
            return
        size = self._number()
        if kind == _TUPLE:
            for _ in range(size):
                self._skip_object()
        else:
            self._at += size + (kind in _STRINGS)

    def _code(self, outer: str) -> Iterator[tuple[str, int]]:
        head = self._number()
        begin = self._at
        self._at += head >> 3
        state, handlers, flags, at = _signature(self._mpy, begin)
        while self._mpy[at] & 0x80:  # the sizes of what follows
            at += 1
        name, _ = number(self._mpy, at + 1)
        path = f"{outer}.{self._names[name]}"
        if not flags & _GENERATOR and outer:
            yield path.split(".", 2)[2], state + _HANDLER_WORDS * handlers
        for _ in range(self._number() if head & 4 else 0):
            yield from self._code(path)


def number(octets: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits in each octet, and where it ends."""
    value = 0
    while True:
        octet = octets[at]
        at += 1
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            return value, at


def _signature(octets: bytes, at: int) -> tuple[int, int, int, int]:
    """Words of state, exception handlers and scope flags of a function, and where its signature ends."""
    octet = octets[at]
    at += 1
    state, handlers, flags = octet >> 3 & 15, octet >> 2 & 1, 0
    n = 0
    while octet & 0x80:
        octet = octets[at]
        at += 1
        state |= (octet & 0x30) << 2 * n
        handlers |= (octet & 2) << n
        flags |= (octet >> 6 & 1) << n
        n += 1
    return state + 1, handlers, flags, at
