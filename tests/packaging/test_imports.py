"""No module imports itself through others: not through a package's `__init__`, nor between the firmware's root files.

`make lint` checks the order of the packages (import-linter); it does not see these two.
"""

import ast
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

from host_tools.base import paths

ROOT_FILES = ("main", "reserve", "slots", "start")


def imported(source):
    """The modules that a source imports anywhere, in functions as well."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def check(graph):
    """Raises CycleError for a circle in `graph`: module -> what it imports."""
    tuple(TopologicalSorter(graph).static_order())


def test_no_module_is_part_of_a_circle():
    found = grimp.build_graph("host_tools", "usageguard", exclude_type_checking_imports=False, cache_dir=None)
    graph = {module: found.find_modules_directly_imported_by(module) for module in found.modules}
    assert "host_tools.build" in graph, "a room without an __init__.py is not seen"
    graph |= {name: imported((paths.firmware() / f"{name}.py").read_text("ascii")) for name in ROOT_FILES}
    check(graph)


def test_a_circle_is_found():
    with pytest.raises(CycleError, match=r"a.*b"):
        check({"a": imported("def f():\n    from b import c"), "b": imported("import a")})
