"""Which set of files a device runs: `/a` or `/b`, by one small file, `/active`, which is only replaced as a whole.

    a          set a is in force
    b 2 a      set b is on trial and was started twice; set a is the one to go back to ("-": there is none)

A set on trial that has not called `confirm` in its third boot is given up at the fourth. Without `/active` the files
beside this one are run.

This file and `main.py` lie in the root and may be older or newer than the set that they start. `VERSION` is the version
of what they offer to a set's `start.py`, which names the least that it needs as `ROOT_VERSION` (missing: 1).

    1          calls start.main(); the set imports this module
    2          calls start.main(slots) with this module

Both versions offer `read`, `confirm` and `failed`.
"""

import os
import sys

import machine

VERSION = 2
TRIES = 3
_POINTER = "/active"
_FLAG = "/maintenance"
_WATCHDOG_MS = 300_000  # in maintenance: a device that is left at the REPL restarts
_TRIAL_MS = 60_000  # from boot until the guard is built, which sets its own watchdog
_PAUSE_MS = 60_000  # before a set in force that fails to start is tried again


def read():
    """(slot, boots on trial, slot to go back to); boots is -1 for a set in force, slot is "" without `/active`."""
    try:
        with open(_POINTER) as file:
            words = file.read().split()
    except OSError:
        words = ()
    if len(words) == 1:
        return words[0], -1, ""
    if len(words) == 3:
        return words[0], int(words[1]), "" if words[2] == "-" else words[2]
    return "", -1, ""


def write(slot, boots=-1, good=""):
    """Replaces the pointer; a power cut leaves the old one or the new one."""
    with open(_POINTER + ".new", "w") as file:
        file.write(slot if boots < 0 else "%s %d %s" % (slot, boots, good or "-"))
    os.rename(_POINTER + ".new", _POINTER)


def maintenance():
    """Whether this boot is to end at the REPL: once after `/maintenance` was made."""
    try:
        os.remove(_FLAG)
    except OSError:
        return False
    machine.WDT(timeout=_WATCHDOG_MS)
    print("ug maintenance")
    return True


def choose():
    """The slot to run in this boot; counts the boot of a set on trial."""
    slot, boots, good = read()
    if boots >= TRIES and good:
        write(good)
        print("ug back", good)
        return good
    if boots >= 0:
        write(slot, min(boots + 1, TRIES), good)
    return slot


def confirm():
    """Puts a set on trial in force: it has started."""
    slot, boots, _ = read()
    if boots >= 0:
        write(slot)
    print("ug up", slot)


def failed():
    """Resets, as the set did not start: the next boot tries it again, or the set before. Without one it waits first."""
    _, boots, good = read()
    if boots < 0 or not good:
        import time

        print("ug down: tried again in", _PAUSE_MS // 1000, "s; Ctrl-C for the REPL")
        time.sleep_ms(_PAUSE_MS)
    machine.reset()


def run():
    """Runs the set in force. Ctrl-C leads to the REPL."""
    slot = choose()
    if slot:
        sys.path.insert(0, "/" + slot)
        if read()[1] >= 0:
            machine.WDT(timeout=_TRIAL_MS)  # a set that hangs has failed
    try:
        import start

        needs = getattr(start, "ROOT_VERSION", 1)
        if needs > VERSION:
            raise RuntimeError("the set needs slots.py of version %d, this is version %d" % (needs, VERSION))
        if needs == 1:
            start.main()
        else:
            start.main(sys.modules[__name__])
    except Exception as error:
        sys.print_exception(error)
        failed()
