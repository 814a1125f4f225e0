"""The device's program under the bench: what `main.py` does on a board, with the host's HAL."""

import json
import os

from usageguard import app
from usageguard.guard import Guard
from usageguard.hal import host, virtual


def _load(name):
    with open(name) as file:
        return json.load(file)


def main():
    from usageguard import config  # a local name, as in `main.py`

    hal = host.HostHal(host.FdLink(int(os.getenv("USAGEGUARD_FD"))))
    bench = _load("bench.json")
    guard = Guard(hal, config.load(_load("config.json")))
    virtual.install(guard)
    del config
    # Imported late, as on a board: `import socket` inside the application is to find the guard's.
    app.run(guard, lambda guard: __import__(bench["app"]).main(guard))
