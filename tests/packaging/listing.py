"""Writes firmware/package.json for `mip` anew: python tests/packaging/listing.py

On a device goes what its modules import, for every modem family. What only the simulator imports, and the description
of the HAL, stay out.
"""

import json
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIRMWARE = ROOT / "firmware"
_HOST = ("host", "host_ppp", "interface", "virtual")
SIMULATED = {"usageguard/cpython.py", *(f"usageguard/hal/{name}.py" for name in _HOST)}
STARTERS = ("reserve.py", "slots.py", "start.py")


def package() -> dict:
    """What package.json has to hold."""
    modules = {file.relative_to(FIRMWARE).as_posix() for file in (FIRMWARE / "usageguard").rglob("*.py")}
    files = [*STARTERS, *sorted(modules - SIMULATED)]
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    return {"version": version, "deps": [], "urls": [[name, name] for name in files]}


def text() -> str:
    made = package()
    urls = ",\n".join(f"    {json.dumps(pair)}" for pair in made.pop("urls"))
    head = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in made.items())
    return f'{{\n{head},\n  "urls": [\n{urls}\n  ]\n}}\n'


if __name__ == "__main__":
    (FIRMWARE / "package.json").write_text(text(), encoding="ascii")
