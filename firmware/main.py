"""What a device runs: the guard, then your application under its supervisor.

Beside this file lie `config.json` (plan, classes, upstream: `usageguard.config`), `board.json` (pins:
`usageguard.hal.esp32`) and `application.py` with your `main(guard)` (`usageguard.app`).
"""

import json

from usageguard import app, config
from usageguard.guard import Guard
from usageguard.hal.esp32 import Hal

with open("board.json") as file:
    guard = Guard(Hal(json.load(file)), config.load_file("config.json"))


def main(guard):
    """Imported late: `import socket` inside the application is to find the guard's."""
    import application

    return application.main(guard)


app.run(guard, main)
