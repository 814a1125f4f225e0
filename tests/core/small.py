"""A small int of a 32-bit MicroPython, 31 bits, that fails where the real one would move to the heap."""


class Small(int):
    """An integer whose arithmetic stays in -2**30..2**30 - 1, or raises OverflowError.

    What is computed from one is one again: feeding a function with them checks its intermediate results.
    """

    def __new__(cls, n):
        if not -(1 << 30) <= n < 1 << 30:
            raise OverflowError(f"{n} is no small int")
        return super().__new__(cls, n)


def _checked(name):
    plain = getattr(int, name)

    def operate(self, *args):
        result = plain(self, *args)
        return result if result is NotImplemented else Small(result)

    return operate


for _name in ("add", "sub", "mul", "floordiv", "mod", "lshift", "rshift", "and", "or", "xor"):
    for _form in (f"__{_name}__", f"__r{_name}__"):
        setattr(Small, _form, _checked(_form))
for _name in ("__neg__", "__invert__"):
    setattr(Small, _name, _checked(_name))


class SmallBuffer(bytearray):
    """A bytearray whose items are Small."""

    def __getitem__(self, index):
        return Small(super().__getitem__(index))
