"""The bench's figures: what is measured, its goal, and beside what it stands.

A figure is a function with the decorator `figure`, in one of the modules of GROUPS. Its name begins with that of its
group, whose figures are measured in one process, so that they may share what is expensive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module

GROUPS = ("path", "speed", "fleet", "collector", "cost", "heap", "line")
"""Each is a module of this package, `<group>_figures`; what takes longest first."""
NEAR = 0.05
"""A value that is held is this near to what it is held to, or that has to follow."""


@dataclass(frozen=True)
class Measured:
    """A value, and the same of others, by their names."""

    value: float
    peer: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """`goal` is the most that its value may be, or with `least` the least; None where none was set.

    `held`: where the goal is not reached, the value that must not get worse. It changes in the goal's direction only.
    `portable`: the value does not depend on the machine, nor on what else it does.
    """

    name: str
    unit: str
    goal: float | None
    least: bool
    held: float | None
    portable: bool
    measure: Callable[[], Measured | float]

    @property
    def bound(self) -> float | None:
        """What a value is held to."""
        return self.goal if self.held is None else self.held

    @property
    def group(self) -> str:
        return self.name.partition(".")[0]

    def met(self, value: float) -> bool | None:
        """Whether `value` reaches the goal; None without one."""
        return None if self.goal is None else self._reaches(value, self.goal)

    def holds(self, value: float) -> bool:
        """Whether `value` is no worse than the goal, or than what is held where the goal is not reached. A value that
        depends on the machine is never."""
        return not self.portable or self.bound is None or self._reaches(value, self.bound)

    def is_near(self, value: float) -> bool:
        """Whether what is held stands near `value`."""
        return self.held is None or abs(value - self.held) <= NEAR * abs(self.held)

    def _reaches(self, value: float, bound: float) -> bool:
        return value >= bound if self.least else value <= bound


_figures: dict[str, Figure] = {}


def figure(
    name: str,
    unit: str,
    *,
    most: float | None = None,
    least: float | None = None,
    held: float | None = None,
    portable: bool = True,
) -> Callable[[Callable[[], Measured | float]], Callable[[], Measured | float]]:
    """Makes the decorated function, which measures and returns the value, the figure `name`."""

    def register(measure: Callable[[], Measured | float]) -> Callable[[], Measured | float]:
        goal = most if least is None else least
        _figures[name] = Figure(name, unit, goal, least is not None, held, portable, measure)
        return measure

    return register


def figures() -> Mapping[str, Figure]:
    """All figures by name, those of a group one behind the other."""
    for group in GROUPS:
        import_module(f"{__package__}.{group}_figures")
    return _figures
