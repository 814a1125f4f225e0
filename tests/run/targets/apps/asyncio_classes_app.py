"""Tasks in traffic classes of their own, whose contexts overlap; says to which class a socket of each belongs."""

import asyncio
import socket


async def enter(guard, name, first_ms, then_ms):
    await asyncio.sleep_ms(first_ms)
    with guard.traffic(name):
        await asyncio.sleep_ms(then_ms)
        guard.hal.event("class-" + name, socket.socket()._class)
    guard.hal.event("class-after", socket.socket()._class)


async def main(guard):
    overlapping = ("ota", 0, 200), ("telemetry", 100, 200), ("ota", 150, 300)
    await asyncio.gather(*(enter(guard, *how) for how in overlapping))
    guard.hal.event("class-main", socket.socket()._class)
    await asyncio.sleep(100_000)
