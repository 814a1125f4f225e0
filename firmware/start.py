"""Starts the guard, then your application under its supervision.

Beside this file lie `board.json` (pins: `usageguard.hal.esp32`), `application.py` with your `main(guard)`
(`usageguard.app`), and the guard's configuration: `config.json` (`usageguard.config.load`), or `configuration.py` where
a tool has checked it already. What belongs to this one device lies in `/secrets.json`: {"id": ..., "key": ...,
"pin": ...}; where that file is missing, it stands in `config.json`.
"""

import json
import sys


def _load(path):
    """What a JSON file holds, None where it is missing."""
    try:
        with open(path) as file:
            return json.load(file)
    except OSError:
        return None


def _hold_reserve():
    """Before anything else: the guard makes the heap grow over what a TLS handshake needs."""
    board = _load(_prefix() + "board.json")
    if board and "reserve" in board:
        import reserve

        reserve.hold(*board["reserve"])


def _prefix():
    folder = __file__.rpartition("/")[0]
    return folder + "/" if folder else ""


_hold_reserve()

from usageguard import app  # noqa: E402

ROOT_VERSION = 2  # the least `slots.VERSION` that this set needs


def _configuration(prefix):
    secrets = _load("/secrets.json")
    settings = _load(prefix + "config.json")
    if settings is None:
        import configuration

        del sys.modules["configuration"]  # what it makes stays, its code does not
        return configuration.load(secrets["id"], bytes.fromhex(secrets["key"]), secrets.get("pin"))
    if secrets:
        settings["device"] = {"id": secrets["id"], "key": secrets["key"]}
        if "pin" in secrets:
            settings["modem"]["pin"] = secrets["pin"]
    from usageguard.config import load as config  # a local name: nothing holds the validator after this

    return config.load(settings)


def boot():
    prefix = _prefix()
    configuration = _configuration(prefix)
    app.forget_configuration()  # before the rest is loaded: a heap does not hold both with much to spare
    from usageguard.guard.guard import Guard
    from usageguard.hal.esp32 import Hal

    return Guard(Hal(_load(prefix + "board.json")), configuration)


class _Unfit(BaseException):
    """The application cannot be imported. A BaseException: the supervisor would restart the application for ever."""


def main(slots=None):
    """Runs the guard and the application; does not return. `slots` is the root module, which `slots.run` hands in.

    An Exception means that the set is not fit to run.
    """
    slots = slots or sys.modules["slots"]  # root files of version 1 call main() without it

    def run_application(guard):
        try:
            import application  # late: `import socket` inside it is to find the guard's
        except Exception as error:
            if slots.read()[1] < 0:
                raise  # it ran once: the supervisor reports it
            sys.print_exception(error)
            raise _Unfit()
        slots.confirm()
        return application.main(guard)

    try:
        app.run(boot(), run_application)
    except _Unfit:
        slots.failed()
