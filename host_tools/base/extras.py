"""The optional dependencies: which modules each extra of the package installs, and what to say when one is missing."""

from __future__ import annotations

import importlib.util

from host_tools.base.errors import UsageError

PACKAGE = "usage-guard"
MODULES = {
    "broker": ("amqtt",),
    "dask": ("distributed",),
    "fleet": ("argon2", "httptools", "jinja2", "prometheus_client", "starlette", "uvicorn"),
    "hardware": ("esptool", "littlefs", "mp_image_tool_esp32"),
    "mqtt": ("aiomqtt",),
    "parquet": ("pyarrow",),
    "platforms": ("aiohttp",),
    "postgresql": ("psycopg",),
    "report": ("matplotlib", "numpy"),
    "sms": ("aiohttp",),
}
"""The top-level modules of each extra in `pyproject.toml`."""


def need(what: str, *extras: str) -> None:
    """Raises UsageError unless every module of `extras` is installed; `what` names the command or the option.

    Call it before work begins: the module that imports the dependency may be reached only at the end of a long run.
    """
    missing = [each for each in extras if not all(map(_installed, MODULES[each]))]
    if missing:
        word = "extra" if len(missing) == 1 else "extras"
        problem = f"needs the {word} {' and '.join(missing)}"
        raise UsageError(what, "", problem, f"run: pip install '{PACKAGE}[{','.join(missing)}]'")


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
