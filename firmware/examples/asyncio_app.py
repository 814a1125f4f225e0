"""An asyncio application: streams over the guard's sockets; the supervisor runs `guard.run()` beside it."""

import asyncio

HOST = ("echo.example", 7)


async def talk(guard, name, turns):
    """Sends a line and reads it back, a few times."""
    reader, writer = await asyncio.open_connection(*HOST)
    for turn in range(turns):
        writer.write(b"%s %d\n" % (name, turn))
        await writer.drain()
        line = await reader.readline()
        guard.hal.event("example-line", len(line), turn)
        await asyncio.sleep(10)
    writer.close()
    await writer.wait_closed()


async def main(guard):
    await asyncio.gather(talk(guard, b"one", 3), talk(guard, b"three", 3))
