"""The device's program under the bench: what `main.py` does on a board, with the host's HAL."""

import json
import os

from usageguard import app


def _load(name):
    with open(name) as file:
        return json.load(file)


def _configuration():
    from usageguard import config  # a local name: nothing holds the validator after this

    return config.load(_load("config.json"))


def main():
    configuration = _configuration()
    app.forget_configuration()  # as in `start.py`
    from usageguard.guard import Guard
    from usageguard.hal import host, virtual

    hal = host.HostHal(host.FdLink(int(os.getenv("USAGEGUARD_FD"))))
    bench = _load("bench.json")
    guard = Guard(hal, configuration)
    virtual.install(guard)
    # Imported late, as on a board: `import socket` inside the application is to find the guard's.
    app.run(guard, lambda guard: __import__(bench["app"]).main(guard))
