"""Which set of files a device runs: `/a` or `/b`, by one small file, `/active`, that is only ever replaced whole.

    a          set a is in force
    b 2 a      set b is on trial and was started twice; set a is the one to go back to ("-": there is none)

A set on trial that has not called `confirm` in its third boot is given up at the fourth. Without `/active` the files
beside this one are run, as somebody copied them.
"""

import os
import sys

import machine

TRIES = 3
_POINTER = "/active"
_FLAG = "/maintenance"
_WATCHDOG_MS = 300_000  # of maintenance: a device that was left in it starts again by itself
_TRIAL_MS = 60_000  # from boot to `guard` built, which sets a watchdog of its own
_PAUSE_MS = 60_000  # before a set that is in force and fails to start is tried again


def read():
    """(slot, boots on trial, slot to go back to); boots is -1 for a set in force, slot "" where nothing says."""
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
    """Whether somebody asked for the REPL in place of the application, for this one boot."""
    try:
        os.remove(_FLAG)
    except OSError:
        return False
    machine.WDT(timeout=_WATCHDOG_MS)
    print("ug maintenance")
    return True


def choose():
    """The slot to run in this boot, counted where it is on trial."""
    slot, boots, good = read()
    if boots >= TRIES and good:
        write(good)
        print("ug back", good)
        return good
    if boots >= 0:
        write(slot, min(boots + 1, TRIES), good)
    return slot


def confirm():
    """The set has started: it is in force from now on."""
    slot, boots, _ = read()
    if boots >= 0:
        write(slot)
    print("ug up", slot)


def failed():
    """The set did not start: the next boot tries it again, or goes back."""
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
            machine.WDT(timeout=_TRIAL_MS)  # one that hangs has failed
    try:
        import start

        start.main()
    except Exception as error:
        sys.print_exception(error)
        failed()
