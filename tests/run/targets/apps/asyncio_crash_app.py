"""A coroutine that starts a task of its own and then ends with an exception, again and again."""

import asyncio


class State:
    lives = 0
    guard = None
    beating = None


async def beat(life):
    while True:
        State.guard.hal.event("beat", life, State.lives)
        await asyncio.sleep(5)


async def main(guard):
    State.lives += 1
    State.guard = guard
    State.beating = asyncio.create_task(beat(State.lives))
    await asyncio.sleep(12)
    raise ValueError("on purpose")
