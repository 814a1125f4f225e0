"""Writes a checked configuration as a module of constructor calls, so that the device needs no validator."""

from __future__ import annotations

import copy
import inspect
from typing import Any


def source(config: Any) -> str:
    """Python source of a function `load(device_id, key, pin)` that returns a copy of `config`.

    `config` is a usageguard.core.settings.Config. The arguments of `load` replace its id (str), key (32 bytes) and PIN
    (str or None).
    """
    config = copy.copy(config)
    config.device_id, config.key = _Parameter("device_id"), _Parameter("key")
    config.modem = copy.copy(config.modem)
    config.modem.pin = _Parameter("pin")
    writer = _Writer()
    result = writer.written(config)
    imports = [f"from {module} import {', '.join(sorted(names))}" for module, names in sorted(writer.imports.items())]
    return "\n".join([*imports, "", "", "def load(device_id, key, pin):", *writer.lines, f"    return {result}", ""])


class _Parameter(str):
    """A value that is written as the name of a parameter of `load`."""


class _Writer:
    """Writes statements that construct an object and everything that it refers to, each object once."""

    def __init__(self) -> None:
        self.imports: dict[str, set[str]] = {}
        self.lines: list[str] = []
        self._names: dict[int, str] = {}

    def written(self, value: Any) -> str:
        """An expression for `value`; adds the statements that it needs to `lines`."""
        if id(value) in self._names:
            return self._names[id(value)]
        if isinstance(value, _Parameter):
            return str(value)
        if value is None or isinstance(value, (bool, int, str, bytes)):
            return repr(value)
        if isinstance(value, (tuple, list)):
            items = "".join(f"{self.written(item)}, " for item in value)
            return f"({items})" if isinstance(value, tuple) else f"[{items}]"
        return self._made(value)

    def _made(self, value: Any) -> str:
        kind = type(value)
        arguments, made = _construction(value)
        self.imports.setdefault(kind.__module__, set()).add(kind.__name__)
        text = ", ".join([self.written(argument) for argument in arguments])
        name = self._names[id(value)] = f"{kind.__name__.lower()}{len(self._names)}"
        self.lines.append(f"    {name} = {kind.__name__}({text})")
        for attribute, held in vars(value).items():
            if not _same(vars(made).get(attribute), held):
                self.lines.append(f"    {name}.{attribute} = {self.written(held)}")
        return name


def _construction(value: Any) -> tuple[list[Any], Any]:
    """The constructor arguments for an object like `value`, without trailing defaults, and that object."""
    arguments = []
    wanted = 0
    for parameter in inspect.signature(type(value)).parameters.values():
        held = getattr(value, parameter.name, getattr(value, f"_{parameter.name}", parameter.default))
        assert held is not parameter.empty, f"{type(value).__name__}.{parameter.name} cannot be read from the object"
        arguments.append(held)
        if parameter.default is parameter.empty or not _same(held, parameter.default):
            wanted = len(arguments)
    return arguments[:wanted], type(value)(*arguments[:wanted])


def _same(one: Any, other: Any) -> bool:
    """Whether two values, or two objects with their attributes, are equal in type and content."""
    if type(one) is not type(other):
        return False
    if isinstance(one, (tuple, list)):
        return len(one) == len(other) and all(map(_same, one, other))
    if hasattr(one, "__dict__"):
        ours, theirs = vars(one), vars(other)
        return ours.keys() == theirs.keys() and all(_same(ours[name], theirs[name]) for name in ours)
    return one == other
