"""Keeps the guard from its steps in the way that the file `way` names."""

import sys
import time


def block(guard, ms):
    """Passes the time as a C function that does not return would."""
    from usageguard.hal import host  # not on a board

    host.block(guard.hal, ms)


def fetch(octets):
    import socket

    sock = socket.socket()
    try:
        sock.settimeout(60)
        sock.connect(("api", 80))
        sock.write(b"UG\0\x08" + octets.to_bytes(4, "big"))
        while octets:
            got = len(sock.read(min(octets, 1000)))
            if not got:
                break
            octets -= got
    finally:
        sock.close()


def sleep(guard, octets=5000):
    """Downloads for ever, and after an error tries again two seconds later, as umqtt.robust does."""
    while True:
        try:
            fetch(octets)
            guard.hal.event("fetched")
        except OSError as refused:
            guard.hal.event("app-refused", refused.args[0])
        time.sleep(2)


def sleep_more(guard):
    sleep(guard, 12_000)


def block_forever(guard):
    """As `sleep`, with a pause that the guard knows nothing of."""
    while True:
        block(guard, 2000)


def loop(guard):
    time.sleep(30)
    while True:
        pass


def loop_of_requests(guard):
    """The bench hears of it all the time, and no time passes."""
    time.sleep(30)
    while True:
        guard.hal.random(1)


def allocate(guard):
    fetch(2000)
    bytearray(1 << 45)


def callback(guard):
    """Callbacks of a timer or a pin run between any two instructions of the main thread."""
    import micropython

    def fail(arg):
        raise ValueError("in a callback")

    for turn in range(10):
        micropython.schedule(fail, turn)
        fetch(2000)
        time.sleep(60)
    guard.hal.event("callback-turns", turn + 1)
    time.sleep(3600)


def c_call(guard):
    while True:
        fetch(500)
        block(guard, 60_000)


def long_c_call(guard):
    fetch(2000)
    try:
        open("blocked").close()
    except OSError:
        open("blocked", "w").close()
        block(guard, 400_000)
    time.sleep(3600)


def thread(guard):
    """One thread computes for ever, another pauses, a third tries to use the network."""
    import _thread

    seen = []

    def compute():
        n = 0
        while True:
            n = (n + 1) & 255

    def pause():
        for seconds in (0.001, 0.01, 1):
            time.sleep(seconds)
        seen.append("paused")

    def use_network():
        try:
            fetch(10)
        except RuntimeError:
            seen.append("refused")

    if hasattr(sys, "setswitchinterval"):
        sys.setswitchinterval(1e-4)  # as often as MicroPython changes threads
    for work in (pause, use_network, compute):
        _thread.start_new_thread(work, ())
    while len(seen) < 2:  # virtual time is much faster than a thread
        time.sleep(20)
    fetch(2000)
    for each in sorted(seen):
        guard.hal.event("thread-" + each)
    time.sleep(3600)


def short_sleeps(guard):
    while True:
        time.sleep_ms(5)


def microseconds(guard):
    while True:
        time.sleep_us(1500)


def busy_wait(guard):
    started = time.ticks_ms()
    while time.ticks_diff(time.ticks_ms(), started) < 500:
        pass
    guard.hal.event("busy-wait", time.ticks_diff(time.ticks_ms(), started))
    time.sleep(3600)


def idle(guard):
    import machine

    while True:
        machine.idle()


def light_sleep(guard):
    import machine

    while True:
        machine.lightsleep(600_000)


def poll(guard):
    import select

    while True:
        select.poll().poll(600_000)


def poll_at_once(guard):
    import select

    poller = select.poll()
    while True:
        poller.poll(0)
        time.sleep_us(1000)


def main(guard):
    with open("way") as file:
        way = file.read()
    getattr(sys.modules[__name__], way)(guard)
