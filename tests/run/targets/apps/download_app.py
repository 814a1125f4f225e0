"""Downloads a file once an hour with stock `urequests`, and again after a minute when that fails."""

import sys
import time

import urequests


class Text(str):
    """The library writes a str with `b"%s" %`, which CPython refuses."""

    def __bytes__(self):
        return self.encode()

    def split(self, *args):
        return [Text(part) for part in str.split(self, *args)]


def main(guard):
    text = Text if sys.implementation.name == "cpython" else str
    while True:
        try:
            response = urequests.request(text("GET"), text("http://files.example/item"))
            guard.hal.event("downloaded", len(response.content))
            response.close()
            time.sleep(3600)
        except OSError:
            time.sleep(60)
