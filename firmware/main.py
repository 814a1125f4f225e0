"""What a device runs after power-on or reset: the set of files in force, as `slots` knows it."""

import gc

gc.threshold(2048)  # collects the garbage of imports before what stays is allocated behind it: the heap stays whole

import slots

if not slots.maintenance():
    slots.run()
