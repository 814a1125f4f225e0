"""Starts the guard, then your application under its supervision.

Beside this file lie `board.json` (pins: `usageguard.hal.esp32`), `application.py` with your `main(guard)`
(`usageguard.app`), and what the guard is to keep to: `config.json` (`usageguard.config`), or where a tool has checked
that already, `configuration.py`. What belongs to this one device lies in `/secrets.json`: {"id": ..., "key": ...,
"pin": ...}; where that file is missing, it stands in `config.json`.
"""

import json
import sys

import slots
from usageguard import app


def _load(path):
    """What a JSON file holds, None where it is missing."""
    try:
        with open(path) as file:
            return json.load(file)
    except OSError:
        return None


def _configuration(prefix):
    secrets = _load("/secrets.json")
    settings = _load(prefix + "config.json")
    if settings is None:
        import configuration

        return configuration.load(secrets["id"], bytes.fromhex(secrets["key"]), secrets.get("pin"))
    if secrets:
        settings["device"] = {"id": secrets["id"], "key": secrets["key"]}
        if "pin" in secrets:
            settings["modem"]["pin"] = secrets["pin"]
    from usageguard import config  # a local name: nothing holds the validator after this

    return config.load(settings)


def boot():
    folder = __file__.rpartition("/")[0]
    prefix = folder + "/" if folder else ""
    configuration = _configuration(prefix)
    app.forget_configuration()  # before the rest is loaded: a heap does not hold both with much to spare
    from usageguard.guard import Guard
    from usageguard.hal.esp32 import Hal

    return Guard(Hal(_load(prefix + "board.json")), configuration)


class _Unfit(BaseException):
    """Past the supervisor, which would start the application again for ever."""


def _application(guard):
    """Imported late: `import socket` inside the application is to find the guard's."""
    try:
        import application
    except Exception as error:
        if slots.read()[1] < 0:
            raise  # it ran once: the supervisor reports it
        sys.print_exception(error)
        raise _Unfit()
    slots.confirm()
    return application.main(guard)


def main():
    """Does not return. An Exception means that the set is not fit to run."""
    try:
        app.run(boot(), _application)
    except _Unfit:
        slots.failed()
