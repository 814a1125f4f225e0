"""The names of the targets, as `--target` takes them. Imports nothing, as every pytest run may load it."""

CPYTHON = "cpython"
MICROPYTHON = "micropython"
SIMULATED = (CPYTHON, MICROPYTHON)
"""The device's program runs on this computer, in virtual time."""
BOARD = "board:"
"""Prefix of a target that is a real board; its serial port follows."""
VIRTUAL = BOARD + "virtual"
"""A board that is simulated by a MicroPython VM behind a pseudo-terminal, in real time."""


def is_board(target: str) -> bool:
    """Whether the target is a board, real or virtual."""
    return target.startswith(BOARD)


def is_known(target: str) -> bool:
    """Whether `--target` takes this name."""
    return target in SIMULATED or is_board(target)
