"""The seam between MicroPython and CPython: what one of them lacks, and nothing else."""

__all__ = ("RingIO", "const", "get_ident")

try:
    from micropython import RingIO, const  # RingIO: MicroPython >= 1.24
except ImportError:
    from usageguard.cpython import RingIO, const

try:
    from _thread import get_ident
except ImportError:  # a port without threads: every caller is in thread 0
    get_ident = int
