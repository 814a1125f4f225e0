"""What MicroPython runs after power-on or reset: starts the set of files in force (`slots`), or leaves the REPL."""

import gc

gc.threshold(2048)  # collects the garbage of imports often, so that what stays does not fragment the heap

import slots

if not slots.maintenance():
    slots.run()
