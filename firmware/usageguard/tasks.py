"""What an application under asyncio, or one with several traffic classes, needs of the guard: loaded with its first
use."""


class Traffic:
    """`with guard.traffic(name):` the sockets made inside belong to that class; under asyncio those of this task."""

    def __init__(self, guard, index):
        self._guard = guard
        self._index = index

    def __enter__(self):
        self._task = self._guard.task()
        self._before = self._guard.in_force.get(self._task, 0)
        self._guard.in_force[self._task] = self._index
        return self

    def __exit__(self, *_):
        if self._before:
            self._guard.in_force[self._task] = self._before
        else:
            self._guard.in_force.pop(self._task, None)


async def run(guard):
    """Guards as a task, for ever."""
    import asyncio

    guard.current_task = asyncio.current_task
    while True:
        due = guard.step_now()
        await asyncio.sleep(min(due, guard.hal.SLICE_MS) / 1000)


def run_beside(guard, main):
    """Runs the coroutine `main` under asyncio beside `run`."""
    import asyncio

    guard.current_task = asyncio.current_task

    async def both():
        guarding = asyncio.create_task(run(guard))
        try:
            await main
        finally:
            guarding.cancel()

    try:
        asyncio.run(both())
    finally:
        asyncio.new_event_loop()  # MicroPython would go on with the tasks that are left in the next `run`
