"""Polls a server over HTTP."""

import time

import urequests


def main(guard):
    while True:
        try:
            answer = urequests.get("http://api.example:8000/orders?device=7")
            answer.close()
        except OSError as error:
            print("no answer:", error)
        time.sleep(300)
