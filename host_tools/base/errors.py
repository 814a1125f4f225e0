"""The error for bad input, as one line."""

from __future__ import annotations


class UsageError(Exception):
    """Bad input. `where` is the file or option, `field` the place in it, `hint` says what would be right.

    The command line prints it and exits with status 2.

    >>> str(UsageError("demo.toml", "traffic #2, period", '"10x" is not a duration', 'write it as in "10m"'))
    'demo.toml: traffic #2, period: "10x" is not a duration; write it as in "10m"'
    """

    def __init__(self, where: str, field: str, problem: str, hint: str = "") -> None:
        self.where = where
        self.field = field
        self.problem = problem
        self.hint = hint
        place = f"{where}: {field}" if field else where
        super().__init__(f"{place}: {problem}; {hint}" if hint else f"{place}: {problem}")

    def __reduce__(self) -> tuple[type[UsageError], tuple[str, str, str, str]]:
        return type(self), (self.where, self.field, self.problem, self.hint)  # a worker process may raise it
