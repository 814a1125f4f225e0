"""What an application under asyncio, or one with several traffic classes, needs. Loaded with its first use."""


def class_index(classes, name):
    """The index of the traffic class `name`; KeyError, which names the known ones."""
    names = [traffic_class.name for traffic_class in classes]
    if name not in names:
        raise KeyError("no class %r; known: %s" % (name, ", ".join(names)))
    return names.index(name)


class Traffic:
    """`with guard.traffic(name):` sockets made inside belong to that class; under asyncio those of this task.

    `in_force` has the index of the class by task; `task()` is the running task, as a key of it.
    """

    def __init__(self, in_force, task, index):
        self._in_force = in_force
        self._find_task = task
        self._index = index

    def __enter__(self):
        self._task = self._find_task()
        self._before = self._in_force.get(self._task, 0)
        self._in_force[self._task] = self._index
        return self

    def __exit__(self, *_):
        if self._before:
            self._in_force[self._task] = self._before
        else:
            self._in_force.pop(self._task, None)


async def run(step, longest_ms):
    """Calls `step()` for ever; it returns the milliseconds until the next call, of which it sleeps `longest_ms`."""
    import asyncio

    while True:
        await asyncio.sleep(min(step(), longest_ms) / 1000)


def run_beside(guarding, main):
    """Runs the coroutine `main` under asyncio, and the coroutine `guarding` until it ends."""
    import asyncio

    async def both():
        task = asyncio.create_task(guarding)
        try:
            await main
        finally:
            task.cancel()

    try:
        asyncio.run(both())
    finally:
        asyncio.new_event_loop()  # MicroPython would go on with the tasks that are left in the next `run`
