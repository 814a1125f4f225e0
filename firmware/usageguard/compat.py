"""The seam between MicroPython and CPython: what one of them lacks, and nothing else."""

__all__ = ("RingIO", "const")

try:
    from micropython import RingIO, const  # RingIO: MicroPython >= 1.24
except ImportError:
    from usageguard.elsewhere import RingIO, const
