"""Runs test files of plain `test_*()` functions on MicroPython; pytest runs the same files on CPython.

    micropython tests/portable.py tests/core/test_octets_portable.py ...

from the repository's root, with MICROPYPATH=.frozen:.:firmware. Prints what failed; exit status 1 if
anything did, or if there was no test.
"""

import sys

try:
    from micropython import heap_lock, heap_unlock
except ImportError:  # CPython cannot forbid allocation

    def heap_lock():
        """No effect."""

    def heap_unlock():
        """No effect."""


def without_heap(function):
    """Calls `function()`; on MicroPython any allocation in it raises MemoryError."""
    heap_lock()
    try:
        return function()
    finally:
        heap_unlock()


def main(paths):
    """Runs every test in the files `paths`; returns the exit status."""
    passed = failed = 0
    for path in paths:
        folder, _, name = path.rpartition("/")
        sys.path.insert(0, folder)
        module = __import__(name[:-3])
        del sys.path[0]
        for test in sorted(dir(module)):
            if test.startswith("test_"):
                try:
                    getattr(module, test)()
                    passed += 1
                except Exception as error:
                    failed += 1
                    print(path, test)
                    sys.print_exception(error)
    print(passed, "passed,", failed, "failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
