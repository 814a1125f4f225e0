"""Groups of commands whose first word may be left out."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


def default_group(name: str) -> type[TyperGroup]:
    """A group in which arguments that begin with none of its commands are those of the command `name`."""

    class Group(TyperGroup):
        default = name

        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            known = (*self.commands, "--help")
            if args and args[0] not in known:
                args = [name, *args]
            return super().parse_args(ctx, args)

    return Group
