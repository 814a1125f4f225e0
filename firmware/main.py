"""What a device runs: the guard, then your application under its supervisor.

Beside this file lie `config.json` (plan, classes, upstream: `usageguard.config`), `board.json` (pins:
`usageguard.hal.esp32`) and `application.py` with your `main(guard)` (`usageguard.app`).
"""

import gc

gc.threshold(2048)  # collects the garbage of imports before what stays is allocated behind it: the heap stays whole

import json

from usageguard import app
from usageguard.guard import Guard
from usageguard.hal.esp32 import Hal


def boot():
    from usageguard import config  # a local name: nothing holds the validator when `app.run` lets it go

    with open("board.json") as file:
        return Guard(Hal(json.load(file)), config.load_file("config.json"))


def main(guard):
    """Imported late: `import socket` inside the application is to find the guard's."""
    import application

    return application.main(guard)


app.run(boot(), main)
